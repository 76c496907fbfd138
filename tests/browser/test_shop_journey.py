"""A visitor in a real browser, through the real gateway, to the sandbox: the whole way of a purchase, and of a refusal."""

import asyncio
import hashlib
import re
import signal
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
from demos import demo as running_demo
from playwright.async_api import BrowserContext, Page
from visiting import eventually, running
from whole import PATIENCE_S

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(240)]
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
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = {entry["event"]["event"]: entry for entry in await self.events()}
                if set(names) <= set(found):
                    return found
                await asyncio.sleep(0.05)

    async def purchases(self, count: int) -> list[str]:
        """The event_ids of purchases, once there are ``count``."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = [entry["event"]["event_id"] for entry in await self.events() if entry["event"]["event"] == "Purchase"]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.05)

    async def accepted(self, page: Page) -> None:
        """Until the page has read the gateway's answer, which makes the visitor's cookies."""
        await eventually(lambda: page.text_content("#event-state"), lambda text: "the gateway accepted" in text)

    async def close(self) -> None:
        await self._session.close()


@pytest_asyncio.fixture(loop_scope="session")
async def demo(tmp_path: Path) -> AsyncIterator[Demo]:
    async with running_demo(tmp_path) as (process, printed):
        assert process.stdout
        rest = asyncio.create_task(process.stdout.read())

        def address(pattern: str) -> str:
            found = re.search(rf"{pattern}[^\n]*?(http://127\.0\.0\.1:\d+/\S*)", printed)
            assert found, printed
            return found[1]

        found = Demo(address("shop, through the gateway"), address("sandbox received"), address("in numbers"))
        yield found
        await found.close()
        process.send_signal(signal.SIGINT)
        async with asyncio.timeout(PATIENCE_S):
            await process.wait()
            await rest


def watched(page: Page) -> list[str]:
    """What the page complains of from now on: exceptions, violations of its policy, failed requests."""
    problems: list[str] = []
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("console", lambda message: problems.append(message.text) if message.type == "error" else None)
    return problems


async def test_a_purchase_arrives_whole(demo: Demo, visitor: BrowserContext) -> None:
    """Five standard events with hashed identity, ttp, ttclid, address and user agent; cookies set by the server."""
    page = await visitor.new_page()
    problems = watched(page)
    await page.goto(f"{demo.shop}?ttclid=E.C.P.browser-test-0001")
    await page.click("#accept")
    await demo.wait_for("Pageview")
    await demo.accepted(page)
    await page.goto(f"{demo.shop}product/102")
    await demo.wait_for("ViewContent")
    await page.click("#add")
    await demo.wait_for("AddToCart")
    await page.click("#to-checkout")
    await demo.wait_for("InitiateCheckout")
    await page.click("#buy")
    found = await demo.wait_for("Pageview", "ViewContent", "AddToCart", "InitiateCheckout", "Purchase")
    order = await page.text_content("#order-number")
    purchase = found["Purchase"]["event"]
    user = purchase["user"]
    assert user["email"] == sha256("alice_abc@gmail.com")
    assert user["phone"] == sha256("+12133734253")
    assert user["first_name"] == sha256("alice")
    assert HASH.fullmatch(user["external_id"])
    assert user["ttclid"] == "E.C.P.browser-test-0001"
    cookies = {cookie["name"]: cookie for cookie in await visitor.cookies()}
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
    # A reloaded thank-you page sends the same event_id: the gateway has had it, and the purchase counts once.
    await page.reload()
    await eventually(lambda: page.text_content("#event-state"), lambda text: "accepted" in text or "counts once" in text)
    assert set(await demo.purchases(1)) == {f"order-{order}"}
    assert problems == []


async def test_a_refusal_leaves_nothing(demo: Demo, visitor: BrowserContext) -> None:
    """No request, no event, no cookie of ours."""
    page = await visitor.new_page()
    problems = watched(page)
    asked: list[str] = []
    page.on(
        "request",
        lambda request: asked.append(request.url) if "/gw/" in request.url and not request.url.endswith(".js") else None,
    )
    await page.goto(demo.shop)
    await running(page)
    await page.click("#refuse")
    assert await page.text_content("#consent-state") == "refused"
    await page.goto(f"{demo.shop}product/101")
    await running(page)
    await eventually(lambda: page.evaluate("ttq.debug().waiting"), lambda waiting: waiting == 0)
    assert "refused" in (await page.text_content("#event-state") or "")
    assert await demo.events() == []
    assert {cookie["name"] for cookie in await visitor.cookies()} & {"_ttp", "_dfid", "ttclid"} == set()
    assert asked == []
    assert problems == []


async def test_a_withdrawal_ends_the_cookies(demo: Demo, visitor: BrowserContext) -> None:
    """Given and then taken back through the shop's own banner."""
    page = await visitor.new_page()
    await page.goto(demo.shop)
    await page.click("#accept")
    await demo.wait_for("Pageview")
    await demo.accepted(page)
    await page.click("#consent-change")
    async with page.expect_response("**/gw/v1/c") as told:
        await page.click("#refuse")
    assert (await told.value).status == 204

    async def ours() -> set[str]:
        return {cookie["name"] for cookie in await visitor.cookies()} & {"_ttp", "_dfid", "ttclid"}

    await eventually(ours, lambda names: not names)
