"""The machine's side: ``python -m benchmarks.faults.machine [corrupt|sync|clock|locked|disk …] [--rounds 100]`` (io).

Corrupted spool files, syncs that fail, a clock that jumps, a second process, a disk that fills up and empties again: each with the
end state it must come to. Prints a line for each; exit 1 if one was not reached.
"""

import argparse
import asyncio
import random
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import aiohttp
import apsw

from benchmarks.faults.app import App, Connection
from benchmarks.faults.kill import arrived_whole, event
from benchmarks.faults.life import Life, missing, queued
from benchmarks.faults.power import MIB, leased
from benchmarks.faults.receiver import Receiver
from benchmarks.ports import free_port
from gateway.errors import GatewayError, SpoolLocked, SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Done, NewRecord, Retry, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

_PATIENCE_S = 30.0
_DISK = "12m"
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"


@dataclass(frozen=True, slots=True)
class Found:
    """How one fault ended."""

    words: str
    fault: str = ""
    """What was not as it must be."""
    skipped: str = ""


# -- corrupted files


def damage(path: Path, chance: random.Random) -> None:
    """Overwrite some places with rubbish."""
    content = bytearray(path.read_bytes())
    for _ in range(chance.randrange(1, 6)):
        start = chance.randrange(len(content))
        length = chance.choice([1, 4, 16, 512, 8192])
        content[start : start + length] = chance.randbytes(min(length, len(content) - start))
    path.write_bytes(content)


async def corrupt(folder: Path, chance: random.Random) -> Found:
    """A damaged file: it opens, what is readable is there, what is not is counted and kept aside, and it works on."""
    directory = folder / "spool"
    settings = SpoolSettings(path=str(directory))
    spool = await SqliteSpool.open(settings)
    everything: set[bytes] = set()
    for number in range(40):
        count = chance.choice([1, 3, 30])
        records = [NewRecord("a", "o", 1.0, b"%d.%d:" % (number, n) + b"x" * 700) for n in range(count)]
        await spool.put(records)
        everything |= {record.payload for record in records}
    delivered = await spool.lease("a", 20, MIB, 0)
    await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in delivered]))
    everything -= {record.payload for record in delivered}
    await spool.close()
    await asyncio.to_thread(damage, directory / "spool.db", chance)
    again = await SqliteSpool.open(settings)
    try:
        return await _salvaged(again, directory, everything)
    finally:
        await again.close()


async def _salvaged(spool: SqliteSpool, directory: Path, everything: set[bytes]) -> Found:
    found = await _leased_patiently(spool)
    intact = everything.intersection(found)
    totals = (await spool.stats()).totals
    quarantined = sum(n for (_, outcome, _), n in totals.items() if outcome == "quarantined")
    words = f"{len(intact)} of {len(everything)} intact"
    if len(set(found)) != len(found):
        return Found(words, "a record twice")
    # Damage costs the rows it hits (at most 30 records each here) and those on the same page, never the rest of the file.
    if len(intact) <= 0.6 * len(everything):
        return Found(words, "too much was given up")
    if spool.salvaged is None:
        # Rubbish within payloads and in unused places is no damage to the file.
        if len(found) != len(everything):
            return Found(words, "records are missing and nobody noticed")
    elif spool.salvaged.lost != quarantined or not await asyncio.to_thread(_aside, directory):
        return Found(words, "what was lost is not counted, or not kept aside")
    await _put_patiently(spool, b"after")
    if await _leased_patiently(spool) != [b"after"]:
        return Found(words, "it does not work on")
    return Found(words)


async def _leased_patiently(spool: SqliteSpool) -> list[bytes]:
    """As delivery does: damage that is met only while reading makes the spool unavailable for the moment that salvage takes."""
    found: list[bytes] = []
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                records = await spool.lease("a", 1000, 64 * MIB, 0)
            except SpoolUnavailable:
                found.clear()  # what was leased before the file was replaced is handed out again
                await asyncio.sleep(0.02)
                continue
            if not records:
                return found
            found += [record.payload for record in records]


def _aside(directory: Path) -> list[Path]:
    return list(directory.glob("spool.db.damaged-*"))


# -- syncs that fail


class FailingDisk(apsw.VFS):
    """The real disk, until told to fail syncs; remembers the handles on which one failed, and whether they were used again to write the log."""

    def __init__(self, name: str) -> None:
        self.failing = False
        self.failures = 0
        self.trusted_again = 0
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _FailingFile(self, name, flags)


class _FailingFile(apsw.VFSFile):
    def __init__(self, disk: FailingDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._failed = False
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.failing:
            self._failed = True
            self._disk.failures += 1
            raise apsw.IOError("injected")
        self._disk.trusted_again += self._failed
        super().xSync(flags)


async def failing_syncs(folder: Path, chance: random.Random, failures: int) -> Found:
    """After a failed sync nothing is acknowledged on that handle: all that was acknowledged is there, nothing that was refused, and the handle is gone."""
    disk = FailingDisk(f"failing-{folder.name}")
    settings = SpoolSettings(path=str(folder / "spool"))
    spool = await SqliteSpool.open(settings, vfs=f"failing-{folder.name}")
    acknowledged: list[bytes] = []
    refused = 0
    for number in range(failures):
        for count in range(chance.randrange(1, 8)):
            await spool.put([NewRecord("a", "", 1.0, b"%d.%d" % (number, count))])
            acknowledged.append(b"%d.%d" % (number, count))
        disk.failing = True
        for count in range(3):
            with suppress(SpoolUnavailable):
                await spool.put([NewRecord("a", "", 1.0, b"refused %d.%d" % (number, count))])
                return Found("", "acknowledged on a disk that does not sync")
            refused += 1
        disk.failing = False
        await _put_patiently(spool, b"back %d" % number)
        acknowledged.append(b"back %d" % number)
    await spool.close()
    again = await SqliteSpool.open(settings)
    found = [record.payload for record in await leased(again)]
    await again.close()
    words = f"{disk.failures} failed syncs, {len(acknowledged)} acknowledged, {refused} refused"
    if disk.trusted_again:
        return Found(words, "a handle was used after its sync had failed")
    return Found(words, "" if found == acknowledged else "what is there is not what was acknowledged")


async def _put_patiently(spool: SqliteSpool, payload: bytes) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        while True:
            try:
                await spool.put([NewRecord("a", "", 1.0, payload)])
            except SpoolUnavailable:
                await asyncio.sleep(0.02)
            else:
                return


# -- a clock that jumps


async def jumping_clock(folder: Path, jump_s: float) -> Found:
    """The wall clock jumps while a retry waits, and again while the gateway is down: the retry comes when its pause is over, nothing expires or is lost."""
    settings = SpoolSettings(path=str(folder / "spool"))
    real = time.time
    spool = await SqliteSpool.open(settings)
    await spool.put([NewRecord("a", "", real(), b"soon"), NewRecord("a", "", real(), b"later")])
    soon, later = await spool.lease("a", 2, MIB, 0)
    await spool.settle(
        Settlement(retry=[Retry(soon.id, real() + 0.3, Reason.TIMEOUT), Retry(later.id, real() + 60, Reason.TIMEOUT)])
    )

    def jumped() -> float:
        return real() + jump_s

    with mock.patch("time.time", jumped):
        begin = time.monotonic()
        (first,) = await spool.lease("a", 2, MIB, 5.0)
        waited = time.monotonic() - begin
        await spool.release([first.id])
        await spool.close()
        # A start in another time: what was put off is handed out within the longest pause there is, not a day later.
        spool = await SqliteSpool.open(settings)
        stats = await spool.stats()
        due_in = [entry[0] - asyncio.get_running_loop().time() for entry in spool._window.queues["a"].later]
        await spool.close()
    words = (
        f"{jump_s / 86400:+.0f} day: the retry came after {waited:.1f} s, after a restart within {max(due_in, default=0):.0f} s"
    )
    if first.payload != b"soon" or waited > 2:
        return Found(words, "the jump moved the retry")
    if sum(lane.queued for lane in stats.lanes) != 2 or max(due_in, default=0) > 3600:
        return Found(words, "a record is lost or far away")
    return Found(words)


# -- a second process


async def two_processes(folder: Path) -> Found:
    """The second one is kept out and changes nothing; when the first is killed it gets in and finds everything."""
    settings = SpoolSettings(path=str(folder / "spool"))
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _HOLDER, settings.path, stdout=asyncio.subprocess.PIPE
    )  # fmt: skip
    assert child.stdout is not None
    try:
        if await child.stdout.readline() != b"ready\n":
            return Found("", "the first process did not start")
        try:
            await (await SqliteSpool.open(settings)).close()
        except SpoolLocked:
            pass
        else:
            return Found("", "two processes held one spool")
    finally:
        child.kill()
        await child.wait()
    spool = await SqliteSpool.open(settings)
    found = [record.payload for record in await leased(spool)]
    await spool.close()
    return Found("kept out, then let in", "" if found == [b"first"] else "the first one's record is not there")


_HOLDER = """
import asyncio, sys
from gateway.spool.base import NewRecord
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

async def main():
    spool = await SqliteSpool.open(SpoolSettings(path=sys.argv[1]))
    await spool.put([NewRecord("a", "", 1.0, b"first")])
    print("ready", flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


# -- a full disk


async def full_disk(folder: Path) -> Found:
    """A gateway on a disk of 12 MiB, TikTok away: pages are served throughout, events get 503 with Retry-After when it is full; it takes events again by
    itself when there is room, and delivers everything that it acknowledged."""
    disk = folder / "disk"
    disk.mkdir()
    mounted = await asyncio.to_thread(
        subprocess.run, ["mount", "-t", "tmpfs", "-o", f"size={_DISK}", "none", str(disk)], capture_output=True, check=False
    )
    if mounted.returncode:
        return Found("", skipped="no disk may be mounted here")
    receiver = Receiver(free_port(), expect=arrived_whole)
    app = App()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(app), "127.0.0.1", 0)
    life = Life(disk, receiver.port, upstream=server.sockets[0].getsockname()[1])
    try:
        async with aiohttp.ClientSession() as session:
            return await _fill_and_empty(life, receiver, disk, session)
    finally:
        await life.kill()
        await receiver.leave()
        server.close()
        await asyncio.to_thread(subprocess.run, ["umount", str(disk)], check=False)
        shutil.rmtree(disk, ignore_errors=True)


async def _fill_and_empty(life: Life, receiver: Receiver, disk: Path, session: aiohttp.ClientSession) -> Found:
    acknowledged: set[str] = set()
    number = 0

    async def post() -> tuple[int, str]:
        nonlocal number
        ids = [f"order-{number + n}" for n in range(100)]
        number += 100
        url = f"http://127.0.0.1:{life.edge}/gw/e"
        async with session.post(url, json=[event(each) for each in ids], headers={"User-Agent": _AGENT}) as answer:
            if answer.status == 200:
                acknowledged.update(ids)
            return answer.status, answer.headers.get("Retry-After", "")

    async def page() -> int:
        async with session.get(f"http://127.0.0.1:{life.edge}/page") as answer:
            return answer.status

    await life.start()
    statuses = [await page()]
    # Somebody else fills the disk, as logs do; a reserve is kept back to give room again later.
    reserve = disk / "somebody-elses.log"
    await asyncio.to_thread(reserve.write_bytes, bytes(4 * MIB))
    deadline = time.monotonic() + _PATIENCE_S
    status, retry_after = await post()
    while status == 200 and time.monotonic() < deadline:
        status, retry_after = await post()
    statuses.append(await page())
    full = f"full after {len(acknowledged):,} events: {status}, Retry-After {retry_after or 'none'}"
    if status != 503 or not retry_after:
        return Found(full, "a full disk must be 503 with Retry-After")
    if unaccounted := missing(await life.metrics()):
        return Found(full, f"{unaccounted} records unaccounted for while full")
    await asyncio.to_thread(reserve.unlink)
    begin = time.monotonic()
    while (await post())[0] != 200 and time.monotonic() < begin + _PATIENCE_S:  # noqa: ASYNC110 - as a page would try again
        await asyncio.sleep(0.1)
    back = time.monotonic() - begin
    await receiver.come()
    while not acknowledged <= receiver.first.keys() and time.monotonic() < begin + 3 * _PATIENCE_S:  # noqa: ASYNC110 - another process's work
        await asyncio.sleep(0.1)
    statuses.append(await page())
    await asyncio.sleep(0.5)
    text = await life.metrics()
    words = f"{full}; taking events again {back:.1f} s after there was room; {len(acknowledged - receiver.first.keys())} of {len(acknowledged):,} lost"
    if statuses != [200, 200, 200]:
        return Found(words, f"the site was affected: {statuses}")
    if back > 10 or acknowledged - receiver.first.keys() or receiver.differing or missing(text) or queued(text):
        return Found(words, "it did not come back whole")
    return Found(words)


# -- all of them


async def _rounds(folder: Path, rounds: int, one: Callable[[Path, random.Random], Awaitable[Found]]) -> list[Found]:
    found = []
    for seed in range(rounds):
        with tempfile.TemporaryDirectory(dir=folder) as inner:
            try:
                found.append(await one(Path(inner), random.Random(seed)))
            except (GatewayError, apsw.Error) as error:
                found.append(Found(f"seed {seed}", f"{type(error).__name__}: {error}"))
    return found


async def run(folder: Path, names: list[str], rounds: int) -> bool:
    """Print what came of each; whether all came to their end state."""

    async def syncs(inner: Path, chance: random.Random) -> Found:
        return await failing_syncs(inner, chance, failures=3)

    async def clock(inner: Path, chance: random.Random) -> Found:
        return await jumping_clock(inner, chance.choice([-86400.0, 86400.0]))

    async def locked(inner: Path, _: random.Random) -> Found:
        return await two_processes(inner)

    async def disk(inner: Path, _: random.Random) -> Found:
        return await full_disk(inner)

    runs = {
        "corrupt": (rounds, corrupt),
        "sync": (max(1, rounds // 2), syncs),
        "clock": (max(1, rounds // 25), clock),
        "locked": (max(1, rounds // 25), locked),
        "disk": (1, disk),
    }
    sound = True
    for name in names or runs:
        times, one = runs[name]
        found = await _rounds(folder, times, one)
        faults = [each for each in found if each.fault]
        sound = sound and not faults
        last = found[-1]
        print(f"{name}: {times} rounds, {len(faults)} faults; the last: {last.skipped or last.words}", flush=True)
        for each in faults[:5]:
            print(f"  {each.words}: {each.fault}")
    return sound


def main() -> None:
    """Run what is named; everything, if nothing is."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.machine", description="The machine's side.")
    parser.add_argument("names", nargs="*", choices=["corrupt", "sync", "clock", "locked", "disk", []], metavar="fault")
    parser.add_argument("--rounds", type=int, default=100)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ttgateway-machine-") as folder:
        sys.exit(0 if asyncio.run(run(Path(folder), args.names, args.rounds)) else 1)


if __name__ == "__main__":
    main()
