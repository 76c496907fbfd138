"""The plain reader against aiohttp's parser: what it reads, the parser reads alike; what is out of the ordinary, it leaves alone."""

import asyncio
import re
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import http_parser
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.edge.head import Head
from gateway.edge.plain import UNREAD, PlainReader

FIELDS = (
    b"Host: shop.example\r\n", b"content-length: 3\r\n", b"Content-Length: 3\r\n", b"Content-Length:  03 \r\n", b"Content-Length: +3\r\n", b"Content-Length: 3, 3\r\n",
    b"Content-Length: 2\r\n", b"Content-Length: 4\r\n", b"Content-Length: 0x3\r\n", b"Content-Length:\r\n", b"Content-Length: 18446744073709551619\r\n",
    b"Connection: keep-alive\r\n", b"Connection: close\r\n", b"Connection: Upgrade\r\n", b"Connection: keep-alive, x\r\n", b"Upgrade: websocket\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding : chunked\r\n", b"Transfer_Encoding: chunked\r\n", b"Expect: 100-continue\r\n", b"Proxy-Connection: close\r\n",
    b"Sec-WebSocket-Key1: x\r\n", b"Content-Encoding: gzip\r\n", b"Cookie: a=1; b=\"2\"\r\n", b"Cookie: c=3\r\n", b"X-Forwarded-For: 203.0.113.7\r\n", b"User-Agent: x\r\n",
    b"user-agent: y\r\n", b"X: \r\n", b"X:y\r\n", b"X:\ty\r\n", b"X : y\r\n", b" folded\r\n", b"\tfolded\r\n", b": y\r\n", b"X\r\n", b"X: a\rb\r\n", b"X: a\nb\r\n", b"X: a\x00b\r\n",
    b"X: \x7f\r\n", b"X: caf\xc3\xa9\r\n", b"X: a\x0bb\r\n", b"X: y\n", b"X: y\r", b"X(: y\r\n", b"Origin: https://shop.example\r\n", b"Sec-Fetch-Site: same-origin\r\n",
    b"Accept: */*\r\n", b"accept: x\r\n", b"Accept:\r\n", b"Accept:  \r\n", b"Accept:x\r\n", b"Accept: a\x0bb\r\n", b"Accept: caf\xe9\r\n", b"Content-Type: text/plain\r\n",
    b"content-type: a/b\r\n", b'Sec-CH-UA: "a\\b";v="1"\r\n', b"X: a: b\r\n",
)  # fmt: skip
LINES = (
    b"POST /gw/e HTTP/1.1\r\n", b"POST /gw/v1/batch HTTP/1.1\r\n", b"POST /gw/ HTTP/1.1\r\n", b"POST /gw//e HTTP/1.1\r\n", b"POST /gw/../e HTTP/1.1\r\n",
    b"POST /gw/e?x=1 HTTP/1.1\r\n", b"POST /gw/%65 HTTP/1.1\r\n", b"POST /gw/e#x HTTP/1.1\r\n", b"POST /gw/e HTTP/1.0\r\n", b"POST /gw/e HTTP/2.0\r\n", b"POST /gw/e\r\n",
    b"POST  /gw/e HTTP/1.1\r\n", b"POST /gw/e  HTTP/1.1\r\n", b"POST /gw/e HTTP/1.1 \r\n", b"POST /gw/e HTTP/1.1\n", b"\r\nPOST /gw/e HTTP/1.1\r\n", b"POST /gw/\xc3\xa9 HTTP/1.1\r\n",
    b"GET /gw/e HTTP/1.1\r\n", b"POST http://shop.example/gw/e HTTP/1.1\r\n", b"post /gw/e HTTP/1.1\r\n",
)  # fmt: skip
NEXT = b"GET /next HTTP/1.1\r\nHost: a\r\n\r\n"
ORDINARY = LINES[0] + FIELDS[0] + b"Cookie: a=1\r\nContent-Length: 3\r\n\r\n{} "


class _Demands:
    def pause_reading(self) -> None:
        """Not of interest."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Not of interest."""


@pytest.fixture(scope="module")
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def parser(loop: asyncio.AbstractEventLoop) -> Any:
    return http_parser.HttpRequestParser(
        _Demands(),  # type: ignore[arg-type]
        loop,
        1 << 20,
        max_line_size=1024,
        max_field_size=1024,
        max_headers=16,
        auto_decompress=False,
        max_msg_queue_size=1,
    )


def reader() -> PlainReader:
    return PlainReader("/gw/", 1024, 16)


def same(one: tuple[Head, bytes] | None, other: tuple[Head, bytes] | None) -> bool:
    """Whether two readers have read the same."""
    if one is None or other is None:
        return one is other
    (a, body), (b, other_body) = one, other
    return (a.method, a.target, a.path, a.query, a.headers, body) == (b.method, b.target, b.path, b.query, b.headers, other_body)


def agree(loop: asyncio.AbstractEventLoop, data: bytes) -> bool:
    """Whether the reader takes ``data``, having checked that the parser reads the same, and so does a reader that has seen such before."""
    read = reader().read(data)
    experienced = reader()
    for seen in (ORDINARY, data, ORDINARY, data):
        again = experienced.read(seen)
    assert same(again, read)
    if read is None:
        return False
    head, body = read
    other = parser(loop)
    ((message, stream),) = other.feed_data(data)[0]
    assert (message.method, message.path, message.version) == (head.method, head.path, head.version)
    assert head.target == message.path.encode()
    assert not head.query
    fields = ((name.lower(), value) for name, value in message.headers.items() if name.lower() not in UNREAD)
    assert sorted(fields) == sorted(head.headers.items())
    assert not message.should_close
    assert not message.upgrade
    assert not message.chunked
    assert stream.is_eof()
    assert stream.read_nowait() == body
    # nothing is left of it: what comes next begins a request
    assert not other.feed_data(b"")[0]
    assert other.feed_data(NEXT)[0][0][0].path == "/next"
    return True


def test_ordinary_ones_are_plain(loop: asyncio.AbstractEventLoop) -> None:
    assert agree(loop, ORDINARY)
    assert agree(loop, ORDINARY.replace(b"\r\n\r\n", b'\r\nConnection: keep-alive\r\nsec-ch-ua: "a";v="1"\r\n\r\n'))
    assert agree(loop, LINES[1] + FIELDS[0] + b"Content-Length: 0\r\n\r\n")


@pytest.mark.parametrize("field", FIELDS)
def test_each_field(loop: asyncio.AbstractEventLoop, field: bytes) -> None:
    ordinary = (
        re.sub(rb"(?i)(content-length|host)[^\r]*\r\n", b"", ORDINARY) if field[:4].lower() in {b"cont", b"host"} else ORDINARY
    )
    for name in (FIELDS[0], b"Content-Length: 3\r\n"):
        if name[:4].lower() != field[:4].lower():
            ordinary = ordinary.replace(name, b"").replace(b"\r\n", b"\r\n" + name, 1)
    agree(loop, ordinary.replace(b"\r\n", b"\r\n" + field, 1))


@pytest.mark.parametrize("line", LINES[5:])
def test_other_request_lines_are_not_plain(line: bytes) -> None:
    assert reader().read(ORDINARY.replace(LINES[0], line)) is None


@pytest.mark.parametrize(
    "name",
    [b"Expect", b"Keep-Alive", b"Proxy-Connection", b"TE", b"Trailer", b"Transfer-Encoding", b"UPGRADE", b"Sec-WebSocket-Key1"],
)
def test_fields_of_the_connection_are_not_plain(name: bytes) -> None:
    assert reader().read(ORDINARY.replace(b"Cookie", name)) is None


def test_none_is_plain_without_host_or_length() -> None:
    assert reader().read(ORDINARY.replace(FIELDS[0], b"")) is None
    assert reader().read(ORDINARY.replace(b"Content-Length: 3\r\n", b"").replace(b"{} ", b"")) is None


def test_incomplete_or_followed_ones_are_not_plain() -> None:
    experienced = reader()
    assert experienced.read(ORDINARY) is not None
    for plain in (reader(), experienced):
        for size in range(len(ORDINARY)):
            assert plain.read(ORDINARY[:size]) is None
        assert plain.read(ORDINARY + b"x") is None
        assert plain.read(ORDINARY * 2) is None


def test_the_bounds_are_the_parsers() -> None:
    def sized(n: int) -> bytes:
        return ORDINARY.replace(b"a=1", b"a" * (n - ORDINARY.index(b"{") + 3))

    assert reader().read(sized(1024)) is not None
    assert reader().read(sized(1025)) is None
    more = b"".join(b"X%d: y\r\n" % n for n in range(13))
    assert reader().read(ORDINARY.replace(b"Cookie", more + b"Cookie")) is not None
    assert reader().read(ORDINARY.replace(b"Cookie", more + b"Y: y\r\nCookie")) is None


@settings(max_examples=2000, deadline=None)
@given(
    line=st.sampled_from(LINES[:5]) | st.sampled_from(LINES),
    fields=st.lists(st.sampled_from(FIELDS), max_size=5).map(b"".join),
    body=st.sampled_from([b"", b"{}", b"{} ", b"{} \r\n", b"\r\n\r\n"]),
    at=st.integers(0, 200),
    odd=st.sampled_from([b""] * 6 + [b"\r", b"\n", b"\x00", b"\t", b" ", b"\x80", b":", b"\r\n"]),
)
def test_whatever_it_takes_the_parser_reads_alike(
    loop: asyncio.AbstractEventLoop, line: bytes, fields: bytes, body: bytes, at: int, odd: bytes
) -> None:
    data = line + FIELDS[0] + fields + b"Content-Length: %d\r\n\r\n" % len(body) + body
    agree(loop, data[:at] + odd + data[at:])
    agree(loop, data.replace(b"Content-Length: %d\r\n" % len(body), b"", 1))


@settings(max_examples=500, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(LINES[:3]), st.lists(st.sampled_from(FIELDS), max_size=7).map(b"".join), st.integers(0, 200), st.sampled_from([b""] * 6 + [b"\r", b"\n", b"\x7f", b'"', b"\r\n"])),
        min_size=2, max_size=6,
    )
)  # fmt: skip
def test_what_was_read_before_makes_no_difference(requests: list[tuple[bytes, bytes, int, bytes]]) -> None:
    experienced = reader()
    for line, fields, at, odd in requests * 2:
        data = line + FIELDS[0] + fields + b"Content-Length: 3\r\n\r\n{} "
        data = data[:at] + odd + data[at:]
        assert same(experienced.read(data), reader().read(data))


@pytest.mark.parametrize(
    ("more", "plain"),
    [
        (b"Host: shop.example\r\n", False),
        (b"HOST: shop.example\r\n", False),
        (b"Origin: https://shop.example\r\n", True),
        (b"Origin: https://shop.example\r\nOrigin: https://shop.example\r\n", False),
        (b"Origin: https://shop.example\r\norigin: https://shop.example\r\n", False),
        (b"Cookie: a=1\r\n", False),
        (b"cookie: a=1\r\n", False),
        (b"Accept: */*\r\nAccept: */*\r\n", True),
        (b"Content-Length: 3\r\n", False),
        (b"Accept: */*\x7f\r\n", False),
        (b"Accept: \x0b\r\n", False),
    ],
)
def test_a_field_that_comes_twice_does_so_also_where_its_line_is_known(more: bytes, plain: bool) -> None:
    experienced = reader()
    data = ORDINARY.replace(b"Cookie", more + b"Cookie")
    for seen in (ORDINARY, data, ORDINARY):
        experienced.read(seen)
    assert (experienced.read(data) is not None) is plain


def remembered(plain: PlainReader) -> list[str]:
    """All that a reader keeps, as text."""
    kept: list[str] = []
    for marks in (plain._requests, plain._fields):
        for key, mark in marks.items():
            kept.append(f"{key} {mark.name}")
            kept += (f"{stretch.text} {stretch.names} {stretch.values}" for stretch in mark.stretches)
    return kept


def test_nothing_about_a_visitor_is_remembered() -> None:
    plain = reader()
    names = (
        b"Cookie",
        b"Referer",
        b"User-Agent",
        b"Authorization",
        b"X-Forwarded-For",
        b"Forwarded",
        b"X-Real-IP",
        b"CF-Connecting-IP",
        b"X-Request-ID",
    )
    personal = b"".join(b"%b: personal\r\nAccept: */*\r\n" % name for name in (*names, *(name.lower() for name in names[:4])))
    assert plain.read(LINES[0] + FIELDS[0] + personal + b"Content-Length: 3\r\n\r\n{} ") is None  # each twice
    for name in names:
        assert plain.read(ORDINARY.replace(b"Cookie: a=1", b"%b: personal\r\nAccept: */*" % name)) is not None
    assert any("Referer" in text for text in remembered(plain))
    assert not any("personal" in text for text in remembered(plain))


def test_what_is_remembered_is_bounded() -> None:
    plain = reader()
    for n in range(3000):
        data = (
            ORDINARY.replace(b"/gw/e", b"/gw/%d" % (n % 700))
            .replace(b"Cookie", b"X%d" % (n % 600))
            .replace(b"Host", b"Accept: %d\r\nHost" % n)
        )
        assert plain.read(data) is not None
        assert n % 25 or len(remembered(plain)) <= 1024
    assert plain.read(ORDINARY) is not None
    assert plain.read(ORDINARY.replace(b"Host", b"Accept: " + b"x" * 600 + b"\r\nHost")) is not None
    assert max(map(len, remembered(plain))) < 1024
