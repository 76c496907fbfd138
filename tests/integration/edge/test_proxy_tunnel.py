"""Websockets are a raw tunnel after a real 101, and nothing before."""

import asyncio

import pytest
from edge_wire import PATIENCE_S, Edge, Seen, site

UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: shop.example\r\nConnection: keep-alive, Upgrade\r\nUpgrade: WebSocket\r\n"
    b"Sec-WebSocket-Key: x\r\nSec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Accept: y\r\n\r\n"


async def echo(seen: Seen) -> None:
    head = await seen.head()
    assert b"\r\nConnection: Upgrade\r\nUpgrade: WebSocket\r\n" in head
    assert b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n" in head
    await seen.send(SWITCHED)
    while data := await seen.reader.read(65536):
        await seen.send(data)


async def test_bytes_pass_both_ways_after_the_101() -> None:
    async with site(echo) as (edge, _origin):
        wire = await edge.connect()
        await wire.send(UPGRADE + b"\x81early")
        head = await wire.head()
        assert head.startswith(b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n")
        assert await wire.exactly(6) == b"\x81early"
        assert edge.listener.counts()["tunnels"] == 1
        for size in (1, 125, 65536, 1 << 20):
            data = bytes(n & 255 for n in range(251)) * (size // 251 + 1)
            echoed = asyncio.create_task(wire.exactly(len(data)))
            await wire.send(data)
            assert await echoed == data
        wire.close()
        await edge.settled(lambda: edge.listener.counts()["tunnels"] == 0)


async def test_bytes_behind_the_101_are_not_lost() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(SWITCHED + b"\x82hello")
        await seen.until_gone()

    async with site(play) as (edge, _origin):
        wire = await edge.connect()
        await wire.send(UPGRADE)
        await wire.head()
        assert await wire.exactly(6) == b"\x82hello"
        wire.close()


async def test_the_apps_end_reaches_the_client_after_its_last_bytes() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(SWITCHED + b"x" * 300_000)

    async with site(play) as (edge, _origin):
        wire = await edge.connect()
        await wire.send(UPGRADE)
        await wire.head()
        assert len(await wire.rest()) == 300_000


async def test_the_clients_end_reaches_the_app() -> None:
    async with site(echo) as (edge, origin):
        wire = await edge.connect()
        await wire.send(UPGRADE)
        await wire.head()
        wire.end()
        await asyncio.wait_for(origin.connections[0].gone.wait(), PATIENCE_S)


async def test_a_declined_upgrade_is_an_answer_and_closes() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno")

    async with site(play) as (edge, _origin):
        assert await edge.ask(UPGRADE) == b"HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno"


@pytest.mark.parametrize("protocol", [b"h2c", b"websocket, h2c", b"TLS/1.0"])
async def test_only_websocket_upgrades_pass(protocol: bytes) -> None:
    async def play(seen: Seen) -> None:
        assert b"pgrade" not in await seen.head()
        await seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    async with site(play) as (edge, _origin):
        assert (await edge.ask(UPGRADE.replace(b" WebSocket", b" " + protocol))).endswith(b"\r\nConnection: close\r\n\r\nok")


async def test_an_unasked_101_is_no_tunnel() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(SWITCHED)
        await seen.until_gone()

    async with site(play) as (edge, _origin):
        wire = await edge.connect()
        await wire.send(b"GET / HTTP/1.1\r\nHost: shop.example\r\n\r\n")
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")
        assert edge.listener.counts()["tunnels"] == 0


async def test_a_silent_tunnel_ends_after_the_idle_timeout() -> None:
    async with site(echo, upstream_timeouts={"idle": 0.2}) as (edge, origin):
        wire = await edge.connect()
        await wire.send(UPGRADE)
        await wire.head()
        assert await wire.rest() == b""
        await asyncio.wait_for(origin.connections[0].gone.wait(), PATIENCE_S)


async def test_a_reader_that_stops_stops_the_app() -> None:
    """Backpressure through the tunnel: the app cannot push more than the buffers on the way hold."""
    sent = 0

    async def play(seen: Seen) -> None:
        nonlocal sent
        await seen.head()
        await seen.send(SWITCHED)
        while True:
            await seen.send(b"x" * 65536)
            sent += 65536

    async with site(play) as (edge, _origin):
        wire = await edge.connect()
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await wire.send(UPGRADE)
        before = -1
        while sent != before or sent == 0:
            before = sent
            await asyncio.sleep(0.2)
        assert sent < 32 << 20
        wire.close()


class Stopped:
    """An app that goes on reading only when told."""

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.read = 0

    async def __call__(self, seen: Seen) -> None:
        await seen.head()
        seen.writer.transport.pause_reading()  # type: ignore[attr-defined]
        await seen.send(SWITCHED)
        await self.go.wait()
        seen.writer.transport.resume_reading()  # type: ignore[attr-defined]
        while data := await seen.reader.read(1 << 20):
            self.read += len(data)


MUCH = 32 << 20
"""More than the kernel's buffers take."""


async def _left_behind(edge: Edge) -> None:
    """A client writes more than the app takes; then its end of the tunnel is gone, as after ``upstream_timeouts.idle``."""
    wire = await edge.connect()
    await wire.send(UPGRADE)
    await wire.head()
    wire.writer.write(bytes(MUCH))
    await edge.settled(lambda: edge.listener.counts()["waiting_bytes"] > 0)
    for line in list(edge.listener._context.connections):  # type: ignore[union-attr]
        line.close()  # type: ignore[attr-defined]
    await edge.settled(lambda: edge.listener.counts()["tunnels"] == 0)


async def test_an_app_that_does_not_read_is_not_waited_for_when_the_client_has_left() -> None:
    app = Stopped()
    async with site(app, limits={"body_progress": 0.3}) as (edge, _origin):
        await _left_behind(edge)
        await edge.settled(lambda: edge.listener.counts()["upstream_connections"] == 0)
        assert edge.listener.counts()["waiting_bytes"] == 0
        app.go.set()


async def test_what_a_client_left_behind_stays_in_the_books_and_goes_first() -> None:
    app = Stopped()
    async with site(app, limits={"max_waiting_bytes": 1 << 20}) as (edge, _origin):
        await _left_behind(edge)
        assert 0 < edge.listener.counts()["waiting_bytes"] <= 1 << 20
        assert edge.listener.counts()["upstream_connections"] == 1
        crowd = [await edge.connect() for _ in range(8)]
        for wire in crowd:
            await wire.send(b"POST /gw/e HTTP/1.1\r\nHost: a\r\nContent-Length: 400000\r\n\r\n" + bytes(300_000))
        await edge.settled(lambda: edge.listener.counts()["upstream_connections"] == 0)
        app.go.set()


async def test_an_app_that_reads_on_gets_all_that_a_client_left_behind() -> None:
    app = Stopped()
    async with site(app) as (edge, origin):
        wire = await edge.connect()
        await wire.send(UPGRADE)
        await wire.head()
        sent = asyncio.create_task(wire.send(bytes(MUCH)))
        await edge.settled(lambda: edge.listener.counts()["waiting_bytes"] > 0)
        app.go.set()
        await asyncio.wait_for(sent, PATIENCE_S)
        wire.end()
        await asyncio.wait_for(origin.connections[0].gone.wait(), PATIENCE_S)
        assert app.read == MUCH
        await edge.settled(lambda: edge.listener.counts()["upstream_connections"] == 0)
        assert edge.listener.counts()["waiting_bytes"] == 0


async def test_a_client_that_ended_its_side_before_the_101_holds_no_tunnel() -> None:
    async with site(echo) as (edge, origin):
        wire = await edge.connect()
        await wire.send(UPGRADE + b"\x81early")
        wire.end()
        assert (await wire.rest()).startswith(b"HTTP/1.1 101 ")
        await asyncio.wait_for(origin.connections[0].gone.wait(), PATIENCE_S)
        assert edge.listener.counts()["tunnels"] == 0


@pytest.mark.parametrize("path", [b"/gw/e", b"/gw"])
async def test_behind_an_upgrade_that_we_answer_ourselves_nothing_is_read(path: bytes) -> None:
    """The parser stops there: to go on would mean to begin in the middle of somebody's bytes."""
    async with site(echo) as (edge, origin):
        answer = await edge.ask(UPGRADE.replace(b"/ws", path) + b"GET /swallowed HTTP/1.1\r\nHost: a\r\n\r\n")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in answer
        assert origin.heads == []
