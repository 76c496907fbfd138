"""The Signal wire format (pure): track, page, identify and group; one event, an array, or ``{"batch": […]}``; consent changes.

Law: one bad event never spoils its neighbours; what the body as a whole cannot be is :class:`BadInput`.
Source: the Signal event schema; spellings of other event collectors (Segment's) are accepted where they mean the same.
"""

from typing import Any, Final

from gateway.errors import BadInput
from gateway.event import fields, jsonbody
from gateway.event.model import Event, Parsed, Rejection, Wire
from gateway.outcome import Reason

_KINDS: Final = {"t": "track", "p": "page", "i": "identify", "g": "group"}
_WIRE: Final[str] = Wire.SIGNAL.value  # looking a member up is a call of Python, once per event
_TYPES: Final = frozenset(_KINDS.values())
_PAGE_NAMES: Final = frozenset({"page", "pageview", "page_view", "page view", "pageviewed", "$pageview"})
_LONGEST_PAGE_NAME: Final = max(map(len, _PAGE_NAMES))
_PAGE_URL_KEYS: Final = ("page_location", "$current_url", "url")
_NOTHING: Final[dict[str, Any]] = {}
"""Stands for an absent object; never written to."""
_IN_PROPERTIES: Final = frozenset({*fields.PERSON_KEYS, "ttclid"})
"""What of a visitor is read from properties; few hold any of it."""


def parse_body(body: bytes, kind: str | None) -> Parsed:
    """:func:`parse` of JSON that is still to be decoded."""
    return parse(jsonbody.load(body), kind, clean=jsonbody.is_clean(body))


def parse(doc: Any, kind: str | None, *, clean: bool = False) -> Parsed:
    """Events of a decoded body. ``kind`` is ``t``, ``p``, ``i`` or ``g`` where the path says it, else None; ``clean`` = no string of it holds a control character.

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
            parsed.events.append(_event(item, context, sent_at, forced, clean))
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


def _event(
    item: dict[str, Any], shared_context: dict[str, Any], shared_sent_at: float | None, forced: str | None, clean: bool
) -> Event:
    # Hot: once per event. What is absent is told by a truth test, so that only what is there costs a call.
    kind = forced or item.get("type") or ("track" if "event" in item else "")
    if type(kind) is not str or (kind != "track" and kind not in _TYPES):
        raise BadInput(Reason.WRONG_SHAPE, 'an event needs a "type" of track, page, identify or group, or an "event" name')
    if kind == "track":
        found = fields.name(item.get("event") or item.get("name"), clean=clean)
        if len(found) <= _LONGEST_PAGE_NAME and found.lower() in _PAGE_NAMES:
            kind = found = "page"
    else:
        found = kind
    properties = fields.mapping(item.get("properties"))
    context = _object(item.get("context"))
    if shared_context:
        context = _joined(shared_context, context) if context else shared_context
    event_id = item.get("event_id") or item.get("messageId") or item.get("eventId") or properties.get("event_id")
    timestamp = item.get("timestamp") or item.get("originalTimestamp")
    sent_at = item.get("sentAt")
    user_id = item.get("userId") or item.get("user_id")
    anonymous_id = item.get("anonymousId") or item.get("anonymous_id")
    traits = item.get("traits") or context.get("traits")
    user = item.get("user")
    who: dict[str, Any] = {}
    rest: dict[str, Any] = {}
    event = Event(
        _WIRE,
        kind,
        found,
        fields.identifier(event_id, clean=clean) if event_id else "",
        fields.time(timestamp) if timestamp else None,
        fields.optional_time(sent_at) if sent_at else shared_sent_at,
        fields.identifier(user_id, clean=clean) if user_id else "",
        fields.identifier(anonymous_id, clean=clean) if anonymous_id else "",
        who,
        _object(traits),
        properties,
        None,
        rest,
    )
    for key, value in context.items():
        if key == "page":
            event.page = fields.page(value)
        elif key == "consent":
            event.consent = fields.consent(value)
        elif (part := _PARTS.get(key)) is None:
            rest[key] = value
        elif part:
            if value:
                _read(event, part, value, clean)
        elif key == "user" and not user:
            user = value
    if user and type(user) is dict:
        _identify(who, user)
        _from_user(event, user)
    if event.traits:
        _identify(who, event.traits)
    if properties:
        _from_properties(event, properties)
    if kind == "group" and (group := fields.identifier(item.get("groupId") or item.get("group_id"))):
        rest["groupId"] = group
    elif kind == "page" and (title := fields.text(item.get("name"), fields.MAX_NAME)):
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


def _from_properties(event: Event, properties: dict[str, Any]) -> None:
    """What properties say of the visitor and of the page, where nothing else did."""
    for key in properties:
        if key in _IN_PROPERTIES:
            fields.identity(event.identity, properties, fields.PERSON_KEYS)
            if not event.ttclid and (ttclid := properties.get("ttclid")):
                event.ttclid = fields.text(ttclid)
            break
    if event.type == "page" or "url" not in event.page:
        _page_of_properties(event, properties)


def _page_of_properties(event: Event, properties: dict[str, Any]) -> None:
    page = event.page = event.page.copy()  # it may be the sender's own, and a batch's
    view = event.type == "page"
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


_PARTS: Final[dict[str, str]] = {
    "user": "", "traits": "", "locale": "locale", "consent_mode": "mode", "gcs": "mode", "ttclid": "ttclid", "ad": "ad", "ttp": "ttp",
    "ip": "ip", "userAgent": "agent", "user_agent": "agent", "pixel": "pixel",
}  # fmt: skip
"""The other parts of a context that have a field of their own; ``""`` = read later (of those who say who the visitor is the order among each other matters)."""


def _read(event: Event, part: str, value: Any, clean: bool) -> None:
    """One of :data:`_PARTS`; what is given twice is taken where it is said first."""
    if part == "locale":
        event.locale = fields.identifier(value, clean=clean)
    elif part == "agent":
        event.user_agent = event.user_agent or fields.text(value, fields.MAX_USER_AGENT)
    elif part == "mode":
        event.consent_mode = event.consent_mode or fields.identifier(value)
    elif part == "ttclid":
        event.ttclid = fields.text(value)
    elif part == "ad":
        if not event.ttclid and type(value) is dict:
            event.ttclid = fields.text(value.get("ttclid") or value.get("callback"))
    elif part == "ttp":
        event.ttp = fields.identifier(value)
    elif part == "ip":
        event.ip = fields.identifier(value)
    elif part == "pixel":
        event.pixel_codes = fields.pixel_codes(value)
