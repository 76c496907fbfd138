"""What comes again within the window is recognised, memory stays what it is, and a failed commit teaches nothing."""

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from collect_desk import INTEGRATION, PIPELINE, Desk, FailingCommits, event
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge import recent
from gateway.edge.recent import WINDOW_S, Recent, Removed
from gateway.errors import SpoolUnavailable
from gateway.identity.seal import owner, sha256
from gateway.outcome import Reason
from gateway.spool.base import NewRecord
from gateway.spool.memory import MemorySpool

DAY = 86400.0


def test_what_was_entered_is_held() -> None:
    memory = Recent(64)
    memory.enter([1, 65, 129, 3], 0.0)  # the first three want the same place
    assert [memory.holds(key) for key in (1, 65, 129, 3, 2, 193)] == [True, True, True, True, False, False]


@given(st.lists(st.integers(1, 2**64 - 1) | st.integers(0, 20).map(lambda n: n * 64 + 1), max_size=40, unique=True))
def test_it_agrees_with_a_set(keys: list[int]) -> None:
    memory = Recent(64)
    memory.enter(keys[::2], 0.0)
    assert [key for key in keys if memory.holds(key)] == keys[::2]


def test_the_window_is_at_least_two_days_and_at_most_four() -> None:
    memory = Recent(64)
    memory.enter([1], 0.0)
    memory.enter([2], WINDOW_S - 1)
    memory.enter([3], WINDOW_S + 1)
    assert all(memory.holds(key) for key in (1, 2, 3))
    memory.enter([4], 2 * WINDOW_S + 2)
    assert [memory.holds(key) for key in (1, 2, 3, 4)] == [False, False, True, True]


@pytest.mark.parametrize("jump", [-DAY, DAY])
def test_a_clock_that_jumps_a_day_forgets_nothing(jump: float) -> None:
    memory = Recent(64)
    memory.enter([1], 10 * DAY)
    memory.enter([2], 10 * DAY + jump)
    assert memory.holds(1)
    assert memory.holds(2)


def test_a_flood_shrinks_the_window_and_not_the_room() -> None:
    memory = Recent(64)
    memory.enter(range(1, 1001), 0.0)
    held = [key for key in range(1, 1001) if memory.holds(key)]
    assert held == list(range(held[0], 1001))
    assert 44 <= len(held) <= 2 * 44
    assert len(memory._young) == 64
    assert memory._old is not None
    assert len(memory._old) == 64


def test_both_tables_are_within_16_mib() -> None:
    memory = Recent()
    memory._turn(0.0)
    assert memory._old is not None
    assert memory._young.nbytes + memory._old.nbytes == 16 << 20


def test_keys_are_62_bits_and_differ_by_each_part() -> None:
    found = [recent.key(*parts) for parts in (("tt", "a", "1"), ("tt", "a", "2"), ("tt", "b", "1"), ("t2", "a", "1"))]
    assert len(set(found)) == 4
    assert all(0 < key < 1 << 62 for key in found)


@pytest.mark.interpreted
def test_a_key_is_never_0(monkeypatch: pytest.MonkeyPatch) -> None:
    """0 marks a free place."""
    monkeypatch.setattr(recent, "hash", lambda _: 0, raising=False)
    assert recent.key("tt", "ordercompleted", "1") == 1


# -- at the edge


@pytest.mark.parametrize("name", ["Order Completed", "order_completed", "orderCompleted"])
async def test_the_same_event_id_is_accepted_once_and_the_sender_succeeds(name: str) -> None:
    desk = Desk()
    assert (await desk.post("v1/t", event())).status == 200
    reply = await desk.post("e", event(name))
    assert (reply.status, reply.json["accepted"], reply.json["rejected"]) == (200, 1, [])
    assert not reply.deferred
    assert len(await desk.sealed()) == 1
    assert desk.outcomes() == {("shop", "tt", "accepted", ""): 1, ("shop", "tt", "deduplicated", "repeated"): 1}


async def test_within_one_request_too() -> None:
    desk = Desk()
    assert (await desk.post("e", [event(), event(), event(messageId="m-2")])).json["accepted"] == 3
    assert [sealed["event_id"] for sealed in await desk.sealed()] == ["m-1", "m-2"]
    assert desk.fates() == {("accepted", ""): 2, ("deduplicated", "repeated"): 1}


async def test_other_names_other_integrations_and_events_without_an_id_are_not_repetitions() -> None:
    desk = Desk(
        pipelines=[{**PIPELINE, "integrations": ["tt", "twin"]}], integrations=[INTEGRATION, {**INTEGRATION, "id": "twin"}]
    )
    await desk.post("e", [event(), event("Product Added"), event(messageId=None), event(messageId=None)])
    assert desk.fates() == {("accepted", ""): 8}


async def test_an_integration_that_has_not_had_it_gets_it() -> None:
    twins: dict[str, Any] = {"integrations": [INTEGRATION, {**INTEGRATION, "id": "twin"}]}
    desk = Desk(**twins)
    await desk.post("v1/t", event())
    desk.configure([{**PIPELINE, "integrations": ["tt", "twin"]}], twins["integrations"])
    await desk.post("v1/t", event())
    assert (len(await desk.sealed("tt")), len(await desk.sealed("twin"))) == (1, 1)
    assert desk.outcomes()["shop", "tt", "deduplicated", "repeated"] == 1


async def test_it_comes_through_again_after_the_window() -> None:
    desk = Desk()
    for days in (0, 1, 3, 6):
        desk.now += days * DAY
        await desk.post("v1/t", event(messageId="other" + str(days)))
        await desk.post("v1/t", event())
    assert desk.fates()["deduplicated", "repeated"] == 2


async def test_what_failed_to_become_durable_is_no_repetition() -> None:
    desk = Desk(spool=FailingCommits(SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "the disk failed")))
    assert (await desk.post("v1/t", event())).status == 503
    working = Desk().spool
    desk.collector.spool = working
    assert (await desk.post("v1/t", event())).status == 200
    assert working is not None
    assert len(await working.lease("tt", 10, 1 << 20, 0.0)) == 1
    assert desk.fates() == {("refused", "spool_unavailable"): 1, ("accepted", ""): 1}


class HeldCommits(MemorySpool):
    """Commits when the test says so."""

    def put(self, records: Sequence[NewRecord]) -> "asyncio.Future[None]":
        super().put(records)
        self.commit: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        return self.commit


@pytest.mark.parametrize("others", [[], [event(messageId="m-2")]])
async def test_a_repetition_of_what_is_not_durable_yet_waits_for_it(others: list[dict[str, Any]]) -> None:
    """As when a page ends while its request is under way, and the next page sends the same again."""
    spool = HeldCommits()
    desk = Desk(spool=spool)
    first = asyncio.ensure_future(desk.post("v1/t", event()))
    await asyncio.sleep(0)
    commit = spool.commit
    second = asyncio.ensure_future(desk.post("e", [event(), *others]))
    await asyncio.sleep(0)
    if others:
        spool.commit.set_result(None)
        await asyncio.sleep(0)
    assert not second.done()
    commit.set_result(None)
    assert ((await first).status, (await second).json["accepted"]) == (200, 1 + len(others))
    assert len(await desk.sealed()) == 1 + len(others)
    assert desk.fates() == {("accepted", ""): 1 + len(others), ("deduplicated", "repeated"): 1}
    assert (await desk.post("v1/t", event())).status == 200
    assert desk.fates()["deduplicated", "repeated"] == 2


async def test_a_repetition_is_not_acknowledged_if_what_it_repeats_fails() -> None:
    spool = HeldCommits()
    desk = Desk(spool=spool)
    both = [asyncio.ensure_future(desk.post("v1/t", event())) for _ in range(2)]
    await asyncio.sleep(0)
    spool.commit.set_exception(SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "the disk failed"))
    assert [(await each).status for each in both] == [503, 503]
    desk.collector.spool = MemorySpool()
    assert (await desk.post("v1/t", event())).status == 200
    assert desk.fates()["accepted", ""] == 1


async def test_a_cancelled_commit_teaches_nothing() -> None:
    desk = Desk(spool=FailingCommits(asyncio.CancelledError()))
    desk.collector.handle(desk.request("POST", "/gw/v1/t", {}), b'{"event":"a","messageId":"1"}', desk.client())
    await asyncio.sleep(0)
    assert ("deduplicated", "repeated") not in desk.fates()


async def test_a_replayed_dead_letter_is_no_repetition() -> None:
    """Replays go from the dead letters to the queue; they do not pass the edge."""
    from gateway.spool.base import Death, Settlement

    desk = Desk()
    await desk.post("v1/t", event())
    assert desk.spool is not None
    (record,) = await desk.spool.lease("tt", 10, 1 << 20, 0.0)
    await desk.spool.settle(Settlement(dead=[Death(record.id, Reason.TIKTOK_REJECTED)]))
    await desk.spool.dead_replay([letter.id for letter in await desk.spool.dead_list(None, 0, 10)])
    assert [sealed["event_id"] for sealed in await desk.sealed()] == ["m-1"]


# -- after a removal


OF_VISITOR = {"anonymousId": "visitor-1", "traits": {"email": "alice@example.com"}}


@pytest.mark.parametrize("how", ["withdrawn", "erased"])
async def test_what_was_removed_and_comes_again_is_new_once(how: str) -> None:
    """Else it would be acknowledged and lost: what it seems to repeat is not there any more."""
    desk = Desk()
    assert desk.spool is not None
    for _ in range(2):
        if how == "withdrawn":
            await desk.spool.purge(owner("visitor-1"), Reason.WITHDRAWN)
        else:
            await desk.spool.erase(sha256("alice@example.com").encode(), Reason.ERASED)
        for _ in range(2):
            assert (await desk.post("e", [event(**OF_VISITOR), event(**OF_VISITOR)])).json["accepted"] == 2
        assert [sealed["event_id"] for sealed in await desk.sealed()] == ["m-1"]
        await desk.spool.release(range(100))
    assert desk.fates() == {("accepted", ""): 2, ("deduplicated", "repeated"): 6}


async def test_a_removal_makes_nothing_of_others_new() -> None:
    desk = Desk()
    assert desk.spool is not None
    await desk.post("v1/t", event(anonymousId="visitor-2", traits={"email": "bob@example.com"}))
    await desk.post("v1/t", event(messageId="m-2"))
    await desk.spool.purge(owner("visitor-1"), Reason.WITHDRAWN)
    await desk.spool.erase(sha256("alice@example.com").encode(), Reason.ERASED)
    await desk.post("v1/t", event(anonymousId="visitor-2", traits={"email": "bob@example.com"}))
    await desk.post("v1/t", event(messageId="m-2"))
    assert desk.fates() == {("accepted", ""): 2, ("deduplicated", "repeated"): 2}


async def test_the_removed_event_has_another_key_in_a_shared_spool_too() -> None:
    """A broker remembers the ids of what was removed, and would swallow it."""
    desk, seen = Desk(), []
    assert desk.spool is not None
    put = desk.spool.put
    desk.spool.put = lambda records: (seen.extend(record.key for record in records), put(records))[1]  # type: ignore[method-assign]
    await desk.post("v1/t", event(**OF_VISITOR))
    desk.spool.on_removal(owner("visitor-1"), b"", 12.5)
    await desk.post("v1/t", event(**OF_VISITOR))
    first, second = seen
    assert second == f"{first} 12.5", "the same in every pod that was told"


def test_removals_are_bounded_and_the_latest_one_counts() -> None:
    removed = Removed(3)
    assert not removed.any
    for n in range(5):
        removed.note(f"o{n}", "", float(n + 1))
    assert [removed.mark(f"o{n}", {}) for n in range(5)] == ["", "", " 3.0", " 4.0", " 5.0"]
    removed.note("o2", "", 1.0)
    removed.note("", "digest", 9.0)
    assert removed.mark("o2", {}) == " 3.0"
    assert removed.mark("o2", {"external_id": ["other", "digest"]}) == " 9.0"
    assert removed.mark("", {"email": "digest", "ip": None}) == " 9.0"
    assert removed.mark("", {}) == ""
