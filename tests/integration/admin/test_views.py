"""What the pages show, over the API of a gateway that runs: events as they pass, what they became, the figures – and no secret."""

import asyncio
import json
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from documented import undocumented
from managing import Management
from ports import free_port
from whole import CONFIG, Whole, purchase, whole

from gateway.telemetry.feed import Feed, Row

TOKEN = "editor-token-0001"
ADMIN = 'admin: {{{{listen: "127.0.0.1:{port}", tokens: [{{{{name: ops, role: editor, token: ' + TOKEN + "}}}}]}}}}\n"


class Managed:
    """A running gateway and its management API."""

    def __init__(self, around: Whole, port: int) -> None:
        self.around = around
        self.port = port
        self.base = f"http://127.0.0.1:{port}/api/v1/"
        self.headers = {"Authorization": f"Bearer {TOKEN}"}

    async def get(self, path: str) -> Any:
        async with self.around.session.get(self.base + path, headers=self.headers) as answer:
            assert answer.status == 200, await answer.text()
            if "yaml" in path:
                return await answer.text()
            found = await answer.json()
            assert undocumented("GET", path, answer.status, found) == []
            return found

    async def post(self, path: str, body: Any) -> Any:
        async with self.around.session.post(self.base + path, headers=self.headers, json=body) as answer:
            found = await answer.json()
            assert undocumented("POST", path, answer.status, found) == []
            return found

    async def rows(self, count: int, outcome: str) -> list[dict[str, Any]]:
        """The newest rows, once there are so many of ``outcome``."""

        async def there() -> list[dict[str, Any]]:
            found = [row for row in (await self.get("live/recent"))["items"] if row["outcome"] == outcome]
            return found if len(found) >= count else []

        return list(await self.around.until(there))


@pytest.fixture
async def managed(tmp_path: Path) -> AsyncIterator[Managed]:
    async with whole(tmp_path) as around:
        port = free_port()
        around.write(CONFIG + ADMIN.format(port=port))
        await around.start()
        found = Managed(around, port)

        async def listens() -> bool:
            try:
                return bool(await found.get("session"))
            except aiohttp.ClientConnectionError:
                return False

        await around.until(listens)
        yield found


async def test_an_event_is_followed_from_the_page_to_tiktok_s_answer(managed: Managed) -> None:
    await managed.around.post(purchase("order-1", traits={"email": "alice@example.com"}))
    (row,) = await managed.rows(1, "delivered")
    assert (row["name"], row["event"], row["code"], row["attempts"]) == ("Order Completed", "Purchase", "0", 1)
    found = await managed.get(f"live/{row['id']}")
    assert found["received"]["event_id"] == found["mapped"]["event_id"] == "order-1"
    assert found["consent"]["source"] == "event"
    assert found["request"]["headers"]["Access-Token"] == "<access token>"
    assert found["request"]["body"]["data"][0]["properties"]["value"] == 9.5
    assert found["received"]["user"]["email"].endswith("…")


async def test_a_filtered_event_leaves_its_name_and_reason_only(managed: Managed) -> None:
    await managed.around.post(
        purchase("order-1", traits={"email": "alice@example.com"}, context={"consent": {"marketing": False}})
    )
    (row,) = await managed.rows(1, "filtered")
    assert (row["name"], row["reason"]) == ("Order Completed", "consent_denied")
    found = await managed.get(f"live/{row['id']}")
    assert (found["received"], found["mapped"], found["request"]) == (None, None, None)
    assert "alice" not in json.dumps(found)


@pytest.mark.parametrize(
    ("event", "headers", "reason", "decision", "source"),
    [
        ({"context": {"consent": {"marketing": False}}}, {}, "consent_denied", "denied", "event"),
        ({}, {"Sec_GPC": "1"}, "gpc", "denied", "event+gpc"),
        ({"context": {}}, {}, "consent_missing", "missing", "default"),
    ],
)
async def test_who_spoke_for_a_visitor_is_told_of_what_consent_stopped(
    managed: Managed, event: dict[str, Any], headers: dict[str, str], reason: str, decision: str, source: str
) -> None:
    await managed.around.post(purchase("order-1", **event), **headers)
    (row,) = await managed.rows(1, "filtered")
    found = (await managed.get(f"live/{row['id']}"))["consent"]
    assert (row["reason"], found["decision"], found["source"], found["needed"]) == (reason, decision, source, ["marketing"])


async def test_an_event_that_no_mapping_sends_says_where_it_stopped(managed: Managed) -> None:
    await managed.around.post(purchase("order-1", event="Banner Dismissed"))
    (row,) = await managed.rows(1, "filtered")
    found = await managed.get(f"live/{row['id']}")
    assert (row["reason"], found["mapped"], found["consent"]["decision"]) == ("unmapped", None, "granted")
    assert "Banner Dismissed" in found["refusal"]


async def test_a_suspended_lane_is_told_by_what_it_refused_and_by_what_waits(managed: Managed) -> None:
    await managed.around.faults(code=40105)
    await managed.around.post(purchase("order-1"))
    (refused,) = await managed.rows(1, "retrying")
    assert (refused["code"], refused["reason"], refused["attempts"]) == ("40105", "tiktok_auth", 1)
    found = await managed.get(f"live/{refused['id']}")
    assert (found["answer"]["code"], found["lane"]["state"]) == ("40105", "suspended")
    assert "access token" in found["cure"]
    await managed.around.post(purchase("order-2"))
    (waiting,) = await managed.rows(1, "accepted")
    found = await managed.get(f"live/{waiting['id']}")
    assert (found["request"], found["answer"]["code"], waiting["attempts"]) == (None, "", 0)
    assert "40105" in found["answer"]["message"]
    assert "access token" in found["cure"]


async def test_a_request_can_be_made_again_with_its_test_code_and_without_its_person(managed: Managed) -> None:
    around = managed.around
    around.write(CONFIG.replace("access_token:", "test_event_code: TEST123, access_token:") + ADMIN.format(port=managed.port))
    around.send(signal.SIGHUP)

    async def tested() -> bool:
        return bool((await managed.get("integrations"))["items"][0]["test_event_code"])

    await around.until(tested)
    await around.post(purchase("order-1", traits={"email": "alice@example.com"}))
    (row,) = await managed.rows(1, "delivered")
    around.write(CONFIG + ADMIN.format(port=managed.port))
    around.send(signal.SIGHUP)

    async def live() -> bool:
        return not await tested()

    await around.until(live)
    found = await managed.get(f"live/{row['id']}")
    body = found["request"]["body"]
    assert body["test_event_code"] == "TEST123", "what it was sent with, not what is set now"
    assert body["data"][0]["user"]["email"] == "<sha256 of the e-mail>"
    assert "…" not in json.dumps(body, ensure_ascii=False)
    assert found["mapped"]["user"]["email"].endswith("…")


async def test_rows_come_as_they_happen(managed: Managed) -> None:
    async with managed.around.session.get(managed.base + "live", headers=managed.headers) as stream:
        assert stream.content_type == "text/event-stream"
        await stream.content.readuntil(b"\n\n")
        await managed.around.post(purchase("order-1"))
        outcomes = []
        async with asyncio.timeout(15):
            while "delivered" not in outcomes:
                block = await stream.content.readuntil(b"\n\n")
                if block.startswith(b"event: row"):
                    outcomes.append(json.loads(block.partition(b"data: ")[2])["outcome"])
    assert outcomes == ["accepted", "delivered"]


async def test_a_busy_second_is_shown_as_a_sample(managed: Managed) -> None:
    await managed.around.post({"batch": [purchase(f"order-{n}") for n in range(300)]})
    assert 50 <= len((await managed.get("live/recent?limit=500"))["items"]) <= 100
    assert (await managed.get("overview"))["funnel"]["received"] == 300


async def test_the_overview_adds_up_and_names_what_is_wrong(managed: Managed) -> None:
    before = await managed.get("overview?window=15m")
    assert before["alerts"] == [], "it has only just begun to listen"
    await managed.around.faults(code=40105)
    await managed.around.post(purchase("order-1", traits={"email": "alice@example.com"}))
    await managed.around.post(purchase("order-2", context={}))

    async def suspended() -> bool:
        return any(lane["state"] == "suspended" and lane["queued"] for lane in (await managed.get("overview"))["lanes"])

    await managed.around.until(suspended)
    found = await managed.get("overview?window=24h")
    assert (found["funnel"]["received"], found["funnel"]["accepted"], found["funnel"]["queued"]) == (2, 1, 1)
    assert found["funnel"]["filtered"] == {"consent_missing": 1}
    assert found["funnel"]["records"] == 2
    (lane,) = found["lanes"]
    assert (lane["queued"], lane["last_delivered_at"]) == (1, None)
    assert 0 < lane["oldest_accepted_at"] <= time.time()
    assert found["match"]["events"] == found["match"]["email"] == 1
    (alert,) = [alert for alert in found["alerts"] if alert["id"] == "lane_suspended:tiktok-shop"]
    assert (alert["severity"], "access token" in alert["cure"]) == ("critical", True)
    assert (await managed.get("integrations"))["items"][0]["lane"]["state"] == "suspended"


async def test_entries_are_told_without_their_secrets(managed: Managed) -> None:
    (integration,) = (await managed.get("integrations"))["items"]
    assert (integration["id"], integration["declared"], integration["has_token"]) == ("tiktok-shop", True, True)
    (pipeline,) = (await managed.get("pipelines"))["items"]
    assert 'data-key="dk_live_shop"' in pipeline["snippet"]
    rows = (await managed.get("integrations/tiktok-shop/mappings"))["rows"]
    assert {"source": "Order Completed", "event": "Purchase"}.items() <= next(
        row for row in rows if row["source"] == "Order Completed"
    ).items()
    found = await managed.get("integrations/tiktok-shop/mappings")
    (value,) = [field for field in found["fields"] if field["target"] == "properties.value"]
    assert value["sources"] == ["properties.value", "properties.revenue", "properties.total"]
    assert "properties.description" in found["namesakes"]
    everything = ["settings", "integrations", "integrations/tiktok-shop", "integrations/tiktok-shop/yaml", "integrations/tiktok-shop/mappings",
                  "integrations/tiktok-shop/verify", "pipelines", "pipelines/shop", "catalogue", "overview", "live/recent", "revisions", "openapi.json"]  # fmt: skip
    for path in everything:
        text = json.dumps(await managed.get(path))
        assert not [secret for secret in ("access-token-1", "pipeline-secret-1", TOKEN) if secret in text], path


async def test_what_consent_default_lets_through_is_told_from_what_it_keeps(management: Management) -> None:
    """Neither has carried a signal; only the one is delivered."""
    feed = management.desk.metrics.feed = Feed(management.clock)
    for number, (outcome, reason) in enumerate((("delivered", ""), ("filtered", "bot"), ("filtered", "consent_missing"))):
        consent = "" if reason == "consent_missing" else "default"
        feed.merge(Row("", 1.0, "shop", "tiktok", "Search", outcome, reason, consent=consent, uid=f"elsewhere-{number}"))
    (told,) = (await management.call("GET", "pipelines"))[1]["items"]
    assert (told["events_looked_at"], told["without_consent_signal_of_last_100"], told["granted_by_default_of_last_100"]) == (
        3,
        3,
        1,
    )


async def test_a_test_event_and_a_preview_tell_what_tiktok_would(managed: Managed) -> None:
    found = await managed.post("integrations/tiktok-shop/test", {"test_event_code": "TEST1"})
    assert (found["code"], found["verdict"]) == ("0", "delivered")
    await managed.around.post(purchase("order-1"))
    rows = await managed.rows(1, "delivered")
    found = await managed.post("integrations/tiktok-shop/mappings/preview", {"record": rows[0]["id"]})
    assert found["payload"]["event"] == "Purchase"
    for path, body in (
        ("integrations/nobody/test", {"test_event_code": "T"}),
        ("integrations/tiktok-shop/mappings/preview", {"record": "99999"}),
    ):
        assert (await managed.post(path, body))["error"]["code"] == "not_found"
    assert (await managed.post("integrations/tiktok-shop/test", {}))["error"]["code"] == "invalid"


async def test_charts_and_alerts_are_told_over_a_restart_and_to_prometheus(managed: Managed) -> None:
    around = managed.around
    await around.post(purchase("order-1", traits={"email": "alice@example.com"}))
    await managed.rows(1, "delivered")
    found = await managed.get("overview?window=15m")
    assert 0 < found["lag"]["p50"] <= found["lag"]["p95"] < 60
    assert len({len(values) for values in found["series"].values()}) == 1
    assert sum(found["series"]["delivered"]) == 1
    assert found["codes"] == [{"code": "0", "count": 1, "words": "Accepted."}]
    assert found["alerts"] == []
    assert (await managed.get("pipelines"))["items"][0]["received_1h"] == 1
    around.send(signal.SIGTERM)
    assert await around.ended() == 0
    await around.start()

    async def listens() -> bool:
        try:
            return bool(await managed.get("session"))
        except aiohttp.ClientConnectionError:
            return False

    await around.until(listens)

    async def restored() -> bool:
        return bool((await managed.get("overview?window=24h"))["funnel"]["received"] == 1)

    await around.until(restored)
    await around.faults(code=40105)
    await around.post(purchase("order-2"))

    async def exported() -> bool:
        return (
            'ttgateway_alert{alert="lane_suspended",integration="tiktok-shop",severity="critical"} 1.0' in await around.metrics()
        )

    await around.until(exported)
    assert 'ttgateway_delivery_lag_seconds_count{integration="tiktok-shop"}' not in await around.metrics()
    (alert,) = (await managed.get("overview"))["alerts"]
    assert alert["since"] > 0
