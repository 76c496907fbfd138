"""Notices that the configuration or a secret it names has changed (io).

Law: files are compared by content, not by events: a mounted Secret or ConfigMap changes by swapping the ``..data`` link in its directory, an editor by renaming,
and both look the same from here. A change is reported only once the files have stopped changing.
"""

import asyncio
import hashlib
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from pathlib import Path

POLL_S = 2.0
SETTLE_S = 0.25


class Watcher:
    """Awaits ``changed`` whenever the content of ``files()`` differs from what it was, and when poked."""

    def __init__(
        self, files: Callable[[], Sequence[Path]], changed: Callable[[], Awaitable[None]], poll_s: float = POLL_S
    ) -> None:
        self._files = files
        self._changed = changed
        self._poll_s = poll_s
        self._poked = asyncio.Event()
        self._stamps: dict[Path, tuple[int, ...]] = {}
        self._digests: dict[Path, bytes] = {}
        self.watching = asyncio.Event()
        """Set once the first look is done: from here on every change is noticed."""

    def poke(self) -> None:
        """Reload now, changed or not (SIGHUP)."""
        self._poked.set()

    async def run(self) -> None:
        """Watch until cancelled."""
        loop = asyncio.get_running_loop()
        await loop.run_in_executor(None, self._look)
        self.watching.set()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(self._poll_s):
                    await self._poked.wait()
            changed = await loop.run_in_executor(None, self._look)
            if not changed and not self._poked.is_set():
                continue
            while changed:
                await asyncio.sleep(SETTLE_S)
                changed = await loop.run_in_executor(None, self._look)
            self._poked.clear()
            await self._changed()

    def _look(self) -> bool:
        """Whether any content is new since the last look. Only files whose stat differs are read."""
        changed = False
        files = list(self._files())
        for path in files:
            stamp = _stamp(path)
            if self._stamps.get(path) == stamp:
                continue
            digest = _digest(path)
            changed |= self._digests.get(path) not in {None, digest}
            self._stamps[path] = stamp
            self._digests[path] = digest
        for path in set(self._stamps).difference(files):
            del self._stamps[path], self._digests[path]
        return changed


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        status = path.stat()
    except OSError:
        return ()
    return (status.st_dev, status.st_ino, status.st_mtime_ns, status.st_ctime_ns, status.st_size)


def _digest(path: Path) -> bytes:
    try:
        return hashlib.sha256(path.read_bytes()).digest()
    except OSError:
        return b"unreadable"
