"""TikTok away: ``python -m benchmarks.faults.outage [--seconds 600] [--rate 500] [--pages 50]`` (io).

Events and pages keep coming while nobody listens where TikTok should be. Measured: what visitors of the site notice, how the gateway's
memory grows, how often it knocks, what is lost (nothing may be), and how fast the queue is delivered once TikTok is back.
"""

import argparse
import asyncio
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path

import uvloop

from benchmarks.faults.app import App, Connection
from benchmarks.faults.life import Life, missing, queued, requests
from benchmarks.faults.receiver import Receiver
from benchmarks.faults.visitors import Seen, Visitors
from benchmarks.load.requests import collect_request, event_id
from benchmarks.ports import free_port

_SECOND_S = 1.0
_DRAIN_S = 180.0


@dataclass(slots=True)
class Figures:
    """What came out."""

    site_before: Seen = field(default_factory=Seen)
    site_during: Seen = field(default_factory=Seen)
    collect: Seen = field(default_factory=Seen)
    lost: int = 0
    strangers: int = 0
    repeated: int = 0
    memory_before_mib: float = 0.0
    memory_most_mib: float = 0.0
    probes: list[float] = field(default_factory=list)
    """Requests to TikTok in each second of the outage."""
    waiting: int = 0
    """Records when TikTok came back."""
    drain_s: float = 0.0
    unaccounted: int = 0
    looks: int = 0

    @property
    def site_change_ms(self) -> float:
        """By how much the pages' p99 rose."""
        return self.site_during.percentile_ms(0.99) - self.site_before.percentile_ms(0.99)

    @property
    def drained_per_s(self) -> float:
        """Events a second once TikTok was back."""
        return self.waiting / self.drain_s if self.drain_s else 0.0

    @property
    def growth_mib(self) -> float:
        """Memory."""
        return self.memory_most_mib - self.memory_before_mib

    def kept(self, *, timings: bool) -> bool:
        """Whether all promises were kept; ``timings`` = those too that depend on what else the machine does."""
        sound = not (self.lost or self.strangers or self.unaccounted or self.collect.failed)
        sound = sound and not (self.site_before.failed or self.site_during.failed) and self.growth_mib <= 64
        # Probes are counted in windows of about a second: two may fall into one of them.
        sound = sound and sum(self.probes) <= len(self.probes) + 5 and max(self.probes, default=0) <= 2
        if not timings:
            return sound
        slower = self.site_change_ms
        return sound and (slower <= 1 or slower <= 0.1 * self.site_before.percentile_ms(0.99)) and self.drained_per_s >= 10_000


def page(_number: int) -> bytes:
    """An ordinary page."""
    return b"GET /page HTTP/1.1\r\nHost: shop.example\r\n\r\n"


class Run:
    """One outage."""

    def __init__(self, folder: Path, rate: float, pages: float) -> None:
        self.figures = Figures()
        self.receiver = Receiver(free_port())
        self.rate, self.pages = rate, pages
        self.life = Life(folder, self.receiver.port)
        self._events = Visitors(0, collect_request("127.0.0.1", "/gw/e", "outage"))

    async def run(self, before_s: float, down_s: float, warm_s: float) -> Figures:
        """TikTok is there, is away, is back."""
        app = App()
        server = await asyncio.get_running_loop().create_server(lambda: Connection(app), "127.0.0.1", 0)
        self.life.upstream = server.sockets[0].getsockname()[1]
        await self.receiver.come()
        await self.life.start()
        # The port is known only now, and what is collected goes on over all phases.
        self._events = Visitors(self.life.edge, collect_request("127.0.0.1", "/gw/e", "outage"))
        enough = asyncio.Event()
        collecting = asyncio.create_task(self._events.visit(self.rate, enough))
        figures = self.figures
        try:
            await self._site(warm_s)
            figures.site_before = await self._site(before_s)
            figures.memory_before_mib = figures.memory_most_mib = self.life.rss_mib()
            await self.receiver.leave()
            watching = asyncio.create_task(self._watch())
            figures.site_during = await self._site(down_s)
            watching.cancel()
            enough.set()
            figures.collect = await collecting
            await self._drain()
        finally:
            enough.set()
            await self.life.kill()
            await self.receiver.leave()
            server.close()
        return figures

    async def _site(self, seconds: float) -> Seen:
        visitors = Visitors(self.life.edge, page, connections=8)
        enough = asyncio.Event()
        asyncio.get_running_loop().call_later(seconds, enough.set)
        return await visitors.visit(self.pages, enough)

    async def _look(self) -> str:
        text = await self.life.metrics()
        self.figures.unaccounted += abs(missing(text))
        self.figures.looks += 1
        return text

    async def _watch(self) -> None:
        figures = self.figures
        await asyncio.sleep(5)  # what was under way when TikTok left is no probe, nor are the failures that open the circuit
        asked, since = requests(await self._look()), time.monotonic()
        await asyncio.sleep(_SECOND_S)
        while True:
            text = await self._look()
            seconds = max(1, round(time.monotonic() - since))  # on a busy machine a look comes late
            figures.probes += [(requests(text) - asked) / seconds] * seconds
            asked, since = requests(text), time.monotonic()
            figures.memory_most_mib = max(figures.memory_most_mib, self.life.rss_mib())
            await asyncio.sleep(_SECOND_S)

    async def _drain(self) -> None:
        """From the first event that arrives: how long the gateway waits for its next probe is not the drain's speed."""
        figures, first = self.figures, self.receiver.first
        figures.waiting = queued(await self._look())
        self.receiver.latency_s = 0.05
        known = len(first)
        await self.receiver.come()
        deadline = time.monotonic() + _DRAIN_S + 300
        while len(first) == known and time.monotonic() < deadline:  # noqa: ASYNC110 - the gateway's clock decides, not ours
            await asyncio.sleep(0.01)
        begin = time.monotonic()
        sent = figures.collect.sent
        refused = set(figures.collect.failed)
        acknowledged = {event_id("outage", n) for n in range(sent) if n not in refused}
        while not acknowledged <= first.keys() and time.monotonic() < begin + _DRAIN_S:  # noqa: ASYNC110 - same
            await asyncio.sleep(0.1)
        figures.drain_s = time.monotonic() - begin
        await asyncio.sleep(0.5)
        await self._look()
        figures.lost = len(acknowledged - first.keys())
        figures.strangers = len(first.keys() - {event_id("outage", n) for n in range(sent)})
        figures.repeated = len(self.receiver.times)


async def run(folder: Path, before_s: float, down_s: float, rate: float, pages: float, *, warm_s: float = 2.0) -> Figures:
    """One outage of ``down_s`` seconds."""
    return await Run(folder, rate, pages).run(before_s, down_s, warm_s)


def main() -> None:
    """Print the figures; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.outage", description="TikTok away under load.")
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--before", type=float, default=60)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--pages", type=float, default=50)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ttgateway-outage-") as folder:
        found = uvloop.run(run(Path(folder), args.before, args.seconds, args.rate, args.pages))
    before, during = found.site_before, found.site_during
    print(
        f"TikTok away for {args.seconds:.0f} s at {args.rate:.0f} events/s: {found.collect.sent:,} events, {dict(found.collect.results)}, "
        f"{found.lost} lost, {found.strangers} strangers, {found.repeated} arrived twice\n"
        f"site: {before.sent + during.sent:,} pages, {len(before.failed) + len(during.failed)} failed; p99 {before.percentile_ms(0.99):.1f} ms "
        f"before, {during.percentile_ms(0.99):.1f} ms during (p50 {before.percentile_ms(0.5):.2f}, {during.percentile_ms(0.5):.2f})\n"
        f"memory: {found.memory_before_mib:.0f} MiB before, at most {found.memory_most_mib:.0f} MiB (+{found.growth_mib:.0f})\n"
        f"requests to TikTok while it was away: {sum(found.probes):.0f} in {len(found.probes)} looks a second apart, at most {max(found.probes, default=0):.0f}\n"
        f"drain: {found.waiting:,} events in {found.drain_s:.1f} s = {found.drained_per_s:,.0f}/s\n"
        f"{found.looks} looks at the metrics: {found.unaccounted} records unaccounted for"
    )
    sys.exit(0 if found.kept(timings=True) else 1)


if __name__ == "__main__":
    main()
