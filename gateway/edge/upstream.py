"""Connections to the site's app: a pool on aiohttp's C response parser (io).

Law: a connection carries one exchange at a time and goes back to the pool only after a complete answer to a completely sent
request, with nothing left over. Idle connections are kept for less than apps keep theirs (2–5 s), so that reuse seldom meets a
connection that the app is just closing. Bodies are drained after every feed: the parser never has to pause.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Protocol

from aiohttp.http_parser import HttpResponseParser, RawResponseMessage
from aiohttp.streams import StreamReader

from gateway.edge.settings import LimitSettings, UpstreamTimeouts, upstream_port
from gateway.telemetry.tasks import spawn

IDLE_S = 1.5
"""An idle connection is closed after this."""
SURE_S = 0.5
"""A request that must not be sent twice only takes a connection that was in use this recently."""
PARSER_BUFFER_BYTES = 1 << 20
"""Above what one read can bring: the stream's own high-water mark is never reached, we keep the books ourselves."""


class Answered(Protocol):
    """What a connection reports to its exchange."""

    def interim(self, message: RawResponseMessage) -> None:
        """A 1xx other than 101."""

    def answered(self, message: RawResponseMessage, body: bytes, done: bool) -> None:
        """The final head and what of the body came with it."""

    def switched(self, message: RawResponseMessage, tail: bytes) -> None:
        """A 101; the connection now carries raw bytes."""

    def body(self, data: bytes, done: bool) -> None:
        """More of the body, or its end."""

    def raw(self, data: bytes) -> None:
        """Bytes of a tunnel."""

    def lost(self, error: BaseException | None) -> None:
        """The connection ended before the answer did."""

    def upload_paused(self) -> None:
        """The app does not read; hold the client's upload."""

    def upload_resumed(self) -> None:
        """The app reads again."""


class Connection(asyncio.Protocol):
    """One connection to the app."""

    __slots__ = (
        "_clean",
        "_limits",
        "_loop",
        "_parser",
        "_payload",
        "_pool",
        "_raw",
        "exchange",
        "idle_since",
        "reused",
        "transport",
    )

    def __init__(self, pool: "Upstream") -> None:
        self._pool = pool
        self._loop = pool.loop
        self._limits = pool.limits
        self._parser = self._new_parser(with_body=True)
        self._payload: StreamReader | None = None
        self._raw = False
        self._clean = True
        self.exchange: Answered | None = None
        self.transport: asyncio.Transport | None = None
        self.idle_since = 0.0
        self.reused = False

    def _new_parser(self, *, with_body: bool) -> HttpResponseParser:
        return HttpResponseParser(
            self,  # type: ignore[arg-type]  # it calls pause_reading and resume_reading only
            self._loop,
            PARSER_BUFFER_BYTES,
            max_line_size=self._limits.max_header_bytes,
            max_field_size=self._limits.max_header_bytes,
            max_headers=self._limits.max_header_fields,
            response_with_body=with_body,
            read_until_eof=True,
            auto_decompress=False,
        )

    def begin(self, exchange: Answered, method: str) -> None:
        """Carry ``exchange`` from now on."""
        self.exchange = exchange
        self._payload = None
        if method == "HEAD":
            self._parser = self._new_parser(with_body=False)

    def write(self, data: bytes) -> None:
        """Send to the app; harmless after the connection has ended."""
        if self.transport is not None:
            self.transport.write(data)

    def release(self, *, reusable: bool, method: str) -> None:
        """The exchange is over."""
        self.exchange = None
        transport = self.transport
        if not (reusable and self._clean) or transport is None or transport.is_closing():
            self.abort()
            return
        if method == "HEAD":
            self._parser = self._new_parser(with_body=True)
        transport.resume_reading()
        self._pool.put_back(self)

    def abort(self) -> None:
        """End it at once; what is in flight is lost."""
        self.exchange = None
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """End it after what was written has been sent."""
        self.exchange = None
        if self.transport is not None:
            self.transport.close()

    def pause_app(self) -> None:
        """The client does not read: stop taking from the app."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.pause_reading()

    def resume_app(self) -> None:
        """The client reads again."""
        if self.transport is not None and not self.transport.is_closing():
            self.transport.resume_reading()

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.abort()
            return
        if self._raw:
            exchange.raw(data)
            return
        try:
            messages, upgraded, tail = self._parser.feed_data(data)
        except Exception as error:  # noqa: BLE001 - whatever the parser raises, the answer cannot be used
            self._broken(error)
            return
        payload = self._payload
        for message, stream in messages:
            if payload is not None:
                self._clean = False  # an answer nobody asked for: never reuse this connection
                break
            if message.code == 101:
                self._raw = True
                exchange.switched(message, tail if upgraded else b"")
                return
            if message.code < 200:
                exchange.interim(message)
                continue
            payload = self._payload = stream
            self._clean = message is messages[-1][0]
            done = stream.is_eof()
            exchange.answered(message, _take(stream), done)
            return
        if payload is not None:
            done = payload.is_eof()
            exchange.body(_take(payload), done)

    def eof_received(self) -> None:
        if self._raw or self.exchange is None:
            return
        try:
            self._parser.feed_eof()
        except Exception as error:  # noqa: BLE001 - incomplete by the parser's books
            self._broken(error)
            return
        if self._payload is not None and self._payload.is_eof():
            self.exchange.body(_take(self._payload), True)

    def _broken(self, error: BaseException) -> None:
        exchange, self.exchange = self.exchange, None
        self.abort()
        if exchange is not None:
            exchange.lost(error)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.transport = None
        self._pool.forget(self)
        exchange, self.exchange = self.exchange, None
        self._payload = None
        del self._parser
        if exchange is not None:
            exchange.lost(exc)

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.upload_paused()

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.upload_resumed()

    # -- the parser's demands: never needed, see the law

    def pause_reading(self) -> None:
        """Called by a full stream."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called at a stream's end."""


def _take(stream: Any) -> bytes:
    data: bytes = stream.read_nowait(-1)
    return data


class Upstream:
    """The pool."""

    def __init__(self, address: str, limits: LimitSettings, timeouts: UpstreamTimeouts, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self.limits = limits
        self.timeouts = timeouts
        self.loop = loop
        self._idle: list[Connection] = []
        self._all: set[Connection] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    def take(self, now: float, *, sure: bool) -> Connection | None:
        """The most recently used idle connection, or None. ``sure``: only one that was in use a moment ago."""
        idle = self._idle
        while idle:
            connection = idle[-1]
            if now - connection.idle_since > (SURE_S if sure else IDLE_S):
                return None
            idle.pop()
            if connection.transport is not None and not connection.transport.is_closing():
                connection.reused = True
                return connection
        return None

    def connect(self, ready: Callable[[Connection], None], failed: Callable[[BaseException], None]) -> asyncio.Task[Any]:
        """Open a connection; exactly one of the callbacks follows unless the task is cancelled."""
        return spawn(self._connect(ready, failed), "edge upstream connect")

    async def _connect(self, ready: Callable[[Connection], None], failed: Callable[[BaseException], None]) -> None:
        try:
            async with asyncio.timeout(self.timeouts.connect or None):
                connection = await self._open()
        except (OSError, TimeoutError) as error:
            failed(error)
            return
        self._all.add(connection)
        ready(connection)

    async def _open(self) -> Connection:
        if self.address.startswith("unix:"):
            _, connection = await self.loop.create_unix_connection(lambda: Connection(self), self.address.removeprefix("unix:"))
        else:
            host = self.address.removeprefix("http://").rstrip("/")
            name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
            _, connection = await self.loop.create_connection(lambda: Connection(self), name, upstream_port(self.address))
        return connection

    def put_back(self, connection: Connection) -> None:
        """Keep for the next exchange."""
        if self._closed:
            connection.close()
            return
        connection.idle_since = self.loop.time()
        self._idle.append(connection)

    def forget(self, connection: Connection) -> None:
        """The connection has ended."""
        self._all.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def sweep(self, now: float) -> None:
        """Close what has been idle for too long."""
        idle = self._idle
        while idle and now - idle[0].idle_since > IDLE_S:
            idle.pop(0).close()

    def close(self) -> None:
        """Close the idle connections now and the others as they are given back."""
        self._closed = True
        for connection in list(self._idle):
            connection.close()
        self._idle.clear()

    def abort(self) -> None:
        """End everything."""
        self.close()
        for connection in list(self._all):
            connection.abort()
