"""What an integration may say about its mapping (pure). Shaped like Signal's integration configuration.

Law: what cannot work is refused here, with the cure, so that compiling and applying need not judge a configuration.
"""

import math
import re
from datetime import date
from typing import Annotated, Any, Literal

import orjson
from pydantic import AfterValidator, BeforeValidator, model_validator

from gateway.mapping import path, tiktok
from gateway.mapping.transforms import TRANSFORMS, format_problem
from gateway.settings import Field, Settings

_TARGET = re.compile(r"(properties|contents\[\]|user|page)\.([A-Za-z][A-Za-z0-9_]{0,63})|event_id|limited_data_use")
_PAGE_FIELDS = ("url", "referrer")


def _transform(value: str | None) -> str | None:
    if value is not None and value not in TRANSFORMS:
        if value in {"hash", "sha256", "md5"}:
            raise ValueError("user.* targets are hashed by themselves, and nothing else is identity; leave the transform out")
        raise ValueError(f"unknown transform; expected one of {', '.join(sorted(TRANSFORMS))}")
    return value


def _target(value: str) -> str:
    found = value.strip().replace("[*]", "[]").replace("properties.contents[]", "contents[]")
    match = _TARGET.fullmatch(found)
    if not match:
        raise ValueError(
            "expected properties.<name>, contents[].<name>, user.<name>, page.url, page.referrer, event_id or limited_data_use"
        )
    room, name = match[1], match[2]
    if room == "user" and name not in tiktok.USER_FIELDS:
        better = tiktok.MISNAMED_USER_FIELDS.get(name)
        raise ValueError(
            f"TikTok's name for it is user.{better}"
            if better
            else f"TikTok ignores this field; expected user. and one of {', '.join(sorted(tiktok.USER_FIELDS))}"
        )
    if room == "page" and name not in _PAGE_FIELDS:
        raise ValueError("expected page.url or page.referrer")
    return found


def _format(value: str | None) -> str | None:
    if value and (problem := format_problem(value)):
        raise ValueError(problem)
    return value or None


def _constant(value: Any) -> Any:
    if isinstance(value, date):
        # YAML reads an unquoted 2025-01-31 as a date.
        return value.isoformat()
    try:
        orjson.dumps(value)
    except (TypeError, ValueError, RecursionError):
        raise ValueError("expected a value that JSON can hold") from None
    if isinstance(value, float) and not math.isfinite(value):
        raise ValueError("expected a finite number")
    return value


def _keys(value: Any) -> Any:
    # YAML reads unquoted 1 and true as a number and a boolean; events hold either kind.
    if isinstance(value, dict):
        return {("true" if key else "false") if type(key) is bool else str(key): _constant(entry) for key, entry in value.items()}
    return value


def _vendor_name(value: str | None) -> str | None:
    found = (value or "").strip()
    if not found.isprintable():
        raise ValueError("expected a name without control characters")
    return found or None


class FieldMapping(Settings):
    """One value copied from the event to TikTok's data item."""

    source: Annotated[str, AfterValidator(path.normalise)] = ""
    """Dotted path into the event: ``properties.total``, ``properties.products.0.sku`` (one entry), ``properties.products[].sku`` (all of them), ``page.url``,
    ``context.campaign.name``, ``traits.plan``, ``event`` (its name). For ``user.*`` targets it may also name raw identity (``traits.work_email``,
    ``properties.customer.phone``, ``userId``); it is hashed at the edge. Empty: only ``default`` is sent."""
    target: Annotated[str, AfterValidator(_target)]
    """Where the value goes: ``properties.<name>``, ``contents[].<name>`` (one value for each product), ``user.<name>``, ``page.url``, ``page.referrer``,
    ``event_id`` or ``limited_data_use``. What TikTok documents a type for is brought to that type; other properties are sent as they are."""
    transform: Annotated[str | None, AfterValidator(_transform)] = None
    """What is done to the value first: ``string``, ``number``, ``integer``, ``boolean``, ``lowercase``, ``uppercase``, ``trim``, ``cents``, ``round``,
    ``iso_date``, ``iso_datetime``, ``unix_seconds``, ``split``, ``join``, ``first``, ``last``, ``count``, ``sum``, ``json`` or ``parse_json``."""
    value_map: Annotated[dict[str, Any], BeforeValidator(_keys)] = Field(default_factory=dict)
    """Then: value (as text) → what to send instead; values that are not listed stay as they are."""
    format: Annotated[str | None, Field(max_length=1000), AfterValidator(_format)] = None
    """Then: a text in which ``{value}`` stands for the value (``order-{value}``), or, for a time, a date format (``%Y-%m-%d``)."""
    default: Annotated[Any, BeforeValidator(_constant)] = None
    """What to send where nothing is left. With an empty source: a constant, such as ``EUR`` for ``properties.currency``."""

    @model_validator(mode="after")
    def _source_fits(self) -> "FieldMapping":
        if not self.source:
            if self.default is None:
                raise ValueError("source: expected a path, or a default to send as a constant")
        elif found := path.problem(self.source, identity=self.target.startswith("user.")):
            raise ValueError(f"source: {found}")
        return self


class EventOverride(Settings):
    """What is different from the preset for one event."""

    vendor_event_name: Annotated[str | None, Field(max_length=tiktok.MAX_EVENT_NAME), AfterValidator(_vendor_name)] = None
    """TikTok's event name for it, standard or your own; unset = the preset's. Native Events API bodies keep the name they came with."""
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
