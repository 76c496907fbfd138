"""The line to a client: writing, backpressure, patience and the ways to end it (io).

Law: what is sent is either complete or visibly cut off. Nothing here knows what a request is; ``protocol.py`` adds that.
"""

import asyncio
import socket
import struct
from typing import Final

from gateway.edge.context import Context
from gateway.edge.faults import Fault
from gateway.edge.limits import FIN_GRACE_S, FIN_QUIET_S, QUIET_S, Overdue
from gateway.edge.proxy import Exchange
from gateway.edge.tunnel import Tunnel

# limits.Phase as plain numbers: compared several times a request, which members of an enum make dear.
IDLE: Final = 0
HEAD: Final = 1
BODY: Final = 2
ANSWER: Final = 3
TUNNEL: Final = 4
LINGER: Final = 5
CLOSING: Final = 6
_AT_WORK: Final = frozenset({HEAD, BODY, ANSWER, TUNNEL})

_TCP_CLOSED: Final = 7  # linux/tcp.h: TCP_CLOSE
_RESET_ON_CLOSE: Final = struct.pack("ii", 1, 0)


class ClientLine:
    """Half of a connection of the edge listener: the half that needs no parser. An asyncio protocol by its methods, not by inheritance: the compiled build keeps its fields in a
    struct only if no class of Python is above it."""

    __slots__ = (
        "_believed",
        "_blocked",
        "_context",
        "_exchange",
        "_fin",
        "_held",
        "_holding",
        "_keep",
        "_phase",
        "_sent",
        "_since",
        "_stalled",
        "_transport",
        "_tunnel",
        "_upload_paused",
    )

    def __init__(self, context: Context) -> None:
        self._context = context
        self._transport: asyncio.Transport | None = None
        self._phase: int = IDLE
        self._since = context.now
        """When the phase began or last made progress, by the context's coarse clock."""
        self._keep = True
        """Whether the connection is kept after the answer in work."""
        self._held = b""
        """Bytes of later requests that came while one is in work."""
        self._exchange: Exchange | None = None
        self._tunnel: Tunnel | None = None
        self._holding = 0
        """What the listener's books say waits in memory for this connection."""
        self._blocked = False
        """The client does not read: the transport's buffer is above its high-water mark."""
        self._stalled = (0, 0.0)
        """While blocked: the smallest buffer seen, and when."""
        self._upload_paused = False
        self._fin = False
        """The client has ended its own side."""
        self._believed = False
        """It has been sent something since, so it may still be reading."""
        self._sent = False
        """Something was written since."""

    def _refuse(self, fault: Fault) -> None:
        raise NotImplementedError

    def _next(self) -> None:
        raise NotImplementedError

    # -- asyncio

    def eof_received(self) -> bool:
        if self._phase != ANSWER or self._fin:
            return False
        # The request is complete; its sender may only have ended its own side. Believed for a second, see _still_there.
        self._fin = True
        self._sent = False
        self._context.loop.call_later(FIN_GRACE_S, self._still_there)
        return True

    def pause_writing(self) -> None:
        self._blocked = True
        self._stalled = (1 << 62, self._context.now)
        if self._exchange is not None:
            self._exchange.pause()
        elif self._tunnel is not None:
            self._tunnel.pause()
        self._account()

    def resume_writing(self) -> None:
        self._blocked = False
        self._account()
        if self._exchange is not None:
            self._exchange.resume()
        elif self._tunnel is not None:
            self._tunnel.resume()
        else:
            self._next()

    # -- writing

    def send(self, data: bytes) -> None:
        """Write ready bytes."""
        if self._transport is not None:
            self._sent = True
            self._transport.write(data)

    def send_together(self, pieces: tuple[bytes | memoryview, ...]) -> None:
        """Write several ready buffers without copying them into one."""
        if self._transport is not None:
            self._sent = True
            self._transport.writelines(pieces)

    def pause_upload(self) -> None:
        """The app does not take the body as fast as it comes."""
        if not self._upload_paused:
            self._upload_paused = True
            self._read(False)
            self._account()

    def resume_upload(self) -> None:
        """The app takes more."""
        if self._upload_paused:
            self._upload_paused = False
            self._since = self._context.now
            self._read(True)
            self._account()

    # -- what waits in memory

    def _waiting_bytes(self) -> int:
        size = len(self._held)
        if self._blocked and self._transport is not None:
            size += self._transport.get_write_buffer_size()
        if self._upload_paused:
            flow = self._exchange or self._tunnel
            size += flow.waiting_bytes() if flow is not None else 0
        return size

    def _account(self) -> None:
        """Keep the listener's books; called when what waits may have changed by more than a trifle."""
        size = self._waiting_bytes() if self._transport is not None else 0
        if size or self._holding:
            self._holding = size
            self._context.holdings.hold(self, size)

    def give_up(self) -> None:
        """Too much waits in memory, and this connection has waited longest."""
        self._holding = 0
        self._reset()

    # -- ends

    def _linger(self) -> None:
        """End our side; drop what still comes, so that no reset overtakes the answer."""
        self._phase = LINGER
        self._held = b""
        if self._transport is not None and self._transport.can_write_eof() and not self._fin:
            self._read(True)
            self._transport.write_eof()
        else:
            self.close()

    def _read(self, on: bool) -> None:
        transport = self._transport
        if transport is not None and not transport.is_closing():
            transport.resume_reading() if on else transport.pause_reading()

    def close(self) -> None:
        """Close after what was written has been sent."""
        self._phase = CLOSING
        self._since = self._context.now
        if self._transport is not None:
            self._transport.close()

    def _reset(self) -> None:
        """Close at once, visibly incomplete."""
        self._phase = CLOSING
        transport = self._transport
        if transport is None:
            return
        sock = transport.get_extra_info("socket")
        if sock is not None and sock.family != socket.AF_UNIX:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        transport.abort()

    def _still_there(self) -> None:
        """A second after the client ended its side: gone, unless it has been sent something and did not protest."""
        if self._phase != ANSWER:
            return
        if not self._sent or self._tcp_closed():
            self._reset()
        self._believed = True

    def _left(self, now: float) -> bool:
        """Whether a client that ended its side turns out to be gone: by a reset, or since nothing is sent that could provoke one."""
        if self._tcp_closed():
            return True
        if self._sent or not self._believed:
            self._sent = self._sent and not self._believed
            self._since = now
        return now - self._since > FIN_QUIET_S

    def _tcp_closed(self) -> bool:
        sock = self._transport.get_extra_info("socket") if self._transport is not None else None
        if sock is None or sock.family == socket.AF_UNIX or not hasattr(socket, "TCP_INFO"):
            return False
        try:
            return bool(sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 1)[0] == _TCP_CLOSED)
        except OSError:
            return True

    def finish_soon(self) -> None:
        """The listener drains: close after the answer in work, or when idle for so long that no request is on its way."""
        self._keep = False
        if self._phase == IDLE and self._context.now - self._since >= QUIET_S:
            self.close()

    @property
    def at_work(self) -> bool:
        """Whether an end now would cut something off."""
        transport = self._transport
        return transport is not None and (self._phase in _AT_WORK or transport.get_write_buffer_size() > 0)

    def abort(self) -> None:
        """The listener's grace is over. What is cut off must not look complete, and to HTTP/1.0 a plain end does."""
        if self.at_work:
            self._reset()
        elif self._transport is not None:
            self._transport.abort()

    def sweep(self, now: float) -> None:
        """Look whether patience has run out."""
        transport, phase = self._transport, self._phase
        if transport is None:
            return
        if self._blocked:
            size, since = self._stalled
            left = transport.get_write_buffer_size()
            if left < size:
                self._stalled = (left, now)
            elif now - since > self._context.patience.stalled_s:
                self._reset()
            return
        if self._fin and self._left(now):
            self._reset()
        elif phase == TUNNEL:
            if self._tunnel is not None and self._tunnel.overdue(now):
                self.close()
        elif self._exchange is not None and (phase == ANSWER or self._exchange.began or self._upload_paused):
            self._exchange.sweep(now)
        else:
            due = self._context.patience.judge(phase, now - self._since)
            if due is Overdue.NOTHING:
                return
            if due is Overdue.TIMEOUT:
                self._refuse(Fault.TOO_SLOW)
            elif due is Overdue.RESET or transport.get_write_buffer_size():
                self._reset()
            else:
                self.close()
