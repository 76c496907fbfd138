"""Anything as a request: no crash, no 5xx, no header of the sender's making, no e-mail address let through.

The short form of ``python -m benchmarks.faults.inputs``.
"""

import pytest

from benchmarks.faults import inputs
from gateway.edge.answer import Answer


@pytest.mark.parametrize("seed", [11, 12])
async def test_anything_is_answered(seed: int) -> None:
    found = await inputs.run(seconds=30, seed=seed, most=2000)
    assert not found.crashes, found.crashes
    assert found.leaks == 0
    assert max(found.statuses) < 500
    assert found.requests == 2000
    assert found.accepted > 300
    assert len(found.statuses) >= 4


def test_the_run_notices_what_is_broken() -> None:
    made = inputs.Run(1)
    made._note(Answer(200, b"A: b\r\nSet-Cookie: a\nb\r\n"))
    assert not made.figures.kept
    assert not inputs.Figures(leaks=1).kept
    assert not inputs.Figures(slowest_s=1.5).kept
    figures = inputs.Figures()
    figures.statuses[503] = 1
    assert not figures.kept
