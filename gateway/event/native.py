"""TikTok's own Events API body (pure), as a site's back end sends it.

Law: names, properties and identity are already TikTok's and are passed on under those names; without an event_id one is derived from the body and
the event's index, so that a retried request keeps its ids. Source: TikTok's endpoint page for Events API 2.0.
"""

import hashlib
from typing import Any, Final

from gateway.errors import BadInput
from gateway.event import fields
from gateway.event.model import Event, Parsed, Rejection, Wire
from gateway.outcome import Reason

_WIRE: Final[str] = Wire.NATIVE.value
_MAX_ITEMS = 1000


def parse(doc: Any, body: bytes) -> Parsed:
    """Events of a native request; ``body`` is what ids are derived from. Raises BadInput for the request as a whole."""
    if type(doc) is not dict or type(doc.get("data")) is not list:
        raise BadInput(Reason.WRONG_SHAPE, 'expected {"event_source": "web", "event_source_id": …, "data": [...]}')
    source = doc.get("event_source", "web")
    if source != "web":
        raise BadInput(Reason.WRONG_SHAPE, "event_source must be web")
    items = doc["data"]
    if not items:
        raise BadInput(Reason.WRONG_SHAPE, "data: at least one event is required")
    if len(items) > _MAX_ITEMS:
        raise BadInput(Reason.TOO_MANY_EVENTS, f"data: {len(items)} events in one request; at most {_MAX_ITEMS}")
    pixel = fields.identifier(doc.get("event_source_id"))
    if not pixel:
        raise BadInput(Reason.WRONG_SHAPE, "event_source_id: required")
    test_code = fields.identifier(doc.get("test_event_code"))
    digest = hashlib.sha256(body).hexdigest()[:24]
    parsed = Parsed([])
    for index, item in enumerate(items):
        if type(item) is not dict:
            parsed.rejected.append(Rejection(index, Reason.WRONG_SHAPE, "an event must be an object"))
            continue
        try:
            event = _event(item, pixel, test_code)
        except BadInput as error:
            parsed.rejected.append(Rejection(index, error.reason, error.detail))
            continue
        event.event_id = event.event_id or f"{digest}-{index}"
        parsed.events.append(event)
    return parsed


def _event(item: dict[str, Any], pixel: str, test_code: str) -> Event:
    found = fields.name(item.get("event"))
    user = fields.mapping(item.get("user"))
    who: dict[str, Any] = {}
    fields.identity(who, user, fields.TRAIT_KEYS)
    limited = item.get("limited_data_use")
    return Event(
        _WIRE,
        "page" if found.lower() == "pageview" else "track",
        found,
        fields.identifier(item.get("event_id")),
        fields.time(item.get("event_time")),
        identity=who,
        properties=fields.mapping(item.get("properties")),
        page=fields.page(item.get("page")),
        consent=fields.consent(fields.mapping(item.get("context")).get("consent")),
        locale=fields.identifier(user.get("locale")),
        ttclid=fields.text(user.get("ttclid") or fields.mapping(item.get("ad")).get("callback")),
        ttp=fields.identifier(user.get("ttp")),
        ip=fields.identifier(user.get("ip")),
        user_agent=fields.text(user.get("user_agent"), fields.MAX_USER_AGENT),
        pixel_codes=(pixel,),
        test_event_code=test_code,
        limited_data_use=limited if type(limited) is bool else None,
    )
