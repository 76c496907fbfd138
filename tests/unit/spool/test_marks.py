"""What settlements ask to be remembered: durable, bounded, forgotten in time, saved from damaged files."""

import asyncio
import random
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from gateway.outcome import Outcome
from gateway.spool import schema, writer
from gateway.spool.base import Done, Mark, NewRecord, Settlement, Spool
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

New = Callable[..., NewRecord]
MIB = 1 << 20
EXTREMES = [1, -1, 2**63 - 1, -(2**63)]


async def mark(spool: Spool, new: New, *marks: Mark) -> None:
    await spool.put([new()])
    (record,) = await spool.lease("a", 1, MIB, 0)
    await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED)], marks=marks))


async def test_marks_last_until_their_time_is_over(spool: Spool, new: New) -> None:
    now = time.time()
    await mark(spool, new, *(Mark(key, now + 100, "a") for key in EXTREMES), Mark(5, now - 1, "a"))
    assert await spool.marked([*EXTREMES, 5, 6]) == set(EXTREMES)
    assert await spool.marked([]) == set()


async def test_a_later_mark_prolongs_and_an_earlier_one_does_not_shorten(spool: Spool, new: New) -> None:
    now = time.time()
    await mark(spool, new, Mark(1, now - 1, "a"), Mark(2, now + 100, "a"))
    await mark(spool, new, Mark(1, now + 100, "a"), Mark(2, now - 1, "a"))
    assert await spool.marked([1, 2]) == {1, 2}


async def until_count(path: Path, wanted: int) -> None:
    async with asyncio.timeout(20):
        while await asyncio.to_thread(count, path) != wanted:  # noqa: ASYNC110 - the writer announces its upkeep to nobody
            await asyncio.sleep(0.02)


def count(path: Path) -> int:
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    connection.set_busy_timeout(2000)
    try:
        return int(schema.one(connection, "SELECT count(*) FROM mark")[0])
    finally:
        connection.close()


async def test_they_are_swept_and_bounded(settings: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    spool = await SqliteSpool.open(settings)
    now = time.time()
    await mark(
        spool, new, *(Mark(key, now - 1, "a") for key in range(1, 31)), *(Mark(key, now + key, "a") for key in range(101, 151))
    )
    monkeypatch.setattr(writer, "EXPIRE_ROWS", 7)
    monkeypatch.setattr(writer, "MAX_MARKS", 20)
    monkeypatch.setattr(writer, "HOUSEKEEPING_S", 0.0)
    monkeypatch.setattr(writer, "IDLE_S", 0.01)
    await mark(spool, new)
    await until_count(Path(settings.path) / "spool.db", 20)
    # The ones that would have been over soonest have gone.
    assert await spool.marked(list(range(1, 151))) == set(range(131, 151))
    await spool.close()


async def test_a_spool_of_the_first_schema_is_taken_over(settings: SpoolSettings, new: New) -> None:
    spool = await SqliteSpool.open(settings)
    await spool.put([new("kept")])
    await spool.close()
    path = Path(settings.path) / "spool.db"
    connection = apsw.Connection(str(path))
    connection.execute("DROP TABLE mark; ALTER TABLE dead DROP COLUMN tries; PRAGMA user_version=1")
    connection.close()
    again = await SqliteSpool.open(settings)
    await mark(again, new, Mark(9, time.time() + 100, "a"))
    assert await again.marked([9]) == {9}
    assert again.salvaged is None
    await again.close()


async def test_a_damaged_file_keeps_its_marks(settings: SpoolSettings, new: New) -> None:
    spool = await SqliteSpool.open(settings)
    await mark(spool, new, *(Mark(key, time.time() + 100, "a") for key in EXTREMES))
    await spool.put([new("kept")])
    await spool.close()
    path = Path(settings.path) / "spool.db"

    def destroy() -> None:
        content = bytearray(path.read_bytes())
        content[:100] = random.Random(1).randbytes(100)
        path.write_bytes(content)

    await asyncio.to_thread(destroy)
    again = await SqliteSpool.open(settings)
    assert again.salvaged is not None
    assert await again.marked(EXTREMES) == set(EXTREMES)
    assert [record.payload for record in await again.lease("a", 9, MIB, 0)] == [b"kept"]
    await again.close()
