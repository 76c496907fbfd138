"""JSON from outside: bounded in depth, and never another exception than BadInput."""

import json
from collections.abc import Iterator
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.errors import BadInput
from gateway.event import jsonbody
from gateway.outcome import Reason


def nested(levels: int, opening: bytes = b"[", closing: bytes = b"]") -> bytes:
    return opening * levels + closing * levels


@pytest.mark.parametrize(
    "body",
    [
        b"", b" \n", b"{", b"nope", b"NaN", b"[Infinity]", b"[-Infinity]", b"1e400", b'"\\ud800"', b'{"\\udc00":1}', b"\xff\xfe{}", b'"\xc3\x28"',
        b"{'a':1}", b'{"a":1,}', b"{}{}", b"\x00", b"\xef\xbb\xbf",
    ],
)  # fmt: skip
def test_what_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BadInput) as refused:
        jsonbody.load(body)
    assert refused.value.reason is Reason.INVALID_JSON


def strings(document: Any) -> Iterator[str]:
    if isinstance(document, str):
        yield document
    elif isinstance(document, dict):
        yield from strings([*document, *document.values()])
    elif isinstance(document, list):
        for inner in document:
            yield from strings(inner)


@given(
    st.recursive(st.text() | st.integers(), lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=5),
    st.booleans(),
)
@example({"a": "\x7f"}, False)
@example({"\x07": "a"}, True)
@example(["a\nb"], False)
def test_what_is_clean_holds_no_control_character(document: Any, ascii_only: bool) -> None:
    body = json.dumps(document, ensure_ascii=ascii_only).encode("utf-8", "replace")
    if jsonbody.is_clean(body):
        assert not any(ord(character) < 32 or ord(character) == 127 for character in "".join(strings(jsonbody.load(body))))


@pytest.mark.parametrize("code", range(32))
def test_control_characters_have_to_be_escaped(code: int) -> None:
    with pytest.raises(BadInput):
        jsonbody.load(b'["a%cb"]' % code)
    assert not jsonbody.is_clean(b'["a\\u%04xb"]' % code)


def test_an_empty_body_is_told_what_to_send() -> None:
    with pytest.raises(BadInput, match="the body is empty"):
        jsonbody.load(b"")


def test_the_refusal_does_not_quote_the_input() -> None:
    with pytest.raises(BadInput) as refused:
        jsonbody.load(b'{"email": alice@example.com}')
    assert "alice" not in refused.value.detail


def test_a_byte_order_mark_is_tolerated() -> None:
    assert jsonbody.load(b'\xef\xbb\xbf{"a":1}') == {"a": 1}


@pytest.mark.parametrize("pair", [(b"[", b"]"), (b'{"a":', b"}")])
def test_depth_ends_at_the_limit(pair: tuple[bytes, bytes]) -> None:
    opening, closing = pair
    inner = b"1" if opening != b"[" else b""
    fits = opening * jsonbody.MAX_DEPTH + inner + closing * jsonbody.MAX_DEPTH
    deep = opening * (jsonbody.MAX_DEPTH + 1) + inner + closing * (jsonbody.MAX_DEPTH + 1)
    assert jsonbody.load(fits) is not None
    with pytest.raises(BadInput) as refused:
        jsonbody.load(deep)
    assert refused.value.reason is Reason.TOO_DEEP


@pytest.mark.parametrize("levels", [255, 1000, 5000])
def test_what_decodes_but_could_not_be_encoded_again_is_refused(levels: int) -> None:
    with pytest.raises(BadInput) as refused:
        jsonbody.load(nested(levels))
    assert refused.value.reason in {Reason.TOO_DEEP, Reason.INVALID_JSON}


def test_many_brackets_are_not_depth() -> None:
    flat = b"[" + b",".join([b"{}"] * 1000) + b"]"
    assert len(jsonbody.load(flat)) == 1000
    assert jsonbody.load(b'{"a":"' + b"[" * 100 + b'"}') == {"a": "[" * 100}


def test_what_is_accepted_can_be_written_again() -> None:
    huge = jsonbody.load(b'[123456789012345678901234567890, 18446744073709551615, -9223372036854775808, {"a":1,"a":2}]')
    assert orjson.loads(orjson.dumps(huge)) == huge
    assert huge[3] == {"a": 2}


def _depth(value: object) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max(map(_depth, inner), default=0) if isinstance(value, dict | list) else 0


TEXTS = st.sampled_from(["]", "[", "}{", "][", '"', "\\", "a", '"]"'])
DOCUMENTS = st.recursive(
    TEXTS | st.integers(0, 9),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=3),
)


@given(DOCUMENTS, st.integers(0, 40), st.lists(TEXTS, max_size=3), st.booleans())
def test_brackets_in_texts_hide_no_depth(core: object, levels: int, texts: list[str], objects: bool):
    document = core
    for _ in range(levels):
        document = {"[": [*texts, document, *texts]} if objects else [*texts, document, *texts]
    body = orjson.dumps(document)
    if jsonbody._shallow(body):
        assert _depth(document) <= jsonbody.MAX_DEPTH


def test_a_full_batch_is_told_shallow_without_a_walk():
    assert jsonbody._shallow(orjson.dumps({"batch": [{"properties": {"contents": [{"a": "]"[:0]}] * 3}}] * 100}))
    hidden = "[" + '"]",[' * 40 + '"["' + '],"["' * 40 + "]"
    assert not jsonbody._shallow(hidden.encode())
