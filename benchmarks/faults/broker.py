"""Edges, deliverers and the broker killed in random order: ``python -m benchmarks.faults.broker [--rounds 100] [--rate 500] [--seed 1]`` (io).

Two edges and two deliverers around one NATS server with JetStream. Events keep coming while one of the five is killed -9 at a random moment and started again a little later.
At the end everything that was acknowledged must have arrived at TikTok, with the content that was sent. The server keeps its default sync_interval: the machine itself does not fail here.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import orjson

from benchmarks.faults.kill import arrived_whole, event
from benchmarks.faults.life import Life
from benchmarks.faults.receiver import Receiver
from benchmarks.stack import free_port

_SENDERS = 8
_BATCH = 4
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"


@dataclass(slots=True)
class Server:
    """The broker."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    async def start(self) -> None:
        """Start it; it may be recovering when this returns."""
        beside = Path(sys.executable).parent / "nats-server"
        program = str(beside) if beside.exists() else shutil.which("nats-server") or "nats-server"
        self.process = await asyncio.create_subprocess_exec(
            program, "-js", "-sd", str(self.folder), "-a", "127.0.0.1", "-p", str(self.port),
            stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL,
        )  # fmt: skip

    async def kill(self) -> None:
        """End it as the kernel would."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class Run:
    """The five and what is sent to them."""

    def __init__(self, folder: Path, rate: float, seed: int) -> None:
        self.receiver = Receiver(free_port(), expect=arrived_whole)
        self.server = Server(folder / "broker")
        self._chance = random.Random(seed)
        self._rate = rate
        self.edges = [self._life(folder / f"edge-{n}", "edge") for n in range(2)]
        self.deliverers = [self._life(folder / f"deliver-{n}", "deliver") for n in range(2)]
        self.acknowledged: set[str] = set()
        self.sent = 0
        self.refused = 0
        self.kills: Counter[str] = Counter()
        self.took_s: list[float] = []

    def _life(self, state: Path, role: str) -> Life:
        state.mkdir()
        engine = f'kind: jetstream, url: "nats://127.0.0.1:{self.server.port}", stream: faults, ack_wait: 5s'
        return Life(state, self.receiver.port, max_bytes="256MiB", engine=engine, role=role)

    async def start(self) -> None:
        """All five."""
        await self.receiver.come()
        await self.server.start()
        await asyncio.gather(*(life.start() for life in (*self.edges, *self.deliverers)))

    async def a_round(self) -> None:
        """Kill one, and start it again."""
        chance = self._chance
        self.receiver.latency_s = chance.choice([0.0, 0.01, 0.1])
        await asyncio.sleep(chance.uniform(0.1, 0.7))
        five: list[Server | Life] = [self.server, *self.edges, *self.deliverers]
        victim = chance.choice(five)
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
                self.refused += 1

    async def finish(self, patience_s: float) -> set[str]:
        """What never arrived."""
        self.receiver.latency_s = 0.0
        deadline = time.monotonic() + patience_s
        while self.acknowledged - self.receiver.first.keys() and time.monotonic() < deadline:  # noqa: ASYNC110 - other processes
            await asyncio.sleep(0.2)
        return self.acknowledged - self.receiver.first.keys()

    async def end(self) -> None:
        """All processes."""
        for life in (*self.edges, *self.deliverers):
            await life.kill()
        await self.server.kill()
        await self.receiver.leave()


async def run(folder: Path, rounds: int, rate: float, seed: int, *, patience_s: float = 90.0) -> tuple[Run, set[str], float]:
    """``rounds`` kills; the run, what was lost, and how long events were sent."""
    five = Run(folder, rate, seed)
    try:
        await five.start()
        begin = time.monotonic()
        sending = asyncio.create_task(five.send())
        for number in range(rounds):
            await five.a_round()
            if number % 20 == 19:
                print(f"  {number + 1} kills, {len(five.acknowledged):,} acknowledged", flush=True)
        took_s = time.monotonic() - begin
        sending.cancel()
        with suppress(asyncio.CancelledError):
            await sending
        return five, await five.finish(patience_s), took_s
    finally:
        await five.end()


def main() -> None:
    """Print the figures; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults.broker", description="kill -9 of edges, deliverers and the broker."
    )
    parser.add_argument("--rounds", type=int, default=100)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ttgateway-broker-") as folder:
        found, lost, took_s = asyncio.run(run(Path(folder), args.rounds, args.rate, args.seed))
    took = sorted(found.took_s) or [0.0]
    print(
        f"{found.kills.total()} kills (seed {args.seed}; {', '.join(f'{n} {name}' for name, n in sorted(found.kills.items()))}) in {took_s:.0f} s: "
        f"{len(found.acknowledged):,} acknowledged of {found.sent:,} sent ({found.refused} requests refused), {len(lost)} lost, "
        f"{len(found.receiver.differing)} with other content, {len(found.receiver.times)} arrived more than once\n"
        f"acknowledged within {took[len(took) // 2] * 1000:.0f} ms (p50), {took[int(len(took) * 0.99)] * 1000:.0f} ms (p99), {took[-1] * 1000:.0f} ms at most"
    )
    sys.exit(1 if lost or found.receiver.differing or not found.acknowledged else 0)


if __name__ == "__main__":
    main()
