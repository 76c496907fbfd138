"""Looking for damage in a large file while it is in use (io).

Law: a small file is checked before it is opened; a large one here, in a thread of its own, so that a start does not wait for it. The check is one read transaction, which keeps
the log from being reset: when the log grows too long it is broken off and begun again later. What it finds is told; the writer salvages.
"""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path

import apsw

from gateway.errors import SpoolUnavailable
from gateway.spool.reader import Damaged, Reader

log = logging.getLogger(__name__)

LOG_BYTES = 32 << 20
"""The check gives way when the log has grown to this."""
AGAIN_S = (5.0, 600.0)
"""Pause before a check that gave way is begun again: the first one, and the longest."""
_EVERY_STEPS = 20_000
"""Steps of SQLite's machine between two looks at the log: a millisecond or so."""


class Inspection:
    """One check of one file."""

    def __init__(self, path: Path, vfs: str | None) -> None:
        self._log = path.with_name(path.name + "-wal")
        self._reader = Reader(path, vfs, "check")
        self._ending = False

    async def run(self, damaged: Callable[[], None]) -> None:
        """Until the file was checked once, whole; ``damaged`` is called if it is."""
        pause = AGAIN_S[0]
        while True:
            try:
                done = await self._reader.run(self._check)
            except Damaged:
                damaged()
                return
            except SpoolUnavailable:
                done = False
            if done:
                log.info("spool checked; it is sound")
                return
            await asyncio.sleep(pause)
            pause = min(pause * 2, AGAIN_S[1])

    def close(self) -> None:
        """Break off; waits for the thread."""
        self._ending = True
        self._reader.close()

    def _check(self, connection: apsw.Connection) -> bool:
        """True = sound, False = gave way. CorruptError if it is damaged."""
        connection.set_progress_handler(self._must_give_way, _EVERY_STEPS)
        try:
            found = connection.execute("PRAGMA quick_check(1)").fetchall()
        except apsw.InterruptError:
            return False
        finally:
            connection.set_progress_handler(None)
        if found != [("ok",)]:
            raise apsw.CorruptError("integrity check failed")
        return True

    def _must_give_way(self) -> bool:
        if self._ending:
            return True
        try:
            return self._log.stat().st_size > LOG_BYTES
        except OSError:
            return False
