"""One event to TikTok, through the real parts (io).

Law: the same collector, mapping, batch, client and verdict table as in ``run``, around an in-memory spool; exactly one request is posted, and never without a test
event code unless the caller insists.
"""

import secrets
from dataclasses import dataclass
from typing import Any

import orjson

from gateway.app.rehearsal import Rehearsal, Request
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import compile_catalogue
from gateway.config.settings import GatewaySettings
from gateway.delivery import batch
from gateway.delivery.client import Client
from gateway.delivery.verdict import Verdict

_KEY = "send-test"


@dataclass(frozen=True, slots=True)
class Trial:
    """What was sent and what came back; no verdict if nothing was sent."""

    event_id: str
    explained: dict[str, Any]
    verdict: Verdict | None
    seconds: float = 0.0


async def send(settings: GatewaySettings, integration: IntegrationSettings, test_code: str) -> Trial:
    """Send one page view for ``integration`` to ``settings.delivery.endpoint``; ``test_code`` empty = for real."""
    chosen = integration.model_copy(update={"test_event_code": test_code or None, "enabled": True})
    own = next((each for each in settings.pipelines if integration.id in each.integrations), None)
    domains = own.domains if own else []
    pipeline = PipelineSettings(id=_KEY, key=_KEY, integrations=[chosen.id], domains=domains, bots="allow")
    rehearsal = Rehearsal(settings, compile_catalogue([pipeline], [chosen], secrets.token_bytes(32)))
    event_id = f"ttgateway-test-{secrets.token_hex(6)}"
    host = domains[0].removeprefix("*.") if domains else "example.com"
    event = {
        "type": "page",
        "messageId": event_id,
        "writeKey": _KEY,
        "anonymousId": event_id,
        "context": {"page": {"url": f"https://{host}/"}, "consent": dict.fromkeys(chosen.consent, True)},
    }
    explained = await rehearsal.explain(Request(event))
    payload = next((fate["payload"] for fate in explained["integrations"] if "payload" in fate), None)
    if payload is None:
        return Trial(event_id, explained, None)
    token = chosen.access_token.get_secret_value().strip() if chosen.access_token else ""
    client = Client(settings.delivery, rehearsal.metrics)
    try:
        reply = await client.post(chosen.id, token, batch.body(chosen.pixel_code, test_code, [orjson.dumps(payload)]))
    finally:
        await client.close()
    return Trial(event_id, explained, reply.verdict, reply.seconds)
