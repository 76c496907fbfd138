"""The implementations that the contract tests run against."""

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from gateway.spool.base import NewRecord, Spool
from gateway.spool.memory import MemorySpool
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool


@pytest.fixture(params=["sqlite", "memory"])
async def spool(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Spool]:
    opened: Spool
    if request.param == "sqlite":
        opened = await SqliteSpool.open(SpoolSettings(path=str(tmp_path / "spool")))
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
