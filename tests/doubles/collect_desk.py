"""A collector at a desk: real rooms around an in-memory spool, a clock and an entropy that tests can read."""

import asyncio
import itertools
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import Live, compile_catalogue
from gateway.consent.settings import ConsentSettings
from gateway.edge.address import Client
from gateway.edge.answer import Deferred
from gateway.edge.collect import Collector
from gateway.edge.head import Head
from gateway.edge.plain import UNREAD
from gateway.edge.settings import CookieSettings
from gateway.mapping.compile import Mapped
from gateway.mapping.prepared import Prepared
from gateway.outcome import Reason
from gateway.spool.base import NewRecord
from gateway.spool.memory import MemorySpool
from gateway.telemetry.metrics import Metrics

NOW = 1_795_442_400.0  # 2026-11-23T14:00:00Z
BROWSER = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 Safari/537.36"
PIPELINE: dict[str, Any] = {
    "id": "shop",
    "key": "dk_shop",
    "domains": ["shop.example.com"],
    "integrations": ["tt"],
    "default_region": "GB",
}
INTEGRATION: dict[str, Any] = {"id": "tt", "pixel_code": "C4ABC", "access_token": "tiktok-token"}
GRANTED = {"consent": {"marketing": True}}


@dataclass
class Reply:
    """An answer, taken apart."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    deferred: bool = False

    @property
    def json(self) -> Any:
        return orjson.loads(self.body)

    @property
    def reason(self) -> str:
        return str(self.json["error"]["reason"])

    def all(self, name: str) -> list[str]:
        return [value for key, value in self.headers if key.lower() == name.lower()]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def cookies(self) -> dict[str, str]:
        """Name → the rest of the line."""
        return dict(line.split("=", 1) for line in self.all("Set-Cookie"))  # type: ignore[misc]


@dataclass
class Desk:
    """One collector; every argument is a section of the configuration."""

    pipelines: Sequence[dict[str, Any]] = (PIPELINE,)
    integrations: Sequence[dict[str, Any]] = (INTEGRATION,)
    consent: dict[str, Any] = field(default_factory=dict)
    cookie_settings: dict[str, Any] = field(default_factory=dict)
    allowed_origins: Sequence[str] = ()
    spool: MemorySpool | None = field(default_factory=MemorySpool)
    now: float = NOW
    host: str = "shop.example.com"
    plain: ClassVar[bool] = False
    """Requests that the plain reader takes come as it reads them."""

    def __post_init__(self) -> None:
        numbers = itertools.count(1)
        self.metrics = Metrics()
        self.purged: list[tuple[str, Reason]] = []
        self.live = Live()
        self.collector = Collector(
            live=self.live,
            prefix="/gw",
            consent=ConsentSettings(**self.consent),
            cookie_settings=CookieSettings(**self.cookie_settings),
            allowed_origins=list(self.allowed_origins),
            metrics=self.metrics,
            now=lambda: self.now,
            entropy=lambda n: next(numbers).to_bytes(n, "big"),
            purge=lambda owner, reason: self.purged.append((owner, reason)),
        )
        self.collector.spool = self.spool
        self.configure(self.pipelines, self.integrations)

    def configure(
        self, pipelines: Sequence[dict[str, Any]], integrations: Sequence[dict[str, Any]], off: Sequence[str] = ()
    ) -> None:
        """Put another catalogue in force."""
        self.live.swap(
            compile_catalogue(
                [PipelineSettings(**entry) for entry in pipelines],
                [IntegrationSettings(**entry) for entry in integrations],
                b"k" * 32,
                off,
            )
        )

    def request(self, method: str, target: str, headers: dict[str, str]) -> Head:
        path, _, query = target.partition("?")
        fields = CIMultiDict({"Host": self.host, "User-Agent": BROWSER, **headers})
        if self.plain and method == "POST" and not query and all(value.isascii() and value.strip() for value in fields.values()):
            plain = {name.lower(): value.strip() for name, value in fields.items() if name.lower() not in UNREAD}
            return Head(method, target.encode(), path, "", plain, (), (1, 1))
        return Head(method, target.encode("utf-8", "replace"), path, query, CIMultiDictProxy(fields), (), (1, 1))

    def client(self, ip: str = "8.8.4.4", scheme: str = "https", host: str | None = None) -> Client:
        return Client(ip, ip, scheme, self.host if host is None else host)

    async def send(self, method: str, target: str, body: Any = b"", *, client: Client | None = None, **headers: str) -> Reply:
        """One request below the prefix; header names with ``_`` for ``-``. Waits for the commit."""
        raw = body if isinstance(body, bytes) else orjson.dumps(body)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        answer = self.collector.handle(
            self.request(method, "/gw/" + target, named), raw, client or self.client(host=named.get("Host"))
        )
        deferred = isinstance(answer, Deferred)
        if isinstance(answer, Deferred):
            try:
                await answer.future
                answer = answer.answer
            except Exception as error:  # noqa: BLE001 - as the protocol does
                answer = answer.on_failure(error)
            await asyncio.sleep(0)
        lines = answer.headers.decode("ascii").split("\r\n")
        assert lines.pop() == ""
        assert all(line.isprintable() for line in lines)
        return Reply(
            answer.status, [(name, value) for name, _, value in (line.partition(": ") for line in lines)], answer.body, deferred
        )

    async def post(self, path: str, document: Any, **headers: str) -> Reply:
        return await self.send("POST", path, document, **headers)  # type: ignore[arg-type]

    async def sealed(self, lane: str = "tt") -> list[dict[str, Any]]:
        """What waits in a lane, decoded."""
        assert self.spool is not None
        found = []
        for record in await self.spool.lease(lane, 10_000, 1 << 30, 0.0):
            sealed = orjson.loads(record.payload)
            if isinstance(ready := record.beside, Prepared):
                mapped = ready.program.apply(orjson.loads(record.payload))
                assert isinstance(mapped, Mapped)
                assert (ready.event_id, ready.data) == (sealed["event_id"], orjson.dumps(mapped.item))
            found.append(sealed)
        return found

    def outcomes(self) -> Counter[tuple[str, str, str, str]]:
        """(pipeline, integration, outcome, reason) → count."""
        return Counter(self.metrics.outcomes())

    def fates(self) -> Counter[tuple[str, str]]:
        """(outcome, reason) → count."""
        sums: Counter[tuple[str, str]] = Counter()
        for (_, _, outcome, reason), count in self.outcomes().items():
            sums[str(outcome), str(reason)] += count
        return sums


class FailingCommits(MemorySpool):
    """Takes records and then fails to make them durable."""

    def __init__(self, error: BaseException) -> None:
        super().__init__()
        self.error = error

    def put(self, records: Sequence[NewRecord]) -> "asyncio.Future[None]":
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_exception(self.error)
        return future


def event(name: str = "Order Completed", **more: Any) -> dict[str, Any]:
    """A consented Signal event."""
    return {
        "type": "track",
        "event": name,
        "messageId": "m-1",
        "context": dict(GRANTED),
        "properties": {"value": 5, "currency": "EUR"},
        **more,
    }
