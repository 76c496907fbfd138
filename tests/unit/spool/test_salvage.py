"""Damage that shows only while running, and what salvage does with each table."""

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw
import pytest

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool import salvage, schema
from gateway.spool.base import Death, Done, NewRecord, Record, Retry, Settlement
from gateway.spool.pages import Pages
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

New = Callable[..., NewRecord]
MIB = 1 << 20


class Counted:
    """Stands for the metrics."""

    def __init__(self) -> None:
        self.outcomes: dict[tuple[Outcome, Reason, str], int] = {}

    def outcome(
        self, outcome: Outcome, reason: Reason = Reason.NONE, *, pipeline: str = "", integration: str = "", n: int = 1
    ) -> None:
        self.outcomes[outcome, reason, integration] = n


async def lease_patiently(spool: SqliteSpool, lane: str = "a") -> list[Record]:
    """As the delivery does: try again while the spool is unavailable."""
    records: list[Record] = []
    async with asyncio.timeout(20):
        while True:
            try:
                some = await spool.lease(lane, 1000, 64 * MIB, 0)
            except SpoolUnavailable:
                await asyncio.sleep(0.02)
                continue
            if not some:
                return records
            records += some


async def fill(settings: SpoolSettings, new: New) -> None:
    """A bit of everything: queued, partly removed, retried and dead."""
    spool = await SqliteSpool.open(settings)
    await spool.put([new(b"%d:" % n + b"x" * 500, owner="o") for n in range(300)] + [new("other", "b|T")])
    records = await spool.lease("a", 10, MIB, 0)
    await spool.settle(
        Settlement(
            done=[Done(record.id, Outcome.DELIVERED) for record in records[:5]],
            retry=[Retry(records[5].id, time.time() - 1, Reason.TIMEOUT)],
            dead=[Death(records[6].id, Reason.TIKTOK_REJECTED, "no")],
        )
    )
    await spool.close()


def destroy(path: Path, start: int, length: int) -> None:
    content = bytearray(path.read_bytes())
    content[start : start + length] = random.Random(1).randbytes(length)
    path.write_bytes(content)


def leaf_pages(path: Path, vfs: str = "") -> list[int]:
    """Offsets of pages in the middle of the segments' data: the chains of long rows."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    connection.close()
    return [number * schema.PAGE_BYTES for number in range(pages // 2, pages // 2 + 2)]


async def fill_and_damage(settings: SpoolSettings, new: New) -> None:
    """What only a reader will notice."""
    await fill(settings, new)
    path = Path(settings.path) / "spool.db"
    for offset in await asyncio.get_running_loop().run_in_executor(None, leaf_pages, path):
        destroy(path, offset, schema.PAGE_BYTES)


async def test_everything_comes_over_when_the_header_is_destroyed(settings: SpoolSettings, new: New) -> None:
    await fill(settings, new)
    destroy(Path(settings.path) / "spool.db", 0, 90)
    counted = Counted()
    spool = await SqliteSpool.open(settings, metrics=counted)
    assert spool.salvaged is not None
    assert (spool.salvaged.kept, spool.salvaged.lost) == (296, 0)
    records = await lease_patiently(spool)
    assert len(records) == 294
    assert sorted(record.attempts for record in records)[-2:] == [0, 1]
    assert [record.payload for record in await lease_patiently(spool, "b|T")] == [b"other"]
    (letter,) = await spool.dead_list(None, 0, 10)
    assert (letter.reason, letter.answer, letter.owner) == ("tiktok_rejected", "no", "o")
    stats = await spool.stats()
    assert stats.totals["a", "accepted", ""] == 300
    assert stats.totals["a", "delivered", ""] == 5
    assert counted.outcomes == {}
    await spool.close()


async def test_damage_met_while_running_is_salvaged_and_counted(
    settings: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(salvage, "CHECK_WHOLE_BYTES", 0)
    await fill_and_damage(settings, new)
    counted = Counted()
    spool = await SqliteSpool.open(settings, metrics=counted)
    assert spool.salvaged is None
    records = await lease_patiently(spool)
    async with asyncio.timeout(20):
        while spool.salvaged is None:  # read between the new file's coming and the word of it, a lane looks empty for a moment
            await asyncio.sleep(0.02)
            records = await lease_patiently(spool)
    report: Any = spool.salvaged
    assert report.lost > 0
    assert len(records) + report.lost == 294
    assert counted.outcomes == {(Outcome.QUARANTINED, Reason.CORRUPT_SPOOL, ""): report.lost}
    await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in records]))
    await spool.put([new("after")])
    assert [record.payload for record in await lease_patiently(spool)] == [b"after"]
    stats = await spool.stats()
    totals = {key[1:]: n for key, n in stats.totals.items() if key[0] == "a"}
    assert totals["accepted", ""] == 301
    assert totals["quarantined", "corrupt_spool"] == report.lost
    assert totals["delivered", ""] == 5 + len(records)
    assert {lane.lane: lane.queued for lane in stats.lanes} == {"a": 1, "b|T": 1}
    await spool.close()


async def test_late_word_of_damage_does_not_replace_the_new_file(
    settings: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(salvage, "CHECK_WHOLE_BYTES", 0)
    await fill_and_damage(settings, new)
    spool = await SqliteSpool.open(settings)
    async with asyncio.timeout(20):
        while spool.salvaged is None:
            with suppress(SpoolUnavailable):
                await spool.lease("a", 1000, 64 * MIB, 0.02)
    report: Any = spool.salvaged
    spool._writer.doubt(0)  # by a reader that had the damaged file open
    async with asyncio.timeout(20):
        while spool._writer.refusal is not None:  # noqa: ASYNC110 - another thread's word
            await asyncio.sleep(0.02)
    await spool.put([new("after")])
    assert spool._writer.refusal is None
    assert spool.salvaged is report
    spool._writer.doubt(1)  # of the one that is in use it is believed
    async with asyncio.timeout(20):
        while spool.salvaged is report:  # noqa: ASYNC110
            await asyncio.sleep(0.02)
    await spool.close()


async def test_a_file_of_rubbish_is_set_aside(settings: SpoolSettings, new: New) -> None:
    await fill(settings, new)
    path = Path(settings.path) / "spool.db"
    size = len(path.read_bytes())
    destroy(path, 0, size)
    spool = await SqliteSpool.open(settings)
    assert spool.salvaged is not None
    assert spool.salvaged.kept == 0
    aside = path.with_name(spool.salvaged.quarantine)
    assert len(aside.read_bytes()) == size
    await spool.put([new("after")])
    assert [record.payload for record in await lease_patiently(spool)] == [b"after"]
    await spool.close()


async def test_an_empty_file_is_a_new_spool(settings: SpoolSettings, new: New, tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "spool.db").write_bytes(b"")
    spool = await SqliteSpool.open(settings)
    assert spool.salvaged is None
    await spool.put([new("1")])
    await spool.close()


async def test_the_log_is_read_too(settings: SpoolSettings, new: New, tmp_path: Path) -> None:
    spool = await SqliteSpool.open(settings)
    await spool.put([new(b"%d" % n) for n in range(100)])
    source = Path(settings.path)
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("spool.db", "spool.db-wal"):
        (copy / name).write_bytes((source / name).read_bytes())
    await spool.close()
    assert (copy / "spool.db-wal").read_bytes()
    destroy(copy / "spool.db", 0, len((copy / "spool.db").read_bytes()))
    again = await SqliteSpool.open(SpoolSettings(path=str(copy)))
    assert [record.payload for record in await lease_patiently(again)] == [b"%d" % n for n in range(100)]
    await again.close()


@pytest.mark.parametrize("page_bytes", [512, 8192, 32768])
def test_pages_reads_what_sqlite_wrote(tmp_path: Path, page_bytes: int) -> None:
    path = tmp_path / "x.db"
    connection = apsw.Connection(str(path))
    connection.execute(f"PRAGMA page_size={page_bytes}")
    connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    connection.execute("CREATE TABLE t(id INTEGER PRIMARY KEY, a, b, c)")
    connection.execute("CREATE TABLE u(k TEXT PRIMARY KEY, v) WITHOUT ROWID")
    rows: list[tuple[int, Any, Any, Any]] = [
        (number, number * 1.5, "é" * (number % 7), bytes(number % 251) * (number % 90) * (40 if number % 50 == 0 else 1))
        for number in range(1, 400)
    ]
    rows += [(1 << 40, None, -1, 1 << 33), (1 << 62, -(1 << 40), 0, 1)]
    connection.executemany("INSERT INTO t VALUES (?,?,?,?)", rows)
    connection.executemany("INSERT INTO u VALUES (?,?)", [(f"k{number}", number - 500) for number in range(1000)])
    connection.execute("DELETE FROM t WHERE id % 3 = 0 OR id BETWEEN 200 AND 300")
    connection.close()
    pages = Pages(path, 4096)
    found = list(pages.rows())
    pages.close()
    table = {rowid: tuple(values[1:]) for rowid, values in found if rowid is not None and len(values) == 4}
    assert table == {row[0]: row[1:] for row in rows if row[0] % 3 and not 200 <= row[0] <= 300}
    # Rows of inner pages of an index-organised table are not looked at: the spool's only one has a single page.
    index = {values[0]: values[1] for rowid, values in found if rowid is None}
    assert len(index) > 900
    assert all(index[key] == int(key[1:]) - 500 for key in index)


@pytest.mark.parametrize("lanes", [("a",), ("a", "b|T")])
async def test_the_lanes_names_are_found_in_the_totals(settings: SpoolSettings, new: New, lanes: tuple[str, ...]) -> None:
    """Without its name a lane's records would belong to no integration."""
    spool = await SqliteSpool.open(settings)
    for number, lane in enumerate(lanes):
        await spool.put([new(str(n), lane) for n in range(5 + number)])
    await spool.close()
    path = Path(settings.path) / "spool.db"

    def destroy_names() -> None:
        connection = apsw.Connection(str(path))
        (root,) = schema.one(connection, "SELECT rootpage FROM sqlite_schema WHERE name = 'lane'")
        (index,) = schema.one(connection, "SELECT rootpage FROM sqlite_schema WHERE name = 'sqlite_autoindex_lane_1'")
        connection.close()
        for page in (root, index):
            destroy(path, (page - 1) * schema.PAGE_BYTES, schema.PAGE_BYTES)

    await asyncio.to_thread(destroy_names)
    again = await SqliteSpool.open(settings)
    assert again.salvaged is not None
    assert again.salvaged.lost == 0
    for number, lane in enumerate(lanes):
        assert len(await lease_patiently(again, lane)) == 5 + number
    await again.close()
