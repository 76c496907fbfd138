"""A benchmark that ends well has kept its promises."""

import json
from collections import Counter
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks.broker import Drained, Edge, promised_of_drains, promised_of_edges
from benchmarks.faults.broker import promised
from benchmarks.promises import Promise, judge, keep


@pytest.mark.parametrize(
    ("value", "floor", "kept"),
    [
        (2.4, True, False),
        (2.5, True, True),
        (2.5, False, True),
        (2.6, False, False),
        (float("nan"), True, False),
        (float("nan"), False, False),
    ],
)
def test_a_bound_is_the_least_or_the_most(value: float, floor: bool, kept: bool) -> None:
    assert Promise("x", value, 2.5, floor).kept is kept


def test_one_broken_promise_is_enough_and_all_are_said(capsys: pytest.CaptureFixture[str]) -> None:
    assert not judge([Promise("rate", 1.0, 0.6, floor=True), Promise("lost", 1, 0), Promise("gap", 1, 2)])
    assert capsys.readouterr().out.splitlines() == [
        "kept   rate: 1.00, at least 0.60", "BROKEN lost: 1.00, at most 0.00", "kept   gap: 1.00, at most 2.00",
    ]  # fmt: skip


def test_each_run_keeps_its_own_section(tmp_path: Path) -> None:
    path = tmp_path / "results" / "broker.json"
    keep(path, "edges", "benchmarks.broker", {"a": 1}, [Promise("rate", 1.0, 0.6, floor=True)], {"cores": 2})
    keep(path, "drain", "benchmarks.broker", {"b": 2}, [Promise("lost", 1, 0)], {})
    found = json.loads(path.read_text())
    assert found["edges"]["figures"] == {"a": 1}
    assert found["edges"]["promises"] == [{"words": "rate", "value": 1.0, "at_least": 0.6, "kept": True}]
    assert found["drain"]["promises"] == [{"words": "lost", "value": 1, "at_most": 0, "kept": False}]


def edge(*rates: float, not_ok: int = 0, away: int = 0) -> Edge:
    return Edge("e", [*rates], not_ok=not_ok, away=away)


@pytest.mark.parametrize(
    ("found", "kept"),
    [
        ([edge(100, 90), edge(70, 60)], True),
        ([edge(100, 90), edge(59, 50)], False),
        ([edge(100), edge(70, not_ok=1)], False),
        ([edge(100, not_ok=1), edge(70)], False),
        ([edge(100), edge(70, away=1)], False),
        ([edge(100), edge(70), edge(10)], True),  # reported, not promised
    ],
)
def test_an_edge_keeps_its_share_of_sqlite_s_rate(found: list[Edge], kept: bool) -> None:
    assert judge(promised_of_edges(found)) is kept


def drained(deliverers: int, seconds: float, cpu_us: float, busy: float) -> Drained:
    return Drained(deliverers, 60_000, seconds, cpu_us, 15, 0, [], busy)


@pytest.mark.parametrize(
    ("seconds", "cpu_us", "busy", "kept"),
    [(10, 40, 0.5, True), (20, 40, 0.5, False), (20, 40, 0.95, True), (20, 90, 0.95, False)],
)
def test_four_deliverers_are_judged_by_their_rate_unless_the_cores_are_the_limit(
    seconds: float, cpu_us: float, busy: float, kept: bool
) -> None:
    assert judge(promised_of_drains(drained(1, 30, 38, 0.4), drained(4, seconds, cpu_us, busy))) is kept


@pytest.mark.parametrize(
    ("lost", "gap_s", "refused", "differing", "acknowledged", "kept"),
    [
        (set(), 12.0, {}, [], {"a"}, True),
        (set(), 156.0, {}, [], {"a"}, False),
        (set(), 0.0, {503: 1}, [], {"a"}, False),
        ({"a"}, 0.0, {}, [], {"a"}, False),
        (set(), 0.0, {}, ["a"], {"a"}, False),
        (set(), 0.0, {}, [], set(), False),
    ],
)
def test_what_kills_may_do(
    lost: set[str], gap_s: float, refused: dict[int, int], differing: list[str], acknowledged: set[str], kept: bool
) -> None:
    receiver = SimpleNamespace(gap_s=gap_s, differing=differing)
    run: Any = SimpleNamespace(receiver=receiver, refused=Counter(refused), acknowledged=acknowledged)
    assert judge(promised(run, lost)) is kept
