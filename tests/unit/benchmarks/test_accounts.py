"""P9 sums what every collecting scenario finds: a loss or a repetition in any of them makes it fall short."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from benchmarks import account
from benchmarks.account import Account
from benchmarks.drive import Driven
from benchmarks.figure import Context
from benchmarks.load.generator import Result
from benchmarks.scenarios import collect, latency, management, outage


def stats(unique: int, duplicates: int = 0) -> dict[str, Any]:
    return {"unique": unique, "duplicates": duplicates}


def settled(sent: Result, found: dict[str, Any], batch: int = 1) -> Account:
    kept = Account()
    kept.sent(sent, batch)
    kept.settle(found)
    return kept


@pytest.mark.parametrize(
    ("unique", "duplicates", "found"),
    [
        (100, 0, (0, 0, 0)),
        (99, 0, (1, 0, 0)),
        (100, 2, (0, 2, 0)),
        (110, 0, (0, 0, 0)),  # a request without an answer may have been stored
        (111, 0, (0, 0, 1)),
    ],
)
def test_acknowledged_is_compared_with_arrived(unique: int, duplicates: int, found: tuple[int, int, int]) -> None:
    sent = Result(sent=9, statuses={200: 7, 204: 1, 0: 1}, warm_ok=2, warm_sent=2)
    kept = settled(sent, stats(unique, duplicates), batch=10)
    assert (kept.acknowledged, kept.open) == (100, 10)
    assert (kept.lost, kept.duplicated, kept.strangers) == found


def test_signs_do_not_cancel_out() -> None:
    sent = Result(sent=10, statuses={200: 10})
    accounts = {"one": settled(sent, stats(9)), "two": settled(sent, stats(11)), "three": settled(sent, stats(10, 1))}
    figure = account.figure(accounts)
    assert (figure.value, figure.verdict) == (3, "SHORT")
    assert (figure.notes["lost"], figure.notes["duplicated"], figure.notes["strangers"]) == (1, 1, 1)
    assert account.figure({"one": settled(sent, stats(10))}).verdict == "goal"


def driven(*_arguments: Any, **_options: Any) -> Driven:
    """A run of ten requests, one of which was refused."""
    result = Result(seconds=1.0, sent=10, statuses={200: 9, 503: 1})
    result.latencies_s.extend([0.001] * 10)
    return Driven(result, 0.001)


class _Parts:
    """A stack that starts nothing."""

    def _part(self, *_arguments: Any, name: str = "part", **_options: Any) -> SimpleNamespace:
        return SimpleNamespace(name=name, port=9, pid=os.getpid(), stop=lambda *_: None)

    sandbox = gateway = baseline = _part

    def admin_port(self, _name: str) -> int:
        return 9


@contextlib.contextmanager
def nothing(*_arguments: Any) -> Iterator[_Parts]:
    yield _Parts()


@contextlib.contextmanager
def three_viewers(_port: int) -> Iterator[list[int]]:
    yield [1, 1, 1]


@contextlib.contextmanager
def collecting(_gateway: Any, _rate: float, _seconds: float, kept: Account) -> Iterator[None]:
    yield
    kept.sent(driven().result)


@pytest.mark.parametrize(
    "scenario", [collect, latency, management, outage], ids=lambda module: module.__name__.rpartition(".")[2]
)
def test_every_scenario_that_collects_hands_its_account_back(
    scenario: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Three were lost and two came twice, whatever was sent."""
    for name, stand_in in {
        "drive": driven,
        "stack": nothing,
        "sandbox_stats": lambda _port: {"unique": 1 << 40, "events": 0},
        "settled_stats": lambda _port, expected: stats(expected - 3, 2),
        "wait_delivered": lambda *_: None,
        "build": lambda: "compiled",
        "_viewers": three_viewers,
        "_collecting": collecting,
        "_start_s": lambda *_: (_Parts().gateway(), 0.1),
    }.items():
        if hasattr(scenario, name):
            monkeypatch.setattr(scenario, name, stand_in)
    monkeypatch.setattr("os.setpriority", lambda *_: None)
    monkeypatch.setattr("time.sleep", lambda _s: None)
    monkeypatch.setattr("urllib.request.urlopen", lambda *_a, **_k: SimpleNamespace(close=lambda: None))
    figures, kept = scenario.run(Context(tmp_path, quick=True, say=lambda _text: None))
    assert figures
    assert kept is not None
    assert kept.acknowledged > 0
    assert (kept.lost, kept.duplicated, kept.strangers) == (3, 2, 0)
    if scenario is collect:
        assert all("interpreted" in figure.notes for figure in figures)
