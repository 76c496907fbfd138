"""Clients that leave: ``python -m benchmarks.faults.disconnects [--times 10000]`` (io).

Event streams and websockets, left by reset, by an end, before the answer and in the middle of it. Afterwards nothing may be left in
the process: no connection, tunnel, task, descriptor or object of the wire, and a second round may not need more memory.
"""

import argparse
import asyncio
import contextlib
import gc
import os
import random
import socket
import struct
import sys
from dataclasses import dataclass

import uvloop

from benchmarks.faults.app import App, Connection
from benchmarks.faults.wire import Desk
from benchmarks.machine import rss_mib
from gateway.edge import limits
from gateway.edge.connection import AppConnection
from gateway.edge.listener import Listener
from gateway.edge.protocol import EdgeProtocol
from gateway.edge.proxy import Exchange
from gateway.edge.settings import EdgeSettings
from gateway.edge.tunnel import Tunnel
from gateway.telemetry import tasks

_H = b"Host: shop.example\r\n"
_STREAM = b"GET /events HTTP/1.1\r\n" + _H + b"\r\n"
_SOCKET = b"GET /ws HTTP/1.1\r\n" + _H + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n"
_RESET = struct.pack("ii", 1, 0)
_AT_ONCE = 200
_PATIENCE_S = 10.0
_OURS = (EdgeProtocol, Exchange, AppConnection, Tunnel)


@dataclass(slots=True)
class Left:
    """What is still there."""

    counts: dict[str, int]
    objects: int
    tasks: list[str]
    files: int
    rss_mib: float


class _Metrics:
    def observe_http(self, route: str, status: int, seconds: float) -> None:
        """Nobody looks."""


async def _leave(port: int, number: int, rng: random.Random) -> None:
    """One visit that ends badly."""
    request = _STREAM if number % 2 else _SOCKET
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    how = rng.randrange(5)
    writer.write(request if how else request[: rng.randrange(len(request))])
    if how > 1:
        await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), _PATIENCE_S)
        if number % 2 == 0 and how > 3:
            writer.write(b"\x82" + bytes(rng.randrange(5000)))
    match number // 2 % 3:
        case 0:
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            writer.transport.abort()
        case 1:
            writer.write_eof()
            with contextlib.suppress(ConnectionError, TimeoutError):
                await asyncio.wait_for(reader.read(-1), 2.0)
            writer.close()
        case _:
            writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def run(times: int, rounds: int = 2) -> list[Left]:
    """What is left at the beginning and after each round."""
    app = App()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(app), "127.0.0.1", 0)
    upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    listener = Listener(EdgeSettings(listen="127.0.0.1:0", upstream=upstream), Desk(lambda _asked: None), _Metrics())
    await listener.start()
    rng = random.Random(1)
    found = []
    try:
        await _round(listener.port, min(times, _AT_ONCE), rng)
        found.append(await _left(listener, app))
        for _ in range(rounds):
            await _round(listener.port, times, rng)
            found.append(await _left(listener, app))
    finally:
        await listener.close()
        server.close()
    return found


async def _round(port: int, times: int, rng: random.Random) -> None:
    for first in range(0, times, _AT_ONCE):
        await asyncio.gather(*[_leave(port, number, rng) for number in range(first, min(times, first + _AT_ONCE))])


async def _left(listener: Listener, app: App) -> Left:
    """Wait until the listener says that nothing is there, then count."""

    def busy() -> bool:
        counts = listener.counts()
        return bool(app.open) or any(counts[what] for what in ("connections", "tunnels", "upstream_connections", "waiting_bytes"))

    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(_PATIENCE_S):
            while busy():  # noqa: ASYNC110 - counts of the gateway, which sets no events
                await asyncio.sleep(0.05)
    await asyncio.sleep(limits.FIN_GRACE_S + 0.25)  # the belief in clients that had ended their side
    gc.collect()
    counts = {what: listener.counts()[what] for what in ("connections", "tunnels", "upstream_connections", "waiting_bytes")}
    objects = sum(isinstance(each, _OURS) for each in gc.get_objects())
    return Left(counts, objects, tasks.running(), len(os.listdir("/proc/self/fd")), rss_mib(os.getpid()))  # noqa: PTH208 - names only


def main() -> None:
    """Print what is left; exit 1 if anything is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.disconnects", description="Clients that leave.")
    parser.add_argument("--times", type=int, default=10_000)
    args = parser.parse_args()
    begin, first, second = uvloop.run(run(args.times))
    for name, left in (("warm", begin), ("first round", first), ("second round", second)):
        print(f"{name}: {left}")
    grown = second.rss_mib - first.rss_mib
    print(
        f"{args.times} disconnects, twice: memory of the second round {grown:+.1f} MiB, descriptors {second.files - begin.files:+d}"
    )
    clean = not any(second.counts.values()) and not second.objects and not second.tasks and second.files == begin.files
    sys.exit(0 if clean and grown < 8 else 1)


if __name__ == "__main__":
    main()
