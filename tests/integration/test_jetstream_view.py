"""One UI for all pods: the feed, the funnel, lanes, alerts and dead letters of processes of their own around one broker."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from brokering import Broker
from pods import Pod
from ports import free_port
from whole import Whole, whole

ADMIN_TOKEN = "admin-token-of-length"

pytestmark = pytest.mark.timeout(400)  # of several processes, each of which may take its time to start


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Whole]:
    async with whole(tmp_path) as surroundings:
        yield surroundings


class Admin(Pod):
    """The pod with the UI."""

    def __init__(self, around: Whole, broker: Broker, role: str = "admin") -> None:
        self.port = free_port()
        section = (
            f'admin: {{{{listen: "127.0.0.1:{self.port}", tokens: [{{{{name: ops, role: editor, token: "{ADMIN_TOKEN}"}}}}]}}}}\n'
        )
        super().__init__(around, broker, role, section)

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        url = f"http://127.0.0.1:{self.port}/api/v1/{path}"
        async with self.session.request(method, url, json=body, headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as answer:
            assert answer.status < 300, await answer.text()
            return await answer.json()

    async def manages(self) -> bool:
        try:
            return bool(await self.api("GET", "overview"))
        except aiohttp.ClientError:
            return False

    async def rows(self) -> dict[str, str]:
        """Event id → outcome, of the rows that have one."""
        found = {}
        for row in (await self.api("GET", "live/recent"))["items"]:
            one = await self.api("GET", f"live/{row['id']}")
            found[(one["received"] or {}).get("event_id", row["reason"])] = row["outcome"]
        return found


async def test_what_happens_in_other_pods_is_seen(around: Whole, broker: Broker) -> None:
    async with Admin(around, broker) as admin, Pod(around, broker, "edge") as edge, Pod(around, broker, "deliver") as deliver:
        await around.until(admin.manages)
        number = 0

        async def followed() -> Any:
            """Until the first question has reached them, what happens there is nobody's."""
            nonlocal number
            number += 1
            assert await edge.post(f"first-{number}") == 200
            return await admin.rows()

        await around.until(followed)

        async def delivered() -> bool:
            """Of some, not of each: the question may not have reached the deliverer yet, and a row may be lost."""
            await followed()
            return "delivered" in (await admin.rows()).values()

        await around.until(delivered)
        row = next(row for row in (await admin.api("GET", "live/recent"))["items"] if row["outcome"] == "delivered")
        one = await admin.api("GET", f"live/{row['id']}")
        assert one["request"]["body"]["data"][0]["event"] == "Purchase"
        assert (one["answer"]["code"], row["event"]) == ("0", "Purchase")

        async def funnel() -> Any:
            found = await admin.api("GET", "overview?window=15m")
            return found if found["funnel"]["received"] and found["funnel"]["delivered"] and found["lanes"] else None

        shown = await around.until(funnel)
        assert [lane["state"] for lane in shown["lanes"]] == ["active"]
        assert shown["codes"][0]["code"] == "0"
        await around.faults(code=40105)
        assert await edge.post("order-2") == 200

        async def alerted() -> bool:
            found = await admin.api("GET", "overview")
            return [lane["state"] for lane in found["lanes"]] == ["suspended"] and any(
                each["id"].endswith("tiktok-shop") and each["severity"] == "critical" for each in found["alerts"]
            )

        await around.until(alerted)
        assert "ttgateway_alert" in await admin.metrics()
        await deliver.end()


async def test_dead_letters_of_all_are_replayed_here(around: Whole, broker: Broker) -> None:
    async with Admin(around, broker) as admin, Pod(around, broker, "edge") as edge, Pod(around, broker, "deliver"):
        await around.until(admin.manages)
        await around.faults(code=40002, count=1)
        assert await edge.post("order-1") == 200

        async def dead() -> Any:
            return (await admin.api("GET", "dead"))["items"]

        (letter,) = await around.until(dead)
        assert letter["event_id"] == "order-1"
        assert (await admin.api("POST", "dead/replay", {"ids": [letter["id"]]}))["count"] == 1

        async def received() -> bool:
            return await around.received_ids() == ["order-1"]

        await around.until(received)
        assert await dead() == []


async def test_without_a_ui_nobody_tells_anything(around: Whole, broker: Broker) -> None:
    heard = 0
    async with Pod(around, broker, "edge") as edge:
        import nats

        client = await nats.connect(broker.url)

        async def count(_message: Any) -> None:
            nonlocal heard
            heard += 1

        await client.subscribe("roles-pods.>", cb=count)
        await client.flush()
        for number in range(20):
            assert await edge.post(f"order-{number}") == 200
        await client.flush()
        assert heard == 0
        await client.publish("roles-pods.ask", b'{"rate": 50}')
        for junk in (b"", b"[]", b'{"rate": "x"}', b'{"rate": -5}'):
            await client.publish("roles-pods.ask", junk)
            await client.publish("roles-pods.row", junk)
        await client.flush()

        async def told() -> bool:
            await edge.post(f"order-{heard}-again")
            return heard > 0

        await around.until(told)
        assert edge.logged("error") == []
        await client.close()
