"""One lane's queue in memory (pure).

Law: the database holds the queue; this holds a window of it. ``cursor`` is the newest segment that has been read (or taken over
straight from a commit), ``tail`` the newest that is committed; between them lies what has to be read back. What is leased is
known only here, so a restart hands it out again. Times are those of the loop's clock, so that a jump of the wall clock moves
no retry.
"""

import heapq
from collections import deque

from gateway.spool.base import Record
from gateway.spool.segment import SEQUENCE_BITS, Segment, positions


class LaneQueue:
    """What can be handed out now, what must be read first, and what is due later."""

    __slots__ = ("available", "cursor", "end", "key", "later", "per_segment", "ready", "tail")

    def __init__(self, key: str, number: int, tail: int | None = None) -> None:
        base = number << SEQUENCE_BITS
        self.key = key
        self.cursor = base - 1
        self.tail = base - 1 if tail is None else tail
        self.end = (number + 1) << SEQUENCE_BITS
        self.ready: deque[Segment] = deque()
        self.available = 0
        """Records in ``ready`` that can be handed out."""
        self.later: list[tuple[float, int, int]] = []
        """Heap of (due, segment id, records)."""
        self.per_segment = 1.0
        """Records to a segment in the latest read: how many segments the next one needs."""

    @property
    def behind(self) -> bool:
        """Committed segments are waiting to be read."""
        return self.cursor < self.tail

    def offer(self, segment: Segment) -> None:
        """Something to hand out, unless it is there already."""
        if segment.waiting or not segment.available:
            return
        segment.waiting = True
        self.available += segment.available.bit_count()
        ready = self.ready
        if ready and segment.id < ready[-1].id:
            if segment.id < ready[0].id:
                ready.appendleft(segment)
            else:
                ready.append(segment)
                self.ready = deque(sorted(ready, key=_id))
        else:
            ready.append(segment)

    def take(self, max_records: int, max_bytes: int) -> list[Record]:
        """Hand out, oldest first. The first record is handed out whatever its size."""
        out: list[Record] = []
        ready = self.ready
        size = 0
        while ready and len(out) < max_records:
            segment = ready[0]
            mask = segment.available
            if mask == segment.full and segment.count <= max_records - len(out) and size + segment.size <= max_bytes:
                segment.leased = mask
                size += segment.size
                out += segment.records()
                taken = segment.count
            else:
                taken = 0
                for position in positions(mask):
                    length = len(segment.payloads[position])
                    if len(out) == max_records or (out and size + length > max_bytes):
                        break
                    size += length
                    segment.leased |= 1 << position
                    out.append(segment.record(position))
                    taken += 1
            self.available -= taken
            if segment.available:
                break
            segment.waiting = False
            ready.popleft()
        return out

    def withdraw(self, segment: Segment, mask: int) -> None:
        """Positions that were waiting are gone (purged)."""
        segment.gone |= mask
        if segment.waiting:
            self.available -= mask.bit_count()
            if not segment.available:
                segment.waiting = False
                self.ready.remove(segment)

    def postpone(self, due: float, segment_id: int, count: int) -> None:
        """A retried segment."""
        heapq.heappush(self.later, (due, segment_id, count))

    def pop_due(self, now: float, max_records: int) -> list[tuple[float, int, int]]:
        """Retried segments whose time has come, until they hold ``max_records``."""
        found = []
        while self.later and self.later[0][0] <= now and max_records > 0:
            found.append(heapq.heappop(self.later))
            max_records -= found[-1][2]
        return found


def _id(segment: Segment) -> int:
    return segment.id
