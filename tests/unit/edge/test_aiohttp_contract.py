"""What the wire relies on of aiohttp, beyond its public interface. A new minor that breaks one of these may not be used."""

import asyncio
import importlib.metadata
from collections.abc import Iterator
from typing import Any

import pytest
from aiohttp import http_parser
from aiohttp.http_exceptions import HttpProcessingError, LineTooLong
from aiohttp.http_writer import HttpVersion10, HttpVersion11

from gateway.edge.protocol import require_c_parser

H = b"Host: a\r\n"


class Demands:
    """All that a parser and its streams call on a protocol."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def pause_reading(self) -> None:
        self.calls.append("pause")

    def resume_reading(self, resume_parser: bool = True) -> None:
        self.calls.append("resume")


@pytest.fixture
def loop() -> Iterator[asyncio.AbstractEventLoop]:
    loop = asyncio.new_event_loop()
    yield loop
    loop.close()


def requests(loop: asyncio.AbstractEventLoop, demands: Demands | None = None) -> Any:
    return http_parser.HttpRequestParser(
        demands or Demands(),  # type: ignore[arg-type]
        loop,
        1 << 20,
        max_line_size=65536,
        max_field_size=65536,
        max_headers=256,
        auto_decompress=False,
        max_msg_queue_size=1,
    )


def responses(loop: asyncio.AbstractEventLoop, *, with_body: bool) -> Any:
    return http_parser.HttpResponseParser(
        Demands(),  # type: ignore[arg-type]
        loop,
        1 << 20,
        max_line_size=65536,
        max_field_size=65536,
        max_headers=256,
        response_with_body=with_body,
        read_until_eof=True,
        auto_decompress=False,
    )


def test_the_tested_minor_with_its_c_parser() -> None:
    assert importlib.metadata.version("aiohttp").startswith("3.14.")
    assert http_parser.HttpRequestParser.__module__ == "aiohttp._http_parser"
    require_c_parser()


def test_without_the_c_parser_nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http_parser, "HttpRequestParser", http_parser.HttpRequestParserPy)
    with pytest.raises(RuntimeError, match="C parser"):
        require_c_parser()


def test_it_stops_behind_each_request_and_goes_on_when_fed_again(loop: asyncio.AbstractEventLoop) -> None:
    parser = requests(loop)
    first, *rest = parser.feed_data(b"GET /1 HTTP/1.1\r\n" + H + b"\r\nGET /2 HTTP/1.0\r\nConnection: keep-alive\r\n\r\nGET /3")[
        0
    ]
    assert not rest
    assert first[0].path == "/1"
    assert first[0].version is HttpVersion11
    second, *rest = parser.feed_data(b"")[0]
    assert not rest
    assert second[0].version is HttpVersion10
    assert not second[0].should_close
    assert not parser.feed_data(b"")[0]
    assert parser.feed_data(b" HTTP/1.1\r\n" + H + b"\r\n")[0][0][0].path == "/3"


def test_a_good_request_before_garbage_is_delivered(loop: asyncio.AbstractEventLoop) -> None:
    parser = requests(loop)
    assert parser.feed_data(b"GET /1 HTTP/1.1\r\n" + H + b"\r\nGARBAGE\r\n")[0][0][0].path == "/1"
    with pytest.raises(HttpProcessingError):
        parser.feed_data(b"")


def test_bodies_fill_a_stream_that_is_read_without_waiting(loop: asyncio.AbstractEventLoop) -> None:
    demands = Demands()
    parser = requests(loop, demands)
    ((message, stream),) = parser.feed_data(
        b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\nContent-Encoding: gzip\r\n\r\nab"
    )[0]
    assert not stream.is_eof()
    assert stream.read_nowait() == b"ab"
    assert not parser.feed_data(b"cdeGET")[0]
    assert stream.is_eof()
    assert stream.total_bytes == 5
    assert stream.read_nowait() == b"cde"
    assert stream.read_nowait() == b""
    assert "pause" not in demands.calls
    assert message.raw_headers[1] == (b"Content-Length", b"5")


def test_a_megabyte_in_one_feed_demands_no_pause(loop: asyncio.AbstractEventLoop) -> None:
    demands = Demands()
    parser = requests(loop, demands)
    ((_, stream),) = parser.feed_data(b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n")[0]
    parser.feed_data(b"1\r\nx\r\n" * 43000)
    assert len(stream.read_nowait()) == 43000
    parser.feed_data(b"100000\r\n" + b"x" * 0x100000 + b"\r\n0\r\n\r\n")
    assert stream.is_eof()
    assert "pause" not in demands.calls


def test_raw_bytes_survive(loop: asyncio.AbstractEventLoop) -> None:
    ((message, _),) = requests(loop).feed_data(b"GET /%41?%27 HTTP/1.1\r\nhOST: a\r\nx-B: caf\xe9 \r\nX-b:2\r\n\r\n")[0]
    assert message.path == "/%41?%27"
    assert message.raw_headers == ((b"hOST", b"a"), (b"x-B", b"caf\xe9"), (b"X-b", b"2"))
    assert message.headers.getall("X-B") == ["caf\udce9", "2"]


def test_a_websockets_first_bytes_come_out_as_the_tail(loop: asyncio.AbstractEventLoop) -> None:
    parser = requests(loop)
    ((message, stream),) = parser.feed_data(
        b"GET / HTTP/1.1\r\n" + H + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81raw"
    )[0]
    assert message.upgrade
    assert stream.is_eof()
    assert parser.feed_data(b"") == ((), True, b"\x81raw")


def test_long_lines_are_told_apart(loop: asyncio.AbstractEventLoop) -> None:
    with pytest.raises(LineTooLong):
        requests(loop).feed_data(b"GET / HTTP/1.1\r\n" + H + b"X: " + b"y" * 70000)
    with pytest.raises(HttpProcessingError, match="Too many headers"):
        requests(loop).feed_data(b"GET / HTTP/1.1\r\n" + H + b"X: y\r\n" * 300 + b"\r\n")


def test_a_response_head_is_parsed_by_itself_again_and_again(loop: asyncio.AbstractEventLoop) -> None:
    parser = responses(loop, with_body=False)
    for status in (200, 103, 204, 304, 200):
        ((message, stream),) = parser.feed_data(b"HTTP/1.1 %d Odd Reason\r\nContent-Length: 5\r\n\r\n" % status)[0]
        assert (message.code, message.reason) == (status, "Odd Reason")
        assert stream.is_eof()
        assert not message.should_close


def test_what_a_response_says_about_the_connection(loop: asyncio.AbstractEventLoop) -> None:
    ((message, _),) = responses(loop, with_body=False).feed_data(b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\n")[0]
    assert message.should_close
    ((message, stream),) = responses(loop, with_body=True).feed_data(b"HTTP/1.1 200 OK\r\n\r\nabc")[0]
    assert message.should_close
    assert stream.read_nowait() == b"abc"
    assert not stream.is_eof()


def test_an_unfinished_body_is_an_error_at_the_end_and_one_until_the_end_is_not(loop: asyncio.AbstractEventLoop) -> None:
    parser = responses(loop, with_body=True)
    parser.feed_data(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab")
    with pytest.raises(HttpProcessingError):
        parser.feed_eof()
    parser = responses(loop, with_body=True)
    ((_, stream),) = parser.feed_data(b"HTTP/1.1 200 OK\r\n\r\nabc")[0]
    parser.feed_eof()
    assert stream.is_eof()
