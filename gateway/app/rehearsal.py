"""One event through the real parts, in memory (io: the loop only; nothing is stored, nothing is sent).

Law: what is shown is what would happen: the same collector, gate, sealer and mapping as in ``run``, fed one request per event and asked for what they made
of it. Nothing of this module runs in the gateway itself.
"""

import secrets
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import orjson
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.catalog.runtime import Catalogue, Live
from gateway.config.settings import GatewaySettings
from gateway.consent.signals import RequestReader
from gateway.edge import cookies
from gateway.edge.address import Addresses
from gateway.edge.answer import Answer, Deferred
from gateway.edge.collect import Collector
from gateway.edge.head import Head
from gateway.errors import BadInput
from gateway.event import native, signal
from gateway.lane import Lane
from gateway.mapping import rules
from gateway.mapping.compile import Unmapped
from gateway.outcome import WORDS, Outcome, Reason
from gateway.spool.base import Record
from gateway.spool.memory import MemorySpool
from gateway.telemetry.metrics import Metrics

USER_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/126.0.0.0 Safari/537.36"
"""Stands in where no header names one: without it every event would be a bot's."""
_MANY = 1000


class Request(NamedTuple):
    """One event as a browser (or a back end, for native bodies) would send it."""

    event: Any
    headers: Mapping[str, str] = {}
    cookies: Mapping[str, str] = {}


class Rehearsal:
    """Collects into memory and shows what is there."""

    def __init__(self, settings: GatewaySettings, catalogue: Catalogue) -> None:
        self.spool = MemorySpool()
        self.live = Live(catalogue)
        self.metrics = Metrics()
        self._settings = settings
        self._collector = Collector(
            live=self.live,
            prefix=settings.edge.prefix,
            consent=settings.consent,
            cookie_settings=settings.cookies,
            allowed_origins=settings.edge.allowed_origins,
            metrics=self.metrics,
            now=time.time,
            entropy=secrets.token_bytes,
            purge=lambda _owner, _reason: None,
        )
        self._collector.spool = self.spool

    async def collect(self, request: Request) -> Answer:
        """The edge's answer; what it accepted is in the spool."""
        body = orjson.dumps(request.event)
        headers = self._headers(request, native=is_native(request.event))
        path = f"{self._settings.edge.prefix}/{'open_api/v1.3/event/track/' if is_native(request.event) else 'e'}"
        raw = tuple((name.encode(), value.encode("utf-8", "surrogateescape")) for name, value in headers.items())
        head = Head("POST", path.encode(), path, "", CIMultiDictProxy(headers), raw, (1, 1))
        address = self._settings.edge.client_ip
        resolver = Addresses(address.trusted_proxies, address.header, address.trusted_hops)
        answer = self._collector.handle(head, body, resolver.resolve(resolver.key("127.0.0.1", CIMultiDictProxy(headers))))
        if isinstance(answer, Deferred):
            await answer.future
            return answer.answer
        return answer

    async def explain(self, request: Request) -> dict[str, Any]:
        """What became of one event: the answer, the consent signals, and per integration the sealed event and TikTok's payload or the reason for none."""
        before = self.metrics.outcomes()
        answer = await self.collect(request)
        reply = orjson.loads(answer.body) if answer.body else {}
        fates = {key: count - before.get(key, 0) for key, count in self.metrics.outcomes().items() if count > before.get(key, 0)}
        integrations = [await self._shown(record) for record in await self._records()]
        integrations += [
            _dropped(integration, outcome, Reason(reason))
            for (_, integration, outcome, reason) in fates
            if outcome != Outcome.ACCEPTED
        ]
        return {
            "parsed": _parsed(request.event),
            "answer": {"status": answer.status, "body": reply},
            "consent": self._signals(request),
            "integrations": integrations,
        }

    async def _records(self) -> list[Record]:
        return [record for lane in await self.spool.lanes() for record in await self.spool.lease(lane, _MANY, 1 << 24, 0.0)]

    async def _shown(self, record: Record) -> dict[str, Any]:
        lane = Lane.parse(record.lane)
        integration = self.live.current.integrations[lane.integration]
        sealed = orjson.loads(record.payload)
        mapped = integration.program.apply(sealed)
        shown: dict[str, Any] = {
            "integration": lane.integration,
            "test_event_code": lane.test_code,
            "sealed": sealed,
            "needs_consent": list(integration.consent),
        }
        if isinstance(mapped, Unmapped):
            return shown | _dropped(lane.integration, mapped.outcome, mapped.reason, mapped.detail)
        findings = [*mapped.findings, *map(str, rules.check(mapped.item))]
        notes = [] if integration.access_token else ["the integration has no access token: the event would queue up and wait"]
        return shown | {"outcome": "sent", "reason": "", "detail": "", "payload": mapped.item, "findings": findings + notes}

    def _signals(self, request: Request) -> dict[str, Any]:
        """What the request itself says about consent, before the event's own ``context.consent``."""
        reader = RequestReader(self._settings.consent)
        headers = self._headers(request, native=False)
        found = reader.read(cookies.read(headers.get("Cookie", ""), reader.cookie_names), headers.get("Sec-GPC"))
        context = request.event.get("context") if isinstance(request.event, dict) else None
        said = context.get("consent") if isinstance(context, dict) else None
        return {
            "default": self._settings.consent.default,
            "event": said if isinstance(said, dict) else None,
            "cookies": dict(found.categories),
            "cookies_read": found.source,
            "gpc": found.gpc,
        }

    def _headers(self, request: Request, *, native: bool) -> "CIMultiDict[str]":
        headers = CIMultiDict({str(name): str(value) for name, value in request.headers.items()})
        domains = [domain for pipeline in self.live.current.pipelines for domain in pipeline.settings.domains]
        headers.setdefault("Host", domains[0].removeprefix("*.") if domains else "localhost")
        headers.setdefault("User-Agent", USER_AGENT)
        if request.cookies:
            headers["Cookie"] = "; ".join(f"{name}={value}" for name, value in request.cookies.items())
        if native:
            pixel = request.event.get("event_source_id")
            tokens = [each.access_token for each in self.live.current.integrations.values() if each.pixel_code == pixel]
            secrets_ = [pipeline.secret.decode() for pipeline in self.live.current.pipelines]
            headers.setdefault("Access-Token", next(filter(None, tokens + secrets_), ""))
        return headers


def is_native(event: Any) -> bool:
    """Whether it has the shape of TikTok's own Events API body."""
    return isinstance(event, dict) and isinstance(event.get("data"), list) and "event_source_id" in event


def _parsed(event: Any) -> dict[str, Any]:
    """How the event was understood; identity by its fields' names only."""
    try:
        parsed = native.parse(event, orjson.dumps(event)) if is_native(event) else signal.parse(event, None)
    except BadInput as error:
        return {"error": error.detail}
    if not parsed.events:
        return {"error": "; ".join(rejection.detail for rejection in parsed.rejected)}
    found = parsed.events[0]
    return {
        "wire": found.wire,
        "type": found.type,
        "name": found.name,
        "event_id": found.event_id,
        "time": found.timestamp,
        "identity": sorted(found.identity),
        "properties": sorted(found.properties),
        "page": found.page.get("url", ""),
    }


def _dropped(integration: str, outcome: str, reason: Reason, detail: str = "") -> dict[str, Any]:
    return {"integration": integration, "outcome": str(outcome), "reason": str(reason), "detail": detail or WORDS[reason]}
