"""Server-side senders: signed Signal events and TikTok's native body.

Law: nothing of the connection is taken for the visitor's: address, user agent and ``_ttp`` come from the body only, and no cookies are set. Consent is stated with the
call, or asserted by it where the pipeline says so; where it is required and missing, the answer is 403 with the cure – never a silent drop.
"""

import hmac
import ipaddress
import re
from collections.abc import Callable

from gateway.catalog.runtime import Integration, Live, Pipeline
from gateway.consent.gate import Decision, Gate
from gateway.edge import admission, answer, signature
from gateway.edge.address import Client, is_public
from gateway.edge.admission import Admission, bearer
from gateway.edge.answer import Answer, Deferred
from gateway.edge.body import TOO_LARGE, inflate
from gateway.edge.head import Head
from gateway.edge.intake import Intake, Sender, Taken, rejections
from gateway.edge.portions import WHOLE, Portions
from gateway.errors import BadInput, SpoolUnavailable
from gateway.event import jsonbody, native, signal
from gateway.event.model import Event
from gateway.identity.seal import Visitor
from gateway.outcome import Reason

_CURE = (
    "consent is required for server-side events: send context.consent with each event or the header X-Consent: marketing, "
    "or set the pipeline's server_consent to asserted"
)
_CATEGORY = re.compile(r"[a-z_-]{1,40}")
_MAX_CATEGORIES = 20
_ALIKE = frozenset({"marketing", "advertising"})


class ServerSide:
    """Handlers of ``v1/events`` and ``open_api/v1.3/event/track/``."""

    def __init__(
        self,
        live: Live,
        gate: Gate,
        admit: Admission,
        intake: Intake,
        portions: Portions,
        now: Callable[[], float],
        entropy: Callable[[int], bytes],
    ) -> None:
        self._live = live
        self.gate = gate
        """Replaced when new consent rules come into force."""
        self._admission = admit
        self._intake = intake
        self._portions = portions
        self._now = now
        self._entropy = entropy

    def signed(self, head: Head, body: bytes, client: Client) -> Answer | Deferred:
        """``POST v1/events``: Signal events, HMAC-signed (over the inflated body) with the pipeline's secret."""
        body = inflate(head, body)
        key = bearer(head.field("authorization"))
        parsed = None
        if not key and len(self._live.current.pipelines) > 1:
            parsed = signal.parse_body(body, None)
            key = parsed.key
        pipeline = self._admission.pipeline(key, client.host)
        signature.verify(head.field("x-timestamp"), head.field("x-signature"), body, pipeline.secret, self._now())
        parsed = parsed or signal.parse_body(body, None)
        n = len(parsed.events) + len(parsed.rejected)
        sender = self._sender(pipeline, parsed.events, head.headers.get("x-consent"))
        if sender is None:
            self._intake.count_refused(pipeline.id, Reason.CONSENT_REQUIRED, n)
            return answer.refusal(Reason.CONSENT_REQUIRED, _CURE)
        if not self._admission.admit(pipeline, n):
            self._intake.count_refused(pipeline.id, Reason.RATE_LIMITED, n)
            return answer.refusal(Reason.RATE_LIMITED, admission.TOO_FAST, b"", admission.TOO_FAST_RETRY_AFTER_S)
        self._intake.count_rejected(pipeline.id, parsed.rejected)
        events, unusable, intake = parsed.events, parsed.rejected, self._intake

        def told(taken: Taken) -> Answer:
            told = rejections(unusable, taken.rejected)
            return answer.tally(taken.accepted_events, taken.filtered_events, told, b"", taken.incomplete)

        if len(events) > WHOLE:
            return self._portions.work_off(
                pipeline.id,
                events,
                lambda some: intake.take(pipeline, some, sender, bots_policy="allow"),
                told,
                answer.not_stored,
            )
        taken = intake.take(pipeline, events, sender, bots_policy="allow")
        success = told(taken)
        if not taken.waits:
            return success
        try:
            return Deferred(intake.put(taken), success, answer.not_stored)
        except SpoolUnavailable as error:
            return answer.not_stored(error)

    def native(self, head: Head, body: bytes, _client: Client) -> Answer | Deferred:
        """``POST open_api/v1.3/event/track/``: TikTok's own body and envelope. As there, one bad event refuses the whole request."""
        request_id = self._entropy(10).hex()
        named, n = "", 1
        try:
            body = inflate(head, body)
            parsed = native.parse(jsonbody.load(body), body)
            n = len(parsed.events) + len(parsed.rejected)
            if parsed.rejected:
                first = parsed.rejected[0]
                raise BadInput(first.reason, f"Batch.{first.at}: {first.detail}")
            pipeline, integration = self._authorised(head.field("access-token"), parsed.events[0].pixel_codes[0])
            named = pipeline.id
            sender = self._sender(pipeline, parsed.events, head.headers.get("x-consent"), integration)
            if sender is None:
                raise BadInput(Reason.CONSENT_REQUIRED, _CURE)
            if not self._admission.admit(pipeline, n):
                self._intake.count_refused(named, Reason.RATE_LIMITED, n)
                return answer.envelope(Reason.RATE_LIMITED, admission.TOO_FAST, request_id, admission.TOO_FAST_RETRY_AFTER_S)
        except (BadInput, SpoolUnavailable) as error:
            self._intake.count_refused(named, error.reason, n)
            return answer.envelope(error.reason, error.detail, request_id, getattr(error, "retry_after_s", 0))
        events, only, intake = parsed.events, (integration,), self._intake

        def told(taken: Taken) -> Answer:
            if taken.rejected and not taken.records:
                first = taken.rejected[0]
                return answer.envelope(first.reason, f"Batch.{first.at}: {first.detail}", request_id)
            message = "OK" if taken.accepted_events else f"OK, but nothing was accepted: {taken.reason}"
            return answer.envelope(Reason.NONE, message, request_id)

        def not_stored(error: BaseException) -> Answer:
            return answer.envelope_not_stored(error, request_id)

        if len(events) > WHOLE:
            return self._portions.work_off(
                named,
                events,
                lambda some: intake.take(pipeline, some, sender, integrations=only, bots_policy="allow"),
                told,
                not_stored,
            )
        taken = intake.take(pipeline, events, sender, integrations=only, bots_policy="allow")
        success = told(taken)
        if not taken.waits:
            return success
        try:
            return Deferred(intake.put(taken), success, not_stored)
        except SpoolUnavailable as error:
            return not_stored(error)

    def too_large(self) -> Answer:
        """The answer to a native body larger than the wire takes."""
        return answer.envelope(Reason.TOO_LARGE, TOO_LARGE, self._entropy(10).hex())

    def _authorised(self, token: str, pixel: str) -> tuple[Pipeline, Integration]:
        given = token.strip().encode("utf-8", "replace")
        catalogue = self._live.current
        found: tuple[Pipeline, Integration] | None = None
        known = False
        # Everything is compared, so that the time taken does not tell which pipelines and pixels exist.
        for pipeline in catalogue.pipelines:
            secret = bool(pipeline.secret) and hmac.compare_digest(given, pipeline.secret)
            known = known or secret
            for integration in pipeline.integrations:
                own = bool(integration.access_token) and hmac.compare_digest(given, integration.access_token.encode())
                if (own or secret) and integration.pixel_code == pixel and found is None:
                    found = pipeline, integration
        if found is not None:
            return found
        if known:
            raise BadInput(Reason.UNKNOWN_PIXEL, "event_source_id: no integration of this pipeline has this pixel code")
        if catalogue.off or not catalogue.pipelines:
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "a part of the configuration has problems; see the log", 30)
        raise BadInput(
            Reason.BAD_TOKEN,
            "Access-Token must be the token of the integration with this event_source_id, or its pipeline's secret",
        )

    def _sender(
        self, pipeline: Pipeline, events: list[Event], header: str | None, integration: Integration | None = None
    ) -> "_BackEnd | None":
        """How consent is decided, None if it is required and was not given."""
        required = pipeline.required if integration is None else (integration.consent,)
        said: dict[str, bool] = {}
        if header is not None:
            names = (name.strip().lower() for name in header.split(",")[:_MAX_CATEGORIES])
            said = {name: True for name in names if _CATEGORY.fullmatch(name)}
            # A list of what is granted says of the rest that it is not, whatever the default; marketing and advertising may be two words for one thing.
            rest = {category for each in required for category in each} - said.keys()
            said |= dict.fromkeys(rest - _ALIKE if said.keys() & _ALIKE else rest, False)
        elif pipeline.settings.server_consent == "asserted":
            said = dict.fromkeys((category for each in required for category in each), True)
        elif any(required) and any(event.consent is None for event in events):
            return None
        # The request came to us and not to the site: an event without a page happened on the pipeline's first domain.
        site = next((domain for domain in pipeline.settings.domains if not domain.startswith("*.")), "")
        return _BackEnd(self.gate, said, site)


class _BackEnd(Sender):
    """The body's visitors, each with the consent that the event or else the call states."""

    def __init__(self, gate: Gate, said: dict[str, bool], site: str) -> None:
        self._gate = gate
        self._said = said
        self._site = site

    def decide(self, event: Event) -> Decision:
        # What the event says about a category is nearer to its visitor than what the call says about all of them.
        said = {**self._said, **event.consent} if event.consent else self._said
        return self._gate.decide(said, event.consent_mode, None)

    def visit(self, event: Event, decision: Decision) -> Visitor:
        try:
            address = ipaddress.ip_address(event.ip)
            ip = str(address) if is_public(address) else ""
        except ValueError:
            ip = ""
        return Visitor(ip=ip, user_agent=event.user_agent, anonymous_id="", host=self._site)
