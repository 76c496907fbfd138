"""What pages say of what the API tells them: no figure under another one's name, nothing that is not so."""

import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp import web
from paper_api import Paper
from playwright.async_api import Page, expect
from seeing import visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
Show = Callable[..., Awaitable[tuple[Page, str]]]


class Little(Paper):
    """A gateway that little came to, for two integrations."""

    received = 29

    async def overview(self, request: web.Request) -> Any:
        found = await super().overview(request)
        funnel = {**found["funnel"], "received": self.received, "records": 58, "delivered": 40, "filtered": {"gpc": 14}}
        return {**found, "funnel": funnel}


async def test_the_overview_says_what_waits_and_what_it_counts(show: Show) -> None:
    """A lane's queue and the age of it; events first, then events per integration; a slow pace is not none."""
    paper = Little()
    page, base = await show(paper)
    await visit(page, base + "/", "#lanes .lane")
    lanes = page.locator("#lanes .lane")
    await expect(lanes.nth(0)).to_contain_text("12 events waiting, oldest 5 min")
    await expect(lanes.nth(0)).to_contain_text("last delivered")
    await expect(lanes.nth(1)).to_contain_text("test code TEST48213")
    steps = page.locator("#funnel > div")
    await expect(steps).to_have_count(5)
    assert [await step.locator(".unit").inner_text() for step in await steps.all()] == ["events", *["per integration"] * 4]
    await expect(steps.nth(0)).to_contain_text("less than 1 a minute")
    await expect(steps.nth(1)).to_contain_text("24 % left out by rules")
    paper.received = 150
    await page.get_by_role("button", name="1 hour").click()
    await expect(steps.nth(0)).to_contain_text("2.5 a minute")


async def test_a_dead_letter_says_when_it_came_and_how_it_would_be_sent(show: Show) -> None:
    """As a row of the live feed does; what takes no time is replayed at once."""
    page, base = await show(Paper())
    await visit(page, f"{base}/dead", "#list table")
    await page.locator("#list .link").first.click()
    drawer = page.get_by_role("dialog")
    await expect(drawer.locator(".step", has_text="Received").locator("time").first).to_have_attribute(
        "title", re.compile(r" UTC$")
    )
    await expect(drawer.get_by_role("button", name="Copy as curl")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Replay all").click()
    await expect(page.get_by_role("dialog")).to_contain_text("sent again, at once.")


async def test_events_without_a_signal_are_said_to_be_delivered_where_they_are(show: Show) -> None:
    """It depends on what consent.default has let through."""
    paper = Paper()
    page, base = await show(paper)
    await visit(page, f"{base}/pipelines", ".entry")
    await expect(page.locator(".entry .banner").first).to_contain_text("So none is delivered.")
    paper.granted_by_default = 100
    await visit(page, f"{base}/pipelines", ".entry")
    await expect(page.locator(".entry .banner").first).to_contain_text("delivered all the same, because consent.default is grant")
