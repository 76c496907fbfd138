"""The overview: the funnel, its course over time, lanes, alerts (io: HTTP only)."""

from collections import Counter
from typing import Any, Literal

from aiohttp import web

from gateway.admin import figures, shown
from gateway.admin.desk import Desk
from gateway.admin.errors import Refused
from gateway.admin.operation import Call, Input, Operations
from gateway.errors import SpoolUnavailable
from gateway.lane import Lane
from gateway.spool.base import LaneStats
from gateway.telemetry.alerts import total
from gateway.telemetry.history import Key, Minute, quantile
from gateway.telemetry.metrics import LAG_BUCKETS_S, MATCH_FIELDS

operations = Operations()

_WINDOWS = {"15m": (900.0, 60.0), "1h": (3600.0, 60.0), "24h": (86400.0, 900.0)}
"""Its length and its charts' steps (s)."""
_COUNTED = ("received", "delivered", "filtered", "dead")


class Window(Input):
    """How far back."""

    window: Literal["15m", "1h", "24h"] = "1h"
    """15m, 1h or 24h."""


@operations.get("overview", "Funnel, course, lanes and alerts", query=Window, refusals=("unavailable",), answer=figures.Overview)
async def overview(call: Call) -> dict[str, Any] | web.Response:
    """Of the last minutes or hours, over restarts."""
    desk = call.desk
    if desk.history is None:
        raise Refused("unavailable", "there is no history here")
    window_s, step_s = _WINDOWS[call.query.window]
    steps = desk.history.steps(window_s, step_s)
    counts: Counter[Key] = Counter()
    for step in steps:
        counts.update(step.counts if step else {})
    spool = desk.spool()
    try:
        stats = await spool.stats() if spool else None
    except SpoolUnavailable:
        stats = None
    lanes = stats.lanes if stats else []
    waiting = {Lane.parse(lane.lane): lane for lane in lanes}
    ages = [desk.now() - lane.oldest_accepted_at for lane in lanes if lane.oldest_accepted_at]
    queued = sum(lane.queued for lane in lanes)
    delivered, dead = total(counts, "delivered"), total(counts, "dead")
    filtered = {reason: n for (outcome, reason), n in counts.items() if outcome == "filtered"}
    return {
        "window_s": window_s,
        "step_s": step_s,
        "from": desk.now() - window_s,
        "funnel": {
            **{name: total(counts, name) for name in ("received", "accepted", "delivered", "dead", "deduplicated", "refused", "rejected")},
            # an event counts once as received, and from here on once for each of its pipeline's integrations
            "records": total(counts, "accepted") + sum(filtered.values()) + counts["deduplicated", "repeated"],
            "filtered": filtered,
            "queued": queued,
        },
        "success_rate": delivered / (delivered + dead) if delivered + dead else None,
        "lag": {name: quantile(counts, share, LAG_BUCKETS_S) for name, share in (("p50", 0.5), ("p95", 0.95))},
        "spool": {
            "used_bytes": stats.used_bytes if stats else 0,
            "max_bytes": stats.max_bytes if stats else 0,
            "records": queued,
            "oldest_age_s": max(ages, default=0.0),
        },
        "series": _series(steps, int(desk.now() // step_s) * step_s, step_s),
        "codes": [{"code": code, "count": n, "words": desk.words(code)} for (kind, code), n in counts.most_common() if kind == "code"],
        "match": {field: counts["match", field] for field in ("events", *MATCH_FIELDS)},
        "lanes": [_lane(desk, lane, waiting.get(Lane(lane["integration"], lane["test_event_code"]))) for lane in desk.lanes()],
        "alerts": await desk.alerts() if desk.alerts else [],
    }  # fmt: skip


def _lane(desk: Desk, lane: dict[str, Any], waiting: LaneStats | None) -> dict[str, Any]:
    return {
        **lane,
        "queued": waiting.queued if waiting else 0,
        "oldest_accepted_at": (waiting.oldest_accepted_at or None) if waiting else None,
        "last_delivered_at": shown.last_delivered_at(desk, lane["integration"]),
    }


def _series(steps: list[Minute | None], last_at: float, step_s: float) -> dict[str, list[float | None]]:
    made: dict[str, list[float | None]] = {
        "at": [last_at - (len(steps) - 1 - number) * step_s for number in range(len(steps))],
        "spool_records": [step.records if step else None for step in steps],
        "spool_oldest_age_s": [step.oldest_age_s if step else None for step in steps],
    }
    for name in _COUNTED:
        made[name] = [total(step.counts, name) if step else 0 for step in steps]
    for name, share in (("lag_p50", 0.5), ("lag_p95", 0.95)):
        made[name] = [quantile(step.counts, share, LAG_BUCKETS_S) if step else None for step in steps]
    return made
