"""The edge listener: binds, sweeps, drains (io).

Law: one coarse timer for all connections. A small part of them is looked at in each tick, so that twenty thousand connections do
not stall the loop once a second.
"""

import asyncio
import contextlib
import logging
import socket
import sys
from email.utils import formatdate
from pathlib import Path
from typing import cast

from gateway.edge.context import Collects, Connected, Context, Observes
from gateway.edge.files import room_for
from gateway.edge.protocol import EdgeProtocol, require_c_parser
from gateway.edge.settings import EdgeSettings, parse_listen
from gateway.edge.upstream import Upstream

_log = logging.getLogger(__name__)
_TCP_NOTSENT_LOWAT = 25  # linux/tcp.h; Python names it from 3.12 on
_SLICES = (8, 128)
"""In how many parts all connections are looked at: few visitors, few wake-ups of an idle process; many visitors, no part long enough to be noticed."""
_BACKLOG = 4096
_UNSENT_BYTES = 1 << 17
"""What the kernel takes of an answer beyond what the client's window lets it send. Without this it takes megabytes for every client
that does not read, and they count as the container's memory."""


class Listener:
    """The visitors' side of the gateway."""

    def __init__(self, settings: EdgeSettings, collector: Collects, metrics: Observes) -> None:
        self._settings = settings
        self._collector = collector
        self._metrics = metrics
        self._context: Context | None = None
        self._server: asyncio.Server | None = None
        self._port = 0
        self._every_s = 1.0
        self._slices = _SLICES[0]
        self._tick: asyncio.TimerHandle | None = None
        self._waiting: list[Connected] = []
        self._share = 0
        self._date_at = 0.0
        self._rejected_said = 0
        self._given_up_said = 0
        self._starved_said = 0

    async def start(self) -> None:
        """Listen. OSError if the address cannot be had, RuntimeError without aiohttp's C parser."""
        require_c_parser()
        loop = asyncio.get_running_loop()
        settings = self._settings
        upstream = None
        if settings.upstream:
            upstream = Upstream(settings.upstream, settings.limits, settings.upstream_timeouts, loop)
        context = self._context = Context(settings, self._collector, self._metrics, upstream, loop)
        if settings.error_page:
            try:
                context.error_page = await asyncio.to_thread(Path(settings.error_page).read_bytes)
            except OSError as error:
                _log.error("the error page cannot be read; a plain sentence is shown instead", extra={"error": str(error)})
        room = room_for(settings.limits.max_connections)
        context.max_connections, context.max_together = room.clients, room.together
        if upstream is not None:
            upstream.room = context.has_room
        if context.max_connections < settings.limits.max_connections:
            _log.warning(
                "fewer connections than edge.limits.max_connections are taken: the limit of open files is too low (ulimit -n, LimitNOFILE=)",
                extra={"connections": context.max_connections, "max_connections": settings.limits.max_connections},
            )
        host, port = parse_listen(settings.listen)
        self._server = await loop.create_server(
            lambda: _protocol(context),
            host or None,
            port,
            reuse_port=settings.reuse_port or None,
            backlog=_BACKLOG,
        )
        self._port = int(self._server.sockets[0].getsockname()[1])
        for each in self._server.sockets if sys.platform == "linux" else ():
            with socket.fromfd(each.fileno(), each.family, each.type) as listening:
                listening.setsockopt(socket.IPPROTO_TCP, _TCP_NOTSENT_LOWAT, _UNSENT_BYTES)  # accepted ones inherit it
        timeouts = settings.upstream_timeouts
        self._every_s = context.patience.sweep_s(timeouts.first_byte, timeouts.idle)
        self._sweep(context)

    @property
    def port(self) -> int:
        """The port that is listened on; differs from the setting if that is 0, and is 0 before the start."""
        return self._port

    @property
    def listening(self) -> bool:
        """Whether new connections are accepted and the listener does not drain."""
        return self._server is not None and self._server.is_serving() and not self._draining

    @property
    def _draining(self) -> bool:
        return self._context is not None and self._context.draining

    def counts(self) -> dict[str, int]:
        """For gauges: connections, tunnels, upstream connections, refused requests, rejected connections, connections given up because too
        much waited in memory, connections cut off at the end, bytes that wait, connections and requests refused for want of descriptors."""
        context = self._context
        if context is None:
            return {}
        return {
            "connections": len(context.connections),
            "tunnels": context.tunnels,
            "upstream_connections": len(context.upstream) if context.upstream else 0,
            "refused": context.refused,
            "rejected": context.rejected,
            "given_up": context.holdings.given_up,
            "cut_off": context.cut_off,
            "waiting_bytes": context.holdings.total,
            "starved": context.starved,
            **{f"clients_{what}": number for what, number in context.addresses.seen.items()},
        }

    async def stop_accepting(self) -> None:
        """Close the listening socket; open connections go on.

        Closing resets the connections that the kernel has taken but that were not yet accepted, so the last of them are accepted
        here, between two turns of the loop, and the socket is closed in the same breath.
        """
        context, server = self._context, self._server
        if context is None or server is None or not server.is_serving():
            return
        spare = [socket.fromfd(each.fileno(), each.family, each.type) for each in server.sockets]
        server.close()
        latest: list[socket.socket] = []
        for listening in spare:
            listening.setblocking(False)
            with listening, contextlib.suppress(OSError):  # BlockingIOError: no more of them
                while True:
                    latest.append(listening.accept()[0])
        for accepted in latest:
            accepted.setblocking(False)
            with contextlib.suppress(OSError):
                await context.loop.connect_accepted_socket(lambda: _protocol(context), accepted)

    async def drain(self, delay_s: float, grace_s: float) -> None:
        """Keep accepting for ``delay_s`` with ``Connection: close`` on every answer, then finish what runs within ``grace_s``."""
        context = self._context
        if context is None:
            return
        context.draining = True
        await asyncio.sleep(delay_s)
        await self.stop_accepting()
        loop = asyncio.get_running_loop()
        end = loop.time() + grace_s
        while context.connections and loop.time() < end:
            for connection in list(context.connections):
                connection.finish_soon()
            await asyncio.sleep(0.05)
        await self.close()

    async def close(self) -> None:
        """End everything now."""
        if self._server is not None:
            self._server.close()
        context = self._context
        if context is None:
            return
        if self._tick is not None:  # else they have been told already
            self._tick.cancel()
            self._tick = None
            context.cut_off = sum(connection.at_work for connection in context.connections)
            if context.cut_off:
                _log.warning("connections cut off", extra={"connections": context.cut_off, "tunnels": context.tunnels})
        for connection in list(context.connections):
            connection.abort()
        if context.upstream is not None:
            context.upstream.abort()
        if self._server is not None:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(1.0):
                    await self._server.wait_closed()

    def _sweep(self, context: Context) -> None:
        # first of all: whatever goes wrong below, patience must not end with it
        self._tick = context.loop.call_later(self._every_s / self._slices, self._sweep, context)
        now = context.now = context.loop.time()
        if now - self._date_at >= 0.5:
            self._date_at = now
            context.date = b"Date: %b\r\n" % formatdate(usegmt=True).encode()
        if not self._waiting:
            self._waiting = list(context.connections)
            few, many = _SLICES
            self._slices = max(few, min(many, len(self._waiting) // few))
            self._share = -(-len(self._waiting) // self._slices)
            if context.upstream is not None:
                context.upstream.sweep(now)
            self._complain(context)
        for _ in range(min(self._share, len(self._waiting))):
            self._waiting.pop().sweep(now)

    def _complain(self, context: Context) -> None:
        if context.rejected != self._rejected_said:
            _log.warning(
                "connections turned away: edge.limits.max_connections is reached",
                extra={"turned_away": context.rejected - self._rejected_said, "max_connections": context.max_connections},
            )
            self._rejected_said = context.rejected
        if context.starved != self._starved_said:
            _log.warning(
                "connections and requests refused: no file descriptors are left for them; raise the limit of open files "
                "(ulimit -n, LimitNOFILE=) to twice edge.limits.max_connections and 256 more",
                extra={"refused": context.starved - self._starved_said, "clients_and_app": context.max_together},
            )
            self._starved_said = context.starved
        given_up = context.holdings.given_up
        if given_up != self._given_up_said:
            _log.warning(
                "connections ended: edge.limits.max_waiting_bytes wait in memory for slow clients",
                extra={"ended": given_up - self._given_up_said, "max_waiting_bytes": context.limits.max_waiting_bytes},
            )
            self._given_up_said = given_up


def _protocol(context: Context) -> asyncio.Protocol:
    return cast("asyncio.Protocol", EdgeProtocol(context))
