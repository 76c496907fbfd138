"""The edge listener in this process, between raw clients and an app that records and frames every byte (io).

Law: the app's framing is h11's, neither ours nor llhttp's: a second opinion is worth something only if it is another's. What the
gateway believed to pass on is noted where it decides that, so that both can be compared request by request.
"""

import asyncio
import contextlib
import hashlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from unittest import mock

import h11

from gateway.edge import protocol
from gateway.edge.address import Client
from gateway.edge.answer import Answer
from gateway.edge.head import Head
from gateway.edge.listener import Listener
from gateway.edge.proxy import Exchange
from gateway.edge.settings import EdgeSettings

MAX_HEAD_BYTES = 1 << 20
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n"


@dataclass(slots=True)
class Asked:
    """One request as somebody framed it."""

    method: bytes
    target: bytes
    body: bytes = field(default=b"", repr=False)
    complete: bool = False

    def digest(self) -> bytes:
        """What the app answers with: proof of how it read the request."""
        return b"%b %b %b" % (self.method, self.target, hashlib.blake2s(self.body, digest_size=8).hexdigest().encode())


def plain_answer(asked: Asked) -> bytes:
    """The digest, with its length."""
    body = asked.digest()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(body), b"" if asked.method == b"HEAD" else body)


class Framing:
    """h11's reading of a stream of requests."""

    def __init__(self, on_complete: Callable[[Asked, Any], None] | None = None) -> None:
        self.connection = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD_BYTES)
        self.requests: list[Asked] = []
        self.objection = ""
        self.http10 = False
        """The last request was HTTP/1.0, which h11 never keeps alive."""
        self.ended = False
        """No further request may follow on this connection."""
        self._on_complete = on_complete
        self._fields: Any = ()

    def feed(self, data: bytes) -> None:
        """More bytes of the stream; after an objection nothing is read any more."""
        if self.objection or self.ended:
            return
        connection = self.connection
        try:
            connection.receive_data(data)
            while True:
                event = connection.next_event()
                match event:
                    case h11.Request():
                        self.requests.append(Asked(event.method, event.target))
                        self._fields = event.headers
                        self.http10 = event.http_version == b"1.0"
                    case h11.Data():
                        self.requests[-1].body += bytes(event.data)
                    case h11.EndOfMessage():
                        self.requests[-1].complete = True
                        self._answered()
                        if self._on_complete is not None:
                            self._on_complete(self.requests[-1], self._fields)
                        if self.ended:
                            return
                    case _:
                        return
        except h11.RemoteProtocolError as error:
            self.objection = str(error)

    def _answered(self) -> None:
        """Tell h11 that the request was answered, so that it reads the next one."""
        connection = self.connection
        connection.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        connection.send(h11.EndOfMessage())
        if connection.our_state is h11.DONE and connection.their_state is h11.DONE:
            connection.start_next_cycle()
        else:
            self.ended = True


class _AppConnection(asyncio.Protocol):
    """One connection to the app: recorded, framed, answered."""

    def __init__(self, app: "App") -> None:
        self._app = app
        self._tunnel = False
        self.raw = bytearray()
        self.framing = Framing(self._complete)

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._app.open.add(self)
        self._app.connections.append(self)

    def data_received(self, data: bytes) -> None:
        self.raw += data
        if self._tunnel:
            self._transport.write(data)
            return
        self.framing.feed(data)
        if self.framing.connection.they_are_waiting_for_100_continue:
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _complete(self, asked: Asked, fields: Any) -> None:
        self._app.asked.append(asked)
        if self._app.switches and any(name == b"upgrade" for name, _ in fields):
            self._tunnel = True
            self._transport.write(SWITCHED)
            return
        answer, then_close = self._app.answer(asked)
        self._transport.write(answer)
        if then_close or self.framing.ended:
            self._transport.close()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._app.open.discard(self)

    def abort(self) -> None:
        """End it at once."""
        self._transport.abort()


class App:
    """The site's app."""

    def __init__(self) -> None:
        self.answer: Callable[[Asked], tuple[bytes, bool]] = lambda asked: (plain_answer(asked), False)
        """The bytes that answer a request, and whether the connection ends behind them."""
        self.switches = False
        """Whether upgrades are accepted; the connection then echoes."""
        self.open: set[_AppConnection] = set()
        self.connections: list[_AppConnection] = []
        self.asked: list[Asked] = []
        """Complete requests, as h11 framed them."""
        self.port = 0

    async def start(self) -> asyncio.Server:
        """Listen on a free port of loopback."""
        server = await asyncio.get_running_loop().create_server(lambda: _AppConnection(self), "127.0.0.1", 0)
        self.port = int(server.sockets[0].getsockname()[1])
        return server

    def objections(self) -> list[str]:
        """What h11 could not make sense of."""
        return [connection.framing.objection for connection in self.connections if connection.framing.objection]


class Desk:
    """Stands in for the collector: answers with the request's digest."""

    def __init__(self, note: Callable[[Asked], None]) -> None:
        self._note = note

    def handle(self, head: Head, body: bytes, _client: Client) -> Answer:
        """The digest of what was collected."""
        asked = Asked(head.method.encode(), head.target, body, complete=True)
        self._note(asked)
        return Answer(200, b"", asked.digest())

    def too_large(self, head: Head, _client: Client) -> Answer:
        """Refused, with the target."""
        return Answer(413, b"", head.target)

    def navigation_cookies(self, _head: Head, _client: Client) -> tuple[bytes, ...]:
        """None."""
        return ()


class _Metrics:
    def observe_http(self, route: str, status: int, seconds: float) -> None:
        """Nobody looks."""


class Caller(asyncio.Protocol):
    """A raw client."""

    def __init__(self) -> None:
        self.received = bytearray()
        self.closed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._more: asyncio.Future[None] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport: asyncio.Transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        self.received += data
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    def connection_lost(self, exc: BaseException | None) -> None:
        if not self.closed.done():
            self.closed.set_result(None)
        if self._more is not None and not self._more.done():
            self._more.set_result(None)

    async def until(self, enough: Callable[[bytearray], bool]) -> None:
        """Until ``enough`` has come or the connection has ended."""
        while not enough(self.received) and not self.closed.done():
            self._more = asyncio.get_running_loop().create_future()
            await self._more


@dataclass(slots=True)
class Edge:
    """A running listener and its surroundings."""

    listener: Listener
    app: App
    passed: list[Asked] = field(default_factory=list)
    """What the gateway passed on or collected, as it framed it, in order."""
    crashes: list[str] = field(default_factory=list)
    """Errors with a traceback in the log, and what reached the loop's exception handler."""

    async def call(self, port: int = 0) -> Caller:
        """A new connection to the gateway, or to ``port``."""
        _, caller = await asyncio.get_running_loop().create_connection(Caller, "127.0.0.1", port or self.listener.port)
        return caller

    async def at_rest(self) -> None:
        """End the app's connections, wait until nothing runs, forget what was noted."""
        for connection in list(self.app.open):
            connection.abort()
        # what runs are callbacks of this loop's own: a turn each brings them to their end
        while self.app.open or any(  # noqa: ASYNC110
            self.listener.counts()[what] for what in ("connections", "tunnels", "upstream_connections")
        ):
            await asyncio.sleep(0)
        self.app.connections.clear()
        self.app.asked.clear()
        self.passed.clear()


class _Noting(logging.Handler):
    def __init__(self, crashes: list[str]) -> None:
        super().__init__(logging.ERROR)
        self._crashes = crashes

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self._crashes.append(f"{record.getMessage()}: {record.exc_info[1]!r}")


@asynccontextmanager
async def edge(**settings: Any) -> AsyncIterator[Edge]:
    """A listener in front of the recording app, both on free ports of loopback."""
    app = App()
    server = await app.start()
    passed: list[Asked] = []

    class Watched(Exchange):
        def start(self, peer: str, body: bytes, *, complete: bool) -> None:
            super().start(peer, body, complete=complete)
            self.asked = Asked(self._head.method.encode(), self._head.target, body, complete)
            passed.append(self.asked)

        def upload(self, data: bytes, *, complete: bool) -> None:
            self.asked.body += data
            self.asked.complete = complete
            super().upload(data, complete=complete)

    given = EdgeSettings(listen="127.0.0.1:0", upstream=f"http://127.0.0.1:{app.port}", **settings)
    running = Edge(Listener(given, Desk(passed.append), _Metrics()), app, passed)
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _loop, context: running.crashes.append(repr(context)))
    noting = _Noting(running.crashes)
    log = logging.getLogger("gateway")
    log.addHandler(noting)
    try:
        with mock.patch.object(protocol, "Exchange", Watched):
            await running.listener.start()
            yield running
    finally:
        log.removeHandler(noting)
        await running.listener.close()
        server.close()
        for connection in list(app.open):
            connection.abort()
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(1):
                await server.wait_closed()
