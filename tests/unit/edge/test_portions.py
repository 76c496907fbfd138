"""A request of many events is worked off in portions: the loop is free between them, and nothing else about it is different."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from typing import Any

import pytest
from collect_desk import INTEGRATION, Desk, FailingCommits, event

from gateway.edge import portions
from gateway.edge.portions import WHOLE
from gateway.errors import SpoolUnavailable
from gateway.outcome import Reason
from gateway.spool.base import NewRecord
from gateway.spool.memory import MemorySpool

PIPELINE: dict[str, Any] = {
    "id": "shop", "key": "dk_shop", "secret": "s3cret", "integrations": ["tt"], "rate_limit": 100_000, "server_consent": "asserted",
}  # fmt: skip
FULL = SpoolUnavailable(Reason.SPOOL_FULL, "the spool is full", 10)
MANY = 500


def batch(n: int, **more: Any) -> list[dict[str, Any]]:
    return [event(messageId=f"m{at}", **more) for at in range(n)]


class FullAfter(MemorySpool):
    """Has room for some records only."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.room = room

    def put(self, records: Sequence[NewRecord]) -> "asyncio.Future[None]":
        self.room -= len(records)
        if self.room < 0:
            raise FULL
        return super().put(records)


@pytest.mark.parametrize("n", [WHOLE, WHOLE + 1, MANY])
async def test_whole_or_in_portions_comes_to_the_same(n: int) -> None:
    desk = Desk(pipelines=[PIPELINE])
    denied = event(messageId="denied", context={"consent": {"marketing": False}})
    reply = await desk.post(
        "e", [*batch(n - 3), denied, event(messageId="m0"), event("")], Cookie="_ttp=2abcdefghijklmnopqrstuvwxyz0"
    )
    assert (reply.status, reply.deferred) == (200, True)
    assert (reply.json["accepted"], reply.json["filtered"]) == (n - 2, 1)  # the repetition is told of success
    assert [entry["index"] for entry in reply.json["rejected"]] == [n - 1]
    assert "Max-Age=0" in reply.cookies["_ttp"]  # of all the events the denial is the loudest
    assert [sealed["event_id"] for sealed in await desk.sealed()] == [f"m{at}" for at in range(n - 3)]
    fates = desk.fates()
    assert fates.pop(("deduplicated", "repeated")) == 1
    assert fates.pop(("accepted", "")) == n - 3
    assert sum(fates.values()) == 2


async def test_back_ends_send_many_too() -> None:
    desk = Desk(pipelines=[PIPELINE])
    body = {"event_source": "web", "event_source_id": "C4ABC", "data": [
        {"event": "Purchase", "event_id": f"n{at}", "event_time": int(desk.now), "user": {}, "page": {"url": "https://shop.example.com/"}} for at in range(MANY)
    ]}  # fmt: skip
    reply = await desk.post("open_api/v1.3/event/track/", body, Access_Token="s3cret")
    assert (reply.status, reply.json["code"], reply.json["message"]) == (200, 0, "OK")
    assert len(await desk.sealed()) == MANY


@pytest.mark.parametrize("room", [0, 100])
async def test_no_room_is_503_and_every_event_is_counted(room: int) -> None:
    """What was taken before stays taken; sent again, it is recognised."""
    desk = Desk(pipelines=[PIPELINE], spool=FullAfter(room))
    reply = await desk.post("e", batch(MANY))
    assert (reply.status, reply.one("Retry-After")) == (503, "10")
    fates = desk.fates()
    taken = fates["accepted", ""]
    assert fates == Counter({("accepted", ""): taken, ("refused", "spool_full"): MANY - taken})
    assert taken <= room
    assert isinstance(desk.spool, FullAfter)
    desk.spool.room = 10_000
    reply = await desk.post("e", batch(MANY))
    assert (reply.status, reply.json["accepted"]) == (200, MANY)
    assert sorted(sealed["event_id"] for sealed in await desk.sealed()) == sorted(f"m{at}" for at in range(MANY))


async def test_a_failed_commit_is_503() -> None:
    desk = Desk(pipelines=[PIPELINE], spool=FailingCommits(FULL))
    reply = await desk.post("e", batch(MANY))
    assert (reply.status, desk.fates()) == (503, {("refused", "spool_full"): MANY})


async def test_the_loop_is_free_between_portions_and_requests_take_turns(monkeypatch: pytest.MonkeyPatch) -> None:
    """However long a portion takes, here a whole turn each: something else has its turn after each, and a smaller request is not behind a large one."""
    seconds = iter(range(1_000_000))
    monkeypatch.setattr(portions.Portions.__init__, "__defaults__", (lambda: float(next(seconds)),))
    desk = Desk(pipelines=[PIPELINE])
    order: list[str] = []

    async def send(name: str, n: int) -> None:
        await desk.post("e", batch(n, anonymousId=name) if name == "large" else [event(messageId=f"s{at}") for at in range(n)])
        order.append(name)

    turns = 0

    async def others() -> None:
        nonlocal turns
        while len(order) < 2:
            await asyncio.sleep(0)
            turns += 1

    await asyncio.gather(send("large", MANY), send("small", WHOLE + 1), others())
    assert order == ["small", "large"]
    assert turns > MANY  # portions shrink to one event where events are that slow


async def test_a_repetition_meanwhile_finds_what_was_taken() -> None:
    desk = Desk(pipelines=[PIPELINE])
    first = asyncio.create_task(desk.post("e", batch(MANY)))
    while not desk.fates():  # noqa: ASYNC110 - turns of the loop are what is waited for
        await asyncio.sleep(0)
    again = await desk.post("e", batch(4))
    assert (again.status, again.json["accepted"]) == (200, 4)
    await first
    assert len(await desk.sealed()) == MANY


@pytest.mark.interpreted
async def test_a_defect_answers_and_the_next_request_goes_on(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    desk = Desk(pipelines=[PIPELINE])
    monkeypatch.setattr(desk.collector._browser, "_answer", lambda *_args, **_more: 1 / 0)
    reply = await desk.post("e", batch(MANY))
    assert reply.status == 503
    assert "collect crashed" in caplog.text
    monkeypatch.undo()
    assert (await desk.post("e", batch(MANY))).status == 200


@pytest.mark.parametrize(
    "text", ["a1@b.example", "https://x/?" + "&".join(f"k{at}=%2B44%20{at}" for at in range(80)), "0123 456 " * 160]
)
async def test_hostile_batches_leave_the_loop_its_turns(text: str) -> None:
    """A full megabyte took half a second in one go: now something else has its turn again and again, the more often the slower the machine."""
    desk = Desk(pipelines=[{**PIPELINE, "bots": "allow"}], integrations=[INTEGRATION])
    sending = asyncio.create_task(
        desk.post("e", batch(MANY, properties={f"k{at}": text for at in range(max(1, 1000 // len(text)))}))
    )
    turns = 0
    while not sending.done():
        await asyncio.sleep(0)
        turns += 1
    assert (await sending).json["accepted"] == MANY
    assert turns > 10
