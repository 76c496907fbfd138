"""Exclusion of a second process by ``flock`` (io).

Law: the lock is held as long as the descriptor is open; the kernel releases it with the process, so a crash leaves nothing
behind to clean up. The lock has a file of its own: the database may be replaced under it.
"""

import fcntl
import os
from pathlib import Path

from gateway.errors import SpoolLocked


class DirectoryLock:
    """Holds ``directory/spool.lock``; SpoolLocked if someone else does."""

    def __init__(self, directory: Path) -> None:
        path = directory / "spool.lock"
        self._fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(self._fd)
            raise SpoolLocked(f"another process uses the spool in {directory}") from None

    def release(self) -> None:
        """Let the next process in; harmless when repeated."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
