"""The connection to TikTok (io).

Law: the token goes to the configured endpoint and nowhere else – redirects are answers, never followed; nothing is decompressed; at most 1 MiB of an answer is
read. What happens is returned as a verdict, never raised, except cancellation.
"""

import asyncio
import time
from typing import NamedTuple

import aiohttp

from gateway.delivery.settings import DeliverySettings
from gateway.delivery.verdict import Verdict, failure, judge
from gateway.outcome import Reason
from gateway.telemetry.metrics import Metrics

MAX_ANSWER = 1 << 20


class Reply(NamedTuple):
    """A verdict and how long it took."""

    verdict: Verdict
    seconds: float


class Client:
    """Posts bodies to TikTok. One per process: connections are shared between lanes."""

    def __init__(self, settings: DeliverySettings, metrics: Metrics) -> None:
        self._endpoint = settings.endpoint
        self._timeout = aiohttp.ClientTimeout(total=settings.timeout)
        self._metrics = metrics
        self._interval_s = 1.0 / settings.rate_limit
        self._next_slot = 0.0
        self._session: aiohttp.ClientSession | None = None

    async def post(self, integration: str, token: str, body: bytes) -> Reply:
        """Send one request and judge what comes back."""
        await self._pace()
        begin = time.monotonic()
        try:
            verdict = await self._post(token, body)
        except TimeoutError:
            verdict = failure(Reason.TIMEOUT)
        except (aiohttp.ClientError, OSError, ValueError):
            verdict = failure(Reason.CONNECTION)
        seconds = time.monotonic() - begin
        self._metrics.delivery_request(integration, verdict.code, seconds)
        return Reply(verdict, seconds)

    async def close(self) -> None:
        """Close all connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    async def _pace(self) -> None:
        now = time.monotonic()
        slot = max(now, self._next_slot)
        self._next_slot = slot + self._interval_s
        if slot > now:
            await asyncio.sleep(slot - now)

    async def _post(self, token: str, body: bytes) -> Verdict:
        session = self._session
        if session is None:
            session = self._session = aiohttp.ClientSession(
                timeout=self._timeout,
                auto_decompress=False,
                trust_env=False,
                cookie_jar=aiohttp.DummyCookieJar(),
                connector=aiohttp.TCPConnector(limit=0, ttl_dns_cache=60),
            )
        headers = {"Access-Token": token, "Content-Type": "application/json", "Accept-Encoding": "identity"}
        async with session.post(self._endpoint, data=body, headers=headers, allow_redirects=False) as response:
            answer = b""
            async for piece in response.content.iter_any():
                answer += piece
                if len(answer) > MAX_ANSWER:
                    response.close()
                    answer = b""  # nothing TikTok says is that long
                    break
            return judge(response.status, response.headers, answer, time.time())
