"""The first-party endpoints: a request's head and body in, an answer out.

Law: no aiohttp types, no awaiting: an answer is ready at once or waits only for its commit. Every bad input has a 4xx with a reason; nothing here raises to the
protocol. Endpoints are a table; what a browser may do is decided before its body is read into events.
"""

import zlib
from collections.abc import Callable, Mapping
from urllib.parse import parse_qs

from gateway.catalog.runtime import Catalogue, Live, Pipeline
from gateway.consent.gate import Decision, Gate
from gateway.consent.settings import ConsentSettings
from gateway.consent.signals import RequestReader, RequestSignals
from gateway.edge import answer, cookies
from gateway.edge.address import Client
from gateway.edge.answer import Answer, Deferred
from gateway.edge.head import Head
from gateway.edge.intake import Intake, Taken
from gateway.edge.origin import Origins, host_only
from gateway.edge.rate import RateLimit
from gateway.edge.server_side import ServerSide
from gateway.edge.settings import CookieSettings
from gateway.edge.visitor import OWN_COOKIES, VisitorCookies
from gateway.errors import BadInput, SpoolUnavailable
from gateway.event import image, jsonbody, pixel, signal
from gateway.event.model import Event, Parsed, Rejection
from gateway.identity import click_id
from gateway.identity.seal import Visitor, owner
from gateway.outcome import Reason
from gateway.spool.base import Spool
from gateway.telemetry.metrics import Metrics

MAX_BODY = 1 << 20
"""Bytes of a body, inflated."""
_ADDRESS_SHARE = 4
"""One address may use a quarter of its pipeline's rate."""
Handler = Callable[[Head, bytes, Client], "Answer | Deferred"]


class Collector:
    """Answers the first-party endpoints below one prefix."""

    def __init__(
        self,
        *,
        live: Live,
        prefix: str,
        consent: ConsentSettings,
        cookie_settings: CookieSettings,
        allowed_origins: list[str],
        metrics: Metrics,
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
        purge: Callable[[str, Reason], None],
    ) -> None:
        """``purge`` removes an owner's records in the background; ``entropy(n)`` gives n random bytes."""
        self._live = live
        self._gate = Gate(consent)
        self._signals = RequestReader(consent)
        self._cookie_names = OWN_COOKIES | self._signals.cookie_names
        self._visitors = VisitorCookies(cookie_settings, entropy)
        self._origins = Origins(allowed_origins)
        self._rate = RateLimit()
        self._now = now
        self._purge = purge
        self._intake = Intake(metrics, now, entropy)
        server = ServerSide(live, self._gate, self._intake, now, entropy)
        self._routes: dict[str, dict[str, Handler]] = {}
        for path, kind in (("v1/t", "t"), ("v1/p", "p"), ("v1/i", "i"), ("v1/g", "g"), ("v1/batch", None), ("e", None)):
            self._routes[f"{prefix}/{path}"] = {"POST": self._signal(kind)}
        for path, kind in (("px", None), ("v1/pixel/t", "t"), ("v1/pixel/p", "p")):
            self._routes[f"{prefix}/{path}"] = {"GET": self._image(kind)}
        self._routes[f"{prefix}/v1/c"] = {"POST": self._consent}
        self._routes[f"{prefix}/v1/events"] = {"POST": self._inflated(server.signed)}
        for path in ("open_api/v1.3/event/track/", "open_api/v1.3/event/track"):
            self._routes[f"{prefix}/{path}"] = {"POST": self._inflated(server.native)}
        for path in ("api/v2/pixel", "api/v2/pixel/act"):
            act = path.endswith("act")
            self._routes[f"{prefix}/{path}"] = {"POST": self._pixel(act=act), "GET": self._pixel_message}
        for path in ("api/v2/pixel/inter", "api/v2/pixel/perf", "api/v2/pixel/enrich_ipv6", "api/v2/monitor"):
            # The pixel's own bookkeeping: taken so that it does not fail, and ignored.
            ignored: Handler = lambda _head, _body, _client: Answer(200, answer.JSON, answer.SUCCESS_BODY)  # noqa: E731
            self._routes[f"{prefix}/{path}"] = {"POST": ignored, "GET": ignored}
        live.listeners.append(self._origins.forget)

    @property
    def spool(self) -> Spool | None:
        """Where records go; None answers 503."""
        return self._intake.spool

    @spool.setter
    def spool(self, spool: Spool | None) -> None:
        self._intake.spool = spool

    def reconfigure(self, consent: ConsentSettings) -> None:
        """Put new consent rules in force (a reload)."""
        self._gate = Gate(consent)
        self._signals = RequestReader(consent)
        self._cookie_names = OWN_COOKIES | self._signals.cookie_names

    def handle(self, head: Head, body: bytes, client: Client) -> Answer | Deferred:
        """The answer to one complete request below the prefix."""
        methods = self._routes.get(head.path)
        if methods is None:
            return answer.NOT_FOUND
        handler = methods.get(head.method)
        try:
            if handler is not None:
                return handler(head, body, client)
            if head.method == "OPTIONS":
                return self._preflight(head, client, methods)
            if head.method == "HEAD" and "GET" in methods:
                return Answer(200, answer.JSON)
        except BadInput as error:
            return self._refused(error, head, client)
        except SpoolUnavailable as error:
            return self._unavailable(error, head, client)
        allow = ", ".join(sorted({*methods, "OPTIONS"}))
        return answer.json_answer(
            405,
            {"success": False, "error": {"reason": "method_not_allowed", "message": f"use {allow}"}},
            f"Allow: {allow}\r\n".encode(),
        )

    def navigation_cookies(self, head: Head, client: Client) -> tuple[bytes, ...]:
        """Set-Cookie values for a page navigation that passes through: with consent, a new click id or a missing ``_ttp``."""
        catalogue = self._live.current
        if not catalogue.pipelines:
            return ()
        ttclid = click_id.in_url("?" + head.query) if head.query else ""
        jar = self._jar(head)
        if not ttclid and "_ttp" in jar:
            return ()
        try:
            pipeline = catalogue.pipeline("", host_only(client.host))
        except BadInput:
            return ()
        if not pipeline.serves(host_only(client.host)):
            return ()
        decision = self._gate.decide(None, "", self._request_signals(head, jar))
        visitor = self._visitors.visitor(jar, client, "", "")
        if decision.allows("marketing"):
            self._visitors.make_ids(visitor, "")
        lines = self._visitors.lines(jar, visitor, pipeline, decision, ttclid, refresh=False)
        return tuple(line.removeprefix(b"Set-Cookie: ") for line in lines.split(b"\r\n") if line)

    # -- the browser's endpoints

    def _signal(self, kind: str | None) -> Handler:
        single = kind is not None

        def handler(head: Head, body: bytes, client: Client) -> Answer | Deferred:
            document = jsonbody.load(_inflate(head, body))
            return self._browser(head, client, signal.parse(document, kind), single=single)

        return handler

    def _pixel(self, *, act: bool) -> Handler:
        def handler(head: Head, body: bytes, client: Client) -> Answer | Deferred:
            return self._browser(head, client, pixel.parse(jsonbody.load(_inflate(head, body)), act=act))

        return handler

    def _pixel_message(self, head: Head, _body: bytes, client: Client) -> Answer | Deferred:
        message = (
            parse_qs(head.query, max_num_fields=100).get("analytics_message", [""])[0] if head.query.count("&") < 100 else ""
        )
        if not message:
            raise BadInput(Reason.WRONG_SHAPE, "expected ?analytics_message=<base64 JSON>")
        return self._browser(head, client, pixel.parse_message(message))

    def _image(self, kind: str | None) -> Handler:
        def handler(head: Head, _body: bytes, client: Client) -> Answer | Deferred:
            return self._browser(head, client, image.parse(head.query, kind), gif=True)

        return handler

    def _browser(
        self, head: Head, client: Client, parsed: Parsed, *, single: bool = False, gif: bool = False
    ) -> Answer | Deferred:
        headers = head.headers
        pipeline = self._pipeline(self._live.current, parsed.key or _bearer(headers.get("Authorization", "")), client)
        cors = self._origins.headers(pipeline, headers.get("Origin", ""), client.host, headers.get("Sec-Fetch-Site", ""))
        events = parsed.events
        intake = self._intake
        if parsed.rejected:
            intake.count_rejected(pipeline.id, parsed.rejected)
        if not self._admit(pipeline, client, len(events) + len(parsed.rejected)):
            error = BadInput(Reason.RATE_LIMITED, "too many events in this second; try again")
            intake.count_refused(pipeline.id, error, max(1, len(events)))
            return answer.refusal(error.reason, error.detail, cors, retry_after_s=1)
        jar = self._jar(head)
        request = self._request_signals(head, jar)
        visitor: Visitor | None = None
        last: Decision | None = None
        gate = self._gate

        def decide(event: Event) -> Decision:
            nonlocal last
            last = gate.decide(event.consent, event.consent_mode, request)
            return last

        def visit(event: Event, decision: Decision) -> Visitor:
            nonlocal visitor
            if visitor is None:
                visitor = self._visitors.visitor(
                    jar, client, headers.get("User-Agent", "") or event.user_agent, headers.get("Referer", "")
                )
                if decision.allows("marketing"):
                    self._visitors.make_ids(visitor, event.anonymous_id)
            return visitor

        taken = intake.take(pipeline, events, decide, visit)
        extra = cors
        if last is not None:
            extra += self._cookies(jar, visitor, pipeline, last, events, client)
        success = self._answer(taken, parsed.rejected, extra, single=single, gif=gif)
        if not taken.records:
            return success
        future = intake.put(taken)
        return Deferred(future, success, lambda error: self._failed(error, cors))

    def _cookies(
        self,
        jar: Mapping[str, str],
        visitor: Visitor | None,
        pipeline: Pipeline,
        decision: Decision,
        events: list[Event],
        client: Client,
    ) -> bytes:
        if visitor is None:
            if not (jar and decision.explicitly_denied("marketing")):
                return b""
            visitor = self._visitors.visitor(jar, client, "", "")
        refresh, ttclid = False, ""
        for event in events:
            refresh = refresh or event.type == "page"
            ttclid = (
                click_id.in_url(event.page.get("url", "")) or (event.ttclid if click_id.valid(event.ttclid) else "") or ttclid
            )
        return self._visitors.lines(jar, visitor, pipeline, decision, ttclid or click_id.in_url(visitor.referer), refresh=refresh)

    def _answer(self, taken: Taken, rejected: list[Rejection], headers: bytes, *, single: bool, gif: bool) -> Answer:
        if gif:
            return answer.gif(headers)
        rejected = (
            [r for r in rejected if r.reason is not Reason.AUTOMATIC_EVENT] + taken.rejected
            if rejected or taken.rejected
            else rejected
        )
        if single:
            if rejected:
                return answer.refusal(rejected[0].reason, rejected[0].detail, headers)
            return Answer(200, answer.JSON + headers, answer.SUCCESS_BODY)
        if not rejected:
            body = b'{"success":true,"accepted":%d,"filtered":%d,"rejected":[]}' % (taken.accepted_events, taken.filtered_events)
            return Answer(200, answer.JSON + headers, body)
        document = {
            "success": True, "accepted": taken.accepted_events, "filtered": taken.filtered_events,
            "rejected": [{"index": r.at, "reason": r.reason, "message": r.detail} for r in rejected],
        }  # fmt: skip
        return answer.json_answer(200, document, headers)

    def _consent(self, head: Head, body: bytes, client: Client) -> Answer | Deferred:
        categories, anonymous_id, key = signal.parse_consent(jsonbody.load(_inflate(head, body)))
        headers = head.headers
        pipeline = self._pipeline(self._live.current, key or _bearer(headers.get("Authorization", "")), client)
        cors = self._origins.headers(pipeline, headers.get("Origin", ""), client.host, headers.get("Sec-Fetch-Site", ""))
        if not self._admit(pipeline, client, 1):
            return answer.refusal(Reason.RATE_LIMITED, "too many requests in this second; try again", cors, retry_after_s=1)
        jar = self._jar(head)
        decision = self._gate.decide(categories, "", self._request_signals(head, jar))
        visitor = self._visitors.visitor(jar, client, "", headers.get("Referer", ""))
        if decision.explicitly_denied("marketing"):
            for known in {visitor.anonymous_id, anonymous_id} - {""}:
                self._purge(owner(known), Reason.WITHDRAWN)
            return Answer(204, cors + self._visitors.expired(jar, pipeline, visitor))
        if decision.allows("marketing"):
            self._visitors.make_ids(visitor, anonymous_id)
        ttclid = click_id.in_url(visitor.referer)
        return Answer(204, cors + self._visitors.lines(jar, visitor, pipeline, decision, ttclid, refresh=False))

    # -- shared steps

    def _pipeline(self, catalogue: Catalogue, key: str, client: Client) -> Pipeline:
        if not catalogue.pipelines:
            raise SpoolUnavailable(
                Reason.SPOOL_UNAVAILABLE, "no pipeline is configured (or the configuration has problems; see the log)", 30
            )
        return catalogue.pipeline(key, host_only(client.host))

    def _admit(self, pipeline: Pipeline, client: Client, n: int) -> bool:
        now, limit = self._now(), pipeline.settings.rate_limit
        return self._rate.admit((pipeline.id, client.ip), max(1, limit // _ADDRESS_SHARE), now, n) and self._rate.admit(
            pipeline.id, limit, now, n
        )

    def _jar(self, head: Head) -> dict[str, str]:
        header = head.headers.get("Cookie")
        return cookies.read(header, self._cookie_names) if header else {}

    def _request_signals(self, head: Head, jar: Mapping[str, str]) -> RequestSignals:
        return self._signals.read(jar, head.headers.get("Sec-GPC"))

    def _inflated(self, handler: Handler) -> Handler:
        return lambda head, body, client: handler(head, _inflate(head, body), client)

    def _preflight(self, head: Head, client: Client, methods: Mapping[str, Handler]) -> Answer:
        allow = f"Allow: {', '.join(sorted({*methods, 'OPTIONS'}))}\r\n".encode()
        origin = head.headers.get("Origin", "")
        if not origin:
            return Answer(204, allow)
        # A preflight names no key: any pipeline that would take the origin may answer it.
        for pipeline in self._live.current.pipelines:
            try:
                return Answer(204, allow + self._origins.preflight(pipeline, origin, client.host))
            except BadInput:
                continue
        raise BadInput(Reason.ORIGIN_NOT_ALLOWED, "events from this origin are not accepted")

    def _cors_for_error(self, head: Head, client: Client) -> bytes:
        origin = head.headers.get("Origin", "")
        if not origin:
            return b""
        for pipeline in self._live.current.pipelines:
            try:
                return self._origins.headers(pipeline, origin, client.host, "")
            except BadInput:
                continue
        return b""

    def _refused(self, error: BadInput, head: Head, client: Client) -> Answer:
        self._intake.count_refused("", error)
        return answer.refusal(error.reason, error.detail, self._cors_for_error(head, client))

    def _unavailable(self, error: SpoolUnavailable, head: Head, client: Client) -> Answer:
        return answer.refusal(error.reason, error.detail, self._cors_for_error(head, client), retry_after_s=error.retry_after_s)

    @staticmethod
    def _failed(error: BaseException, cors: bytes) -> Answer:
        if isinstance(error, SpoolUnavailable):
            return answer.refusal(error.reason, error.detail, cors, retry_after_s=error.retry_after_s)
        return answer.refusal(Reason.SPOOL_UNAVAILABLE, "the event could not be stored; try again", cors, retry_after_s=5)


def _bearer(value: str) -> str:
    return value[7:].strip() if value[:7].lower() == "bearer " else ""


def _inflate(head: Head, body: bytes) -> bytes:
    encoding = head.headers.get("Content-Encoding")
    if encoding and encoding.strip().lower() not in {"", "identity"}:
        if encoding.strip().lower() not in {"gzip", "x-gzip"}:
            raise BadInput(Reason.INVALID_ENCODING, "Content-Encoding: only gzip is understood")
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            body = inflater.decompress(body, MAX_BODY + 1)
        except zlib.error:
            raise BadInput(Reason.INVALID_ENCODING, "Content-Encoding says gzip, but the body is not") from None
        if len(body) <= MAX_BODY and not inflater.eof:
            raise BadInput(Reason.INVALID_ENCODING, "the gzip body is cut off")
    if len(body) > MAX_BODY:
        raise BadInput(Reason.TOO_LARGE, "a body may have at most 1 MiB, inflated")
    return body
