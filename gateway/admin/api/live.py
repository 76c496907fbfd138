"""The live feed: rows as they come, and all that is known of one (io: HTTP and the feed)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import web
from pydantic import Field

from gateway.admin import answers, letters, requests
from gateway.admin.errors import Refused, missing
from gateway.admin.operation import Call, Input, Operations
from gateway.lane import Lane
from gateway.outcome import Outcome, Reason
from gateway.telemetry.feed import ASSURED, MAX_SUBSCRIBERS, RATE, Feed, Row, Subscription

operations = Operations()

_BEAT_S = 15.0
_REFUSALS = {Reason.CONSENT_DENIED.value: "denied", Reason.GPC.value: "denied", Reason.CONSENT_MISSING.value: "missing"}
"""Reason → what was decided about consent. An event that ended for another reason did not end there."""


class Which(Input):
    """Rows of one pipeline or integration."""

    pipeline: str = ""
    """Id of the pipeline."""
    integration: str = ""
    """Id of the integration."""

    def fits(self) -> Callable[[Row], bool]:
        """The test of a row."""
        return lambda row: (
            (not self.pipeline or row.pipeline == self.pipeline) and (not self.integration or row.integration == self.integration)
        )


class Latest(Which):
    """The same, and how many."""

    limit: int = Field(200, ge=1, le=500)
    """Rows."""


@operations.get(
    "live",
    "Rows as they come, as server-sent events",
    query=Which,
    media_type="text/event-stream",
    refusals=("unavailable", "too_many_attempts"),
)
async def live(call: Call) -> web.StreamResponse:
    """``row`` for each, again whenever something became of it; ``sampled`` when more happens than is shown."""
    feed = _feed(call)
    if len(feed.subscriptions) >= MAX_SUBSCRIBERS:
        raise Refused("too_many_attempts", f"{MAX_SUBSCRIBERS} viewers are watching already", retry_after_s=30)
    fits = call.query.fits()
    response = web.StreamResponse(
        headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
    )
    woken = asyncio.Event()
    subscription = Subscription(woken=woken.set)
    # before the answer begins: whoever then asks for the newest rows misses nothing in between
    feed.subscriptions.append(subscription)
    seen, since = feed.seen, call.desk.now()
    try:
        await response.prepare(call.request)
        await response.write(b": hello\n\n")
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_BEAT_S):
                    await woken.wait()
            woken.clear()
            lines = []
            while subscription.waiting:
                row = subscription.waiting.popleft()
                if fits(row):
                    lines.append(b"event: row\ndata: " + orjson.dumps(_told(call, row)) + b"\n\n")
            now = call.desk.now()
            if now - since >= 1.0:
                rate = (feed.seen - seen) / (now - since)
                seen, since = feed.seen, now
                if rate > RATE:
                    lines.append(
                        b"event: sampled\ndata: "
                        + orjson.dumps({"rate": round(rate), "shown": RATE, "assured": ASSURED})
                        + b"\n\n"
                    )
            await response.write(b"".join(lines) or b": still here\n\n")
    finally:
        feed.subscriptions.remove(subscription)


@operations.get("live/recent", "The newest rows, newest first", query=Latest, refusals=("unavailable",), answer=answers.Recent)
async def latest(call: Call) -> dict[str, Any]:
    """What a page begins with."""
    return {"items": [_told(call, row) for row in _feed(call).recent(call.query.limit, call.query.fits())], "next": None}


@operations.get(
    r"live/{id:\d{1,18}}",
    "One event: received, consent, mapped, request, answer",
    refusals=("not_found", "unavailable"),
    answer=answers.LiveEvent,
)
async def one(call: Call) -> dict[str, Any]:
    """All that is known of it."""
    row = _feed(call).row(call.named("id"))
    if row is None:
        raise missing("event of that id; only the last 500 are kept")
    event = orjson.loads(row.payload) if row.payload else None
    preview = call.desk.preview(row.integration, event) if event else None
    integration = call.desk.live.current.integrations.get(row.integration)
    sent = orjson.loads(row.sent) if row.sent else None
    lane = _stopped_lane(call, row)
    return {
        "row": _told(call, row),
        "received": letters.shortened(event) if event else None,
        "consent": _consent(row, event, list(integration.consent) if integration else []),
        "mapped": letters.shortened(sent or (preview and preview.payload) or {}) or None,
        "refusal": preview.refusal if preview else "",
        "findings": [
            {"path": text.partition(": ")[0], "message": text.partition(": ")[2] or text, "severity": "warning"}
            for text in preview.findings
        ]
        if preview
        else [],
        "request": {
            "method": "POST",
            "url": call.desk.endpoint,
            "headers": {"Content-Type": "application/json", "Access-Token": "<access token>"},
            "body": requests.body(integration.pixel_code if integration else "", _lane(call, row).test_code, sent),
        }
        if sent
        else None,
        "answer": _answer(row, lane),
        "cure": (lane and lane["cure"]) or row.cure or letters.words(row.reason),
        "lane": lane,
        "integration_name": (integration and integration.settings.name) or row.integration,
    }


def _consent(row: Row, event: dict[str, Any] | None, needed: list[str]) -> dict[str, Any]:
    """What was decided about it, who spoke, and what the integration needs."""
    known = (event or {}).get("consent", {})
    if event is None and row.outcome == Outcome.FILTERED:
        decision = _REFUSALS.get(row.reason, "not_the_cause")
    else:
        decision = "granted" if needed else "not_needed"
    return {
        "decision": decision,
        "source": known.get("source", row.consent),
        "categories": known.get("granted", []),
        "needed": needed,
    }


def _answer(row: Row, lane: dict[str, Any] | None) -> dict[str, Any] | None:
    """TikTok's; or, of an event that waits with its lane, what keeps it."""
    if row.code:
        return {"status": None, "code": row.code, "message": row.answer, "body": None}
    if lane is None:
        return None
    said = " ".join(filter(None, (lane["code"], lane["message"])))
    return {"status": None, "code": "", "message": f"It waits: delivery is {lane['state'].replace('_', ' ')}. {said}".rstrip(), "body": None}  # fmt: skip


def _lane(call: Call, row: Row) -> Lane:
    """Where it waits; told by another pod that does not say so, where it would wait now."""
    integration = call.desk.live.current.integrations.get(row.integration)
    return Lane.parse(row.lane or (integration.lane if integration else row.integration))


def _stopped_lane(call: Call, row: Row) -> dict[str, Any] | None:
    """The lane of an event that is not through yet, if nothing is sent there now."""
    if not row.open:
        return None
    key = _lane(call, row)
    for lane in call.desk.lanes():
        if (lane["integration"], lane["test_event_code"]) == key:
            return None if lane["state"] == "active" else lane
    return None


def _told(call: Call, row: Row) -> dict[str, Any]:
    integration = call.desk.live.current.integrations.get(row.integration)
    event = ""
    if integration is not None and row.payload:
        sealed = orjson.loads(row.payload)
        event = integration.program.target(sealed["wire"], sealed["type"], sealed["name"])
    return {**row.told(), "event": event}


def _feed(call: Call) -> Feed:
    if call.desk.metrics.feed is None:
        raise Refused("unavailable", "there is no live feed here")
    return call.desk.metrics.feed
