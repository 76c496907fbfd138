"""The implementations that the contract tests run against, and a disk that fails on demand."""

import itertools
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest
from brokering import Broker, be_patient

from gateway.spool.base import NewRecord, Spool
from gateway.spool.jetstream.spool import JetStreamSpool
from gateway.spool.memory import MemorySpool
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool


@pytest.fixture(scope="session")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    """One real server for all tests: each uses streams of its own name."""
    broker = Broker(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
def on_broker(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SpoolSettings:
    be_patient(monkeypatch)
    return broker.settings(tmp_path / "spool", f"t{next(_numbers)}")


@pytest.fixture(params=["sqlite", "memory", "jetstream"])
async def spool(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Spool]:
    opened: Spool
    if request.param == "sqlite":
        opened = await SqliteSpool.open(SpoolSettings(path=str(tmp_path / "spool")))
    elif request.param == "jetstream":
        opened = await JetStreamSpool.open(request.getfixturevalue("on_broker"))
    else:
        opened = MemorySpool()
    yield opened
    await opened.close()


@pytest.fixture
def settings(tmp_path: Path) -> SpoolSettings:
    return SpoolSettings(path=str(tmp_path / "spool"))


@pytest.fixture
def new() -> Callable[..., NewRecord]:
    def make(payload: bytes | str = b"{}", lane: str = "a", owner: str = "", accepted_at: float = 1000.5) -> NewRecord:
        return NewRecord(lane, owner, accepted_at, payload.encode() if isinstance(payload, str) else payload)

    return make


_numbers = itertools.count()


class FaultyDisk(apsw.VFS):
    """Passes everything on to the real disk until told to fail. ``syncs`` counts the successful ones."""

    def __init__(self) -> None:
        self.name = f"faulty-{next(_numbers)}"
        self.fail_sync = False
        self.fail_write: type[Exception] | None = None
        self.fail_open = False
        self.syncs = 0
        super().__init__(self.name, "")

    def xOpen(self, name: Any, flags: list[int]) -> apsw.VFSFile:  # noqa: N802 - SQLite's name
        if self.fail_open:
            raise apsw.CantOpenError("injected")
        return _FaultyFile(self, name, flags)


class _FaultyFile(apsw.VFSFile):
    def __init__(self, disk: FaultyDisk, name: Any, flags: list[int]) -> None:
        self._disk = disk
        super().__init__("", name, flags)

    def xSync(self, flags: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.fail_sync:
            raise apsw.IOError("injected")
        super().xSync(flags)
        self._disk.syncs += 1

    def xWrite(self, data: bytes, offset: int) -> None:  # noqa: N802 - SQLite's name
        if self._disk.fail_write is not None:
            raise self._disk.fail_write("injected")
        super().xWrite(data, offset)


@pytest.fixture
def disk() -> FaultyDisk:
    return FaultyDisk()
