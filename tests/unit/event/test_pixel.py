"""The browser pixel's wire format."""

import base64
from typing import Any

import orjson
import pytest

from gateway.errors import BadInput
from gateway.event import pixel
from gateway.event.model import Wire
from gateway.outcome import Reason

HIT: dict[str, Any] = {
    "event": "AddToCart", "event_id": "", "message_id": "messageId-1-C4ABC", "timestamp": "2024-04-03T05:13:32.000Z", "is_onsite": False,
    "context": {
        "ad": {"callback": "E.C.P.abc"}, "user": {"anonymous_id": "anon-1", "email": "a" * 64, "phone_number": "b" * 64, "external_id": "user_123"},
        "pixel": {"code": "C4ABC", "codes": "C4ABC|C4DEF"}, "page": {"url": "https://shop.example/p", "referrer": "https://shop.example/"},
        "library": {"name": "pixel.js", "version": "2.2"}, "device": {"platform": "pc"}, "session_id": "s", "pageview_id": "p", "userAgent": "UA", "index": 3,
    },
    "properties": {"content_id": 5077, "value": "99.95"},
}  # fmt: skip


def test_a_captured_hit() -> None:
    (event,) = pixel.parse(HIT, act=False).events
    assert (event.wire, event.type, event.name) == (Wire.PIXEL, "track", "AddToCart")
    assert event.event_id == "messageId-1-C4ABC"
    assert event.identity == {"email": "a" * 64, "phone": "b" * 64, "external_id": "user_123"}
    assert (event.anonymous_id, event.ttclid, event.pixel_codes) == ("anon-1", "E.C.P.abc", ("C4ABC", "C4DEF"))
    assert (event.timestamp, event.user_agent) == (1712121212.0, "UA")
    assert event.page == {"url": "https://shop.example/p", "referrer": "https://shop.example/"}
    assert event.properties == {"content_id": 5077, "value": "99.95"}


def test_the_events_own_id_comes_first() -> None:
    (event,) = pixel.parse({**HIT, "event_id": 77}, act=False).events
    assert event.event_id == "77"


@pytest.mark.parametrize("name", ["Pageview", "PageView", "pageview"])
def test_page_views(name: str) -> None:
    (event,) = pixel.parse({**HIT, "event": name}, act=True).events
    assert (event.type, event.name) == ("page", "page")


@pytest.mark.parametrize("name", ["Metadata", "Click", "Pf"])
def test_automatic_actions_are_known_by_their_path(name: str) -> None:
    automatic = pixel.parse({**HIT, "event": name}, act=True)
    assert [r.reason for r in automatic.rejected] == [Reason.AUTOMATIC_EVENT]
    assert len(pixel.parse({**HIT, "event": name}, act=False).events) == 1


def test_the_pixels_bookkeeping_is_left_out_everywhere() -> None:
    for act in (False, True):
        assert [r.reason for r in pixel.parse({**HIT, "event": "EnrichAM"}, act=act).rejected] == [Reason.AUTOMATIC_EVENT]


def test_one_bad_hit_does_not_spoil_its_neighbours() -> None:
    parsed = pixel.parse([HIT, 5, {}, {**HIT, "timestamp": "soon", "writeKey": "dk"}], act=False)
    assert len(parsed.events) == 1
    assert [(r.at, r.reason) for r in parsed.rejected] == [
        (1, Reason.WRONG_SHAPE), (2, Reason.MISSING_NAME), (3, Reason.INVALID_TIME),
    ]  # fmt: skip
    assert parsed.key == "dk"


@pytest.mark.parametrize("doc", [None, 5, "x", True])
def test_what_is_no_hit_is_refused(doc: Any) -> None:
    with pytest.raises(BadInput) as refused:
        pixel.parse(doc, act=False)
    assert refused.value.reason is Reason.WRONG_SHAPE


def test_at_most_five_hundred_hits() -> None:
    with pytest.raises(BadInput) as refused:
        pixel.parse([HIT] * 501, act=False)
    assert refused.value.reason is Reason.TOO_MANY_EVENTS


@pytest.mark.parametrize("encode", [base64.b64encode, base64.urlsafe_b64encode, lambda raw: base64.b64encode(raw).rstrip(b"=")])
def test_the_get_form_in_every_base64(encode: Any) -> None:
    message = encode(orjson.dumps({**HIT, "properties": {"description": "ÿ>>>???"}})).decode()
    (event,) = pixel.parse_message(message).events
    assert event.properties == {"description": "ÿ>>>???"}


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        ("é", Reason.WRONG_SHAPE), ("a", Reason.WRONG_SHAPE), ("%%", Reason.WRONG_SHAPE), ("\ud800", Reason.WRONG_SHAPE), ("eyJ", Reason.INVALID_JSON),
        ("NQ", Reason.WRONG_SHAPE), ("A" * 70_000, Reason.TOO_LARGE),
    ],
)  # fmt: skip
def test_a_get_form_that_is_none(message: str, reason: Reason) -> None:
    with pytest.raises(BadInput) as refused:
        pixel.parse_message(message)
    assert refused.value.reason is reason
