"""JSON from outside: bounded in depth, and never another exception than BadInput."""

import orjson
import pytest

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
