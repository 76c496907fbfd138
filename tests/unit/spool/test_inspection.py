"""A large file is checked while it is in use, and gives way to the log."""

import asyncio
import random
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from gateway.outcome import Outcome, Reason
from gateway.spool import inspection, salvage, schema
from gateway.spool.base import Death, Done, NewRecord, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

New = Callable[..., NewRecord]
MIB = 1 << 20


@pytest.fixture(autouse=True)
def every_file_is_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(salvage, "CHECK_WHOLE_BYTES", 0)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not condition():  # noqa: ASYNC110 - a thread's work
            await asyncio.sleep(0.01)


def destroy_dead_letters(path: Path) -> None:
    """Damage that nobody meets who only delivers."""
    connection = apsw.Connection(str(path))
    (root,) = schema.one(connection, "SELECT rootpage FROM sqlite_schema WHERE name = 'dead'")
    connection.close()
    content = bytearray(path.read_bytes())
    start = (root - 1) * schema.PAGE_BYTES
    content[start : start + schema.PAGE_BYTES] = random.Random(1).randbytes(schema.PAGE_BYTES)
    path.write_bytes(content)


async def test_damage_that_nobody_meets_is_found_and_salvaged(settings: SpoolSettings, new: New) -> None:
    spool = await SqliteSpool.open(settings)
    await spool.put([new("dead"), new("queued")])
    (record,) = await spool.lease("a", 1, MIB, 0)
    await spool.settle(Settlement(dead=[Death(record.id, Reason.TIKTOK_REJECTED)]))
    await spool.close()
    await asyncio.to_thread(destroy_dead_letters, Path(settings.path) / "spool.db")
    again = await SqliteSpool.open(settings)
    await until(lambda: again.salvaged is not None)
    assert again.salvaged is not None
    assert again.salvaged.lost == 1
    assert [record.payload for record in await again.lease("a", 9, MIB, 0)] == [b"queued"]
    await again.close()


async def test_a_sound_file_is_checked_once(settings: SpoolSettings, new: New, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    spool = await SqliteSpool.open(settings)
    await spool.put([new()])
    await until(lambda: "spool checked; it is sound" in caplog.text)
    assert spool._inspecting is not None
    await spool._inspecting
    assert spool.salvaged is None
    await spool.close()


async def test_it_gives_way_to_the_log_and_begins_again(
    settings: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    spool = await SqliteSpool.open(settings)
    for _ in range(5):
        await spool.put([new(b"x" * 1000) for _ in range(500)])
    await spool.close()
    monkeypatch.setattr(inspection, "_EVERY_STEPS", 1)
    caplog.clear()
    monkeypatch.setattr(inspection, "AGAIN_S", (0.02, 0.02))
    monkeypatch.setattr(inspection, "LOG_BYTES", -1)
    again = await SqliteSpool.open(settings)
    await again.put([new()])
    await asyncio.sleep(0.2)
    assert "spool checked" not in caplog.text
    records = await again.lease("a", 100, MIB, 0)
    await again.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in records]))
    monkeypatch.setattr(inspection, "LOG_BYTES", 1 << 30)
    await until(lambda: "spool checked; it is sound" in caplog.text)
    await again.close()


async def test_closing_does_not_wait_for_the_check(settings: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "LOG_BYTES", -1)
    monkeypatch.setattr(inspection, "_EVERY_STEPS", 1)
    spool = await SqliteSpool.open(settings)
    await spool.put([new()])
    async with asyncio.timeout(5):
        await spool.close()
