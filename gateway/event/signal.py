"""The Signal wire format (pure): track, page, identify and group; one event, an array, or ``{"batch": […]}``; consent changes.

Law: one bad event never spoils its neighbours; what the body as a whole cannot be is :class:`BadInput`.
Source: the Signal event schema; spellings of other event collectors (Segment's) are accepted where they mean the same.
"""

from typing import Any

from gateway.errors import BadInput
from gateway.event import fields
from gateway.event.model import Event, Parsed, Rejection, Wire
from gateway.outcome import Reason

_KINDS = {"t": "track", "p": "page", "i": "identify", "g": "group"}
_TYPES = frozenset(_KINDS.values())
_PAGE_NAMES = frozenset({"page", "pageview", "page_view", "page view", "pageviewed", "$pageview"})
_CONTEXT_APART = frozenset({
    "page", "ip", "userAgent", "user_agent", "traits", "user", "consent", "consent_mode", "gcs", "locale", "ttclid", "ttp", "ad", "pixel",
})  # fmt: skip


def parse(doc: Any, kind: str | None) -> Parsed:
    """Events of a decoded body. ``kind`` is ``t``, ``p``, ``i`` or ``g`` where the path says it, else None.

    Raises BadInput ``wrong_shape`` or ``too_many_events`` for the body as a whole.
    """
    envelope: dict[str, Any] = {}
    if type(doc) is dict:
        batch = doc.get("batch")
        if batch is None:
            items = [doc]
        else:
            envelope, items = doc, batch
    else:
        items = doc
    if type(items) is not list:
        raise BadInput(Reason.WRONG_SHAPE, 'expected one event, an array of events or {"batch": [...]}')
    if len(items) > fields.MAX_EVENTS:
        raise BadInput(Reason.TOO_MANY_EVENTS, f"{len(items)} events in one request; send at most {fields.MAX_EVENTS}")
    parsed = Parsed([], key=_key(envelope) if envelope else "")
    forced = _KINDS.get(kind) if kind else None
    for index, item in enumerate(items):
        if type(item) is not dict:
            parsed.rejected.append(Rejection(index, Reason.WRONG_SHAPE, "an event must be an object"))
            continue
        try:
            event = _event(item, envelope, forced)
        except BadInput as error:
            parsed.rejected.append(Rejection(index, error.reason, error.detail))
            continue
        parsed.events.append(event)
        if not parsed.key:
            parsed.key = _key(item)
    return parsed


def parse_consent(doc: Any) -> tuple[dict[str, bool], str, str]:
    """``{"consent": {…}, "anonymousId"?, "writeKey"?}`` → (categories, anonymous id, key). Raises BadInput ``wrong_shape``."""
    body = fields.mapping(doc)
    categories = fields.consent(body.get("consent")) or fields.consent(fields.mapping(body.get("context")).get("consent"))
    if not categories:
        raise BadInput(Reason.WRONG_SHAPE, 'expected {"consent": {"marketing": false}}')
    return categories, fields.identifier(body.get("anonymousId")), _key(body)


def _key(source: dict[str, Any]) -> str:
    return fields.identifier(source.get("writeKey") or source.get("pipelineKey") or source.get("pipeline_key"))


def _event(item: dict[str, Any], envelope: dict[str, Any], forced: str | None) -> Event:
    get = item.get
    kind = forced or get("type") or ("track" if "event" in item else None)
    if kind not in _TYPES:
        raise BadInput(Reason.WRONG_SHAPE, 'an event needs a "type" of track, page, identify or group, or an "event" name')
    properties = fields.mapping(get("properties"))
    context = fields.mapping(get("context") or envelope.get("context"))
    if kind == "track":
        found = fields.name(get("event") or get("name"))
        if found.lower() in _PAGE_NAMES:
            kind, found = "page", "page"
    else:
        found = kind
    traits = fields.mapping(get("traits") or context.get("traits"))
    user = fields.mapping(get("user") or context.get("user"))
    who: dict[str, Any] = {}
    if user:
        fields.identity(who, user, fields.TRAIT_KEYS)
    if traits:
        fields.identity(who, traits, fields.TRAIT_KEYS)
        if address := fields.mapping(traits.get("address")):
            fields.identity(who, address, fields.TRAIT_KEYS)
    if properties:
        fields.identity(who, properties, fields.PERSON_KEYS)
    ad = fields.mapping(context.get("ad"))
    event = Event(
        Wire.SIGNAL,
        kind,
        found,
        fields.identifier(get("event_id") or get("messageId") or get("eventId") or properties.get("event_id")),
        fields.time(get("timestamp") or get("originalTimestamp")),
        fields.time(get("sentAt") or envelope.get("sentAt")),
        fields.identifier(get("userId")),
        fields.identifier(get("anonymousId")),
        who,
        traits,
        properties,
    )
    event.page = _page(kind, context, properties)
    event.consent = fields.consent(context.get("consent"))
    event.consent_mode = fields.identifier(context.get("consent_mode") or context.get("gcs"))
    event.locale = fields.identifier(context.get("locale") or user.get("locale"))
    event.ttclid = fields.text(context.get("ttclid") or ad.get("ttclid") or properties.get("ttclid") or user.get("ttclid"))
    event.ttp = fields.identifier(context.get("ttp") or user.get("ttp"))
    event.ip = fields.identifier(context.get("ip") or user.get("ip"))
    event.user_agent = fields.text(context.get("userAgent") or context.get("user_agent") or user.get("user_agent"), 1024)
    if "pixel" in context:
        event.pixel_codes = fields.pixel_codes(context["pixel"])
    event.context = {key: value for key, value in context.items() if key not in _CONTEXT_APART}
    if kind == "group" and (group := fields.identifier(get("groupId"))):
        event.context["groupId"] = group
    if kind == "page" and (title := fields.text(get("name"), fields.MAX_NAME)):
        event.context["name"] = title
    return event


def _page(kind: str, context: dict[str, Any], properties: dict[str, Any]) -> dict[str, str]:
    page = fields.page(context.get("page"))
    if "url" not in page:
        for key in ("page_location", "$current_url", "url"):
            # "url" among a product's properties is the product's; only a page view's is the page's.
            value = properties.get(key)
            if type(value) is str and value and len(value) <= fields.MAX_TEXT and (key != "url" or kind == "page"):
                page["url"] = value
                break
    if kind == "page":
        for field, value in fields.page(properties).items():
            page.setdefault(field, value)
    return page
