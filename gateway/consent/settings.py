"""The ``consent`` section (pure)."""

from typing import Literal

from gateway.settings import Field, Settings

DEFAULT_ONETRUST_GROUPS: dict[str, list[str]] = {
    "C0001": ["necessary"],
    "C0002": ["analytics"],
    "C0003": ["functional"],
    "C0004": ["marketing", "advertising"],
}


class CustomCookie(Settings):
    """A consent cookie of the site's own."""

    name: str = Field(min_length=1, max_length=128)
    """The cookie's name."""
    values: dict[str, list[str]] = Field(default_factory=dict)
    """Cookie value → granted categories, e.g. ``{all: [marketing, analytics], none: []}``. Empty: the value itself is read, either a comma-separated
    list of granted categories or a JSON object of category → true/false."""


class ConsentSettings(Settings):
    """Which consent signals are read and what holds without one."""

    default: Literal["deny", "grant"] = "deny"
    """What holds when no signal says anything. ``grant`` is for sites that need no consent; an explicit denial still wins."""
    honour_gpc: bool = True
    """Treat ``Sec-GPC: 1`` (Global Privacy Control) as a denial of marketing and advertising."""
    cookies: list[Literal["onetrust", "cookiebot", "tcf"]] = ["onetrust", "cookiebot"]
    """CMP cookies to read: ``onetrust`` (OptanonConsent), ``cookiebot`` (CookieConsent), ``tcf`` (euconsent-v2)."""
    onetrust_groups: dict[str, list[str]] = Field(default_factory=lambda: dict(DEFAULT_ONETRUST_GROUPS))
    """OneTrust group id → categories. Change it where the site renamed its groups."""
    cookie: CustomCookie | None = None
    """A cookie of your own banner, read besides the CMPs'."""
