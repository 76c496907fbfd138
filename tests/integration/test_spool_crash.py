"""Killed, cut off from power, out of space, damaged: what was acknowledged is there afterwards.

The short form runs in seconds; ``SPOOL_CRASH_KILLS`` and ``SPOOL_CRASH_IMAGES`` make it longer.
"""

import asyncio
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome
from gateway.spool.base import Done, NewRecord, Record, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

KILLS = int(os.environ.get("SPOOL_CRASH_KILLS", "12"))
IMAGES = int(os.environ.get("SPOOL_CRASH_IMAGES", "50"))
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


class RecordingDisk(apsw.VFS):
    """Remembers every write and sync of every file, to rebuild what a power loss may leave."""

    def __init__(self, name: str) -> None:
        self.journal: list[tuple[str, str, int, bytes]] = []
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _RecordingFile(self, name, flags)

    def xDelete(self, name: str, sync: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(name, sync)
        self.journal.append(("delete", Path(name).name, 0, b""))


class _RecordingFile(apsw.VFSFile):
    def __init__(self, disk: RecordingDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._file = Path(name.filename() if isinstance(name, apsw.URIFilename) else str(name)).name
        super().__init__("", name, flags)

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        super().xWrite(data, offset)
        self._disk.journal.append(("write", self._file, offset, bytes(data)))

    def xTruncate(self, size: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(size)
        self._disk.journal.append(("truncate", self._file, size, b""))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        super().xSync(flags)
        self._disk.journal.append(("sync", self._file, 0, b""))


def power_loss(journal: list[tuple[str, str, int, bytes]], chance: random.Random) -> dict[str, bytearray]:
    """The files when power fails at the journal's end: of what was not synced, any part may have reached the disk, in any order,
    torn at 512 bytes."""
    files: dict[str, bytearray] = {}
    pending: dict[str, list[tuple[str, int, bytes]]] = {}

    def apply(name: str, kind: str, offset: int, data: bytes) -> None:
        content = files.setdefault(name, bytearray())
        if kind == "truncate":
            del content[offset:]
            return
        content.extend(bytes(max(0, offset + len(data) - len(content))))
        content[offset : offset + len(data)] = data

    for kind, name, offset, data in journal:
        if kind == "sync":
            for write in pending.pop(name, []):
                apply(name, *write)
        elif kind == "delete":
            files.pop(name, None)
            pending.pop(name, None)
        else:
            pending.setdefault(name, []).append((kind, offset, data))
    share = chance.choice([0.0, 0.3, 0.9, 1.0])
    for name, writes in pending.items():
        survivors = [write for write in writes if chance.random() < share]
        for kind, offset, data in survivors:
            keep = len(data) if chance.random() < 0.8 else chance.randrange(0, len(data) + 1) // 512 * 512
            apply(name, kind, offset, data[:keep])
    return files


def write_image(directory: Path, files: dict[str, bytearray]) -> None:
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)


@pytest.mark.timeout(120)
async def test_after_a_power_loss_everything_synced_is_there(tmp_path: Path) -> None:
    chance = random.Random(77)
    disk = RecordingDisk("recording")
    spool = await SqliteSpool.open(SpoolSettings(path=str(tmp_path / "spool"), max_bytes=8 * MIB), vfs="recording")
    cuts: list[tuple[int, set[bytes], set[bytes]]] = []
    acknowledged: set[bytes] = set()
    settled: set[bytes] = set()
    sent: set[bytes] = set()
    for number in range(120):
        records = [NewRecord("a", "", 1.0, b"%d.%d:" % (number, n) + b"x" * 2000) for n in range(chance.choice([1, 1, 5, 70]))]
        await spool.put(records)
        acknowledged |= {record.payload for record in records}
        cuts.append((len(disk.journal), set(acknowledged), set(settled)))
        if number % 3 == 2:
            leased = await spool.lease("a", 100, MIB, 0)
            sent |= {record.payload for record in leased}
            await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in leased]))
            settled |= {record.payload for record in leased}
            cuts.append((len(disk.journal), set(acknowledged), set(settled)))
    await spool.close()
    journal = list(disk.journal)
    assert sum(kind == "sync" for kind, *_ in journal) > 100
    image = tmp_path / "image"
    loop = asyncio.get_running_loop()
    for _ in range(IMAGES):
        length = chance.randrange(cuts[0][0], len(journal) + 1)
        _, promised, gone = [cut for cut in cuts if cut[0] <= length][-1]
        await loop.run_in_executor(None, write_image, image, power_loss(journal[:length], chance))
        after = await SqliteSpool.open(SpoolSettings(path=str(image), max_bytes=64 * MIB))
        assert after.salvaged is None
        found = {record.payload for record in await lease_all(after)}
        await after.close()
        check_integrity(image)
        assert promised - found - sent == set()
        assert found & gone == set()


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


def damage(path: Path, chance: random.Random) -> None:
    """Overwrite some places with rubbish."""
    content = bytearray(path.read_bytes())
    for _ in range(chance.randrange(1, 6)):
        start = chance.randrange(len(content))
        length = chance.choice([1, 4, 16, 512, 8192])
        content[start : start + length] = chance.randbytes(min(length, len(content) - start))
    path.write_bytes(content)


def quarantine(directory: Path) -> list[Path]:
    return [path for path in directory.iterdir() if ".damaged-" in path.name and path.name.count("-") == 1]


@pytest.mark.parametrize("seed", range(24))
async def test_a_damaged_file_is_salvaged_and_never_keeps_the_spool_from_starting(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    directory = tmp_path / "spool"
    settings = SpoolSettings(path=str(directory))
    spool = await SqliteSpool.open(settings)
    everything: set[bytes] = set()
    for number in range(40):
        records = [NewRecord("a", "o", 1.0, b"%d.%d:" % (number, n) + b"x" * 700) for n in range(chance.choice([1, 3, 30]))]
        await spool.put(records)
        everything |= {record.payload for record in records}
    delivered = await spool.lease("a", 20, MIB, 0)
    await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in delivered]))
    everything -= {record.payload for record in delivered}
    await spool.close()
    await asyncio.get_running_loop().run_in_executor(None, damage, directory / "spool.db", chance)
    again = await SqliteSpool.open(settings)
    found = await lease_all(again)
    intact = {record.payload for record in found} & everything
    quarantined = sum(n for (_, outcome, _), n in (await again.stats()).totals.items() if outcome == "quarantined")
    if again.salvaged is None:
        # Rubbish within payloads and in unused places is no damage to the file.
        assert len(found) == len(everything)
    else:
        assert len(quarantine(directory)) == 1
        assert again.salvaged.lost == quarantined
        # Damage costs the rows it hits (at most 30 records each here) and those on the same page, never the rest of the file.
        assert len(found) > len(everything) * 0.6
    assert len(intact) > len(everything) * 0.6
    assert len({record.payload for record in found}) == len(found)
    await again.put([NewRecord("a", "", 1.0, b"after")])
    assert [record.payload for record in await lease_all(again)] == [b"after"]
    await again.close()
    check_integrity(directory)
