"""Ends and edges: the drain's and the clients', limits to the byte, an app that does not even take the connection."""

import asyncio
import logging
import socket
import tracemalloc
from pathlib import Path

import pytest
from edge_wire import OK, PATIENCE_S, Edge, Seen, edge, replies, site

H = b"Host: shop.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + H + b"\r\n"
UPGRADE = b"GET /ws HTTP/1.1\r\n" + H + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


async def echoes_or_waits(seen: Seen) -> None:
    """A websocket that echoes; anything else is never answered."""
    if b"/ws" not in await seen.head():
        await seen.until_gone()
        return
    await seen.send(SWITCHED)
    while data := await seen.reader.read(1000):
        await seen.send(data)


# -- the drain


async def test_a_tunnel_goes_on_while_it_drains_and_its_end_ends_the_drain() -> None:
    async with site(echoes_or_waits) as (running, _origin):
        wire = await running.connect()
        await wire.send(UPGRADE)
        await wire.head()
        draining = asyncio.create_task(running.listener.drain(0, 60))
        await running.settled(lambda: not running.listener.listening)
        await wire.send(b"\x81still here")
        assert await wire.exactly(11) == b"\x81still here"
        assert not draining.done()
        wire.end()
        await asyncio.wait_for(draining, PATIENCE_S)
        assert running.listener.counts()["cut_off"] == 0


async def test_what_the_grace_cuts_off_is_logged_and_counted(caplog: pytest.LogCaptureFixture) -> None:
    """A tunnel, a request and a half-sent head; a connection that only idles is none of them."""
    async with site(echoes_or_waits) as (running, origin):
        tunnel, waiting, begun, idle = [await running.connect() for _ in range(4)]
        await tunnel.send(UPGRADE)
        await tunnel.head()
        await waiting.send(GET)
        await begun.send(b"GET / HT")
        await idle.send(b"GET /gw/x HTTP/1.1\r\n" + H + b"\r\n")
        await idle.answer()
        await running.settled(lambda: len(origin.heads) == 2)
        await asyncio.wait_for(running.listener.drain(0, 0.1), PATIENCE_S)
        for wire in (tunnel, waiting, begun):
            with pytest.raises(ConnectionResetError):
                await wire.reader.readexactly(1)
        await running.settled(lambda: running.listener.counts()["connections"] == 0)
        assert running.listener.counts()["cut_off"] == 3
        (said,) = [record for record in caplog.records if record.getMessage() == "connections cut off"]
        assert (said.connections, said.tunnels) == (3, 1)  # type: ignore[attr-defined]


async def test_an_answer_that_lasts_until_the_end_is_reset_when_the_grace_is_over() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        await seen.until_gone()

    async with site(play) as (running, _origin):
        wire = await running.connect()
        await wire.send(b"GET / HTTP/1.0\r\n" + H + b"\r\n")
        await wire.head()
        assert await wire.exactly(4) == b"half"
        await asyncio.wait_for(running.listener.drain(0, 0.05), PATIENCE_S)
        with pytest.raises(ConnectionResetError):
            await wire.rest()


# -- a client that has ended its own side


async def test_an_answer_that_begins_within_a_second_of_the_clients_end_arrives() -> None:
    """Also if the app has not yet begun when the end comes."""
    ended = asyncio.Event()

    async def play(seen: Seen) -> None:
        await seen.head()
        await ended.wait()
        await seen.send(OK)

    async with site(play) as (running, _origin):
        wire = await running.connect()
        await wire.send(GET)
        await running.settled(lambda: len(running.listener._context.connections) == 1)  # type: ignore[union-attr]
        (connection,) = running.listener._context.connections  # type: ignore[union-attr]
        wire.end()
        await running.settled(lambda: connection._fin)  # type: ignore[attr-defined]
        ended.set()
        assert await wire.rest() == OK


# -- limits, to the byte


def _head_of(size: int, fields: int) -> bytes:
    """Header lines of so many bytes and fields together."""
    lines = [b"X-%d: y\r\n" % number for number in range(fields - 1)]
    rest = size - sum(map(len, lines))
    return b"".join(lines) + b"X-Long: " + b"z" * (rest - 10) + b"\r\n"


@pytest.mark.parametrize(("size", "fields"), [(65_535, 256), (65_535, 2), (3_000, 256)])
async def test_a_head_at_the_limit_passes_both_ways(size: int, fields: int) -> None:
    """The request's target counts, and its first line's other words do not; of an answer everything does."""
    line = b"HTTP/1.1 200 OK\r\n"
    answer = line + b"Content-Length: 0\r\n" + _head_of(size - len(line) - 19 - 1, fields - 1) + b"\r\n"
    assert len(answer) <= 65_536
    sent = H + _head_of(size - len(H), fields - 1)
    async with site(replies(answer)) as (running, origin):
        wire = await running.connect()
        await wire.send(b"GET / HTTP/1.1\r\n" + sent + b"\r\n")
        assert await wire.exactly(len(answer)) == answer
        assert origin.heads[0].startswith(b"GET / HTTP/1.1\r\n" + sent)


@pytest.mark.parametrize(("size", "fields"), [(65_536, 2), (3_000, 257)])
async def test_a_head_beyond_the_limit_is_431_from_a_client_and_502_from_the_app(size: int, fields: int) -> None:
    sent = H + _head_of(size - len(H), fields - 1)
    answer = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + _head_of(size, fields - 1) + b"\r\n"
    async with site(replies(answer)) as (running, origin):
        assert (await running.ask(b"GET / HTTP/1.1\r\n" + sent + b"\r\n")).startswith(b"HTTP/1.1 431 ")
        assert origin.heads == []
        wire = await running.connect()
        await wire.send(GET)
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")


# -- memory


async def test_an_event_that_comes_byte_by_byte_takes_no_more_than_its_bytes() -> None:
    """An object for each piece would be many times what the books say."""
    size, piece = 100_000, b"xy"
    async with edge() as running:
        wire = await running.connect()
        await wire.send(b"POST /gw/e HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % (size + 2))
        await running.settled(lambda: _in_body(running))
        (connection,) = running.listener._context.connections  # type: ignore[union-attr]
        tracemalloc.start()
        try:
            for _ in range(size // len(piece)):
                connection.data_received(piece)  # type: ignore[attr-defined]
            assert running.listener.counts()["waiting_bytes"] == size
            assert tracemalloc.get_traced_memory()[0] < 2 * size
        finally:
            tracemalloc.stop()
        await wire.send(b"\r\n")
        assert (await wire.answer())[1] == b"/gw/e:%d" % (size + 2)
        assert running.collector.calls[0][1] == piece * (size // 2) + b"\r\n"


def _in_body(running: Edge) -> bool:
    context = running.listener._context
    return context is not None and [connection._phase for connection in context.connections] == [2]  # type: ignore[attr-defined]


# -- the app


async def test_an_app_that_does_not_take_the_connection_is_a_504() -> None:
    """Its queue is full: the kernel leaves the connection in the making, for ever if nobody gives up."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(0)
        address = listening.getsockname()
        crowd = [socket.socket() for _ in range(4)]
        for each in crowd:
            each.setblocking(False)
            each.connect_ex(address)
        async with edge(f"http://127.0.0.1:{address[1]}", upstream_timeouts={"connect": 0.2}) as running:
            for request in (GET, b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 2\r\n\r\nhi"):
                head, body = await (wire := await _asked(running, request)).answer()
                assert head.startswith(b"HTTP/1.1 504 ")
                assert len(body) < 100
                wire.close()
            assert running.listener.counts()["upstream_connections"] == 0
            await (wire := await _asked(running, b"GET /gw/x HTTP/1.1\r\n" + H + b"\r\n")).answer()
        for each in crowd:
            each.close()


async def _asked(running: Edge, request: bytes):  # type: ignore[no-untyped-def]
    wire = await running.connect()
    await wire.send(request)
    return wire


async def test_an_error_page_that_cannot_be_read_is_said_and_replaced_by_a_sentence(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.ERROR)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        upstream = f"http://127.0.0.1:{nobody.getsockname()[1]}"
        async with edge(upstream, error_page=str(tmp_path / "nowhere.html")) as running:
            assert "the error page cannot be read" in caplog.text
            wire = await _asked(running, GET)
            head, body = await wire.answer()
            assert head.startswith(b"HTTP/1.1 502 ")
            assert b"text/plain" in head
            assert b"cannot be reached" in body
