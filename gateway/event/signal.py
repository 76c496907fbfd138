"""The Signal wire format (pure): track, page, identify and group; one event, an array, or ``{"batch": […]}``; consent changes.

Law: one bad event never spoils its neighbours; what the body as a whole cannot be is :class:`BadInput`.
Source: the Signal event schema; spellings of other event collectors (Segment's) are accepted where they mean the same.
"""

from collections.abc import Callable
from typing import Any

from gateway.errors import BadInput
from gateway.event import fields
from gateway.event.model import Event, Parsed, Rejection, Wire
from gateway.outcome import Reason

_KINDS = {"t": "track", "p": "page", "i": "identify", "g": "group"}
_WIRE = Wire.SIGNAL  # looking a member up is a call of Python, once per event
_TYPES = frozenset(_KINDS.values())
_PAGE_NAMES = frozenset({"page", "pageview", "page_view", "page view", "pageviewed", "$pageview"})
_PAGE_URL_KEYS = ("page_location", "$current_url", "url")
_NOTHING: dict[str, Any] = {}
"""Stands for an absent object; never written to."""


def parse(doc: Any, kind: str | None) -> Parsed:
    """Events of a decoded body. ``kind`` is ``t``, ``p``, ``i`` or ``g`` where the path says it, else None.

    Raises BadInput ``wrong_shape`` or ``too_many_events`` for the body as a whole.
    """
    envelope: dict[str, Any] = _NOTHING
    items: Any = doc
    if type(doc) is dict:
        batch = doc.get("batch")
        if batch is None:
            items = [doc]
        else:
            envelope, items = doc, batch
    if type(items) is not list:
        raise BadInput(Reason.WRONG_SHAPE, 'expected one event, an array of events or {"batch": [...]}')
    if len(items) > fields.MAX_EVENTS:
        raise BadInput(Reason.TOO_MANY_EVENTS, f"{len(items)} events in one request; send at most {fields.MAX_EVENTS}")
    parsed = Parsed([], [], _key(envelope) if envelope else "")
    sent_at = fields.optional_time(envelope.get("sentAt")) if envelope else None
    context = _object(envelope.get("context")) if envelope else _NOTHING
    forced = _KINDS.get(kind) if kind else None
    for index, item in enumerate(items):
        if type(item) is not dict:
            parsed.rejected.append(Rejection(index, Reason.WRONG_SHAPE, "an event must be an object"))
            continue
        if not parsed.key:
            # Read from unusable events too: they are then counted for their own pipeline.
            parsed.key = _key(item)
        try:
            parsed.events.append(_event(item, context, sent_at, forced))
        except BadInput as error:
            parsed.rejected.append(Rejection(index, error.reason, error.detail))
    return parsed


def parse_consent(doc: Any) -> tuple[dict[str, bool], str, str]:
    """``{"consent": {…}, "anonymousId"?, "writeKey"?}`` → (categories, anonymous id, key). Raises BadInput ``wrong_shape``."""
    body = _object(doc)
    categories = fields.consent(body.get("consent")) or fields.consent(_object(body.get("context")).get("consent"))
    if not categories:
        raise BadInput(Reason.WRONG_SHAPE, 'expected {"consent": {"marketing": false}}')
    return categories, fields.identifier(body.get("anonymousId") or body.get("anonymous_id")), _key(body)


def _object(value: Any) -> dict[str, Any]:
    return value if type(value) is dict else _NOTHING


def _key(source: dict[str, Any]) -> str:
    found = source.get("writeKey") or source.get("pipelineKey") or source.get("pipeline_key")
    return fields.identifier(found) if found else ""


def _event(item: dict[str, Any], shared_context: dict[str, Any], shared_sent_at: float | None, forced: str | None) -> Event:
    # Hot: once per event. What is absent is told by a truth test, so that only what is there costs a call.
    get = item.get
    kind = forced or get("type") or ("track" if "event" in item else "")
    if type(kind) is not str or kind not in _TYPES:
        raise BadInput(Reason.WRONG_SHAPE, 'an event needs a "type" of track, page, identify or group, or an "event" name')
    if kind == "track":
        found = fields.name(get("event") or get("name"))
        if found.lower() in _PAGE_NAMES:
            kind = found = "page"
    else:
        found = kind
    properties = get("properties")
    if type(properties) is not dict:
        properties = {}
    context = get("context")
    if type(context) is not dict or not context:
        context = shared_context
    elif shared_context:
        context = _joined(shared_context, context)
    identifier = fields.identifier
    event_id = get("event_id") or get("messageId") or get("eventId") or properties.get("event_id")
    timestamp = get("timestamp") or get("originalTimestamp")
    sent_at = get("sentAt")
    user_id = get("userId") or get("user_id")
    anonymous_id = get("anonymousId") or get("anonymous_id")
    who: dict[str, Any] = {}
    event = Event(
        _WIRE,
        kind,
        found,
        identifier(event_id) if event_id else "",
        fields.time(timestamp) if timestamp else None,
        fields.optional_time(sent_at) if sent_at else shared_sent_at,
        identifier(user_id) if user_id else "",
        identifier(anonymous_id) if anonymous_id else "",
        who,
        {},
        properties,
        {},
        {},
    )
    rest = event.context
    for key, value in context.items():
        read = _CONTEXT.get(key)
        if read is None:
            rest[key] = value
        elif value:
            read(event, value)
    user = get("user") or context.get("user")
    if user and type(user) is dict:
        _identify(who, user)
        _from_user(event, user)
    traits = get("traits") or context.get("traits")
    if traits and type(traits) is dict:
        event.traits = traits
        _identify(who, traits)
    if properties:
        fields.identity(who, properties, fields.PERSON_KEYS)
        if not event.ttclid and (ttclid := properties.get("ttclid")):
            event.ttclid = fields.text(ttclid)
        if kind == "page" or "url" not in event.page:
            _page_of_properties(event, properties)
    if kind == "group" and (group := identifier(get("groupId") or get("group_id"))):
        rest["groupId"] = group
    elif kind == "page" and (title := fields.text(get("name"), fields.MAX_NAME)):
        rest["name"] = title
    return event


def _joined(shared: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """The event's own context over its batch's; a category that either of them denies is denied."""
    joined = {**shared, **own}
    if "consent" in own and (said := fields.consent(shared.get("consent"))):
        for category, granted in (fields.consent(own["consent"]) or {}).items():
            said[category] = granted and said.get(category, True)
        joined["consent"] = said
    return joined


def _identify(who: dict[str, Any], person: dict[str, Any]) -> None:
    fields.identity(who, person, fields.TRAIT_KEYS)
    address = person.get("address")
    if type(address) is dict:
        fields.identity(who, address, fields.TRAIT_KEYS)


def _from_user(event: Event, user: dict[str, Any]) -> None:
    """What TikTok's ``user`` object says besides who it is, where the context did not."""
    event.locale = event.locale or fields.identifier(user.get("locale"))
    event.ttclid = event.ttclid or fields.text(user.get("ttclid"))
    event.ttp = event.ttp or fields.identifier(user.get("ttp"))
    event.ip = event.ip or fields.identifier(user.get("ip"))
    event.user_agent = event.user_agent or fields.text(user.get("user_agent"), fields.MAX_USER_AGENT)


def _page_of_properties(event: Event, properties: dict[str, Any]) -> None:
    page, view = event.page, event.type == "page"
    for key in _PAGE_URL_KEYS:
        if "url" in page:
            break
        # "url" among a product's properties is the product's; only a page view's is the page's.
        value = properties.get(key)
        if type(value) is str and value and len(value) <= fields.MAX_TEXT and (view or key != "url"):
            page["url"] = value
    if view:
        for field, value in fields.page(properties).items():
            page.setdefault(field, value)


# -- the parts of a context that have a field of their own; a part that is given twice is taken where it is said first


def _read_page(event: Event, value: Any) -> None:
    event.page = fields.page(value)


def _read_consent(event: Event, value: Any) -> None:
    event.consent = fields.consent(value)


def _read_mode(event: Event, value: Any) -> None:
    event.consent_mode = event.consent_mode or fields.identifier(value)


def _read_locale(event: Event, value: Any) -> None:
    event.locale = fields.identifier(value)


def _read_ttclid(event: Event, value: Any) -> None:
    event.ttclid = fields.text(value)


def _read_ad(event: Event, value: Any) -> None:
    if not event.ttclid and type(value) is dict:
        event.ttclid = fields.text(value.get("ttclid") or value.get("callback"))


def _read_ttp(event: Event, value: Any) -> None:
    event.ttp = fields.identifier(value)


def _read_ip(event: Event, value: Any) -> None:
    event.ip = fields.identifier(value)


def _read_user_agent(event: Event, value: Any) -> None:
    event.user_agent = event.user_agent or fields.text(value, fields.MAX_USER_AGENT)


def _read_pixel(event: Event, value: Any) -> None:
    event.pixel_codes = fields.pixel_codes(value)


def _read_later(_event: Event, _value: Any) -> None:
    """``user`` and ``traits`` say who the visitor is: their order among each other matters."""


_CONTEXT: dict[str, Callable[[Event, Any], None]] = {
    "page": _read_page, "consent": _read_consent, "consent_mode": _read_mode, "gcs": _read_mode, "locale": _read_locale, "ttclid": _read_ttclid, "ad": _read_ad,
    "ttp": _read_ttp, "ip": _read_ip, "userAgent": _read_user_agent, "user_agent": _read_user_agent, "pixel": _read_pixel, "user": _read_later,
    "traits": _read_later,
}  # fmt: skip
