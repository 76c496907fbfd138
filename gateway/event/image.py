"""The query-string image (pure): ``GET px`` and ``GET v1/pixel/{t|p}`` for pages without script and for e-mails.

Law: a query is small and flat; unknown parameters are ignored, ``p.<name>`` become properties. The answer is an image whatever the event is like, so its
faults come back as a :class:`Rejection`; only a query that is no query at all is :class:`BadInput`.
"""

from typing import Any, Final
from urllib.parse import parse_qsl

from gateway.errors import BadInput
from gateway.event import fields
from gateway.event.model import Event, Parsed, Rejection, Wire
from gateway.outcome import Reason

_WIRE: Final[str] = Wire.IMAGE.value
_MAX_FIELDS = 100
_CONSENT = {"1": True, "0": False, "granted": True, "denied": False}


def parse(query: str, kind: str | None) -> Parsed:
    """One event from a raw query string; ``kind`` is ``t`` or ``p`` where the path says it."""
    try:
        values = dict(parse_qsl(query, keep_blank_values=False, max_num_fields=_MAX_FIELDS, errors="replace"))
    except ValueError:
        raise BadInput(Reason.WRONG_SHAPE, f"more than {_MAX_FIELDS} parameters") from None
    parsed = Parsed([], key=fields.identifier(values.get("k")))
    try:
        parsed.events.append(_event(values, kind))
    except BadInput as error:
        parsed.rejected.append(Rejection(0, error.reason, error.detail))
    return parsed


def _event(values: dict[str, str], kind: str | None) -> Event:
    given = values.get("ev", "")
    page_view = kind == "p" or (kind is None and given.lower() in {"", "page", "pageview"})
    found = "page" if page_view else fields.name(given)
    properties: dict[str, Any] = {key[2:]: value for key, value in values.items() if key.startswith("p.") and len(key) > 2}
    if value := values.get("v"):
        properties["value"] = value
    if currency := values.get("cur"):
        properties["currency"] = currency
    page = {
        field: value
        for field, key in (("url", "url"), ("referrer", "ref"))
        if (value := values.get(key)) and len(value) <= fields.MAX_TEXT
    }
    consent = _CONSENT.get(values.get("consent", ""))
    who: dict[str, Any] = {}
    fields.identity(who, properties, fields.PERSON_KEYS)
    return Event(
        _WIRE,
        "page" if page_view else "track",
        found,
        fields.identifier(values.get("id")),
        fields.time(values.get("ts")),
        user_id=fields.identifier(values.get("uid")),
        anonymous_id=fields.identifier(values.get("aid")),
        identity=who,
        properties=properties,
        page=page,
        consent=None if consent is None else {"marketing": consent},
        consent_mode=fields.identifier(values.get("gcs")),
        ttclid=fields.text(values.get("ttclid")),
    )
