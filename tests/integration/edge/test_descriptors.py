"""Clients and connections to the app together never take the last descriptors; what does not fit is refused in plain words."""

import asyncio

import pytest
from edge_wire import OK, PATIENCE_S, Edge, Seen, Wire, replies, site

from gateway.edge.files import Room

H = b"Host: shop.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + H + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 2\r\n\r\nhi"
OURS = b"GET /gw/x HTTP/1.1\r\n" + H + b"\r\n"


@pytest.fixture(autouse=True)
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.edge.listener.room_for", lambda _asked: Room(10, 6))


async def hang(seen: Seen) -> None:
    await seen.head()
    await seen.gone.wait()


async def _connected(running: Edge, clients: int) -> list[Wire]:
    wires = [await running.connect() for _ in range(clients)]
    await running.settled(lambda: running.listener.counts()["connections"] == clients)
    return wires


async def test_requests_that_no_descriptor_is_left_for_are_refused_and_their_clients_stay(
    caplog: pytest.LogCaptureFixture,
) -> None:
    async with site(hang) as (running, origin):
        first, second, third, fourth = await _connected(running, 4)
        for wire in (first, second):
            await wire.send(GET)
        await running.settled(lambda: len(origin.heads) == 2)
        for request in (GET, POST, GET):
            await third.send(request)
            head, body = await third.answer()
            assert head.startswith(b"HTTP/1.1 503 ")
            assert b"\r\nRetry-After: 1\r\n" in head
            assert body == b"503 too many requests at once\n"
            await fourth.send(OURS)
            assert (await fourth.answer())[1] == b"/gw/x:0"
        assert len(origin.connections) == 2
        late = await running.connect()
        assert (await late.rest()).startswith(b"HTTP/1.1 503 ")
        counts = running.listener.counts()
        assert (counts["starved"], counts["rejected"]) == (4, 0)
        await running.settled(lambda: "no file descriptors are left" in caplog.text)
        assert "LimitNOFILE" in caplog.text
        first.close()
        await running.settled(lambda: running.listener.counts()["upstream_connections"] == 1)
        await third.send(GET)
        await running.settled(lambda: len(origin.heads) == 3)


async def test_connections_in_the_making_count() -> None:
    """All four ask before any of them is connected."""
    async with site(hang) as (running, origin):
        wires = await _connected(running, 4)
        for wire in wires:
            wire.writer.write(GET)
        answers = [asyncio.create_task(wire.head()) for wire in wires]
        await running.settled(lambda: sum(answer.done() for answer in answers) == 2 and len(origin.heads) == 2)
        assert all(answer.result().startswith(b"HTTP/1.1 503 ") for answer in answers if answer.done())
        assert len(origin.connections) == 2
        for answer in answers:
            answer.cancel()


async def test_refused_requests_are_answered_one_after_the_other_not_one_within_the_other() -> None:
    async with site(hang) as (running, origin):
        first, second, third, _fourth = await _connected(running, 4)
        for wire in (first, second):
            await wire.send(GET)
        await running.settled(lambda: len(origin.heads) == 2)
        third.writer.write(GET * 1000)
        for _ in range(1000):
            assert (await third.answer())[0].startswith(b"HTTP/1.1 503 ")


async def test_a_kept_connection_that_may_not_be_used_gives_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.edge.upstream.SURE_S", -1.0)
    async with site(replies(OK)) as (running, origin):
        wires = await _connected(running, 5)
        await wires[0].send(GET)
        assert (await wires[0].answer())[1] == b"ok"
        await wires[1].send(POST)
        assert (await wires[1].answer())[1] == b"ok"
        await asyncio.wait_for(origin.connections[0].gone.wait(), PATIENCE_S)
        assert len(origin.connections) == 2
        assert running.listener.counts()["starved"] == 0


async def test_a_client_that_leaves_while_its_connection_is_made_leaves_no_count(monkeypatch: pytest.MonkeyPatch) -> None:
    async def never(*_: object) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr("gateway.edge.upstream.Upstream._open", never)
    async with site(hang) as (running, _origin):
        wires = await _connected(running, 2)
        for wire in wires:
            await wire.send(GET)
        await running.settled(lambda: running.listener.counts()["upstream_connections"] == 2)
        for wire in wires:
            wire.close()
        await running.settled(lambda: running.listener.counts()["upstream_connections"] == 0)
