"""Delivery as it runs: a real spool, a real worker, the TikTok sandbox, all in the test's own loop."""

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import orjson
from ports import free_port
from whole import PATIENCE_S, PIXEL

from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import Live, compile_catalogue
from gateway.delivery.settings import DeliverySettings
from gateway.delivery.worker import Worker
from gateway.outcome import Outcome
from gateway.sandbox import tiktok
from gateway.spool.base import DeadLetter, NewRecord, Spool
from gateway.spool.engine import together_of
from gateway.spool.memory import MemorySpool
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool
from gateway.telemetry.metrics import Metrics

SHOP = {"id": "shop", "pixel_code": PIXEL, "access_token": "access-token-1"}


def sealed(event_id: str, **changes: Any) -> bytes:
    """A stored event; ``page={}`` makes one that TikTok refuses."""
    now = int(time.time())
    event = {
        "v": 1, "wire": "signal", "type": "track", "name": "Order Completed", "event_id": event_id, "time": now, "received": float(now),
        "pipeline": "shop", "user": {"ttp": "t" * 27}, "page": {"url": "https://shop.example/thanks"}, "properties": {"value": 9.5, "currency": "EUR"},
        "consent": {"granted": ["marketing"], "source": "event"},
    }  # fmt: skip
    return orjson.dumps(event | changes)


class Delivering:
    """A worker and what surrounds it."""

    def __init__(self, spool: Spool, session: aiohttp.ClientSession, port: int, **settings: Any) -> None:
        self.spool = spool
        self.metrics = Metrics()
        self.live = Live()
        self._session = session
        self._sandbox = f"http://127.0.0.1:{port}"
        endpoint = {"endpoint": f"{self._sandbox}{tiktok.PATH}", "linger": 0.01, "timeout": 20.0}
        self.settings = DeliverySettings.model_validate(endpoint | settings)
        self.worker = Worker(spool, self.live, self.settings, self.metrics, together_of(spool))
        self.integrate(SHOP)

    def integrate(self, *integrations: dict[str, Any], off: tuple[str, ...] = ()) -> None:
        """Put a catalogue of these integrations in force."""
        entries = [IntegrationSettings.model_validate(each) for each in integrations]
        pipeline = PipelineSettings(id="shop", key="k", integrations=[each.id for each in entries])
        self.live.swap(compile_catalogue([pipeline], entries, b"k" * 32, off))

    async def put(self, *payloads: bytes, lane: str = "shop", accepted_at: float | None = None) -> None:
        """Accept records."""
        await self.spool.put([NewRecord(lane, "", accepted_at or time.time(), payload) for payload in payloads])

    async def put_ids(self, *event_ids: str, **more: Any) -> None:
        """Accept good events."""
        await self.put(*(sealed(event_id) for event_id in event_ids), **more)

    async def until(self, condition: Callable[[], Awaitable[Any]], patience_s: float = PATIENCE_S) -> Any:
        """Await ``condition()`` again and again until it is true: TikTok is outside and cannot be awaited otherwise."""
        deadline = time.monotonic() + patience_s
        while not (result := await condition()):
            assert time.monotonic() < deadline, (condition, await self.fates(), self.worker.lane_states())
            await asyncio.sleep(0.005)
        return result

    # -- TikTok's side

    async def faults(self, **faults: Any) -> None:
        """Make the sandbox misbehave."""
        async with self._session.put(f"{self._sandbox}/sandbox/faults", json=faults) as answer:
            assert answer.status == 200, await answer.text()

    async def faults_are_spent(self) -> bool:
        """Whether as many requests have been hit as were to be."""
        async with self._session.get(f"{self._sandbox}/sandbox/faults") as answer:
            return bool((await answer.json())["left"] == 0)

    async def received(self) -> list[dict[str, Any]]:
        """What the sandbox received so far."""
        async with self._session.get(f"{self._sandbox}/sandbox/events") as answer:
            events: list[dict[str, Any]] = (await answer.json())["events"]
            return events

    async def received_ids(self, pixel: str = PIXEL) -> list[str]:
        """Event ids that the sandbox accepted for a pixel, in order."""
        return [
            entry["event"]["event_id"]
            for entry in await self.received()
            if entry["accepted"] and entry["event_source_id"] == pixel
        ]

    async def requests(self) -> int:
        """Requests the gateway made, by its own count."""
        text = self.metrics.render().decode()
        return sum(
            int(float(line.rpartition(" ")[2]))
            for line in text.splitlines()
            if line.startswith("ttgateway_delivery_requests_total")
        )

    # -- our side

    async def fates(self, lane: str = "shop") -> dict[str, int]:
        """Durable fates of a lane, and ``queued``; checks that nothing is missing."""
        stats = await self.spool.stats()
        totals: Counter[str] = Counter()
        for (key, outcome, _reason), n in stats.totals.items():
            if key == lane:
                totals[outcome] += n
        queued = sum(each.queued for each in stats.lanes if each.lane == lane)
        accepted = totals.pop(Outcome.ACCEPTED.value, 0)
        assert accepted == totals.total() + queued, stats
        return {outcome: n for outcome, n in totals.items() if n} | ({"queued": queued} if queued else {})

    async def settled(self, lane: str = "shop", **fates: int) -> None:
        """Wait until the lane's fates are these and nothing else."""
        await self.until(lambda: self._are(lane, fates))

    async def counted(self, total: int) -> dict[tuple[str, str], int]:
        """The process's own counts by (outcome, reason), once they come to so much: the spool shows a fate a moment before the deliverer goes on to count it and speak of it."""

        async def there() -> dict[tuple[str, str], int]:
            counts = {(str(outcome), str(reason)): n for (_, _, outcome, reason), n in self.metrics.outcomes().items()}
            return counts if sum(counts.values()) >= total else {}

        return dict(await self.until(there))

    async def _are(self, lane: str, fates: dict[str, int]) -> bool:
        return await self.fates(lane) == fates

    async def dead(self) -> list[DeadLetter]:
        """All dead letters."""
        return await self.spool.dead_list(None, 0, 10_000)

    async def in_state(self, state: str, lane: str = "shop") -> Any:
        """Wait until the lane is in a state; how it is then."""

        async def it_is() -> Any:
            return next((each for each in self.worker.lane_states() if each.lane == lane and each.state == state), None)

        return await self.until(it_is)


@asynccontextmanager
async def delivering(folder: Path | None, **settings: Any) -> AsyncIterator[Delivering]:
    """Spool (in memory without ``folder``) and sandbox run; the worker is started by the test."""
    spool: Spool = await SqliteSpool.open(SpoolSettings(path=str(folder))) if folder is not None else MemorySpool()
    port = free_port()
    sandbox = await tiktok.serve("127.0.0.1", port)
    async with aiohttp.ClientSession() as session:
        around = Delivering(spool, session, port, **settings)
        try:
            yield around
        finally:
            await around.worker.stop(0.0)
            await spool.close()
            await sandbox.cleanup()
