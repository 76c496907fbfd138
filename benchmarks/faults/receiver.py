"""What stands for TikTok in the long runs: remembers every event, and can be away (io).

Law: it judges nothing – the sandbox does that elsewhere – but forgets nothing: who was sent how often, when first, and whether each
time with the same content.
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

_PATH = "/open_api/v1.3/event/track/"
_ANSWER = b'{"code":0,"message":"OK","request_id":"0","data":{}}'
_FAULT = b'{"code":50000,"message":"fault injected","request_id":"0","data":{}}'


@dataclass(slots=True)
class Receiver:
    """Listens on one port of loopback; :meth:`leave` and :meth:`come` as TikTok does."""

    port: int
    latency_s: float = 0.0
    failing: bool = False
    """Answer with TikTok's server error."""
    first: dict[str, float] = field(default_factory=dict)
    """event_id → when it came for the first time (monotonic seconds)."""
    times: dict[str, int] = field(default_factory=dict)
    """event_id → how often, where more than once."""
    content: dict[str, int] = field(default_factory=dict)
    """event_id → hash of what it said."""
    gap_s: float = 0.0
    """The longest time between an event's first arrival and a later one."""
    differing: list[str] = field(default_factory=list)
    """Sent again with other content, or with content that was never sent to us."""
    requests: int = 0
    expect: Any = None
    """(event_id, properties) → whether this is what the page sent."""
    _runner: web.AppRunner | None = None

    async def come(self) -> None:
        """Listen."""
        app = web.Application(client_max_size=64 << 20)
        app.add_routes([web.post(_PATH, self._track)])
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1, handler_cancellation=True)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port, reuse_address=True).start()

    async def leave(self) -> None:
        """Be gone: connections are refused."""
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None

    async def _track(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.requests += 1
        if self.failing:
            return web.Response(body=_FAULT, content_type="application/json")
        self._take(orjson.loads(body)["data"], time.monotonic())
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        return web.Response(body=_ANSWER, content_type="application/json")

    def _take(self, items: list[dict[str, Any]], now: float) -> None:
        for item in items:
            event_id = item["event_id"]
            said = hash(orjson.dumps(item))
            if event_id not in self.first:
                self.first[event_id] = now
                self.content[event_id] = said
                if self.expect is not None and not self.expect(event_id, item):
                    self.differing.append(event_id)
            else:
                self.gap_s = max(self.gap_s, now - self.first[event_id])
                self.times[event_id] = self.times.get(event_id, 1) + 1
                if self.content[event_id] != said:
                    self.differing.append(event_id)
