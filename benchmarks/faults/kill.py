"""kill -9 at any moment: ``python -m benchmarks.faults.kill [--rounds 200] [--rate 400] [--queued 100000] [--seed 1]`` (io).

One spool, many short lives. Events keep coming while the gateway is killed at random moments – while it collects, delivers, fails to
deliver – and started again. At the end everything that was acknowledged must have arrived, with the content that was sent, and what
arrived twice must have been under way when a life ended.
"""

import argparse
import asyncio
import random
import sys
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.faults.life import Life, missing, missing_in_files, queued
from benchmarks.faults.receiver import Receiver
from benchmarks.ports import free_port

_SENDERS = 8
_BATCH = 4
_IN_FLIGHT_S = 5.0
"""What was posted that long before a kill may still have waited for its answer, or its settlement for the disk."""
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"


@dataclass(slots=True)
class Figures:
    """What came out."""

    kills: int = 0
    sent: int = 0
    acknowledged: set[str] = field(default_factory=set)
    in_lives: int = 0
    """Of ``acknowledged``, those during the short lives."""
    send_s: float = 0.0
    starts_s: list[float] = field(default_factory=list)
    loaded_start_s: float = 0.0
    failed_starts: int = 0
    lost: int = 0
    strangers: int = 0
    """Arrived without having been sent."""
    differing: int = 0
    repeated: int = 0
    repeated_at_rest: int = 0
    """Arrived twice without having been under way at a kill."""
    unaccounted: int = 0
    """Records in no fate and no queue, over all looks at metrics and tables."""
    looks: int = 0

    @property
    def rate(self) -> float:
        """Acknowledged events a second while a gateway was there."""
        return self.in_lives / self.send_s if self.send_s else 0.0

    def kept(self, *, timings: bool) -> bool:
        """Whether all promises were kept; ``timings`` = the one too that depends on what else the machine does."""
        late = timings and self.loaded_start_s > 5
        broken = self.lost or self.strangers or self.differing or self.repeated_at_rest or self.unaccounted or self.failed_starts
        return not (late or broken)


def value_of(event_id: str) -> float:
    """The price that belongs to an id, so that content can be checked without a list."""
    return int(event_id.rpartition("-")[2]) % 9973 + 0.5


def event(event_id: str) -> dict[str, Any]:
    """A consented purchase."""
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": event_id,
        "properties": {"value": value_of(event_id), "currency": "EUR", "order_id": event_id},
        "context": {"page": {"url": "https://shop.example/thanks"}, "consent": {"marketing": True}},
    }


def arrived_whole(event_id: str, item: dict[str, Any]) -> bool:
    """Whether TikTok was told what the page said."""
    properties = item["properties"]
    wanted = (value_of(event_id), "EUR", event_id)
    return item["event"] == "Purchase" and (properties["value"], properties["currency"], properties["order_id"]) == wanted


class Run:
    """One spool's many lives."""

    def __init__(self, folder: Path, rate: float, seed: int) -> None:
        self.figures = Figures()
        self.receiver = Receiver(free_port(), expect=arrived_whole)
        self.life = Life(folder, self.receiver.port)
        self._folder = folder
        self._rate = rate
        self._chance = random.Random(seed)
        self._number = 0
        self._kills_at: list[float] = []

    async def start(self) -> float:
        """Start a life; counts what does not start."""
        try:
            return await self.life.start()
        except RuntimeError:
            self.figures.failed_starts += 1
            raise

    async def a_life(self) -> None:
        """Send, look, kill, look."""
        chance, figures = self._chance, self.figures
        self.receiver.latency_s = chance.choice([0.0, 0.01, 0.05, 0.3])
        self.receiver.failing = chance.random() < 0.25
        figures.starts_s.append(await self.start())
        begin = time.monotonic()
        until = begin + chance.uniform(0.02, 1.2)
        looking = asyncio.create_task(self._look_at_metrics(chance.uniform(0, until - begin)))
        async with aiohttp.ClientSession() as session:
            sending = [asyncio.create_task(self._send(session, begin)) for _ in range(_SENDERS)]
            await asyncio.sleep(until - time.monotonic())
            await self.life.kill()
            self._kills_at.append(time.monotonic())
            figures.kills += 1
            figures.send_s += time.monotonic() - begin
            await asyncio.gather(*sending)
        figures.in_lives = len(figures.acknowledged)
        await looking
        figures.unaccounted += await asyncio.to_thread(missing_in_files, self.life.spool, self._folder / "aside")
        figures.looks += 1

    async def _look_at_metrics(self, after_s: float) -> None:
        await asyncio.sleep(after_s)
        with suppress(OSError):
            self.figures.unaccounted += abs(missing(await self.life.metrics()))
            self.figures.looks += 1

    async def _send(self, session: aiohttp.ClientSession, begin: float) -> None:
        pause = _SENDERS * _BATCH / self._rate
        due = begin
        with suppress(aiohttp.ClientError, ConnectionError):
            while True:
                await self.post(session, _BATCH)
                due += pause
                await asyncio.sleep(max(0.0, due - time.monotonic()))

    async def post(self, session: aiohttp.ClientSession, count: int) -> None:
        """One request; its events are acknowledged if it is answered 200."""
        ids = [f"order-{self._number + n}" for n in range(count)]
        self._number += count
        self.figures.sent += count
        data = orjson.dumps([event(each) for each in ids])
        async with session.post(f"http://127.0.0.1:{self.life.edge}/gw/e", data=data, headers={"User-Agent": _AGENT}) as answer:
            if answer.status == 200 and orjson.loads(await answer.read())["accepted"] == count:
                self.figures.acknowledged.update(ids)

    async def queue_up(self, count: int) -> None:
        """Queue ``count`` events while TikTok is away, kill, and start with them."""
        await self.receiver.leave()
        await self.start()
        async with aiohttp.ClientSession() as session:
            for _ in range(0, count, 500):
                await self.post(session, 500)
        await self.life.kill()
        self._kills_at.append(time.monotonic())
        self.figures.loaded_start_s = await self.start()
        await self.receiver.come()

    async def finish(self, patience_s: float) -> None:
        """Let the last life deliver what waits, then compare."""
        self.receiver.failing, self.receiver.latency_s = False, 0.0
        figures, first = self.figures, self.receiver.first
        deadline = time.monotonic() + patience_s
        while True:
            text = await self.life.metrics()
            figures.unaccounted += abs(missing(text))
            figures.looks += 1
            if (queued(text) == 0 and figures.acknowledged <= first.keys()) or time.monotonic() > deadline:
                break
            await asyncio.sleep(0.2)
        await self.life.kill()
        figures.lost = len(figures.acknowledged - first.keys())
        figures.strangers = sum(int(event_id.rpartition("-")[2]) >= self._number for event_id in first)
        figures.differing = len(self.receiver.differing)
        figures.repeated = len(self.receiver.times)
        figures.repeated_at_rest = sum(
            not any(0 <= at - first[event_id] <= _IN_FLIGHT_S for at in self._kills_at) for event_id in self.receiver.times
        )


async def run(folder: Path, rounds: int, rate: float, queue: int, seed: int, *, patience_s: float = 120.0) -> Figures:
    """``rounds`` lives, then ``queue`` events to start with, then the end."""
    lives = Run(folder, rate, seed)
    await lives.receiver.come()
    try:
        for number in range(rounds):
            await lives.a_life()
            if number % 20 == 19:
                print(f"  {number + 1} kills, {len(lives.figures.acknowledged):,} acknowledged", flush=True)
        if queue:
            await lives.queue_up(queue)
        else:
            await lives.start()
        await lives.finish(patience_s)
    finally:
        await lives.life.kill()
        await lives.receiver.leave()
    return lives.figures


def main() -> None:
    """Print the figures; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.kill", description="kill -9 at any moment.")
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--rate", type=float, default=400)
    parser.add_argument("--queued", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ttgateway-kill-") as folder:
        found = asyncio.run(run(Path(folder), args.rounds, args.rate, args.queued, args.seed))
    starts = Counter(round(seconds, 1) for seconds in found.starts_s)
    print(
        f"{found.kills} kills (seed {args.seed}) at {found.rate:.0f} acknowledged events/s: {len(found.acknowledged):,} acknowledged of "
        f"{found.sent:,} sent, {found.lost} lost, {found.strangers} strangers, {found.differing} with other content\n"
        f"arrived twice: {found.repeated}, of them {found.repeated_at_rest} not under way at a kill\n"
        f"starts: {found.failed_starts} failed, the slowest {max(starts, default=0)} s; with {args.queued:,} queued {found.loaded_start_s:.2f} s\n"
        f"{found.looks} looks at metrics and tables: {found.unaccounted} records unaccounted for"
    )
    sys.exit(0 if found.kept(timings=True) else 1)


if __name__ == "__main__":
    main()
