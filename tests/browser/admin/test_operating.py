"""The UI on a running gateway: signing in and out, dead letters from refusal to delivery."""

import re

import pytest
from managed import DECLARED, VIEWER, Stack, watch
from playwright.async_api import Browser, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(90)]


@pytest.fixture
def more() -> str:
    """One pipeline and one integration, declared in the file."""
    return DECLARED


async def test_signing_in_and_out(browser: Browser, stack: Stack) -> None:
    """A wrong token is said beside its field; the page asked for comes afterwards; signed out, pages lead to the form."""
    context = await browser.new_context()
    page = await context.new_page()
    watch(page, stack.problems)
    await page.goto(f"{stack.admin}/dead?reason=timeout")
    await page.wait_for_url(re.compile(r"/login\?next=/dead"))
    await page.get_by_label("Admin token").fill("wrong")
    await page.get_by_role("button", name="Sign in").click()
    await expect(page.get_by_text("No token of the configuration is like this one.")).to_be_visible()
    await page.get_by_label("Admin token").fill(VIEWER)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url("**/dead?reason=timeout")
    await expect(page.locator("#who")).to_contain_text("eve")
    await page.get_by_role("button", name="Sign out").click()
    await page.wait_for_url("**/login")
    await page.goto(f"{stack.admin}/")
    await page.wait_for_url(re.compile(r"/login\?next="))
    await context.close()


async def test_a_login_link_leaves_no_token_in_the_address(browser: Browser, stack: Stack) -> None:
    """The fragment signs in and is gone; a wrong one says so."""
    context = await browser.new_context()
    page = await context.new_page()
    watch(page, stack.problems)
    await page.goto(f"{stack.admin}/login#token={VIEWER}")
    await page.wait_for_url(f"{stack.admin}/")
    assert VIEWER not in page.url
    await page.goto(f"{stack.admin}/login?next=https://elsewhere.example/#token={VIEWER}")
    await page.wait_for_url(f"{stack.admin}/")
    await context.close()


async def test_dead_letters_are_inspected_and_replayed(page: Page, stack: Stack) -> None:
    """Refused by TikTok, read, replayed once the cause is gone."""
    async with stack.session.put(f"{stack.sandbox}/sandbox/faults", json={"code": 40002, "count": 100}) as answer:
        assert answer.status < 300
    await stack.send(
        {"type": "track", "event": "Order Completed", "messageId": "order-9", "properties": {"value": 5, "currency": "EUR"}}
    )
    await page.goto(f"{stack.admin}/dead")
    row = page.locator("#list tbody tr", has_text="Order Completed")
    async with stack.session.put(f"{stack.sandbox}/sandbox/faults", json={}) as answer:
        assert answer.status < 300
    await expect(row).to_have_count(1)
    await row.click()
    drawer = page.get_by_role("dialog")
    await expect(drawer.get_by_text("Mapped to Purchase")).to_be_visible()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Replay all").click()
    await page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    event = await stack.until_arrived("Purchase")
    assert event["event_id"] == "order-9"
