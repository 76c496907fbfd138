"""When the spool says that enough has gathered."""

import asyncio
from collections.abc import Callable

import pytest

from gateway.spool import window
from gateway.spool.base import NewRecord
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

New = Callable[..., NewRecord]
MIB = 1 << 20


async def test_gathering_ends_with_the_record_that_was_wanted(settings: SpoolSettings, new: New) -> None:
    spool = await SqliteSpool.open(settings)
    gathering = asyncio.create_task(spool.gathered("a", 3, 3600.0))
    for n in range(3):
        assert not gathering.done()
        await spool.put([new(str(n))])
        await spool.put([new("another's", "b")])
    async with asyncio.timeout(20):
        await gathering
    await spool.close()


async def test_nothing_is_gathered_of_what_must_be_read_back(
    settings: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How much that is, is not known; it is more than what fits into memory."""
    monkeypatch.setattr(window, "HELD_BYTES", 10)
    spool = await SqliteSpool.open(settings)
    await spool.put([new(b"x" * 1000)])
    async with asyncio.timeout(20):
        await spool.gathered("a", 1000, 3600.0)
    assert len(await spool.lease("a", 1000, MIB, 1)) == 1
    await spool.close()
