"""The pool of connections to the site's app (io).

Law: idle connections are kept for less than apps keep theirs (2–5 s), so that reuse seldom meets a connection that the app is
just closing; a request that must not be sent twice takes only one that was in use a moment ago and on which nothing has arrived,
not even an end that the loop has yet to read. A connection is opened only while ``room`` has a descriptor left for it.
"""

import asyncio
import errno
import os
import select
from collections.abc import Callable
from typing import Any, cast

from gateway.edge.connection import AppConnection
from gateway.edge.settings import LimitSettings, UpstreamTimeouts, upstream_host, upstream_port
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
        self.room: Callable[[], bool] = bool
        """Whether one more connection may be opened; given by the listener, who counts the clients as well."""

    def __len__(self) -> int:
        """Connections, those in the making included."""
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
        if not self.room() and not self._spare_one():
            return spawn(_refuse(failed), "edge upstream refusal")
        connection = AppConnection(self)
        self._all.add(connection)

        def ended(task: asyncio.Task[Any]) -> None:
            if task.cancelled():  # perhaps before it began
                connection.abort()
                self._all.discard(connection)

        task = spawn(self._connect(connection, ready, failed), "edge upstream connect")
        task.add_done_callback(ended)
        return task

    def _spare_one(self) -> bool:
        """Give up the connection that has been idle for longest, if there is one: another is asked for, so it may not be reused."""
        if not self._idle:
            return False
        connection = self._idle.pop(0)
        self._all.discard(connection)  # its descriptor is closed before whoever takes its place opens one
        connection.abort()
        return True

    async def _connect(
        self, connection: AppConnection, ready: Callable[[AppConnection], None], failed: Callable[[BaseException], None]
    ) -> None:
        try:
            async with asyncio.timeout(self.timeouts.connect or None):
                await self._open(connection)
        except Exception as error:  # noqa: BLE001 - a name that cannot be looked up is a UnicodeError; whatever it is, the visitor is answered
            self._all.discard(connection)
            failed(error)
            return
        ready(connection)

    async def _open(self, connection: AppConnection) -> None:
        protocol = cast("asyncio.Protocol", connection)
        if self.address.startswith("unix:"):
            await self.loop.create_unix_connection(lambda: protocol, self.address.removeprefix("unix:"))
        else:
            host, port = upstream_host(self.address), upstream_port(self.address)
            await self.loop.create_connection(lambda: protocol, host, port)

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


async def _refuse(failed: Callable[[BaseException], None]) -> None:
    """In a turn of its own: a pipeline of refused requests must not be worked off one within the other."""
    failed(OSError(errno.EMFILE, os.strerror(errno.EMFILE)))


def _has_word(transport: asyncio.Transport) -> bool:
    """Whether something has arrived that nobody asked for: on an idle connection that is its end."""
    probe = select.poll()
    probe.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(probe.poll(0))
