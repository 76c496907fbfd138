"""The UI on a running gateway: signing in and out, an event's way, a revoked token, dead letters from refusal to delivery."""

import asyncio
import re
from pathlib import Path

import pytest
from managed import DECLARED, KEY, VIEWER, VISITOR, Stack, watch
from playwright.async_api import Browser, Page, expect
from whole import PATIENCE_S

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]


@pytest.fixture
def token(tmp_path: Path) -> Path:
    """The file that holds the integration's access token."""
    file = tmp_path / "token"
    file.write_text("good")
    return file


@pytest.fixture
def more(token: Path) -> str:
    """One pipeline and one integration, declared in the file."""
    return DECLARED.replace("TOKEN_FILE", str(token))


async def test_an_event_is_followed_from_the_shop_through_a_revoked_token_to_delivery(
    page: Page, stack: Stack, browser: Browser, token: Path
) -> None:
    """The tag is there to paste; what a visitor does is a live row; its whole way is told; a broken token suspends with the cure, and a good one mends it."""
    await page.goto(f"{stack.admin}/pipelines/shop#tag")
    await expect(page.get_by_role("group", name="tag", exact=True)).to_contain_text(KEY)
    await page.goto(f"{stack.admin}/live")
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    visitor = await browser.new_page(user_agent=VISITOR)
    await visitor.goto(f"{stack.site}/product/102")
    await visitor.click("#accept")
    await stack.until_arrived("ViewContent")
    row = page.locator("#rows tr", has_text="Product Viewed")
    await expect(row.filter(has_text="Delivered")).to_have_count(1)
    await row.filter(has_text="Delivered").click()
    drawer = page.get_by_role("dialog")
    await expect(drawer.get_by_text("Consent: granted")).to_be_visible()
    await expect(drawer.get_by_role("group", name="payload", exact=True)).to_contain_text('"content_id": "102"')
    await expect(drawer.get_by_text("TikTok answered 0")).to_be_visible()
    assert "event=" in page.url, "the address is a permalink"
    await page.reload()
    await expect(drawer.get_by_text("Mapped to ViewContent")).to_be_visible()
    await page.keyboard.press("Escape")

    await asyncio.to_thread(token.write_text, "revoked")
    await page.goto(f"{stack.admin}/integrations")
    async with asyncio.timeout(PATIENCE_S):
        # the mounted file is looked at every few seconds: what is sent before that still arrives
        while not await page.get_by_text("Suspended").is_visible():
            await stack.send({"type": "track", "event": "Product Viewed", "properties": {"product_id": "7"}})
            await page.reload()
            await expect(page.locator(".entry")).to_be_visible()
    await expect(page.locator(".entry .banner").first).to_contain_text("40105")
    await expect(page.locator(".entry .banner").first).to_contain_text(re.compile("regenerate|token", re.IGNORECASE))
    await page.goto(f"{stack.admin}/")
    await expect(page.get_by_text("is suspended")).to_be_visible()

    await stack.send(
        {"type": "track", "event": "Order Completed", "messageId": "o-1", "properties": {"value": 5, "currency": "EUR"}}
    )
    await asyncio.to_thread(token.write_text, "good")
    assert (await stack.until_arrived("Purchase"))["event_id"] == "o-1"
    await page.goto(f"{stack.admin}/live?q=Order")
    await expect(page.locator("#rows tr", has_text="Order Completed").filter(has_text="Delivered")).to_have_count(1)
    await visitor.close()


async def test_a_test_event_tells_tiktoks_answer(page: Page, stack: Stack) -> None:
    """With a code, from the verification's form; without one, nothing is sent."""
    await page.goto(f"{stack.admin}/integrations/tiktok-shop#verify")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.get_by_text("A code is required")).to_be_visible()
    assert await stack.arrived() == []
    await page.get_by_label("Test event code").fill("TEST12345")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.get_by_text("TikTok took it")).to_be_visible()
    assert (await stack.arrived())[0]["test_event_code"] == "TEST12345"


async def test_a_really_seen_event_is_previewed(page: Page, stack: Stack) -> None:
    """Events of the feed are offered, and shown as they would be sent now."""
    await stack.send(
        {"type": "track", "event": "Order Completed", "properties": {"order_id": "77", "value": 5, "currency": "EUR"}}
    )
    await stack.until_arrived("Purchase")
    await page.goto(f"{stack.admin}/integrations/tiktok-shop/mappings")
    payload = page.get_by_role("group", name="payload", exact=True)
    await expect(payload).to_contain_text('"value": 99.95')
    await page.locator(".map-row", has_text="Order Completed").click()
    await expect(payload).to_contain_text('"order_id": "77"')
    await page.locator(".map-row", has_text="Product Viewed").click()
    await expect(payload).to_contain_text('"event": "ViewContent"')
    await page.get_by_label("Event to preview").select_option(index=2)
    await expect(payload).to_contain_text('"order_id": "77"')
    await expect(page.get_by_role("button", name=re.compile("^Override "))).to_have_count(0)


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
    await page.goto(f"{stack.admin}/login")
    await page.evaluate("globalThis.same = true")
    await page.goto(f"{stack.admin}/login#token=none-of-ours")
    await expect(page.get_by_text("No token of the configuration is like this one.")).to_be_visible()
    assert await page.evaluate("[location.href, globalThis.same]") == [f"{stack.admin}/login", True]
    await page.goto(f"{stack.admin}/login#token={VIEWER}")
    await page.wait_for_url(f"{stack.admin}/")
    await context.close()


async def test_dead_letters_are_inspected_and_replayed(page: Page, stack: Stack) -> None:
    """Refused by TikTok, read, replayed once the cause is gone."""
    async with stack.session.put(f"{stack.sandbox}/sandbox/faults", json={"code": 40002, "count": 100}) as answer:
        assert answer.status < 300
    await stack.send(
        {"type": "track", "event": "Order Completed", "messageId": "order-9", "properties": {"value": 5, "currency": "EUR"}}
    )
    await stack.until_dead()
    await page.goto(f"{stack.admin}/dead")
    row = page.locator("#list tbody tr", has_text="Order Completed")
    async with stack.session.put(f"{stack.sandbox}/sandbox/faults", json={}) as answer:
        assert answer.status < 300
    await expect(row).to_have_count(1)
    await row.click()
    drawer = page.get_by_role("dialog")
    await expect(drawer.get_by_text("Mapped to Purchase")).to_be_visible()
    await expect(drawer.locator(".banner")).to_contain_text("SDK reads 40002 as an invalid field")
    await expect(drawer.locator(".banner")).to_contain_text("Signal's manual as an invalid pixel code")
    await expect(drawer.get_by_role("heading", name=re.compile("The last (2 tries|try)"))).to_be_visible()
    await page.keyboard.press("Escape")
    await page.get_by_role("button", name="Replay all").click()
    await page.get_by_role("dialog").get_by_role("button", name="Replay").click()
    await expect(page.get_by_text("No dead letters")).to_be_visible()
    event = await stack.until_arrived("Purchase")
    assert event["event_id"] == "order-9"
