"""What happened lately, by the minute (pure: the clock comes in).

Law: made of differences between readings of the counters, on a timer and never per event. Bounded: a day of minutes, of which only what is not zero is kept.
"""

from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Key = tuple[str, str]
"""(outcome, reason), or ("received", ""), ("code", code)."""
MINUTES = 24 * 60


@dataclass(slots=True)
class Minute:
    """One reading: what was counted since the one before."""

    at: float
    counts: dict[Key, int]
    records: int
    """Waiting in the spool."""


class History:
    """The last day."""

    def __init__(self, now: Callable[[], float], read: Callable[[], tuple[Mapping[Key, int], int]]) -> None:
        """``read`` gives the counters as they stand and the records that wait."""
        self._now = now
        self._read = read
        self._minutes: deque[Minute] = deque(maxlen=MINUTES)
        self._last: dict[Key, int] = dict(read()[0])
        self._since = now()

    def sample(self) -> None:
        """Take a reading; called once a minute."""
        self._minutes.append(self._current())
        self._last = dict(self._read()[0])

    def window(self, seconds: float) -> list[Minute]:
        """The minutes of the last ``seconds``, oldest first, the running one included."""
        begin = self._now() - seconds
        return [*(minute for minute in self._minutes if minute.at >= begin), self._current()]

    def _current(self) -> Minute:
        counters, records = self._read()
        counts = {key: n - self._last.get(key, 0) for key, n in counters.items() if n != self._last.get(key, 0)}
        return Minute(self._now(), counts, records)
