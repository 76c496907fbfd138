"""What the spool on NATS JetStream costs: ``python -m benchmarks.broker [--seconds 6] [--repeats 3] [--always] [--cluster] [--drain 60000 [--latency 400 --in-flight 1]] [--results FILE]`` (io).

Closed loop, one event a request, as P1 does it: a gateway on SQLite, then an edge that publishes to a broker, alternately. Then a backlog at the broker, drained by one deliverer
by four, and by four of which one is killed -9 halfway. The gateway is pinned to the first core; generator, broker and TikTok's stand-in share the last. Rates depend on both cores; CPU per event is what is left when they do not suffice: where a drain keeps all cores busy
it is judged by what as many deliverers would do on cores of their own.
"""

import argparse
import asyncio
import contextlib
import os
import statistics
import sys
import tempfile
import time
import urllib.request
from dataclasses import asdict, dataclass, field
from pathlib import Path

import orjson
import uvloop

from benchmarks import machine, promises
from benchmarks.faults.life import Life
from benchmarks.faults.servers import Cluster, Server
from benchmarks.load.generator import Generator, Result
from benchmarks.load.requests import collect_request
from benchmarks.promises import Promise
from benchmarks.stack import Part, sandbox_stats, stack

_WARM_UP_S = 1.0
_DRAIN_S = 120.0
_ACK_WAIT_S = 5
_RATIO = 0.6
"""An edge that publishes, at the server's default sync, to a gateway on SQLite."""
_SCALE = 2.5
"""Four deliverers to one."""
_BUSY = 0.8
"""With this share of all cores in use, a rate is theirs and not the deliverers'."""


@dataclass(slots=True)
class Edge:
    """One engine's runs."""

    name: str
    rates: list[float] = field(default_factory=list)
    cpu_us: list[float] = field(default_factory=list)
    broker_us: list[float] = field(default_factory=list)
    p99_ms: list[float] = field(default_factory=list)
    not_ok: int = 0
    away: int = 0
    """Runs after which the breaker was open: they measured the local disk."""

    def take(self, result: Result, cpu_s: float, broker_s: float) -> None:
        """One run."""
        self.rates.append(result.rate)
        self.cpu_us.append(cpu_s / max(1, result.sent) * 1e6)
        self.broker_us.append(broker_s / max(1, result.sent) * 1e6)
        self.p99_ms.append(result.percentiles_ms()["p99"])
        self.not_ok += result.sent - result.ok

    def ratio(self, baseline: "Edge") -> float:
        """Its rate to the other's, run by run."""
        return statistics.median(a / b for a, b in zip(self.rates, baseline.rates, strict=True))

    def as_json(self, baseline: "Edge") -> dict[str, object]:
        """For a file."""
        return asdict(self) | {"ratio": self.ratio(baseline)}

    def line(self, baseline: "Edge") -> str:
        """For a person."""
        return (
            f"{self.name:<32} {statistics.median(self.rates):>7,.0f}/s  {self.ratio(baseline):>5.2f} x sqlite  gateway {statistics.median(self.cpu_us):>4.0f} us, "
            f"broker {statistics.median(self.broker_us):>4.0f} us an event, p99 {statistics.median(self.p99_ms):>5.1f} ms, not 2xx {self.not_ok}, on its own disk {self.away}"
        )


async def _drive(life: Life, run: str, seconds: float, brokers: list[int]) -> tuple[Result, float, float]:
    generator = Generator("127.0.0.1", life.edge, collect_request("127.0.0.1", "/gw/e", run))
    await generator.connect()
    try:
        await generator.closed_loop(_WARM_UP_S)
        assert life.process is not None
        before, broker = machine.cpu_s(life.process.pid), sum(map(machine.cpu_s, brokers))
        result = await generator.closed_loop(seconds)
        return result, machine.cpu_s(life.process.pid) - before, sum(map(machine.cpu_s, brokers)) - broker
    finally:
        generator.close()


async def edges(folder: Path, tiktok: Part, seconds: float, repeats: int, *, always: bool, cluster: bool) -> list[Edge]:
    """SQLite first, then one edge for each kind of broker."""
    single = Server(folder / "default")
    single_always = Server(folder / "always", sync_interval="always")
    three = Cluster(folder / "cluster")
    both = Server(folder / "both")
    found = [Edge("sqlite"), Edge("jetstream, role edge"), Edge("jetstream, role all")]
    lives = [
        _life(folder / "sqlite", tiktok),
        _life(folder / "edge", tiktok, single.url, role="edge"),
        _life(folder / "all", tiktok, both.url),
    ]
    brokers: list[list[Server]] = [[], [single], [both]]
    await both.start(machine.load_core())
    await single.start(machine.load_core())
    if always:
        await single_always.start(machine.load_core())
        found.append(Edge("jetstream, role edge, always"))
        lives.append(_life(folder / "edge-always", tiktok, single_always.url, role="edge"))
        brokers.append([single_always])
    if cluster:
        await three.start()
        for server in three.servers:
            os.sched_setaffinity(server.pid, {machine.load_core()})
        found.append(Edge("jetstream, role edge, 3 x"))
        lives.append(_life(folder / "edge-three", tiktok, three.url, role="edge", replicas=3))
        brokers.append(three.servers)
    try:
        for life in lives:
            await life.start()
            assert life.process is not None
            _pin(life.process.pid, machine.server_core())
        for number in range(repeats):
            for edge, life, servers in zip(found, lives, brokers, strict=True):
                edge.take(*await _drive(life, f"r{number}{found.index(edge)}", seconds, [server.pid for server in servers]))
                edge.away += "\nttgateway_spool_broker_away 1" in await life.metrics()
                print("  " + edge.line(_so_far(found[0], edge)), flush=True)
                await asyncio.sleep(1.0)
    finally:
        for life in lives:
            await life.kill()
        await asyncio.gather(single.kill(), both.kill(), single_always.kill(), three.kill())
    return found


def _so_far(baseline: Edge, edge: Edge) -> Edge:
    return Edge(baseline.name, baseline.rates[: len(edge.rates)])


def _pin(pid: int, core: int) -> None:
    for thread in os.listdir(f"/proc/{pid}/task"):  # noqa: PTH208 - names only
        with contextlib.suppress(ProcessLookupError):
            os.sched_setaffinity(int(thread), {core})


def _life(state: Path, tiktok: Part, url: str = "", *, role: str = "all", replicas: int = 1) -> Life:
    state.mkdir(parents=True)
    # Patient: what is measured is the broker, not the disk that stands in for it on a busy machine.
    engine = (
        f'kind: jetstream, url: "{url}", stream: bench, replicas: {replicas}, publish_timeout: 2s, ack_wait: {_ACK_WAIT_S}s'
        if url
        else ""
    )
    return Life(state, tiktok.port, max_bytes="1GiB", engine=engine, role=role)


@dataclass(slots=True)
class Drained:
    """A backlog and those who worked it off."""

    deliverers: int
    events: int
    seconds: float
    cpu_us: float
    """Of all deliverers together, per event."""
    broker_us: float
    repeated: int
    shares: list[float]
    """CPU seconds of each deliverer."""
    busy: float
    """Share of all cores that deliverers, broker and TikTok's stand-in used."""
    after_kill_s: float = 0.0
    """From one deliverer's kill until TikTok's stand-in had everything; 0 = none was killed."""

    @property
    def rate(self) -> float:
        """Events a second."""
        return self.events / self.seconds

    def line(self) -> str:
        """For a person."""
        took = f"{self.deliverers} deliverers: {self.events:,} events in {self.seconds:.1f} s = {self.rate:,.0f}/s; twice {self.repeated}"
        if self.after_kill_s:
            return f"{took}; one killed halfway, all there {self.after_kill_s:.1f} s later (ack_wait {_ACK_WAIT_S} s)"
        shares = ", ".join(f"{share:.1f}" for share in self.shares)
        return f"{took}; deliverers {self.cpu_us:.0f} us, broker {self.broker_us:.0f} us an event; CPU seconds each {shares}"


async def drain(folder: Path, tiktok: Part, count: int, deliverers: int, delivery: str, *, kill: bool = False) -> Drained:
    """Fill, then start ``deliverers`` at once and wait until TikTok's stand-in has all; ``kill`` = one of them when half is there."""
    server = Server(folder / "broker")
    await server.start()
    edge = _life(folder / "edge", tiktok, server.url, role="edge")
    lives = [_life(folder / f"deliver-{n}", tiktok, server.url, role="deliver") for n in range(deliverers)]
    for life in lives:
        life.delivery = delivery
    before = sandbox_stats(tiktok.port)
    try:
        await edge.start()
        generator = Generator(
            "127.0.0.1", edge.edge, collect_request("127.0.0.1", "/gw/e", f"d{deliverers}{kill}"[:8], batch=50), connections=16
        )
        await generator.connect()
        sent = 0
        while sent < count:
            sent += (await generator.closed_loop(1.0)).ok * 50
        generator.close()
        await asyncio.gather(*(life.start() for life in lives))
        begin, killed_at = time.monotonic(), 0.0
        base, broker = [machine.cpu_s(_pid(life)) for life in lives], machine.cpu_s(server.pid)
        receiver = machine.cpu_s(tiktok.pid)
        while (stats := await asyncio.to_thread(sandbox_stats, tiktok.port))["unique"] - before["unique"] < sent:
            if kill and not killed_at and stats["unique"] - before["unique"] > sent / 2:
                await lives[0].kill()
                killed_at = time.monotonic()
            if time.monotonic() - begin > _DRAIN_S:
                raise RuntimeError(f"not drained: {stats}")
            await asyncio.sleep(0.05)
        seconds = time.monotonic() - begin
        shares = [machine.cpu_s(_pid(life)) - was for life, was in zip(lives, base, strict=True)]
        at_broker = machine.cpu_s(server.pid) - broker
        busy = (sum(shares) + at_broker + machine.cpu_s(tiktok.pid) - receiver) / seconds / len(machine.cores())
        return Drained(
            deliverers, sent, seconds, sum(shares) / sent * 1e6, at_broker / sent * 1e6,
            stats["duplicates"] - before["duplicates"], shares, busy, time.monotonic() - killed_at if killed_at else 0.0,
        )  # fmt: skip
    finally:
        for life in (edge, *lives):
            await life.kill()
        await server.kill()


def _delay(port: int, latency_ms: int) -> None:
    body = orjson.dumps({"latency_ms": latency_ms} if latency_ms else {})
    request = urllib.request.Request(
        f"http://127.0.0.1:{port}/sandbox/faults", data=body, method="PUT", headers={"Content-Type": "application/json"}
    )
    urllib.request.urlopen(request, timeout=5).close()


def _pid(life: Life) -> int:
    assert life.process is not None
    return life.process.pid


def promised_of_edges(found: list[Edge]) -> list[Promise]:
    """``found`` = SQLite, role edge, and whatever else was measured."""
    sqlite, edge = found[:2]
    return [
        Promise("an edge's rate to SQLite's", edge.ratio(sqlite), _RATIO, floor=True),
        Promise("answers that were not 2xx", sum(each.not_ok for each in found), 0),
        Promise("runs of that edge on its own disk", edge.away, 0),
    ]


def promised_of_drains(one: Drained, four: Drained) -> list[Promise]:
    """By rate, or by the CPU of an event where the cores were the limit."""
    if four.busy < _BUSY:
        return [Promise(f"{four.deliverers} deliverers' rate to one's", four.rate / one.rate, _SCALE, floor=True)]
    scale = four.deliverers * one.cpu_us / four.cpu_us
    return [Promise(f"{four.deliverers} deliverers to one by CPU an event, the cores being busy", scale, _SCALE, floor=True)]


def main() -> None:
    """Print the figures and keep them; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.broker", description="The cost of the spool on NATS JetStream.")
    parser.add_argument("--seconds", type=float, default=6)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--always", action="store_true", help="also with sync_interval: always")
    parser.add_argument("--cluster", action="store_true", help="also with three servers and three replicas")
    parser.add_argument("--drain", type=int, default=0, help="drain a backlog of so many events with one deliverer and with four")
    parser.add_argument("--in-flight", type=int, default=8, help="requests under way per deliverer")
    parser.add_argument("--latency", type=int, default=0, help="milliseconds that TikTok's stand-in takes, for --drain")
    parser.add_argument("--results", type=Path, default=promises.RESULTS / "broker.json", help="where the figures are kept")
    args = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory(prefix="ttgateway-broker-") as folder, stack(Path(folder) / "stack") as parts:
        tiktok = parts.sandbox()
        described = machine.describe(Path(folder))
        if args.repeats:
            found = uvloop.run(edges(Path(folder), tiktok, args.seconds, args.repeats, always=args.always, cluster=args.cluster))
            for edge in found:
                print(edge.line(found[0]))
            promised = promised_of_edges(found)
            kept = promises.judge(promised)
            figures = {edge.name: edge.as_json(found[0]) for edge in found}
            promises.keep(args.results, "edges", "benchmarks.broker", figures, promised, described)
        if args.drain:
            drains = []
            for deliverers, kill in ((1, False), (4, False), (4, True)):
                _delay(tiktok.port, args.latency)
                at, more = Path(folder) / f"drain-{deliverers}{kill}", f"in_flight: {args.in_flight}"
                drains.append(uvloop.run(drain(at, tiktok, args.drain, deliverers, more, kill=kill)))
                print(drains[-1].line(), flush=True)
            promised = promised_of_drains(*drains[:2])
            kept = promises.judge(promised) and kept
            figures = {name: asdict(each) for name, each in zip(("one", "four", "one of four killed"), drains, strict=True)}
            promises.keep(args.results, "drain", "benchmarks.broker", figures, promised, described)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
