"""``ttgateway run`` as a real process: serves, collects, delivers, fails safe, reloads, drains."""

import asyncio
import hashlib
import hmac
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import apsw
import pytest
from whole import CONFIG, PATIENCE_S, Whole, purchase, whole

from gateway.spool.lock import DirectoryLock


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Whole]:
    """Site, sandbox, and a gateway to be started."""
    async with whole(tmp_path) as surroundings:
        yield surroundings


def value(metrics: str, name: str) -> float:
    """The value of the one sample that starts with ``name``."""
    found = re.findall(rf"^{re.escape(name)}(?:{{[^}}]*}})? (\S+)$", metrics, re.MULTILINE)
    assert len(found) == 1, (name, found)
    return float(found[0])


async def test_the_site_is_served_and_an_event_reaches_tiktok(around: Whole) -> None:
    await around.start()
    assert await around.get("/any/page") == (200, b"page /any/page")
    status, body, _ = await around.post(purchase("order-1"))
    assert (status, body["accepted"]) == (200, 1)
    (entry,) = await around.until(around.received)
    assert entry["accepted"]
    assert entry["event"]["event"] == "Purchase"
    assert entry["event"]["event_id"] == "order-1"
    assert entry["event_source_id"] == "C4ABCDEF1234567890AB"
    metrics = await around.metrics()
    assert value(metrics, "ttgateway_config_problems") == 0
    assert value(metrics, "ttgateway_spool_available") == 1
    assert 'outcome="accepted",pipeline="shop"' in metrics


@pytest.mark.parametrize("batches", ["linger: 20ms", "linger: 20ms, max_batch: 1, in_flight: 2"], ids=["few", "many"])
async def test_sigterm_finishes_what_was_accepted(around: Whole, batches: str) -> None:
    around.write(CONFIG, **{"linger: 20ms": batches})
    await around.start()
    await around.faults(latency_ms=100)
    ids = [f"order-{n}" for n in range(40)]
    answers = await asyncio.gather(*(around.post(purchase(event_id)) for event_id in ids))
    assert {status for status, _, _ in answers} == {200}
    around.send(signal.SIGTERM)
    assert await around.ended() == 0
    assert sorted(await around.received_ids()) == sorted(ids)
    assert [line["records_left"] for line in around.logs() if line["message"] == "drained"] == [0]


async def test_what_is_withdrawn_while_a_batch_gathers_is_not_sent(around: Whole) -> None:
    around.write(CONFIG, **{"linger: 20ms": "linger: 60s"})
    await around.start()
    for n in range(5):
        assert (await around.post(purchase(f"mine-{n}", anonymousId="visitor-1")))[0] == 200
    assert (await around.post(purchase("yours", anonymousId="visitor-2")))[0] == 200
    denial = {"anonymousId": "visitor-1", "consent": {"marketing": False}}
    assert (await around.post(denial, "/gw/v1/c"))[0] == 204

    async def purged() -> bool:
        return any(line["message"] == "records purged" for line in around.logs())

    await around.until(purged)
    # consent anew, and the page sends one of them again
    assert (await around.post(purchase("mine-2", anonymousId="visitor-1")))[1]["accepted"] == 1
    around.send(signal.SIGTERM)  # ends the linger
    assert await around.ended() == 0
    assert sorted(entry["event"]["event_id"] for entry in await around.received()) == ["mine-2", "yours"]
    assert [line["records_left"] for line in around.logs() if line["message"] == "drained"] == [0]


async def test_what_cannot_be_flushed_is_delivered_after_the_next_start(around: Whole) -> None:
    around.write(CONFIG, **{"grace: 10s": "grace: 1s"})
    await around.start()
    await around.faults(code=50000)
    await around.post(purchase("kept"))
    around.send(signal.SIGTERM)
    assert await around.ended() == 0
    assert [line["records_left"] for line in around.logs() if line["message"] == "drained"] == [1]
    await around.faults()
    await around.start()
    assert await around.until(around.received_ids) == ["kept"]


async def _not_ready(around: Whole) -> bool:
    return not await around.is_ready()


async def test_while_draining_it_is_not_ready_but_still_serves(around: Whole) -> None:
    around.write(CONFIG, **{"delay: 0s": "delay: 30s"})
    await around.start()
    around.send(signal.SIGTERM)
    await around.until(lambda: _not_ready(around))
    async with around.session.get(f"http://127.0.0.1:{around.edge}/x") as answer:
        assert answer.status == 200
        assert answer.headers["Connection"] == "close"
    around.send(signal.SIGTERM)  # the second one does not wait for the delay
    assert await around.ended() == 0


async def test_sigterm_under_load_fails_no_request(around: Whole) -> None:
    """Senders go elsewhere once it is not ready, as behind a load balancer; until then every request is answered well."""
    around.write(CONFIG, **{"delay: 0s": "delay: 5s"})  # time enough to go elsewhere, on a busy machine too
    await around.start()
    enough, leaving = asyncio.Event(), asyncio.Event()
    acknowledged: list[str] = []

    async def send(sender: int) -> None:
        while not leaving.is_set():
            event_id = f"{sender}-{len(acknowledged)}"
            status, body, _ = await around.post(purchase(event_id))
            assert (status, body["accepted"]) == (200, 1)
            acknowledged.append(event_id)
            if len(acknowledged) == 60:
                enough.set()
            assert await around.get("/page") == (200, b"page /page")

    senders = [asyncio.create_task(send(sender)) for sender in range(6)]
    await enough.wait()
    around.send(signal.SIGTERM)
    await around.until(lambda: _not_ready(around))
    leaving.set()
    await asyncio.gather(*senders)
    assert await around.ended() == 0
    assert sorted(await around.received_ids()) == sorted(acknowledged)


async def test_the_drain_command_waits_until_it_is_drained(around: Whole) -> None:
    await around.start()
    await around.post(purchase("before-drain"))
    drain = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "drain", "-c", str(around.config), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await asyncio.wait_for(drain.communicate(), PATIENCE_S)
    assert (drain.returncode, out) == (0, b"drained\n")
    assert await around.received_ids() == ["before-drain"]
    assert not await around.is_ready()
    around.send(signal.SIGTERM)
    assert await around.ended() == 0


async def collects_503(around: Whole) -> None:
    """The site is served and ready; collecting is off, and says when to come back."""
    assert await around.get("/page") == (200, b"page /page")
    status, body, headers = await around.post(purchase("refused"))
    assert (status, body["error"]["reason"]) == (503, "spool_unavailable")
    assert int(headers["Retry-After"]) > 0
    assert await around.is_ready()


def problems(around: Whole) -> str:
    """What the log complains of."""
    return "\n".join(str(line.get("problem", "")) for line in around.logs() if line["level"] in {"error", "critical"})


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("pixel_code: C4ABCDEF1234567890AB", "pixle_code: C4", "did you mean pixel_code?"),
        ("key: dk_live_shop", "kye: dk_live_shop", "did you mean key?"),
        ("max_bytes: 64MiB", "max_bytes: many", "expected a size"),
        ("pipelines:", "consent: {{default: maybe}}\npipelines:", "expected 'deny' or 'grant'"),
        ("pipelines:", "cookies: {{make_ttp: maybe}}\npipelines:", "expected true or false"),
        ("pipelines:", "extra: 1\npipelines: 7\nignored:", "expected a list"),
        ('path: "{state}/spool"', 'path: "{state}/token/spool"', "Not a directory"),
    ],
)
async def test_any_other_fault_serves_the_site_and_collects_503(around: Whole, old: str, new: str, complaint: str) -> None:
    around.write(CONFIG, **{old: new})
    await around.start()
    await collects_503(around)
    assert complaint in problems(around)
    metrics = await around.metrics()
    assert value(metrics, "ttgateway_config_problems") > 0 or value(metrics, "ttgateway_spool_available") == 0


async def test_a_locked_spool_serves_the_site_and_collects_once_it_is_free(around: Whole) -> None:
    spool = around.state / "spool"
    spool.mkdir()
    lock = DirectoryLock(spool)
    await around.start()
    await collects_503(around)
    assert "another process uses the spool" in problems(around)
    lock.release()

    async def collects() -> bool:
        status, _, _ = await around.post(purchase("after-the-lock"))
        return status == 200

    await around.until(collects)
    assert "after-the-lock" in await around.until(around.received_ids)


async def test_a_withdrawal_waits_for_the_spool_to_open(around: Whole) -> None:
    await around.faults(http_status=500)
    await around.start()
    for name in ("mine", "yours"):
        assert (await around.post(purchase(name, anonymousId=f"visitor-{name}")))[0] == 200
    await around.kill()
    await around.faults()
    lock = DirectoryLock(around.state / "spool")
    await around.start()
    withdrawal = {"consent": {"marketing": False}, "anonymousId": "visitor-mine", "writeKey": "dk_live_shop"}
    assert (await around.post(withdrawal, "/gw/v1/c"))[0] == 204
    lock.release()
    assert await around.until(around.received_ids) == ["yours"]
    assert 'reason="withdrawn"} 1.0' in await around.metrics()


async def test_a_newer_spool_is_left_untouched(around: Whole) -> None:
    await around.start()
    around.send(signal.SIGTERM)
    await around.ended()
    (database,) = (around.state / "spool").glob("*.db")
    connection = apsw.Connection(str(database))
    connection.execute("PRAGMA journal_mode=DELETE")
    connection.execute("PRAGMA user_version=999")
    connection.close()
    before = database.read_bytes()
    await around.start()
    await collects_503(around)
    assert "schema 999" in problems(around)
    assert database.read_bytes() == before


@pytest.mark.parametrize("broken", ["{{id: broken, pixel_code: C5, preset: retial}}", "{{id: other, pixel_code: C5}}"])
async def test_a_broken_neighbour_leaves_the_others_on_and_what_it_misses_is_counted(around: Whole, broken: str) -> None:
    """Its entry has a fault, or there is none of that name."""
    around.write(CONFIG + f"  - {broken}\n", **{"[tiktok-shop]": "[tiktok-shop, broken]"})
    await around.start()
    status, body, _ = await around.post(purchase("to-the-sound-one"))
    assert (status, body["accepted"], body["filtered"], body["incomplete"]) == (200, 1, 0, 1)
    assert await around.until(around.received_ids) == ["to-the-sound-one"]
    counted = (
        'ttgateway_events_outcome_total{integration="broken",outcome="filtered",pipeline="shop",reason="integration_broken"} 1.0'
    )
    assert counted in await around.metrics()


@pytest.mark.parametrize("token", ["${{file:{state}/nowhere}}", "${{env:TTGATEWAY_UNSET}}"])
async def test_an_integration_without_its_token_collects_and_waits(around: Whole, token: str) -> None:
    around.write(
        CONFIG + f"  - {{{{id: waiting, pixel_code: C5, access_token: '{token}'}}}}\n",
        **{"[tiktok-shop]": "[tiktok-shop, waiting]"},
    )
    await around.start()
    status, body, _ = await around.post(purchase("to-both"))
    assert (status, body) == (200, {"success": True, "accepted": 1, "filtered": 0, "rejected": []})
    assert await around.until(around.received_ids) == ["to-both"]
    assert "does not exist" in problems(around) or "is not set" in problems(around)
    metrics = await around.metrics()
    assert 'integration="waiting",outcome="accepted",pipeline="shop"' in metrics
    assert 'ttgateway_spool_records{integration="waiting"} 1.0' in metrics
    assert value(metrics, "ttgateway_config_problems") == 1
    if "nowhere" in token:
        (around.state / "nowhere").write_text("access-token-2")  # the secret is mounted late

        async def both() -> bool:
            return await around.received_ids() == ["to-both", "to-both"]

        await around.until(both)


@pytest.mark.parametrize(
    ("old", "new"),
    [("${{file:{state}/token}}", "${{file:{state}/nowhere}}"), ("pixel_code: C4", "preset: retial, pixel_code: C4")],
)
async def test_the_queue_of_a_broken_integration_waits(around: Whole, old: str, new: str) -> None:
    await around.start()
    await around.faults(code=50000)
    await around.post(purchase("waits"))
    await around.kill()
    around.write(CONFIG, **{old: new})
    await around.start()
    await around.faults()
    metrics = await around.metrics()
    assert 'ttgateway_spool_records{integration="tiktok-shop"} 1.0' in metrics
    assert 'ttgateway_dead_letters{integration="tiktok-shop"} 0.0' in metrics
    if "nowhere" in new:
        (around.state / "nowhere").write_text("access-token-2")  # the secret is mounted late
    else:
        around.write(CONFIG)
    assert await around.until(around.received_ids) == ["waits"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("upstream:", "upsteam:"),
        ('listen: "127.0.0.1:{ops}"', "listen: nonsense"),
        ("version: 1", "version: [1"),
        ("{{listen: \"127.0.0.1:{edge}\"", "{{listen: '${{env:TTGATEWAY_UNSET}}'"),
    ],
)  # fmt: skip
async def test_an_unusable_edge_or_ops_does_not_start(around: Whole, old: str, new: str) -> None:
    around.write(CONFIG, **{old: new})
    await around.start(ready=False)
    assert await around.ended() == 78
    # asyncio says in development mode what takes long, and on a busy machine everything does
    said = [line["problem"] for line in around.logs() if line["logger"] != "asyncio"]
    assert said
    assert all(problem.startswith(str(around.config)) for problem in said)


async def test_a_taken_port_ends_with_a_word(around: Whole) -> None:
    around.edge = around.site
    around.write(CONFIG)
    await around.start(ready=False)
    assert await around.ended() == 1
    assert "address already in use" in problems(around)


async def reloaded(around: Whole, success: float) -> None:
    """Wait for a reload that ended so."""
    around.send(signal.SIGHUP)

    async def told() -> bool:
        return value(await around.metrics(), "ttgateway_config_reload_success") == success

    await around.until(told)


async def test_a_bad_new_file_keeps_the_old_one_and_a_good_one_is_taken(around: Whole) -> None:
    await around.start()
    around.write(CONFIG, **{"key: dk_live_shop": "kye: dk_other"})
    await reloaded(around, 0)
    assert "did you mean key?" in problems(around)
    assert (await around.post(purchase("old-key", writeKey="dk_live_shop")))[0] == 200
    around.write(CONFIG, **{"key: dk_live_shop": "key: dk_other"})
    await reloaded(around, 1)
    assert (await around.post(purchase("gone-key", writeKey="dk_live_shop")))[0] == 401
    assert (await around.post(purchase("new-key", writeKey="dk_other")))[0] == 200


async def _browser(around: Whole) -> int:
    return int((await around.post(purchase("silent", context={})))[1]["accepted"])


async def _back_end(around: Whole) -> int:
    """A signed event of the site's back end that says nothing about marketing."""
    body, stamp = json.dumps(purchase("signed", context={"consent": {"analytics": True}})).encode(), str(int(time.time()))
    digest = hmac.new(b"pipeline-secret-1", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    headers = {"X_Timestamp": stamp, "X_Signature": f"sha256={digest}"}
    return int((await around.post(body, "/gw/v1/events", **headers))[1]["accepted"])


@pytest.mark.parametrize("send", [_browser, _back_end])
async def test_reload_changes_consent_rules_without_a_restart(around: Whole, send: Callable[[Whole], Awaitable[int]]) -> None:
    await around.start()
    assert await send(around) == 0
    around.write(CONFIG + "consent: {{default: grant}}\n")
    await around.until(lambda: send(around))  # noticed by itself, without a signal


@pytest.mark.parametrize(
    ("section", "first"),
    [("delivery", 200), ("spool", 503)],
)
async def test_a_section_that_is_mended_is_started(around: Whole, section: str, first: int) -> None:
    around.write(CONFIG, **{f"{section}: {{{{": f"{section}: {{{{nonsense: 1, "})
    await around.start()
    status, _, _ = await around.post(purchase("before"))
    assert status == first  # without delivery events are kept; without a spool they are refused
    assert await around.received_ids() == []
    around.write(CONFIG)
    around.send(signal.SIGHUP)

    async def collects() -> bool:
        return (await around.post(purchase("after")))[0] == 200

    await around.until(collects)

    expected = {"before", "after"} if first == 200 else {"after"}

    async def arrived() -> bool:
        return set(await around.received_ids()) >= expected

    await around.until(arrived)
    assert set(await around.received_ids()) == expected


async def test_a_rotated_token_is_used_without_a_restart(around: Whole) -> None:
    (around.state / "token").write_text("revoked")
    await around.start()
    await around.post(purchase("before-rotation"))

    async def suspended() -> bool:
        return "40105" in around.log_file.read_text()

    await around.until(suspended)
    (around.state / "token").write_text("access-token-2\n")
    assert "before-rotation" in await around.until(around.received_ids)


async def test_logs_are_json_lines(around: Whole) -> None:
    await around.start()
    around.send(signal.SIGTERM)
    await around.ended()
    lines = [json.loads(line) for line in around.log_file.read_text().splitlines()]
    assert [line["message"] for line in lines if line["logger"] != "asyncio"][-1] == "ended"
    assert {"time", "level", "logger", "message"} <= set(lines[0])
