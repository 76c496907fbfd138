"""TikTok's own body, from a site's back end."""

from typing import Any

import pytest

from gateway.errors import BadInput
from gateway.event import native
from gateway.event.model import Wire
from gateway.outcome import Reason

ITEM: dict[str, Any] = {
    "event": "Purchase", "event_time": 1712121212, "event_id": "o-1",
    "user": {
        "email": "a" * 64, "phone": ["b" * 64], "external_id": "c" * 64, "ttclid": "click", "ttp": "t" * 27, "ip": "203.0.113.5", "user_agent": "UA",
        "locale": "en", "zip_code": "d" * 64,
    },
    "page": {"url": "https://shop.example/", "referrer": "https://r.example/"}, "properties": {"value": 1.5, "currency": "EUR"}, "limited_data_use": True,
}  # fmt: skip


def body(*items: Any, **more: Any) -> dict[str, Any]:
    return {"event_source": "web", "event_source_id": "C4ABC", "data": list(items), **more}


def test_a_whole_event() -> None:
    (event,) = native.parse(body(ITEM, test_event_code="TEST1"), b"").events
    assert (event.wire, event.type, event.name, event.event_id, event.timestamp) == (
        Wire.NATIVE,
        "track",
        "Purchase",
        "o-1",
        1712121212.0,
    )
    assert event.identity == {"email": "a" * 64, "phone": ["b" * 64], "external_id": "c" * 64, "zip_code": "d" * 64}
    assert (event.ttclid, event.ttp, event.ip, event.user_agent, event.locale) == ("click", "t" * 27, "203.0.113.5", "UA", "en")
    assert (event.pixel_codes, event.test_event_code, event.limited_data_use) == (("C4ABC",), "TEST1", True)
    assert event.page == ITEM["page"]
    assert event.properties == ITEM["properties"]


def test_ids_follow_from_body_and_index() -> None:
    bare = {"event": "Purchase"}
    first, again, other = (native.parse(body(bare, bare), raw) for raw in (b"one", b"one", b"two"))
    ids = [event.event_id for event in first.events]
    assert len(set(ids)) == 2
    assert all(ids)
    assert ids == [event.event_id for event in again.events]
    assert not set(ids) & {event.event_id for event in other.events}


def test_a_numeric_id_becomes_a_string() -> None:
    assert native.parse(body({**ITEM, "event_id": 123}), b"").events[0].event_id == "123"


@pytest.mark.parametrize(
    ("doc", "reason"),
    [
        (None, Reason.WRONG_SHAPE), ([], Reason.WRONG_SHAPE), ({}, Reason.WRONG_SHAPE), (body(), Reason.WRONG_SHAPE), ({"data": {}}, Reason.WRONG_SHAPE),
        (body(ITEM, event_source="crm"), Reason.WRONG_SHAPE), (body(ITEM, event_source=["web"]), Reason.WRONG_SHAPE),
        (body(ITEM, event_source_id=""), Reason.WRONG_SHAPE), (body(ITEM, event_source_id=[]), Reason.WRONG_SHAPE),
        (body(*[ITEM] * 1001), Reason.TOO_MANY_EVENTS),
    ],
)  # fmt: skip
def test_what_is_no_native_body_is_refused(doc: Any, reason: Reason) -> None:
    with pytest.raises(BadInput) as refused:
        native.parse(doc, b"")
    assert refused.value.reason is reason


def test_a_thousand_events_are_fine() -> None:
    assert len(native.parse(body(*[ITEM] * 1000), b"").events) == 1000


def test_bad_events_are_named_by_their_index() -> None:
    parsed = native.parse(body(5, {}, {**ITEM, "event_time": "soon"}, {**ITEM, "user": 5, "page": 5, "properties": 5}), b"")
    assert [(r.at, r.reason) for r in parsed.rejected] == [
        (0, Reason.WRONG_SHAPE),
        (1, Reason.MISSING_NAME),
        (2, Reason.INVALID_TIME),
    ]
    assert len(parsed.events) == 1
