"""The canonical event (pure): what every wire format is parsed into.

Law: an :class:`Event` holds what the sender said, decoded and bounded but neither hashed nor judged. Only the edge ever
holds one: it contains raw personal data and is never stored, logged or shown. It is treated as immutable once parsed; it is
a plain slotted dataclass because building a frozen one costs four times as much, once per request.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, NamedTuple

from gateway.outcome import Reason

type_names = ("track", "page", "identify", "group")
"""The four Signal event types."""


class Wire(StrEnum):
    """The wire format an event arrived in."""

    SIGNAL = "signal"
    PIXEL = "pixel"
    IMAGE = "image"
    NATIVE = "native"


@dataclass(slots=True)
class Event:
    """One event in the Signal schema. Times are Unix seconds as float; absent values are None or empty."""

    wire: Wire
    type: str
    """track, page, identify or group."""
    name: str
    """The sender's event name; ``page`` for page views, ``identify`` and ``group`` for those types."""
    event_id: str = ""
    """event_id → messageId; empty = none given."""
    timestamp: float | None = None
    sent_at: float | None = None
    user_id: str = ""
    anonymous_id: str = ""
    identity: dict[str, Any] = field(default_factory=dict)
    """Raw or pre-hashed identity under TikTok's user field names (email, phone, external_id, first_name, last_name, zip_code,
    city, state, country); values are strings or lists of strings. ``external_id`` only where it was named as such; user_id and
    anonymous_id are the fallback, applied by the sealer."""
    traits: dict[str, Any] = field(default_factory=dict)
    """As sent (raw); the sealer keeps only what is not personal."""
    properties: dict[str, Any] = field(default_factory=dict)
    """As sent; numbers, strings, lists and objects."""
    page: dict[str, str] = field(default_factory=dict)
    """url, referrer, title, path, search: strings only, absent keys left out."""
    context: dict[str, Any] = field(default_factory=dict)
    """The rest of the sender's context that mappings may use (campaign, locale, device, library …); never ip or userAgent."""
    consent: dict[str, bool] | None = None
    """``context.consent`` of the event: category → granted; None = no signal."""
    consent_mode: str = ""
    """Google consent mode as ``G1<ad><analytics>`` (``G111``), empty = none."""
    locale: str = ""
    ttclid: str = ""
    """A click id the event itself names; the page URL's own is found by the click-id resolver."""
    ttp: str = ""
    """A ``_ttp`` the event itself names (server-side senders)."""
    ip: str = ""
    """Server-side senders only; browser parsers leave it empty."""
    user_agent: str = ""
    """Server-side senders only, or the pixel's own copy."""
    pixel_codes: tuple[str, ...] = ()
    """Pixel codes the event names; empty = all integrations of the pipeline."""
    test_event_code: str = ""
    """Native bodies only."""
    limited_data_use: bool | None = None
    """Native bodies only; None = not said."""


class Rejection(NamedTuple):
    """One event of a request that could not be used; its neighbours are unaffected."""

    at: int
    """The event's index in the request."""
    reason: Reason
    detail: str
    """Safe to show: names fields, never values."""


@dataclass(slots=True)
class Parsed:
    """What a parser made of one request body: the usable events, the unusable ones, and the pipeline it names."""

    events: list[Event]
    rejected: list[Rejection] = field(default_factory=list)
    key: str = ""
    """``writeKey``/``pipelineKey``/``k``; empty = not named in the body or query."""
