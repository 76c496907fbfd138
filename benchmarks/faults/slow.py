"""Ten thousand slow or silent clients: ``python -m benchmarks.faults.slow [--clients 10000]`` (io).

A fifth of them each: says nothing; drips a head; drips an upload to the app; drips an event; asks for 2 MB and reads nothing. They
come from several addresses of loopback. Other visitors keep asking for pages: their p99 may at most double, the gateway's memory
stay within 512 MiB, and every slow client must be closed when its patience has run out. Then a gateway that may open few files only
is crowded: it says so and serves whom it has.
"""

import argparse
import asyncio
import resource
import sys
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial

import uvloop

from benchmarks.faults.app import App, Connection
from benchmarks.faults.gateways import Gateway, gateways
from benchmarks.faults.visitors import Seen, Visitors
from benchmarks.machine import rss_mib

LIMITS = {"header_timeout": 10, "idle_timeout": 20, "body_progress": 30}
"""Seconds; the idle timeout is shorter than the default, so that a run takes a minute."""
_DRIP_S = 2.0
_SLACK_S = 4.0
"""Over the limit: one sweep, and this process's own lateness with ten thousand clients in its loop."""
_H = b"Host: shop.example\r\n"
_LIMIT_MIB = 512


@dataclass(frozen=True, slots=True)
class Kind:
    """A way of being slow."""

    name: str
    first: bytes
    drip: bytes
    patience_s: float
    reads: bool = True


KINDS = (
    Kind("silent", b"", b"", LIMITS["idle_timeout"]),
    Kind("head drip", b"GET / HTTP/1.1\r\n" + _H + b"X: ", b"y", LIMITS["header_timeout"]),
    Kind("upload drip", b"POST /order HTTP/1.1\r\n" + _H + b"Content-Length: 100000\r\n\r\n", b"z", LIMITS["body_progress"]),
    Kind(
        "event drip",
        b"POST /gw/e HTTP/1.1\r\n" + _H + b"Content-Length: 100000\r\n\r\n" + b" " * 20_000,
        b" ",
        LIMITS["body_progress"],
    ),
    Kind("no reading", b"GET /large HTTP/1.1\r\n" + _H + b"\r\n", b"", LIMITS["body_progress"], reads=False),
)


class _Slow(asyncio.Protocol):
    def __init__(self, kind: Kind, closed: Callable[["_Slow"], None]) -> None:
        self.kind = kind
        self.begun = 0.0
        self.lasted_s = 0.0
        self._closed = closed
        self.transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]
        assert self.transport is not None
        self.begun = time.monotonic()
        if not self.kind.reads:
            self.transport.pause_reading()
        if self.kind.first:
            self.transport.write(self.kind.first)

    def drip(self) -> None:
        """One more byte."""
        if self.transport is not None and self.kind.drip and not self.transport.is_closing():
            self.transport.write(self.kind.drip)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.transport = None
        self.lasted_s = time.monotonic() - self.begun
        self._closed(self)


def _itself(slow: _Slow) -> _Slow:
    return slow


@dataclass(slots=True)
class Crowd:
    """What became of the slow clients."""

    clients: int
    lasted_s: dict[str, list[float]] = field(default_factory=dict)
    open: set[_Slow] = field(default_factory=set)
    refused: int = 0

    def ended(self, slow: _Slow) -> None:
        """One of them was closed."""
        self.open.discard(slow)
        self.lasted_s.setdefault(slow.kind.name, []).append(slow.lasted_s)

    async def gather(self, port: int) -> None:
        """Connect them all, a thousand or so a second, from as many addresses as ports allow."""
        loop = asyncio.get_running_loop()
        for number in range(self.clients):
            kind = KINDS[number % len(KINDS)]
            try:
                slow = _Slow(kind, self.ended)
                await loop.create_connection(
                    partial(_itself, slow), "127.0.0.1", port, local_addr=(f"127.0.0.{2 + number % 8}", 0)
                )
            except OSError:
                self.refused += 1
                continue
            self.open.add(slow)
            if number % 10 == 9:
                await asyncio.sleep(0.008)

    async def drip(self) -> None:
        """Each drips every two seconds, spread over them, until all are closed."""
        while True:
            for index, slow in enumerate(list(self.open)):
                slow.drip()
                if index % 50 == 49:
                    await asyncio.sleep(_DRIP_S / (self.clients / 50))
            await asyncio.sleep(0.05)

    def watch(self) -> None:
        """Those that do not read learn of a reset only by reading."""
        for slow in list(self.open):
            if not slow.kind.reads and slow.transport is not None and time.monotonic() - slow.begun > slow.kind.patience_s:
                slow.transport.resume_reading()


@dataclass(slots=True)
class Report:
    """The figures."""

    crowd: Crowd
    before: Seen
    during: Seen
    peak_mib: float
    late: Counter[str]
    log: str


def page(_number: int) -> bytes:
    """What the others ask for."""
    return b"GET /page HTTP/1.1\r\n" + _H + b"\r\n"


async def _others(port: int, rate: float, seconds: float) -> Seen:
    enough = asyncio.Event()
    asyncio.get_running_loop().call_later(seconds, enough.set)
    return await Visitors(port, page, connections=20).visit(rate, enough)


async def _app() -> tuple[asyncio.Server, str]:
    app = App()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(app), "127.0.0.1", 0)
    return server, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


async def run(clients: int, rate: float) -> Report:
    """Crowd a gateway, watch it and its other visitors."""
    server, upstream = await _app()
    limits = ", ".join(f"{name}: {seconds}s" for name, seconds in LIMITS.items())
    async with gateways("gateway", upstream=upstream, edge=f"limits: {{{limits}}}") as (gateway,):
        await _others(gateway.port, rate, 2)  # warm
        before = await _others(gateway.port, rate, 10)
        crowd = Crowd(clients)
        gathering = asyncio.create_task(crowd.gather(gateway.port))
        dripping = asyncio.create_task(crowd.drip())
        longest = max(LIMITS.values()) + clients / 1000 + 2 * _SLACK_S
        visiting = asyncio.create_task(_others(gateway.port, rate, longest))
        peak = 0.0
        begin = time.monotonic()
        while time.monotonic() - begin < longest:
            await asyncio.sleep(0.25)
            peak = max(peak, rss_mib(gateway.pid))
            crowd.watch()
        during = await visiting
        gathering.cancel()
        dripping.cancel()
        late = Counter(slow.kind.name for slow in crowd.open)
        for kind in KINDS:
            late[kind.name] += sum(lasted > kind.patience_s + _SLACK_S for lasted in crowd.lasted_s.get(kind.name, ()))
        log = gateway.log.read_text()
    server.close()
    return Report(crowd, before, during, peak, +late, log)


async def few_files(files: int = 1024) -> tuple[int, int, bool]:
    """A gateway that may open few files, crowded: connections turned away, answers to those inside, whether the log says so."""
    server, upstream = await _app()
    async with gateways("small", upstream=upstream, files=files) as (gateway,):
        inside = Visitors(gateway.port, page, connections=10)
        enough = asyncio.Event()
        visiting = asyncio.create_task(inside.visit(50, enough))
        await asyncio.sleep(1)
        crowd = [_Slow(KINDS[0], lambda _slow: None) for _ in range(files * 2)]
        for slow in crowd:
            await asyncio.get_running_loop().create_connection(partial(_itself, slow), "127.0.0.1", gateway.port)
        await asyncio.sleep(2)
        turned_away = int(gateway.metrics().get("rejected", 0))
        enough.set()
        seen = await visiting
        said = _said(gateway)
        for slow in crowd:
            if slow.transport is not None:
                slow.transport.abort()
    server.close()
    return turned_away, len(seen.failed), said


def _said(gateway: Gateway) -> bool:
    log = gateway.log.read_text()
    return "limit of open files" in log and "connections turned away" in log


def main() -> None:
    """Print the figures; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.slow", description="Ten thousand slow or silent clients.")
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=200, help="requests a second of the other visitors")
    args = parser.parse_args()
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    report = uvloop.run(run(args.clients, args.rate))
    crowd = report.crowd
    for kind in KINDS:
        lasted = sorted(crowd.lasted_s.get(kind.name, [0.0]))
        print(f"{kind.name}: {len(lasted)} closed after {lasted[0]:.1f} to {lasted[-1]:.1f} s, patience {kind.patience_s:.0f} s")
    before, during = report.before.percentile_ms(0.99), report.during.percentile_ms(0.99)
    print(
        f"{crowd.clients} slow clients ({crowd.refused} could not connect): late or still open {dict(report.late)}; others' p99 {before:.2f} ms before, "
        f"{during:.2f} ms during, {len(report.during.failed)} of {report.during.sent} failed; memory at most {report.peak_mib:.0f} MiB"
    )
    turned_away, failed, said = uvloop.run(few_files())
    print(
        f"with 1024 files: {turned_away} connections turned away, {failed} requests of those inside failed, the log says so: {said}"
    )
    good = not report.late and not report.during.failed and during <= 2 * before and report.peak_mib <= _LIMIT_MIB
    sys.exit(0 if good and turned_away and not failed and said else 1)


if __name__ == "__main__":
    main()
