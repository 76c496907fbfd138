"""Keep-alive HTTP/1.1 client connections that send prepared bytes and read only what a benchmark needs of the answers.

Law: no parsing beyond status and Content-Length or chunked end, no validation: the generator must cost less than what it measures.
One request per connection is in flight at a time.
"""

import asyncio
from collections.abc import Callable

OnAnswer = Callable[[int, float], None]
"""Called with (HTTP status, the request's tag)."""


class Connection(asyncio.Protocol):
    """One keep-alive connection. ``send`` only while :attr:`idle`; a lost connection reports status 0 for what was in flight."""

    __slots__ = ("_buffer", "_chunked", "_need", "_on_answer", "_on_lost", "_status", "_tag", "idle", "transport")

    def __init__(self, on_answer: "Callable[[Connection, int, float], None]", on_lost: "Callable[[Connection], None]") -> None:
        self._on_answer = on_answer
        self._on_lost = on_lost
        self._buffer = b""
        self._need = -1
        self._chunked = False
        self._status = 0
        self._tag = 0.0
        self.idle = True
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def connection_lost(self, exc: Exception | None) -> None:
        self.transport = None
        if not self.idle:
            self.idle = True
            self._on_answer(self, 0, self._tag)
        self._on_lost(self)

    def send(self, request: bytes, tag: float) -> None:
        """Send one prepared request; ``tag`` comes back with its answer."""
        if self.transport is None:
            self._on_answer(self, 0, tag)
            return
        self.idle = False
        self._tag = tag
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        if self._need < 0:
            data = self._buffer + data if self._buffer else data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._buffer = data
                return
            head = data[:end].lower()
            self._buffer = b""
            self._status = int(head[9:12])
            at = head.find(b"content-length:")
            self._chunked = False
            if at >= 0:
                stop = head.find(b"\r\n", at)
                self._need = int(head[at + 15 : stop if stop >= 0 else len(head)])
            elif b"chunked" in head:
                self._chunked = True
                self._need = 1
            else:
                self._need = 0
            data = data[end + 4 :]
        if self._chunked:
            # Enough for a benchmark's own origins: the last chunk ends the buffer.
            tail = (self._buffer + data)[-5:]
            self._buffer = tail
            if tail != b"0\r\n\r\n":
                return
            self._buffer = b""
            self._need = 0
        else:
            self._need -= len(data)
        if self._need <= 0:
            self._need = -1
            self.idle = True
            self._on_answer(self, self._status, self._tag)
