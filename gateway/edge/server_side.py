"""Server-side senders: signed Signal events and TikTok's native body.

Law: nothing of the connection is taken for the visitor's: address, user agent and ``_ttp`` come from the body only, and no cookies are set. Consent is stated with the
call, or asserted by it where the pipeline says so; where it is required and missing, the answer is 403 with the cure – never a silent drop.
"""

import hmac
import ipaddress
from collections.abc import Callable

from gateway.catalog.runtime import Integration, Live, Pipeline
from gateway.consent.gate import Decision, Gate
from gateway.edge import answer, signature
from gateway.edge.address import Client, is_public
from gateway.edge.answer import Answer, Deferred
from gateway.edge.head import Head
from gateway.edge.intake import Intake
from gateway.edge.origin import host_only
from gateway.errors import BadInput, SpoolUnavailable
from gateway.event import jsonbody, native, signal
from gateway.event.model import Event
from gateway.identity.seal import Visitor
from gateway.outcome import Reason

_CURE = (
    "consent is required for server-side events: send context.consent with each event or the header X-Consent: marketing, "
    "or set the pipeline's server_consent to asserted"
)


class ServerSide:
    """Handlers of ``v1/events`` and ``open_api/v1.3/event/track/``; bodies come inflated."""

    def __init__(self, live: Live, gate: Gate, intake: Intake, now: Callable[[], float], entropy: Callable[[int], bytes]) -> None:
        self._live = live
        self._gate = gate
        self._intake = intake
        self._now = now
        self._entropy = entropy

    def signed(self, head: Head, body: bytes, client: Client) -> Answer | Deferred:
        """``POST v1/events``: Signal events, HMAC-signed with the pipeline's secret."""
        headers = head.headers
        key = headers.get("Authorization", "")
        key = key[7:].strip() if key[:7].lower() == "bearer " else ""
        parsed = None
        if not key and len(self._live.current.pipelines) > 1:
            parsed = signal.parse(jsonbody.load(body), None)
            key = parsed.key
        pipeline = self._live.current.pipeline(key, host_only(client.host))
        signature.verify(headers.get("X-Timestamp", ""), headers.get("X-Signature", ""), body, pipeline.secret, self._now())
        parsed = parsed or signal.parse(jsonbody.load(body), None)
        self._intake.count_rejected(pipeline.id, parsed.rejected)
        decide = self._decider(pipeline, parsed.events, headers.get("X-Consent"))
        taken = self._intake.take(pipeline, parsed.events, decide, self._visitor, bots_policy="allow")
        document = {
            "success": True, "accepted": taken.accepted_events, "filtered": taken.filtered_events,
            "rejected": [{"index": r.at, "reason": r.reason, "message": r.detail} for r in [*parsed.rejected, *taken.rejected]],
        }  # fmt: skip
        success = answer.json_answer(200, document)
        if not taken.records:
            return success
        return Deferred(self._intake.put(taken), success, _unavailable)

    def native(self, head: Head, body: bytes, _client: Client) -> Answer | Deferred:
        """``POST open_api/v1.3/event/track/``: TikTok's own body and envelope."""
        request_id = self._entropy(10).hex()
        try:
            parsed = native.parse(jsonbody.load(body), body)
            if parsed.rejected:
                first = parsed.rejected[0]
                raise BadInput(first.reason, f"Batch.{first.at}: {first.detail}")
            pixel = parsed.events[0].pixel_codes[0]
            pipeline, integration = self._authorised(head.headers.get("Access-Token", ""), pixel)
            decide = self._decider(pipeline, parsed.events, head.headers.get("X-Consent"))
            taken = self._intake.take(
                pipeline, parsed.events, decide, self._visitor, integrations=(integration,), bots_policy="allow"
            )
            if taken.rejected:
                first = taken.rejected[0]
                raise BadInput(first.reason, f"Batch.{first.at}: {first.detail}")
            message = "OK" if taken.accepted_events else f"OK, but nothing was accepted: {taken.reason}"
            success = answer.envelope(Reason.NONE, message, request_id)
            if not taken.records:
                return success
            return Deferred(self._intake.put(taken), success, lambda error: _envelope_unavailable(error, request_id))
        except BadInput as error:
            self._intake.count_refused("", error)
            return answer.envelope(error.reason, error.detail, request_id)
        except SpoolUnavailable as error:
            return answer.envelope(error.reason, error.detail, request_id, error.retry_after_s)

    def _authorised(self, token: str, pixel: str) -> tuple[Pipeline, Integration]:
        given = token.strip().encode("utf-8", "replace")
        found: tuple[Pipeline, Integration] | None = None
        for pipeline in self._live.current.pipelines:
            for integration in pipeline.integrations:
                if integration.pixel_code != pixel:
                    continue
                # Every candidate is compared, so that the time taken does not tell which of them exist.
                own = bool(integration.access_token) and hmac.compare_digest(given, integration.access_token.encode())
                secret = bool(pipeline.secret) and hmac.compare_digest(given, pipeline.secret)
                if (own or secret) and found is None:
                    found = pipeline, integration
        if found is None:
            raise BadInput(
                Reason.BAD_TOKEN,
                "Access-Token must be the token of the integration with this event_source_id, or its pipeline's secret",
            )
        return found

    def _decider(self, pipeline: Pipeline, events: list[Event], header: str | None) -> Callable[[Event], Decision]:
        stated = {name.strip().lower(): True for name in header.split(",")[:20] if name.strip()} if header is not None else None
        asserted: dict[str, bool] = {}
        if pipeline.settings.server_consent == "asserted":
            asserted = dict.fromkeys((category for required in pipeline.required for category in required), True)
        elif stated is None and any(event.consent is None for event in events) and any(pipeline.required):
            raise BadInput(Reason.CONSENT_REQUIRED, _CURE)

        def decide(event: Event) -> Decision:
            said = event.consent if event.consent is not None else stated if stated is not None else asserted
            return self._gate.decide(said, "", None)

        return decide

    @staticmethod
    def _visitor(event: Event, _decision: Decision) -> Visitor:
        try:
            address = ipaddress.ip_address(event.ip)
            ip = str(address) if is_public(address) else ""
        except ValueError:
            ip = ""
        return Visitor(ip=ip, user_agent=event.user_agent, ttp=event.ttp, anonymous_id="", host="")


def _unavailable(error: BaseException) -> Answer:
    if isinstance(error, SpoolUnavailable):
        return answer.refusal(error.reason, error.detail, retry_after_s=error.retry_after_s)
    return answer.refusal(Reason.SPOOL_UNAVAILABLE, "the events could not be stored; try again", retry_after_s=5)


def _envelope_unavailable(error: BaseException, request_id: str) -> Answer:
    if isinstance(error, SpoolUnavailable):
        return answer.envelope(error.reason, error.detail, request_id, error.retry_after_s)
    return answer.envelope(Reason.SPOOL_UNAVAILABLE, "the events could not be stored; try again", request_id, 5)
