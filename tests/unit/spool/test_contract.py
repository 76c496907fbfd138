"""What every spool promises, whatever the engine: run against each of them."""

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Death, Done, NewRecord, Record, Retry, Settlement, Spool, SpoolStats

New = Callable[..., NewRecord]
MIB = 1 << 20


def done(records: list[Record], outcome: Outcome = Outcome.DELIVERED) -> Settlement:
    return Settlement(done=[Done(record.id, outcome) for record in records])


def payloads(records: list[Record]) -> list[bytes]:
    return [record.payload for record in records]


def assert_conserved(stats: SpoolStats) -> None:
    """accepted = finals + dead + queued, for each lane."""
    for lane in stats.lanes:
        totals = {key[1:]: n for key, n in stats.totals.items() if key[0] == lane.lane}
        accepted = totals.pop(("accepted", ""), 0)
        dead = sum(n for (outcome, _), n in totals.items() if outcome == "dead")
        assert dead == lane.dead
        assert accepted == sum(totals.values()) + lane.queued


async def test_what_is_put_is_leased_in_order_with_everything_in_it(spool: Spool, new: New) -> None:
    await spool.put([new("1", owner="x", accepted_at=7.25), new("2")])
    await spool.put([new("3")])
    records = await spool.lease("a", 10, MIB, 1)
    assert payloads(records) == [b"1", b"2", b"3"]
    assert (records[0].lane, records[0].owner, records[0].accepted_at, records[0].attempts) == ("a", "x", 7.25, 0)


@pytest.mark.parametrize("payload", [b"", b"\x00\xff\x00", b"\xc3(", "é\n,".encode(), b"x" * 300_000])
async def test_payloads_are_bytes_and_come_back_as_they_were(spool: Spool, new: New, payload: bytes) -> None:
    await spool.put([new(b"before"), new(payload), new(b"after")])
    found: list[bytes] = []
    async with asyncio.timeout(20):
        while len(found) < 3:  # a lease may hand out less than there is
            found += payloads(await spool.lease("a", 10, 10 * MIB, 1))
    assert found == [b"before", payload, b"after"]


async def test_lanes_are_separate_and_listed(spool: Spool, new: New) -> None:
    await spool.put([new("1", "a"), new("2", "b|T"), new("3", "a")])
    assert await spool.lanes() == ["a", "b|T"]
    assert payloads(await spool.lease("b|T", 10, MIB, 1)) == [b"2"]
    assert payloads(await spool.lease("a", 10, MIB, 1)) == [b"1", b"3"]
    assert await spool.lease("c", 10, MIB, 0) == []


async def test_a_leased_record_is_not_handed_out_again(spool: Spool, new: New) -> None:
    await spool.put([new(str(n)) for n in range(5)])
    first = await spool.lease("a", 2, MIB, 1)
    second = await spool.lease("a", 10, MIB, 1)
    assert payloads(first + second) == [b"0", b"1", b"2", b"3", b"4"]
    assert await spool.lease("a", 10, MIB, 0) == []
    assert len({record.id for record in first + second}) == 5


async def test_gathering_leases_nothing_and_ends_with_its_time(spool: Spool, new: New) -> None:
    await spool.put([new("1")])
    async with asyncio.timeout(20):
        await spool.gathered("a", 2, 0.05)
        await spool.gathered("nobody's", 1, 0.05)
    assert payloads(await spool.lease("a", 10, MIB, 1)) == [b"1"]


async def test_lease_is_bounded_by_bytes_but_never_starves(spool: Spool, new: New) -> None:
    await spool.put([new("x" * 100), new("y" * 100), new("z" * 1000)])
    assert len(await spool.lease("a", 10, 200, 1)) == 2
    assert payloads(await spool.lease("a", 10, 200, 1)) == [b"z" * 1000]


async def test_settled_records_are_gone_and_counted(spool: Spool, new: New) -> None:
    await spool.put([new(str(n)) for n in range(4)])
    records = await spool.lease("a", 10, MIB, 1)
    await spool.settle(
        Settlement(done=[Done(records[0].id, Outcome.DELIVERED), Done(records[1].id, Outcome.EXPIRED, Reason.TOO_OLD)])
    )
    stats = await spool.stats()
    assert stats.totals["a", "delivered", ""] == 1
    assert stats.totals["a", "expired", "too_old"] == 1
    (lane,) = stats.lanes
    assert (lane.queued, lane.leased, lane.dead) == (2, 2, 0)
    assert lane.oldest_accepted_at == 1000.5
    assert_conserved(stats)


async def test_settling_twice_counts_once(spool: Spool, new: New) -> None:
    await spool.put([new()])
    records = await spool.lease("a", 10, MIB, 1)
    await spool.settle(done(records))
    await spool.settle(done(records))
    await spool.settle(
        Settlement(dead=[Death(records[0].id, Reason.UNDECODABLE)], retry=[Retry(records[0].id, 0, Reason.TIMEOUT)])
    )
    await spool.release([records[0].id])
    stats = await spool.stats()
    assert stats.totals["a", "delivered", ""] == 1
    assert await spool.lease("a", 10, MIB, 0) == []
    assert await spool.lanes() == []


async def test_only_what_is_leased_can_be_settled(spool: Spool, new: New) -> None:
    await spool.put([new("1"), new("2")])
    (record,) = await spool.lease("a", 1, MIB, 1)
    await spool.release([record.id])
    await spool.settle(done([record]))
    assert payloads(await spool.lease("a", 10, MIB, 1)) == [b"1", b"2"]


async def test_released_records_come_again_first_and_untried(spool: Spool, new: New) -> None:
    await spool.put([new("1"), new("2")])
    await spool.put([new("3")])
    records = await spool.lease("a", 2, MIB, 1)
    await spool.release([records[1].id, records[0].id])
    again = await spool.lease("a", 10, MIB, 1)
    assert payloads(again) == [b"1", b"2", b"3"]
    assert [record.attempts for record in again] == [0, 0, 0]


async def test_retry_is_handed_out_when_due_and_not_before(spool: Spool, new: New) -> None:
    await spool.put([new("1", owner="o", accepted_at=5.0), new("2")])
    one, two = await spool.lease("a", 10, MIB, 1)
    due = time.time() + 0.15
    await spool.settle(Settlement(done=[Done(two.id, Outcome.DELIVERED)], retry=[Retry(one.id, due, Reason.TIMEOUT)]))
    assert await spool.lease("a", 10, MIB, 0) == []
    assert await spool.lanes() == ["a"]
    (record,) = await spool.lease("a", 10, MIB, 5)
    assert due - 0.01 <= time.time() < due + 1
    assert (record.payload, record.owner, record.accepted_at, record.attempts) == (b"1", "o", 5.0, 1)
    await spool.settle(Settlement(retry=[Retry(record.id, 0, Reason.TIMEOUT)]))
    (record,) = await spool.lease("a", 10, MIB, 5)
    assert record.attempts == 2
    await spool.settle(done([record]))
    assert_conserved(await spool.stats())


async def test_lease_waits_for_its_own_lane_and_wakes_at_once(spool: Spool, new: New) -> None:
    waiting = asyncio.ensure_future(spool.lease("a", 10, MIB, 30))
    await asyncio.sleep(0)
    await spool.put([new("other", "b")])
    assert not waiting.done()
    started = time.monotonic()
    await spool.put([new("mine")])
    assert payloads(await waiting) == [b"mine"]
    assert time.monotonic() - started < 5


async def test_lease_without_records_returns_after_its_wait(spool: Spool) -> None:
    started = time.monotonic()
    assert await spool.lease("a", 10, MIB, 0.05) == []
    assert 0.04 < time.monotonic() - started < 5


async def test_a_cancelled_lease_loses_nothing(spool: Spool, new: New) -> None:
    waiting = asyncio.ensure_future(spool.lease("a", 10, MIB, 30))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await spool.put([new("1")])
    assert payloads(await spool.lease("a", 10, MIB, 1)) == [b"1"]


async def test_a_cancelled_put_does_not_reach_its_neighbours(spool: Spool, new: New) -> None:
    async def put(payload: str) -> None:
        await spool.put([new(payload)])

    gone, stays = asyncio.ensure_future(put("1")), asyncio.ensure_future(put("2"))
    await asyncio.sleep(0)
    gone.cancel()
    await stays
    assert payloads(await spool.lease("a", 10, MIB, 1)) == [b"1", b"2"]


async def test_dead_letters_are_listed_with_the_reason(spool: Spool, new: New) -> None:
    await spool.put([new("1", owner="o", accepted_at=3.5), new("2", "b"), new("3")])
    one, three = await spool.lease("a", 10, MIB, 1)
    (two,) = await spool.lease("b", 10, MIB, 1)
    before = time.time()
    await spool.settle(Settlement(dead=[Death(one.id, Reason.TIKTOK_REJECTED, "40002: bad")]))
    await spool.settle(Settlement(dead=[Death(two.id, Reason.UNDECODABLE), Death(three.id, Reason.UNDECODABLE)]))
    letters = await spool.dead_list(None, 0, 10)
    assert [letter.payload for letter in letters] == [b"1", b"2", b"3"]
    first = letters[0]
    assert (first.lane, first.owner, first.accepted_at, first.attempts) == ("a", "o", 3.5, 1)
    assert (first.reason, first.answer) == ("tiktok_rejected", "40002: bad")
    assert before - 1 < first.died_at < time.time() + 1
    assert [letter.payload for letter in await spool.dead_list("a", 0, 10)] == [b"1", b"3"]
    assert [letter.payload for letter in await spool.dead_list(None, first.id, 1)] == [b"2"]
    stats = await spool.stats()
    assert [(lane.lane, lane.queued, lane.dead) for lane in stats.lanes] == [("a", 0, 2), ("b", 0, 1)]
    assert stats.totals["a", "dead", "tiktok_rejected"] == 1
    assert_conserved(stats)


async def test_the_last_tries_are_kept_with_the_record_and_its_letter(spool: Spool, new: New) -> None:
    await spool.put([new("1"), new("untried")])
    record, untried = await spool.lease("a", 10, MIB, 1)
    assert record.tries == ()
    begun = time.time()
    codes = [
        (Reason.TIMEOUT, "timeout"),
        *[(Reason.TIKTOK_UNAVAILABLE, f"http_50{n}") for n in range(5)],
        (Reason.CONNECTION, ""),
    ]
    for reason, code in codes:
        await spool.settle(Settlement(retry=[Retry(record.id, 0, reason, code)]))
        (record,) = await spool.lease("a", 10, MIB, 5)
    assert record.attempts == len(codes)
    assert [(reason, code) for _, reason, code in record.tries] == [(reason.value, code) for reason, code in codes[-5:]]
    assert begun - 1 < record.tries[0].at <= record.tries[-1].at < time.time() + 1
    await spool.release([record.id])
    (record,) = await spool.lease("a", 10, MIB, 5)
    assert len(record.tries) == 5
    await spool.settle(
        Settlement(dead=[Death(record.id, Reason.TIKTOK_REJECTED, "40002: a: b"), Death(untried.id, Reason.UNDECODABLE, "x: y")])
    )
    first, second = sorted(await spool.dead_list(None, 0, 10), key=lambda letter: letter.payload)
    assert first.tries[:4] == record.tries[1:]
    assert first.tries[-1][1:] == ("tiktok_rejected", "40002")
    assert second.tries == (), "nobody was asked"
    await spool.dead_replay([first.id])
    (again,) = await spool.lease("a", 10, MIB, 5)
    assert (again.attempts, again.tries) == (0, ())
    await spool.settle(Settlement(retry=[Retry(again.id, time.time() + 60, Reason.TIMEOUT, "timeout")]))
    assert await spool.bury_lane("a", Reason.INTEGRATION_REMOVED) == 1
    letters = await spool.dead_list(None, 0, 10)
    assert [[each.code for each in letter.tries] for letter in letters if letter.payload == b"1"] == [["timeout"]]


async def test_replay_queues_again_with_a_new_age(spool: Spool, new: New) -> None:
    await spool.put([new("1", owner="o", accepted_at=3.5)])
    (record,) = await spool.lease("a", 10, MIB, 1)
    await spool.settle(Settlement(dead=[Death(record.id, Reason.TIKTOK_REJECTED)]))
    (letter,) = await spool.dead_list(None, 0, 10)
    assert await spool.dead_replay([letter.id, letter.id + 1000]) == 1
    assert await spool.dead_list(None, 0, 10) == []
    (again,) = await spool.lease("a", 10, MIB, 1)
    assert (again.payload, again.owner, again.attempts) == (b"1", "o", 0)
    assert abs(again.accepted_at - time.time()) < 5
    await spool.settle(done([again]))
    stats = await spool.stats()
    assert stats.totals["a", "accepted", ""] == stats.totals["a", "delivered", ""] == 1
    assert_conserved(stats)


async def test_drop_removes_dead_letters_for_good(spool: Spool, new: New) -> None:
    await spool.put([new("1"), new("2")])
    await spool.settle(Settlement(dead=[Death(r.id, Reason.TIKTOK_REJECTED) for r in await spool.lease("a", 10, MIB, 1)]))
    letters = await spool.dead_list(None, 0, 10)
    assert await spool.dead_drop([letters[0].id]) == 1
    assert await spool.dead_drop([letters[0].id]) == 0
    assert [letter.payload for letter in await spool.dead_list(None, 0, 10)] == [b"2"]
    stats = await spool.stats()
    assert stats.totals["a", "dropped", "operator"] == 1
    assert_conserved(stats)


async def test_purge_removes_queued_retried_and_dead_of_one_owner(spool: Spool, new: New) -> None:
    await spool.put(
        [new("dead", owner="o"), new("later", owner="o"), new("queued", owner="o"), new("other", owner="p"), new("nobody")]
    )
    dead, later = await spool.lease("a", 2, MIB, 1)
    await spool.settle(
        Settlement(dead=[Death(dead.id, Reason.TIKTOK_REJECTED)], retry=[Retry(later.id, time.time() + 60, Reason.TIMEOUT)])
    )
    assert await spool.purge("", Reason.WITHDRAWN) == (0, 0)
    assert await spool.purge("o", Reason.WITHDRAWN) == (3, 0)
    assert await spool.purge("o", Reason.WITHDRAWN) == (0, 0)
    assert payloads(await spool.lease("a", 10, MIB, 1)) == [b"other", b"nobody"]
    assert await spool.dead_list(None, 0, 10) == []
    stats = await spool.stats()
    assert stats.totals["a", "purged", "withdrawn"] == 3
    assert_conserved(stats)


async def test_erasure_removes_what_holds_the_needle_and_nothing_else(spool: Spool, new: New) -> None:
    await spool.put([new(b"mine 1"), new(b"yours"), new(b"mine 2", lane="b"), new(b"mi"), new(b"ne 3")])
    await spool.put([new(b"mine 4", lane="c"), new(b"mine dead", lane="d"), new(b"your dead", lane="d")])
    (leased,) = await spool.lease("c", 1, 1 << 20, 0.0)
    letters = await spool.lease("d", 2, 1 << 20, 0.0)
    await spool.settle(Settlement(dead=[Death(record.id, Reason.TIKTOK_REJECTED) for record in letters]))
    assert await spool.erase(b"", Reason.ERASED) == (0, 0)
    assert await spool.erase(b"mine", Reason.ERASED) == (3, 1)
    assert [record.payload for record in await spool.lease("a", 9, 1 << 20, 0.0)] == [b"yours", b"mi", b"ne 3"]
    assert await spool.lease("b", 9, 1 << 20, 0.0) == []
    assert [letter.payload for letter in await spool.dead_list(None, -1, 9)] == [b"your dead"]
    await spool.release([leased.id])
    assert await spool.lease("c", 9, 1 << 20, 0.0) == []
    totals = (await spool.stats()).totals
    assert sum(n for (_, outcome, reason), n in totals.items() if (outcome, reason) == ("purged", "erased")) == 4


async def test_purge_of_leased_records_takes_effect_when_they_come_back(spool: Spool, new: New) -> None:
    await spool.put([new(name, owner="o") for name in ("delivered", "retried", "dead", "released")])
    delivered, retried, dead, released = await spool.lease("a", 10, MIB, 1)
    assert await spool.purge("o", Reason.ERASED) == (0, 4)
    await spool.settle(
        Settlement(
            done=[Done(delivered.id, Outcome.DELIVERED)],
            retry=[Retry(retried.id, 0, Reason.TIMEOUT)],
            dead=[Death(dead.id, Reason.TIKTOK_REJECTED)],
        )
    )
    await spool.release([released.id])
    assert await spool.lease("a", 10, MIB, 0) == []
    assert await spool.dead_list(None, 0, 10) == []
    stats = await spool.stats()
    assert stats.totals["a", "delivered", ""] == 1
    assert stats.totals["a", "purged", "erased"] == 3
    assert_conserved(stats)


async def test_what_a_removal_means_is_known_before_it_comes_back(spool: Spool, new: New) -> None:
    await spool.put([new("withdrawn", owner="o"), new("yours", owner="p"), new("of the needle"), new("delivered", owner="o")])
    leased = await spool.lease("a", 10, MIB, 1)
    withdrawn, yours, erased, delivered = leased
    assert dict(spool.doomed(leased)) == {}
    purging = asyncio.ensure_future(spool.purge("o", Reason.WITHDRAWN))
    await asyncio.sleep(0)
    expected = {withdrawn.id: Reason.WITHDRAWN, delivered.id: Reason.WITHDRAWN}
    assert dict(spool.doomed(leased)) == expected, "from the call on, not from when it has been found"
    await purging
    assert dict(spool.doomed(leased)) == expected
    assert dict(spool.doomed([yours])) == {}
    await spool.erase(b"needle", Reason.ERASED)
    assert dict(spool.doomed(leased)) == expected | {erased.id: Reason.ERASED}
    await spool.settle(done([delivered]))
    await spool.release([withdrawn.id, erased.id])
    assert dict(spool.doomed(leased)) == {}
    await spool.put([new("of a new grant", owner="o")])
    again = await spool.lease("a", 10, MIB, 1)
    assert payloads(again) == [b"of a new grant"]
    assert dict(spool.doomed(again)) == {}
    await spool.settle(done([yours, *again]))
    totals = (await spool.stats()).totals
    assert {key[1:]: n for key, n in totals.items()} == {
        ("accepted", ""): 5,
        ("delivered", ""): 3,
        ("purged", "withdrawn"): 1,
        ("purged", "erased"): 1,
    }


async def test_bury_lane_moves_the_queue_but_not_what_is_leased(spool: Spool, new: New) -> None:
    await spool.put([new(str(n)) for n in range(200)] + [new("other", "b")])
    leased = await spool.lease("a", 3, MIB, 1)
    await spool.settle(Settlement(retry=[Retry(leased[0].id, time.time() + 60, Reason.TIMEOUT)]))
    assert await spool.bury_lane("a", Reason.INTEGRATION_REMOVED) == 198
    assert len(await spool.dead_list("a", 0, 1000)) == 198
    assert await spool.lanes() == ["a", "b"]
    await spool.settle(done(leased))
    assert await spool.lanes() == ["b"]
    stats = await spool.stats()
    assert stats.totals["a", "dead", "integration_removed"] == 198
    assert_conserved(stats)


async def test_an_empty_put_is_done_at_once(spool: Spool) -> None:
    await asyncio.wait_for(spool.put([]), 5)
    assert await spool.lanes() == []


async def test_after_close_everything_says_so(spool: Spool, new: New) -> None:
    waiting = asyncio.ensure_future(spool.lease("a", 10, MIB, 30))
    await asyncio.sleep(0)
    await spool.close()
    with pytest.raises(SpoolUnavailable):
        await waiting
    with pytest.raises(SpoolUnavailable):
        spool.put([new()])
    attempts: list[Callable[[], Awaitable[object]]] = [
        lambda: spool.lease("a", 1, 1, 0),
        lambda: spool.settle(Settlement()),
        lambda: spool.release([1]),
        spool.stats,
        lambda: spool.purge("o", Reason.ERASED),
        spool.lanes,
        lambda: spool.dead_drop([1]),
        lambda: spool.bury_lane("a", Reason.OPERATOR),
    ]
    for attempt in attempts:
        with pytest.raises(SpoolUnavailable):
            await attempt()
    await spool.close()
