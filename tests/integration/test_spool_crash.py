"""Killed, cut off from power, out of space, damaged: what was acknowledged is there afterwards.

The short forms run in seconds; ``SPOOL_CRASH_KILLS`` makes the kills more, the rest has scripts of its own in benchmarks/faults.
"""

import asyncio
import os
import random
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import apsw
import pytest

from benchmarks.faults import machine, power
from gateway.errors import SpoolUnavailable
from gateway.spool.base import NewRecord, Record
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

KILLS = int(os.environ.get("SPOOL_CRASH_KILLS", "12"))
MIB = 1 << 20

CHILD = """
import asyncio, random, sys
from gateway.outcome import Outcome
from gateway.spool.base import Done, NewRecord, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

async def main(path, first):
    spool = await SqliteSpool.open(SpoolSettings(path=path))
    numbers = iter(range(first, 1 << 60))
    print("ready", flush=True)

    async def put():
        while True:
            some = [next(numbers) for _ in range(random.choice([1, 1, 7, 100]))]
            await spool.put([NewRecord("a", "", 1.0, b"%d:" % n + b"x" * random.choice([10, 900, 5000])) for n in some])
            sys.stdout.write("".join(f"put {n}\\n" for n in some)); sys.stdout.flush()

    async def deliver():
        while True:
            records = await spool.lease("a", random.choice([1, 50, 300]), 1 << 24, 1)
            names = [record.payload.split(b":")[0].decode() for record in records]
            # Said before it is settled: a settlement that was cut off may or may not have happened.
            sys.stdout.write("".join(f"sent {n}\\n" for n in names)); sys.stdout.flush()
            await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in records]))
            sys.stdout.write("".join(f"done {n}\\n" for n in names)); sys.stdout.flush()
            await asyncio.sleep(0.005)

    await asyncio.gather(*(put() for _ in range(8)), deliver())

asyncio.run(main(sys.argv[1], int(sys.argv[2])))
"""


async def lease_all(spool: SqliteSpool) -> list[Record]:
    records: list[Record] = []
    while some := await spool.lease("a", 1000, 64 * MIB, 0):
        records += some
    return records


def check_integrity(directory: Path) -> None:
    connection = apsw.Connection(str(directory / "spool.db"), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    connection.close()


def run_and_kill(directory: Path, first: int, after_s: float) -> dict[str, set[int]]:
    """Let a child work for a moment, SIGKILL it; what it said."""
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(directory), str(first)], stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    timer = threading.Timer(after_s, child.kill)
    timer.start()
    said: dict[str, set[int]] = {"put": set(), "sent": set(), "done": set()}
    for line in child.stdout:
        if line.endswith("\n"):
            verb, _, number = line.partition(" ")
            said[verb].add(int(number))
    assert child.wait() == -signal.SIGKILL
    child.stdout.close()
    return said


@pytest.mark.timeout(60 + 5 * KILLS)
async def test_killed_at_any_moment_it_loses_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    chance = random.Random(20240607)
    directory = tmp_path / "spool"
    loop = asyncio.get_running_loop()
    put: set[int] = set()
    sent: set[int] = set()
    done: set[int] = set()
    for kill in range(KILLS):
        said = await loop.run_in_executor(None, run_and_kill, directory, kill * 10_000_000, chance.uniform(0.0, 0.4))
        put |= said["put"]
        sent |= said["sent"]
        done |= said["done"]
        spool = await SqliteSpool.open(SpoolSettings(path=str(directory)))
        assert spool.salvaged is None
        found = {int(record.payload.split(b":")[0]) for record in await lease_all(spool)}
        stats = await spool.stats()
        await spool.close()
        check_integrity(directory)
        assert put - found - sent == set(), "acknowledged, but neither there nor delivered"
        assert found & done == set(), "settled, but there again"
        # What was never acknowledged may be there: the answer was cut off, not the commit.
        delivered = stats.totals.get(("a", "delivered", ""), 0)
        assert stats.totals["a", "accepted", ""] == len(found) + delivered
    assert put
    assert done


async def test_after_a_power_loss_everything_synced_is_there(tmp_path: Path) -> None:
    """The short form of ``python -m benchmarks.faults.power``."""
    found = await power.run(tmp_path, images=40, seed=77)
    assert found.kept, found
    assert found.images == 40
    assert found.syncs > 100


def test_an_image_loses_what_was_not_synced() -> None:
    """The disk of the run above forgets, or it would prove nothing."""
    journal: power.Journal = [("write", "f", 0, b"a" * 512), ("sync", "f", 0, b""), ("write", "f", 512, b"b" * 512)]
    images = {bytes(power.power_loss(journal, random.Random(seed))["f"]) for seed in range(40)}
    assert all(image.startswith(b"a" * 512) for image in images)
    assert {len(image) for image in images} == {512, 1024}
    assert power.power_loss([*journal, ("delete", "f", 0, b"")], random.Random(1)) == {}


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file of this process may grow beyond 3 MiB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (3 * MIB, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


async def test_out_of_space_refuses_and_comes_back_by_itself(tmp_path: Path, small_files: None) -> None:
    directory = tmp_path / "spool"
    spool = await SqliteSpool.open(SpoolSettings(path=str(directory)))
    accepted: set[bytes] = set()
    refused = False
    for number in range(100):
        records = [NewRecord("a", "", 1.0, b"%d.%d:" % (number, n) + b"x" * 1000) for n in range(100)]
        try:
            await spool.put(records)
        except SpoolUnavailable:
            refused = True
            break
        accepted |= {record.payload for record in records}
    assert refused
    assert len(accepted) > 1000
    _, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    async with asyncio.timeout(30):
        while True:
            try:
                await spool.put([NewRecord("a", "", 1.0, b"after")])
                break
            except SpoolUnavailable:
                await asyncio.sleep(0.05)
    assert {record.payload for record in await lease_all(spool)} == accepted | {b"after"}
    await spool.close()
    check_integrity(directory)


@pytest.mark.parametrize("seed", range(20))
async def test_a_damaged_file_is_salvaged_and_never_keeps_the_spool_from_starting(tmp_path: Path, seed: int) -> None:
    """The short form of ``python -m benchmarks.faults.machine corrupt``."""
    found = await machine.corrupt(tmp_path, random.Random(seed))
    assert found.fault == "", found
    check_integrity(tmp_path / "spool")


async def test_a_failed_sync_costs_nothing_that_was_acknowledged(tmp_path: Path) -> None:
    """The short form of ``python -m benchmarks.faults.machine sync``."""
    found = await machine.failing_syncs(tmp_path, random.Random(4), failures=4)
    assert found.fault == "", found


@pytest.mark.parametrize("jump_s", [-86400.0, 86400.0])
async def test_a_clock_that_jumps_a_day_moves_no_retry_and_loses_nothing(tmp_path: Path, jump_s: float) -> None:
    """The short form of ``python -m benchmarks.faults.machine clock``."""
    found = await machine.jumping_clock(tmp_path, jump_s)
    assert found.fault == "", found


async def test_two_processes_on_one_spool(tmp_path: Path) -> None:
    found = await machine.two_processes(tmp_path)
    assert found.fault == "", found


@pytest.mark.timeout(120)
async def test_a_disk_that_fills_up_and_empties_again(tmp_path: Path) -> None:
    """A real small disk, where it may be mounted – in CI it must be possible."""
    found = await machine.full_disk(tmp_path)
    if found.skipped and not os.environ.get("CI"):
        pytest.skip(found.skipped)
    assert not found.skipped, found.skipped
    assert found.fault == "", found
