"""The pool of connections to the site's app (io).

Law: idle connections are kept for less than apps keep theirs (2–5 s), so that reuse seldom meets a connection that the app is
just closing; a request that must not be sent twice takes only one that was in use a moment ago and on which nothing has arrived,
not even an end that the loop has yet to read.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Any, cast

from gateway.edge.connection import AppConnection
from gateway.edge.settings import LimitSettings, UpstreamTimeouts, upstream_port
from gateway.telemetry.tasks import spawn

IDLE_S = 1.5
"""An idle connection is closed after this."""
SURE_S = 0.5
"""A request that must not be sent twice only takes a connection that was in use this recently."""


class Upstream:
    """The pool."""

    def __init__(self, address: str, limits: LimitSettings, timeouts: UpstreamTimeouts, loop: asyncio.AbstractEventLoop) -> None:
        self.address = address
        self.limits = limits
        self.timeouts = timeouts
        self.loop = loop
        self._idle: list[AppConnection] = []
        self._all: set[AppConnection] = set()
        self._closed = False

    def __len__(self) -> int:
        return len(self._all)

    def take(self, now: float, *, sure: bool) -> AppConnection | None:
        """The most recently used idle connection, or None. ``sure``: only one that was in use a moment ago."""
        idle = self._idle
        while idle:
            connection = idle[-1]
            if now - connection.idle_since > (SURE_S if sure else IDLE_S):
                return None
            idle.pop()
            if connection.transport is None or connection.transport.is_closing():
                continue
            if sure and _has_word(connection.transport):
                connection.abort()
                continue
            connection.reused = True
            return connection
        return None

    def connect(self, ready: Callable[[AppConnection], None], failed: Callable[[BaseException], None]) -> asyncio.Task[Any]:
        """Open a connection; exactly one of the callbacks follows unless the task is cancelled."""
        return spawn(self._connect(ready, failed), "edge upstream connect")

    async def _connect(self, ready: Callable[[AppConnection], None], failed: Callable[[BaseException], None]) -> None:
        try:
            async with asyncio.timeout(self.timeouts.connect or None):
                connection = await self._open()
        except (OSError, TimeoutError) as error:
            failed(error)
            return
        self._all.add(connection)
        ready(connection)

    async def _open(self) -> AppConnection:
        connection = AppConnection(self)
        if self.address.startswith("unix:"):
            await self.loop.create_unix_connection(
                lambda: cast("asyncio.Protocol", connection), self.address.removeprefix("unix:")
            )
        else:
            host = self.address.removeprefix("http://").rstrip("/")
            name = host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]
            port = upstream_port(self.address)
            await self.loop.create_connection(lambda: cast("asyncio.Protocol", connection), name, port)
        return connection

    def put_back(self, connection: AppConnection) -> None:
        """Keep for the next exchange."""
        if self._closed:
            connection.close()
            return
        connection.idle_since = self.loop.time()
        self._idle.append(connection)

    def forget(self, connection: AppConnection) -> None:
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


def _has_word(transport: asyncio.Transport) -> bool:
    """Whether something has arrived that nobody asked for: on an idle connection that is its end."""
    probe = select.poll()
    probe.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(probe.poll(0))
