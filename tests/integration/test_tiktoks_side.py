"""Rows of the threat list's "TikTok's side" around a whole gateway: all events arrive in the end, none dies, the token stays.

The short form of ``python -m benchmarks.faults.tiktok``; the rows that are left out here are in test_delivery.py and test_delivery_client.py.
"""

import asyncio
from contextlib import suppress
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


@pytest.mark.parametrize("row", ["timeout-after-processing", "byte-by-byte", "redirect"])
async def test_the_peer_leaves_nothing_open(row: str) -> None:
    """Not even a connection on which an answer is being made, or one that nobody has closed: the end of a loop would find them."""
    peer = tiktok.Peer(tiktok.free_port(), tiktok.ROWS[row], left=9)
    await peer.serve()
    reader, writer = await asyncio.open_connection("127.0.0.1", peer.port)
    _, idle = await asyncio.open_connection("127.0.0.1", peer.port)
    writer.write(b'POST / HTTP/1.1\r\nContent-Length: 11\r\n\r\n{"data":[]}')
    while not peer.requests:  # noqa: ASYNC110 - the peer sets no events
        await asyncio.sleep(0.005)
    await peer.end()
    assert peer.open == {}
    assert asyncio.all_tasks() == {asyncio.current_task()}
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", peer.port)
    with suppress(ConnectionError):  # an end as good as a reset
        await asyncio.wait_for(reader.read(), 5)
    for each in (writer, idle):
        each.close()
        with suppress(ConnectionError):
            await each.wait_closed()
