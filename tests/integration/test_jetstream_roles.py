"""Edge, deliver and admin as processes of their own around one broker."""

import asyncio
import json
import re
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Self

import aiohttp
import pytest
from brokering import Broker
from whole import CONFIG, PATIENCE_S, PIXEL, USER_AGENT, Whole, free_port, purchase, whole

ENGINE = 'spool: {{kind: jetstream, url: "URL", stream: roles, '


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
        async with asyncio.timeout(PATIENCE_S):
            while not await self.ready():
                assert self.process.returncode is None
                await asyncio.sleep(0.05)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self.process is not None
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()

    async def ready(self) -> bool:
        try:
            async with self.session.get(f"http://127.0.0.1:{self.ops}/readyz") as answer:
                return answer.status == 200
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
        lines = (json.loads(line) for line in self.log.read_text().splitlines() if line.startswith("{"))
        return [line for line in lines if line["level"] == level]

    async def metrics(self) -> str:
        async with self.session.get(f"http://127.0.0.1:{self.ops}/metrics") as answer:
            return await answer.text()

    async def end(self) -> int:
        assert self.process is not None
        self.process.send_signal(signal.SIGTERM)
        async with asyncio.timeout(PATIENCE_S):
            return await self.process.wait()


async def test_one_collects_and_another_delivers(around: Whole, broker: Broker) -> None:
    async with Pod(around, broker, "edge") as edge:
        assert await edge.post("order-1") == 200
        await asyncio.sleep(0.5)
        assert await around.received() == []
        async with Pod(around, broker, "deliver") as deliver:
            (entry,) = await around.until(around.received)
            assert entry["event"]["event_id"] == "order-1"
            with pytest.raises(aiohttp.ClientError):
                await deliver.post("order-2")
            assert await edge.post("order-3") == 200
            entries = await around.until(lambda: _two(around))
            assert [each["event"]["event_id"] for each in entries] == ["order-1", "order-3"]
            assert await deliver.end() == 0
        assert await edge.end() == 0


async def test_an_edge_needs_no_token_and_reads_none(around: Whole, broker: Broker) -> None:
    """Not mounted, it is no problem of the edge's; mounted, the edge does not know it."""
    async with Pod(around, broker, "edge", token="") as edge, Pod(around, broker, "edge") as another:
        assert await edge.post("order-1") == 200
        assert "ttgateway_config_problems 0.0" in await edge.metrics()
        assert edge.logged("error") == []
        assert await edge.native("order-2", "pipeline-secret-1") == 0
        assert await another.native("order-3", "pipeline-secret-1") == 0
        assert await another.native("order-4", "access-token-1") != 0
        async with Pod(around, broker, "deliver"):
            entries = await around.until(lambda: _so_many(around, 3))
            assert {each["event"]["event_id"] for each in entries} == {"order-1", "order-2", "order-3"}
            assert all(each["accepted"] for each in entries)


async def _so_many(around: Whole, n: int) -> list[dict[str, Any]]:
    found = await around.received()
    return found if len(found) == n else []


async def _login(around: Whole, port: int) -> int:
    try:
        async with around.session.get(f"http://127.0.0.1:{port}/login") as answer:
            return answer.status
    except aiohttp.ClientError:
        return 0


async def _two(around: Whole) -> list[dict[str, dict[str, str]]]:
    found = await around.received()
    return found if len(found) == 2 else []


async def test_admin_shows_what_waits_and_does_nothing_else(around: Whole, broker: Broker) -> None:
    port = free_port()
    section = (
        f'admin: {{{{listen: "127.0.0.1:{port}", tokens: [{{{{name: ops, role: editor, token: "admin-token-of-length"}}}}]}}}}\n'
    )
    async with Pod(around, broker, "edge", section) as edge:
        assert await edge.post("order-1") == 200
        with pytest.raises(aiohttp.ClientError):
            await around.session.get(f"http://127.0.0.1:{port}/")
        async with Pod(around, broker, "admin", section) as admin:
            async with asyncio.timeout(PATIENCE_S):
                while True:
                    async with around.session.get(f"http://127.0.0.1:{admin.ops}/metrics") as answer:
                        text = await answer.text()
                    if re.search(r"^ttgateway_spool_records\{.*\} 1\.0$", text, re.MULTILINE):
                        break
                    await asyncio.sleep(0.05)
            assert await around.until(lambda: _login(around, port)) == 200
            assert await around.received() == []


@pytest.mark.parametrize("role", ["edge", "deliver", "admin"])
async def test_a_spool_of_one_process_has_no_roles(around: Whole, role: str) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", "run", "-c", str(around.config), "--role", role, stderr=asyncio.subprocess.PIPE
    )
    _, said = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    assert process.returncode == 78
    assert b"spool.kind jetstream" in said
