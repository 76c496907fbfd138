"""The ``admin`` section (pure)."""

from typing import Literal

from gateway.settings import Field, SecretStr, Settings


class AdminToken(Settings):
    """One person or program that may use the management API."""

    name: str = Field(min_length=1, max_length=64)
    """Who it is; revisions carry this name."""
    role: Literal["viewer", "editor"] = "viewer"
    """``viewer`` sees, ``editor`` also changes."""
    token: SecretStr
    """The secret, best as ``${file:/path}``."""


class AdminSettings(Settings):
    """The ``admin`` section: the management UI and API."""

    listen: str = Field(default="127.0.0.1:8081", pattern=r"^.*:\d{1,5}$")
    """``host:port`` of the management listener. Keep it on loopback or inside the cluster."""
    tokens: list[AdminToken] = []
    """Who may log in. Empty: nobody."""
    allowed_hosts: list[str] = ["localhost", "127.0.0.1"]
    """Host names under which the UI answers; others are refused (DNS rebinding)."""
