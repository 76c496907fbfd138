"""A small driver for headless Chromium over its DevTools protocol: enough to behave like a visitor.

Law: the real browser, the real pages; waiting is always for a condition, never for a time.
"""

import asyncio
import base64
import json
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any, Self

import aiohttp

FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--disable-default-apps", "--mute-audio", "--remote-debugging-port=0",
)  # fmt: skip
USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
"""A visitor's: headless Chromium names itself, and the gateway rightly takes it for a bot."""
_STEP_S = 0.05


class Chromium:
    """One browser with one tab and a profile of its own."""

    def __init__(self) -> None:
        self._profile = tempfile.mkdtemp(prefix="ttgateway-chromium-")
        self._process: asyncio.subprocess.Process | None = None
        self._session = aiohttp.ClientSession()
        self._socket: aiohttp.ClientWebSocketResponse | None = None
        self._reader: asyncio.Task[None] | None = None
        self._waiting: dict[int, asyncio.Future[Any]] = {}
        self._number = 0
        self.errors: list[str] = []
        """Uncaught exceptions and console errors (CSP violations among them) of the pages."""

    async def __aenter__(self) -> Self:
        path = shutil.which("chromium")
        assert path, "chromium is not installed: apt-get install chromium"
        self._process = await asyncio.create_subprocess_exec(
            path,
            *FLAGS,
            f"--user-data-dir={self._profile}",
            "about:blank",
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
        )
        assert self._process.stderr
        async with asyncio.timeout(30):
            while not (found := re.search(rb"ws://[\d.]+:(\d+)/", await self._process.stderr.readline())):
                pass
        self._drain = asyncio.create_task(self._process.stderr.read())
        async with self._session.get(f"http://127.0.0.1:{int(found[1])}/json/list") as answer:
            tab = next(tab for tab in await answer.json() if tab["type"] == "page")
        self._socket = await self._session.ws_connect(tab["webSocketDebuggerUrl"], max_msg_size=0)
        self._reader = asyncio.create_task(self._read())
        for domain in ("Page", "Runtime", "Network", "Log"):
            await self.send(f"{domain}.enable")
        await self.send("Network.setUserAgentOverride", userAgent=USER_AGENT)
        return self

    async def __aexit__(self, *_exc: object) -> None:
        if self._socket:
            await self._socket.close()
        if self._reader:
            await asyncio.gather(self._reader, return_exceptions=True)
        await self._session.close()
        if self._process and self._process.returncode is None:
            self._process.kill()
            await self._process.wait()
        await asyncio.gather(self._drain, return_exceptions=True)
        shutil.rmtree(self._profile, ignore_errors=True)

    async def _read(self) -> None:
        assert self._socket
        async for message in self._socket:
            document = json.loads(message.data)
            if future := self._waiting.pop(document.get("id", 0), None):
                if "error" in document:
                    future.set_exception(RuntimeError(document["error"]["message"]))
                else:
                    future.set_result(document["result"])
            elif document.get("method") == "Runtime.exceptionThrown":
                self.errors.append(document["params"]["exceptionDetails"].get("text", "exception"))
            elif document.get("method") == "Log.entryAdded" and document["params"]["entry"]["level"] == "error":
                self.errors.append(document["params"]["entry"]["text"])

    async def send(self, method: str, **parameters: Any) -> Any:
        """One DevTools command and its result."""
        assert self._socket
        self._number += 1
        future = self._waiting[self._number] = asyncio.get_running_loop().create_future()
        await self._socket.send_json({"id": self._number, "method": method, "params": parameters})
        async with asyncio.timeout(20):
            return await future

    async def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression in the page; promises are awaited."""
        result = await self.send("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        assert "exceptionDetails" not in result, result["exceptionDetails"]
        return result["result"].get("value")

    async def goto(self, url: str) -> None:
        """Open ``url`` and wait until it is loaded."""
        await self.send("Page.navigate", url=url)
        await self.until(
            f"location.href.startsWith({json.dumps(url.split('#', maxsplit=1)[0])}) && document.readyState === 'complete'"
        )

    async def until(self, condition: str, timeout_s: float = 15.0) -> None:
        """Wait until a JavaScript condition holds; TimeoutError names it."""
        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    try:
                        if await self.evaluate(condition):
                            return
                    except (AssertionError, RuntimeError):
                        pass  # between two pages there is nothing to ask
                    await asyncio.sleep(_STEP_S)
        except TimeoutError:
            raise TimeoutError(f"did not come true: {condition}") from None

    async def click(self, selector: str) -> None:
        """Click an element as a visitor does; navigation may follow."""
        await self.until(f"document.querySelector({json.dumps(selector)}) !== null")
        await self.evaluate(f"setTimeout(() => document.querySelector({json.dumps(selector)}).click(), 0), true")

    async def cookies(self) -> dict[str, dict[str, Any]]:
        """All cookies by name, with their attributes."""
        return {cookie["name"]: cookie for cookie in (await self.send("Network.getAllCookies"))["cookies"]}

    async def screenshot(self, path: Path) -> None:
        """A picture of the visible page."""
        data = (await self.send("Page.captureScreenshot"))["data"]
        await asyncio.to_thread(path.write_bytes, base64.b64decode(data))
