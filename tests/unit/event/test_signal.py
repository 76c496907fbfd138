"""The Signal wire format."""

from typing import Any

import pytest

from gateway.errors import BadInput
from gateway.event import signal
from gateway.event.model import Event, Wire
from gateway.outcome import Reason


def one(item: dict[str, Any], kind: str | None = None) -> Event:
    parsed = signal.parse(item, kind)
    assert parsed.rejected == []
    (event,) = parsed.events
    return event


def test_a_whole_event() -> None:
    event = one({
        "type": "track", "event": "Order Completed", "messageId": "m-1", "userId": 42, "anonymousId": "a-1",
        "timestamp": "2024-04-03T05:13:32Z", "sentAt": "2024-04-03T05:13:33Z",
        "properties": {"value": 12.5, "email": "from@properties"},
        "traits": {"emailAddress": "alice@example.com", "phone": "+12133734253", "firstName": "Alice", "address": {"postalCode": "90210", "city": "Beverly Hills"}},
        "context": {
            "page": {"url": "https://shop.example/x", "referrer": "https://r.example/", "title": "X", "path": "/x", "search": "?a", "other": 1},
            "locale": "en-GB", "ip": "203.0.113.5", "userAgent": "UA", "consent": {"marketing": True}, "gcs": "G111", "campaign": {"name": "spring"},
            "library": {"name": "df"}, "ttp": "t" * 20, "ad": {"callback": "click"},
        },
    })  # fmt: skip
    assert (event.wire, event.type, event.name, event.event_id) == (Wire.SIGNAL, "track", "Order Completed", "m-1")
    assert (event.user_id, event.anonymous_id, event.timestamp, event.sent_at) == ("42", "a-1", 1712121212.0, 1712121213.0)
    assert event.identity == {
        "email": "alice@example.com", "phone": "+12133734253", "first_name": "Alice", "zip_code": "90210", "city": "Beverly Hills",
    }  # fmt: skip
    assert event.page == {
        "url": "https://shop.example/x",
        "referrer": "https://r.example/",
        "title": "X",
        "path": "/x",
        "search": "?a",
    }
    assert event.context == {"campaign": {"name": "spring"}, "library": {"name": "df"}}
    assert (event.locale, event.ip, event.user_agent, event.consent_mode) == ("en-GB", "203.0.113.5", "UA", "G111")
    assert (event.consent, event.ttclid, event.ttp) == ({"marketing": True}, "click", "t" * 20)


@pytest.mark.parametrize(
    ("kind", "type_", "name"),
    [("t", "track", "x"), ("p", "page", "page"), ("i", "identify", "identify"), ("g", "group", "group")],
)
def test_the_path_forces_the_type(kind: str, type_: str, name: str) -> None:
    event = one({"type": "nonsense", "event": "x"}, kind)
    assert (event.type, event.name) == (type_, name)


@pytest.mark.parametrize("name", ["page", "PageView", "page_view", "Page View", "$pageview"])
def test_a_tracked_page_view_is_a_page(name: str) -> None:
    assert (one({"event": name}).type, one({"event": name}).name) == ("page", "page")


@pytest.mark.parametrize("type_", [[1], {"a": 1}, 7, "screen", True, ["track"]])
def test_an_odd_type_rejects_the_event_only(type_: Any) -> None:
    parsed = signal.parse([{"type": type_, "event": "x"}, {"event": "y"}], None)
    assert [(r.at, r.reason) for r in parsed.rejected] == [(0, Reason.WRONG_SHAPE)]
    assert [event.name for event in parsed.events] == ["y"]


@pytest.mark.parametrize("doc", [None, 5, "x", True, {"batch": 5}, {"batch": {}}, {"batch": "x"}])
def test_what_is_no_event_at_all_is_refused(doc: Any) -> None:
    with pytest.raises(BadInput) as refused:
        signal.parse(doc, None)
    assert refused.value.reason is Reason.WRONG_SHAPE


def test_at_most_five_hundred_events() -> None:
    assert len(signal.parse([{"event": "x"}] * 500, None).events) == 500
    with pytest.raises(BadInput) as refused:
        signal.parse({"batch": [{"event": "x"}] * 501}, None)
    assert refused.value.reason is Reason.TOO_MANY_EVENTS


def test_one_bad_event_does_not_spoil_its_neighbours() -> None:
    parsed = signal.parse(
        [{"event": "a"}, 5, {"type": "track"}, {"event": "x" * 101}, {"event": "b", "timestamp": "soon"}, {"event": "c"}], None
    )
    assert [event.name for event in parsed.events] == ["a", "c"]
    assert [(r.at, r.reason) for r in parsed.rejected] == [
        (1, Reason.WRONG_SHAPE), (2, Reason.MISSING_NAME), (3, Reason.INVALID_NAME), (4, Reason.INVALID_TIME),
    ]  # fmt: skip


def test_a_batch_shares_its_key_context_and_clock() -> None:
    parsed = signal.parse(
        {
            "writeKey": "dk_1",
            "sentAt": 1712121213,
            "context": {"locale": "de", "consent": {"marketing": False}},
            "batch": [{"event": "a"}, {"event": "b", "sentAt": 1712121299, "context": {"locale": "fr"}}],
        },
        None,
    )
    first, second = parsed.events
    assert parsed.key == "dk_1"
    assert (first.sent_at, first.locale, first.consent) == (1712121213.0, "de", {"marketing": False})
    assert (second.sent_at, second.locale, second.consent) == (1712121299.0, "fr", {"marketing": False})


@pytest.mark.parametrize(("shared", "own", "expected"), [
    ({"marketing": False}, {"marketing": True}, {"marketing": False}), ({"marketing": True}, {"marketing": False}, {"marketing": False}),
    ({"marketing": True}, {"analytics": True}, {"marketing": True, "analytics": True}), (None, {"marketing": True}, {"marketing": True}),
    ({"marketing": "Denied"}, "rubbish", {"marketing": False}), ("rubbish", {"marketing": True}, {"marketing": True}), ({}, {}, None),
])  # fmt: skip
def test_what_a_batch_or_its_event_denies_is_denied(shared: Any, own: Any, expected: Any) -> None:
    shared_context, own_context = {"consent": shared, "locale": "de"}, {"consent": own, "ip": "8.8.8.8"}
    (event,) = signal.parse({"context": shared_context, "batch": [{"event": "a", "context": own_context}]}, None).events
    assert (event.consent, event.locale, event.ip) == (expected, "de", "8.8.8.8")
    assert (shared_context, own_context) == ({"consent": shared, "locale": "de"}, {"consent": own, "ip": "8.8.8.8"})


def test_events_of_a_batch_do_not_share_what_is_added_to_one() -> None:
    parsed = signal.parse({"context": {"campaign": {}}, "batch": [{"type": "group", "groupId": "g"}, {"event": "b"}]}, None)
    assert [event.context for event in parsed.events] == [{"campaign": {}, "groupId": "g"}, {"campaign": {}}]
    bare = signal.parse([{"type": "group", "groupId": "g"}, {"event": "b"}], None)
    assert [event.context for event in bare.events] == [{"groupId": "g"}, {}]


@pytest.mark.parametrize("key", ["writeKey", "pipelineKey", "pipeline_key"])
def test_the_key_is_read_from_events_too_even_unusable_ones(key: str) -> None:
    assert signal.parse({"event": "x", key: "dk"}, None).key == "dk"
    assert signal.parse([{"event": "", key: "dk"}, {"event": "x"}], None).key == "dk"


def test_a_clock_that_says_nothing_costs_no_event() -> None:
    assert one({"event": "x", "sentAt": "never"}).sent_at is None
    assert signal.parse({"sentAt": {}, "batch": [{"event": "x"}]}, None).events[0].sent_at is None


@pytest.mark.parametrize(
    ("item", "id_"),
    [
        ({"event_id": "e", "messageId": "m"}, "e"), ({"messageId": "m"}, "m"), ({"event_id": 1234}, "1234"), ({"event_id": ""}, ""),
        ({"properties": {"event_id": "p"}}, "p"), ({}, ""), ({"event_id": ["x"]}, ""), ({"event_id": "x" * 300}, ""),
    ],
)  # fmt: skip
def test_the_event_id(item: dict[str, Any], id_: str) -> None:
    assert one({"event": "x", **item}).event_id == id_


@pytest.mark.parametrize(
    "item",
    [
        {"context": {"ttclid": "c"}}, {"context": {"ad": {"ttclid": "c"}}}, {"context": {"ad": {"callback": "c"}}}, {"properties": {"ttclid": "c"}},
        {"user": {"ttclid": "c"}}, {"context": {"user": {"ttclid": "c"}}},
    ],
)  # fmt: skip
def test_the_click_id_in_all_its_places(item: dict[str, Any]) -> None:
    assert one({"event": "x", **item}).ttclid == "c"


def test_the_page_of_properties_only_where_it_is_meant() -> None:
    assert one({"event": "x", "properties": {"page_location": "https://p/"}}).page == {"url": "https://p/"}
    assert one({"event": "x", "properties": {"url": "https://product/"}}).page == {}
    assert one({"type": "page", "properties": {"url": "https://p/", "title": "T"}}).page == {"url": "https://p/", "title": "T"}
    assert one({"event": "x", "context": {"page": {"url": "https://p/" + "x" * 9000}}}).page == {}
    assert one({"type": "page", "name": "Home"}).context == {"name": "Home"}


@pytest.mark.parametrize("key", ["properties", "context", "traits", "user"])
@pytest.mark.parametrize("value", [None, 5, "x", [], [{}], True])
def test_objects_that_are_none_count_as_absent(key: str, value: Any) -> None:
    assert one({"event": "x", key: value}).name == "x"


def test_parts_of_the_context_of_the_wrong_type_count_as_absent() -> None:
    for odd in (5, "x", [], [[]], {"a": []}, True):
        context = dict.fromkeys(
            ("page", "ip", "userAgent", "traits", "user", "consent", "consent_mode", "locale", "ttclid", "ttp", "ad", "pixel"),
            odd,
        )
        assert one({"event": "x", "context": context}).page == {}


@pytest.mark.parametrize("doc", [{"consent": {"marketing": False}}, {"context": {"consent": {"marketing": "denied"}}}])
def test_a_consent_change(doc: dict[str, Any]) -> None:
    assert signal.parse_consent({**doc, "anonymousId": "a", "writeKey": "k"}) == ({"marketing": False}, "a", "k")


@pytest.mark.parametrize("doc", [None, [], 5, {}, {"consent": {}}, {"consent": True}, {"consent": {"marketing": None}}])
def test_a_consent_change_must_say_something(doc: Any) -> None:
    with pytest.raises(BadInput) as refused:
        signal.parse_consent(doc)
    assert refused.value.reason is Reason.WRONG_SHAPE


def test_the_page_of_a_batch_is_not_changed_by_one_of_its_events() -> None:
    doc = {
        "context": {"page": {"title": "A", "referrer": ""}},
        "batch": [
            {"type": "page", "properties": {"url": "https://a.example/", "title": "B", "path": "/a"}},
            {"type": "track", "event": "A", "properties": {"page_location": "https://b.example/"}},
            {"type": "track", "event": "B"},
        ],
    }
    assert [event.page for event in signal.parse(doc, None).events] == [
        {"title": "A", "url": "https://a.example/", "path": "/a"},
        {"title": "A", "url": "https://b.example/"},
        {"title": "A"},
    ]
    page = {"title": "A"}
    signal.parse({"type": "page", "context": {"page": page}, "properties": {"url": "https://a.example/"}}, None)
    assert page == {"title": "A"}


@pytest.mark.parametrize("written", [b"a\\u0007", b"a\x7f", b"a\\nb"])
def test_control_characters_spoil_names_and_ids_however_they_are_written(written: bytes) -> None:
    ids = b'"event_id":"%b","userId":"%b","anonymousId":"%b","context":{"locale":"%b"}'
    (event,) = signal.parse_body(b'{"event":"A",%b}' % (ids % ((written,) * 4)), None).events
    assert (event.event_id, event.user_id, event.anonymous_id, event.locale) == ("", "", "", "")
    (rejected,) = signal.parse_body(b'{"event":"%b"}' % written, None).rejected
    assert rejected.reason is Reason.INVALID_NAME
    (event,) = signal.parse_body(b'{"event":"A",%b}' % (ids % ((b" a b\xe2\x80\x8d ",) * 4)), None).events
    assert (event.event_id, event.user_id, event.anonymous_id, event.locale) == ("a b\u200d",) * 4
