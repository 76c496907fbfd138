"""The browser pixel's wire format (pure): ``api/v2/pixel``, ``api/v2/pixel/act`` and the GET form.

Law: identity arrives hashed by the pixel (external_id as given) and is passed on as it is; automatic actions of ``/act`` and the pixel's own
bookkeeping events are left out with a reason. Source: captures of the pixel's traffic, TikTok's 1.0 field names.
"""

import base64
import binascii
from typing import Any, Final
from urllib.parse import unquote

from gateway.errors import BadInput
from gateway.event import fields, jsonbody
from gateway.event.model import Event, Parsed, Rejection, Wire
from gateway.outcome import Reason

_WIRE: Final[str] = Wire.PIXEL.value
_BOOKKEEPING = frozenset({"enricham"})
"""Events that carry nothing about the visitor's doing, wherever they arrive."""
_AUTOMATIC = frozenset({"metadata", "click", "pf", "pagedata", "performance"})
"""Automatic actions, known as such only by the path ``pixel/act``: a site may track a ``Click`` of its own."""
_PAGE_NAMES = frozenset({"pageview", "page"})


def parse(doc: Any, *, act: bool) -> Parsed:
    """Events of a decoded pixel body: one object, or an array of them. ``act`` = it came to ``pixel/act``."""
    items = doc if type(doc) is list else [doc]
    if len(items) > fields.MAX_EVENTS:
        raise BadInput(Reason.TOO_MANY_EVENTS, f"{len(items)} events in one request; send at most {fields.MAX_EVENTS}")
    parsed = Parsed([])
    for index, item in enumerate(items):
        if type(item) is not dict:
            if items is not doc:
                raise BadInput(Reason.WRONG_SHAPE, "expected the pixel's JSON object")
            parsed.rejected.append(Rejection(index, Reason.WRONG_SHAPE, "an event must be an object"))
            continue
        parsed.key = parsed.key or fields.identifier(item.get("writeKey") or item.get("pipelineKey"))
        try:
            event = _event(item)
        except BadInput as error:
            parsed.rejected.append(Rejection(index, error.reason, error.detail))
            continue
        named = event.name.lower()
        if named in _BOOKKEEPING or (act and named in _AUTOMATIC):
            parsed.rejected.append(Rejection(index, Reason.AUTOMATIC_EVENT, "an automatic action of the pixel, not a conversion"))
            continue
        parsed.events.append(event)
    return parsed


def parse_message(message: str, *, act: bool = False) -> Parsed:
    """The GET form: ``analytics_message`` holds the same JSON in base64 (standard or URL-safe, padded or not)."""
    text = unquote(message).replace(" ", "+").replace("-", "+").replace("_", "/")
    if len(text) > 64 * 1024:
        raise BadInput(Reason.TOO_LARGE, "analytics_message is longer than 64 KiB")
    try:
        body = base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError):
        raise BadInput(Reason.WRONG_SHAPE, "analytics_message is not base64") from None
    return parse(jsonbody.load(body), act=act)


def _event(item: dict[str, Any]) -> Event:
    found = fields.name(item.get("event"))
    page_view = found.lower() in _PAGE_NAMES
    context = fields.mapping(item.get("context"))
    user = fields.mapping(context.get("user"))
    properties = fields.mapping(item.get("properties"))
    ad = fields.mapping(context.get("ad"))
    who: dict[str, Any] = {}
    fields.identity(who, user, fields.TRAIT_KEYS)
    return Event(
        _WIRE,
        "page" if page_view else "track",
        "page" if page_view else found,
        fields.identifier(item.get("event_id") or properties.get("event_id") or item.get("message_id")),
        fields.time(item.get("timestamp")),
        anonymous_id=fields.identifier(user.get("anonymous_id")),
        identity=who,
        properties=properties,
        page=fields.page(context.get("page")),
        context={"library": context["library"]} if type(context.get("library")) is dict else {},
        consent=fields.consent(context.get("consent")),
        consent_mode=fields.identifier(context.get("gcs")),
        locale=fields.identifier(context.get("locale") or user.get("locale")),
        ttclid=fields.text(ad.get("ttclid") or ad.get("callback")),
        ttp=fields.identifier(user.get("ttp") or context.get("ttp")),
        user_agent=fields.text(context.get("userAgent") or context.get("user_agent"), fields.MAX_USER_AGENT),
        pixel_codes=fields.pixel_codes(context.get("pixel")),
    )
