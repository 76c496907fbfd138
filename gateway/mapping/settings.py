"""What an integration may say about its mapping (pure). Shaped like Signal's integration configuration."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator

from gateway.mapping.transforms import TRANSFORMS
from gateway.settings import Field, Settings


def _transform(value: str | None) -> str | None:
    if value is not None and value not in TRANSFORMS:
        raise ValueError(f"unknown transform; expected one of {', '.join(sorted(TRANSFORMS))}")
    return value


class FieldMapping(Settings):
    """One value copied from the event to TikTok's data item."""

    source: str = ""
    """Dotted path into the sealed event, e.g. ``properties.total``, ``properties.products[].sku``, ``page.url``. For ``user.*`` targets it
    may also name raw identity (``traits.work_email``, ``properties.customer.phone``); it is hashed at the edge."""
    target: str = Field(pattern=r"^(properties|user|page)\.[a-z0-9_]+$|^(event_id|limited_data_use)$")
    """``properties.<name>``, ``user.<name>``, ``page.<name>``, ``event_id`` or ``limited_data_use``."""
    transform: Annotated[str | None, AfterValidator(_transform)] = None
    """What is done to the value before it is set (see the table of transforms)."""
    format: str | None = None
    """A text in which ``{value}`` stands for the value, e.g. ``order-{value}``."""
    value_map: dict[str, Any] = Field(default_factory=dict)
    """Value (as text) → what to send instead; values that are not listed stay as they are."""
    default: Any = None
    """What to send where the source has nothing."""


class EventOverride(Settings):
    """What is different from the preset for one event."""

    vendor_event_name: str | None = Field(None, max_length=100)
    """TikTok's event name for it; unset = the preset's."""
    enabled: bool = True
    """False: this event is not sent (outcome ``filtered``, reason ``event_disabled``)."""
    mappings: list[FieldMapping] = []
    """Fields of this event, applied after the preset's and the global ones."""


class GlobalMappings(Settings):
    """Mappings for every event."""

    mappings: list[FieldMapping] = []
    """Applied after the preset's fields, before those of the event."""


class Defaults(Settings):
    """What happens to events that neither the preset nor an override names."""

    action: Literal["drop", "passthrough"] | None = None
    """Overrides ``default_action`` where set."""
    mappings: list[FieldMapping] = []
    """Fields of such events when they are passed through."""


class SendSettings(Settings):
    """Which parts of a visitor's identity this integration sends at all."""

    ip: bool = True
    """The visitor's public IP address."""
    user_agent: bool = True
    """The browser's user agent."""
    email: bool = True
    """The hashed e-mail address."""
    phone: bool = True
    """The hashed telephone number."""
    page_query: Literal["keep", "drop"] = "keep"
    """``drop`` cuts the query off page URLs (the click id is sent on its own anyway)."""
