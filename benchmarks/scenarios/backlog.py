"""P6: what put and lease cost with a long queue in the spool, beside an empty one – the spool alone, in this process."""

import statistics
import time
from pathlib import Path

import uvloop

from benchmarks.account import Measured
from benchmarks.figure import Context, Figure
from gateway.outcome import Outcome
from gateway.spool.base import Done, NewRecord, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

_PAYLOAD = b"x" * 900
_GROUP = 100


async def _fill(spool: SqliteSpool, count: int) -> None:
    for start in range(0, count, 2_000):
        await spool.put(
            [NewRecord("tiktok", "owner", 1_700_000_000.0 + start, _PAYLOAD) for _ in range(min(2_000, count - start))]
        )


async def _cost(spool: SqliteSpool, rounds: int) -> tuple[float, float]:
    """(put, lease + settle) in CPU-µs a record, all threads."""
    begin = time.process_time()
    for number in range(rounds):
        await spool.put([NewRecord("tiktok", "owner", 1_800_000_000.0 + number, _PAYLOAD) for _ in range(_GROUP)])
    put = time.process_time() - begin
    begin = time.process_time()
    for _ in range(rounds):
        leased = await spool.lease("tiktok", _GROUP, 1 << 30, 1.0)
        await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in leased]))
    lease = time.process_time() - begin
    records = rounds * _GROUP
    return put / records * 1e6, lease / records * 1e6


async def _measure(folder: Path, backlog: int, rounds: int) -> tuple[float, float]:
    spool = await SqliteSpool.open(SpoolSettings(path=str(folder), max_bytes=8 << 30))
    try:
        await _fill(spool, backlog)
        return await _cost(spool, rounds)
    finally:
        await spool.close()


def run(context: Context) -> Measured:
    """Ratios of the loaded spool's costs to the empty one's, paired."""
    backlog = 100_000 if context.quick else 1_000_000
    rounds = 100 if context.quick else 300
    puts: list[tuple[float, float]] = []
    leases: list[tuple[float, float]] = []
    for index in range(context.repeats):
        context.say(f"P6 run {index + 1}/{context.repeats}: empty, then with {backlog:,} records")
        empty = uvloop.run(_measure(context.folder / f"empty{index}", 0, rounds))
        loaded = uvloop.run(_measure(context.folder / f"loaded{index}", backlog, rounds))
        puts.append((loaded[0], empty[0]))
        leases.append((loaded[1], empty[1]))
    return [
        Figure(
            f"P6/{name}",
            f"{name} with {backlog:,} records waiting ÷ empty",
            "CPU-µs/record",
            [pair[0] for pair in pairs],
            1.3,
            1.1,
            False,
            baseline=statistics.median(pair[1] for pair in pairs),
            ratio=statistics.median(pair[0] / pair[1] for pair in pairs),
            notes={"records": backlog},
        )
        for name, pairs in (("put", puts), ("lease", leases))
    ], None
