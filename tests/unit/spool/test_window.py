"""What goes beside the bytes while they stay in memory."""

import time
from collections.abc import Callable

import pytest

from gateway.outcome import Outcome, Reason
from gateway.spool import window
from gateway.spool.base import Done, NewRecord, Retry, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

New = Callable[..., NewRecord]
MIB = 1 << 20


async def test_what_is_put_beside_a_payload_stays_there_as_long_as_it_is_in_memory(settings: SpoolSettings, new: New) -> None:
    extra = object()
    spool = await SqliteSpool.open(settings)
    await spool.put([new("1")._replace(beside=extra), new("2"), new("1", "b")._replace(beside=extra)])
    first, second = await spool.lease("a", 10, MIB, 1)
    (other,) = await spool.lease("b", 10, MIB, 1)
    assert (first.beside, second.beside, other.beside) == (extra, None, extra)
    await spool.release([first.id])
    (again,) = await spool.lease("a", 10, MIB, 1)
    assert again.beside is extra
    await spool.settle(
        Settlement(done=[Done(second.id, Outcome.DELIVERED)], retry=[Retry(again.id, time.time(), Reason.TIMEOUT)])
    )
    (tried,) = await spool.lease("a", 10, MIB, 20)
    assert (tried.payload, tried.attempts, tried.beside) == (b"1", 1, None)
    await spool.close()
    spool = await SqliteSpool.open(settings)
    assert [(record.payload, record.beside) for record in await spool.lease("b", 10, MIB, 1)] == [(b"1", None)]
    await spool.close()


async def test_a_lane_keeps_what_is_put_until_it_has_much_to_hand_out(
    settings: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(window, "HELD_RECORDS", 10)
    spool = await SqliteSpool.open(settings)
    assert spool.keeps("a")
    for _ in range(10):
        assert spool.keeps("a")
        await spool.put([new()])
    assert not spool.keeps("a")
    assert spool.keeps("b")
    await spool.put([new()])  # is read back when its turn comes
    records = await spool.lease("a", 10, MIB, 1)
    assert not spool.keeps("a")
    await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in records]))
    assert len(await spool.lease("a", 10, MIB, 1)) == 1
    assert spool.keeps("a")
    await spool.close()


async def test_all_lanes_together_keep_so_much(settings: SpoolSettings, new: New, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window, "BESIDE_BYTES", 10_000)
    spool = await SqliteSpool.open(settings)
    await spool.put([new("x" * 9_999)])
    assert spool.keeps("b")
    await spool.put([new("x")])
    assert not spool.keeps("b")
    await spool.close()
