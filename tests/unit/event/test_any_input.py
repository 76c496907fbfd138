"""Whatever arrives, a parser answers with events, rejections or BadInput – and every event it lets through can be stored."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadInput
from gateway.event import fields, image, jsonbody, native, pixel, signal
from gateway.event.model import Event, Parsed

VECTORS = Path(__file__).parents[2] / "vectors"
KEYS = st.sampled_from([
    "event", "type", "batch", "data", "event_id", "messageId", "timestamp", "event_time", "sentAt", "properties", "traits", "context", "page", "user", "ad",
    "consent", "pixel", "codes", "code", "ttclid", "ttp", "address", "email", "phone", "userId", "anonymousId", "event_source", "event_source_id", "groupId",
    "writeKey", "locale", "library", "limited_data_use", "categoryPreferences", "url", "referrer", "name", "callback", "gcs", "originalTimestamp",
])  # fmt: skip
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(["track", "page", "web", "granted", "2024-04-03T05:13:32Z", "1712121212000", "x" * 300])
)  # fmt: skip
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(KEYS | st.text(max_size=5), inner, max_size=8),
    max_leaves=40,
)
EVENTS = st.dictionaries(KEYS, JSON, max_size=12)
DOCS = JSON | EVENTS | st.lists(EVENTS, max_size=4) | EVENTS.map(lambda event: {"event_source_id": "C1", "data": [event]})


def check(parsed: Parsed, items: int) -> None:
    assert len(parsed.events) + len(parsed.rejected) == items
    for event in parsed.events:
        bounded(event)


def bounded(event: Event) -> None:
    assert 1 <= len(event.name) <= fields.MAX_NAME
    assert event.type in {"track", "page", "identify", "group"}
    for id_ in (
        event.event_id,
        event.user_id,
        event.anonymous_id,
        event.ttp,
        event.locale,
        event.ip,
        event.consent_mode,
        event.test_event_code,
    ):
        assert type(id_) is str
        assert len(id_) <= fields.MAX_ID
    assert len(event.ttclid) <= fields.MAX_TEXT
    assert len(event.user_agent) <= fields.MAX_USER_AGENT
    assert all(type(value) is str and len(value) <= fields.MAX_TEXT for value in event.page.values())
    assert all(type(granted) is bool for granted in (event.consent or {}).values())
    assert event.timestamp is None or event.timestamp > 0
    for kept in (event.properties, event.traits, event.context, event.identity):
        assert type(kept) is dict
        orjson.dumps(kept)


def length(doc: Any, key: str) -> int:
    if type(doc) is dict:
        doc = doc.get(key, [doc]) if doc.get(key) is not None else [doc]
    return len(doc)


@settings(max_examples=150, deadline=None)
@given(DOCS, st.sampled_from(["t", "p", "i", "g", None]))
def test_signal_takes_anything(doc: Any, kind: str | None) -> None:
    try:
        parsed = signal.parse(doc, kind)
    except BadInput:
        return
    check(parsed, length(doc, "batch"))


@settings(max_examples=150, deadline=None)
@given(DOCS, st.booleans())
def test_pixel_takes_anything(doc: Any, act: bool) -> None:
    try:
        parsed = pixel.parse(doc, act=act)
    except BadInput:
        return
    check(parsed, len(doc) if type(doc) is list else 1)


@settings(max_examples=150, deadline=None)
@given(DOCS)
def test_native_takes_anything(doc: Any) -> None:
    try:
        parsed = native.parse(doc, b"body")
    except BadInput:
        return
    check(parsed, len(doc["data"]))
    assert all(event.event_id for event in parsed.events)


@settings(max_examples=100, deadline=None)
@given(DOCS)
def test_consent_changes_take_anything(doc: Any) -> None:
    try:
        categories, anonymous_id, key = signal.parse_consent(doc)
    except BadInput:
        return
    assert categories
    assert len(anonymous_id) <= fields.MAX_ID
    assert len(key) <= fields.MAX_ID


@settings(max_examples=150, deadline=None)
@given(
    st.text(st.characters(max_codepoint=255), max_size=200) | st.text("evidtsp.=&%0fF+;k", max_size=80),
    st.sampled_from(["t", "p", None]),
)
def test_image_takes_any_query(query: str, kind: str | None) -> None:
    check(image.parse(query, kind), 1)


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | st.text('{}[]",:0123456789.eE+-truefalsn\\u ', max_size=60).map(str.encode))
def test_bodies_of_any_bytes(body: bytes) -> None:
    try:
        document = jsonbody.load(body)
    except BadInput:
        return
    orjson.dumps(document)


@settings(max_examples=100, deadline=None)
@given(st.text(max_size=80))
def test_pixel_messages_of_any_text(message: str) -> None:
    try:
        pixel.parse_message(message)
    except BadInput:
        return


def inputs() -> list[Any]:
    found: list[Any] = []
    for path in sorted(VECTORS.glob("*.json")):
        document = orjson.loads(path.read_bytes())
        for record in document if isinstance(document, list) else [document]:
            given_input = record.get("input", record)
            found += (
                [given_input, given_input.get("event"), given_input.get("payload")]
                if isinstance(given_input, dict)
                else [given_input]
            )
            expected = record.get("expected")
            if isinstance(expected, dict):
                found += [expected, expected.get("body"), expected.get("data_item")]
    return [doc for doc in found if doc is not None]


@pytest.mark.parametrize(
    "parse", [lambda doc: signal.parse(doc, None), lambda doc: signal.parse(doc, "t"), lambda doc: pixel.parse(doc, act=False)]
)
def test_real_events_of_other_tools_raise_nothing_unexpected(parse: Any) -> None:
    documents = inputs()
    assert len(documents) > 50
    for document in documents:
        try:
            check(parse(document), 1)
        except BadInput:
            continue


def test_native_bodies_that_other_tools_expect_are_understood() -> None:
    understood = 0
    for document in inputs():
        if isinstance(document, dict) and type(document.get("data")) is list and "event_source_id" in document:
            parsed = native.parse(document, b"")
            assert parsed.rejected == []
            understood += len(parsed.events)
    assert understood == 8
