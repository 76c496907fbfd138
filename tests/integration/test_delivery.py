"""From the spool to TikTok: each fault of the sandbox ends as the table of verdicts says, and nothing is ever missing."""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest
from delivering import SHOP, Delivering, delivering, sealed
from ports import free_port
from whole import PIXEL

from gateway.lane import Lane
from gateway.mapping.compile import Program
from gateway.mapping.prepared import prepare
from gateway.outcome import Reason
from gateway.spool.base import NewRecord
from gateway.telemetry import tasks

EMAIL = "jane.roe@example.org"
OTHER = {"id": "other", "pixel_code": "C5OTHER", "access_token": "access-token-2"}


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Delivering]:
    """A worker on a real spool, not started."""
    async with delivering(tmp_path / "spool") as around:
        yield around


@pytest.fixture(params=["sqlite", "memory"])
async def either(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Delivering]:
    """The same on both kinds of spool."""
    async with delivering(tmp_path / "spool" if request.param == "sqlite" else None) as around:
        yield around


def bad(event_id: str, **changes: Any) -> bytes:
    """An event that TikTok refuses."""
    return sealed(event_id, page={}, **changes)


def ids(count: int, prefix: str = "e") -> list[str]:
    return [f"{prefix}{number}" for number in range(count)]


# -- the good way


async def test_what_is_queued_is_delivered_once(either: Delivering) -> None:
    await either.put_ids(*ids(2500))
    await either.worker.start()
    await either.put_ids(*ids(30, "later"))
    await either.settled(delivered=2530)
    assert sorted(await either.received_ids()) == sorted(ids(2500) + ids(30, "later"))
    assert (await either.in_state("active")).lane == "shop"


async def test_batches_are_as_large_as_allowed(tmp_path: Path) -> None:
    async with delivering(tmp_path, max_batch=100, in_flight=3) as shop:
        await shop.put_ids(*ids(1000))
        await shop.worker.start()
        await shop.settled(delivered=1000)
        assert await shop.requests() == 10


async def test_batches_are_bounded_in_bytes(tmp_path: Path) -> None:
    async with delivering(tmp_path, max_batch_bytes="64KiB") as shop:
        await shop.put(*(sealed(event_id, properties={"description": "x" * 30_000}) for event_id in ids(10)))
        await shop.worker.start()
        await shop.settled(delivered=10)
        assert await shop.requests() >= 5


async def test_the_linger_gathers_a_trickle(tmp_path: Path) -> None:
    async with delivering(tmp_path, linger=60.0) as shop:
        await shop.worker.start()
        await shop.in_state("active")
        for event_id in ids(10):
            await shop.put_ids(event_id)
        await shop.until(lambda: _begun(shop))
        assert await shop.requests() == 0
        await _woken(shop, delivered=10)
        assert await shop.requests() == 1


async def _begun(shop: Delivering) -> bool:
    return any(lane.leased for lane in (await shop.spool.stats()).lanes)


async def _woken(shop: Delivering, **fates: int) -> None:
    """End the linger, which may begin a moment after the spool shows what was leased, and wait for these fates."""

    async def there() -> bool:
        shop.worker.wake()
        return await shop.fates() == fates

    await shop.until(there)


async def test_a_test_code_is_a_lane_of_its_own_and_stands_at_the_root(shop: Delivering) -> None:
    await shop.worker.start()
    lane = Lane("shop", "TEST123").key
    await shop.put_ids("tested", lane=lane)
    await shop.put_ids("live")
    await shop.settled(lane, delivered=1)
    await shop.settled(delivered=1)
    assert {entry["event"]["event_id"]: entry["test_event_code"] for entry in await shop.received()} == {
        "tested": "TEST123",
        "live": None,
    }


async def test_what_was_prepared_is_sent_under_the_mapping_that_prepared_it(shop: Delivering) -> None:
    """By the first of a batch the quality of matching is told: they are read."""
    program = shop.live.current.integrations["shop"].program
    stored = [sealed(event_id) for event_id in ids(30)]
    for n, payload in enumerate(stored):
        ready = prepare(Program() if n % 2 else program, orjson.loads(payload) | {"event_id": f"prepared{n}"})
        await shop.spool.put([NewRecord("shop", "", time.time(), payload, beside=ready)])
    await shop.worker.start()
    await shop.settled(delivered=30)
    expected = [f"e{n}" if n < 10 or n % 2 else f"prepared{n}" for n in range(30)]
    assert sorted(await shop.received_ids()) == sorted(expected)


async def test_the_mapping_in_force_applies_to_what_is_queued(shop: Delivering) -> None:
    await shop.put_ids("queued")
    shop.integrate(SHOP | {"events": {"Order Completed": {"vendor_event_name": "Subscribe"}}})
    await shop.worker.start()
    await shop.settled(delivered=1)
    assert [entry["event"]["event"] for entry in await shop.received()] == ["Subscribe"]


# -- what is never sent


async def test_unmapped_unreadable_and_old_events_end_without_a_request(shop: Delivering) -> None:
    await shop.put(sealed("unmapped", name="Nobody Maps This"), sealed("named", name="Order Completed"))
    await shop.put(
        b"not json",
        b"[]",
        b"{}",
        b'{"v":1',
        sealed("no-time", time=None),
        orjson.dumps({"wire": "signal", "type": 7, "name": []}),
    )
    await shop.put_ids("too-old", accepted_at=time.time() - 29 * 86400)
    await shop.worker.start()
    await shop.settled(delivered=1, filtered=1, dead=6, expired=1)
    assert await shop.received_ids() == ["named"]
    assert sorted(letter.reason for letter in await shop.dead()) == [Reason.INVALID_EVENT] + [Reason.UNDECODABLE] * 5
    assert await shop.counted(9) == {
        ("delivered", ""): 1,
        ("filtered", "unmapped"): 1,
        ("dead", "undecodable"): 5,
        ("dead", "invalid_event"): 1,
        ("expired", "too_old"): 1,
    }


# -- withdrawals


async def _leased(shop: Delivering, count: int) -> bool:
    return sum(lane.leased for lane in (await shop.spool.stats()).lanes) == count


@pytest.mark.parametrize("how", [Reason.WITHDRAWN, Reason.ERASED])
@pytest.mark.parametrize("folder", ["spool", ""])
async def test_what_is_withdrawn_while_it_waits_to_be_sent_is_not_sent(tmp_path: Path, folder: str, how: Reason) -> None:
    async with delivering(tmp_path / folder if folder else None, linger=60.0) as shop:
        await shop.spool.put(
            [NewRecord("shop", owner, time.time(), sealed(event_id)) for event_id, owner in [("mine", "o"), ("yours", "p")]]
        )
        await shop.worker.start()
        await shop.until(lambda: _leased(shop, 2))
        await (shop.spool.purge("o", how) if how is Reason.WITHDRAWN else shop.spool.erase(b'"mine"', how))
        await _woken(shop, delivered=1, purged=1)
        assert [entry["event"]["event_id"] for entry in await shop.received()] == ["yours"]
        await shop.spool.put([NewRecord("shop", "o", time.time(), sealed("of a new grant"))])
        await shop.until(lambda: _leased(shop, 1))
        await _woken(shop, delivered=2, purged=1)


async def test_nothing_is_posted_when_everything_was_withdrawn(tmp_path: Path) -> None:
    async with delivering(tmp_path, linger=60.0) as shop:
        await shop.spool.put([NewRecord("shop", "o", time.time(), sealed(event_id)) for event_id in ids(3)])
        await shop.worker.start()
        await shop.until(lambda: _leased(shop, 3))
        await shop.spool.purge("o", Reason.WITHDRAWN)
        await _woken(shop, purged=3)
        assert await shop.requests() == 0
        assert (await shop.in_state("active")).lane == "shop"


@pytest.mark.parametrize("named", [True, False], ids=["TikTok names it", "halving"])
@pytest.mark.parametrize("withdrawn", range(6))
async def test_a_search_for_the_bad_event_outlives_a_withdrawal(shop: Delivering, withdrawn: int, *, named: bool) -> None:
    """While the batch is being searched one of its visitors withdraws: nothing good is condemned, and what is withdrawn goes out no more."""
    events = [bad(f"e{n}") if n == 3 else sealed(f"e{n}") for n in range(6)]
    await shop.spool.put([NewRecord("shop", f"o{n}", time.time(), event) for n, event in enumerate(events)])
    post, asked = shop.worker._client.post, 0

    async def withdrawing(*request: Any) -> Any:
        nonlocal asked
        asked += 1
        reply = await post(*request)
        if asked == 1:
            await shop.spool.purge(f"o{withdrawn}", Reason.WITHDRAWN)
        return reply if named else reply._replace(verdict=reply.verdict._replace(culprit=None))

    shop.worker._client.post = withdrawing  # type: ignore[method-assign]
    await shop.worker.start()
    await shop.settled(delivered=5, purged=1) if withdrawn == 3 else await shop.settled(delivered=4, purged=1, dead=1)
    assert sorted(await shop.received_ids()) == [f"e{n}" for n in range(6) if n not in {withdrawn, 3}]
    assert [orjson.loads(letter.payload)["event_id"] for letter in await shop.dead()] == ([] if withdrawn == 3 else ["e3"])


async def test_the_halves_of_a_batch_that_is_too_large_are_spared_too(shop: Delivering) -> None:
    await shop.spool.put([NewRecord("shop", f"o{n}", time.time(), sealed(f"e{n}")) for n in range(4)])
    await shop.faults(code=40061, count=1)
    post = shop.worker._client.post

    async def withdrawing(*request: Any) -> Any:
        reply = await post(*request)
        await shop.spool.purge("o0", Reason.WITHDRAWN)
        await shop.spool.purge("o3", Reason.WITHDRAWN)
        return reply

    shop.worker._client.post = withdrawing  # type: ignore[method-assign]
    await shop.worker.start()
    await shop.settled(delivered=2, purged=2)
    assert sorted(await shop.received_ids()) == ["e1", "e2"]


# -- TikTok's faults


@pytest.mark.parametrize(
    "faults",
    [
        {"code": 40100},
        {"code": 40016},
        {"code": 50000},
        {"code": 50002, "http_status": 500},
        {"code": 60001},
        {"http_status": 429},
        {"http_status": 500},
        {"http_status": 502, "html": True},
        {"http_status": 503, "retry_after": 1},
        {"html": True},
        {"reset": True},
        {"http_status": 400},
    ],
    ids=str,
)
async def test_passing_faults_are_retried_until_they_pass(shop: Delivering, faults: dict[str, Any]) -> None:
    await shop.faults(**faults, count=1)
    await shop.put_ids(*ids(5))
    await shop.worker.start()
    await shop.settled(delivered=5)
    assert sorted(await shop.received_ids()) == ids(5)
    assert await shop.requests() == 2


async def test_a_fault_of_some_length_is_survived(shop: Delivering) -> None:
    await shop.faults(code=50000, count=4)
    await shop.put_ids(*ids(5))
    await shop.worker.start()
    await shop.settled(delivered=5)
    assert await shop.requests() == 5


async def test_a_hanging_tiktok_is_left_after_the_timeout(tmp_path: Path) -> None:
    async with delivering(tmp_path, timeout=0.2) as shop:
        await shop.faults(hang=True, count=1)
        await shop.put_ids("e0")
        await shop.worker.start()
        await shop.settled(delivered=1)


@pytest.mark.parametrize(
    "faults", [{"hang": True}, {"reset": True}, {"html": True}, {"http_status": 502}, {"code": 50000}], ids=str
)
async def test_what_was_processed_and_not_acknowledged_is_sent_again_with_the_same_ids(
    tmp_path: Path, faults: dict[str, Any]
) -> None:
    async with delivering(tmp_path, timeout=2.0) as shop:
        await shop.faults(**faults, after_processing=True, count=1)
        await shop.put_ids(*ids(3))
        await shop.worker.start()
        await shop.settled(delivered=3)
        assert sorted(await shop.received_ids()) == sorted(ids(3) * 2)


@pytest.mark.parametrize("code", [20001, 40050])
async def test_near_successes_are_delivered(shop: Delivering, code: int, caplog: pytest.LogCaptureFixture) -> None:
    await shop.faults(code=code)
    await shop.put_ids(*ids(3))
    await shop.worker.start()
    await shop.settled(delivered=3)
    await shop.counted(3)
    assert ("reservation" in caplog.text) == (code == 20001)


async def test_while_it_fails_the_lane_says_so(shop: Delivering) -> None:
    await shop.faults(http_status=429, retry_after=60)
    await shop.put_ids("e0")
    await shop.worker.start()
    state = await shop.in_state("backing_off")
    assert state.code == "http_429"
    assert 50 < state.next_try - time.time() <= 60
    await shop.settled(queued=1)
    assert b'ttgateway_lane_state{integration="shop",test_code=""} 1.0' in shop.metrics.render()


async def test_a_retried_batch_stays_together(tmp_path: Path) -> None:
    async with delivering(tmp_path, timeout=5) as shop:
        await shop.faults(code=50000, count=1)
        await shop.put_ids(*ids(500))
        await shop.worker.start()
        await shop.settled(delivered=500)
        assert await shop.requests() == 2


async def test_a_probe_with_nothing_to_ask_does_not_jam_the_lane(tmp_path: Path) -> None:
    async with delivering(tmp_path, max_batch=1, in_flight=1) as shop:
        await shop.faults(http_status=429, count=1)
        await shop.put(sealed("e0"), sealed("unmapped", name="Nobody Maps This"), sealed("too", name="Nobody Maps This"))
        await shop.worker.start()
        await shop.settled(delivered=1, filtered=2)


@pytest.mark.interpreted
async def test_a_defect_of_ours_in_one_event_costs_only_that_event(shop: Delivering) -> None:
    program = shop.live.current.integrations["shop"].program

    def broken(event: Any, apply: Any = program.apply) -> Any:
        return apply(event) if event["event_id"] != "e3" else event["event_id"][99]

    program.apply = broken  # type: ignore[method-assign]
    await shop.put_ids(*ids(10))
    await shop.worker.start()
    await shop.settled(delivered=9, dead=1)


async def test_a_lane_of_the_past_ends_and_comes_back(shop: Delivering, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.delivery.lane._IDLE_S", 0.0)
    monkeypatch.setattr("gateway.delivery.lane._LOOK_S", 0.05)
    lane = Lane("shop", "OLD").key
    await shop.worker.start()
    for number in (1, 2):
        await shop.put_ids(f"e{number}", lane=lane)
        await shop.settled(lane, delivered=number)
        await shop.until(lambda: _lanes(shop, ["shop"]))


async def _lanes(shop: Delivering, wanted: list[str]) -> bool:
    return [state.lane for state in shop.worker.lane_states()] == wanted


async def test_a_dead_lane_does_not_delay_another(tmp_path: Path) -> None:
    """One TikTok that never answers, one that does: the second integration's events arrive at once."""
    async with delivering(tmp_path, timeout=30) as shop:
        shop.integrate(SHOP, OTHER)
        await shop.faults(hang=True, count=8)
        await shop.put_ids(*ids(8000))
        await shop.worker.start()
        await shop.until(shop.faults_are_spent)
        begin = time.monotonic()
        await shop.put_ids("quick", lane="other")
        await shop.settled("other", delivered=1)
        assert time.monotonic() - begin < 15  # half of what the other waits for its TikTok
        await shop.settled(queued=8000)


async def test_nobody_at_the_endpoint(tmp_path: Path) -> None:
    async with delivering(tmp_path, endpoint=f"http://127.0.0.1:{free_port()}/") as shop:
        await shop.put_ids(*ids(3))
        await shop.worker.start()
        await shop.until(lambda: _codes(shop, "connection"))
        await shop.settled(queued=3)


async def _codes(shop: Delivering, code: str) -> bool:
    return f'code="{code}"' in shop.metrics.render().decode()


# -- suspensions


@pytest.mark.parametrize(
    ("faults", "cure"),
    [
        ({"code": 40001}, "no permission"),
        ({"code": 40102}, "Generate access token"),
        ({"code": 40105, "http_status": 401}, "Generate access token"),
        ({"code": 41000}, "blocked"),
        ({"http_status": 401}, "check delivery.endpoint"),
        ({"http_status": 403}, "check delivery.endpoint"),
        ({"http_status": 404, "html": True}, "check delivery.endpoint"),
        ({"http_status": 302}, "check delivery.endpoint"),
        ({"code": 40002, "message": "event_source_id: unknown"}, "pixel code"),
    ],
    ids=str,
)
async def test_refused_credentials_suspend_and_lose_nothing(
    shop: Delivering, faults: dict[str, Any], cure: str, caplog: pytest.LogCaptureFixture
) -> None:
    await shop.faults(**faults)
    await shop.put_ids(*ids(20))
    await shop.worker.start()
    state = await shop.in_state("suspended")
    assert cure in state.cure
    await shop.settled(queued=20)
    assert await shop.requests() == 1
    (line,) = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert cure in line.__dict__["cure"]


async def test_a_suspended_lane_probes_with_one_event_and_resumes_by_itself(tmp_path: Path) -> None:
    async with delivering(tmp_path, suspend_probe=0.1) as shop:
        await shop.faults(code=40105)
        await shop.put_ids(*ids(500))
        await shop.worker.start()
        await shop.in_state("suspended")
        await shop.until(lambda: _requests(shop, 4))
        await shop.settled(queued=500)
        await shop.faults()
        await shop.settled(delivered=500)
        assert sorted(await shop.received_ids()) == sorted(ids(500))


async def _requests(shop: Delivering, at_least: int) -> bool:
    return await shop.requests() >= at_least


async def test_a_new_token_resumes_at_once(shop: Delivering) -> None:
    shop.integrate(SHOP | {"access_token": "revoked"})
    await shop.put_ids(*ids(50))
    await shop.worker.start()
    assert (await shop.in_state("suspended")).code == "40105"
    begin = time.monotonic()
    shop.integrate(SHOP)
    await shop.settled(delivered=50)
    assert time.monotonic() - begin < 30  # not at the next probe, a minute later


async def test_a_new_pixel_code_resumes_at_once(shop: Delivering) -> None:
    shop.integrate(SHOP | {"pixel_code": "BADPIXEL"})
    await shop.put_ids("e0")
    await shop.worker.start()
    assert (await shop.in_state("suspended")).code == "40001"
    shop.integrate(SHOP)
    await shop.settled(delivered=1)


@pytest.mark.parametrize("token", [None, ""])
async def test_a_missing_token_suspends(shop: Delivering, token: str | None) -> None:
    shop.integrate(SHOP | {"access_token": token})
    await shop.put_ids("e0")
    await shop.worker.start()
    assert "access" in (await shop.in_state("suspended")).cure
    assert await shop.requests() == 0
    shop.integrate(SHOP)
    await shop.settled(delivered=1)


async def test_a_disabled_integration_pauses_and_goes_on(shop: Delivering) -> None:
    shop.integrate(SHOP | {"enabled": False})
    await shop.put_ids("e0")
    await shop.worker.start()
    await shop.in_state("paused")
    await shop.settled(queued=1)
    shop.integrate(SHOP)
    await shop.settled(delivered=1)


async def test_a_removed_integrations_queue_is_buried_and_can_be_replayed(shop: Delivering) -> None:
    shop.integrate(OTHER)
    await shop.put_ids(*ids(10))
    await shop.worker.start()
    await shop.settled(dead=10)
    letters = await shop.dead()
    assert {letter.reason for letter in letters} == {Reason.INTEGRATION_REMOVED}
    shop.integrate(SHOP, OTHER)
    await shop.spool.dead_replay([letter.id for letter in letters])
    await shop.settled(delivered=10)


async def test_a_broken_integration_is_not_a_removed_one(shop: Delivering) -> None:
    shop.integrate(OTHER, off=("integrations.shop",))
    await shop.put_ids(*ids(10))
    await shop.worker.start()
    await shop.in_state("paused")
    await shop.settled(queued=10)


# -- bad events


@pytest.mark.parametrize("at", [0, 1, 50, 99])
async def test_one_bad_event_of_a_hundred_costs_one_more_request(shop: Delivering, at: int) -> None:
    await shop.put(*(bad(event_id) if number == at else sealed(event_id) for number, event_id in enumerate(ids(100))))
    await shop.worker.start()
    await shop.settled(delivered=99, dead=1)
    assert await shop.requests() == 2
    (letter,) = await shop.dead()
    assert letter.answer == f"40002: Batch.{at}.page.url: Missing data for required field."
    assert orjson.loads(letter.payload)["event_id"] == f"e{at}"


async def test_scattered_bad_events_are_picked_out(shop: Delivering) -> None:
    """Twelve with the same fault, but good ones between them: the cause is the events."""
    await shop.put(*(bad(event_id) if number % 8 == 3 else sealed(event_id) for number, event_id in enumerate(ids(96))))
    await shop.worker.start()
    await shop.settled(delivered=84, dead=12)
    assert (await shop.in_state("active")).cure == ""


async def test_without_an_index_the_batch_is_halved(shop: Delivering) -> None:
    """40062 names nothing here: once for the whole, once for the left half, then the right one is bad."""
    await shop.faults(code=40062, message="PII not hashed", count=2)
    await shop.put_ids("good", "bad")
    await shop.worker.start()
    await shop.settled(delivered=1, dead=1)


async def test_when_every_event_fails_the_cause_is_not_the_events(shop: Delivering) -> None:
    await shop.put(*(bad(event_id) for event_id in ids(5)))
    await shop.worker.start()
    assert "not the events" in (await shop.in_state("suspended")).cure
    await shop.settled(queued=5)


async def test_eight_bad_ones_in_a_row_end_the_search(shop: Delivering) -> None:
    await shop.put(*(bad(event_id) for event_id in ids(1000)))
    await shop.worker.start()
    await shop.in_state("suspended")
    await shop.settled(queued=1000)
    assert await shop.requests() <= 9


async def test_probes_of_a_doubting_lane_try_one_event_after_the_other(tmp_path: Path) -> None:
    """A row of bad events at the head of the queue does not block the good ones behind it for ever."""
    async with delivering(tmp_path, suspend_probe=0.05, max_batch=9) as shop:
        await shop.put(*(bad(event_id) for event_id in ids(9)))
        await shop.worker.start()
        await shop.in_state("suspended")
        await shop.put_ids(*ids(5, "good"))
        await shop.until(lambda: _delivered(shop, ids(5, "good")))
        await shop.fates()


async def _delivered(shop: Delivering, wanted: list[str]) -> bool:
    return set(wanted) <= set(await shop.received_ids())


async def test_a_mended_mapping_ends_the_doubts_at_once(shop: Delivering) -> None:
    await shop.put(*(bad(event_id) for event_id in ids(5)))
    await shop.worker.start()
    await shop.in_state("suspended")
    url = {"target": "page.url", "default": "https://shop.example/"}
    shop.integrate(SHOP | {"global": {"mappings": [url]}})
    await shop.settled(delivered=5)


async def test_a_dead_letter_is_replayed_with_the_mapping_of_the_day(shop: Delivering) -> None:
    await shop.put(bad("e0"), sealed("e1"))
    await shop.worker.start()
    await shop.settled(delivered=1, dead=1)
    shop.integrate(SHOP | {"global": {"mappings": [{"target": "page.url", "default": "https://shop.example/"}]}})
    await shop.spool.dead_replay([letter.id for letter in await shop.dead()])
    await shop.settled(delivered=2)


async def test_too_large_batches_are_split_and_the_lane_remembers(shop: Delivering) -> None:
    await shop.faults(http_status=413, count=2)
    await shop.put_ids(*ids(100))
    await shop.worker.start()
    await shop.settled(delivered=100)
    assert await shop.requests() == 5  # 100 no, 50 no, 25, 25, 50
    await shop.put_ids(*ids(60, "later"))
    await shop.settled(delivered=160)
    assert await shop.requests() == 8  # in batches of 25


async def test_one_event_that_is_too_large_dies(shop: Delivering) -> None:
    await shop.faults(code=40061)
    await shop.put_ids(*ids(4))
    await shop.worker.start()
    await shop.settled(dead=4)
    assert {letter.reason for letter in await shop.dead()} == {Reason.BATCH_TOO_LARGE}


async def test_no_log_line_and_no_dead_letter_repeats_what_tiktok_echoes(
    shop: Delivering, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    await shop.faults(code=40002, message=f"Batch.0.user.email: '{EMAIL}' or {EMAIL} or +44 20 7946 0958 is no hash", count=1)
    await shop.put_ids("e0", "e1")
    await shop.worker.start()
    await shop.settled(delivered=1, dead=1)
    said = "".join(f"{record.getMessage()} {record.__dict__}" for record in caplog.records)
    (letter,) = await shop.dead()
    assert "user.email" in letter.answer
    for text in (said, letter.answer, shop.metrics.render().decode()):
        assert EMAIL not in text
        assert "7946" not in text
        assert SHOP["access_token"] not in text


# -- the end


async def test_stop_flushes_what_is_queued(either: Delivering) -> None:
    await either.faults(latency_ms=20)
    await either.worker.start()
    await either.put_ids(*ids(12_000))
    await either.put_ids("unknown", lane=Lane("shop", "NEW").key)
    assert await either.worker.stop(20.0) == 0
    assert await either.fates() == {"delivered": 12_000}
    assert await either.fates(Lane("shop", "NEW").key) == {"delivered": 1}


async def test_stop_waits_for_what_was_put_off_if_the_grace_allows(shop: Delivering) -> None:
    await shop.faults(http_status=503, retry_after=1, count=1)
    await shop.put_ids("e0")
    await shop.worker.start()
    await shop.in_state("backing_off")
    assert await shop.worker.stop(20.0) == 0
    assert await shop.received_ids() == ["e0"]


async def test_stop_does_not_wait_for_what_comes_too_late(shop: Delivering) -> None:
    await shop.faults(http_status=503, retry_after=100)
    await shop.put_ids("e0")
    await shop.worker.start()
    await shop.in_state("backing_off")
    begin = time.monotonic()
    assert await shop.worker.stop(30.0) == 1
    assert time.monotonic() - begin < 15


@pytest.mark.parametrize("state", ["suspended", "paused"])
async def test_stop_does_not_wait_for_a_lane_that_waits_for_people(shop: Delivering, state: str) -> None:
    shop.integrate(SHOP | ({"access_token": "revoked"} if state == "suspended" else {"enabled": False}))
    await shop.put_ids("e0")
    await shop.worker.start()
    await shop.in_state(state)
    begin = time.monotonic()
    assert await shop.worker.stop(30.0) == 1
    assert time.monotonic() - begin < 15


async def test_when_the_grace_is_over_requests_are_cancelled_and_nothing_stays_leased(tmp_path: Path) -> None:
    async with delivering(tmp_path, timeout=60) as shop:
        await shop.faults(hang=True)
        await shop.put_ids(*ids(2500))
        await shop.worker.start()
        await shop.until(lambda: _all_leased(shop))
        begin = time.monotonic()
        assert await shop.worker.stop(0.2) == 2500
        assert time.monotonic() - begin < 15
        (lane,) = (await shop.spool.stats()).lanes
        assert (lane.queued, lane.leased) == (2500, 0)
        assert not [name for name in tasks.running() if "lane" in name or "deliver" in name]


async def _all_leased(shop: Delivering) -> bool:
    return any(lane.leased == 2500 for lane in (await shop.spool.stats()).lanes)


async def test_stop_twice_is_stop(shop: Delivering) -> None:
    await shop.worker.start()
    assert await shop.worker.stop(1.0) == 0
    assert await shop.worker.stop(0.0) == 0


async def test_a_worker_that_was_never_started_stops(shop: Delivering) -> None:
    assert await shop.worker.stop(1.0) == 0


async def test_a_closed_spool_is_waited_out(shop: Delivering, caplog: pytest.LogCaptureFixture) -> None:
    await shop.worker.start()
    await shop.in_state("active")
    await shop.spool.close()
    assert await shop.worker.stop(5.0) == 0
    assert "task crashed" not in caplog.text


# -- conservation


async def test_under_random_faults_everything_arrives(tmp_path: Path) -> None:
    """Half of all requests go wrong in one way or another: whatever it is, accepted = the sum of the fates, and every good event arrives."""
    async with delivering(tmp_path, max_batch=20, in_flight=4, timeout=1.0, suspend_probe=0.05) as shop:
        shop.integrate(SHOP, OTHER)
        await shop.worker.start()
        kinds: list[dict[str, Any]] = [
            {"code": 50000}, {"reset": True}, {"html": True, "after_processing": True}, {"code": 40105}, {"http_status": 500}, {"hang": True},
        ]  # fmt: skip
        for number, faults in enumerate(kinds):
            await shop.faults(**faults, rate=0.5, count=4)
            await shop.put(*(bad(event_id) if at == 7 else sealed(event_id) for at, event_id in enumerate(ids(50, f"{number}-"))))
            await shop.put_ids(*ids(20, f"other-{number}-"), lane="other")
            await shop.until(lambda: _requests(shop, 1))
            await shop.fates()
        await shop.faults()
        await shop.settled(delivered=6 * 49, dead=6)
        await shop.settled("other", delivered=120)
        assert set(await shop.received_ids(PIXEL)) == {f"{number}-{at}" for number in range(6) for at in range(50) if at != 7}


@pytest.mark.interpreted
async def test_large_batches_are_mapped_in_slices_over_all_lanes(shop: Delivering) -> None:
    shop.integrate(SHOP, OTHER)
    turn = 0
    mapped: Counter[int] = Counter()

    async def clock() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    for integration in shop.live.current.integrations.values():
        program = integration.program

        def counted(event: Any, apply: Any = program.apply) -> Any:
            mapped[turn] += 1
            return apply(event)

        program.apply = counted  # type: ignore[method-assign]
    await shop.put_ids(*ids(3000))
    await shop.put_ids(*ids(3000), lane="other")
    ticking = asyncio.create_task(clock())
    await shop.worker.start()
    await shop.settled(delivered=3000)
    await shop.settled("other", delivered=3000)
    ticking.cancel()
    assert mapped.total() == 6000
    assert max(mapped.values()) <= 100
