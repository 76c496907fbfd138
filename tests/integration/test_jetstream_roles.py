"""Edge, deliver and admin as processes of their own around one broker."""

import asyncio
import re
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from brokering import Broker
from pods import Pod
from ports import free_port
from whole import PATIENCE_S, Whole, whole

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
