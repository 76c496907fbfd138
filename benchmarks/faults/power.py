"""Power loss: ``python -m benchmarks.faults.power [--images 1000] [--seed 77]`` (io).

A spool works on a disk that remembers every write and sync. From that record, images of the disk are rebuilt as a power loss at any
moment may leave them: what was synced is there, of the rest any part, in any order, torn at 512 bytes. In each image everything that
was acknowledged must be there and the file must be sound.
"""

import argparse
import asyncio
import random
import shutil
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw

from gateway.outcome import Outcome
from gateway.spool.base import Done, NewRecord, Record, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

MIB = 1 << 20
_PUTS = 120
_SECTOR = 512

Journal = list[tuple[str, str, int, bytes]]
"""(what, file, offset, data), in order."""


class RecordingDisk(apsw.VFS):
    """Remembers every write and sync of every file."""

    def __init__(self, name: str) -> None:
        self.journal: Journal = []
        super().__init__(name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        return _RecordingFile(self, name, flags)

    def xDelete(self, filename: str, syncdir: bool) -> None:  # noqa: N802 - SQLite's name
        super().xDelete(filename, syncdir)
        self.journal.append(("delete", Path(filename).name, 0, b""))


class _RecordingFile(apsw.VFSFile):
    def __init__(self, disk: RecordingDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        self._file = Path(name.filename() if isinstance(name, apsw.URIFilename) else str(name)).name
        super().__init__("", name, flags)

    def xWrite(self, data: Any, offset: int) -> None:  # noqa: N802 - SQLite's name
        super().xWrite(data, offset)
        self._disk.journal.append(("write", self._file, offset, bytes(data)))

    def xTruncate(self, newsize: int) -> None:  # noqa: N802 - SQLite's name
        super().xTruncate(newsize)
        self._disk.journal.append(("truncate", self._file, newsize, b""))

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        super().xSync(flags)
        self._disk.journal.append(("sync", self._file, 0, b""))


def power_loss(journal: Journal, chance: random.Random) -> dict[str, bytearray]:
    """The files when power fails at the journal's end."""
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
            keep = len(data) if chance.random() < 0.8 else chance.randrange(0, len(data) + 1) // _SECTOR * _SECTOR
            apply(name, kind, offset, data[:keep])
    return files


@dataclass(slots=True)
class Cut:
    """What was promised when the journal had that length."""

    length: int
    acknowledged: set[bytes]
    settled: set[bytes]


@dataclass(slots=True)
class Figures:
    """What came out."""

    syncs: int = 0
    writes: int = 0
    images: int = 0
    lost: int = 0
    back: int = 0
    """Settled durably, and there again."""
    unsound: int = 0
    salvaged: int = 0

    @property
    def kept(self) -> bool:
        """Whether all promises were kept."""
        return not (self.lost or self.back or self.unsound or self.salvaged)


async def leased(spool: SqliteSpool) -> list[Record]:
    """Everything that waits."""
    records: list[Record] = []
    while some := await spool.lease("a", 1000, 64 * MIB, 0):
        records += some
    return records


async def work(folder: Path, chance: random.Random) -> tuple[Journal, list[Cut], set[bytes]]:
    """Put and settle for a while; the disk's journal, what was promised when, and what was handed out."""
    name = f"recording-{folder.name}"
    disk = RecordingDisk(name)
    spool = await SqliteSpool.open(SpoolSettings(path=str(folder / "spool"), max_bytes=8 * MIB), vfs=name)
    cuts: list[Cut] = []
    acknowledged: set[bytes] = set()
    settled: set[bytes] = set()
    sent: set[bytes] = set()
    for number in range(_PUTS):
        count = chance.choice([1, 1, 5, 70])
        records = [NewRecord("a", "", 1.0, b"%d.%d:" % (number, n) + b"x" * 2000) for n in range(count)]
        await spool.put(records)
        acknowledged |= {record.payload for record in records}
        cuts.append(Cut(len(disk.journal), set(acknowledged), set(settled)))
        if number % 3 == 2:
            batch = await spool.lease("a", 100, MIB, 0)
            sent |= {record.payload for record in batch}
            await spool.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in batch]))
            settled |= {record.payload for record in batch}
            cuts.append(Cut(len(disk.journal), set(acknowledged), set(settled)))
    await spool.close()
    return list(disk.journal), cuts, sent


def write_image(directory: Path, files: dict[str, bytearray]) -> None:
    """Put the files there, and nothing else."""
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir()
    for name, content in files.items():
        (directory / name).write_bytes(content)


def sound(directory: Path) -> bool:
    """SQLite's own whole check."""
    connection = apsw.Connection(str(directory / "spool.db"), flags=apsw.SQLITE_OPEN_READONLY)
    try:
        return connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    finally:
        connection.close()


async def run(folder: Path, images: int, seed: int) -> Figures:
    """Rebuild ``images`` images and look into each."""
    chance = random.Random(seed)
    journal, cuts, sent = await work(folder, chance)
    kinds = [kind for kind, *_ in journal]
    figures = Figures(syncs=kinds.count("sync"), writes=kinds.count("write"))
    image = folder / "image"
    for _ in range(images):
        length = chance.randrange(cuts[0].length, len(journal) + 1)
        promised = [cut for cut in cuts if cut.length <= length][-1]
        await asyncio.to_thread(write_image, image, power_loss(journal[:length], chance))
        spool = await SqliteSpool.open(SpoolSettings(path=str(image), max_bytes=64 * MIB))
        figures.salvaged += spool.salvaged is not None
        found = {record.payload for record in await leased(spool)}
        await spool.close()
        figures.unsound += not await asyncio.to_thread(sound, image)
        figures.lost += len(promised.acknowledged - found - sent)
        figures.back += len(found & promised.settled)
        figures.images += 1
    return figures


def main() -> None:
    """Print the figures; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.power", description="Power loss at any moment.")
    parser.add_argument("--images", "--rounds", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=77)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="ttgateway-power-") as folder:
        found = asyncio.run(run(Path(folder), args.images, args.seed))
    print(
        f"{found.images} images of a disk with {found.writes:,} writes and {found.syncs:,} syncs (seed {args.seed}): {found.lost} acknowledged events "
        f"lost, {found.back} settled ones back, {found.unsound} integrity checks failed, {found.salvaged} had to be salvaged"
    )
    sys.exit(0 if found.kept else 1)


if __name__ == "__main__":
    main()
