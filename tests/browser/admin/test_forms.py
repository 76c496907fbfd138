"""Forms, on answers on paper: what they send, what they say when it is refused, and what they never show or send by accident."""

import re
from collections.abc import Awaitable, Callable

import pytest
from paper_api import Paper
from playwright.async_api import Page, expect
from seeing import violations, visit

pytestmark = [pytest.mark.browser, pytest.mark.timeout(120)]
Show = Callable[..., Awaitable[tuple[Page, str]]]
NO_RIGHT = (
    "/var/lib/ttgateway/catalog cannot be written: Read-only file system. Mount a writable volume there, or change catalog.path."
)


async def pressed(page: Page, name: str, method: str, path: str) -> None:
    """Press a button and wait for the answer to what it sends."""
    async with page.expect_response(lambda answer: answer.request.method == method and answer.url.endswith(path)):
        await page.get_by_role("button", name=name, exact=True).click()


async def test_what_was_read_is_sent_back_whole(show: Show) -> None:
    """A change of one field loses none of the others, and sends no secret; the state that was looked at is named."""
    paper = Paper()
    paper.accepts = True
    page, base = await show(paper)
    await visit(page, f"{base}/integrations/tiktok-shop", "form")
    await expect(page.get_by_label("Events API access token")).to_have_value("")
    await page.get_by_text("More settings").click()
    await expect(page.get_by_label("Send each order once within")).to_have_value("30d")
    await page.get_by_label("Send each order once within").fill("36h")
    await pressed(page, "Save", "PUT", "/integrations/tiktok-shop")
    body = paper.changes[-1][2]
    assert paper.named[-1] == '"1"'
    assert (body["dedupe_purchases"], body["pixel_code"], body["pipelines"], body["consent"]) == (
        "36h", "C4ABCDEF1234567890AB", ["shop"], ["marketing"],
    )  # fmt: skip
    assert not {"access_token", "declared", "etag", "lane", "has_token", "queued", "fault"} & body.keys()
    await expect(page.get_by_role("button", name="Save")).to_be_focused()


async def test_pipelines_of_the_file_are_shown_and_not_offered(show: Show) -> None:
    """They are changed in the file; the ones that name the integration stay ticked, so that saving does not seem to take it out."""
    paper = Paper()
    paper.accepts = True
    page, base = await show(paper)
    await visit(page, f"{base}/integrations/tiktok-travel", "form")
    travel, app = page.get_by_role("checkbox", name=re.compile("^travel")), page.get_by_role("checkbox", name=re.compile("^app"))
    for box in (travel, app):
        await expect(box).to_be_disabled()
    await expect(travel).to_be_checked()
    await expect(page.get_by_text("which names this integration")).to_be_visible()
    await expect(page.get_by_text("name this integration there, or duplicate the pipeline")).to_be_visible()
    await page.get_by_role("checkbox", name=re.compile("^shop")).check()
    await pressed(page, "Save", "PUT", "/integrations/tiktok-travel")
    assert paper.changes[-1][2]["pipelines"] == ["shop", "travel"]


async def test_somebody_elses_change_is_not_overwritten_unasked(show: Show) -> None:
    """What was typed stays; both ways out are offered."""
    paper = Paper()
    paper.accepts = True
    for path, label, address in (
        ("/integrations/tiktok-shop", "Pixel code", "/integrations/tiktok-shop"),
        ("/pipelines/shop", "Key", "/pipelines/shop"),
    ):
        paper.refusals = [(412, {"code": "changed_meanwhile", "message": "somebody else changed it meanwhile; read it again"})]
        page, base = await show(paper)
        await visit(page, base + path, "form")
        await page.get_by_label(label).first.fill("MINE")
        await pressed(page, "Save", "PUT", address)
        await expect(page.get_by_text("What you entered is still here")).to_be_visible()
        await expect(page.get_by_label(label).first).to_have_value("MINE")
        assert await violations(page) == []
        sent = len(paper.changes)
        await pressed(page, "Save mine over it", "PUT", address)
        assert "MINE" in paper.changes[-1][2].values()
        assert len(paper.changes) == sent + 1
        await expect(page.get_by_text("Saved and in force")).to_be_visible()


async def test_refusals_are_said_in_words(show: Show) -> None:
    """Whatever it was that refused."""
    paper = Paper()
    page, base = await show(paper)
    await visit(page, f"{base}/integrations/tiktok-shop", "form")
    for status, code, message, title in (
        (409, "read_only", NO_RIGHT, "Not saved"),
        (428, "etag_needed", "send If-Match", "This cannot be saved yet"),
        (404, "not_found", "there is no integration of that id", "It is no longer there"),
        (503, "unavailable", "saved as revision 9, but not in force", "Saved, but not in force"),
    ):
        paper.refusals = [(status, {"code": code, "message": message})]
        await pressed(page, "Save", "PUT", "/integrations/tiktok-shop")
        alert = page.get_by_role("alert")
        await expect(alert).to_contain_text(title)
        await expect(alert).to_contain_text(message)
        await expect(alert).to_be_focused()


async def test_a_problem_inside_of_what_is_folded_opens_it(show: Show) -> None:
    """A note that nobody sees mends nothing."""
    paper = Paper()
    problem = {"path": "dedupe_purchases", "message": "expected a duration such as 10s, 200ms or 14d", "hint": "write 30d"}
    other = {"path": "pipelines", "message": "there is no pipeline 'shop'", "hint": ""}
    paper.refusals = [(422, {"code": "invalid", "message": "2 problems", "problems": [problem, other]})]
    page, base = await show(paper)
    await visit(page, f"{base}/integrations/tiktok-shop", "form")
    await pressed(page, "Save", "PUT", "/integrations/tiktok-shop")
    await expect(page.get_by_text("expected a duration such as 10s, 200ms or 14d – write 30d")).to_be_visible()
    await expect(page.get_by_text("there is no pipeline 'shop'")).to_be_visible()
    await expect(page.get_by_label("Send each order once within")).to_be_focused()
    assert await violations(page) == []
    await page.get_by_role("checkbox", name=re.compile("^shop")).uncheck()
    await expect(page.get_by_text("there is no pipeline 'shop'")).to_be_hidden()


async def test_a_test_code_is_kept_or_taken_out(show: Show) -> None:
    """Where it is shouted about: in the list, and above the integration."""
    paper = Paper()
    paper.accepts = True
    page, base = await show(paper)
    until = next(each["test_code_until"] for each in paper.entries() if each.get("test_code_until"))
    for path in ("/integrations", "/integrations/tiktok-travel"):
        await visit(page, base + path, ".banner")
        await pressed(page, "Keep it another hour", "PUT", "/integrations/tiktok-travel")
        assert paper.changes[-1][2]["test_code_until"] == int(until) + 3600
        assert paper.changes[-1][2]["test_event_code"] == "TEST48213"
        await expect(page.get_by_text("Kept for another hour")).to_be_visible()
        await pressed(page, "Remove it", "PUT", "/integrations/tiktok-travel")
        assert paper.changes[-1][2]["test_event_code"] is None
        assert paper.named[-1] == '"1"'


async def test_why_nothing_can_be_changed_is_said_everywhere(show: Show) -> None:
    """With the cure, on every page where somebody would look for the way to change something."""
    page, base = await show(Paper(fault=NO_RIGHT))
    pages = {
        "/integrations": ".entry",
        "/integrations/new": "form",
        "/integrations/tiktok-shop": "form",
        "/integrations/tiktok-shop/mappings": ".map-row",
        "/pipelines": ".entry",
        "/pipelines/new": "form",
        "/pipelines/shop": "form",
        "/revisions": ".revision",
        "/settings": ".dl",
    }
    for path, drawn in pages.items():
        await visit(page, base + path, drawn)
        await expect(page.get_by_text("Mount a writable volume there")).to_have_count(1)
        await expect(page.get_by_role("button", name="Save")).to_have_count(0)
        await expect(page.get_by_role("button", name="Roll back")).to_have_count(0)


async def test_removing_asks_for_the_name_and_escape_removes_nothing(show: Show) -> None:
    paper = Paper()
    page, base = await show(paper)
    for path, drawn, word in (("/integrations/tiktok-shop", "form", "tiktok-shop"), ("/pipelines/shop", "form", "shop")):
        await visit(page, base + path, drawn)
        before = len(paper.changes)
        for typed in (word[:-1], word):
            await page.get_by_role("button", name="More actions").click()
            await page.get_by_role("button", name="Remove", exact=True).click()
            dialog = page.get_by_role("dialog")
            await expect(dialog.get_by_role("textbox")).to_be_focused()
            await page.keyboard.type(typed)
            if typed != word:
                await expect(dialog.get_by_role("button", name="Remove")).to_be_disabled()
                await page.keyboard.press("Escape")
                await expect(dialog).to_have_count(0)
                assert len(paper.changes) == before
        async with page.expect_request(lambda request: request.method == "DELETE"):
            await page.keyboard.press("Enter")
        await page.wait_for_url(base + path.rpartition("/")[0])
        assert (paper.changes[-1][:2], paper.named[-1]) == (("DELETE", path[1:]), '"1"')


async def test_an_integration_is_added_by_keyboard_alone(show: Show) -> None:
    """In the order of the form: name, preset, credentials, pipeline; Enter sends it."""
    paper = Paper()
    page, base = await show(paper, reduced_motion="reduce")
    await visit(page, f"{base}/integrations/new", "form")
    await page.get_by_label("Name", exact=False).first.focus()
    await page.keyboard.type("Ünser Shop & Söhne")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Pixel code")).to_be_focused()
    await expect(page.get_by_text("The pixel’s code is required.")).to_be_visible()
    assert await violations(page) == []
    await page.keyboard.type("C4NEW")
    await page.keyboard.press("Tab")
    await expect(page.get_by_label("Events API access token")).to_be_focused()
    await page.keyboard.type("a-token")
    box = page.get_by_role("checkbox", name=re.compile("^shop"))
    for _ in range(4):
        if await box.evaluate("(element) => element === document.activeElement"):
            break
        await page.keyboard.press("Tab")
    await page.keyboard.press("Space")
    async with page.expect_response(lambda answer: answer.request.method == "POST"):
        await page.keyboard.press("Enter")
    method, path, body = paper.changes[-1]
    assert (method, path) == ("POST", "integrations")
    assert (body["id"], body["name"], body["pixel_code"], body["access_token"], body["pipelines"]) == (
        "u-nser-shop-so-hne", "Ünser Shop & Söhne", "C4NEW", "a-token", ["shop"],
    )  # fmt: skip
    await page.wait_for_url(f"{base}/integrations/u-nser-shop-so-hne**")
    await expect(page.locator("main")).to_be_visible()
    assert "a-token" not in await page.content()


async def test_what_is_wanting_is_listed_until_it_is_there(show: Show) -> None:
    """A copy has no token, no pipeline and is disabled: the page says so, one by one."""
    page, base = await show(Paper())
    await visit(page, f"{base}/integrations/tiktok-copy", "form")
    await expect(page.locator(".todo li")).to_have_count(3)
    await visit(page, f"{base}/integrations/tiktok-shop", "form")
    await expect(page.locator(".todo")).to_have_count(0)


async def test_a_declared_entry_is_duplicated_and_its_lines_are_there_to_copy(show: Show) -> None:
    """Read-only fields, a way to a copy, and the YAML."""
    page, base = await show(Paper())
    await visit(page, f"{base}/integrations/tiktok-file", "form")
    await expect(page.get_by_label("Pixel code")).to_be_disabled()
    await expect(page.get_by_role("button", name="Save")).to_have_count(0)
    await expect(page.get_by_role("button", name="Duplicate to edit")).to_be_enabled()
    await page.get_by_role("link", name="YAML").click()
    await expect(page.get_by_role("group", name="YAML")).to_contain_text("id: tiktok-shop")
    await visit(page, f"{base}/pipelines/travel", "form")
    await page.get_by_text("As lines of the configuration file").click()
    await expect(page.get_by_role("group", name="YAML")).to_contain_text("dk_travel")
    await page.get_by_role("link", name="Duplicate to edit").click()
    await page.wait_for_url("**/pipelines/new?from=travel")
    await expect(page.get_by_label("Domains")).to_have_value("shop.example.com")
