"""The machine's side: disks that fail, fill up or lie, second processes, newer files."""

import asyncio
import sqlite3
import stat
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import apsw
import pytest

from gateway.errors import SpoolLocked, SpoolTooNew, SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Done, NewRecord, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

New = Callable[..., NewRecord]
MIB = 1 << 20


FaultyDisk = Any
"""The fixture ``disk`` of conftest.py."""


def sizes(directory: Path) -> dict[str, int]:
    return {path.name: path.stat().st_size for path in directory.iterdir()}


def modes(directory: Path) -> dict[str, int]:
    return {path.name: stat.S_IMODE(path.stat().st_mode) for path in [directory, *directory.iterdir()]}


@pytest.fixture
async def spool(settings: SpoolSettings, disk: FaultyDisk) -> AsyncIterator[SqliteSpool]:
    opened = await SqliteSpool.open(settings, vfs=disk.name)
    yield opened
    await opened.close()


async def recovered(spool: SqliteSpool, record: NewRecord) -> None:
    """Put ``record`` as soon as the spool takes records again."""
    async with asyncio.timeout(20):
        while True:
            try:
                await spool.put([record])
            except SpoolUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


async def lease_all(spool: SqliteSpool, lane: str = "a") -> list[bytes]:
    return [record.payload for record in await spool.lease(lane, 100_000, 100 * MIB, 0)]


async def test_put_is_synced_before_it_resolves(spool: SqliteSpool, disk: FaultyDisk, new: New) -> None:
    before = disk.syncs
    await spool.put([new()])
    assert disk.syncs > before


async def test_after_a_failed_fsync_nothing_is_acknowledged_until_a_fresh_handle_works(
    spool: SqliteSpool, disk: FaultyDisk, new: New, settings: SpoolSettings
) -> None:
    await spool.put([new("before")])
    disk.fail_sync = True
    with pytest.raises(SpoolUnavailable) as caught:
        await spool.put([new("lost")])
    assert caught.value.reason is Reason.SPOOL_UNAVAILABLE
    with pytest.raises(SpoolUnavailable):
        spool.put([new("refused at once")])
    assert not (await spool.stats()).writable
    disk.fail_sync = False
    await recovered(spool, new("after"))
    assert await lease_all(spool) == [b"before", b"after"]
    stats = await spool.stats()
    assert stats.writable
    assert stats.totals["a", "accepted", ""] == 2
    await spool.close()
    again = await SqliteSpool.open(settings)
    assert await lease_all(again) == [b"before", b"after"]
    await again.close()


async def test_a_settlement_survives_a_failing_disk(
    spool: SqliteSpool, disk: FaultyDisk, new: New, settings: SpoolSettings
) -> None:
    await spool.put([new("1"), new("2")])
    one, _ = await spool.lease("a", 10, MIB, 0)
    disk.fail_sync = True
    settling = asyncio.ensure_future(spool.settle(Settlement(done=[Done(one.id, Outcome.DELIVERED)])))
    with pytest.raises(SpoolUnavailable):
        await spool.put([new("lost")])
    assert not settling.done()
    disk.fail_sync = False
    async with asyncio.timeout(20):
        await settling
    await spool.close()
    again = await SqliteSpool.open(settings)
    assert await lease_all(again) == [b"2"]
    assert (await again.stats()).totals["a", "delivered", ""] == 1
    await again.close()


@pytest.mark.parametrize(("error", "reason"), [(apsw.FullError, Reason.SPOOL_FULL), (apsw.IOError, Reason.SPOOL_UNAVAILABLE)])
async def test_failing_writes_refuse_puts_with_the_reason(
    spool: SqliteSpool, disk: FaultyDisk, new: New, error: type[Exception], reason: Reason
) -> None:
    disk.fail_write = error
    with pytest.raises(SpoolUnavailable) as caught:
        await spool.put([new()])
    assert caught.value.reason is reason
    disk.fail_write = None
    await recovered(spool, new("after"))
    assert await lease_all(spool) == [b"after"]


async def test_closing_while_the_disk_fails_ends_and_says_so(spool: SqliteSpool, disk: FaultyDisk, new: New) -> None:
    await spool.put([new()])
    (record,) = await spool.lease("a", 1, MIB, 0)
    disk.fail_sync = True
    settling = asyncio.ensure_future(spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED)])))
    await asyncio.sleep(0)
    await spool.close()
    with pytest.raises(SpoolUnavailable):
        await settling


async def test_max_bytes_refuses_puts_and_delivery_makes_room(tmp_path: Path, new: New) -> None:
    spool = await SqliteSpool.open(SpoolSettings(path=str(tmp_path), max_bytes=MIB))
    accepted = 0
    refusal = None
    while refusal is None and accepted < 3000:
        try:
            await spool.put([new(b"x" * 1000)])
            accepted += 1
        except SpoolUnavailable as error:
            refusal = error.reason
    assert refusal is Reason.SPOOL_FULL
    assert accepted > 200
    found = sizes(tmp_path)
    assert found["spool.db"] + found["spool.db-wal"] < 1.5 * MIB
    assert not (await spool.stats()).writable
    while records := await spool.lease("a", 100, MIB, 0):
        await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in records]))
    await recovered(spool, new(b"x" * 1000))
    assert (await spool.stats()).totals["a", "delivered", ""] == accepted
    await spool.close()


async def test_a_second_opener_is_kept_out_until_the_first_has_closed(settings: SpoolSettings) -> None:
    first = await SqliteSpool.open(settings)
    with pytest.raises(SpoolLocked):
        await SqliteSpool.open(settings)
    await first.close()
    second = await SqliteSpool.open(settings)
    await second.close()


async def test_a_newer_schema_is_left_untouched(settings: SpoolSettings, new: New) -> None:
    spool = await SqliteSpool.open(settings)
    await spool.put([new()])
    await spool.close()
    path = Path(settings.path) / "spool.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version=99")
    connection.close()
    before = path.read_bytes()
    with pytest.raises(SpoolTooNew):
        await SqliteSpool.open(settings)
    assert path.read_bytes() == before
    # The lock is free again: whatever else is on the disk was not the reason.
    with pytest.raises(SpoolTooNew):
        await SqliteSpool.open(settings)


async def test_an_unusable_directory_is_spool_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(SpoolUnavailable):
        await SqliteSpool.open(SpoolSettings(path=str(tmp_path / "file" / "spool")))


async def test_files_are_private(settings: SpoolSettings, new: New) -> None:
    spool = await SqliteSpool.open(settings)
    await spool.put([new()])
    directory = Path(settings.path)
    found = modes(directory)
    assert found.pop(directory.name) == 0o700
    assert set(found) >= {"spool.db", "spool.db-wal", "spool.lock"}
    assert set(found.values()) == {0o600}
    await spool.close()


async def test_the_log_stays_bounded(settings: SpoolSettings, new: New) -> None:
    spool = await SqliteSpool.open(settings)
    log = Path(settings.path) / "spool.db-wal"
    for _ in range(60):
        await spool.put([new(b"x" * 1000) for _ in range(500)])
    assert log.stat().st_size < 12 * MIB
    await spool.close()


async def test_one_bad_request_does_not_spoil_its_neighbours(spool: SqliteSpool, new: New) -> None:
    def bad(_: object) -> None:
        raise ValueError("a fault in one request")

    good = spool.put([new("good")])
    with pytest.raises(ValueError, match="a fault in one request"):
        await spool._run(bad)
    await good
    assert await lease_all(spool) == [b"good"]


async def test_a_commit_that_came_through_after_all_is_taken_back(
    settings: SpoolSettings, disk: FaultyDisk, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """COMMIT reported a failure, but its records are found when the file is opened again: they were answered as refused."""
    spool = await SqliteSpool.open(settings, vfs=disk.name)
    await spool.put([new("before"), new("settled")])
    _, settled = await spool.lease("a", 10, MIB, 0)
    writer = spool._writer
    connection = writer._connection
    assert connection is not None

    class Liar:
        """Commits, then claims to have failed."""

        def __getattr__(self, name: str) -> object:
            return getattr(connection, name)

        def execute(self, sql: str, *arguments: object) -> object:
            result = connection.execute(sql, *arguments)  # type: ignore[arg-type]
            if sql == "COMMIT":
                raise apsw.IOError("injected")
            return result

    monkeypatch.setattr(writer, "_connection", Liar())
    put = spool.put([new("lost")])
    settling = asyncio.ensure_future(spool.settle(Settlement(done=[Done(settled.id, Outcome.DELIVERED)])))
    with pytest.raises(SpoolUnavailable):
        await put
    async with asyncio.timeout(20):
        await settling
    await recovered(spool, new("after"))
    await spool.close()
    again = await SqliteSpool.open(settings)
    assert await lease_all(again) == [b"before", b"after"]
    stats = await again.stats()
    assert (stats.totals["a", "accepted", ""], stats.totals["a", "delivered", ""]) == (3, 1)
    await again.close()
