"""What happened lately, by the minute (pure: the clock comes in).

Law: made of differences between readings of the counters, on a timer and never per event. Bounded: a day of minutes, of which only what is not zero is kept.
"""

import math
from collections import Counter, deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import orjson

Key = tuple[str, str]
"""(outcome, reason), ("received", ""), ("pipeline", its id), ("code", TikTok's), ("lag", a bucket's number), ("match", a field)."""
MINUTE_S = 60.0
DAY_S = 86400.0
MINUTES = 24 * 60


class Reading(NamedTuple):
    """The counters as they stand, and what waits in the spool."""

    counts: Mapping[Key, int]
    records: int = 0
    oldest_age_s: float = 0.0


class Minute(NamedTuple):
    """What was counted between two readings, the first of them at ``at`` (Unix s); the spool as the second found it."""

    at: float
    counts: Mapping[Key, int]
    records: int = 0
    oldest_age_s: float = 0.0


class History:
    """The last day."""

    def __init__(self, now: Callable[[], float], read: Callable[[], Reading]) -> None:
        self._now = now
        self._read = read
        self._minutes: deque[Minute] = deque(maxlen=MINUTES)
        self._last = dict(read().counts)
        self._since = now()
        self._sums: dict[float, Counter[Key]] = {}
        """Sums over whole minutes, until there is one more: a day of them takes milliseconds to add up."""
        self._steps: dict[tuple[int, float], dict[int, Minute]] = {}

    def restore(self, minutes: Iterable[Minute]) -> None:
        """What was known before this process began; goes before everything else, and only as far as it lies in the last day."""
        oldest = self._now() - DAY_S
        known = list(self._minutes)
        self._minutes.clear()
        self._minutes.extend(each for each in minutes if oldest <= each.at < self._since)
        self._minutes.extend(known)
        self._forget()

    def sample(self) -> Minute:
        """Take a reading; called once a minute."""
        minute = self._current()
        self._minutes.append(minute)
        self._last = dict(self._read().counts)
        self._since = self._now()
        self._forget()
        return minute

    def counts(self, seconds: float) -> Counter[Key]:
        """The sum over the minutes that began in the last ``seconds``, the running one included."""
        whole = self._sums.get(seconds)
        if whole is None:
            begin = self._now() - seconds
            whole = self._sums[seconds] = Counter()
            for minute in self._minutes:
                if minute.at >= begin:
                    whole.update(minute.counts)
        found = whole.copy()
        found.update(self._current().counts)
        return found

    def steps(self, seconds: float, step_s: float) -> list[Minute | None]:
        """The last ``seconds`` in steps that begin at whole multiples of ``step_s``, oldest first, the running one last; None where nothing is known. Counts are added up, the
        spool is as it was at the step's end."""
        last = math.floor(self._now() / step_s)
        first = last - math.ceil(seconds / step_s) + 1
        whole = self._steps.get((first, step_s))
        if whole is None:
            whole = {}
            for minute in self._minutes:
                if (step := math.floor(minute.at / step_s)) >= first:
                    whole[step] = _joined(whole.get(step), minute, step * step_s)
            self._steps[first, step_s] = whole
        running = _joined(whole.get(last), self._current(), last * step_s)
        return [*(whole.get(step) for step in range(first, last)), running]

    def _forget(self) -> None:
        self._sums.clear()
        self._steps.clear()

    def _current(self) -> Minute:
        counters, records, oldest_age_s = self._read()
        counts = {key: n - self._last.get(key, 0) for key, n in counters.items() if n != self._last.get(key, 0)}
        return Minute(self._since, counts, records, oldest_age_s)


def _joined(before: Minute | None, minute: Minute, at: float) -> Minute:
    if before is None:
        return minute._replace(at=at)
    counts = Counter(before.counts)
    counts.update(minute.counts)
    return minute._replace(at=at, counts=counts)


def quantile(counts: Mapping[Key, int], share: float, bounds: Sequence[float]) -> float | None:
    """The delivery lag (s) that ``share`` of the deliveries stayed within, between the bounds of its bucket as if they lay evenly there; None if there were none."""
    numbers = [counts.get(("lag", str(bucket)), 0) for bucket in range(len(bounds) + 1)]
    wanted = share * sum(numbers)
    if not wanted:
        return None
    low = passed = 0.0
    for bound, number in zip(bounds, numbers, strict=False):
        if passed + number >= wanted:
            return low + (bound - low) * (wanted - passed) / number
        passed += number
        low = bound
    return low


def line(minute: Minute) -> bytes:
    """A minute as it is kept in a file."""
    counts = [[*key, n] for key, n in minute.counts.items()]
    return orjson.dumps({"at": minute.at, "records": minute.records, "age": minute.oldest_age_s, "counts": counts}) + b"\n"


def minute(text: bytes) -> Minute | None:
    """The minute of a line; None if it is none."""
    try:
        found: dict[str, Any] = orjson.loads(text)
        counts = {(str(kind), str(name)): int(n) for kind, name, n in found["counts"]}
        return Minute(float(found["at"]), counts, int(found["records"]), float(found["age"]))
    except (orjson.JSONDecodeError, TypeError, ValueError, KeyError):
        return None
