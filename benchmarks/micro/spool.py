"""What a record costs in the spool: CPU of all threads and wall time, with an empty spool and with a backlog.

    python benchmarks/micro/spool.py [--records 20000] [--backlog 200000] [--group 64] [--path DIR]

Prints microseconds per record. ``put`` includes the commit; groups are what concurrent requests form.
"""

import argparse
import asyncio
import resource
import shutil
import tempfile
import time
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path

from gateway.outcome import Outcome, Reason
from gateway.spool.base import Done, NewRecord, Record, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

LANE = "tiktok-shop"


def rss_mib() -> float:
    """Resident memory now."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize() / (1 << 20)


async def measure(name: str, records: int, work: Callable[[], Awaitable[None]]) -> None:
    """Run ``work`` over so many records and print a row."""
    cpu, wall = time.process_time(), time.perf_counter()
    await work()
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    print(f"{name:<44}{cpu / records * 1e6:>10.2f}{wall / records * 1e6:>10.2f}{records / wall:>12,.0f}{rss_mib():>9.0f}")


def make(size: int, count: int) -> list[NewRecord]:
    """Records of ``size`` bytes as the sealer makes them: one bytes object each."""
    filler = "x" * (size - 40)
    return [
        NewRecord(LANE, f"{n:016x}", 1_700_000_000.0 + n / 1000, f'{{"event_id":"{n:016x}","f":"{filler}"}}'.encode())
        for n in range(count)
    ]


async def put_all(spool: SqliteSpool, records: list[NewRecord], group: int) -> None:
    """Put one record at a time, ``group`` of them waiting at once."""
    for start in range(0, len(records), group):
        futures = {spool.put([record]) for record in records[start : start + group]}
        await asyncio.gather(*futures)


async def drain(spool: SqliteSpool, count: int, batch: int) -> list[Record]:
    """Lease ``count`` records in batches."""
    leased: list[Record] = []
    while len(leased) < count:
        leased += await spool.lease(LANE, min(batch, count - len(leased)), 1 << 24, 5)
    return leased


async def settle_all(spool: SqliteSpool, records: list[Record], batch: int) -> None:
    """Settle them as delivered."""
    for start in range(0, len(records), batch):
        await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in records[start : start + batch]]))


async def phase(title: str, spool: SqliteSpool, options: argparse.Namespace) -> None:
    """Put, lease and settle with whatever is in the spool already."""
    records = make(options.size, options.records)
    n = len(records)
    for group in (1, 8, options.group, 256):
        some = records[: max(500, min(n, group * 150))]
        await measure(f"{title}: put, groups of {group}", len(some), partial(put_all, spool, some, group))
    leased: list[Record] = []

    async def lease() -> None:
        leased.extend(await drain(spool, n, 1000))

    await measure(f"{title}: lease 1000", n, lease)
    await measure(f"{title}: settle 1000 delivered", n, lambda: settle_all(spool, leased, 1000))


async def run(options: argparse.Namespace, path: str) -> None:
    """Both phases and the opening."""
    settings = SpoolSettings(path=path, max_bytes=8 << 30)
    spool = await SqliteSpool.open(settings)
    print(f"{'µs per record':<44}{'CPU':>10}{'wall':>10}{'records/s':>12}{'MiB':>9}")
    await phase("empty", spool, options)
    if options.backlog:
        backlog = make(options.size, 20_000)

        async def fill() -> None:
            for _ in range(options.backlog // len(backlog)):
                await put_all(spool, backlog, options.backlog_group)

        await measure(f"fill {options.backlog:,}", options.backlog, fill)
        del backlog
        await phase(f"{options.backlog:,} waiting", spool, options)
        await spool.close()
        started = time.perf_counter()
        spool = await SqliteSpool.open(settings)
        print(f"open: {time.perf_counter() - started:.3f} s")
        started = time.perf_counter()
        print(f"purge of an unknown owner: {await timed_purge(spool)} in {time.perf_counter() - started:.3f} s")
    await spool.close()


async def timed_purge(spool: SqliteSpool) -> int:
    """A scan that finds nothing."""
    return (await spool.purge("nobody", Reason.ERASED)).removed


def main() -> None:
    """Parse arguments and run in a directory that is removed afterwards."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--records", type=int, default=20_000)
    parser.add_argument("--backlog", type=int, default=200_000)
    parser.add_argument("--backlog-group", type=int, default=64)
    parser.add_argument("--group", type=int, default=64)
    parser.add_argument("--size", type=int, default=900)
    parser.add_argument("--path", default=None)
    options = parser.parse_args()
    path = options.path or tempfile.mkdtemp(prefix="spool-bench-")
    try:
        asyncio.run(run(options, path))
    finally:
        if options.path is None:
            shutil.rmtree(path)


if __name__ == "__main__":
    main()
