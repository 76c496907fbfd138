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
from gateway.spool.jetstream.spool import JetStreamSpool
from gateway.spool.jetstream.wire import sequence_of
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

New = Callable[..., NewRecord]
LANES = ("a", "b", "c|T")
ROUNDS = 120
LOOKS = 30
"""A broker's consumers count what it has acknowledged a moment later, a long one on a busy machine; what is lost is missing at every look."""


def missing(stats: SpoolStats) -> int:
    """Accepted records that are in no fate and in no queue."""
    signs = {Outcome.ACCEPTED.value: 1}
    totals = sum(n * signs.get(outcome, -1) for (_, outcome, _), n in stats.totals.items())
    return totals - sum(lane.queued for lane in stats.lanes)


async def adds_up(spool: Spool) -> SpoolStats:
    """The figures, with nothing missing; a broker is asked again before it is judged."""
    for _ in range(LOOKS if isinstance(spool, JetStreamSpool) else 1):
        stats = await spool.stats()
        if not missing(stats):
            break
        await asyncio.sleep(0.02)
    assert missing(stats) == 0
    return stats


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


@pytest.mark.timeout(180)  # a broker on a busy machine takes its time for each look
async def test_it_adds_up_at_any_moment(spool: Spool, new: New) -> None:
    stop = asyncio.Event()
    workers = [asyncio.create_task(at_work(spool, new, random.Random(seed), stop)) for seed in range(3)]
    asked, rounds = 0, ROUNDS // 3 if isinstance(spool, JetStreamSpool) else ROUNDS
    stats = await spool.stats()
    async with asyncio.timeout(150):
        while asked < rounds or sum(stats.totals.values()) < 1000:
            stats = await adds_up(spool)
            asked += 1
            await asyncio.sleep(0)
    stop.set()
    await asyncio.gather(*workers)
    await adds_up(spool)


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


@pytest.mark.parametrize("behind", [1, 3])
async def test_a_broker_whose_consumers_are_a_moment_behind_is_waited_for(
    on_broker: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch, behind: int
) -> None:
    """It acknowledges a publication before the lane's consumer counts it."""
    spool = await JetStreamSpool.open(on_broker)
    await spool.put([new(), new(), new()])
    late_consumers(spool, monkeypatch, behind)
    stats = await spool.stats()
    assert (stats.lanes[0].queued, missing(stats)) == (3, 0)
    late_consumers(spool, monkeypatch, behind)
    assert await spool.lanes() == ["a"]
    await spool.close()


async def test_consumers_that_never_count_all_do_not_hold_up_the_figures(
    on_broker: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = await JetStreamSpool.open(on_broker)
    await spool.put([new(), new(), new()])
    late_consumers(spool, monkeypatch, 1 << 30)
    stats = await spool.stats()
    assert (stats.totals["a", "accepted", ""], missing(stats)) == (3, 2)
    await spool.close()


async def test_what_a_broker_counts_late_is_forgiven_and_what_it_lost_is_not(
    on_broker: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    spool = await JetStreamSpool.open(on_broker)
    await spool.put([new(), new(), new()])
    monkeypatch.setattr("gateway.spool.jetstream.figures._AGREE_S", 0.0)
    late_consumers(spool, monkeypatch, 3)
    assert (await adds_up(spool)).lanes[0].queued == 3
    async for message in spool._wire.all(spool._names.queue, f"{spool._names.queue}.>"):
        await spool._wire.delete(spool._names.queue, sequence_of(message))
        break
    with pytest.raises(AssertionError):
        await adds_up(spool)
    await spool.close()


def late_consumers(spool: JetStreamSpool, monkeypatch: pytest.MonkeyPatch, looks: int) -> None:
    """For so many looks the first of three records is all that the consumers know."""
    ask, asked = type(spool._figures).consumers, 0

    async def consumers(stream: str) -> list[dict[str, object]]:
        nonlocal asked
        found = await ask(spool._figures, stream)
        asked += stream == spool._names.queue
        return [each | {"num_pending": min(1, each["num_pending"])} for each in found] if asked <= looks else found

    monkeypatch.setattr(spool._figures, "consumers", consumers)
