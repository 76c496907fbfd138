"""The canonical event (pure): what every wire format is parsed into.

Law: an :class:`Event` holds what the sender said, decoded and bounded but neither hashed nor judged. Only the edge ever
holds one: it contains raw personal data and is never stored, logged or shown. It is treated as immutable once parsed; it is
a plain slotted dataclass because building a frozen one costs four times as much, once per request. Initialisers on every event's way are written out: a generated one
stays interpreted in the compiled build.
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


@dataclass(slots=True, init=False)
class Event:
    """One event in the Signal schema. Times are Unix seconds as float; absent values are None or empty."""

    wire: str
    """The text of a :class:`Wire`: what is counted, stored and compared is text, and asking a member for it costs as much as a look-up in a table."""
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

    def __init__(
        self,
        wire: str,
        type: str,  # noqa: A002 - the schema's name
        name: str,
        event_id: str = "",
        timestamp: float | None = None,
        sent_at: float | None = None,
        user_id: str = "",
        anonymous_id: str = "",
        identity: dict[str, Any] | None = None,
        traits: dict[str, Any] | None = None,
        properties: dict[str, Any] | None = None,
        page: dict[str, str] | None = None,
        context: dict[str, Any] | None = None,
        consent: dict[str, bool] | None = None,
        consent_mode: str = "",
        locale: str = "",
        ttclid: str = "",
        ttp: str = "",
        ip: str = "",
        user_agent: str = "",
        pixel_codes: tuple[str, ...] = (),
        test_event_code: str = "",
        limited_data_use: bool | None = None,
    ) -> None:
        self.wire = wire
        self.type = type
        self.name = name
        self.event_id = event_id
        self.timestamp = timestamp
        self.sent_at = sent_at
        self.user_id = user_id
        self.anonymous_id = anonymous_id
        self.identity = {} if identity is None else identity
        self.traits = {} if traits is None else traits
        self.properties = {} if properties is None else properties
        self.page = {} if page is None else page
        self.context = {} if context is None else context
        self.consent = consent
        self.consent_mode = consent_mode
        self.locale = locale
        self.ttclid = ttclid
        self.ttp = ttp
        self.ip = ip
        self.user_agent = user_agent
        self.pixel_codes = pixel_codes
        self.test_event_code = test_event_code
        self.limited_data_use = limited_data_use


class Rejection(NamedTuple):
    """One event of a request that could not be used; its neighbours are unaffected."""

    at: int
    """The event's index in the request."""
    reason: Reason
    detail: str
    """Safe to show: names fields, never values."""


@dataclass(slots=True, init=False)
class Parsed:
    """What a parser made of one request body: the usable events, the unusable ones, and the pipeline it names."""

    events: list[Event]
    rejected: list[Rejection] = field(default_factory=list)
    key: str = ""
    """``writeKey``/``pipelineKey``/``k``; empty = not named in the body or query."""

    def __init__(self, events: list[Event], rejected: list[Rejection] | None = None, key: str = "") -> None:
        self.events = events
        self.rejected = [] if rejected is None else rejected
        self.key = key
