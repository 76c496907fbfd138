"""A gateway with nothing in its catalogue, the demo shop behind it, TikTok's sandbox beyond, and its management UI in a real browser.

Law: the real commands in processes of their own on free ports; every wait is for a condition. A page that reports a console error, an exception or a violation of the
Content-Security-Policy fails its test.
"""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from documented import undocumented
from playwright.async_api import Page
from whole import PATIENCE_S

EDITOR, VIEWER = "editor-token-of-the-tests-0001", "viewer-token-of-the-tests-0001"
KEY = "dk_demo_shop"
VISITOR = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
"""Headless Chromium names itself, and is rightly taken for a bot."""
CONFIG = """\
version: 1
edge: {{listen: 127.0.0.1:{edge}, upstream: "http://127.0.0.1:{shop}"}}
ops: {{listen: 127.0.0.1:{ops}}}
admin:
  listen: 127.0.0.1:{admin}
  tokens:
    - {{name: ops, role: editor, token: {editor}}}
    - {{name: eve, role: viewer, token: {viewer}}}
spool: {{path: {state}/spool}}
catalog: {{path: {state}/catalog}}
drain: {{delay: 0s, grace: 2s}}
delivery: {{endpoint: "http://127.0.0.1:{sandbox}/open_api/v1.3/event/track/", linger: 50ms}}
{more}
"""


@dataclass
class Stack:
    """Where everything listens, and what a test asks of it."""

    site: str
    admin: str
    sandbox: str
    session: aiohttp.ClientSession
    problems: list[str] = field(default_factory=list)
    """Console errors and exceptions of all pages."""

    async def arrived(self) -> list[dict[str, Any]]:
        """What the sandbox received."""
        async with self.session.get(f"{self.sandbox}/sandbox/events") as answer:
            return list((await answer.json())["events"])

    async def until_arrived(self, name: str, count: int = 1) -> dict[str, Any]:
        """The latest accepted event of TikTok's ``name``, once there are ``count``."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                found = [entry for entry in await self.arrived() if entry["event"].get("event") == name and entry["accepted"]]
                if len(found) >= count:
                    return dict(found[-1]["event"])
                await asyncio.sleep(0.05)

    async def until_dead(self, count: int = 1) -> None:
        """Until there are ``count`` dead letters: the page lists those that there are when it opens."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                if (await self.api("GET", "dead"))["total"] >= count:
                    return
                await asyncio.sleep(0.05)

    async def send(self, *events: dict[str, Any]) -> None:
        """Events as the site's pages send them, with consent."""
        consented = [{"context": {"consent": {"marketing": True}}, **event} for event in events]
        headers = {"X-Forwarded-For": "81.2.69.142", "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0"}
        async with self.session.post(f"{self.site}/gw/e", json={"batch": consented, "writeKey": KEY}, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    async def api(self, method: str, path: str, body: Any = None, token: str = EDITOR, etag: str = "") -> Any:
        """One call of the management API, as a script makes it."""
        headers = {"Authorization": f"Bearer {token}"} | ({"If-Match": etag} if etag else {})
        async with self.session.request(method, f"{self.admin}/api/v1/{path}", json=body, headers=headers) as answer:
            assert answer.status < 300, f"{method} {path}: {answer.status} {await answer.text()}"
            if answer.content_type != "application/json":
                return await answer.text()
            found = await answer.json()
            assert undocumented(method, path, answer.status, found) == []
            return found

    async def furnish(self) -> None:
        """One pipeline and one integration, for tests that are about something else."""
        await self.api("POST", "integrations", INTEGRATION)
        await self.api("POST", "pipelines", PIPELINE)


INTEGRATION = {
    "id": "tiktok-shop",
    "name": "TikTok – Shop",
    "preset": "retail",
    "pixel_code": "CTEST0000000000000AB",
    "access_token": "good",
}
DECLARED = f"""\
pipelines:
  - {{id: shop, key: {KEY}, integrations: [tiktok-shop]}}
integrations:
  - {{id: tiktok-shop, name: TikTok, preset: retail, pixel_code: CTEST0000000000000AB, access_token: "${{file:TOKEN_FILE}}"}}
"""
PIPELINE = {"id": "shop", "key": KEY, "integrations": ["tiktok-shop"]}


async def up(session: aiohttp.ClientSession, url: str, log: Path, words: str = "") -> None:
    """Wait until ``url`` answers 200 with these words; the processes' own words otherwise."""
    try:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    async with session.get(url) as answer:
                        if answer.status == 200 and words in await answer.text():
                            return
                except aiohttp.ClientError:
                    pass
                await asyncio.sleep(0.05)
    except TimeoutError:
        said = await asyncio.to_thread(log.read_text)
        pytest.fail(f"{url} does not answer; the processes said:\n{said[-3000:]}")


def watch(page: Page, problems: list[str]) -> None:
    """Collect what must not happen. An answer 4xx or 503 may: the page says it in its own words."""

    def said(message: Any) -> None:
        refused = "Failed to load resource" in message.text and ("status of 4" in message.text or "status of 503" in message.text)
        if (message.type == "error" and not refused) or "Content Security Policy" in message.text:
            problems.append(f"{page.url}: {message.text}")

    page.on("console", said)
    page.on("pageerror", lambda error: problems.append(f"{page.url}: {error}"))


async def sign_in(page: Page, stack: Stack, token: str = EDITOR) -> None:
    """Through the form, as a person does."""
    await page.goto(f"{stack.admin}/login")
    await page.get_by_label("Admin token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(f"{stack.admin}/")
