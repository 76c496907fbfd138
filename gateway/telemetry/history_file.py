"""The history's file: a line per minute, so that charts survive a restart (io).

Law: a convenience. What cannot be written is lost, what cannot be read is left out, and nobody else notices. Bounded: rewritten when it holds twice what is needed.
"""

import logging
import os
from collections import deque
from pathlib import Path

from gateway.telemetry.history import MINUTES, Minute, line, minute

_log = logging.getLogger(__name__)

_MAX_LINE = 64 << 10
_MAX_BYTES = 16 << 20


class HistoryFile:
    """Blocks: called off the loop."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lines = 0
        self._said = False

    def read(self) -> list[Minute]:
        """What there is of the last day, oldest first."""
        kept: deque[Minute] = deque(maxlen=MINUTES)
        try:
            with self._path.open("rb") as file:
                file.seek(max(0, self._path.stat().st_size - _MAX_BYTES))
                while text := file.readline(_MAX_LINE):
                    self._lines += 1
                    if (found := minute(text)) is not None:
                        kept.append(found)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._say(error)
            return []
        return list(kept)

    def append(self, added: Minute) -> None:
        """Add a minute."""
        try:
            if self._lines >= 2 * MINUTES:
                self._shorten()
            # a line that a crash cut off must not take the next one with it
            self._write(self._path, (b"\n" if self._torn() else b"") + line(added), os.O_APPEND)
            self._lines += 1
            self._said = False
        except OSError as error:
            self._say(error)

    def _shorten(self) -> None:
        self._lines = 0
        kept = self.read()
        short = self._path.with_suffix(".new")
        self._write(short, b"".join(map(line, kept)), os.O_TRUNC)
        short.replace(self._path)
        self._lines = len(kept)

    def _torn(self) -> bool:
        try:
            with self._path.open("rb") as file:
                file.seek(-1, os.SEEK_END)
                return file.read(1) != b"\n"
        except (FileNotFoundError, OSError):
            return False

    @staticmethod
    def _write(path: Path, content: bytes, how: int) -> None:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | how, 0o600)
        with open(descriptor, "wb") as file:  # noqa: PTH123 - a descriptor of its own mode
            file.write(content)

    def _say(self, error: OSError) -> None:
        if not self._said:
            self._said = True
            _log.warning("the overview's history is not kept", extra={"path": str(self._path), "problem": error.strerror})
