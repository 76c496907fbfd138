"""Every record has one fate, at whatever moment it is asked for: in what the spool says and in its tables."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from gateway.outcome import Outcome, Reason
from gateway.spool.base import Death, Done, NewRecord, Retry, Settlement, Spool, SpoolStats
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

New = Callable[..., NewRecord]
LANES = ("a", "b", "c|T")
ROUNDS = 120


def missing(stats: SpoolStats) -> int:
    """Accepted records that are in no fate and in no queue."""
    signs = {Outcome.ACCEPTED.value: 1}
    totals = sum(n * signs.get(outcome, -1) for (_, outcome, _), n in stats.totals.items())
    return totals - sum(lane.queued for lane in stats.lanes)


def missing_in_file(path: Path) -> int:
    """The same from the tables, in one snapshot."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(2000)
    with connection:
        (totals,) = connection.execute(
            "SELECT coalesce(sum(CASE outcome WHEN 'accepted' THEN n ELSE -n END), 0) FROM total WHERE lane <> ''"
        ).fetchone()
        (stored,) = connection.execute("SELECT coalesce(sum(count), 0) FROM segment").fetchone()
        gone = sum(mask.bit_count() for (mask,) in connection.execute("SELECT mask FROM gone"))
    connection.close()
    return int(totals) - int(stored) + gone


async def at_work(spool: Spool, new: New, chance: random.Random, stop: asyncio.Event) -> None:
    """Everything that can happen to records, over and over."""
    while not stop.is_set():
        lane = chance.choice(LANES)
        await spool.put([new(str(n), chance.choice(LANES), owner=chance.choice("opq")) for n in range(chance.choice([1, 7, 90]))])
        leased = await spool.lease(lane, chance.choice([1, 30, 200]), 1 << 20, 0.0)
        settlement = Settlement([], [], [])
        for number, record in enumerate(leased):
            if number % 4 == 0:
                settlement.done.append(Done(record.id, Outcome.DELIVERED))  # type: ignore[attr-defined]
            elif number % 4 == 1:
                settlement.dead.append(Death(record.id, Reason.TIKTOK_REJECTED))  # type: ignore[attr-defined]
            elif number % 4 == 2:
                settlement.retry.append(Retry(record.id, time.time() - 1, Reason.TIMEOUT))  # type: ignore[attr-defined]
        await spool.settle(settlement)
        await spool.release([record.id for record in leased[3::4]])
        letters = [letter.id for letter in await spool.dead_list(None, 0, 20)]
        await spool.dead_replay(letters[::2])
        await spool.dead_drop(letters[1::2])
        if chance.random() < 0.1:
            await spool.purge(chance.choice("opq"), Reason.ERASED)
        await asyncio.sleep(0)


async def test_it_adds_up_at_any_moment(spool: Spool, new: New) -> None:
    stop = asyncio.Event()
    workers = [asyncio.create_task(at_work(spool, new, random.Random(seed), stop)) for seed in range(3)]
    asked = 0
    stats = await spool.stats()
    async with asyncio.timeout(30):
        while asked < ROUNDS or sum(stats.totals.values()) < 1000:
            stats = await spool.stats()
            assert missing(stats) == 0
            asked += 1
            await asyncio.sleep(0)
    stop.set()
    await asyncio.gather(*workers)
    assert missing(await spool.stats()) == 0


@pytest.mark.parametrize("seed", range(2))
async def test_the_file_adds_up_at_any_moment(tmp_path: Path, new: New, seed: int) -> None:
    spool = await SqliteSpool.open(SpoolSettings(path=str(tmp_path)))
    stop = asyncio.Event()
    workers = [asyncio.create_task(at_work(spool, new, random.Random(seed + n), stop)) for n in range(3)]
    for _ in range(ROUNDS // 4):
        assert await asyncio.to_thread(missing_in_file, tmp_path / "spool.db") == 0
    stop.set()
    await asyncio.gather(*workers)
    await spool.close()
    assert await asyncio.to_thread(missing_in_file, tmp_path / "spool.db") == 0


async def test_figures_are_of_one_moment(tmp_path: Path, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is put while the ages are being read belongs to the next snapshot – with its depth and its total."""
    spool = await SqliteSpool.open(SpoolSettings(path=str(tmp_path)))
    await spool.put([new()])
    read = spool._side_reader.run

    async def meanwhile(job: Callable[[apsw.Connection], object]) -> object:
        await spool.put([new(), new()])
        return await read(job)

    monkeypatch.setattr(spool._side_reader, "run", meanwhile)
    stats = await spool.stats()
    assert (stats.lanes[0].queued, stats.totals["a", "accepted", ""]) == (1, 1)
    await spool.close()
