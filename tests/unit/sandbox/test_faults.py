"""Which requests a fault hits."""

import random
from typing import Any

import pytest
from pydantic import ValidationError

from gateway.sandbox.faults import Dice, Faults


def dice(**faults: Any) -> Dice:
    made = Dice()
    made.set(Faults(**faults))
    return made


@pytest.mark.parametrize(
    "faults",
    [{"reset": True}, {"html": True}, {"hang": True}, {"code": 0}, {"code": 40100}, {"http_status": 500}, {"latency_ms": 1}],
)
def test_each_fault_hits_every_request_until_cleared(faults: dict[str, Any]):
    made = dice(**faults)
    assert [made.throw() is not None for _ in range(3)] == [True] * 3
    made.set(Faults())
    assert made.throw() is None


@pytest.mark.parametrize(
    "faults", [{}, {"rate": 1}, {"after_processing": True}, {"retry_after": 3}, {"message": "x"}, {"count": 3}]
)
def test_settings_that_only_shape_a_fault_hit_nothing_alone(faults: dict[str, Any]):
    assert dice(**faults).throw() is None


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_count_ends_by_itself(count: int):
    made = dice(reset=True, count=count)
    assert [made.throw() is not None for _ in range(5)] == [True] * count + [False] * (5 - count)
    assert made.describe() == {"reset": True, "count": count, "left": 0}


def test_a_rate_hits_its_share():
    random.seed(7)
    made = dice(reset=True, rate=0.2)
    hits = sum(made.throw() is not None for _ in range(5000))
    assert 850 < hits < 1150
    assert dice(reset=True, rate=0).throw() is None


def test_what_misses_by_rate_is_not_counted():
    made = dice(reset=True, rate=0, count=2)
    assert made.throw() is None
    assert made.describe()["left"] == 2


@pytest.mark.parametrize("faults", [
    {"latency_ms": -1}, {"http_status": 99}, {"http_status": 600}, {"rate": 1.1}, {"rate": -0.1}, {"count": -1}, {"retry_after": -1}, {"message": "x" * 1001},
    {"latency": 5}, {"code": "many"},
])  # fmt: skip
def test_what_is_no_fault(faults: dict[str, Any]):
    with pytest.raises(ValidationError):
        Faults(**faults)
