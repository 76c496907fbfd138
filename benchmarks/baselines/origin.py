"""The site's app for proxy figures: ``/1k`` and ``/32k`` of a page from memory, on a bare protocol. ``python -m benchmarks.baselines.origin PORT``."""

import asyncio
import sys

import uvloop


def _page(size: int) -> bytes:
    body = (b"<!doctype html><title>page</title>" + b"x" * size)[:size]
    return (
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\nCache-Control: max-age=60\r\nContent-Length: %d\r\n\r\n%b"
        % (size, body)
    )


_SMALL, _LARGE = _page(1024), _page(32 * 1024)


class _Origin(asyncio.Protocol):
    """Answers bodiless requests only, which is all the benchmarks send it."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._buffer = b""

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, self._buffer = self._buffer[:end], self._buffer[end + 4 :]
            self._transport.write(_LARGE if head.startswith(b"GET /32k") else _SMALL)  # type: ignore[attr-defined]


async def _main(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Origin, "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(_main(int(sys.argv[1])))
