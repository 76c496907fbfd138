"""kill -9 in the middle of load: nothing that was acknowledged is lost, and a retry keeps its id."""

import asyncio
from collections import Counter
from contextlib import suppress
from itertools import count
from pathlib import Path

import aiohttp
from whole import Whole, purchase, whole

_SENDERS = 8
_PER_LIFE = 150


async def _send_until_killed(around: Whole, numbers: "count[int]", acknowledged: set[str], enough: asyncio.Event) -> None:
    with suppress(aiohttp.ClientError, ConnectionError):
        while True:
            event_ids = [f"order-{next(numbers)}" for _ in range(3)]
            status, body, _ = await around.post([purchase(event_id) for event_id in event_ids])
            assert (status, body["accepted"]) == (200, 3)
            acknowledged.update(event_ids)
            if len(acknowledged) >= _PER_LIFE:
                enough.set()


async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """Three lives on one spool: killed while it collects and delivers, killed while TikTok is down, then left to finish."""
    numbers = count()
    acknowledged: set[str] = set()
    async with whole(tmp_path) as around:
        for faults in ({"latency_ms": 30}, {"code": 50000}):
            await around.start()
            await around.faults(**faults)
            this_life: set[str] = set()
            enough = asyncio.Event()
            senders = [asyncio.create_task(_send_until_killed(around, numbers, this_life, enough)) for _ in range(_SENDERS)]
            await asyncio.wait_for(enough.wait(), 20)
            await around.kill()
            await asyncio.gather(*senders)
            acknowledged |= this_life
        await around.faults()
        await around.start()

        async def all_arrived() -> bool:
            return acknowledged <= set(await around.received_ids())

        await around.until(all_arrived, 30)
        sent = {f"order-{number}" for number in range(next(numbers))}
        received = Counter(await around.received_ids())
        assert set(received) <= sent, "an id that nobody sent"
        assert len(acknowledged) >= 2 * _PER_LIFE
