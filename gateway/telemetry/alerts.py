"""What somebody should look at (pure): from counters and states to sentences with a cure.

Law: an alert stands for something a person can act on, says what to do, and is as true in the metric as in the UI: both come from here. Rates are judged only where there is enough
to judge by.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.outcome import Reason
from gateway.telemetry.history import DAY_S, Key

SUCCESS_FLOOR = 0.95
FILTERED_CEILING = 0.5
SPOOL_CEILING = 0.8
QUIET_S = 900.0
RATES_S = 3600.0
_CONSENT = frozenset({Reason.CONSENT_MISSING.value, Reason.CONSENT_DENIED.value, Reason.GPC.value})
_ENOUGH = 20
"""Events a rate is judged by."""
_EXPECTED = 100
"""Events that the day's average would have brought in QUIET_S: below it, silence says nothing."""


class Alert(NamedTuple):
    """One thing."""

    name: str
    """Of a bounded set: the metric's label."""
    severity: str
    """``warning`` or ``critical``."""
    title: str
    cure: str
    link: str
    """The page of the UI to look at."""
    subject: str = ""
    """The integration it is about."""

    @property
    def id(self) -> str:
        """Tells it from others, over time."""
        return f"{self.name}:{self.subject}" if self.subject else self.name


@dataclass(frozen=True, slots=True)
class Situation:
    """What is known now; ``lately``, ``hour`` and ``day`` are sums over QUIET_S, RATES_S and a day."""

    lately: Counter[Key]
    hour: Counter[Key]
    day: Counter[Key]
    lanes: Iterable[Mapping[str, Any]] = ()
    spool_fill: float | None = None
    """Of 1; None = not open."""
    spool_writable: bool = True
    test_codes: Iterable[str] = ()
    """Integrations with one set."""
    names: Mapping[str, str] = field(default_factory=dict)
    """Integration → what people call it."""
    listened_s: float = QUIET_S
    """How long this process has been there to be sent anything."""


def alerts(now: Situation) -> list[Alert]:
    """The critical ones first."""
    found = [*_lanes(now), *_spool(now), *_fates(now), *_filtered(now), *_test_codes(now), *_silence(now)]
    return sorted(found, key=lambda alert: alert.severity != "critical")


def total(counts: Mapping[Key, int], kind: str) -> int:
    """All of a kind, whatever the reason."""
    return sum(n for (name, _), n in counts.items() if name == kind)


def _name(now: Situation, integration: str) -> str:
    return now.names.get(integration) or integration


def _lanes(now: Situation) -> Iterable[Alert]:
    for lane in now.lanes:
        if lane["state"] == "suspended":
            id_ = lane["integration"]
            title = f"{_name(now, id_)} is suspended: {lane['message'] or 'TikTok refuses everything'}"
            yield Alert("lane_suspended", "critical", title, lane["cure"], f"/integrations/{id_}", id_)


def _spool(now: Situation) -> Iterable[Alert]:
    if now.spool_fill is None or not now.spool_writable:
        cure = "Events are refused with 503 until it can be written: the log names the fault, and it comes back by itself."
        yield Alert("spool_unavailable", "critical", "Events cannot be made durable", cure, "/settings")
    elif now.spool_fill >= SPOOL_CEILING:
        cure = "Find out why events are not delivered, or raise spool.max_bytes; when it is full, events are refused with 503."
        yield Alert("spool_filling", "warning", f"The spool is {now.spool_fill:.0%} full", cure, "/settings")


def _fates(now: Situation) -> Iterable[Alert]:
    delivered, dead = total(now.hour, "delivered"), total(now.hour, "dead")
    if not dead:
        return
    cure = "Look at TikTok's words, mend the mapping, then replay."
    if delivered + dead >= _ENOUGH and delivered / (delivered + dead) < SUCCESS_FLOOR:
        title = f"Only {delivered / (delivered + dead):.1%} of the last hour's events were delivered"
        yield Alert("success_rate", "critical", title, cure, "/dead")
    title = "An event became a dead letter within the hour" if dead == 1 else f"{dead} events became dead letters within the hour"
    yield Alert("dead_letters", "warning", title, cure, "/dead")


def _filtered(now: Situation) -> Iterable[Alert]:
    # Of those that consent was asked for: crawlers and names that nobody maps say nothing about the banner.
    reasons = {reason: n for (kind, reason), n in now.hour.items() if kind == "filtered" and reason in _CONSENT}
    filtered, accepted = sum(reasons.values()), total(now.hour, "accepted")
    if filtered + accepted < _ENOUGH or filtered / (filtered + accepted) <= FILTERED_CEILING:
        return
    cure = {
        "consent_missing": "Most carry no consent signal: connect the consent banner (OneTrust, Cookiebot, a cookie of your own), or send the decision with the event.",
        "consent_denied": "Most visitors denied what the integration needs. See Live events; a banner whose categories are not those of the integration looks like this.",
        "gpc": "Most browsers send Global Privacy Control, which denies marketing and advertising. Nothing, if your visitors are like that.",
    }[max(reasons, key=lambda reason: reasons[reason])]
    title = f"{filtered / (filtered + accepted):.0%} of the last hour's events were left out for want of consent"
    yield Alert("filtered", "warning", title, cure, "/live?outcome=filtered")


def _test_codes(now: Situation) -> Iterable[Alert]:
    for id_ in now.test_codes:
        title = f"A test event code is set for {_name(now, id_)}"
        yield Alert(
            "test_code",
            "warning",
            title,
            "Its events are not in TikTok's reports: remove it after testing.",
            f"/integrations/{id_}",
            id_,
        )


def _silence(now: Situation) -> Iterable[Alert]:
    if now.lately["received", ""] or now.listened_s < QUIET_S:
        return
    day = now.day["received", ""]
    if not day:
        cure = "Is the tag on the page, and the pipeline's key in it?"
        yield Alert("no_traffic", "warning", "No events have come in", cure, "/pipelines")
    elif day * QUIET_S / DAY_S >= _EXPECTED:
        cure = "Does the site answer, is the tag still on its pages, and does the route still lead here?"
        yield Alert("no_traffic", "warning", f"No event has come in for {QUIET_S / 60:.0f} minutes", cure, "/pipelines")
