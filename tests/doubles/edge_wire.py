"""The other two ends of the edge for its tests: a byte-recording origin, a raw client, a collector that answers what it saw."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

from gateway.edge.address import Client
from gateway.edge.answer import Answer, Deferred
from gateway.edge.head import Head
from gateway.edge.listener import Listener
from gateway.edge.settings import EdgeSettings

PATIENCE_S = 15.0


class Seen:
    """Everything that came in on one connection to the origin."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self.heads: list[bytes] = []
        self.gone = asyncio.Event()

    async def head(self) -> bytes:
        """The next request's head, line for line."""
        head = await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)
        self.heads.append(head)
        return head

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def until_gone(self) -> bytes:
        """What still comes until the gateway ends the connection."""
        try:
            return await asyncio.wait_for(self.reader.read(-1), PATIENCE_S)
        except ConnectionError:
            return b""


Play = Callable[[Seen], Awaitable[None]]


class Origin:
    """The site's app: plays a script per connection and remembers the bytes."""

    def __init__(self, play: Play) -> None:
        self.play = play
        self.connections: list[Seen] = []
        self.failures: list[BaseException] = []
        self._server: asyncio.Server | None = None
        self._tasks: set[asyncio.Task[Any]] = set()

    @property
    def heads(self) -> list[bytes]:
        return [head for seen in self.connections for head in seen.heads]

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen = Seen(reader, writer)
        self.connections.append(seen)
        try:
            await self.play(seen)
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        except BaseException as error:  # noqa: BLE001 - shown by the test
            self.failures.append(error)
        finally:
            seen.gone.set()
            writer.close()

    async def start(self, path: str | None = None) -> str:
        if path:
            self._server = await asyncio.start_unix_server(self._serve, path, limit=1 << 20)
            return f"unix:{path}"
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, limit=1 << 20)
        return f"http://127.0.0.1:{self._server.sockets[0].getsockname()[1]}"

    async def stop(self) -> None:
        assert self._server is not None
        self._server.close()
        for seen in self.connections:
            seen.writer.transport.abort()
        await asyncio.wait_for(self._server.wait_closed(), PATIENCE_S)
        assert self.failures == []


def replies(answer: bytes) -> Play:
    """Answer every request (read by its Content-Length) with the same bytes."""

    async def play(seen: Seen) -> None:
        while True:
            head = await seen.head()
            length = next(
                (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
            )
            await seen.reader.readexactly(length)
            await seen.send(answer)

    return play


OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


class Collecting:
    """Answers with what it was given; paths choose how."""

    def __init__(self) -> None:
        self.calls: list[tuple[Head, bytes, Client]] = []
        self.cookies: tuple[bytes, ...] = ()
        self.commits: list[asyncio.Future[None]] = []

    def handle(self, head: Head, body: bytes, client: Client) -> Answer | Deferred:
        self.calls.append((head, body, client))
        answer = Answer(200, b"Content-Type: text/plain\r\n", b"%b:%d" % (head.path.encode(), len(body)))
        if head.path.endswith("/later"):
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            self.commits.append(future)
            return Deferred(future, answer, lambda error: Answer(503, b"Retry-After: 5\r\n", type(error).__name__.encode()))
        if head.path.endswith("/crash"):
            raise RuntimeError("defect")
        if head.path.endswith("/none"):
            return Answer(204)
        return answer

    def too_large(self, head: Head, client: Client) -> Answer:
        return Answer(413, b"Content-Type: text/plain\r\n", b"%b too large" % head.path.encode())

    def navigation_cookies(self, head: Head, client: Client) -> tuple[bytes, ...]:
        return self.cookies


class Counting:
    """Metrics that remember."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, int]] = []

    def observe_http(self, route: str, status: int, seconds: float) -> None:
        assert seconds >= 0
        self.seen.append((route, status))


class Edge:
    """A running listener with its collaborators."""

    def __init__(self, listener: Listener, collector: Collecting, metrics: Counting) -> None:
        self.listener = listener
        self.collector = collector
        self.metrics = metrics
        self.wires: list[Wire] = []

    async def connect(self) -> "Wire":
        reader, writer = await asyncio.open_connection("127.0.0.1", self.listener.port, limit=1 << 22)
        wire = Wire(reader, writer)
        self.wires.append(wire)
        return wire

    async def ask(self, request: bytes) -> bytes:
        """Send bytes on a new connection and read until the gateway ends it."""
        wire = await self.connect()
        await wire.send(request)
        try:
            return await wire.rest()
        finally:
            wire.close()

    async def settled(self, condition: Callable[[], bool]) -> None:
        """Until ``condition`` holds; the loop is given turns, no time is guessed."""
        async with asyncio.timeout(PATIENCE_S):
            while not condition():  # noqa: ASYNC110 - conditions are counts of the gateway, which sets no events
                await asyncio.sleep(0.005)


class Wire:
    """A raw client connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def head(self) -> bytes:
        return await asyncio.wait_for(self.reader.readuntil(b"\r\n\r\n"), PATIENCE_S)

    async def exactly(self, size: int) -> bytes:
        return await asyncio.wait_for(self.reader.readexactly(size), PATIENCE_S)

    async def answer(self) -> tuple[bytes, bytes]:
        """Head and body of an answer with Content-Length."""
        head = await self.head()
        length = next(
            (int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:")), 0
        )
        return head, await self.exactly(length)

    async def rest(self) -> bytes:
        return await asyncio.wait_for(self.reader.read(-1), PATIENCE_S)

    def end(self) -> None:
        self.writer.write_eof()

    def close(self) -> None:
        self.writer.transport.abort()


@asynccontextmanager
async def edge(upstream: str | None = None, *, collector: Any = None, **settings: Any) -> AsyncIterator[Edge]:
    """A listener on a free port; nothing of it may be left at the end."""
    collector, metrics = collector or Collecting(), Counting()
    listener = Listener(EdgeSettings(listen="127.0.0.1:0", upstream=upstream, **settings), collector, metrics)
    await listener.start()
    running = Edge(listener, collector, metrics)
    try:
        yield running
    finally:
        for wire in running.wires:
            wire.close()
        await listener.close()
        await running.settled(lambda: not listener.counts()["connections"] and not listener.counts()["tunnels"])
        for wire in running.wires:
            with contextlib.suppress(ConnectionError):
                await wire.writer.wait_closed()


@asynccontextmanager
async def site(play: Play, **settings: Any) -> AsyncIterator[tuple[Edge, Origin]]:
    """A listener in front of an origin."""
    origin = Origin(play)
    address = await origin.start()
    try:
        async with edge(address, **settings) as running:
            yield running, origin
    finally:
        await origin.stop()
