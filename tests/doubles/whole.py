"""The whole, for tests: a real gateway process between a site of the test's own and the TikTok sandbox."""

import asyncio
import json
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from ports import free_port

from gateway.sandbox import tiktok

PATIENCE_S = 40.0  # a busy machine took 20 for a start
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/126.0.0.0 Safari/537.36"
PIXEL = "C4ABCDEF1234567890AB"

CONFIG = """\
version: 1
edge: {{listen: "127.0.0.1:{edge}", upstream: "http://127.0.0.1:{site}"}}
ops: {{listen: "127.0.0.1:{ops}"}}
spool: {{path: "{state}/spool", max_bytes: 64MiB}}
delivery: {{endpoint: "http://127.0.0.1:{tiktok}/open_api/v1.3/event/track/", linger: 20ms}}
drain: {{delay: 0s, grace: 10s}}
pipelines:
  - {{id: shop, key: dk_live_shop, secret: pipeline-secret-1, integrations: [tiktok-shop], default_region: GB, rate_limit: 100000}}
integrations:
  - {{id: tiktok-shop, pixel_code: C4ABCDEF1234567890AB, access_token: "${{file:{state}/token}}"}}
"""


def purchase(event_id: str, **more: Any) -> dict[str, Any]:
    """A consented event."""
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": event_id,
        "properties": {"value": 9.5, "currency": "EUR"},
        "context": {"page": {"url": "https://shop.example/thanks"}, "consent": {"marketing": True}},
        **more,
    }


class Whole:
    """One gateway's surroundings; the process can be started, killed and started again on the same state."""

    def __init__(self, state: Path, session: aiohttp.ClientSession) -> None:
        self.state = state
        self.session = session
        self.edge, self.ops, self.tiktok, self.site = (free_port() for _ in range(4))
        self.config = state / "gateway.yaml"
        self.log_file = state / "gateway.log"
        self.process: asyncio.subprocess.Process | None = None
        (state / "token").write_text("access-token-1\n")
        self.write(CONFIG)

    def write(self, template: str, **changes: str) -> None:
        """Write the configuration; ``changes`` replace texts of the template."""
        for old, new in changes.items():
            assert old in template, old
            template = template.replace(old, new)
        self.replace(template.format(edge=self.edge, ops=self.ops, tiktok=self.tiktok, site=self.site, state=self.state))

    def replace(self, text: str) -> None:
        """Another configuration, as an editor saves it: nobody reads half of it."""
        draft = self.config.with_suffix(".new")
        draft.write_text(text, encoding="utf-8")
        draft.replace(self.config)

    async def start(self, *, ready: bool = True) -> None:
        """Start the gateway; wait until it is ready, and its spool is open or has been said not to be: the site is served before, and on a busy machine that moment is seen."""
        with self.log_file.open("ab") as log:
            begun = len(self.logs())
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-X", "dev", "-W", "error", "-m", "gateway", "run", "-c", str(self.config), stdout=log, stderr=log
            )
        if ready:
            await self.until(self.is_ready)
            await self.until(lambda: self._has_tried_its_spool(begun))

    async def is_ready(self) -> bool:
        """What /readyz says now."""
        assert self.process is not None
        assert self.process.returncode is None, self.log_file.read_text()
        with suppress(aiohttp.ClientError):
            async with self.session.get(f"http://127.0.0.1:{self.ops}/readyz") as answer:
                return answer.status == 200
        return False

    async def _has_tried_its_spool(self, begun: int) -> bool:
        said = any("spool" in str(line) for line in self.logs()[begun:] if line["level"] == "error")
        return said or "ttgateway_spool_available 1.0" in await self.metrics()

    async def until(self, condition: Any, patience_s: float = PATIENCE_S) -> Any:
        """Await ``condition()`` again and again until it is true: what is outside this process cannot be awaited otherwise."""
        deadline = time.monotonic() + patience_s
        while not (result := await condition()):
            assert time.monotonic() < deadline, f"{condition} did not come true\n{self._said()}"
            await asyncio.sleep(0.02)
        return result

    def _said(self) -> str:
        return self.log_file.read_text()[-4000:] if self.log_file.exists() else "no gateway was started"

    def send(self, name: signal.Signals) -> None:
        """Send the gateway a signal."""
        assert self.process is not None
        self.process.send_signal(name)

    async def ended(self) -> int:
        """The gateway's exit code, once it has ended."""
        assert self.process is not None
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()

    async def kill(self) -> None:
        """End it as the kernel would."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def logs(self) -> list[dict[str, Any]]:
        """The gateway's log lines so far; what it is just writing is none yet."""
        whole, _, _ = self.log_file.read_text().rpartition("\n")
        return [json.loads(line) for line in whole.splitlines() if line.startswith("{")]

    async def get(self, path: str = "/") -> tuple[int, bytes]:
        """A page of the site, through the gateway."""
        async with self.session.get(f"http://127.0.0.1:{self.edge}{path}") as answer:
            return answer.status, await answer.read()

    async def post(self, document: Any, path: str = "/gw/e", **headers: str) -> tuple[int, Any, Any]:
        """(status, JSON, headers) of a collected request."""
        named = {"User-Agent": USER_AGENT} | {name.replace("_", "-"): value for name, value in headers.items()}
        data = document if isinstance(document, bytes) else json.dumps(document).encode()
        async with self.session.post(f"http://127.0.0.1:{self.edge}{path}", data=data, headers=named) as answer:
            return answer.status, await answer.json(content_type=None), answer.headers

    async def metrics(self) -> str:
        """The metrics as text."""
        async with self.session.get(f"http://127.0.0.1:{self.ops}/metrics") as answer:
            return await answer.text()

    async def received(self) -> list[dict[str, Any]]:
        """What the sandbox received so far."""
        async with self.session.get(f"http://127.0.0.1:{self.tiktok}/sandbox/events") as answer:
            events: list[dict[str, Any]] = (await answer.json())["events"]
            return events

    async def received_ids(self) -> list[str]:
        """Event ids that the sandbox accepted, in order."""
        return [entry["event"]["event_id"] for entry in await self.received() if entry["accepted"]]

    async def faults(self, **faults: Any) -> None:
        """Make the sandbox misbehave."""
        async with self.session.put(f"http://127.0.0.1:{self.tiktok}/sandbox/faults", json=faults) as answer:
            assert answer.status == 200


async def _page(request: web.Request) -> web.Response:
    return web.Response(text=f"page {request.path}")


@asynccontextmanager
async def whole(state: Path) -> AsyncIterator[Whole]:
    """Site and sandbox run in the test; the gateway does not yet."""
    async with aiohttp.ClientSession() as session:
        around = Whole(state, session)
        site = web.Application()
        site.router.add_get("/{path:.*}", _page)
        runner = web.AppRunner(site, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", around.site).start()
        sandbox = await tiktok.serve("127.0.0.1", around.tiktok)
        try:
            yield around
        finally:
            await around.kill()
            await sandbox.cleanup()
            await runner.cleanup()
