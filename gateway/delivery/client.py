"""The connection to TikTok (io).

Law: the token goes to the configured endpoint and nowhere else – redirects are answers, never followed; nothing is decompressed; at most 1 MiB of an answer is
read. What happens is returned as a verdict, never raised, except cancellation.
"""

import asyncio
import io
import re
import time
from typing import NamedTuple

import aiohttp

from gateway import __version__
from gateway.delivery.settings import DeliverySettings
from gateway.delivery.verdict import Verdict, failure, judge, unusable_token
from gateway.outcome import Reason
from gateway.telemetry.metrics import Metrics

MAX_ANSWER = 1 << 20
_IN_ONE_PIECE = 128 << 10
_SENDABLE = re.compile(r"[\x21-\x7e]+")
_HEADERS = {"Content-Type": "application/json", "Accept-Encoding": "identity", "User-Agent": f"ttgateway/{__version__}"}
_TRUST = "Check delivery.endpoint, the machine's clock and its certificate store; something may be intercepting TLS."
_WORDS: tuple[tuple[type[Exception], str, str], ...] = (
    (aiohttp.ClientConnectorCertificateError, "the certificate is not trusted", _TRUST),
    (aiohttp.ClientSSLError, "no TLS connection could be made", _TRUST),
    (aiohttp.ClientConnectorDNSError, "the name cannot be resolved", "Check delivery.endpoint and DNS."),
    (aiohttp.ClientConnectorError, "refused or unreachable", "Check delivery.endpoint, egress rules and firewalls."),
    (aiohttp.InvalidURL, "the address cannot be used", "Check delivery.endpoint."),
    (aiohttp.ClientPayloadError, "the answer was cut short", ""),
    (aiohttp.ServerDisconnectedError, "closed before an answer came", ""),
    (aiohttp.ClientResponseError, "the answer was not HTTP", "Check delivery.endpoint and what stands between."),
)
"""The narrower kind comes first."""


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
        self._rate_limit = settings.rate_limit
        self._interval_s = 1.0 / settings.rate_limit
        self._next_slot = 0.0
        self._session: aiohttp.ClientSession | None = None

    async def post(self, integration: str, token: str, body: bytes) -> Reply:
        """Send one request and judge what comes back."""
        if not _SENDABLE.fullmatch(token):
            return Reply(unusable_token(), 0.0)
        await self._pace()
        begin = time.monotonic()
        try:
            verdict = await self._post(token, body)
        except TimeoutError:
            verdict = failure(Reason.TIMEOUT)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            verdict = failure(Reason.CONNECTION, *explain(error))
        seconds = time.monotonic() - begin
        self._metrics.delivery_request(integration, verdict.label, seconds)
        return Reply(verdict, seconds)

    def share(self, pods: int) -> None:
        """The rate limit is divided among so many deliverers."""
        self._interval_s = pods / self._rate_limit

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
        headers = _HEADERS | {"Access-Token": token}
        # Large bodies go out in pieces, so that writing one does not hold up the loop.
        data = body if len(body) <= _IN_ONE_PIECE else io.BytesIO(body)
        async with session.post(self._endpoint, data=data, headers=headers, allow_redirects=False) as response:
            answer = b""
            async for piece in response.content.iter_any():
                answer += piece
                if len(answer) > MAX_ANSWER:
                    response.close()
                    answer = b""  # nothing TikTok says is that long
                    break
            return judge(response.status, response.headers, answer, time.time())


def explain(error: Exception) -> tuple[str, str]:
    """(what went wrong, cure) in fixed words: an error's own text could hold addresses or headers."""
    for kind, sentence, cure in _WORDS:
        if isinstance(error, kind):
            return sentence, cure
    return "", ""
