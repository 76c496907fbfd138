"""Edges, deliverers and the broker killed in random order: ``python -m benchmarks.faults.broker [--rounds 100] [--rate 500] [--seed 1] [--replicas 1]`` (io).

Two edges and two deliverers around one NATS server with JetStream, or around three with three replicas. Events keep coming while one of them all is killed -9 at a random moment and
started again a little later. At the end no request may have been refused, everything that was acknowledged must have arrived at TikTok, with the content that was sent, and what arrived twice
must have come again while somebody could still have it in hand: within ``ack_wait`` and the broker's duplicate window. The servers keep their default sync_interval: the machine itself does not fail here.
"""

import argparse
import asyncio
import random
import re
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from pathlib import Path

import aiohttp
import orjson

from benchmarks import machine
from benchmarks.faults.kill import arrived_whole, event
from benchmarks.faults.life import Life
from benchmarks.faults.receiver import Receiver
from benchmarks.faults.servers import Cluster, Server
from benchmarks.ports import free_port
from benchmarks.promises import RESULTS, Promise, judge, keep
from gateway.spool.settings import SpoolSettings

_SENDERS = 8
_TIME = re.compile(r'"time":"[^"]*",?')
_BATCH = 4
_ACK_WAIT_S = 5.0
_MARGIN_S = 30.0
"""A killed process's start, and the queue in front of a record that comes again."""
_GAP_S = _ACK_WAIT_S + float(SpoolSettings.model_fields["duplicate_window"].default) + _MARGIN_S
"""After that a record comes a second time for no reason that we know; TikTok's own deduplication is far longer."""
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"


class Run:
    """Who is killed, and what is sent to them."""

    def __init__(self, folder: Path, rate: float, seed: int, replicas: int = 1) -> None:
        self.receiver = Receiver(free_port(), expect=arrived_whole)
        self._cluster = Cluster(folder / "broker") if replicas > 1 else None
        self.servers = self._cluster.servers if self._cluster else [Server(folder / "broker")]
        self._replicas = replicas
        self._chance = random.Random(seed)
        self._rate = rate
        self.edges = [self._life(folder / f"edge-{n}", "edge") for n in range(2)]
        self.deliverers = [self._life(folder / f"deliver-{n}", "deliver") for n in range(2)]
        self.acknowledged: set[str] = set()
        self.sent = 0
        self.refused: Counter[int] = Counter()
        """Status → requests that were answered with something else than 200."""
        self.kills: Counter[str] = Counter()
        self.warnings: list[str] = []
        self.took_s: list[float] = []

    def _life(self, state: Path, role: str) -> Life:
        state.mkdir()
        url = ",".join(server.url for server in self.servers)
        engine = f'kind: jetstream, url: "{url}", stream: faults, replicas: {self._replicas}, ack_wait: {_ACK_WAIT_S}s'
        return Life(state, self.receiver.port, max_bytes="256MiB", engine=engine, role=role)

    async def start(self) -> None:
        """All of them."""
        await self.receiver.come()
        await (self._cluster.start() if self._cluster else self.servers[0].start())
        await asyncio.gather(*(life.start() for life in (*self.edges, *self.deliverers)))

    async def a_round(self) -> None:
        """Kill one, and start it again."""
        chance = self._chance
        self.receiver.latency_s = chance.choice([0.0, 0.01, 0.1])
        await asyncio.sleep(chance.uniform(0.1, 0.7))
        all_: list[Server | Life] = [*self.servers, *self.edges, *self.deliverers]
        victim = chance.choice(all_)
        self.kills[victim.role if isinstance(victim, Life) else "broker"] += 1
        await victim.kill()
        await asyncio.sleep(chance.uniform(0.0, 1.0))
        await victim.start()

    async def send(self) -> None:
        """Until cancelled."""
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=10)) as session:
            await asyncio.gather(*(self._sender(session, n) for n in range(_SENDERS)))

    async def _sender(self, session: aiohttp.ClientSession, number: int) -> None:
        pause = _SENDERS * _BATCH / self._rate
        due = time.monotonic()
        while True:
            number += 1
            with suppress(aiohttp.ClientError, ConnectionError, TimeoutError):
                await self._post(session, self.edges[number % 2].edge)
            due = max(due + pause, time.monotonic() - 1.0)
            await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def _post(self, session: aiohttp.ClientSession, port: int) -> None:
        ids = [f"order-{self.sent + n}" for n in range(_BATCH)]
        self.sent += _BATCH
        data = orjson.dumps([event(each) for each in ids])
        begin = time.monotonic()
        async with session.post(f"http://127.0.0.1:{port}/gw/e", data=data, headers={"User-Agent": _AGENT}) as answer:
            if answer.status == 200 and orjson.loads(await answer.read())["accepted"] == _BATCH:
                self.acknowledged.update(ids)
                self.took_s.append(time.monotonic() - begin)
            else:
                self.refused[answer.status] += 1

    async def finish(self, patience_s: float) -> set[str]:
        """What never arrived."""
        self.receiver.latency_s = 0.0
        deadline = time.monotonic() + patience_s
        while self.acknowledged - self.receiver.first.keys() and time.monotonic() < deadline:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.2)
        return self.acknowledged - self.receiver.first.keys()

    async def end(self) -> None:
        """All processes."""
        lines = [line for life in self.edges for line in life.log.read_text().splitlines() if '"info"' not in line]
        self.warnings = [f"{n} x {line}" for line, n in Counter(_TIME.sub("", line) for line in lines).most_common(20)]
        for life in (*self.edges, *self.deliverers):
            await life.kill()
        for server in self.servers:
            await server.kill()
        await self.receiver.leave()


def promised(found: Run, lost: set[str]) -> list[Promise]:
    """What must hold of any run."""
    return [
        Promise("events acknowledged", len(found.acknowledged), 1, floor=True),
        Promise("acknowledged events lost", len(lost), 0),
        Promise("events with other content", len(found.receiver.differing), 0),
        Promise("requests refused", found.refused.total(), 0),
        Promise("seconds between an event's first and last arrival", found.receiver.gap_s, _GAP_S),
    ]


async def run(
    folder: Path, rounds: int, rate: float, seed: int, *, replicas: int = 1, patience_s: float = 90.0
) -> tuple[Run, set[str], float]:
    """``rounds`` kills; the run, what was lost, and how long events were sent."""
    those = Run(folder, rate, seed, replicas)
    try:
        await those.start()
        begin = time.monotonic()
        sending = asyncio.create_task(those.send())
        for number in range(rounds):
            await those.a_round()
            if number % 20 == 19:
                print(f"  {number + 1} kills, {len(those.acknowledged):,} acknowledged", flush=True)
        took_s = time.monotonic() - begin
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        return those, await those.finish(patience_s), took_s
    finally:
        await those.end()


def main() -> None:
    """Print the figures and keep them; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults.broker", description="kill -9 of edges, deliverers and the broker."
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--logs", action="store_true", help="print the edges' warnings as well")
    parser.add_argument("--replicas", type=int, default=1, choices=[1, 3], help="3 = three servers")
    parser.add_argument("--results", type=Path, default=RESULTS / "broker.json", help="where the figures are kept")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ttgateway-broker-") as folder:
        described = machine.describe(Path(folder))
        found, lost, took_s = asyncio.run(run(Path(folder), args.rounds, args.rate, args.seed, replicas=args.replicas))
    took = sorted(found.took_s) or [0.0]
    print(
        f"{found.kills.total()} kills (seed {args.seed}; {', '.join(f'{n} {name}' for name, n in sorted(found.kills.items()))}) in {took_s:.0f} s: "
        f"{len(found.acknowledged):,} acknowledged of {found.sent:,} sent ({found.refused.total()} requests refused{f' {dict(found.refused)}' if found.refused else ''}), {len(lost)} lost, "
        f"{len(found.receiver.differing)} with other content, {len(found.receiver.times)} arrived more than once, at most {found.receiver.gap_s:.0f} s after the first time\n"
        f"acknowledged within {took[len(took) // 2] * 1000:.0f} ms (p50), {took[int(len(took) * 0.99)] * 1000:.0f} ms (p99), {took[-1] * 1000:.0f} ms at most"
    )
    if args.logs:
        print("\n".join(found.warnings))
    bounds = promised(found, lost)
    kept = judge(bounds)
    figures = {
        "kills": dict(found.kills),
        "seconds": took_s,
        "sent": found.sent,
        "acknowledged": len(found.acknowledged),
        "refused": {str(status): n for status, n in found.refused.items()},
        "arrived_more_than_once": len(found.receiver.times),
        "p50_ms": took[len(took) // 2] * 1000,
        "p99_ms": took[int(len(took) * 0.99)] * 1000,
        "max_ms": took[-1] * 1000,
    }
    keep(args.results, f"faults, {args.replicas} x", "benchmarks.faults.broker", figures, bounds, described)
    sys.exit(0 if kept else 1)


if __name__ == "__main__":
    main()
