"""The last day by the minute, its file, and what it says is wrong."""

import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.telemetry import history
from gateway.telemetry.alerts import QUIET_S, Situation, alerts
from gateway.telemetry.history import DAY_S, MINUTES, History, Key, Minute, Reading, quantile
from gateway.telemetry.history_file import HistoryFile
from gateway.telemetry.metrics import LAG_BUCKETS_S, Metrics

RECEIVED = ("received", "")


class Counters:
    """What the history reads, and the clock it goes by."""

    def __init__(self, at: float = 1_000_020.0) -> None:
        self.at = at
        self.counts: Counter[Key] = Counter()
        self.history = History(lambda: self.at, lambda: Reading(dict(self.counts), 7, 1.5))

    def minute(self, received: int) -> Minute:
        """A minute in which that many came in."""
        self.counts[RECEIVED] += received
        self.at += 60
        return self.history.sample()


def test_what_was_counted_before_is_not_counted_again() -> None:
    counters = Counters()
    counters.minute(3)
    counters.minute(0)
    counters.counts[RECEIVED] += 2
    assert counters.history.counts(3600)[RECEIVED] == 5
    assert counters.history.counts(30)[RECEIVED] == 2
    steps = counters.history.steps(300, 60)
    assert [step.counts.get(RECEIVED, 0) if step else None for step in steps] == [None, None, 3, 0, 2]
    assert steps[-1] is not None
    assert (steps[-1].records, steps[-1].oldest_age_s) == (7, 1.5)


def test_no_count_is_lost_between_steps_of_any_width() -> None:
    random.seed(1)
    counters = Counters()
    minutes = [counters.minute(random.randrange(5)) for _ in range(MINUTES + 100)]
    for step_s in (60, 900, 3600):
        steps = counters.history.steps(DAY_S, step_s)
        assert len(steps) == DAY_S / step_s
        first = steps[0].at if steps[0] else 0.0
        wanted = sum(minute.counts.get(RECEIVED, 0) for minute in minutes if minute.at >= first)
        assert sum(step.counts.get(RECEIVED, 0) for step in steps if step) == wanted


def test_a_day_at_most_is_kept() -> None:
    counters = Counters()
    for _ in range(3 * MINUTES):
        counters.minute(1)
    assert counters.history.counts(10 * DAY_S)[RECEIVED] == MINUTES


def test_charts_survive_a_restart(tmp_path: Path) -> None:
    kept, before = HistoryFile(tmp_path / "h"), Counters()
    for _ in range(5):
        kept.append(before.minute(2))
    after = Counters(before.at + 600)
    after.history.restore(HistoryFile(tmp_path / "h").read())
    after.counts[RECEIVED] += 1
    assert after.history.counts(3600)[RECEIVED] == 11
    assert sum(step is None for step in after.history.steps(900, 60)) == 10


def test_what_is_older_than_a_day_or_from_the_future_stays_out() -> None:
    counters = Counters()
    old, good, future = (Minute(counters.at + off, {RECEIVED: 1}) for off in (-DAY_S - 1, -60, 3600))
    counters.history.restore([old, good, future])
    assert counters.history.counts(10 * DAY_S)[RECEIVED] == 1


def test_a_torn_or_foreign_file_costs_its_bad_lines_only(tmp_path: Path) -> None:
    path = tmp_path / "h"
    kept = HistoryFile(path)
    kept.append(Minute(1.0, {RECEIVED: 1}))
    with path.open("ab") as file:
        file.write(b'not json\n[]\n{"at": "x"}\n\xff\xfe\n{"at": 2.0, "records"')
    kept.append(Minute(3.0, {RECEIVED: 3}, 4, 5.0))
    assert HistoryFile(path).read() == [Minute(1.0, {RECEIVED: 1}), Minute(3.0, {RECEIVED: 3}, 4, 5.0)]


def test_the_file_does_not_grow_without_end(tmp_path: Path) -> None:
    path = tmp_path / "h"
    kept = HistoryFile(path)
    for n in range(2 * MINUTES + 10):
        kept.append(Minute(float(n), {}))
    assert len(path.read_bytes().splitlines()) == MINUTES + 10
    assert HistoryFile(path).read()[-1].at == 2 * MINUTES + 9
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_folder_that_cannot_be_written_is_said_once(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    kept = HistoryFile(tmp_path / "missing" / "h")
    kept.append(Minute(1.0, {}))
    kept.append(Minute(2.0, {}))
    assert len(caplog.records) == 1
    assert kept.read() == []


@given(st.lists(st.floats(0, 2e5), min_size=1, max_size=60), st.floats(0.05, 1))
def test_a_quantile_lies_in_the_bucket_of_the_true_one(lags: list[float], share: float) -> None:
    metrics = Metrics()
    metrics.delivered("a", lags)
    counts = {("lag", str(bucket)): n for bucket, n in enumerate(metrics.lags())}
    found = quantile(counts, share, LAG_BUCKETS_S)
    assert found is not None
    edges = (0.0, *LAG_BUCKETS_S)
    rank = next(n for n in range(1, len(lags) + 1) if n >= share * len(lags) - 1e-9)
    true = sorted(lags)[rank - 1]
    low = max((edge for edge in edges if edge < true), default=0.0)
    high = min((edge for edge in edges if edge >= true and edge), default=LAG_BUCKETS_S[-1])
    assert low - 1e-9 <= found <= high + 1e-9


def test_without_deliveries_there_is_no_lag() -> None:
    assert quantile({RECEIVED: 5}, 0.5, LAG_BUCKETS_S) is None
    assert Metrics().lags() == []


def test_a_line_gives_back_its_minute() -> None:
    minute = Minute(12.5, {("filtered", "gpc"): 3, ("lag", "0"): 2}, 4, 0.5)
    assert history.minute(history.line(minute)) == minute


def situation(**more: Any) -> Situation:
    """A gateway in good order."""
    busy = Counter({RECEIVED: 5000, ("accepted", ""): 5000, ("delivered", ""): 5000})
    return Situation(**{"lately": busy, "hour": busy, "day": busy, "spool_fill": 0.1, **more})


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ({}, []),
        ({"lanes": [{"integration": "a", "state": "suspended", "message": "no", "cure": "yes"}]}, ["lane_suspended:a"]),
        ({"lanes": [{"integration": "a", "state": "backing_off", "message": "", "cure": ""}]}, []),
        ({"spool_fill": None}, ["spool_unavailable"]),
        ({"spool_writable": False}, ["spool_unavailable"]),
        ({"spool_fill": 0.8}, ["spool_filling"]),
        ({"hour": Counter({("dead", "tiktok_rejected"): 1, ("delivered", ""): 5000})}, ["dead_letters"]),
        ({"hour": Counter({("dead", "tiktok_rejected"): 6, ("delivered", ""): 94})}, ["success_rate", "dead_letters"]),
        ({"hour": Counter({("dead", "tiktok_rejected"): 6, ("delivered", ""): 4})}, ["dead_letters"]),
        ({"hour": Counter({("filtered", "consent_missing"): 51, ("accepted", ""): 49})}, ["filtered"]),
        ({"hour": Counter({("filtered", "gpc"): 5, ("accepted", ""): 1})}, []),
        ({"test_codes": ["b"]}, ["test_code:b"]),
        ({"lately": Counter(), "day": Counter()}, ["no_traffic"]),
        ({"lately": Counter(), "day": Counter({RECEIVED: 10_000})}, ["no_traffic"]),
        ({"lately": Counter(), "day": Counter({RECEIVED: 900})}, []),
        ({"lately": Counter(), "day": Counter(), "listened_s": QUIET_S - 1}, []),
        ({"lately": Counter(), "day": Counter({RECEIVED: 10_000}), "listened_s": QUIET_S - 1}, []),
        (
            {
                "hour": Counter(
                    {("filtered", "bot"): 900, ("filtered", "unmapped"): 90, ("filtered", "gpc"): 9, ("accepted", ""): 91}
                )
            },
            [],
        ),
        ({"hour": Counter({("filtered", "bot"): 900, ("filtered", "consent_denied"): 60, ("accepted", ""): 40})}, ["filtered"]),
    ],
)
def test_what_is_wrong_is_named_with_a_cure(more: dict[str, Any], named: list[str]) -> None:
    found = alerts(situation(**more))
    assert [alert.id for alert in found] == named
    assert all(alert.cure and alert.title and alert.link.startswith("/") for alert in found)


def test_missing_consent_signals_are_told_from_refused_ones() -> None:
    (alert,) = alerts(
        situation(hour=Counter({("filtered", "consent_missing"): 60, ("filtered", "gpc"): 10, ("accepted", ""): 30}))
    )
    assert "no consent signal" in alert.cure
    assert "70%" in alert.title
