"""The query-string image."""

import pytest

from gateway.errors import BadInput
from gateway.event import image
from gateway.event.model import Wire
from gateway.outcome import Reason


def test_a_whole_query() -> None:
    parsed = image.parse(
        "k=dk_1&ev=Order+Completed&id=o-1&url=https%3A%2F%2Fshop.example%2F%3Fa%3D1&ref=https%3A%2F%2Fr.example&uid=u&aid=a&v=12.50&cur=EUR&p.order_id=9"
        "&p.email=a%40b.c&p.=x&zzz=1&ttclid=c&consent=granted&gcs=G110",
        None,
    )
    (event,) = parsed.events
    assert parsed.key == "dk_1"
    assert (event.wire, event.type, event.name, event.event_id) == (Wire.IMAGE, "track", "Order Completed", "o-1")
    assert (event.user_id, event.anonymous_id, event.ttclid) == ("u", "a", "c")
    assert event.properties == {"value": "12.50", "currency": "EUR", "order_id": "9", "email": "a@b.c"}
    assert event.page == {"url": "https://shop.example/?a=1", "referrer": "https://r.example"}
    assert event.identity == {"email": "a@b.c"}
    assert (event.consent, event.consent_mode) == ({"marketing": True}, "G110")


@pytest.mark.parametrize(
    ("query", "kind", "name"),
    [("", None, "page"), ("ev=page", None, "page"), ("ev=PageView", None, "page"), ("ev=x", "p", "page"), ("ev=x", "t", "x"), ("ev=page", "t", "page")],
)  # fmt: skip
def test_page_views(query: str, kind: str | None, name: str) -> None:
    assert image.parse(query, kind).events[0].name == name


@pytest.mark.parametrize(
    ("query", "reason"),
    [("k=dk", Reason.MISSING_NAME), ("k=dk&ev=" + "x" * 101, Reason.INVALID_NAME), ("k=dk&ev=x&ts=soon", Reason.INVALID_TIME)],
)
def test_a_bad_event_keeps_its_key(query: str, reason: Reason) -> None:
    parsed = image.parse(query, "t")
    assert (parsed.events, [r.reason for r in parsed.rejected], parsed.key) == ([], [reason], "dk")


@pytest.mark.parametrize("query", ["%", "%ff%fe", "&&&=&", "ev=%00", "ev=\x00", "=;=", "ev=%F0%9F", "p.%ff=%ff&ev=x"])
def test_no_query_is_too_odd(query: str) -> None:
    parsed = image.parse(query, None)
    assert len(parsed.events) + len(parsed.rejected) == 1


def test_too_many_parameters() -> None:
    with pytest.raises(BadInput) as refused:
        image.parse("&".join(f"p.{number}=1" for number in range(101)), None)
    assert refused.value.reason is Reason.WRONG_SHAPE
