"""Dead letters: look, replay, drop, take away (io: HTTP and the spool)."""

from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Annotated, Any

import orjson
from aiohttp import web
from pydantic import Field, model_validator

from gateway.admin import answers, letters, requests
from gateway.admin.desk import Desk, Preview
from gateway.admin.errors import Refused, missing
from gateway.admin.letters import Wanted
from gateway.admin.operation import Call, Input, Operations, Output
from gateway.lane import Lane
from gateway.spool.base import DeadLetter, Spool

operations = Operations()

_COUNTED = 100_000
"""Counting ends here: more are "at least so many"."""
_DELIVERED_PER_S = 5_000
"""Events a second that a replay is estimated by; a little less than an outage's queue drains with."""
_DROP_SLICE = 200


class Filter(Input):
    """Which dead letters; nothing given = all."""

    integration: str = ""
    """Id of the integration."""
    reason: str = ""
    """Reason code, such as ``tiktok_rejected``."""
    q: str = Field("", max_length=200)
    """Text in the stored event or in TikTok's words."""
    since: float = 0.0
    """Unix seconds; died then or later."""
    until: float = 0.0
    """Unix seconds; died before."""

    def wanted(self) -> Wanted:
        """The same without HTTP."""
        return Wanted(self.integration, self.reason, self.q, self.since, self.until)


class Page(Filter):
    """A filter and where to go on."""

    limit: int = Field(50, ge=1, le=500)
    """Items of one answer."""
    cursor: str = Field("", pattern=r"^\d{0,18}$")
    """``next`` of the answer before."""


class Selection(Input):
    """Either ids or a filter."""

    ids: Annotated[list[Annotated[str, Field(pattern=r"^\d{1,18}$")]], Field(max_length=10_000)] | None = None
    """Ids of dead letters."""
    filter: Filter | None = None
    """All that fit; ``{}`` = all there are."""

    @model_validator(mode="after")
    def _either(self) -> "Selection":
        if (self.ids is None) == (self.filter is None):
            raise ValueError("name either ids or a filter ({} stands for all)")
        return self


class ReplayOf(Selection):
    """What to replay."""

    dry_run: bool = False
    """Only estimate."""


class Estimate(Output):
    """What a replay would be, or is."""

    count: int
    """Dead letters."""
    estimate_s: float
    """Seconds it would take."""
    warnings: list[str]
    """What to think of first."""
    job: str | None = None
    """Id of the begun replay, see ``dead/jobs/{job}``."""


@operations.get("dead", "List dead letters", query=Page, answer=answers.DeadPage, refusals=("unavailable",))
async def listed(call: Call) -> dict[str, Any]:
    """One page."""
    spool, page = _spool(call.desk), call.query
    wanted = page.wanted()
    items: list[DeadLetter] = []
    more = False
    async with aclosing(letters.each(spool, wanted, int(page.cursor or -1))) as found:  # type: ignore[type-var]
        async for letter in found:
            if len(items) == page.limit:
                more = True
                break
            items.append(letter)
    total = await _count(spool, wanted)
    return {
        "items": [letters.row(letter, _preview(call.desk, letter)) for letter in items],
        "next": str(items[-1].id) if more else None,
        "total": total,
        "reasons": sorted({letter.reason for letter in items}),
    }


@operations.get(
    "dead/export",
    "All that fit, a JSON object a line",
    query=Filter,
    media_type="application/x-ndjson",
    refusals=("unavailable",),
)
async def export(call: Call) -> web.StreamResponse:
    """Streamed: as many as there are."""
    spool = _spool(call.desk)
    response = web.StreamResponse(
        headers={
            "Content-Type": "application/x-ndjson",
            "Content-Disposition": 'attachment; filename="dead-letters.jsonl"',
            "Cache-Control": "no-store",
            "X-Content-Type-Options": "nosniff",
        }
    )
    await response.prepare(call.request)
    async for letter in letters.each(spool, call.query.wanted()):
        line = letters.shown(letter, _preview(call.desk, letter), call.desk.words)
        await response.write(orjson.dumps(line["row"] | {"received": line["received"], "mapped": line["mapped"]}) + b"\n")
    await response.write_eof()
    return response


@operations.get(r"dead/jobs/{job:\d+}", "Progress of a replay", refusals=("not_found",), answer=answers.Job)
async def progress(call: Call) -> dict[str, Any]:
    """count, done, state."""
    job = call.desk.replays.jobs.get(call.named("job"))
    if job is None:
        raise missing("replay of that id (only the last ones are remembered)")
    return job.told()


@operations.delete(r"dead/jobs/{job:\d+}", "Cancel a replay", status=204, refusals=("not_found",))
async def cancel(call: Call) -> None:
    """What was queued by then stays queued."""
    if not call.desk.replays.cancel(call.named("job")):
        raise missing("replay of that id that still runs")


@operations.get(
    r"dead/{id:\d{1,18}}",
    "One dead letter: as received, as it would be sent now, and TikTok's answer",
    refusals=("not_found", "unavailable"),
    answer=answers.DeadEvent,
)
async def one(call: Call) -> dict[str, Any]:
    """All that is known of it."""
    letter = await letters.one(_spool(call.desk), int(call.named("id")))
    if letter is None:
        raise missing("dead letter of that id; it may have been replayed, dropped or purged meanwhile")
    preview = _preview(call.desk, letter)
    return letters.shown(letter, preview, call.desk.words) | {"request": _request(call.desk, Lane.parse(letter.lane), preview)}


@operations.post(
    "dead/replay",
    "Queue dead letters again; with dry_run only estimate",
    body=ReplayOf,
    answer=Estimate,
    refusals=("unavailable",),
)
async def replay(call: Call) -> Estimate:
    """Their age starts anew; they keep their event_id and are mapped as the integration is now."""
    spool, now = _spool(call.desk), call.desk.now()
    count, doubtful = 0, 0
    gone: set[str] = set()
    async for letter in _chosen(spool, call.body):
        count += 1
        doubtful += letters.doubtful(letter, now)
        name = Lane.parse(letter.lane).integration
        if name not in call.desk.live.current.integrations:
            gone.add(name)
    warnings = [f"integration {name} does not exist any more: its events would die again" for name in sorted(gone)]
    if doubtful:
        warnings.append(
            f"{doubtful} may have reached TikTok before, more than 48 hours ago: TikTok would count them twice, as it recognises an event_id no longer"
        )
    found = Estimate(count=count, estimate_s=round(count / _DELIVERED_PER_S, 1), warnings=warnings)
    if not call.body.dry_run and count:
        found.job = call.desk.replays.start(spool, _chosen(spool, call.body), count, call.who.name).id
    return found


@operations.post("dead/drop", "Remove dead letters for good", body=Selection, refusals=("unavailable",), answer=answers.Dropped)
async def drop(call: Call) -> dict[str, int]:
    """How many were dropped."""
    spool, dropped = _spool(call.desk), 0
    ids: list[int] = []
    async for letter in _chosen(spool, call.body):
        ids.append(letter.id)
        if len(ids) == _DROP_SLICE:
            dropped += await spool.dead_drop(ids)
            ids = []
    if ids:
        dropped += await spool.dead_drop(ids)
    return {"dropped": dropped}


async def _chosen(spool: Spool, selection: Selection) -> AsyncIterator[DeadLetter]:
    if selection.filter is not None:
        async for letter in letters.each(spool, selection.filter.wanted()):
            yield letter
        return
    for id_ in sorted({int(text) for text in selection.ids or ()}):
        if (found := await letters.one(spool, id_)) is not None:
            yield found


async def _count(spool: Spool, wanted: Wanted) -> int | None:
    if wanted == Wanted():
        return sum(lane.dead for lane in (await spool.stats()).lanes)
    count = 0
    async for _ in letters.each(spool, wanted):
        count += 1
        if count > _COUNTED:
            return None
    return count


def _preview(desk: Desk, letter: DeadLetter) -> Preview | None:
    event = letters.sealed(letter)
    return desk.preview(Lane.parse(letter.lane).integration, event) if event else None


def _request(desk: Desk, lane: Lane, preview: Preview | None) -> dict[str, Any] | None:
    """As it would be made now."""
    integration = desk.live.current.integrations.get(lane.integration)
    if integration is None or preview is None or preview.payload is None:
        return None
    return {
        "method": "POST",
        "url": desk.endpoint,
        "headers": {"Content-Type": "application/json", "Access-Token": "<access token>"},
        "body": requests.body(integration.pixel_code, lane.test_code, preview.payload),
    }


def _spool(desk: Desk) -> Spool:
    spool = desk.spool()
    if spool is None:
        raise Refused("unavailable", "the spool is not open; the log says why", retry_after_s=5)
    return spool
