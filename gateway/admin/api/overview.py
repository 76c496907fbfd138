"""The overview: the funnel, its course over time, lanes, alerts (io: HTTP only)."""

from collections import Counter
from typing import Any, Literal

import orjson
from aiohttp import web

from gateway.admin.errors import Refused
from gateway.admin.operation import Call, Input, Operations
from gateway.telemetry.feed import Feed
from gateway.telemetry.history import Minute

operations = Operations()

_WINDOWS = {"15m": 900.0, "1h": 3600.0, "24h": 86400.0}
_FIELDS = ("email", "phone", "external_id", "ttclid", "ttp", "ip", "user_agent")
_SHARE_FULL, _SHARE_FILTERED, _SHARE_SUCCESS = 0.8, 0.5, 0.95
_QUIET_S = 900.0


class Window(Input):
    """How far back."""

    window: Literal["15m", "1h", "24h"] = "1h"
    """15m, 1h or 24h."""


@operations.get("overview", "Funnel, course, lanes and alerts", query=Window, refusals=("unavailable",))
async def overview(call: Call) -> dict[str, Any] | web.Response:
    """Of the last minutes or hours of this process."""
    desk = call.desk
    if desk.history is None:
        raise Refused("unavailable", "there is no history here")
    minutes = desk.history.window(_WINDOWS[call.query.window])
    counts: Counter[tuple[str, str]] = Counter()
    for minute in minutes:
        counts.update(minute.counts)
    spool = desk.spool()
    stats = await spool.stats() if spool else None
    queued = sum(lane.queued for lane in stats.lanes) if stats else 0
    delivered, dead = _sum(counts, "delivered"), _sum(counts, "dead")
    lanes = desk.lanes()
    return {
        "window_s": _WINDOWS[call.query.window],
        "step_s": 60,
        "from": minutes[0].at,
        "funnel": {
            "received": _sum(counts, "received"),
            "accepted": _sum(counts, "accepted"),
            "filtered": {reason: n for (outcome, reason), n in counts.items() if outcome == "filtered"},
            "queued": queued,
            "delivered": delivered,
            "dead": dead,
            "deduplicated": _sum(counts, "deduplicated"),
            "refused": _sum(counts, "refused"),
            "rejected": _sum(counts, "rejected"),
        },
        "success_rate": delivered / (delivered + dead) if delivered + dead else None,
        "lag": None,
        "spool": {
            "used_bytes": stats.used_bytes if stats else 0,
            "max_bytes": stats.max_bytes if stats else 0,
            "records": queued,
            "oldest_age_s": max(
                (desk.now() - lane.oldest_accepted_at for lane in stats.lanes if lane.oldest_accepted_at), default=0.0
            )
            if stats
            else 0.0,
        },
        "series": _series(minutes),
        "codes": [{"code": code, "count": n, "words": ""} for (kind, code), n in counts.most_common() if kind == "code"],
        "match": _match(desk.metrics.feed),
        "lanes": lanes,
        "alerts": alerts(counts, lanes, stats.used_bytes / stats.max_bytes if stats else None, call),
    }


def alerts(counts: Counter[tuple[str, str]], lanes: list[dict[str, Any]], full: float | None, call: Call) -> list[dict[str, Any]]:
    """What somebody should look at."""
    found = []

    def say(id_: str, severity: str, title: str, cure: str, link: str) -> None:
        found.append({"id": id_, "severity": severity, "title": title, "cure": cure, "since": None, "link": link})

    for lane in lanes:
        if lane["state"] == "suspended":
            say(
                f"lane:{lane['integration']}",
                "critical",
                f"{lane['integration']} is suspended: {lane['message']}",
                lane["cure"],
                f"/integrations/{lane['integration']}",
            )
    if full is None:
        say("spool", "critical", "The spool is not open", "Events are refused with 503; the log says why.", "/settings")
    elif full >= _SHARE_FULL:
        say(
            "spool",
            "warning",
            f"The spool is {full:.0%} full",
            "Find out why events are not delivered, or raise spool.max_bytes.",
            "/settings",
        )
    delivered, dead = _sum(counts, "delivered"), _sum(counts, "dead")
    if dead and delivered / (delivered + dead) < _SHARE_SUCCESS:
        say(
            "success",
            "warning",
            f"{dead} events became dead letters",
            "Look at TikTok's words, fix the mapping, replay.",
            "/dead",
        )
    accepted, filtered = _sum(counts, "accepted"), _sum(counts, "filtered")
    if filtered and filtered / (accepted + filtered) > _SHARE_FILTERED:
        say(
            "consent",
            "warning",
            f"{filtered / (accepted + filtered):.0%} of events are filtered",
            "See the reasons; a consent banner that is not read looks like this.",
            "/live",
        )
    for integration in call.desk.live.current.integrations.values():
        if integration.test_code:
            say(
                f"code:{integration.id}",
                "warning",
                f"A test event code is set for {integration.id}",
                "Its events are not in reports: remove it after testing.",
                f"/integrations/{integration.id}",
            )
    if not _sum(counts, "received"):
        say(
            "traffic",
            "warning",
            "No events have been received in this time",
            "Is the tag on the page, and the pipeline's key in it?",
            "/pipelines",
        )
    return found


def _sum(counts: Counter[tuple[str, str]], outcome: str) -> int:
    return sum(n for (name, _), n in counts.items() if name == outcome)


def _series(minutes: list[Minute]) -> dict[str, list[float]]:
    made: dict[str, list[float]] = {
        "at": [minute.at for minute in minutes],
        "spool_records": [minute.records for minute in minutes],
    }
    for name in ("received", "delivered", "filtered", "dead"):
        made[name] = [sum(n for (outcome, _), n in minute.counts.items() if outcome == name) for minute in minutes]
    return made


def _match(feed: Feed | None) -> dict[str, int]:
    rows = feed.recent(500, lambda row: bool(row.payload)) if feed else []
    found = dict.fromkeys(("events", *_FIELDS), 0)
    for row in rows:
        user = (orjson.loads(row.payload)).get("user", {})
        found["events"] += 1
        for field in _FIELDS:
            found[field] += bool(user.get(field))
    return found
