"""What the writer does when nobody asks: old dead letters expire, the file shrinks, the log is written back."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.outcome import Outcome, Reason
from gateway.spool import window, writer
from gateway.spool.base import Death, Done, NewRecord, Settlement
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
        self.outcomes[outcome, reason, integration] = self.outcomes.get((outcome, reason, integration), 0) + n


def size(path: Path) -> int:
    return path.stat().st_size


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - the writer announces its upkeep to nobody
            await asyncio.sleep(0.01)


async def test_old_dead_letters_expire_and_are_counted(tmp_path: Path, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "HOUSEKEEPING_S", 0.0)
    monkeypatch.setattr(writer, "EXPIRE_ROWS", 2)
    counted = Counted()
    spool = await SqliteSpool.open(SpoolSettings(path=str(tmp_path), dead_max_age=0.0), metrics=counted)
    await spool.put([new(str(n), "a|T") for n in range(5)])
    records = await spool.lease("a|T", 10, MIB, 0)
    await spool.settle(Settlement(dead=[Death(record.id, Reason.TIKTOK_REJECTED) for record in records]))
    await until(lambda: spool.depths()[1]["a|T"] == 0)
    stats = await spool.stats()
    assert stats.totals["a|T", "expired", "too_old"] == 5
    assert await spool.dead_list(None, 0, 10) == []
    assert set(counted.outcomes) == {(Outcome.EXPIRED, Reason.TOO_OLD, "a")}
    await spool.close()


async def test_what_the_spool_itself_decides_is_counted(settings: SpoolSettings, new: New) -> None:
    counted = Counted()
    spool = await SqliteSpool.open(settings, metrics=counted)
    await spool.put([new("leased", owner="o"), new("dead", owner="o"), new("queued", owner="o"), new("dropped")])
    leased, dead = await spool.lease("a", 2, MIB, 0)
    await spool.settle(Settlement(dead=[Death(dead.id, Reason.TIKTOK_REJECTED)]))
    await spool.purge("o", Reason.ERASED)
    assert counted.outcomes == {(Outcome.PURGED, Reason.ERASED, "a"): 2}
    await spool.release([leased.id])
    assert counted.outcomes == {(Outcome.PURGED, Reason.ERASED, "a"): 3}
    (last,) = await spool.lease("a", 2, MIB, 0)
    await spool.settle(Settlement(dead=[Death(last.id, Reason.TIKTOK_REJECTED)]))
    await spool.dead_drop([letter.id for letter in await spool.dead_list(None, 0, 10)])
    assert counted.outcomes[Outcome.DROPPED, Reason.OPERATOR, "a"] == 1
    await spool.close()


async def test_letters_within_their_age_stay(tmp_path: Path, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "HOUSEKEEPING_S", 0.0)
    spool = await SqliteSpool.open(SpoolSettings(path=str(tmp_path)))
    await spool.put([new()])
    (record,) = await spool.lease("a", 10, MIB, 0)
    await spool.settle(Settlement(dead=[Death(record.id, Reason.TIKTOK_REJECTED)]))
    await spool.put([new()])
    await spool.put([new()])
    assert len(await spool.dead_list(None, 0, 10)) == 1
    await spool.close()


async def test_the_file_shrinks_while_idle(tmp_path: Path, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer, "IDLE_S", 0.01)
    monkeypatch.setattr(writer, "VACUUM_KEEP_PAGES", 16)
    spool = await SqliteSpool.open(SpoolSettings(path=str(tmp_path)))
    for _ in range(10):
        await spool.put([new(b"x" * 1000) for _ in range(1000)])
    while records := await spool.lease("a", 1000, 4 * MIB, 0):
        await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in records]))
    await until(lambda: size(tmp_path / "spool.db") < MIB)
    assert (await spool.stats()).used_bytes < 10 * MIB
    await spool.close()


async def test_memory_for_a_backlog_is_bounded_and_it_is_read_back_in_order(
    settings: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "HELD_BYTES", 100_000)
    spool = await SqliteSpool.open(settings)
    for start in range(0, 2000, 50):
        await spool.put([new(b"%06d" % n + b"x" * 994) for n in range(start, start + 50)])
    assert spool._window.held_bytes <= 100_000
    found: list[bytes] = []
    while records := await spool.lease("a", 77, MIB, 0):
        found += [record.payload[:6] for record in records]
        await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in records]))
        if len(found) % 3 == 0:
            await spool.put([new("late!!" + "x" * 10)])
    assert found[:2000] == [b"%06d" % n for n in range(2000)]
    assert set(found[2000:]) == {b"late!!"}
    assert spool._window.held_bytes == 0
    await spool.close()
