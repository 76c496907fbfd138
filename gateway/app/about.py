"""What the gateway says of itself to whoever manages it (pure but for the paths that are passed in).

Law: no secret, and nothing that names one's place but its reference in the configuration file.
"""

from pathlib import Path
from typing import Any

from gateway import __version__
from gateway.config.load import Loaded
from gateway.config.settings import GatewaySettings

_SECRETS = frozenset({"access_token", "secret", "token"})
_READ_ONLY = "What is in force is declared in the configuration file; it is changed there and taken over without a restart. With catalog.path set, entries can be made here."


def about(path: Path, loaded: Loaded, started_with: GatewaySettings, started_at: float) -> dict[str, Any]:
    """Version, faults, and the effective configuration without secrets."""
    settings = loaded.settings
    return {
        "version": __version__,
        "started_at": started_at,
        "config_path": str(path),
        "catalogue": {"writable": False, "path": settings.catalog.path, "reason": _READ_ONLY},
        "faults": [{"path": each.path, "message": each.message, "hint": each.hint} for each in loaded.problems],
        "delivery": {"endpoint": started_with.delivery.endpoint},
        "spool": {"path": started_with.spool.path, "max_bytes": started_with.spool.max_bytes},
        "prefix": started_with.edge.prefix,
        "consent_default": settings.consent.default,
        "settings": without_secrets(settings.model_dump(mode="json", by_alias=True)),
        "waiting": [
            name
            for name in type(settings).model_fields
            if name not in {"catalog", "consent", "pipelines", "integrations"}
            and getattr(settings, name) != getattr(started_with, name)
        ],
    }


def without_secrets(value: Any) -> Any:
    """The same document with a word in place of every secret."""
    if isinstance(value, dict):
        return {
            name: ("(set)" if inner else None) if name in _SECRETS else without_secrets(inner) for name, inner in value.items()
        }
    return [without_secrets(inner) for inner in value] if isinstance(value, list) else value
