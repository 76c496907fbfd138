"""Anything as input: ``python -m benchmarks.faults.inputs [--seconds 60] [--seed 1]`` (the loop only: nothing is stored, nothing is sent).

Bodies, headers, cookies and URLs, mutated from sound ones, go through the whole collector – parser, consent, click and browser id capture, sealer, intake – and what was accepted through
the mapping. Nothing may raise, answer 5xx, take a second, or let an e-mail address through.
"""

import argparse
import asyncio
import random
import secrets
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import orjson
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import Live, compile_catalogue
from gateway.consent.settings import ConsentSettings
from gateway.edge.address import Addresses
from gateway.edge.answer import Answer, Deferred
from gateway.edge.collect import Collector
from gateway.edge.head import Head
from gateway.edge.settings import CookieSettings
from gateway.mapping.compile import Unmapped
from gateway.spool.memory import MemorySpool
from gateway.telemetry.metrics import Metrics

_SLOW_S = 1.0
_MAIL = b"jane.doe@mail.example"
_EVENT: dict[str, Any] = {
    "type": "track",
    "event": "Order Completed",
    "messageId": "m-1",
    "anonymousId": "a-1",
    "userId": "u-1",
    "timestamp": "2026-11-23T12:00:00.123Z",
    "traits": {"email": _MAIL.decode(), "phone": "+12133734253"},
    "properties": {"value": "99.95", "currency": "EUR", "order_id": "1", "note": f"ask {_MAIL.decode()}", "products": [{"product_id": 1, "price": 9}]},
    "context": {
        "page": {"url": f"https://shop.example/t?ttclid=E.C.P.x&mail={_MAIL.decode()}#a", "referrer": "https://www.tiktok.com/"},
        "consent": {"marketing": True},
        "campaign": {"name": "x"},
    },
}  # fmt: skip
_NATIVE: dict[str, Any] = {
    "event_source": "web",
    "event_source_id": "C4ABCDEF1234567890AB",
    "data": [{"event": "Purchase", "event_time": 1795435200, "event_id": "1", "user": {"email": _MAIL.decode()}, "page": {"url": "https://shop.example/"}}],
}  # fmt: skip
_COOKIES = (
    "_ttp=2NbVBtlA8nqwZQ8aJvWq3yJ0uRz; ttclid=E.C.P.CrQBd5qRz; OptanonConsent=groups=C0001%3A1%2CC0004%3A1&isGpcEnabled=0; "
    "CookieConsent={stamp:%27x%27%2Cmarketing:true}; _dfid=7f1c2a54-6a1e-4a6e-9e0e-5b1d7c0a9f11"
)
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"
_ODD: tuple[Any, ...] = (
    None, True, 0, -1, 1e308, -0.0, 2**63, 2**70, "", " ", "\x00", "\ud800", "\u202e", "٣", "%", "%25%25", "=" * 300, "a" * 9000, [], {}, [[]], {"": ""},
    "https://[::1", "http://user:pw@shop.example/", "//", "?", "ttclid=", "1970-01-01", "99999-99-99T99:99:99Z", "NaN", float("1e-400"),
)  # fmt: skip
_PATHS = (
    "e",
    "v1/t",
    "v1/p",
    "v1/i",
    "v1/g",
    "v1/batch",
    "v1/c",
    "v1/events",
    "api/v2/pixel",
    "api/v2/pixel/act",
    "open_api/v1.3/event/track/",
)


@dataclass(slots=True)
class Figures:
    """What came out."""

    requests: int = 0
    accepted: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    crashes: list[str] = field(default_factory=list)
    leaks: int = 0
    slowest_s: float = 0.0

    @property
    def kept(self) -> bool:
        """Whether all promises were kept."""
        fives = sum(n for status, n in self.statuses.items() if status >= 500)
        return not (self.crashes or self.leaks or fives) and self.slowest_s < _SLOW_S


class Run:
    """One collector and its dice."""

    def __init__(self, seed: int) -> None:
        self._chance = random.Random(seed)
        self.figures = Figures()
        integration = IntegrationSettings(
            id="tt", pixel_code="C4ABCDEF1234567890AB", access_token="t", default_action="passthrough"
        )
        pipeline = PipelineSettings(
            id="shop", key="k", secret="s", integrations=["tt"], default_region="GB", rate_limit=10_000_000, server_consent="asserted"
        )  # fmt: skip
        self._live = Live()
        self._collector = Collector(
            live=self._live,
            prefix="/gw",
            consent=ConsentSettings(),
            cookie_settings=CookieSettings(),
            allowed_origins=[],
            metrics=Metrics(),
            now=time.time,
            entropy=secrets.token_bytes,
            purge=lambda _owner, _reason: None,
        )
        self._live.swap(compile_catalogue([pipeline], [integration], b"k" * 32))
        self._program = self._live.current.integrations["tt"].program
        self._addresses = Addresses()

    def _bent(self, value: Any, depth: int = 0) -> Any:
        """A sound document with something odd in it, here and there."""
        chance = self._chance
        if chance.random() < 0.04 * (depth > 0):
            return chance.choice(_ODD)
        if isinstance(value, dict):
            bent = {
                str(self._bent(key, 9)) if chance.random() < 0.02 else key: self._bent(inner, depth + 1)
                for key, inner in value.items()
            }
            if chance.random() < 0.05:
                bent[chance.choice(["email", "phone", "", "ttclid", "value", "event_id", "\u0000"])] = chance.choice(_ODD)
            return bent
        if isinstance(value, list):
            return [self._bent(inner, depth + 1) for inner in value] * chance.choice([1, 1, 1, 0, 3])
        if isinstance(value, str) and chance.random() < 0.05:
            at = chance.randrange(len(value) + 1)
            return value[:at] + str(chance.choice(_ODD)) + value[at:]
        return value

    def _torn(self, raw: bytes) -> bytes:
        """Bytes with some of them replaced, left out or repeated."""
        chance = self._chance
        for _ in range(chance.choice([0, 0, 0, 1, 4])):
            at = chance.randrange(len(raw) + 1)
            raw = chance.choice([
                raw[:at] + chance.randbytes(chance.choice([1, 3])) + raw[at + 1 :], raw[:at], raw[:at] + raw[at // 2 :], raw[at:], raw[:at] + b"[" * 40 + raw[at:],
            ])  # fmt: skip
        return raw

    def _request(self) -> tuple[Head, bytes]:
        chance = self._chance
        native = chance.random() < 0.2
        # ids of their own: what comes again goes no further than that
        number = self.figures.requests
        events = [{**_EVENT, "messageId": f"m-{number}-{n}"} for n in range(2)]
        document = self._bent(
            {**_NATIVE, "data": [{**item, "event_id": f"{number}"} for item in _NATIVE["data"]]} if native else events[0]
        )
        if not native and chance.random() < 0.3:
            document = {"batch": [document, self._bent(events[1])]}
        try:
            body = orjson.dumps(document, option=orjson.OPT_NON_STR_KEYS)
        except orjson.JSONEncodeError:
            body = repr(document).encode("utf-8", "replace")
        body = self._torn(body)
        path = "/gw/" + (_PATHS[-1] if native else chance.choice(_PATHS))
        query, method = "", "POST"
        if chance.random() < 0.15:
            path, method, body = "/gw/" + chance.choice(["px", "v1/pixel/t", "v1/pixel/p", "api/v2/pixel"]), "GET", b""
            query = self._torn(f"k=k&ev=purchase&id={number}&url=https%3A%2F%2Fshop.example%2F%3Fttclid%3Dx&v=9.5&cur=EUR&consent=1&p.a={_MAIL.decode()}".encode()).decode("utf-8", "replace")  # fmt: skip
        fields = CIMultiDict({"Host": "shop.example", "User-Agent": _AGENT})
        fields["Cookie"] = self._torn(_COOKIES.encode()).decode("utf-8", "surrogateescape")
        fields["Referer"] = self._torn(b"https://shop.example/p?ttclid=E.C.P.y&q=1").decode("utf-8", "surrogateescape")
        if native:
            fields["Access-Token"] = "t"
        for name in (
            "Origin",
            "Sec-GPC",
            "Sec-Fetch-Site",
            "X-Consent",
            "X-Timestamp",
            "Content-Encoding",
            "Authorization",
            "X-Forwarded-For",
        ):
            if chance.random() < 0.08:
                fields[name] = str(chance.choice(_ODD)).encode("utf-8", "replace").decode("latin-1")[:300]
        return Head(method, f"{path}?{query}".encode(), path, query, CIMultiDictProxy(fields), (), (1, 1)), body

    async def one(self) -> None:
        """One request, and what was accepted of it on to the payload."""
        figures, spool = self.figures, MemorySpool()
        self._collector.spool = spool
        head, body = self._request()
        client = self._addresses.resolve(self._addresses.key("127.0.0.1", head.headers))
        begin = time.perf_counter()
        try:
            answer = self._collector.handle(head, body, client)
            if isinstance(answer, Deferred):
                await answer.future
                answer = answer.answer
            self._note(answer)
            for lane in await spool.lanes():
                for record in await spool.lease(lane, 1000, 1 << 30, 0.0):
                    figures.accepted += 1
                    mapped = self._program.apply(orjson.loads(record.payload))
                    sent = b"" if isinstance(mapped, Unmapped) else orjson.dumps(mapped.item)
                    figures.leaks += _MAIL in record.payload or _MAIL in sent
        except Exception as error:  # noqa: BLE001 - this is what is looked for
            figures.crashes.append(f"{type(error).__name__} at request {figures.requests}: {error}"[:200])
        figures.slowest_s = max(figures.slowest_s, time.perf_counter() - begin)
        figures.requests += 1

    def _note(self, answer: Answer) -> None:
        self.figures.statuses[answer.status] += 1
        lines = answer.headers.split(b"\r\n")
        if any(b"\r" in line or b"\n" in line or b"\x00" in line for line in lines):
            self.figures.crashes.append("a header line with a control character")


async def run(seconds: float, seed: int, most: int = 1 << 60) -> Figures:
    """Requests for ``seconds``, ``most`` at most."""
    made = Run(seed)
    end = time.monotonic() + seconds
    while time.monotonic() < end and made.figures.requests < most:
        await made.one()
    return made.figures


def main() -> None:
    """Print the figures; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.inputs", description="Anything as input.")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    found = asyncio.run(run(args.seconds, args.seed))
    print(
        f"{found.requests:,} requests (seed {args.seed}), {found.accepted:,} records: {len(found.crashes)} crashes, {found.leaks} leaks, statuses "
        f"{dict(sorted(found.statuses.items()))}, the slowest {found.slowest_s * 1000:.0f} ms"
    )
    for crash in found.crashes[:10]:
        print(f"  {crash}")
    sys.exit(0 if found.kept else 1)


if __name__ == "__main__":
    main()
