"""The management UI in a real browser, on a gateway with nothing in its catalogue.

Law: the real commands in processes of their own on free ports; every wait is for a condition. A page that reports a console error, an exception or a violation of the
Content-Security-Policy fails its test.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import aiohttp
import pytest
from aiohttp.test_utils import TestServer
from managed import CONFIG, EDITOR, KEY, VIEWER, Stack, sign_in, up, watch
from paper_api import Paper
from playwright.async_api import Browser, Page, async_playwright, expect
from ports import free_ports

expect.set_options(timeout=15_000)  # as patient as everything else here: the machine may have other work
ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def more() -> str:
    """Further lines of the configuration."""
    return ""


@pytest.fixture
async def stack(tmp_path: Path, more: str) -> AsyncIterator[Stack]:
    edge, shop, ops, admin, sandbox = free_ports(5)
    config = tmp_path / "gateway.yaml"
    config.write_text(
        CONFIG.format(
            edge=edge, shop=shop, ops=ops, admin=admin, sandbox=sandbox, state=tmp_path, editor=EDITOR, viewer=VIEWER, more=more
        )
    )
    commands = (
        ["sandbox", "--listen", f"127.0.0.1:{sandbox}"],
        ["shop", "--listen", f"127.0.0.1:{shop}", "--key", KEY, "--visitor-ip", "81.2.69.142"],
        ["run", "-c", str(config), "--log-level", "warning"],
    )
    log = (tmp_path / "log").open("wb")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [
        await asyncio.create_subprocess_exec(sys.executable, "-m", "gateway", *command, env=environment, stdout=log, stderr=log)
        for command in commands
    ]
    async with aiohttp.ClientSession() as session:
        found = Stack(f"http://127.0.0.1:{edge}", f"http://127.0.0.1:{admin}", f"http://127.0.0.1:{sandbox}", session)
        try:
            for url in (
                f"{found.sandbox}/sandbox/stats",
                f"{found.site}/",
                f"{found.admin}/login",
            ):
                await up(session, url, tmp_path / "log")
            await up(session, f"http://127.0.0.1:{ops}/metrics", tmp_path / "log", "ttgateway_spool_available 1.0")
            yield found
        finally:
            for process in reversed(processes):
                if process.returncode is None:
                    process.terminate()
            await asyncio.gather(*(process.wait() for process in processes))
            log.close()
    assert found.problems == []


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    path = shutil.which("chromium")
    assert path, "apt-get install chromium"
    async with async_playwright() as playwright:
        found = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        yield found
        await found.close()


@pytest.fixture
async def page(browser: Browser, stack: Stack) -> AsyncIterator[Page]:
    """A page of the UI, signed in as an editor."""
    context = await browser.new_context(locale="en-GB", viewport={"width": 1280, "height": 800})
    context.set_default_timeout(15_000)
    found = await context.new_page()
    watch(found, stack.problems)
    await sign_in(found, stack)
    yield found
    await context.close()


Show = Callable[..., Awaitable[tuple[Page, str]]]


@pytest.fixture
async def show(browser: Browser, aiohttp_server: Callable[..., Awaitable[TestServer]]) -> AsyncIterator[Show]:
    """A page of the UI on answers on paper, and the address of its server. Whatever the pages complain about fails the test."""
    problems: list[str] = []

    async def opened(paper: Paper, **options: object) -> tuple[Page, str]:
        server = await aiohttp_server(paper.app(), shutdown_timeout=0.1)
        context = await browser.new_context(**{"locale": "en-GB", "viewport": {"width": 1280, "height": 800}, **options})  # type: ignore[arg-type]
        context.set_default_timeout(15_000)
        page = await context.new_page()
        watch(page, problems)
        return page, str(server.make_url("")).rstrip("/")

    yield opened
    await browser.close()
    assert problems == []
