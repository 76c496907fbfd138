"""TikTok away for a while: the site does not notice, nothing is lost, hardly anybody knocks.

The short form of ``python -m benchmarks.faults.outage``; what depends on the machine's other work is not judged here.
"""

from pathlib import Path

import pytest

from benchmarks.faults import outage


@pytest.mark.timeout(120)
async def test_an_outage_is_survived(tmp_path: Path) -> None:
    found = await outage.run(tmp_path, before_s=0.5, down_s=7.0, rate=200, pages=20, warm_s=0.5)
    assert found.kept(timings=False), found
    assert found.waiting > 500
    assert found.collect.results == {"200": found.collect.sent}


def test_the_run_notices_what_is_broken() -> None:
    """A script that cannot fail proves nothing."""
    assert outage.Figures().kept(timings=False)
    for fault in (
        {"lost": 1},
        {"strangers": 1},
        {"unaccounted": 1},
        {"memory_most_mib": 65.0},
        {"probes": [3]},
        {"probes": [2] * 8},
    ):
        assert not outage.Figures(**fault).kept(timings=False)  # type: ignore[arg-type]
