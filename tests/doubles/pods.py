"""Gateway processes with roles around one broker."""

import asyncio
import json
import signal
import sys
import time
from typing import Any, Self

import aiohttp
from brokering import Broker
from ports import free_port
from whole import CONFIG, PATIENCE_S, PIXEL, USER_AGENT, Whole, purchase

START_S = 120.0
"""For one of several processes on a busy machine."""
ENGINE = 'spool: {{kind: jetstream, url: "URL", stream: roles, '


class Pod:
    """One process with a role."""

    def __init__(self, around: Whole, broker: Broker, role: str, extra: str = "", *, token: str = "access-token-1") -> None:
        self.role = role
        self.edge, self.ops = free_port(), free_port()
        self.state = around.state / f"pod-{self.edge}"
        self.state.mkdir()
        if token:
            (self.state / "token").write_text(f"{token}\n")
        self.config = self.state / "gateway.yaml"
        text = CONFIG.replace("spool: {{", ENGINE.replace("URL", broker.url), 1).replace("64MiB", "8MiB") + extra
        self.config.write_text(
            text.format(edge=self.edge, ops=self.ops, tiktok=around.tiktok, site=around.site, state=self.state), encoding="utf-8"
        )
        self.session = around.session
        self.log = self.state / "log"
        self.process: asyncio.subprocess.Process | None = None

    async def __aenter__(self) -> Self:
        with self.log.open("wb") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "run", "-c", str(self.config), "--role", self.role, stderr=log
            )
        try:
            async with asyncio.timeout(START_S):
                while not await self.ready():
                    assert self.process.returncode is None
                    await asyncio.sleep(0.05)
        except BaseException:
            await self.__aexit__()
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def ready(self) -> bool:
        """With its spool: it serves the site without, and on a busy machine that moment is seen."""
        try:
            async with self.session.get(f"http://127.0.0.1:{self.ops}/readyz") as answer:
                return answer.status == 200 and "ttgateway_spool_available 1.0" in await self.metrics()
        except aiohttp.ClientError:
            return False

    async def post(self, event_id: str) -> int:
        url, body = f"http://127.0.0.1:{self.edge}/gw/v1/t", json.dumps(purchase(event_id))
        headers = {"Authorization": "Bearer dk_live_shop", "Content-Type": "application/json", "User-Agent": USER_AGENT}
        async with self.session.post(url, data=body, headers=headers) as answer:
            return answer.status

    async def native(self, event_id: str, access_token: str) -> int:
        """TikTok's code for a body of TikTok's own."""
        event = {
            "event": "Purchase",
            "event_time": int(time.time()),
            "event_id": event_id,
            "user": {"ttp": "t" * 27},
            "page": {"url": "https://shop.example/"},
        }
        body = {"event_source": "web", "event_source_id": PIXEL, "data": [event]}
        url, headers = (
            f"http://127.0.0.1:{self.edge}/gw/open_api/v1.3/event/track/",
            {"Access-Token": access_token, "X-Consent": "marketing"},
        )
        async with self.session.post(url, json=body, headers=headers) as answer:
            return int((await answer.json())["code"])

    def logged(self, level: str) -> list[dict[str, Any]]:
        """What the process has said at that level."""
        whole, _, _ = self.log.read_text().rpartition("\n")
        lines = (json.loads(line) for line in whole.splitlines() if line.startswith("{"))
        return [line for line in lines if line["level"] == level]

    async def metrics(self) -> str:
        async with self.session.get(f"http://127.0.0.1:{self.ops}/metrics") as answer:
            return await answer.text()

    async def end(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()
