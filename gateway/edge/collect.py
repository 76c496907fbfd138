"""The first-party endpoints: a request's head and body in, an answer out.

Law: no aiohttp types, no awaiting: an answer is ready at once, or waits for its commit and, where it has many events, for the turns of their portions. Every bad input has a 4xx with a reason; nothing here raises to the
protocol. Endpoints are a table; what they do is the browser's side or the server's side.
"""

from collections.abc import Callable, Mapping

from gateway.catalog.runtime import Live
from gateway.consent.gate import Gate
from gateway.consent.settings import ConsentSettings
from gateway.edge import answer
from gateway.edge.address import Client
from gateway.edge.admission import Admission
from gateway.edge.answer import Answer, Deferred
from gateway.edge.body import TOO_LARGE
from gateway.edge.browser import BrowserSide
from gateway.edge.head import Head
from gateway.edge.intake import Intake
from gateway.edge.origin import Origins
from gateway.edge.portions import Portions
from gateway.edge.script import ClientScript
from gateway.edge.server_side import ServerSide
from gateway.edge.settings import CookieSettings, ScriptSettings
from gateway.edge.visitor import Entropy, Purge, VisitorCookies
from gateway.errors import BadInput, SpoolUnavailable
from gateway.outcome import Reason
from gateway.spool.base import Spool
from gateway.telemetry.metrics import Metrics, Sample

Handler = Callable[[Head, bytes, Client], "Answer | Deferred"]
_SIGNAL = {"v1/t": "t", "v1/p": "p", "v1/i": "i", "v1/g": "g", "v1/batch": None, "e": None}
_IMAGES = {"px": None, "v1/pixel/t": "t", "v1/pixel/p": "p"}
_PIXEL = {"api/v2/pixel": False, "api/v2/pixel/act": True}
_NATIVE = ("open_api/v1.3/event/track/", "open_api/v1.3/event/track")
_BOOKKEEPING = ("api/v2/pixel/inter", "api/v2/pixel/perf", "api/v2/pixel/enrich_ipv6", "api/v2/monitor")
"""The pixel's own: taken so that it does not fail, and ignored."""


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
        entropy: Entropy,
        purge: Purge,
        script: ScriptSettings | None = None,
    ) -> None:
        """``purge`` removes an owner's records in the background; ``entropy(n)`` gives n random bytes."""
        self._live = live
        self._origins = Origins(allowed_origins)
        self._intake = Intake(metrics, now, entropy)
        portions = Portions(self._intake)
        admission = Admission(live, now)
        metrics.provide(
            "busiest_address_share",
            "Share of the last minutes' events that came from the busiest address, by that address's kind.",
            ("kind",),
            lambda: [Sample((kind,), share) for kind, share in (admission.dominance.share(),)],
        )
        self._browser = BrowserSide(
            live, consent, VisitorCookies(cookie_settings, entropy), self._origins, admission, self._intake, portions, purge
        )
        self._server = ServerSide(live, Gate(consent), admission, self._intake, portions, now, entropy)
        served = self._script = ClientScript(prefix, script or ScriptSettings())
        self._script_methods: dict[str, Handler] = dict.fromkeys(
            ("GET", "HEAD"), lambda head, _body, _client: served.answer(head)
        )
        self._routes = {f"{prefix}/{path}": methods for path, methods in self._endpoints().items()}
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
        gate = Gate(consent)
        self._browser.reconfigure(gate, consent)
        self._server.gate = gate

    def handle(self, head: Head, body: bytes, client: Client) -> Answer | Deferred:
        """The answer to one complete request below the prefix."""
        methods = self._routes.get(head.path)
        if methods is None:
            if not self._script.serves(head.path):
                return answer.NOT_FOUND
            methods = self._script_methods
        handler = methods.get(head.method)
        try:
            if handler is not None:
                return handler(head, body, client)
            if head.method == "OPTIONS":
                return self._preflight(head, client, methods)
        except (BadInput, SpoolUnavailable) as error:
            if head.method != "OPTIONS":
                self._intake.count_refused("", error.reason)
            return self._browser.refused(error, head, client)
        if head.method == "HEAD" and "GET" in methods:
            return Answer(200, answer.JSON)
        return answer.not_allowed([*methods, "OPTIONS"])

    def too_large(self, head: Head, client: Client) -> Answer:
        """The answer to a request whose body is larger than the wire takes; where an endpoint would have read it, it counts as one event."""
        methods = self._routes.get(head.path, {})
        if head.method in methods:
            self._intake.count_refused("", Reason.TOO_LARGE)
        if methods and head.path.endswith(_NATIVE):
            return self._server.too_large()
        return self._browser.refused(BadInput(Reason.TOO_LARGE, TOO_LARGE), head, client)

    def navigation_cookies(self, head: Head, client: Client) -> tuple[bytes, ...]:
        """Set-Cookie values for a page navigation that passes through: with consent, a new click id or a missing ``_ttp``."""
        return self._browser.navigation_cookies(head, client)

    def _endpoints(self) -> dict[str, dict[str, Handler]]:
        browser, server = self._browser, self._server
        table: dict[str, dict[str, Handler]] = {
            "v1/c": {"POST": browser.consent},
            "v1/events": {"POST": server.signed},
        }
        # kind= and act= bind each endpoint's own value; a closure would see the loop's last one.
        for path, kind in _SIGNAL.items():
            table[path] = {"POST": lambda head, body, client, kind=kind: browser.signal(head, body, client, kind)}  # type: ignore[misc]
        for path, kind in _IMAGES.items():
            table[path] = {"GET": lambda head, _body, client, kind=kind: browser.image(head, client, kind)}  # type: ignore[misc]
        for path, act in _PIXEL.items():
            table[path] = {
                "GET": lambda head, _body, client, act=act: browser.pixel_message(head, client, act=act),  # type: ignore[misc]
                "POST": lambda head, body, client, act=act: browser.pixel(head, body, client, act=act),  # type: ignore[misc]
            }
        for path in _NATIVE:
            table[path] = {"POST": server.native}
        for path in _BOOKKEEPING:
            table[path] = {"GET": _taken_and_ignored, "POST": _taken_and_ignored}
        return table

    def _preflight(self, head: Head, client: Client, methods: Mapping[str, Handler]) -> Answer:
        allow = f"Allow: {', '.join([*methods, 'OPTIONS'])}\r\n".encode()
        origin = head.field("origin")
        if origin:
            allow += self._origins.preflight(self._live.current.pipelines, origin, client.host, head.field("sec-fetch-site"))
        return Answer(204, allow)


def _taken_and_ignored(_head: Head, _body: bytes, _client: Client) -> Answer:
    return answer.SUCCESS
