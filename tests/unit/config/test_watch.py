"""The watcher: changes by content, whatever way a file changes."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from gateway.config import watch
from gateway.telemetry import tasks


class Watched:
    """A running watcher and what it saw."""

    def __init__(self, files: list[Path]) -> None:
        self.seen: asyncio.Queue[str] = asyncio.Queue()
        self.files = files
        self.watcher = watch.Watcher(lambda: self.files, self.changed, poll_s=0.02)

    async def changed(self) -> None:
        self.seen.put_nowait(await asyncio.to_thread(lambda: self.files[0].read_text() if self.files[0].exists() else ""))

    async def next(self) -> str:
        async with asyncio.timeout(5):
            return await self.seen.get()


@pytest.fixture
async def watched(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Watched]:
    """A mounted Secret: ``token`` → ``..data/token``, ``..data`` → ``one``."""
    monkeypatch.setattr(watch, "SETTLE_S", 0.02)
    for name, token in (("one", "first"), ("two", "second")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "token").write_text(token)
    (tmp_path / "..data").symlink_to("one")
    (tmp_path / "token").symlink_to("..data/token")
    result = Watched([tmp_path / "token"])
    task = tasks.spawn(result.watcher.run(), "watcher")
    await result.watcher.watching.wait()
    yield result
    await tasks.cancel(task)


async def test_a_swapped_link_is_a_change(watched: Watched) -> None:
    folder = watched.files[0].parent
    (folder / "..tmp").symlink_to("two")
    (folder / "..tmp").replace(folder / "..data")
    assert await watched.next() == "second"


async def test_touching_without_changing_is_no_change(watched: Watched) -> None:
    folder = watched.files[0].parent
    (folder / "one" / "token").write_text("first")
    await asyncio.sleep(0.1)
    (folder / "one" / "token").write_text("third")
    assert await watched.next() == "third"
    assert watched.seen.empty()


async def test_a_file_that_vanishes_and_returns_is_told(watched: Watched) -> None:
    token = watched.files[0].parent / "one" / "token"
    token.unlink()
    assert await watched.next() == ""
    token.write_text("back")
    assert await watched.next() == "back"


async def test_a_poke_reloads_without_a_change(watched: Watched) -> None:
    watched.watcher.poke()
    assert await watched.next() == "first"


async def test_a_new_file_is_watched_from_then_on(watched: Watched) -> None:
    other = watched.files[0].parent / "other"
    other.write_text("a")
    watched.files.append(other)
    await asyncio.sleep(0.1)
    assert watched.seen.empty()  # the first look only learns it
    other.write_text("b")
    await watched.next()
