"""Rows of the threat list's "TikTok's side" around a whole gateway: all events arrive in the end, none dies, the token stays.

The short form of ``python -m benchmarks.faults.tiktok``; the rows that are left out here are in test_delivery.py and test_delivery_client.py.
"""

from pathlib import Path

import pytest

from benchmarks.faults import tiktok


@pytest.mark.timeout(90)
@pytest.mark.parametrize(
    "row", ["timeout-after-processing", "redirect", "gzip-bomb", "100-mb-answer", "token-revoked", "html-with-200"]
)
async def test_a_row_ends_well(tmp_path: Path, row: str) -> None:
    found = await tiktok.run(tmp_path, row, events=30, times=2)
    assert found.fault == "", found
