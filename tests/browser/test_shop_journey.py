"""A visitor in a real browser, through the real gateway, to the sandbox: the whole way of a purchase, and of a refusal."""

import asyncio
import hashlib
import importlib.util
import os
import re
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

_spec = importlib.util.spec_from_file_location("chromium", Path(__file__).with_name("chromium.py"))
assert _spec
assert _spec.loader
chromium = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(chromium)

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
ROOT = Path(__file__).resolve().parents[2]
HASH = re.compile(r"[0-9a-f]{64}")


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


class Demo:
    """`make run` as a newcomer starts it, on free ports."""

    def __init__(self, shop: str, sandbox: str, metrics: str) -> None:
        self.shop, self.sandbox, self.metrics = shop, sandbox, metrics
        self._session = aiohttp.ClientSession()

    async def events(self) -> list[dict[str, Any]]:
        async with self._session.get(self.sandbox.rstrip("/") + "/events") as answer:
            return list((await answer.json())["events"])

    async def wait_for(self, *names: str) -> dict[str, dict[str, Any]]:
        """The sandbox's entries by event name, once all of ``names`` have arrived."""
        async with asyncio.timeout(20):
            while True:
                found = {entry["event"]["event"]: entry for entry in await self.events()}
                if set(names) <= set(found):
                    return found
                await asyncio.sleep(0.05)

    async def purchases(self, count: int) -> list[str]:
        """The event_ids of purchases, once there are ``count``."""
        async with asyncio.timeout(15):
            while True:
                found = [entry["event"]["event_id"] for entry in await self.events() if entry["event"]["event"] == "Purchase"]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.05)

    async def metrics_text(self) -> str:
        async with self._session.get(self.metrics) as answer:
            return await answer.text()

    async def close(self) -> None:
        await self._session.close()


@pytest.fixture
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "gateway",
        "demo",
        cwd=tmp_path,
        env=environment,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    assert process.stdout
    printed = ""
    async with asyncio.timeout(30):
        while "Ctrl-C" not in printed:
            line = (await process.stdout.readline()).decode()
            assert line, printed
            printed += line
    rest = asyncio.create_task(process.stdout.read())

    def address(pattern: str) -> str:
        found = re.search(rf"{pattern}[^\n]*?(http://127\.0\.0\.1:\d+/\S*)", printed)
        assert found, printed
        return found[1]

    found = Demo(address("shop, through the gateway"), address("sandbox received"), address("in numbers"))
    yield found
    await found.close()
    process.send_signal(signal.SIGINT)
    async with asyncio.timeout(30):
        await process.wait()
        await rest


async def test_a_purchase_arrives_whole(demo: Demo) -> None:
    """Five standard events with hashed identity, ttp, ttclid, address and user agent; cookies set by the server."""
    async with chromium.Chromium() as browser:
        await browser.goto(f"{demo.shop}?ttclid=E.C.P.browser-test-0001")
        await browser.click("#accept")
        await demo.wait_for("Pageview")
        await browser.goto(f"{demo.shop}product/102")
        await demo.wait_for("ViewContent")
        await browser.click("#add")
        await demo.wait_for("AddToCart")
        await browser.click("#to-checkout")
        await demo.wait_for("InitiateCheckout")
        await browser.click("#buy")
        found = await demo.wait_for("Pageview", "ViewContent", "AddToCart", "InitiateCheckout", "Purchase")
        order = await browser.evaluate("document.querySelector('#order-number').textContent")
        purchase = found["Purchase"]["event"]
        user = purchase["user"]
        assert user["email"] == sha256("alice_abc@gmail.com")
        assert user["phone"] == sha256("+12133734253")
        assert user["first_name"] == sha256("alice")
        assert HASH.fullmatch(user["external_id"])
        assert user["ttclid"] == "E.C.P.browser-test-0001"
        cookies = await browser.cookies()
        assert user["ttp"] == cookies["_ttp"]["value"]
        assert cookies["_dfid"]["httpOnly"]
        assert cookies["ttclid"]["value"] == "E.C.P.browser-test-0001"
        assert "Chrome" in user["user_agent"]
        assert user["ip"] == "81.2.69.142"
        assert purchase["event_id"] == f"order-{order}"
        assert purchase["properties"]["value"] == 189.5
        assert purchase["properties"]["contents"][0]["content_id"] == "102"
        assert {entry["event"]["user"]["external_id"] for entry in found.values()} == {user["external_id"]}
        assert [entry["findings"] for entry in found.values() if entry["findings"]] == []
        # A reloaded thank-you page sends the same event_id, so TikTok counts the purchase once.
        await browser.send("Page.reload")
        assert set(await demo.purchases(2)) == {f"order-{order}"}
        assert browser.errors == []


async def test_a_refusal_leaves_nothing(demo: Demo) -> None:
    """No event, no cookie of ours, and the metrics say why."""
    async with chromium.Chromium() as browser:
        await browser.goto(demo.shop)
        await browser.click("#refuse")
        await browser.until("document.querySelector('#consent-state').textContent === 'refused'")
        await browser.goto(f"{demo.shop}product/101")
        await browser.until("document.querySelector('#event-state').textContent.includes('refused')")
        assert await demo.events() == []
        assert set(await browser.cookies()) & {"_ttp", "_dfid", "ttclid"} == set()
        text = await demo.metrics_text()
        assert re.search(r'ttgateway_events_outcome_total\{[^}]*outcome="filtered"[^}]*reason="consent_denied"', text)
        assert browser.errors == []
