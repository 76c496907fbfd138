"""A person who withdraws, or is erased, is so in all pods: what others have in hand, and what lies on others' disks."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from brokering import Broker, be_patient

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Done, NewRecord, Record, Retry, Settlement
from gateway.spool.jetstream.spool import JetStreamSpool
from gateway.spool.jetstream.wire import BrokerAway, Message

MIB = 1 << 20
NEEDLE = "f" * 64


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    be_patient(monkeypatch)
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
async def pods(broker: Broker, tmp_path: Path) -> AsyncIterator[Any]:
    opened: list[JetStreamSpool] = []

    async def make(name: str) -> JetStreamSpool:
        opened.append(await JetStreamSpool.open(broker.settings(tmp_path / name, "ttgw")))
        async with asyncio.timeout(40):
            while opened[-1]._intake.away:  # noqa: ASYNC110 - on a busy machine the first answer may come too late for its time-out
                await asyncio.sleep(0.01)
        return opened[-1]

    yield make
    for spool in opened:
        await spool.close()


def new(payload: str, owner: str = "", accepted_at: float = 0.0) -> NewRecord:
    return NewRecord("a", owner, accepted_at or time.time(), payload.encode())


async def remove(spool: JetStreamSpool, how: str) -> int:
    async with asyncio.timeout(40):
        while True:
            with suppress(SpoolUnavailable):  # a busy machine again; who asks asks again
                if how == "withdrawn":
                    return (await spool.purge("o", Reason.WITHDRAWN)).removed
                return (await spool.erase(NEEDLE.encode(), Reason.ERASED)).removed


async def all_of(spool: JetStreamSpool, n: int) -> list[str]:
    """What can be delivered, and nothing more."""
    found: list[Record] = []
    async with asyncio.timeout(40):
        while len(found) < n:
            found += await spool.lease("a", 1000, MIB, 1)
    found += await spool.lease("a", 1000, MIB, 0.2)
    await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in found]))
    return sorted(record.payload.decode() for record in found)


async def purged(spool: JetStreamSpool, how: str, n: int) -> None:
    """Accepted = all others + queued, and so many are purged."""
    async with asyncio.timeout(40):
        while (totals := (await spool.stats()).totals).get(("a", "purged", how)) != n:  # noqa: ASYNC110 - figures
            await asyncio.sleep(0.05)
    assert totals["a", "accepted", ""] == sum(count for (_, outcome, _), count in totals.items() if outcome != "accepted")


async def kept_here(spool: JetStreamSpool, *records: NewRecord) -> None:
    """On this pod's disk, as while the broker is away."""
    spool._intake.away = True
    await spool.put(records)


MINE = f"mine {NEEDLE}"
BOTH = pytest.mark.parametrize("how", ["withdrawn", "erased"])


@BOTH
async def test_what_lies_on_the_disk_of_a_pod_that_was_down(pods: Any, broker: Broker, tmp_path: Path, how: str) -> None:
    """It is started again only after the withdrawal: nobody could tell it."""
    down = await JetStreamSpool.open(broker.settings(tmp_path / "down", "ttgw"))
    down._intake._try_forward = _never  # type: ignore[method-assign]
    later = time.time() + 60
    await kept_here(down, new(MINE, "o"), new("yours", "p"), new(f"{MINE} of later", "o", later))
    await down.close()
    other = await pods("other")
    await remove(other, how)
    await pods("down")
    assert await all_of(other, 2) == [f"{MINE} of later", "yours"]
    await purged(other, how, 1)


async def _never() -> None:
    """Forwards nothing."""


@BOTH
async def test_what_lies_on_the_disk_of_a_pod_that_hears_it(pods: Any, how: str) -> None:
    one, other = await pods("one"), await pods("other")
    forward = one._intake._try_forward
    one._intake._try_forward = _never
    await kept_here(one, new(MINE, "o"), new("yours", "p"))
    await remove(other, how)
    async with asyncio.timeout(40):
        while (await one._local.stats()).totals.get(("a", "purged", how)) != 1:  # noqa: ASYNC110 - said over the broker
            await asyncio.sleep(0.01)
    one._intake._try_forward = forward
    assert await all_of(other, 1) == ["yours"]
    await purged(other, how, 1)


@BOTH
async def test_what_is_forwarded_while_it_is_withdrawn(pods: Any, how: str) -> None:
    """After the pod has looked for notes, before its records have arrived: the narrowest moment there is."""
    one, other = await pods("one"), await pods("other")
    look = one._intake._permitted
    told = False

    async def withdrawn_meanwhile(records: list[Record]) -> list[Record]:
        nonlocal told
        found: list[Record] = await look(records)
        if not told:
            told = True
            await remove(other, how)
        return found

    one._intake._permitted = withdrawn_meanwhile
    await kept_here(one, new(MINE, "o"), new("yours", "p"))
    async with asyncio.timeout(40):
        while one._intake.away:  # noqa: ASYNC110 - the breaker announces itself to nobody
            await asyncio.sleep(0.01)
    await purged_at_last(other, how)
    assert await all_of(other, 1) == ["yours"]
    await purged(other, how, 1)


async def purged_at_last(spool: JetStreamSpool, how: str) -> None:
    async with asyncio.timeout(40):
        while (await spool.stats()).totals.get(("a", "purged", how)) != 1:  # noqa: ASYNC110 - figures
            await asyncio.sleep(0.05)


async def test_what_the_broker_could_not_be_asked_for_is_asked_again(pods: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One stream has no leader for a moment; events go on as ever, so nothing else tells that it is back."""
    monkeypatch.setattr("gateway.spool.jetstream.purging._AGAIN_S", 0.05)
    one = await pods("one")
    await one.put([new(MINE, "o"), new("yours", "p")])
    note, times = one._intake.withdrawals.note, 0

    async def electing(*what: Any) -> None:
        nonlocal times
        times += 1
        if times <= 3:
            raise BrokerAway("no answer in time")
        await note(*what)

    one._intake.withdrawals.note = electing
    with pytest.raises(SpoolUnavailable):
        await one.purge("o", Reason.WITHDRAWN)
    await purged_at_last(one, "withdrawn")
    assert times == 4
    assert await all_of(one, 1) == ["yours"]


async def test_what_another_pod_has_in_hand_is_erased(pods: Any) -> None:
    one, other = await pods("one"), await pods("other")
    await one.put([new(MINE), new(f"{MINE} delivered"), new("yours")])
    records: list[Record] = []
    async with asyncio.timeout(40):
        while len(records) < 3:
            records += await one.lease("a", 10, MIB, 1.0)
    assert await remove(other, "erased") == 2
    async with asyncio.timeout(40):
        while sum(held.doomed is not None for held in one._holdings.by_place.values()) < 2:  # noqa: ASYNC110 - said over the broker
            await asyncio.sleep(0.01)
    delivered = [record.id for record in records if record.payload.endswith(b"delivered")]
    await one.settle(
        Settlement(
            done=[Done(id_, Outcome.DELIVERED) for id_ in delivered],
            retry=[Retry(record.id, 0.0, Reason.TIMEOUT) for record in records if record.id not in delivered],
        )
    )
    assert await all_of(one, 1) == ["yours"]
    await purged(one, "erased", 1)
    totals = (await one.stats()).totals
    assert totals["a", "delivered", ""] == 2, "TikTok had it already: that is what is counted"


@BOTH
async def test_every_pod_is_told_of_a_removal_with_one_time(pods: Any, how: str) -> None:
    """They recognise repetitions by themselves: what comes of the person from then on is new in all, under one name."""
    told: dict[str, set[tuple[str, bytes, float]]] = {"one": set(), "other": set()}
    one, other = await pods("one"), await pods("other")
    one.on_removal = lambda *what: told["one"].add(what)
    other.on_removal = lambda *what: told["other"].add(what)
    await remove(one, how)
    async with asyncio.timeout(20):
        while not told["other"]:  # noqa: ASYNC110 - said over the broker
            await asyncio.sleep(0.01)
    (what,) = told["other"]
    assert what[:2] == (("o", b"") if how == "withdrawn" else ("", NEEDLE.encode()))
    assert what in told["one"]


async def test_a_stream_of_notes_that_was_made_anew_is_read_from_its_beginning(pods: Any) -> None:
    one = await pods("one")
    withdrawals = one._intake.withdrawals
    withdrawals._seen = 1000
    await withdrawals.note("o", b"", Reason.WITHDRAWN, time.time())
    await withdrawals.learn()
    assert withdrawals.reason("o", time.time() - 1, b"") == (Reason.WITHDRAWN, b"")
    assert withdrawals.reason("p", 0.0, b"") is None
    assert withdrawals.reason("", 0.0, b"") is None
    withdrawals._seen = 0
    await one._wire.ask([one_of_junk(one, n) for n in range(4)], 1.0)
    await withdrawals.learn()


def one_of_junk(spool: JetStreamSpool, number: int) -> Any:
    body = [b"", b"[]", b'{"at": "x", "reason": "withdrawn"}', b'{"at": 1, "reason": "invented"}'][number]
    return Message(f"{spool._names.purges}.owner.x{number}", body)


async def test_junk_on_the_control_subject_is_said_and_harms_nobody(pods: Any, caplog: pytest.LogCaptureFixture) -> None:
    one = await pods("one")
    await one.put([new(MINE, "o")])
    for words in (
        b"",
        b"[]",
        b'{"needle": 5, "reason": "erased"}',
        b'{"needle": "", "reason": "erased"}',
        b'{"stream": 1, "reason": "erased"}',
    ):
        one._purging.told(words)
    assert caplog.messages.count("a message on the control subject cannot be read") == 4
    assert await all_of(one, 1) == [MINE]
