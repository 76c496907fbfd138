"""When the app, the client or the network misbehaves: small answers, no repeats that could hurt, nothing that looks complete."""

import asyncio
import socket
import struct

import pytest
from edge_wire import OK, PATIENCE_S, Edge, Seen, Wire, edge, replies, site
from ports import free_port

from gateway.edge.files import Room

H = b"Host: shop.example\r\n"
GET = b"GET / HTTP/1.1\r\n" + H + b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 2\r\n\r\nhi"


async def test_nobody_listens() -> None:
    async with edge(f"http://127.0.0.1:{free_port()}") as running:
        wire = await running.connect()
        for request in (GET, POST, GET):
            await wire.send(request)
            head, body = await wire.answer()
            assert head.startswith(b"HTTP/1.1 502 ")
            assert len(body) < 100
        assert running.metrics.seen == [("proxy", 502)] * 3
        await wire.send(b"GET /gw/x HTTP/1.1\r\n" + H + b"\r\n")
        assert (await wire.answer())[1] == b"/gw/x:0"


@pytest.mark.parametrize("address", ["http://a..b:80", "http://[::1::]:80", "unix:/\0"])
async def test_an_app_whose_name_nobody_can_look_up_is_a_502(address: str) -> None:
    """The settings refuse such names; whatever else cannot be opened must not leave visitors without a word either."""
    async with edge("http://127.0.0.1:1") as running:
        running.listener._context.upstream.address = address  # type: ignore[union-attr]
        wire = await running.connect()
        for request in (GET, POST):
            await wire.send(request)
            assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")
        assert running.listener.counts()["upstream_connections"] == 0


async def test_the_operators_error_page(tmp_path) -> None:  # type: ignore[no-untyped-def]
    page = tmp_path / "sorry.html"
    page.write_bytes(b"<h1>Sorry</h1>")
    async with edge(f"http://127.0.0.1:{free_port()}", error_page=str(page)) as running:
        wire = await running.connect()
        await wire.send(GET)
        head, body = await wire.answer()
        assert b"text/html" in head
        assert body == b"<h1>Sorry</h1>"


@pytest.mark.parametrize("request_bytes", [GET, POST])
@pytest.mark.parametrize(
    "garbage",
    [
        b"",
        b"NONSENSE\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\x00z\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: y\rSet-Cookie: z\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70000 + b"\r\n\r\n",
    ],
)
async def test_garbage_from_the_app_is_a_502(request_bytes: bytes, garbage: bytes) -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(garbage)

    async with site(play) as (running, origin):
        wire = await running.connect()
        await wire.send(request_bytes)
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")
        assert len(origin.connections) == 1


async def test_a_slow_app_is_a_504_and_is_told() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.until_gone()

    async with site(play, upstream_timeouts={"first_byte": 0.2}) as (running, origin):
        wire = await running.connect()
        await wire.send(GET)
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 504 ")
        await asyncio.wait_for(origin.connections[0].gone.wait(), PATIENCE_S)


async def test_an_app_that_stops_half_way_is_cut_off() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf")
        await seen.until_gone()

    async with site(play, upstream_timeouts={"idle": 0.2}) as (running, _origin):
        assert (await running.ask(GET)).endswith(b"\r\n\r\nhalf")


TRUNCATED = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf",
    "chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhalf",
    "between chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
}


@pytest.mark.parametrize("answer", TRUNCATED.values(), ids=TRUNCATED.keys())
async def test_a_truncated_answer_stays_truncated(answer: bytes) -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(answer)

    async with site(play) as (running, _origin):
        received = await running.ask(GET)
        assert received.startswith(b"HTTP/1.1 200 OK\r\n")
        assert b"half" in received
        assert not received.endswith(b"0\r\n\r\n")


async def test_a_truncated_answer_is_a_reset_for_a_client_that_reads_until_the_end() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(TRUNCATED["between chunks"])

    async with site(play) as (running, _origin):
        with pytest.raises(ConnectionResetError):
            await running.ask(b"GET / HTTP/1.0\r\n" + H + b"\r\n")


async def test_a_stale_connection_is_replaced_for_a_get_and_never_for_a_post() -> None:
    """The app answers one request per connection and then closes without having said so."""

    async def play(seen: Seen) -> None:
        head = await seen.head()
        if head.startswith(b"POST"):
            await seen.reader.readexactly(2)
        await seen.send(OK)
        await seen.head()  # the next request is read – and dropped

    async with site(play) as (running, origin):
        wire = await running.connect()
        for _ in range(3):
            await wire.send(GET)
            assert (await wire.answer())[1] == b"ok"
        assert [len(seen.heads) for seen in origin.connections] == [2, 2, 1]
        await wire.send(POST)
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")
        assert sum(head.startswith(b"POST") for head in origin.heads) == 1


async def test_a_post_does_not_take_a_connection_whose_end_has_yet_to_be_read() -> None:
    """The app closes between two turns of our loop: what the kernel knows already is asked, not guessed."""
    sockets: list[socket.socket] = []

    def serve(listening: socket.socket) -> None:
        while len(sockets) < 2:
            accepted, _ = listening.accept()
            sockets.append(accepted)
            accepted.recv(10_000)
            accepted.sendall(OK)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        serving = asyncio.create_task(asyncio.to_thread(serve, listening))
        async with edge(f"http://127.0.0.1:{listening.getsockname()[1]}") as running:
            wire = await running.connect()
            await wire.send(GET)
            assert (await wire.answer())[1] == b"ok"
            connection = running.listener._context.upstream._idle[0]  # type: ignore[union-attr]
            sockets[0].close()  # and in the same turn, before the loop can read it:
            assert running.listener._context.upstream.take(0.0, sure=True) is None  # type: ignore[union-attr]
            assert connection.transport is None or connection.transport.is_closing()
            await wire.send(POST)
            assert (await wire.answer())[1] == b"ok"
        await serving
        for each in sockets:
            each.close()


async def test_a_fresh_connection_that_dies_is_not_repeated() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()

    async with site(play) as (running, origin):
        wire = await running.connect()
        await wire.send(GET)
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")
        assert len(origin.connections) == 1


async def test_a_client_that_leaves_ends_the_apps_work_within_a_second() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.until_gone()

    async with site(play) as (running, origin):
        for leave in ("reset", "close"):
            wire = await running.connect()
            await wire.send(GET)
            await running.settled(lambda: bool(origin.connections) and bool(origin.connections[-1].heads))
            wire.close() if leave == "reset" else wire.end()
            await within(1.5, origin.connections[-1].gone)
            origin.connections.clear()


async def within(seconds: float, event: asyncio.Event) -> None:
    """It happens within that time by the loop's own clock: a machine that stands still for a while, and the gateway with it, is not counted."""
    happened = asyncio.create_task(event.wait())
    await asyncio.wait({happened}, timeout=seconds)
    for _ in range(100):
        if not happened.done():
            await asyncio.sleep(0)
    assert happened.done()


async def test_a_client_that_leaves_an_event_stream_ends_it() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n")
        await seen.until_gone()

    async with site(play) as (running, origin):
        wire = await running.connect()
        await wire.send(GET)
        await wire.head()
        wire.writer.close()
        await within(1.5, origin.connections[0].gone)


async def test_a_slow_client_holds_the_app_back() -> None:
    sent = 0

    async def play(seen: Seen) -> None:
        nonlocal sent
        await seen.head()
        await seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await seen.send(b"x" * 65536)
            sent += 65536

    async with site(play, limits={"body_progress": 0.5}) as (running, origin):
        wire = await running.connect()
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await wire.send(GET)
        # and a reader that takes nothing at all is given up
        await running.settled(lambda: bool(origin.connections) and origin.connections[0].gone.is_set())
        assert 0 < sent < 32 << 20


async def test_a_slow_app_holds_the_upload_back() -> None:
    go = asyncio.Event()
    size = 48 << 20

    async def play(seen: Seen) -> None:
        await seen.head()
        seen.reader._transport.pause_reading()  # type: ignore[attr-defined]
        await go.wait()
        seen.reader._transport.resume_reading()  # type: ignore[attr-defined]
        left = size
        while left:
            left -= len(await seen.reader.read(1 << 20))
        await seen.send(OK)

    async with site(play) as (running, _origin):
        wire = await running.connect()
        wire.writer.write(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: %d\r\n\r\n" % size)
        sent = 0

        async def push() -> None:
            nonlocal sent
            while sent < size:
                wire.writer.write(b"x" * 65536)
                sent += 65536
                await wire.writer.drain()

        pushing = asyncio.create_task(push())
        before = -1
        while sent != before:
            before = sent
            await asyncio.sleep(0.2)
        assert 0 < sent < size
        go.set()
        await asyncio.wait_for(pushing, PATIENCE_S)
        assert (await wire.answer())[1] == b"ok"


async def test_an_answer_before_the_end_of_the_upload_is_seen() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\n\r\n")
        await seen.until_gone()

    async with site(play) as (running, _origin):
        wire = await running.connect()
        await wire.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 10000000\r\n\r\n" + b"x" * 100_000)
        assert (await wire.head()).startswith(b"HTTP/1.1 413 Content Too Large\r\nContent-Length: 0\r\nConnection: close\r\n")
        assert await wire.rest() == b""


async def test_nothing_is_left_after_many_disconnects() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.until_gone()

    async with site(play) as (running, origin):
        for _ in range(10):
            wires = [await running.connect() for _ in range(30)]
            for wire in wires:
                await wire.send(GET)
            for wire in wires[::2]:
                linger = struct.pack("ii", 1, 0)
                wire.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            for wire in wires:
                wire.close()
        await running.settled(lambda: running.listener.counts()["connections"] == 0)
        await running.settled(lambda: running.listener.counts()["upstream_connections"] == 0)
        await running.settled(lambda: all(seen.gone.is_set() for seen in origin.connections))


async def test_a_drain_fails_no_request_and_ends() -> None:
    go = asyncio.Event()

    async def play(seen: Seen) -> None:
        while True:
            head = await seen.head()
            if b"/slow" in head:
                await go.wait()
            await seen.send(OK)

    async with site(play) as (running, _origin):
        slow, kept, idle = [await running.connect() for _ in range(3)]
        await slow.send(b"GET /slow HTTP/1.1\r\n" + H + b"\r\n")
        await kept.send(GET)
        assert b"Connection" not in (await kept.answer())[0]
        draining = asyncio.create_task(running.listener.drain(1.0, 15))
        await asyncio.sleep(0)
        assert not running.listener.listening
        await kept.send(GET)
        assert b"\r\nConnection: close\r\n" in (await kept.answer())[0]
        assert await kept.rest() == b""
        assert await idle.rest() == b""
        assert not draining.done()
        go.set()
        assert (await slow.rest()).endswith(b"ok")
        await asyncio.wait_for(draining, PATIENCE_S)
        with pytest.raises(ConnectionRefusedError):
            await running.connect()


async def test_without_an_app_only_the_first_party_paths_exist() -> None:
    async with edge() as running:
        wire = await running.connect()
        for path in (b"/", b"/gw", b"/gwx", b"/gw?x"):
            await wire.send(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, H))
            head, body = await wire.answer()
            assert head.startswith(b"HTTP/1.1 404 ")
            assert b"application/json" in head
            assert body.startswith(b"{")
        assert running.collector.calls == []


async def test_the_bare_prefix_is_never_forwarded() -> None:
    async with site(replies(OK)) as (running, origin):
        wire = await running.connect()
        await wire.send(b"GET /gw HTTP/1.1\r\n" + H + b"\r\n")
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 404 ")
        await wire.send(b"GET /gw/../admin HTTP/1.1\r\n" + H + b"\r\n")
        assert (await wire.answer())[1] == b"/gw/../admin:0"
        assert origin.heads == []


@pytest.mark.parametrize("coding", [b"gzip, chunked", b"gzip", b"chunked\t", b"identity"])
async def test_an_encoding_of_the_transfer_that_only_the_app_knows_is_a_502(coding: bytes) -> None:
    """Undoing the chunks and dropping the field would leave the client with bytes that nobody told it how to read."""

    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: %b\r\n\r\n3\r\n\x1f\x8b\x08\r\n0\r\n\r\n" % coding)

    async with site(play) as (running, _origin):
        wire = await running.connect()
        await wire.send(GET)
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 502 ")


async def test_a_dripping_upload_to_the_app_is_408() -> None:
    """A byte now and then is no progress: it would hold a connection of the app for ever."""
    async with site(replies(OK), limits={"body_progress": 0.3}) as (running, origin):
        wire = await running.connect()
        await wire.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 10000\r\n\r\n")

        async def drip() -> None:
            while True:
                wire.writer.write(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        try:
            assert (await wire.head()).startswith(b"HTTP/1.1 408 ")
        finally:
            dripping.cancel()
        await asyncio.wait_for(origin.connections[0].gone.wait(), PATIENCE_S)


async def test_slow_readers_of_large_answers_hold_a_bounded_sum_and_the_longest_goes_first(
    caplog: pytest.LogCaptureFixture,
) -> None:
    page = b"HTTP/1.1 200 OK\r\nContent-Length: 20000000\r\n\r\n" + bytes(20_000_000)
    async with site(replies(page), limits={"max_waiting_bytes": 1 << 20}) as (running, _origin):
        slow = [await running.connect() for _ in range(12)]
        for wire in slow:
            wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
            await wire.send(GET)
        await running.settled(lambda: running.listener.counts()["given_up"] > 0)
        assert running.listener.counts()["waiting_bytes"] <= 1 << 20
        assert running.listener.counts()["connections"] < 12
        assert len(await (await _asked(running, GET)).exactly(len(page))) == len(page)
        await running.settled(lambda: "max_waiting_bytes" in caplog.text)
    assert running.listener.counts()["waiting_bytes"] == 0


async def test_the_kernel_takes_little_for_a_client_that_does_not_read() -> None:
    """Its buffers would be megabytes for each, and are the container's memory as well."""
    sent = 0

    async def play(seen: Seen) -> None:
        nonlocal sent
        await seen.head()
        seen.writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
        await seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            await seen.send(b"x" * 16384)
            sent += 16384

    async with site(play) as (running, _origin):
        client = socket.socket()
        client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)
        client.connect(("127.0.0.1", running.listener.port))
        client.sendall(GET)
        before = -1
        while sent != before or not sent:
            before = sent
            await asyncio.sleep(0.2)
        client.close()
        assert sent < 3 << 19, sent  # unbounded it would be more than 4 MiB


async def test_unfinished_event_bodies_hold_a_bounded_sum() -> None:
    async with edge(limits={"max_waiting_bytes": 1 << 20}) as running:
        wires = [
            await _asked(running, b"POST /gw/e HTTP/1.1\r\n" + H + b"Content-Length: 600000\r\n\r\n" + bytes(500_000))
            for _ in range(4)
        ]
        for wire in wires[:2]:
            assert (await wire.head()).startswith(b"HTTP/1.1 503 ")
        for wire in wires[2:]:
            await wire.send(bytes(100_000))
            assert (await wire.answer())[1] == b"/gw/e:600000"
        assert running.listener.counts()["waiting_bytes"] == 0


async def test_what_is_sent_ahead_of_an_answer_holds_a_bounded_sum() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.until_gone()

    async with site(play, limits={"max_waiting_bytes": 1 << 20}) as (running, _origin):
        for _ in range(30):
            wire = await running.connect()
            wire.writer.write(GET + b"GET /later HTTP/1.1\r\nX: " + bytes(300_000))
        await running.settled(lambda: running.listener.counts()["given_up"] > 0)
        assert running.listener.counts()["waiting_bytes"] <= 1 << 20


async def test_a_body_that_waits_for_its_commit_is_not_taken_for_later_requests() -> None:
    async with edge() as running:
        wire = await _asked(running, b"POST /gw/later HTTP/1.1\r\n" + H + b"Content-Length: 300000\r\n\r\n" + bytes(300_000))
        await running.settled(lambda: len(running.collector.commits) == 1)
        assert running.listener.counts()["waiting_bytes"] == 0
        running.collector.commits[0].set_result(None)
        assert (await wire.answer())[1] == b"/gw/later:300000"


async def test_what_the_parser_keeps_is_counted_until_it_is_read() -> None:
    """Also behind the second request of a pipeline, and not any more at its end."""
    go = asyncio.Event()

    async def play(seen: Seen) -> None:
        while True:
            head = await seen.head()
            if b"/slow" in head:
                await go.wait()
            await seen.send(OK)

    async with site(play) as (running, _origin):
        slow = GET.replace(b"GET /", b"GET /slow")
        last = b"POST /gw/e HTTP/1.1\r\n" + H + b"Content-Length: 40000\r\n\r\n" + bytes(40_000)
        wire = await _asked(running, GET + slow + last)
        assert (await wire.answer())[1] == b"ok"
        await running.settled(lambda: running.listener.counts()["waiting_bytes"] > 40_000)
        go.set()
        assert (await wire.answer())[1] == b"ok"
        assert (await wire.answer())[1] == b"/gw/e:40000"
        assert running.listener.counts()["waiting_bytes"] == 0


async def _asked(running: Edge, request: bytes) -> Wire:
    wire = await running.connect()
    await wire.send(request)
    return wire


async def test_connections_that_the_kernel_has_taken_are_not_reset_when_accepting_stops() -> None:
    async with site(replies(OK)) as (running, _origin):
        port = running.listener.port
        late = [socket.create_connection(("127.0.0.1", port)) for _ in range(20)]  # no turn of the loop in between
        await running.listener.stop_accepting()
        assert not running.listener.listening
        for each in late:
            each.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_sendall(each, GET)
            assert (await asyncio.wait_for(loop.sock_recv(each, 1000), PATIENCE_S)).endswith(b"ok")
            each.close()
        with pytest.raises(ConnectionRefusedError):
            await running.connect()


async def test_fewer_files_than_connections_is_said_at_the_start(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("gateway.edge.listener.room_for", lambda _asked: Room(2, 4))
    async with edge() as running:
        assert "limit of open files" in caplog.text
        first, _second = await running.connect(), await running.connect()
        await running.settled(lambda: running.listener.counts()["connections"] == 2)
        assert (await (await running.connect()).rest()).startswith(b"HTTP/1.1 503 ")
        await first.send(b"GET /gw/x HTTP/1.1\r\n" + H + b"\r\n")
        assert (await first.answer())[1] == b"/gw/x:0"


@pytest.mark.parametrize("end", [b"\r\n\r\n", b"\n\r\n", b"\n\n", b"\r\n\n"])
async def test_an_old_apps_line_ends_do_not_move_the_body(end: bytes) -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: 4" + end + b"\n\n\r\n")

    async with site(play) as (running, _origin):
        wire = await running.connect()
        await wire.send(GET)
        assert (await wire.answer())[1] == b"\n\n\r\n"


async def test_a_client_that_ended_its_side_and_left_a_silent_stream_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """It sends nothing that would say so; while events come it is believed, without them not for long."""
    monkeypatch.setattr("gateway.edge.line.FIN_GRACE_S", 0.2)
    monkeypatch.setattr("gateway.edge.line.FIN_QUIET_S", 1.2)

    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        for _ in range(12):
            await seen.send(b"1\r\nx\r\n")
            await asyncio.sleep(0.15)
        await seen.until_gone()

    async with site(play, limits={"body_progress": 0.4}) as (running, origin):
        wire = await running.connect()
        await wire.send(GET)
        wire.end()
        await wire.head()
        assert await wire.exactly(12 * 6) == b"1\r\nx\r\n" * 12
        await asyncio.wait_for(origin.connections[0].gone.wait(), PATIENCE_S)
