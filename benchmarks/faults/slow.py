"""Ten thousand slow or silent clients: ``python -m benchmarks.faults.slow [--clients 10000]`` (io).

A fifth of them each: says nothing; drips a head; drips an upload to the app; drips an event; asks for 5 MB and reads nothing. They
come from several addresses of loopback. Other visitors keep asking for pages: their p99 may at most double, the gateway's memory
stay within 512 MiB, and every slow client must be closed when its patience has run out. Then a gateway that may open few files only
is crowded, by clients that say nothing and by such as wait for an app that does not answer: it says so, serves whom it has, refuses
the rest in plain words and stays alive. The crowd, the app and the others are processes of their own, so that no one's lateness
is taken for the gateway's; but they share a core, and the app has the crowd's large answers to write. What that costs is told by as many
pages that are asked of the app straight: a word beside the figure, which is judged by the doubling alone.
"""

import argparse
import asyncio
import json
import math
import os
import resource
import socket
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial

import uvloop

from benchmarks.faults.gateways import Gateway, gateways
from benchmarks.faults.visitors import Seen, Visitors
from benchmarks.machine import load_core, rss_mib, server_core

LIMITS = {"header_timeout": 10, "idle_timeout": 20, "body_progress": 30}
"""Seconds; the idle timeout is shorter than the default, so that a run takes a minute."""
_DRIP_S = 2.0
_TOGETHER = 10
"""Clients that drip in one go: they are machines of their own, and no more of them would coincide."""
_SLACK_S = 4.0
"""Over the limit: one sweep, and this process's own lateness with ten thousand clients in its loop."""
_H = b"Host: shop.example\r\n"
_LIMIT_MIB = 512
_MOST_GROWN = 2.0
"""By what factor the others' p99 may grow."""


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
        self.begun = time.monotonic()

    def begin(self) -> None:
        """Say what there is to say. Reading is stopped first: before the connection is made, that has no effect."""
        if self.transport is None:
            return
        if not self.kind.reads:
            self.transport.pause_reading()
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
    kinds: Sequence[Kind] = KINDS
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
            kind = self.kinds[number % len(self.kinds)]
            try:
                slow = _Slow(kind, self.ended)
                sock = socket.socket()
                sock.setblocking(False)
                if not kind.reads:
                    sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16384)  # else the kernel takes megabytes for it
                sock.bind((f"127.0.0.{2 + number % 8}", 0))
                await loop.sock_connect(sock, ("127.0.0.1", port))
                await loop.create_connection(partial(_itself, slow), sock=sock)
                slow.begin()
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
                if index % _TOGETHER == _TOGETHER - 1:
                    await asyncio.sleep(_DRIP_S / (self.clients / _TOGETHER))
            await asyncio.sleep(0.05)

    def watch(self) -> None:
        """Those that do not read learn of a reset only by reading, which must not begin before it is due."""
        for slow in list(self.open):
            if (
                not slow.kind.reads
                and slow.transport is not None
                and time.monotonic() - slow.begun > slow.kind.patience_s + _SLACK_S
            ):
                slow.transport.resume_reading()


async def crowd(port: int, clients: int, kinds: Sequence[Kind]) -> Crowd:
    """Gather, drip and watch until every patience must have run out."""
    gathered = Crowd(clients, kinds)
    dripping = asyncio.create_task(gathered.drip())
    await gathered.gather(port)
    end = time.monotonic() + max(LIMITS.values()) + 3 * _SLACK_S
    while gathered.open and time.monotonic() < end:
        await asyncio.sleep(0.25)
        gathered.watch()
    dripping.cancel()
    return gathered


@dataclass(slots=True)
class Report:
    """The figures."""

    lasted_s: dict[str, list[float]]
    refused: int
    before: Seen
    during: Seen
    straight_before: Seen
    """The same asked of the app, past the gateway."""
    straight_during: Seen
    peak_mib: float
    late: Counter[str]
    left: dict[str, int]
    """The gateway's own counts at the end."""

    @property
    def good(self) -> bool:
        """Whether every promise was kept."""
        return not self.late and not self.during.failed and self.grown <= _MOST_GROWN and self.peak_mib <= _LIMIT_MIB

    @property
    def grown(self) -> float:
        """By what factor the others' p99 has grown, against the undisturbed one."""
        return _factor(self.before, self.during)

    @property
    def straight_grown(self) -> float:
        """The same for the pages asked of the app straight."""
        return _factor(self.straight_before, self.straight_during)


def _factor(before: Seen, during: Seen) -> float:
    undisturbed = before.percentile_ms(0.99)
    return during.percentile_ms(0.99) / undisturbed if undisturbed else math.inf


def page(_number: int) -> bytes:
    """What the others ask for."""
    return b"GET /page HTTP/1.1\r\n" + _H + b"\r\n"


async def _others(port: int, rate: float, until: float | asyncio.Event) -> Seen:
    """The other visitors, for so many seconds or until the event."""
    enough = until if isinstance(until, asyncio.Event) else asyncio.Event()
    if not isinstance(until, asyncio.Event):
        asyncio.get_running_loop().call_later(until, enough.set)
    return await Visitors(port, page, connections=20).visit(rate, enough)


@asynccontextmanager
async def _app() -> AsyncIterator[str]:
    """The app's address, while it runs."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(4096)
        command = [sys.executable, "-m", "benchmarks.faults.app", str(listening.fileno())]
        process = await asyncio.create_subprocess_exec(*command, pass_fds=[listening.fileno()])
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            process.kill()
            await process.wait()


async def run(clients: int, rate: float, kinds: Sequence[Kind]) -> Report:
    """Crowd a gateway, watch it and its other visitors."""
    limits = ", ".join(f"{name}: {seconds}s" for name, seconds in LIMITS.items())
    os.sched_setaffinity(0, {load_core()})
    edge = f"limits: {{{limits}}}"
    async with _app() as upstream, gateways("gateway", upstream=upstream, edge=edge, core=server_core()) as (gateway,):
        app = int(upstream.rpartition(":")[2])
        await _others(gateway.port, rate, 2)  # warm
        before, straight_before = await asyncio.gather(_others(gateway.port, rate, 20), _others(app, rate, 20))
        command = [sys.executable, "-m", "benchmarks.faults.slow", "--crowd", str(gateway.port), "--clients", str(clients)]
        command += [word for kind in kinds for word in ("--kind", kind.name)]
        crowding = await asyncio.create_subprocess_exec(*command, stdout=asyncio.subprocess.PIPE)
        enough = asyncio.Event()
        visiting = asyncio.gather(_others(gateway.port, rate, enough), _others(app, rate, enough))
        said = asyncio.create_task(crowding.communicate())
        peak = 0.0
        while not said.done():
            await asyncio.sleep(0.25)
            peak = max(peak, rss_mib(gateway.pid))
        enough.set()
        left = gateway.metrics()
        found = json.loads((await said)[0])
        during, straight_during = await visiting
    late = Counter(found["open"])
    for kind in KINDS:
        late[kind.name] += sum(lasted > kind.patience_s + 2 * _SLACK_S for lasted in found["lasted_s"].get(kind.name, ()))
    return Report(
        found["lasted_s"],
        found["refused"],
        before,
        during,
        straight_before,
        straight_during,
        peak,
        +late,
        {name: int(left[name]) for name in ("upstream_connections", "tunnels", "waiting_bytes", "given_up")},
    )


async def few_files(files: int = 1024) -> tuple[int, int, bool]:
    """A gateway that may open few files, crowded: connections turned away, answers to those inside, whether the log says so."""
    async with _app() as upstream, gateways("small", upstream=upstream, files=files) as (gateway,):
        inside = Visitors(gateway.port, page, connections=10)
        enough = asyncio.Event()
        visiting = asyncio.create_task(inside.visit(50, enough))
        await asyncio.sleep(1)
        silent = [_Slow(KINDS[0], lambda _slow: None) for _ in range(files * 2)]
        for slow in silent:
            await asyncio.get_running_loop().create_connection(partial(_itself, slow), "127.0.0.1", gateway.port)
        await asyncio.sleep(2)
        turned_away = int(gateway.metrics().get("rejected", 0))
        enough.set()
        seen = await visiting
        said = _said(gateway)
        for slow in silent:
            if slow.transport is not None:
                slow.transport.abort()
    return turned_away, len(seen.failed), said


def _said(gateway: Gateway) -> bool:
    log = gateway.log.read_text()
    return "limit of open files" in log and "connections turned away" in log


class _Busy(asyncio.Protocol):
    """Asks for what the app does not finish, and notes what it is told."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self.heard = b""
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def ask(self, request: bytes) -> None:
        """Forget what was heard, send."""
        self.heard = b""
        assert self.transport is not None
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.heard += data

    def connection_lost(self, exc: BaseException | None) -> None:
        self.lost = True


@dataclass(slots=True)
class BusyEnd:
    """A gateway with few files, full of busy clients."""

    answers: Counter[str] = field(default_factory=Counter)
    """What the busy ones were told; ``""`` is a client cut off without a word."""
    alive: bool = False
    """``/livez`` of a gateway that is full."""
    ours: str = ""
    """Status of the script, asked by a client that was refused its page."""
    said: bool = False
    """Whether the log names descriptors."""
    cannot: bool = False
    """Whether it tells of anything that could not be done for want of them."""

    @property
    def good(self) -> bool:
        """Served or refused in plain words, all of them."""
        return set(self.answers) == {"200", "503"} and self.alive and self.ours == "200" and self.said and not self.cannot


async def _until(condition: Callable[[], bool], seconds: float = 20) -> None:
    loop = asyncio.get_running_loop()
    deadline = loop.time() + seconds
    while not condition() and loop.time() < deadline:  # noqa: ASYNC110 - what other processes do sets no events
        await asyncio.sleep(0.05)


async def busy_files(files: int = 1280, clients: int = 760) -> BusyEnd:
    """A gateway that may open few files, and clients that each need two of them."""
    end = BusyEnd()
    loop = asyncio.get_running_loop()
    async with _app() as upstream, gateways("small", upstream=upstream, files=files) as (gateway,):
        busy = [(await loop.create_connection(_Busy, "127.0.0.1", gateway.port))[1] for _ in range(clients)]
        # whom it has not accepted when the first begin to ask it may turn away at the door
        await _until(lambda: gateway.metrics().get("connections", 0) >= clients)
        for each in busy:
            each.ask(b"GET /events HTTP/1.1\r\n" + _H + b"\r\n")
        await _until(lambda: all(each.heard or each.lost for each in busy))
        end.answers.update(each.heard[9:12].decode() for each in busy)
        end.alive = await asyncio.to_thread(gateway.alive)
        refused = next((each for each in busy if each.heard[9:12] == b"503" and not each.lost), None)
        if refused is not None:
            refused.ask(b"GET /gw/s.js HTTP/1.1\r\n" + _H + b"\r\n")
            await _until(lambda: bool(refused.heard) or refused.lost)
            end.ours = refused.heard[9:12].decode()
        await _until(lambda: "no file descriptors are left" in gateway.log.read_text())
        log = gateway.log.read_text()
        end.said, end.cannot = "no file descriptors are left" in log, "cannot" in log or "not available" in log
        for each in busy:
            if each.transport is not None:
                each.transport.abort()
    return end


def _windows(seen: Seen, rate: float) -> list[str]:
    """The p99 of each four seconds, in milliseconds."""
    size = int(rate * 4)
    return [
        f"{Seen(latencies_s=seen.latencies_s[at : at + size]).percentile_ms(0.99):.1f}"
        for at in range(0, len(seen.latencies_s), size)
    ]


def main() -> None:
    """Print the figures; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.slow", description="Ten thousand slow or silent clients.")
    parser.add_argument("--clients", type=int, default=10_000)
    parser.add_argument("--rate", type=float, default=200, help="requests a second of the other visitors")
    parser.add_argument("--kind", action="append", choices=[kind.name for kind in KINDS], help="only these ways of being slow")
    parser.add_argument("--crowd", type=int, help=argparse.SUPPRESS)
    args = parser.parse_args()
    kinds = [kind for kind in KINDS if not args.kind or kind.name in args.kind]
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if args.crowd:
        os.nice(15)  # it is many machines' work: on one, it must not take the others' turns
        gathered = uvloop.run(crowd(args.crowd, args.clients, kinds))
        still = Counter(slow.kind.name for slow in gathered.open)
        print(json.dumps({"lasted_s": gathered.lasted_s, "refused": gathered.refused, "open": still}))
        return
    report = uvloop.run(run(args.clients, args.rate, kinds))
    for kind in kinds:
        lasted = sorted(report.lasted_s.get(kind.name, [0.0]))
        print(f"{kind.name}: {len(lasted)} closed after {lasted[0]:.1f} to {lasted[-1]:.1f} s, patience {kind.patience_s:.0f} s")
    before, during = report.before.percentile_ms(0.99), report.during.percentile_ms(0.99)
    print(
        f"{args.clients} slow clients ({report.refused} could not connect): late or still open {dict(report.late)}; others' p99 {before:.2f} ms before, "
        f"{during:.2f} ms during, {len(report.during.failed)} of {report.during.sent} failed; memory at most {report.peak_mib:.0f} MiB; left in the gateway {report.left}"
    )
    print("others' p99 by four seconds:", *_windows(report.during, args.rate), "ms")
    print(
        f"straight to the app: p99 {report.straight_before.percentile_ms(0.99):.2f} ms before, {report.straight_during.percentile_ms(0.99):.2f} ms during; "
        "by four seconds:",
        *_windows(report.straight_during, args.rate),
        "ms",
    )
    print(
        f"others' p99 grew {report.grown:.2f}-fold, at most {_MOST_GROWN:.1f} is promised: {'kept' if report.grown <= _MOST_GROWN else 'MISSED'}; "
        f"straight to the app it grew {report.straight_grown:.2f}-fold"
    )
    turned_away, failed, said = uvloop.run(few_files())
    print(
        f"with 1024 files: {turned_away} connections turned away, {failed} requests of those inside failed, the log says so: {said}"
    )
    busy = uvloop.run(busy_files())
    print(
        f"with 1280 files and 760 clients that need two each: answers {dict(busy.answers)}, /livez answers: {busy.alive}, the script: {busy.ours}, "
        f"the log names descriptors: {busy.said}, something could not be done: {busy.cannot}"
    )
    sys.exit(0 if report.good and turned_away and not failed and said and busy.good else 1)


if __name__ == "__main__":
    main()
