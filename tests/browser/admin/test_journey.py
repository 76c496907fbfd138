"""What people do with the UI on a running gateway, from the first integration to a rolled-back mistake."""

import asyncio
import re
from typing import Any

import pytest
from managed import INTEGRATION, KEY, VISITOR, Stack
from playwright.async_api import Browser, Locator, Page, expect
from whole import PATIENCE_S

pytestmark = [pytest.mark.browser, pytest.mark.timeout(180)]
HOSTILE = "<img src=x onerror=\"globalThis.owned='owned'\">"


def labelled(page: Page, label: str) -> Locator:
    """The field of exactly that label, required or not."""
    return page.get_by_label(re.compile(rf"^{label}\*?$"))


async def row_of(page: Page, name: str, outcome: str, count: int = 1) -> None:
    """Wait for the live rows of an event with an outcome."""
    await expect(page.locator("#rows tr", has_text=name).filter(has_text=outcome)).to_have_count(count)


async def save_token(page: Page, stack: Stack, token: str) -> None:
    """Enter another access token in the integration's settings."""
    await page.goto(f"{stack.admin}/integrations/tiktok-shop")
    await labelled(page, "Events API access token").fill(token)
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Saved and in force")).to_be_visible()
    await expect(labelled(page, "Events API access token")).to_have_value("")


async def add_pipeline(page: Page) -> None:
    """From the overview's first steps to the tag to paste."""
    await expect(page.get_by_text("Ready for the first event")).to_be_visible()
    await page.get_by_role("link", name="Add pipeline").click()
    await labelled(page, "Id").fill("shop")
    await labelled(page, "Key").fill(KEY)
    await page.get_by_role("button", name="Add pipeline").click()
    await page.wait_for_url("**/pipelines/shop#tag")
    await expect(page.get_by_text("Added and in force")).to_be_visible()
    await expect(page.get_by_role("group", name="tag", exact=True)).to_contain_text(KEY)


async def add_integration(page: Page) -> None:
    """What is missing is said at its field; added, a test event tells TikTok's answer."""
    await page.get_by_role("link", name="Add integration").click()
    await labelled(page, "Name").fill("TikTok – Shop")
    await expect(labelled(page, "Id")).to_have_value("tiktok-shop")
    await page.get_by_role("button", name="Add integration").click()
    await expect(page.get_by_text("The pixel’s code is required.")).to_be_visible()
    await labelled(page, "Pixel code").fill("not a code")
    await labelled(page, "Events API access token").fill("good")
    await page.get_by_role("checkbox", name="shop").check()
    await page.get_by_role("button", name="Add integration").click()
    await expect(labelled(page, "Pixel code")).to_have_attribute("aria-invalid", "true")
    await expect(labelled(page, "Pixel code")).to_be_focused()
    await labelled(page, "Pixel code").fill("CTEST0000000000000AB")
    await page.get_by_role("button", name="Add integration").click()
    await page.wait_for_url("**/integrations/tiktok-shop#verify")
    await expect(page.get_by_text("Added and in force")).to_be_visible()


async def test_from_nothing_to_delivered_and_through_a_revoked_token(page: Page, stack: Stack, browser: Browser) -> None:
    """Add a pipeline and an integration, paste the code, buy, watch, break the token, read the cure, mend it."""
    await add_pipeline(page)
    await add_integration(page)
    await labelled(page, "Test event code").fill("TEST12345")
    await page.get_by_role("button", name="Send test event").click()
    await expect(page.get_by_text("TikTok took it")).to_be_visible()

    await page.get_by_role("link", name="Live events").first.click()
    await expect(page.get_by_text("live", exact=True)).to_be_visible()
    visitor = await browser.new_page(user_agent=VISITOR)
    await visitor.goto(f"{stack.site}/product/102")
    await visitor.click("#accept")
    await stack.until_arrived("ViewContent")
    await row_of(page, "Product Viewed", "Delivered")
    await page.locator("#rows tr", has_text="Product Viewed").filter(has_text="Delivered").click()
    drawer = page.get_by_role("dialog")
    await expect(drawer.get_by_text("Consent: granted")).to_be_visible()
    await expect(drawer.get_by_text("Mapped to ViewContent")).to_be_visible()
    await expect(drawer.get_by_role("group", name="payload", exact=True)).to_contain_text('"content_id": "102"')
    await expect(drawer.get_by_text("TikTok answered 0")).to_be_visible()
    assert "event=" in page.url, "the address is a permalink"
    await page.keyboard.press("Escape")

    await save_token(page, stack, "revoked")
    await visitor.goto(f"{stack.site}/product/101")
    await page.goto(f"{stack.admin}/integrations")
    async with asyncio.timeout(PATIENCE_S):
        while not await page.get_by_text("Suspended").is_visible():
            await page.reload()
            await expect(page.locator(".entry")).to_be_visible()
    await expect(page.locator(".entry .banner")).to_contain_text(re.compile("40105.*token", re.IGNORECASE | re.DOTALL))
    await page.goto(f"{stack.admin}/")
    await expect(page.get_by_text("TikTok – Shop is suspended")).to_be_visible()
    await page.locator("#alerts").get_by_role("link", name="Open").click()
    await expect(page.get_by_text("Delivery is suspended – 40105")).to_be_visible()

    await save_token(page, stack, "good")
    await stack.until_arrived("ViewContent", 2)
    await page.goto(f"{stack.admin}/live")
    await row_of(page, "Product Viewed", "Delivered", 2)
    await visitor.close()
    for path in (
        "integrations",
        "integrations/tiktok-shop",
        "integrations/tiktok-shop/yaml",
        "revisions",
        "revisions/3/diff",
        "settings",
    ):
        told = str(await stack.api("GET", path))
        assert "revoked'" not in told, path
        assert "good'" not in told, path


async def test_mapping_is_edited_with_a_preview_and_applies_to_what_comes(page: Page, stack: Stack) -> None:
    """The payload changes as one types; a wrong target is said beside its field; saved, it is what TikTok gets."""
    await stack.furnish()
    await page.goto(f"{stack.admin}/integrations/tiktok-shop/mappings")
    await page.locator(".map-row", has_text="Order Completed").click()
    payload = page.locator("#preview").get_by_role("group", name="payload", exact=True)
    await expect(payload).to_contain_text('"value": 99.95')
    table = page.get_by_role("table", name="Fields of the preset")
    value = table.get_by_role("row", name="value", exact=False).first
    await expect(value).to_contain_text("properties.value or revenue or total, else price × quantity of the contents")
    await page.get_by_role("button", name="Override properties.value").click()
    await expect(page.get_by_label("To TikTok")).to_have_value("properties.value")
    await page.get_by_label("From the event").fill("properties.price")
    await expect(value.locator("s")).to_contain_text("properties.value")
    await expect(value).to_contain_text("override")
    await page.get_by_role("button", name="Remove field properties.value").click()
    await expect(value.locator("s")).to_have_count(0)
    await page.get_by_role("button", name="Add field").click()
    await page.get_by_label("From the event").fill("properties.order_id")
    await page.get_by_label("To TikTok").fill("user.phone_number")
    await expect(page.locator("#editor").get_by_text("TikTok's name for it is user.phone")).to_be_visible()
    await page.get_by_label("To TikTok").fill("properties.description")
    await page.get_by_label("Format").fill("order {value}")
    await expect(payload).to_contain_text('"description": "order 1001"')
    await expect(page.locator("#preview").get_by_text("Marked lines differ")).to_be_visible()
    await page.get_by_role("button", name="Save mappings").click()
    await expect(page.get_by_text("Saved: what waits")).to_be_visible()
    await stack.send(
        {"type": "track", "event": "Order Completed", "properties": {"order_id": "7", "value": 5, "currency": "EUR"}}
    )
    event = await stack.until_arrived("Purchase")
    assert event["properties"]["description"] == "order 7"
    await stack.send({"type": "track", "event": "Banner Dismissed", "properties": {}})
    await page.goto(f"{stack.admin}/live")
    await row_of(page, "Banner Dismissed", "Unmapped")
    await row_of(page, "Order Completed", "Delivered")


async def test_changes_are_told_rolled_back_and_made_by_two_people(page: Page, stack: Stack) -> None:
    """A mistake is seen in the difference, and undone; what somebody else changed is not overwritten unasked."""
    await stack.furnish()
    await page.goto(f"{stack.admin}/integrations/tiktok-shop")
    await labelled(page, "Name").fill("Mistake")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_role("heading", name="Mistake")).to_be_visible()
    await page.goto(f"{stack.admin}/revisions")
    await page.get_by_text("What changed").first.click()
    await expect(page.get_by_role("group", name="Difference").first).to_contain_text("+ name: Mistake")
    await page.get_by_role("button", name="Roll back to this").first.click()
    await page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    await expect(page.get_by_text("Rolled back and in force")).to_be_visible()
    await expect(page.locator(".revision").first).to_contain_text("by ops")
    await page.goto(f"{stack.admin}/integrations/tiktok-shop")
    await expect(page.get_by_role("heading", name="TikTok – Shop")).to_be_visible()

    await stack.api("POST", "integrations/tiktok-shop/enabled", {"enabled": False}, etag="*")
    await labelled(page, "Name").fill("Mine")
    await page.get_by_role("button", name="Save").click()
    await expect(page.get_by_text("Somebody else changed it meanwhile")).to_be_visible()
    await page.get_by_role("button", name="Save mine over it").click()
    await expect(page.get_by_role("heading", name="Mine")).to_be_visible()


async def test_an_integration_is_copied_made_whole_and_removed(page: Page, stack: Stack) -> None:
    """The copy says what it wants; a test code is set, kept and cleared; removing asks, and rolling back brings it back with its token."""
    await stack.furnish()
    await page.goto(f"{stack.admin}/integrations")
    await page.get_by_role("button", name="Actions for").click()
    await page.get_by_role("button", name="Duplicate").click()
    await page.get_by_role("dialog").get_by_role("button", name="Duplicate").click()
    await page.wait_for_url("**/integrations/tiktok-shop-copy")
    await expect(page.locator(".todo li")).to_have_count(3)
    await labelled(page, "Events API access token").fill("good")
    await page.get_by_role("checkbox", name="shop").check()
    await page.get_by_role("button", name="Save").click()
    await expect(page.locator(".todo li")).to_have_count(1)
    await page.get_by_role("button", name="Enable", exact=True).click()
    await expect(page.get_by_text("Added and in force")).to_be_visible()

    await page.get_by_role("link", name="Test and verify").click()
    await labelled(page, "Test event code").fill("TEST99")
    await page.get_by_role("button", name="Let all events carry the code").click()
    await expect(page.get_by_text("Test event code TEST99 is set")).to_be_visible()
    until = (await stack.api("GET", "integrations/tiktok-shop-copy"))["test_code_until"]
    await page.get_by_role("button", name="Keep it another hour").click()
    await expect(page.get_by_text("Kept for another hour")).to_be_visible()
    assert (await stack.api("GET", "integrations/tiktok-shop-copy"))["test_code_until"] == int(until) + 3600
    await page.get_by_role("button", name="Remove it").click()
    await expect(page.get_by_text("Test event code TEST99 is set")).to_have_count(0)

    await page.get_by_role("button", name="More actions").click()
    await page.get_by_role("button", name="Remove", exact=True).click()
    await expect(page.get_by_role("dialog").get_by_role("textbox")).to_be_focused()
    await page.keyboard.type("tiktok-shop-copy")
    await page.keyboard.press("Enter")
    await page.wait_for_url("**/integrations")
    await expect(page.locator(".entry")).to_have_count(1)
    await page.goto(f"{stack.admin}/revisions")
    await page.get_by_role("button", name="Roll back to this").first.click()
    await page.get_by_role("dialog").get_by_role("button", name="Roll back").click()
    await expect(page.get_by_text("Rolled back and in force")).to_be_visible()
    assert (await stack.api("GET", "integrations/tiktok-shop-copy"))["has_token"]


async def test_hostile_strings_of_real_events_and_entries_are_text(page: Page, stack: Stack) -> None:
    """In every field that takes text, through the whole gateway: shown as they are, and doing nothing."""
    override = {"vendor_event_name": HOSTILE, "mappings": [{"target": "properties.description", "default": HOSTILE}]}
    hostile = {**INTEGRATION, "name": HOSTILE, "default_action": "passthrough", "events": {HOSTILE: override}}
    await stack.api("POST", "integrations", hostile)
    await stack.api(
        "POST", "pipelines", {"id": "shop", "key": KEY, "integrations": ["tiktok-shop"], "labels": {HOSTILE: HOSTILE}}
    )
    page_of: dict[str, Any] = {"url": f"https://shop.example.com/{HOSTILE}", "referrer": HOSTILE, "title": HOSTILE}
    context = {"consent": {"marketing": True}, "page": page_of, "campaign": {HOSTILE: HOSTILE}, "locale": HOSTILE}
    event = {"type": "track", "messageId": HOSTILE, "properties": {HOSTILE: HOSTILE, "query": HOSTILE}, "context": context}
    await stack.send({**event, "event": HOSTILE, "anonymousId": HOSTILE, "userId": HOSTILE, "traits": {"name": HOSTILE}})
    await stack.send({**event, "event": HOSTILE, "context": {"consent": {"marketing": False}, "page": page_of}})
    await stack.until_arrived(HOSTILE)
    async with stack.session.put(
        f"{stack.sandbox}/sandbox/faults", json={"code": 40002, "message": HOSTILE, "count": 9}
    ) as answer:
        assert answer.status < 300
    await stack.send({**event, "event": HOSTILE, "messageId": "refused"})
    await stack.until_dead()
    pages = ("/live?event=1", "/live", "/dead", "/integrations", "/integrations/tiktok-shop", "/integrations/tiktok-shop#yaml",
             "/integrations/tiktok-shop/mappings", "/pipelines", "/pipelines/shop", "/revisions", "/settings", "/")  # fmt: skip
    for path in pages:
        await page.goto(f"{stack.admin}{path}")
        await expect(page.locator("main .skeleton")).to_have_count(0)
        if path not in {"/", "/pipelines", "/settings", "/revisions"}:
            await expect(page.locator("body")).to_contain_text("onerror=")
        if path == "/revisions":
            await expect(page.get_by_text("What changed")).to_have_count(2)
            for each in await page.get_by_text("What changed").all():
                await each.click()
            await expect(page.get_by_role("group", name="Difference").filter(has_text="onerror=")).to_have_count(2)
        assert await page.locator("main img, dialog img, #toasts img").count() == 0, path
        assert await page.evaluate("globalThis.owned") is None, path
