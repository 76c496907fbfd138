"""Looking at a page as somebody who cannot see it would: what axe-core finds."""

import json
from importlib.resources import files
from typing import Any
from weakref import WeakKeyDictionary

from playwright.async_api import Page, expect

RULES = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
_AXE = files("axe_playwright_python").joinpath("axe.min.js").read_text()
_worlds: "WeakKeyDictionary[Page, tuple[Any, str, int]]" = WeakKeyDictionary()


async def violations(page: Page, *rules: str) -> list[str]:
    """What axe-core finds, by all rules or those named. It runs in a world of its own, because the pages' policy lets no other script in; each document is given it once."""
    devtools, address, world = _worlds.get(page) or (await page.context.new_cdp_session(page), "", 0)
    document = await page.evaluate("String(performance.timeOrigin)")
    if document != address:
        tree = await devtools.send("Page.getFrameTree")
        made = await devtools.send("Page.createIsolatedWorld", {"frameId": tree["frameTree"]["frame"]["id"]})
        world = made["executionContextId"]
        await devtools.send("Runtime.evaluate", {"expression": _AXE, "contextId": world})
    _worlds[page] = (devtools, document, world)
    options = json.dumps({"runOnly": list(rules) or RULES, "resultTypes": ["violations"]})
    script = f"axe.run(document, {options}).then((found) => JSON.stringify(found.violations.map((each) => each.id + ': ' + each.nodes.map((node) => node.target).join(' '))))"
    answer = await devtools.send(
        "Runtime.evaluate", {"expression": script, "contextId": world, "awaitPromise": True, "returnByValue": True}
    )
    return list(json.loads(answer["result"]["value"]))


async def visit(page: Page, address: str, drawn: str) -> None:
    """Open a page from nothing and wait until it has been drawn."""
    await page.goto("about:blank")
    await page.goto(address)
    await expect(page.locator(drawn).first).to_be_visible()
