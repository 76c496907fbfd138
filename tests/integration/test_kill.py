"""kill -9 in the middle of load: nothing that was acknowledged is lost, and a retry keeps its id and its content.

The short form of ``python -m benchmarks.faults.kill``.
"""

from pathlib import Path

import pytest

from benchmarks.faults import kill


@pytest.mark.timeout(120)
async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """Killed while it collects, delivers or waits for TikTok, then started with a queue, then left to finish."""
    found = await kill.run(tmp_path, rounds=5, rate=400, queue=3000, seed=3)
    assert found.kept(timings=False), found
    assert found.kills == 5
    assert len(found.acknowledged) > 3000
    assert found.looks > found.kills


def test_the_run_notices_what_is_broken() -> None:
    """A script that cannot fail proves nothing."""
    assert kill.Figures().kept(timings=True)
    assert not kill.Figures(loaded_start_s=5.1).kept(timings=True)
    for fault in ("lost", "strangers", "differing", "repeated_at_rest", "unaccounted", "failed_starts"):
        assert not kill.Figures(**{fault: 1}).kept(timings=False)
    assert not kill.arrived_whole(
        "order-1", {"event": "Purchase", "properties": {"value": 2.5, "currency": "EUR", "order_id": "order-1"}}
    )
