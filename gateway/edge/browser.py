"""What browsers send: Signal events, pixel hits, images, consent changes.

Law: who the visitor is follows from the connection and its cookies, never from an address in the body. Cookies are set with marketing consent, expired on an
explicit denial, and otherwise left alone; of several events in one request a denial speaks louder than a grant, and a grant louder than silence.
"""

from typing import Final
from urllib.parse import parse_qs

from gateway.catalog.runtime import Live, Pipeline
from gateway.consent.gate import Decision, Gate
from gateway.consent.settings import ConsentSettings
from gateway.consent.signals import RequestReader, RequestSignals
from gateway.edge import admission, answer, cookies
from gateway.edge.address import Client
from gateway.edge.admission import Admission, bearer
from gateway.edge.answer import Answer, Deferred
from gateway.edge.body import inflate
from gateway.edge.head import Head
from gateway.edge.intake import Intake, Sender, Taken, rejections
from gateway.edge.origin import Origins, host_only
from gateway.edge.portions import WHOLE, Portions
from gateway.edge.visitor import OWN_COOKIES, Purge, VisitorCookies
from gateway.errors import BadInput, SpoolUnavailable
from gateway.event import image, jsonbody, pixel, signal
from gateway.event.model import Event, Parsed, Rejection
from gateway.identity import click_id
from gateway.identity.seal import Visitor, owner
from gateway.outcome import Reason

_AUTHORIZATION: Final = "authorization"
_FETCH_SITE: Final = "sec-fetch-site"
_ORIGIN: Final = "origin"
_REFERER: Final = "referer"
_MAX_QUERY_FIELDS: Final = 100


class BrowserSide:
    """Handlers of the endpoints that the site's own pages call."""

    def __init__(
        self, live: Live, consent: ConsentSettings, visitors: VisitorCookies, origins: Origins, admit: Admission, intake: Intake, portions: Portions,
        purge: Purge,
    ) -> None:  # fmt: skip
        self._live = live
        self._visitors = visitors
        self._origins = origins
        self._admission = admit
        self._intake = intake
        self._portions = portions
        self._purge = purge
        self.reconfigure(Gate(consent), consent)

    def reconfigure(self, gate: Gate, consent: ConsentSettings) -> None:
        """Put new consent rules in force."""
        self._gate = gate
        self._signals = RequestReader(consent)
        self._cookie_names = OWN_COOKIES | self._signals.cookie_names

    # -- the endpoints

    def signal(self, head: Head, body: bytes, client: Client, kind: str | None) -> Answer | Deferred:
        """``v1/t|p|i|g`` (``kind`` says which), ``v1/batch`` and ``e``."""
        parsed = signal.parse_body(inflate(head, body), kind)
        return self._collect(head, client, parsed, single=kind is not None)

    def pixel(self, head: Head, body: bytes, client: Client, *, act: bool) -> Answer | Deferred:
        """``api/v2/pixel`` and, with ``act``, ``api/v2/pixel/act``."""
        return self._collect(head, client, pixel.parse(jsonbody.load(inflate(head, body)), act=act))

    def pixel_message(self, head: Head, client: Client, *, act: bool) -> Answer | Deferred:
        """The pixel's GET form."""
        few = head.query.count("&") < _MAX_QUERY_FIELDS
        message = parse_qs(head.query).get("analytics_message", [""])[0] if few else ""
        if not message:
            raise BadInput(Reason.WRONG_SHAPE, "expected ?analytics_message=<base64 JSON>")
        return self._collect(head, client, pixel.parse_message(message, act=act))

    def image(self, head: Head, client: Client, kind: str | None) -> Answer | Deferred:
        """``px`` and ``v1/pixel/t|p``."""
        return self._collect(head, client, image.parse(head.query, kind), gif=True)

    def consent(self, head: Head, body: bytes, client: Client) -> Answer | Deferred:
        """``v1/c``: withdrawal removes our cookies and what waits of the visitor's; a grant sets them."""
        categories, anonymous_id, key = signal.parse_consent(jsonbody.load(inflate(head, body)))
        pipeline = self._admission.pipeline(key or bearer(head.field(_AUTHORIZATION)), client.host)
        cors = self._origins.headers(pipeline, head.field(_ORIGIN), client.host, head.field(_FETCH_SITE))
        if not self._admission.admit(pipeline, 1, client.ip):
            return self._too_fast(pipeline, 1, cors)
        jar = self._jar(head)
        decision = self._gate.decide(categories, "", self._request_signals(head, jar))
        visitor = self._visitors.visitor(jar, client, "", head.field(_REFERER))
        if decision.denies_marketing:
            for known in {visitor.anonymous_id, anonymous_id} - {""}:
                self._purge(owner(known), Reason.WITHDRAWN)
            return Answer(204, cors + self._visitors.expired(pipeline, visitor))
        if decision.allows_marketing:
            self._visitors.make_ids(visitor, anonymous_id)
        ttclid = click_id.in_url(visitor.referer)
        return Answer(204, cors + self._visitors.lines(jar, visitor, pipeline, decision, ttclid, refresh=False))

    def navigation_cookies(self, head: Head, client: Client) -> tuple[bytes, ...]:
        """Set-Cookie values for a page navigation that passes through: with consent, a new click id or a missing ``_ttp``."""
        catalogue = self._live.current
        if not catalogue.pipelines:
            return ()
        ttclid = click_id.in_url("?" + head.query) if "ttclid=" in head.query else ""
        jar = self._jar(head)
        if not ttclid and "_ttp" in jar:
            return ()
        host = host_only(client.host)
        try:
            pipeline = catalogue.pipeline("", host)
        except (BadInput, SpoolUnavailable):
            return ()
        if not pipeline.serves(host):
            return ()
        decision = self._gate.decide(None, "", self._request_signals(head, jar))
        visitor = self._visitors.visitor(jar, client, "", "")
        if decision.allows_marketing:
            self._visitors.make_ids(visitor, "")
        lines = self._visitors.lines(jar, visitor, pipeline, decision, ttclid, refresh=False)
        return tuple(line.removeprefix(b"Set-Cookie: ") for line in lines.split(b"\r\n") if line)

    # -- the way of one request

    def _collect(
        self, head: Head, client: Client, parsed: Parsed, *, single: bool = False, gif: bool = False
    ) -> Answer | Deferred:
        events, unusable = parsed.events, parsed.rejected
        n = len(events) + len(unusable)
        named = ""
        try:
            pipeline = self._admission.pipeline(parsed.key or bearer(head.field(_AUTHORIZATION)), client.host)
            named = pipeline.id
            cors = self._origins.headers(pipeline, head.field(_ORIGIN), client.host, head.field(_FETCH_SITE))
        except (BadInput, SpoolUnavailable) as error:
            self._intake.count_refused(named, error.reason, n)
            return self.refused(error, head, client)
        if not self._admission.admit(pipeline, n, client.ip):
            return self._too_fast(pipeline, n, cors)
        if unusable:
            self._intake.count_rejected(named, unusable)
        jar = self._jar(head)
        page = _Page(self._gate, self._request_signals(head, jar), self._visitors, head, client, jar)
        if len(events) > WHOLE:
            return self._in_portions(page, pipeline, parsed, cors, single=single)
        taken = self._intake.take(pipeline, events, page)
        success = self._answer(taken, unusable, self._headers(page, pipeline, events, cors), single=single, gif=gif)
        return self._put(taken, success, cors) if taken.waits else success

    def _put(self, taken: Taken, success: Answer, cors: bytes) -> Answer | Deferred:
        try:
            return Deferred(self._intake.put(taken), success, lambda error: answer.not_stored(error, cors))
        except SpoolUnavailable as error:
            return answer.not_stored(error, cors)

    def _in_portions(self, page: "_Page", pipeline: Pipeline, parsed: Parsed, cors: bytes, *, single: bool) -> Deferred:
        events, unusable = parsed.events, parsed.rejected
        return self._portions.work_off(
            pipeline.id,
            events,
            lambda some: self._intake.take(pipeline, some, page),
            lambda taken: self._answer(taken, unusable, self._headers(page, pipeline, events, cors), single=single, gif=False),
            lambda error: answer.not_stored(error, cors),
        )

    def _headers(self, page: "_Page", pipeline: Pipeline, events: list[Event], cors: bytes) -> bytes:
        decision = page.loudest
        return cors if decision is None else cors + self._cookies(page, pipeline, decision, events)

    def refused(self, error: BadInput | SpoolUnavailable, head: Head, client: Client) -> Answer:
        """The answer to a request that was turned away before or with its pipeline; readable by the page that sent it, where it may be."""
        origin = head.field(_ORIGIN)
        cors = self._origins.any(self._live.current.pipelines, origin, client.host, head.field(_FETCH_SITE)) if origin else b""
        return answer.refusal(error.reason, error.detail, cors or b"", getattr(error, "retry_after_s", 0))

    def _too_fast(self, pipeline: Pipeline, n: int, cors: bytes) -> Answer:
        self._intake.count_refused(pipeline.id, Reason.RATE_LIMITED, n)
        return answer.refusal(Reason.RATE_LIMITED, admission.TOO_FAST, cors, admission.TOO_FAST_RETRY_AFTER_S)

    def _cookies(self, page: "_Page", pipeline: Pipeline, decision: Decision, events: list[Event]) -> bytes:
        jar, visitor = page.jar, page.visitor
        if visitor is None:
            if not (jar and decision.denies_marketing):
                return b""
            visitor = self._visitors.visitor(jar, page.client, "", "")
        refresh, ttclid = False, ""
        for event in events:
            refresh = refresh or event.type == "page"
            given = event.ttclid
            ttclid = (
                (visitor.click(url) if (url := event.page.get("url", "")) else "")
                or (given if given and click_id.valid(given) else "")
                or ttclid
            )
        return self._visitors.lines(jar, visitor, pipeline, decision, ttclid or click_id.in_url(visitor.referer), refresh=refresh)

    @staticmethod
    def _answer(taken: Taken, unusable: list[Rejection], headers: bytes, *, single: bool, gif: bool) -> Answer:
        if gif:
            return answer.gif(headers)
        told = rejections(unusable, taken.rejected) if unusable or taken.rejected else unusable
        if single and not told:
            return Answer(200, answer.JSON + headers, answer.SUCCESS_BODY) if headers else answer.SUCCESS
        if single and not taken.records and len(told) == 1:
            return answer.refusal(told[0].reason, told[0].detail, headers)
        automatic = sum(rejection.reason is Reason.AUTOMATIC_EVENT for rejection in unusable) if unusable else 0
        return answer.tally(taken.accepted_events, taken.filtered_events + automatic, told, headers, taken.incomplete)

    def _jar(self, head: Head) -> dict[str, str]:
        header = head.field("cookie")
        return cookies.read(header, self._cookie_names) if header else {}

    def _request_signals(self, head: Head, jar: dict[str, str]) -> RequestSignals:
        return self._signals.read(jar, head.field("sec-gpc"))


class _Page(Sender):
    """The page that sends a request: one visitor, whose consent each event may state anew."""

    def __init__(
        self, gate: Gate, signals: RequestSignals, visitors: VisitorCookies, head: Head, client: Client, jar: dict[str, str]
    ) -> None:
        self._gate = gate
        self._signals = signals
        self._visitors = visitors
        self._head = head
        self._said: dict[str, bool] | None = None
        self._mode = ""
        self._latest: Decision | None = None
        self.client = client
        self.jar = jar
        self.visitor: Visitor | None = None
        self.loudest: Decision | None = None
        """Of all the events' decisions, the one for the cookies."""

    def decide(self, event: Event) -> Decision:
        latest = self._latest
        if latest is not None and event.consent == self._said and event.consent_mode == self._mode:
            return latest  # as of the event before: a page's events mostly say the same
        self._said, self._mode = event.consent, event.consent_mode
        decision = self._latest = self._gate.decide(event.consent, event.consent_mode, self._signals)
        loudest = self.loudest
        if loudest is None or _louder(decision, loudest):
            self.loudest = decision
        return decision

    def visit(self, event: Event, decision: Decision) -> Visitor:
        visitor = self.visitor
        if visitor is None:
            head = self._head
            agent = head.field("user-agent") or event.user_agent
            visitor = self.visitor = self._visitors.visitor(self.jar, self.client, agent, head.field(_REFERER))
        if not (visitor.ttp and visitor.anonymous_id) and decision.allows_marketing:
            self._visitors.make_ids(visitor, event.anonymous_id, event.ttp)
        return visitor


def _louder(decision: Decision, than: Decision) -> bool:
    if than.denies_marketing:
        return False
    return decision.denies_marketing or decision.allows_marketing
