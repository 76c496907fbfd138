"""A management listener over a real spool, and what a test asks of it."""

from typing import Any

import orjson
from aiohttp import web
from aiohttp.test_utils import TestClient
from documented import undocumented

from gateway.admin.desk import Desk
from gateway.outcome import Reason
from gateway.spool.base import Death, NewRecord, Settlement
from gateway.spool.sqlite import SqliteSpool

EDITOR, VIEWER = "editor-token-0001", "viewer-token-0001"
TOKEN = "tiktok-token-never-shown"
Client = TestClient[web.Request, web.Application]


class Clock:
    """Set by the test."""

    def __init__(self) -> None:
        self.now = 1_790_000_000.0

    def __call__(self) -> float:
        return self.now


def sealed(event_id: str, **more: Any) -> bytes:
    """A sealed purchase as it lies in the spool."""
    user = {"email": "a" * 64, "external_id": ["b" * 64], "ip": "81.2.69.142", "user_agent": "Mozilla/5.0"}
    event = {
        "v": 1, "wire": "signal", "type": "track", "name": "Order Completed", "event_id": event_id, "time": 1_790_000_000, "received": 1_790_000_000.5,
        "pipeline": "shop", "user": user, "page": {"url": "https://shop.example.com/"}, "properties": {"value": 9.99, "currency": "EUR"},
        "consent": {"granted": ["marketing"], "source": "event"},
    }  # fmt: skip
    return orjson.dumps(event | more)


class Management:
    """Client, desk and spool of one listener."""

    def __init__(self, client: Client, desk: Desk, spool: SqliteSpool, clock: Clock) -> None:
        self.client, self.desk, self.spool, self.clock = client, desk, spool, clock

    async def call(self, method: str, path: str, body: Any = None, *, token: str = EDITOR, **headers: str) -> tuple[int, Any]:
        """(status, JSON or text) of an API call."""
        named = {"Authorization": f"Bearer {token}"} if token else {}
        named |= {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.request(method, f"/api/v1/{path}", json=body, headers=named) as answer:
            if answer.content_type != "application/json":
                return answer.status, await answer.text()
            found = await answer.json()
            assert undocumented(method, path, answer.status, found) == []
            return answer.status, found

    async def bury(self, *ids: str, lane: str = "tiktok", owner: str = "", attempts: int = 1, **more: Any) -> None:
        """Dead letters."""
        await self.spool.put([NewRecord(lane, owner, self.clock(), sealed(id_, **more)) for id_ in ids])
        leased = await self.spool.lease(lane, len(ids), 1 << 20, 0.0)
        deaths = [
            Death(record.id, Reason.TIKTOK_REJECTED, "40002: data.0.properties.value: Not a valid number.") for record in leased
        ]
        await self.spool.settle(Settlement(dead=deaths))
