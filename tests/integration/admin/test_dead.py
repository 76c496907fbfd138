"""Dead letters over the API: looked at, counted, replayed, dropped, taken away, erased."""

import asyncio
import hashlib
import json
import time

import pytest
from managing import TOKEN, Management, sealed

from gateway.identity.seal import owner
from gateway.outcome import WORDS, Reason
from gateway.spool.base import Death, NewRecord, Retry, Settlement


async def test_a_letter_shows_what_was_received_what_would_be_sent_and_why_it_died(management: Management) -> None:
    await management.bury("e1")
    _, found = await management.call("GET", "dead")
    (row,) = found["items"]
    assert (row["name"], row["event"], row["reason"], found["total"], found["next"]) == (
        "Order Completed",
        "Purchase",
        "tiktok_rejected",
        1,
        None,
    )
    assert "Not a valid number" in row["answer"]
    _, whole = await management.call("GET", f"dead/{row['id']}")
    assert whole["mapped"]["properties"] == {"currency": "EUR", "value": 9.99}
    assert whole["answer"]["code"] == "40002"
    assert whole["received"]["user"]["email"] == "aaaaaaaa…"
    assert whole["mapped"]["user"]["ip"] == "81.2.69.0/24"
    text = json.dumps(whole)
    assert row["at"] == row["accepted_at"] == management.clock()
    assert whole["request"]["headers"]["Access-Token"] == "<access token>"
    assert (whole["request"]["body"]["event_source_id"], "test_event_code" in whole["request"]["body"]) == ("C1", False)
    assert whole["request"]["body"]["data"][0]["properties"] == whole["mapped"]["properties"]
    assert "a" * 64 not in text
    assert "81.2.69.142" not in text
    assert TOKEN not in text


async def test_a_letter_of_a_test_code_is_repeated_with_it_and_one_of_nobody_s_not_at_all(management: Management) -> None:
    await management.bury("coded", lane="tiktok|TEST1")
    await management.bury("gone", lane="gone")
    bodies = {}
    for row in (await management.call("GET", "dead"))[1]["items"]:
        bodies[row["event_id"]] = (await management.call("GET", f"dead/{row['id']}"))[1]["request"]
    assert bodies["coded"]["body"]["test_event_code"] == "TEST1"
    assert bodies["gone"] is None


async def test_a_letter_tells_the_cure_and_both_readings_of_its_code(management: Management) -> None:
    await management.bury("e1")
    (row,) = (await management.call("GET", "dead"))[1]["items"]
    cure = (await management.call("GET", f"dead/{row['id']}"))[1]["cure"]
    assert "TikTok's SDK reads 40002 as an invalid field" in cure
    assert "Signal's manual as an invalid pixel code" in cure
    assert "replay the event" in cure


@pytest.mark.parametrize(
    ("reason", "answer", "code", "cure"),
    [
        (Reason.TIKTOK_REJECTED, "40062: not hashed", "40062", "check the mapping of user.* fields"),
        (Reason.TIKTOK_REJECTED, "40999: what: is: this", "40999", "TikTok does not document this code"),
        (Reason.BATCH_TOO_LARGE, "http_413: the request was too large", "http_413", "Have the mapping leave out"),
        (Reason.BATCH_TOO_LARGE, "40061: too large", "40061", "Have the mapping leave out"),
        (Reason.INVALID_EVENT, "properties.value: not a number", "", "Fix the mapping"),
        (Reason.UNDECODABLE, "the stored event cannot be read", "", "drop it"),
        (Reason.INTEGRATION_REMOVED, "", "", "same id"),
    ],
)
async def test_every_way_to_die_has_a_cure(management: Management, reason: Reason, answer: str, code: str, cure: str) -> None:
    await management.spool.put([NewRecord("tiktok", "", 1.0, sealed("e1"))])
    (record,) = await management.spool.lease("tiktok", 1, 1 << 20, 0.0)
    await management.spool.settle(Settlement(dead=[Death(record.id, reason, answer)]))
    (row,) = (await management.call("GET", "dead"))[1]["items"]
    found = (await management.call("GET", f"dead/{row['id']}"))[1]
    assert cure in found["cure"]
    assert found["cure"] != row["words"], "the page shows it only beside the words"
    assert (found["answer"]["code"], found["answer"]["message"]) == (code, answer.removeprefix(f"{code}: ") if code else answer)


async def test_lists_are_paged_and_filtered(management: Management) -> None:
    await management.bury(*[f"e{n}" for n in range(7)])
    await management.bury("odd", name="Wheel Spun", lane="other")
    seen, cursor = [], ""
    while cursor is not None:
        _, page = await management.call("GET", f"dead?limit=3&cursor={cursor}")
        seen += [item["event_id"] for item in page["items"]]
        cursor = page["next"]
    assert sorted(seen) == sorted([f"e{n}" for n in range(7)] + ["odd"])
    for query, count in (
        ("integration=other", 1),
        ("q=wheel", 1),
        ("q=VALID", 8),
        ("reason=too_old", 0),
        ("until=1", 0),
        ("since=1", 8),
    ):
        assert (await management.call("GET", f"dead?{query}"))[1]["total"] == count
    for bad in ("limit=0", "limit=501", "cursor=x", "nonsense=1", "since=x"):
        assert (await management.call("GET", f"dead?{bad}"))[0] == 422


async def finished(management: Management, job: str) -> dict[str, object]:
    async with asyncio.timeout(10):
        while (found := (await management.call("GET", f"dead/jobs/{job}"))[1])["state"] == "running":  # noqa: ASYNC110 - progress is asked for, as the page does
            await asyncio.sleep(0.01)
    return dict(found)


async def test_replay_is_estimated_first_and_tells_how_far_it_is(management: Management) -> None:
    await management.bury(*[f"e{n}" for n in range(250)])
    await management.bury("gone", lane="gone")
    _, estimate = await management.call("POST", "dead/replay", {"filter": {}, "dry_run": True})
    assert (estimate["count"], estimate["job"]) == (251, None)
    assert "integration gone does not exist" in estimate["warnings"][0]
    assert (await management.call("GET", "dead"))[1]["total"] == 251
    _, begun = await management.call("POST", "dead/replay", {"filter": {"integration": "tiktok"}})
    assert await finished(management, begun["job"]) == {
        "id": begun["job"],
        "count": 250,
        "done": 250,
        "state": "done",
        "message": "",
    }
    assert (await management.call("GET", "dead"))[1]["total"] == 1
    again = await management.spool.lease("tiktok", 500, 1 << 20, 1.0)
    assert {json.loads(record.payload)["event_id"] for record in again} == {f"e{n}" for n in range(250)}
    assert {record.attempts for record in again} == {0}


async def test_a_replay_is_cancelled(management: Management) -> None:
    await management.bury(*[f"e{n}" for n in range(400)])
    _, begun = await management.call("POST", "dead/replay", {"filter": {}})
    status, _ = await management.call("DELETE", f"dead/jobs/{begun['job']}")
    found = await finished(management, begun["job"])
    assert (status, found["state"]) in {(204, "cancelled"), (404, "done")}
    assert sum(lane.queued + lane.dead for lane in (await management.spool.stats()).lanes) == 400


async def test_what_may_have_arrived_long_ago_is_warned_of(management: Management) -> None:
    await management.spool.put([NewRecord("tiktok", "", management.clock(), sealed("e1"))])
    (record,) = await management.spool.lease("tiktok", 1, 1 << 20, 0.0)

    await management.spool.settle(Settlement(dead=[Death(record.id, Reason.INTEGRATION_REMOVED)]))
    ask = {"filter": {}, "dry_run": True}
    assert (await management.call("POST", "dead/replay", ask))[1]["warnings"] == []
    management.clock.now += 49 * 3600
    assert "count them twice" in (await management.call("POST", "dead/replay", ask))[1]["warnings"][0]


@pytest.mark.parametrize(
    ("tries", "warned"),
    [
        ([(Reason.TIMEOUT, "timeout")], True),
        ([(Reason.CONNECTION, "connection")], True),
        ([(Reason.TIKTOK_UNAVAILABLE, "http_504")], True),
        ([(Reason.TIKTOK_UNAVAILABLE, "50000")], False),
        ([(Reason.TIMEOUT, "timeout"), (Reason.TIKTOK_THROTTLED, "40100")], False),
        ([(Reason.TIKTOK_THROTTLED, "40100"), (Reason.TIMEOUT, "timeout")], True),
    ],
)
async def test_the_doubt_is_about_the_last_try_and_its_time(
    management: Management, tries: list[tuple[Reason, str]], *, warned: bool
) -> None:
    accepted = time.time() - 72 * 3600
    await management.spool.put([NewRecord("tiktok", "", accepted, sealed("e1"))])
    for reason, code in tries:
        (record,) = await management.spool.lease("tiktok", 1, 1 << 20, 5.0)
        await management.spool.settle(Settlement(retry=[Retry(record.id, 0.0, reason, code)]))
    assert await management.spool.bury_lane("tiktok", Reason.INTEGRATION_REMOVED) == 1
    (row,) = (await management.call("GET", "dead"))[1]["items"]
    told = (await management.call("GET", f"dead/{row['id']}"))[1]["tries"]
    assert [(each["reason"], each["code"]) for each in told] == tries
    assert (told[-1]["known"], told[-1]["words"]) == (not warned, WORDS[tries[-1][0]])
    ask = {"filter": {}, "dry_run": True}
    management.clock.now = time.time() + 47 * 3600
    assert (await management.call("POST", "dead/replay", ask))[1]["warnings"] == [], "TikTok still recognises it"
    management.clock.now = time.time() + 49 * 3600
    warnings = (await management.call("POST", "dead/replay", ask))[1]["warnings"]
    assert [warning for warning in warnings if "count them twice" in warning] == warnings
    assert bool(warnings) == warned


async def test_chosen_ones_are_dropped_and_stay_dropped(management: Management) -> None:
    await management.bury("e1", "e2", "e3")
    ids = [item["id"] for item in (await management.call("GET", "dead"))[1]["items"]]
    assert await management.call("POST", "dead/drop", {"ids": [ids[0], ids[0], "12345678"]}) == (200, {"dropped": 1})
    assert (await management.call("GET", "dead"))[1]["total"] == 2
    assert await management.call("POST", "dead/drop", {"filter": {}}) == (200, {"dropped": 2})


async def test_export_is_a_line_for_each(management: Management) -> None:
    await management.bury(*[f"e{n}" for n in range(450)])
    status, text = await management.call("GET", "dead/export?integration=tiktok")
    lines = [json.loads(line) for line in text.splitlines()]
    assert (status, len(lines), lines[0]["mapped"]["event"]) == (200, 450, "Purchase")
    assert "a" * 64 not in text


async def test_a_withdrawn_visitor_s_letters_are_not_there_to_be_replayed(management: Management) -> None:
    await management.bury("mine", owner=owner("visitor-1"))
    await management.bury("yours")
    await management.spool.purge(owner("visitor-1"), Reason.WITHDRAWN)
    _, begun = await management.call("POST", "dead/replay", {"filter": {}})
    assert (await finished(management, begun["job"]))["done"] == 1


@pytest.mark.parametrize(
    ("person", "kind"),
    [({"email": " Alice@Example.com "}, "email"), ({"email": hashlib.sha256(b"alice@example.com").hexdigest()}, "email"), ({"external_id": "C-1"}, "external_id"),
     ({"anonymous_id": "visitor-1"}, "anonymous_id")],
)  # fmt: skip
async def test_a_person_is_erased_wherever_it_waits(management: Management, person: dict[str, str], kind: str) -> None:
    user = {
        "email": hashlib.sha256(b"alice@example.com").hexdigest(),
        "external_id": ["c" * 64, hashlib.sha256(b"C-1").hexdigest()],
    }
    mine = owner("visitor-1")
    await management.bury("dead-mine", owner=mine, user=user)
    await management.bury("dead-yours")
    records = [
        NewRecord("tiktok", mine, 1.0, sealed("queued-mine", user=user)),
        NewRecord("tiktok", "", 1.0, sealed("queued-yours")),
    ]
    await management.spool.put(records)
    status, found = await management.call("POST", "erase", person)
    assert (status, found["removed"][kind]) == (200, 2)
    left = await management.spool.lease("tiktok", 10, 1 << 20, 0.0)
    assert [json.loads(record.payload)["event_id"] for record in left] == ["queued-yours"]
    assert [item["event_id"] for item in (await management.call("GET", "dead"))[1]["items"]] == ["dead-yours"]


async def test_an_erasure_tells_what_is_under_way_by_itself(management: Management) -> None:
    mine = owner("visitor-1")
    user = {"external_id": [hashlib.sha256(b"visitor-1").hexdigest()]}
    records = [("found by both", mine, user), ("found by owner", mine, {}), ("found by hash", "", user), ("yours", "", {})]
    await management.spool.put([NewRecord("tiktok", who, 1.0, sealed(id_, user=user)) for id_, who, user in records])
    leased = await management.spool.lease("tiktok", 10, 1 << 20, 0.0)
    status, found = await management.call("POST", "erase", {"anonymous_id": "visitor-1"})
    assert (status, found) == (200, {"removed": {"anonymous_id": 0, "external_id": 0}, "under_way": 3})
    await management.spool.release([record.id for record in leased])
    (left,) = await management.spool.lease("tiktok", 10, 1 << 20, 0.0)
    assert json.loads(left.payload)["event_id"] == "yours"
    _, document = await management.call("GET", "openapi.json")
    assert {"removed", "under_way"} == document["components"]["schemas"]["Erased"]["properties"].keys()


async def test_erasure_takes_exactly_one_name(management: Management) -> None:
    for person in ({}, {"email": "a@b.example", "external_id": "1"}, {"phone": "1"}):
        assert (await management.call("POST", "erase", person))[0] == 422


async def test_without_a_spool_the_answer_says_so(management: Management) -> None:
    management.desk.spool = lambda: None
    status, found = await management.call("GET", "dead")
    assert (status, found["error"]["code"]) == (503, "unavailable")
