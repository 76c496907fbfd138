"""Three NATS servers, three replicas: ``python -m benchmarks.faults.cluster [--rate 400] [--away 60] [--kills 3] [--seed 1]`` (io).

Events keep coming at one edge while whoever leads the queue's stream is killed -9, and started again when the others have gone on without it; then all three are away for a minute.
Judged: every request is answered 200, how long the answers took through each election, and that TikTok's stand-in gets everything that was acknowledged.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.faults.life import Life, missing, queued
from benchmarks.faults.receiver import Receiver
from benchmarks.faults.servers import Cluster
from benchmarks.faults.visitors import Seen, Visitors
from benchmarks.load.requests import collect_request, event_id
from benchmarks.ports import free_port

_STREAM = "cluster"
_RUN = "cluster"
_ELECTION_S = 10.0
"""A leader's loss was seen to take four to five seconds."""
_PATIENCE_S = 120.0


@dataclass(slots=True)
class Phase:
    """What the visitors saw meanwhile."""

    name: str
    seen: Seen
    took_s: float = 0.0
    """Until the stream had a leader again, or everything had been forwarded."""
    on_disk: int = 0
    """Records on the edge's own disk at most."""


@dataclass(slots=True)
class Figures:
    """What came out."""

    phases: list[Phase] = field(default_factory=list)
    sent: int = 0
    lost: int = 0
    strangers: int = 0
    repeated: int = 0
    unaccounted: int = 0
    """In the metrics at the end, when nothing moves any more."""

    @property
    def failed(self) -> int:
        """Requests that were not answered 200."""
        return sum(len(phase.seen.failed) for phase in self.phases)

    @property
    def election_ms(self) -> float:
        """The highest p99 of those phases in which a leader was killed."""
        return max((phase.seen.percentile_ms(0.99) for phase in self.phases if phase.name.startswith("leader")), default=0.0)

    def kept(self, *, timings: bool) -> bool:
        """Whether all promises were kept; ``timings`` = those too that depend on what else the machine does."""
        sound = not (self.failed or self.lost or self.strangers or self.unaccounted) and self.sent > 0
        return sound and (not timings or self.election_ms <= 250)


class Run:
    """A cluster, an edge, a deliverer."""

    def __init__(self, folder: Path, rate: float, delivery: str = "") -> None:
        self.figures = Figures()
        self.receiver = Receiver(free_port())
        self.cluster = Cluster(folder / "nats")
        self._rate = rate
        self._number = 0
        engine = f'kind: jetstream, url: "{self.cluster.url}", stream: {_STREAM}, replicas: 3, ack_wait: 5s'
        self.edge, self.deliverer = (
            Life(_made(folder / role), self.receiver.port, max_bytes="64MiB", engine=engine, role=role, delivery=delivery)
            for role in ("edge", "deliver")
        )
        self._make = collect_request("127.0.0.1", "/gw/e", _RUN)
        self._refused: set[int] = set()

    async def start(self) -> None:
        """All of them."""
        await self.receiver.come()
        await self.cluster.start()
        await self.edge.start()
        await self.deliverer.start()
        await self.cluster.settled(_STREAM)

    async def phase(self, name: str, seconds: float, during: "asyncio.Task[float] | None" = None) -> Phase:
        """Visitors for ``seconds``, or until ``during`` is done if that takes longer."""
        first = self._number
        visitors = Visitors(self.edge.edge, lambda n: self._make(first + n))
        enough = asyncio.Event()
        visiting = asyncio.create_task(visitors.visit(self._rate, enough))
        phase = Phase(name, visitors.seen)
        end = time.monotonic() + seconds
        while time.monotonic() < end or (during is not None and not during.done()):
            phase.on_disk = max(phase.on_disk, local_records(await self.edge.metrics()))
            await asyncio.sleep(0.25)
        enough.set()
        await visiting
        phase.took_s = await during if during is not None else 0.0
        self._number += phase.seen.sent
        self._refused |= {first + n for n in phase.seen.failed}
        self.figures.phases.append(phase)
        self.figures.sent += phase.seen.sent
        return phase

    async def lose_the_leader(self, without_s: float) -> float:
        """Kill it a second from now; how long it took the others to choose. Then start it again and wait until it has caught up."""
        leader = await self.cluster.leader(_STREAM)
        await asyncio.sleep(1.0)
        begin = time.monotonic()
        await leader.kill()
        while True:
            found = await self.cluster.ask(f"STREAM.INFO.{_STREAM}")
            cluster = found.get("cluster")
            if isinstance(cluster, dict) and cluster.get("leader") not in {None, "", leader.name}:
                break
            await asyncio.sleep(0.05)
        took_s = time.monotonic() - begin
        await asyncio.sleep(max(0.0, without_s - took_s))
        await leader.start()
        await self.cluster.settled(_STREAM)
        return took_s

    async def lose_all(self, away_s: float) -> float:
        """All three for ``away_s``; how long it took until the edge had forwarded everything."""
        await asyncio.sleep(1.0)
        await self.cluster.kill()
        await asyncio.sleep(away_s)
        begin = time.monotonic()
        await self.cluster.start()
        while local_records(text := await self.edge.metrics()) or away(text):
            if time.monotonic() - begin > _PATIENCE_S:
                raise RuntimeError(f"still on its own disk:\n{self.edge.log.read_text()[-2000:]}")
            await asyncio.sleep(0.1)
        return time.monotonic() - begin

    async def finish(self) -> Figures:
        """Wait for TikTok to have all, then compare."""
        figures, first = self.figures, self.receiver.first
        acknowledged = {event_id(_RUN, n) for n in range(self._number) if n not in self._refused}
        deadline = time.monotonic() + _PATIENCE_S
        while not acknowledged <= first.keys() and time.monotonic() < deadline:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.1)
        figures.lost = len(acknowledged - first.keys())
        figures.strangers = len(first.keys() - {event_id(_RUN, n) for n in range(self._number)})
        figures.repeated = len(self.receiver.times)
        while queued(text := await self.edge.metrics()) or missing(text):
            if time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        figures.unaccounted = abs(missing(text)) + queued(text)
        return figures

    async def end(self) -> None:
        """All processes."""
        await asyncio.gather(self.edge.kill(), self.deliverer.kill(), self.cluster.kill())
        await self.receiver.leave()


def local_records(metrics: str) -> int:
    """Records on the edge's own disk."""
    return int(_gauge(metrics, "ttgateway_spool_local_records"))


def away(metrics: str) -> bool:
    """Whether the breaker is open."""
    return bool(_gauge(metrics, "ttgateway_spool_broker_away"))


def _gauge(metrics: str, name: str) -> float:
    return next((float(line.rsplit(" ", 1)[1]) for line in metrics.splitlines() if line.startswith(f"{name} ")), 0.0)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder


async def run(
    folder: Path, rate: float, kills: int, away_s: float, *, before_s: float = 5.0, election_s: float = _ELECTION_S
) -> Figures:
    """``kills`` leaders lost one after the other, then all servers for ``away_s``; 0 leaves that out."""
    those = Run(folder, rate)
    try:
        await those.start()
        await those.phase("undisturbed", before_s)
        for number in range(kills):
            await those.phase(f"leader {number + 1} killed", election_s, asyncio.create_task(those.lose_the_leader(election_s)))
        if away_s:
            await those.phase(f"all away for {away_s:.0f} s", 0.0, asyncio.create_task(those.lose_all(away_s)))
        return await those.finish()
    finally:
        await those.end()


def main() -> None:
    """Print the figures; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults.cluster", description="A cluster's leader killed, then all of it away."
    )
    parser.add_argument("--rate", type=float, default=400)
    parser.add_argument("--kills", type=int, default=3)
    parser.add_argument("--away", type=float, default=60)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ttgateway-cluster-") as folder:
        found = uvloop.run(run(Path(folder), args.rate, args.kills, args.away))
    for phase in found.phases:
        seen = phase.seen
        print(
            f"{phase.name:<20} {seen.sent:>7,} events, {len(seen.failed)} not answered 200 {dict(seen.results) if seen.failed else ''}; "
            f"p50 {seen.percentile_ms(0.5):.1f} p99 {seen.percentile_ms(0.99):.1f} max {seen.percentile_ms(1):.1f} ms; "
            f"at most {phase.on_disk:,} on the edge's disk; whole again after {phase.took_s:.1f} s"
        )
    print(
        f"{found.sent:,} events at {args.rate:.0f}/s, {found.failed} not answered 200, {found.lost} lost, {found.strangers} strangers, "
        f"{found.repeated} arrived twice, {found.unaccounted} unaccounted for at the end; p99 through the worst election {found.election_ms:.0f} ms"
    )
    sys.exit(0 if found.kept(timings=True) else 1)


if __name__ == "__main__":
    main()
