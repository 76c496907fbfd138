"""Pages of a site in Debian's Chromium, the real gateway before them and TikTok's sandbox behind it.

Law: the real commands in processes of their own on free ports, shared by a session's tests; every page has a path of its own, by which its events are told apart. Waiting
is always for a condition.
"""

import asyncio
import os
import shutil
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import aiohttp
from aiohttp import web
from playwright.async_api import Browser, BrowserContext, Page, async_playwright
from ports import free_ports
from whole import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]
KEY, PIXEL = "dk_site", "CTEST0000000000000AB"
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
"""A visitor's: headless Chromium names itself, and the gateway rightly takes it for a bot. Given to the whole browser, because what a context says of itself is not
said by the beacons of a page that ends."""
_CONFIG = f"""\
version: 1
edge: {{{{listen: "127.0.0.1:{{edge}}", upstream: "http://127.0.0.1:{{site}}"}}}}
ops: {{{{listen: "127.0.0.1:{{ops}}"}}}}
spool: {{{{path: {{state}}/spool}}}}
drain: {{{{delay: 0s, grace: 1s}}}}
delivery: {{{{endpoint: "http://127.0.0.1:{{sandbox}}/open_api/v1.3/event/track/", linger: 20ms}}}}
pipelines:
  - {{{{id: site, key: {KEY}, integrations: [tt], default_region: GB, rate_limit: 100000}}}}
integrations:
  - {{{{id: tt, preset: retail, pixel_code: {PIXEL}, access_token: good}}}}
"""
_NGINX = """\
daemon off; pid {state}/nginx.pid; error_log {state}/nginx.log; worker_processes 1;
events {{ worker_connections 64; }}
http {{
  access_log off;
  client_body_temp_path {state}/body; proxy_temp_path {state}/proxy; fastcgi_temp_path {state}/f; uwsgi_temp_path {state}/u; scgi_temp_path {state}/s;
  server {{
    listen 127.0.0.1:{tls} ssl; ssl_certificate {state}/cert.pem; ssl_certificate_key {state}/key.pem;
    location / {{
      proxy_pass http://127.0.0.1:{edge}; proxy_set_header Host $http_host; proxy_set_header X-Forwarded-Proto https; proxy_set_header X-Forwarded-For 81.2.69.142;
    }}
  }}
}}
"""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Debian's browser."""
    path = shutil.which("chromium")
    assert path, "apt-get install chromium"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=["--no-sandbox", f"--user-agent={USER_AGENT}"])
        yield browser
        await browser.close()


async def eventually(ask: Callable[[], Awaitable[Any]], holds: Callable[[Any], bool], timeout_s: float = 30.0) -> Any:
    """Ask until the answer ``holds``; the last answer is in the failure."""
    value = await ask()
    try:
        async with asyncio.timeout(timeout_s):
            while not holds(value):
                await asyncio.sleep(0.03)
                value = await ask()
    except TimeoutError:
        raise AssertionError(f"did not come true; at last: {value!r}") from None
    return value


async def heard(page: Page, noted: list[Any], count: int) -> None:
    """Wait until a listener of ``page`` has noted so much, and whatever else the page has done by then: a request is known to the server before the listener is told of it."""
    await eventually(lambda: asyncio.sleep(0, noted), lambda found: len(found) >= count)
    await page.evaluate("0")


async def cookies(visitor: BrowserContext, *names: str) -> dict[str, Any]:
    """The visitor's cookies by name, once these are among them: an event may arrive before the browser has read the answer that sets them."""

    async def jar() -> dict[str, Any]:
        return {cookie["name"]: cookie for cookie in await visitor.cookies()}

    return dict(await eventually(jar, lambda found: found.keys() >= set(names)))


async def running(page: Page) -> None:
    """Wait until the client script runs in ``page``. Asked over and over, because Playwright's own waiting needs eval, which a strict page forbids."""
    await eventually(lambda: page.evaluate("!!(window._df && window._df.gw)"), bool)


@dataclass
class Site:
    """A site behind a gateway: pages are made as tests want them."""

    http: str
    https: str
    sandbox: str
    session: aiohttp.ClientSession
    pages: dict[str, tuple[str, dict[str, str]]] = field(default_factory=dict)
    _numbers: "count[int]" = field(default_factory=lambda: count(1))

    def page(self, attributes: str = "", *, before: str = "", after: str = "", csp: str = "", head: str = "") -> str:
        """The path of a new page with the client script; ``before`` and ``after`` are scripts of the page itself around its tag."""
        tag = f'<script async src="/gw/s.js" data-key="{KEY}" {attributes}></script>'
        first, last = (f"<script>{text}</script>" if text else "" for text in (before, after))
        return self.raw(f"{head}{first}{tag}{last}", csp)

    def raw(self, head: str, csp: str = "", body: str = "<h1>A page</h1>") -> str:
        """The path of a new page with just this."""
        path = f"/p/{next(self._numbers)}/"
        html = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A page</title><link rel="icon" href="data:,">{head}</head><body>{body}</body></html>'
        self.pages[path] = (html, {"Content-Security-Policy": csp} if csp else {})
        return path

    async def _serve(self, request: web.Request) -> web.Response:
        path = "/".join(request.path.split("/")[:3]) + "/"
        if path not in self.pages:
            raise web.HTTPNotFound
        html, headers = self.pages[path]
        return web.Response(text=html, content_type="text/html", headers=headers)

    async def entries(self, path: str) -> list[dict[str, Any]]:
        """What the sandbox received from the pages below ``path``."""
        async with self.session.get(f"{self.sandbox}/sandbox/events") as answer:
            events = (await answer.json())["events"]
        return [entry for entry in events if path in entry["event"]["page"]["url"]]

    async def events(self, path: str) -> list[dict[str, Any]]:
        """The same without what the sandbox says about them."""
        return [entry["event"] for entry in await self.entries(path)]

    async def arrived(self, path: str, *names: str) -> list[dict[str, Any]]:
        """The events of ``path`` once these names – all of them, and as often – are among them."""

        def complete(events: list[dict[str, Any]]) -> bool:
            found = [event["event"] for event in events]
            return all(found.count(name) >= names.count(name) for name in names)

        return list(await eventually(lambda: self.events(path), complete))


@asynccontextmanager
async def site(state: Path) -> AsyncIterator[Site]:
    """Everything but the browser; nginx ends TLS in front of the same gateway, where nginx is installed."""
    edge, pages, ops, sandbox, tls = free_ports(5)
    config = state / "gateway.yaml"
    config.write_text(_CONFIG.format(edge=edge, site=pages, ops=ops, sandbox=sandbox, state=state))
    commands = [
        [sys.executable, "-m", "gateway", "sandbox", "--listen", f"127.0.0.1:{sandbox}"],
        [sys.executable, "-m", "gateway", "run", "-c", str(config), "--log-level", "warning"],
    ]
    nginx, openssl = shutil.which("nginx"), shutil.which("openssl")
    if nginx and openssl:
        subject = [
            "-subj",
            "/CN=localhost",
            "-days",
            "1",
            "-nodes",
            "-keyout",
            str(state / "key.pem"),
            "-out",
            str(state / "cert.pem"),
        ]
        made = await asyncio.create_subprocess_exec(
            openssl,
            "req",
            "-x509",
            "-newkey",
            "rsa:2048",
            *subject,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.DEVNULL,
        )
        assert await made.wait() == 0
        (state / "nginx.conf").write_text(_NGINX.format(state=state, tls=tls, edge=edge))
        commands.append([nginx, "-c", str(state / "nginx.conf"), "-e", str(state / "nginx.log")])
    log = (state / "log").open("wb")
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    processes = [await asyncio.create_subprocess_exec(*command, env=environment, stdout=log, stderr=log) for command in commands]
    async with aiohttp.ClientSession() as session:
        found = Site(f"http://127.0.0.1:{edge}", f"https://127.0.0.1:{tls}", f"http://127.0.0.1:{sandbox}", session)
        app = web.Application()
        app.router.add_get("/{path:.*}", found._serve)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", pages).start()

        async def ready() -> bool:
            try:
                async with (
                    session.get(f"http://127.0.0.1:{ops}/metrics") as first,
                    session.get(f"{found.sandbox}/sandbox/stats") as second,
                ):
                    return "ttgateway_spool_available 1.0" in await first.text() and second.status == 200
            except aiohttp.ClientError:
                return False

        try:
            await eventually(ready, bool, PATIENCE_S)
            yield found
        finally:
            await runner.cleanup()
            for process in processes:
                if process.returncode is None:
                    process.terminate()
            await asyncio.gather(*(process.wait() for process in processes))
            log.close()
