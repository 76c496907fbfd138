"""Commands that need the world: the demo, and a test event against the sandbox."""

import asyncio
import re
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from demos import demo
from ports import free_port
from whole import PATIENCE_S, USER_AGENT, Whole, purchase, whole

OVERRIDE = {"vendor_event_name": "Subscribe", "enabled": True, "mappings": []}


async def _command(*arguments: str) -> tuple[int | None, str]:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "gateway", *arguments, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
    )
    out, _ = await asyncio.wait_for(process.communicate(), PATIENCE_S)
    return process.returncode, out.decode()


async def _send_test(around: Whole, *arguments: str) -> tuple[int | None, str]:
    return await _command("send-test", "-c", str(around.config), *arguments)


async def test_send_test_tells_tiktoks_answer_and_the_cure(tmp_path: Path) -> None:
    async with whole(tmp_path) as around:
        code, text = await _send_test(around, "--test-event-code", "TEST1")
        assert code == 0, text
        assert "accepted" in text
        (entry,) = await around.received()
        assert (entry["test_event_code"], entry["event"]["event"]) == ("TEST1", "Pageview")
        await around.faults(code=40105)
        code, text = await _send_test(around, "--live")
        assert code == 1
        assert "40105" in text
        assert "Generate access token" in text
        await around.faults(http_status=500, html=True)
        code, text = await _send_test(around, "--live")
        assert code == 1
        assert "try again" in text
        assert "access-token-1" not in text


async def test_send_test_runs_beside_the_gateway(tmp_path: Path) -> None:
    async with whole(tmp_path) as around:
        await around.start()
        code, _ = await _send_test(around, "--live")
        assert code == 0
        assert (await around.post(purchase("as-before")))[0] == 200


@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
async def test_the_demo_runs_and_ends_cleanly(tmp_path: Path, end: signal.Signals) -> None:
    port = free_port()
    async with (
        demo(tmp_path, "--port", str(port)) as (process, text),
        aiohttp.ClientSession(headers={"User-Agent": USER_AGENT}) as session,
    ):
        site = f"http://127.0.0.1:{port}"
        assert site in text
        sandbox = re.search(r"received\s+(http://\S+)/sandbox/", text)
        assert sandbox is not None
        async with session.get(site) as answer:
            assert answer.status == 200
            assert "text/html" in answer.headers["Content-Type"]
        async with session.post(f"{site}/gw/e", json=purchase("from-the-demo")) as answer:
            assert (await answer.json())["accepted"] == 1
        process.send_signal(end)
        async with asyncio.timeout(PATIENCE_S):
            rest, _ = await process.communicate()
        assert process.returncode == 0, text + rest.decode()
        # the parts are gone: their ports refuse
        for address in (site, sandbox[1]):
            with pytest.raises(aiohttp.ClientConnectionError):
                await session.get(address)


async def _until_answered(session: aiohttp.ClientSession, address: str, headers: dict[str, str]) -> dict[str, Any]:
    """The management listener comes after the gateway is ready: the site does not wait for it."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            with suppress(aiohttp.ClientConnectionError):
                async with session.get(address, headers=headers) as answer:
                    return dict(await answer.json())
            await asyncio.sleep(0.05)


async def test_what_is_changed_in_the_demo_s_ui_holds_the_next_time(tmp_path: Path) -> None:
    """Its integration is there to be changed: the token broken, an event mapped otherwise."""
    for change in (True, False):
        async with demo(tmp_path) as (_, text), aiohttp.ClientSession() as session:
            link = re.search(r"(http://\S+)/login#token=(\S+)", text)
            assert link is not None
            address = f"{link[1]}/api/v1/integrations/tiktok"
            headers = {"Authorization": f"Bearer {link[2]}", "If-Match": "*"}
            found = await _until_answered(session, address, headers)
            assert (found["declared"], found["has_token"], found["pipelines"]) == (False, True, ["demo"])
            assert found["events"] == ({} if change else {"Order Completed": OVERRIDE})
            if change:
                body = {"events": {"Order Completed": OVERRIDE}}
                async with session.put(f"{address}/mappings", headers=headers, json=body) as answer:
                    assert answer.status == 200, await answer.text()


async def test_the_demo_fronts_an_app_of_your_own(tmp_path: Path) -> None:
    async with whole(tmp_path) as around:
        around.edge = free_port()
        async with demo(tmp_path, "--port", str(around.edge), "--upstream", f"http://127.0.0.1:{around.site}"):
            assert await around.get("/mine") == (200, b"page /mine")


async def test_a_bad_upstream_is_named(tmp_path: Path) -> None:
    code, text = await _command("demo", "--upstream", "localhost:3000")
    assert code == 78
    assert "edge.upstream" in text
