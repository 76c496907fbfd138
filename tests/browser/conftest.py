"""A browser, and a site behind a gateway, shared by the session's browser tests."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext
from visiting import Site, chromium, site


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shared_browser() -> AsyncIterator[Browser]:
    """Debian's Chromium; only for tests on the session's loop."""
    async with chromium() as found:
        yield found


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def shop_site(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Site]:
    """A site whose pages tests make as they need them."""
    async with site(tmp_path_factory.mktemp("site")) as found:
        yield found


@pytest_asyncio.fixture(loop_scope="session")
async def visitor(shared_browser: Browser) -> AsyncIterator[BrowserContext]:
    """A visitor nobody has seen before."""
    context = await shared_browser.new_context(locale="en-GB", ignore_https_errors=True, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(15_000)
    # The gateway recognises an event_id that it had within two days, so each page's are its own.
    await context.add_init_script("window.own = (id) => location.pathname.split('/')[2] + '-' + id")
    yield context
    await context.close()
