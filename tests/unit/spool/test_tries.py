"""The last tries of a record on the disk: over restarts, in spools of the schema before, and in damaged ones."""

import asyncio
import json
import random
import time
from collections.abc import Callable
from pathlib import Path

import apsw
import pytest

from gateway.outcome import Reason
from gateway.spool.base import Death, NewRecord, Retry, Settlement
from gateway.spool.segment import MalformedError, parse
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

New = Callable[..., NewRecord]
MIB = 1 << 20


async def fill(settings: SpoolSettings, new: New) -> None:
    """One that waits for its next try, and one that died after another."""
    spool = await SqliteSpool.open(settings)
    await spool.put([new("waits"), new("died")])
    for record in await spool.lease("a", 9, MIB, 0):
        await spool.settle(Settlement(retry=[Retry(record.id, 0.0, Reason.TIMEOUT, "timeout")]))
    died = next(record for record in await spool.lease("a", 9, MIB, 5) if record.payload == b"died")
    await spool.settle(Settlement(dead=[Death(died.id, Reason.TIKTOK_REJECTED, "40002: no")]))
    await spool.close()


async def found(settings: SpoolSettings) -> dict[bytes, list[str]]:
    """Payload → codes of its tries."""
    spool = await SqliteSpool.open(settings)
    records = await spool.lease("a", 9, MIB, 5)
    tries = {each.payload: each.tries for each in (*records, *await spool.dead_list(None, -1, 9))}
    await spool.close()
    assert all(abs(each.at - time.time()) < 60 for those in tries.values() for each in those)
    return {payload: [each.code for each in those] for payload, those in tries.items()}


def as_before(path: Path) -> None:
    """Make it a spool of schema 2."""
    connection = apsw.Connection(str(path))
    for id_, head in connection.execute("SELECT id, head FROM segment").fetchall():
        connection.execute("UPDATE segment SET head = ? WHERE id = ?", (json.dumps(json.loads(head)[:4]).encode(), id_))
    connection.execute("ALTER TABLE dead DROP COLUMN tries; PRAGMA user_version=2")
    connection.close()


def destroy(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[:100] = random.Random(1).randbytes(100)
    path.write_bytes(content)


KNOWN = {b"waits": ["timeout"], b"died": ["timeout", "40002"]}
UNKNOWN: dict[bytes, list[str]] = {b"waits": [], b"died": []}


async def test_they_outlive_a_restart_and_damage(settings: SpoolSettings, new: New) -> None:
    await fill(settings, new)
    assert await found(settings) == KNOWN
    await asyncio.to_thread(destroy, Path(settings.path) / "spool.db")
    assert await found(settings) == KNOWN


async def test_a_spool_of_the_schema_before_is_taken_over(settings: SpoolSettings, new: New) -> None:
    await fill(settings, new)
    path = Path(settings.path) / "spool.db"
    await asyncio.to_thread(as_before, path)
    assert await found(settings) == UNKNOWN
    await asyncio.to_thread(destroy, path)  # the row of its letter is still a column shorter than the table
    assert await found(settings) == UNKNOWN


@pytest.mark.parametrize("tries", ["x", [], [[], []], ["x"], [[["x", "timeout", ""]]], [[[1.0, "timeout"]]], [[[1.0, 2, ""]]]])
def test_a_head_with_tries_that_are_none_is_damage(tries: object) -> None:
    with pytest.raises(MalformedError):
        parse("a", 1, [[""], [1.0], [1], [1], tries], b"x")
    with pytest.raises(MalformedError):
        parse("a", 1, [[""], [1.0], [1], [1], [[]], "more"], b"x")
