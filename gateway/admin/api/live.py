"""The live feed: rows as they come, and all that is known of one (io: HTTP and the feed)."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
from aiohttp import web
from pydantic import Field

from gateway.admin import answers, letters
from gateway.admin.errors import Refused, missing
from gateway.admin.operation import Call, Input, Operations
from gateway.outcome import Outcome
from gateway.telemetry.feed import MAX_SUBSCRIBERS, RATE, Feed, Row, Subscription

operations = Operations()

_BEAT_S = 15.0
_SENTENCE = {Outcome.FILTERED.value: "not granted, or left out by a rule"}


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
                    lines.append(b"event: sampled\ndata: " + orjson.dumps({"rate": round(rate), "shown": RATE}) + b"\n\n")
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
    consent = (event or {}).get("consent", {})
    integration = call.desk.live.current.integrations.get(row.integration)
    item = letters.shortened(orjson.loads(row.sent)) if row.sent else None
    return {
        "row": _told(call, row),
        "received": letters.shortened(event) if event else None,
        "consent": {
            "decision": "granted" if event else _SENTENCE.get(row.outcome, ""),
            "source": consent.get("source", row.consent),
            "categories": consent.get("granted", []),
        },
        "mapped": item or (letters.shortened(preview.payload) if preview and preview.payload else None),
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
            "body": {"event_source": "web", "event_source_id": integration.pixel_code if integration else "", "data": [item]},
        }
        if item
        else None,
        "answer": {"status": None, "code": row.code, "message": row.answer, "body": None} if row.code else None,
        "cure": row.cure or letters.words(row.reason),
    }


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
