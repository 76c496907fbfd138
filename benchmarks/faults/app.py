"""A site's app for faults (io): keep-alive, slow answers, streams, websockets, and an end without a word.

``python -m benchmarks.faults.app FD [--log FILE] [--keep-alive S]`` serves on an inherited listening socket, so that a successor
can take over without a gap. SIGTERM: finish what runs, close idle connections at once, end. Every POST read is noted in the log.
"""

import argparse
import asyncio
import re
import signal
import socket
from pathlib import Path

import uvloop

_PAGE = b"HTTP/1.1 200 OK\r\nContent-Length: 1024\r\n\r\n" + b"x" * 1024
_PIECE = bytes(50_000)
_PIECES = 100
_LARGE = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % (len(_PIECE) * _PIECES)
_STREAM = b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
_SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n\x81\x02hi"
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
SLOW_S = 0.3


class App:
    """What the connections share."""

    def __init__(self, log: Path | None = None, keep_alive_s: float = 60.0) -> None:
        self.keep_alive_s = keep_alive_s
        self.open: set[Connection] = set()
        self.ending = False
        self._log = log.open("ab", buffering=0) if log else None

    def note(self, target: bytes) -> None:
        """A POST has been read."""
        if self._log is not None:
            self._log.write(target + b"\n")

    def end(self) -> None:
        """Close what is idle now, the rest as it is answered."""
        self.ending = True
        for connection in list(self.open):
            connection.close_if_idle()


class Connection(asyncio.Protocol):
    """One connection from the gateway."""

    def __init__(self, app: App) -> None:
        self._app = app
        self._data = b""
        self._busy = False
        self._raw = False
        self._expiry: asyncio.TimerHandle | None = None
        self._pieces = 0
        """Of a large answer, still to be written."""
        self._full = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport: asyncio.Transport = transport  # type: ignore[assignment]
        self._app.open.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._app.open.discard(self)
        if self._expiry is not None:
            self._expiry.cancel()

    def close_if_idle(self) -> None:
        """Without a word, as apps do."""
        if not self._busy and not self._data:
            self._transport.close()

    def data_received(self, data: bytes) -> None:
        if self._raw:
            return
        self._data += data
        if not self._busy:
            self._next()

    def _next(self) -> None:
        head, mark, rest = self._data.partition(b"\r\n\r\n")
        if not mark:
            return
        length = _LENGTH.search(head)
        size = int(length[1]) if length else 0
        if len(rest) < size:
            return
        self._data = rest[size:]
        method, target, _ = head.split(b" ", 2)
        self._busy = True
        if self._expiry is not None:
            self._expiry.cancel()
        if method == b"POST":
            self._app.note(target)
        if target.startswith(b"/slow"):
            asyncio.get_running_loop().call_later(SLOW_S, self._answer, _PAGE)
        elif target.startswith((b"/events", b"/ws")):
            self._raw = True
            self._transport.write(_STREAM if target.startswith(b"/events") else _SWITCHED)
        elif target.startswith(b"/large"):
            # a kernel that took megabytes of each large answer would keep this process busy, and the others' pages waiting
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 32768)
            self._pieces = _PIECES
            self._transport.write(_LARGE)
            self.resume_writing()
        else:
            self._answer(_PAGE)

    def pause_writing(self) -> None:
        self._full = True

    def resume_writing(self) -> None:
        self._full = False
        while self._pieces and not self._full and not self._transport.is_closing():
            self._pieces -= 1
            if self._pieces:
                self._transport.write(_PIECE)
            else:
                self._answer(_PIECE)

    def _answer(self, answer: bytes) -> None:
        self._busy = False
        if self._transport.is_closing():
            return
        self._transport.write(answer)
        if self._data:
            self._next()
        elif self._app.ending:
            self._transport.close()
        else:
            self._expiry = asyncio.get_running_loop().call_later(self._app.keep_alive_s, self.close_if_idle)


async def _main(listening: socket.socket, app: App) -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Connection(app), sock=listening)
    ending = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, ending.set)
    await ending.wait()
    server.close()
    app.end()
    while app.open:  # noqa: ASYNC110 - the end of a small program
        await asyncio.sleep(0.01)


def main() -> None:
    """Serve until SIGTERM."""
    parser = argparse.ArgumentParser()
    parser.add_argument("fd", type=int)
    parser.add_argument("--log", type=Path)
    parser.add_argument("--keep-alive", type=float, default=60.0)
    args = parser.parse_args()
    uvloop.run(_main(socket.socket(fileno=args.fd), App(args.log, args.keep_alive)))


if __name__ == "__main__":
    main()
