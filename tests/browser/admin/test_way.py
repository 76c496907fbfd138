"""One event's way in its drawer, on a running gateway: where it stopped, who decided, what keeps it, and how its request is made again."""

import pytest
from managed import INTEGRATION, PIPELINE, Stack
from playwright.async_api import Locator, Page, expect

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
ORDER = {"type": "track", "event": "Order Completed", "properties": {"value": 5, "currency": "EUR"}}


async def drawer_of(page: Page, stack: Stack, name: str, outcome: str) -> Locator:
    """The drawer of the only row of that name."""
    await page.goto(f"{stack.admin}/live?q={name}")
    row = page.locator("#rows tr", has_text=name).filter(has_text=outcome)
    await expect(row).to_have_count(1)
    await row.click()
    return page.get_by_role("dialog")


async def test_what_was_not_sent_says_where_it_stopped_and_who_decided(page: Page, stack: Stack) -> None:
    await stack.furnish()
    await stack.send({**ORDER, "event": "Denied", "context": {"consent": {"marketing": False}}})
    await stack.send({**ORDER, "event": "Silent", "context": {}})
    await stack.send({**ORDER, "event": "Unknown"})
    drawer = await drawer_of(page, stack, "Denied", "Consent denied")
    await expect(drawer.get_by_text("Consent: denied")).to_be_visible()
    await expect(drawer.get_by_text("Decided by the event’s own context.consent.")).to_be_visible()
    await expect(drawer.get_by_text("It did not get this far.")).to_be_visible()
    drawer = await drawer_of(page, stack, "Silent", "Consent missing")
    await expect(drawer.get_by_text("No consent signal was found")).to_be_visible()
    drawer = await drawer_of(page, stack, "Unknown", "Unmapped")
    await expect(drawer.get_by_text("Consent: granted")).to_be_visible()
    await expect(drawer.get_by_text("Not mapped: it stopped here")).to_be_visible()
    await expect(drawer.get_by_text("no mapping sends 'Unknown'")).to_be_visible()


async def test_a_suspension_is_told_by_each_event_it_keeps(page: Page, stack: Stack) -> None:
    """By the one that TikTok refused, by one that waits behind it; the request is copied with its test code and without a hash."""
    await page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    await stack.api("POST", "integrations", {**INTEGRATION, "access_token": "revoked", "test_event_code": "TEST123"})
    await stack.api("POST", "pipelines", PIPELINE)
    await stack.send({**ORDER, "traits": {"email": "alice@example.com"}})
    drawer = await drawer_of(page, stack, "Order Completed", "Retrying")
    await expect(drawer.get_by_text("TikTok answered 40105")).to_be_visible()
    await expect(drawer.get_by_text("attempt 1")).to_be_visible()
    await expect(drawer.locator(".banner")).to_contain_text("Regenerate the access token")
    await drawer.get_by_role("button", name="Copy as curl").click()
    await expect(page.get_by_text("put in what stands in <…>")).to_be_visible()
    copied = await page.evaluate("navigator.clipboard.readText()")
    assert '"test_event_code":"TEST123"' in copied
    assert '"email":"<sha256 of the e-mail>"' in copied
    assert "…" not in copied
    await stack.send({**ORDER, "event": "Product Viewed"})
    drawer = await drawer_of(page, stack, "Product Viewed", "Waiting")
    await expect(drawer.get_by_text("It waits: delivery is suspended")).to_be_visible()
    await expect(drawer.get_by_text("40105 –")).to_be_visible()
    await expect(drawer.locator(".banner")).to_contain_text("Regenerate the access token")
