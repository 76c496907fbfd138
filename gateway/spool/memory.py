"""A spool without a disk (io: the loop's clock only).

Law: it keeps the contract of :class:`gateway.spool.base.Spool` except durability: ``put`` is done at once and everything is gone
with the process. For ``send-test`` and for tests of what sits on either side of a spool; simple rather than fast.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import (
    MAX_MARKS,
    DeadLetter,
    LaneStats,
    NewRecord,
    OnRemoval,
    Purged,
    Record,
    Settlement,
    SpoolStats,
    nobody_told,
    tried,
)


@dataclass(slots=True)
class _Entry:
    record: Record
    due: float = 0.0
    """On the loop's clock."""
    leased: bool = False


class MemorySpool:
    """Implements :class:`gateway.spool.base.Spool` in memory; bounded by ``max_bytes`` of payloads."""

    def __init__(self, max_bytes: int = 64 << 20) -> None:
        self._max_bytes = max_bytes
        self._used_bytes = 0
        self._queue: dict[int, _Entry] = {}
        self._dead: dict[int, DeadLetter] = {}
        self._totals: Counter[tuple[str, str, str]] = Counter()
        self._marks: dict[int, float] = {}
        self._doomed: dict[int, Reason] = {}
        self.on_removal: OnRemoval = nobody_told
        self._next_id = 1
        self._changed = asyncio.Event()
        self._closed = False

    def put(self, records: Sequence[NewRecord]) -> asyncio.Future[None]:
        """See :meth:`Spool.put`."""
        self._check_open()
        size = sum(len(record.payload) for record in records)
        if self._used_bytes + size > self._max_bytes:
            raise SpoolUnavailable(Reason.SPOOL_FULL, "the spool has reached max_bytes", 30)
        for lane, owner, accepted_at, payload, _, beside in records:
            self._enqueue(Record(self._new_id(), lane, owner, accepted_at, payload, 0, beside=beside))
            self._totals[lane, Outcome.ACCEPTED.value, ""] += 1
        self._used_bytes += size
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        future.set_result(None)
        return future

    def keeps(self, lane: str) -> bool:
        """See :meth:`Spool.keeps`."""
        return True

    async def lease(self, lane: str, max_records: int, max_bytes: int, wait_s: float) -> list[Record]:
        """See :meth:`Spool.lease`."""
        loop = asyncio.get_running_loop()
        deadline = loop.time() + wait_s
        while True:
            self._check_open()
            records, next_due = self._take(lane, max_records, max_bytes, loop.time())
            if records or loop.time() >= deadline:
                return records
            self._changed.clear()
            timer = loop.call_at(min(deadline, next_due), self._changed.set)
            try:
                await self._changed.wait()
            finally:
                timer.cancel()

    async def gathered(self, lane: str, records: int, wait_s: float) -> None:
        """See :meth:`Spool.gathered`."""
        await asyncio.sleep(wait_s)

    def _take(self, lane: str, max_records: int, max_bytes: int, now: float) -> tuple[list[Record], float]:
        records: list[Record] = []
        size = 0
        next_due = now + 3600.0
        for entry in self._queue.values():
            if entry.record.lane != lane or entry.leased:
                continue
            if entry.due > now:
                next_due = min(next_due, entry.due)
                continue
            size += len(entry.record.payload)
            if len(records) == max_records or (records and size > max_bytes):
                break
            entry.leased = True
            records.append(entry.record)
        return records, next_due

    def doomed(self, records: Sequence[Record]) -> dict[int, Reason]:
        """See :meth:`Spool.doomed`."""
        doomed = self._doomed
        return {record.id: doomed[record.id] for record in records if record.id in doomed} if doomed else {}

    async def settle(self, settlement: Settlement) -> None:
        """See :meth:`Spool.settle`."""
        self._check_open()
        now = time.time()
        for id_, outcome, reason in settlement.done:
            if (entry := self._remove_leased(id_)) is not None:
                self._tally(entry.record, outcome, reason)
        for key, until, _ in settlement.marks:
            self._marks[key] = max(until, self._marks.get(key, 0.0))
            if len(self._marks) > MAX_MARKS:
                del self._marks[next(iter(self._marks))]
        for id_, due, reason, code in settlement.retry:
            if (entry := self._take_back(id_)) is not None:
                tries = tried(entry.record.tries, now, reason, code)
                record = entry.record._replace(id=self._new_id(), attempts=entry.record.attempts + 1, tries=tries)
                self._used_bytes += len(record.payload)
                self._enqueue(record, asyncio.get_running_loop().time() + due - now)
        for death in settlement.dead:
            if (entry := self._take_back(death.id)) is not None:
                record = entry.record._replace(tries=death.tries(entry.record.tries, now))
                self._bury(record, record.attempts + 1, death.reason, death.answer)

    async def marked(self, keys: Sequence[int]) -> set[int]:
        """See :meth:`Spool.marked`."""
        self._check_open()
        now = time.time()
        return {key for key in keys if self._marks.get(key, 0.0) >= now}

    async def release(self, ids: Sequence[int]) -> None:
        """See :meth:`Spool.release`."""
        self._check_open()
        for id_ in ids:
            entry = self._queue.get(id_)
            if entry is None or not entry.leased:
                continue
            if id_ in self._doomed:
                self._take_back(id_)
            else:
                entry.leased = False
        self._changed.set()

    async def purge(self, owner: str, reason: Reason) -> Purged:
        """See :meth:`Spool.purge`."""
        self.on_removal(owner, b"", time.time())
        return self._remove(lambda found: bool(owner) and found.owner == owner, reason)

    async def erase(self, needle: bytes, reason: Reason) -> Purged:
        """See :meth:`Spool.erase`."""
        self.on_removal("", needle, time.time())
        return self._remove(lambda found: bool(needle) and needle in found.payload, reason)

    def _remove(self, meant: Callable[[Record | DeadLetter], bool], reason: Reason) -> Purged:
        self._check_open()
        purged = under_way = 0
        for id_, entry in list(self._queue.items()):
            if not meant(entry.record):
                continue
            if entry.leased:
                under_way += id_ not in self._doomed
                self._doomed[id_] = reason
                continue
            self._forget(id_)
            self._tally(entry.record, Outcome.PURGED, reason)
            purged += 1
        for letter in [letter for letter in self._dead.values() if meant(letter)]:
            self._raise(letter)
            self._totals[letter.lane, Outcome.PURGED.value, reason.value] += 1
            purged += 1
        return Purged(purged, under_way)

    async def stats(self) -> SpoolStats:
        """See :meth:`Spool.stats`."""
        self._check_open()
        lanes: dict[str, LaneStats] = {}
        for entry in self._queue.values():
            lane = lanes.setdefault(entry.record.lane, LaneStats(entry.record.lane, 0, 0, 0, 0.0))
            lane.queued += 1
            lane.leased += entry.leased
            lane.oldest_accepted_at = min(lane.oldest_accepted_at or entry.record.accepted_at, entry.record.accepted_at)
        for letter in self._dead.values():
            lanes.setdefault(letter.lane, LaneStats(letter.lane, 0, 0, 0, 0.0)).dead += 1
        return SpoolStats(
            lanes=[lanes[lane] for lane in sorted(lanes)],
            used_bytes=self._used_bytes,
            max_bytes=self._max_bytes,
            writable=self._used_bytes < self._max_bytes,
            totals=dict(self._totals),
        )

    async def lanes(self) -> list[str]:
        """See :meth:`Spool.lanes`."""
        self._check_open()
        return sorted({entry.record.lane for entry in self._queue.values()})

    async def dead_list(self, lane: str | None, after: int, limit: int) -> list[DeadLetter]:
        """See :meth:`Spool.dead_list`."""
        self._check_open()
        found = [letter for letter in self._dead.values() if letter.id > after and lane in {None, letter.lane}]
        return [replace(letter) for letter in found[:limit]]

    async def dead_replay(self, ids: Sequence[int]) -> int:
        """See :meth:`Spool.dead_replay`."""
        self._check_open()
        letters = [letter for id_ in set(ids) if (letter := self._dead.get(id_)) is not None]
        for letter in letters:
            self._raise(letter)
            self._used_bytes += len(letter.payload)
            self._enqueue(Record(self._new_id(), letter.lane, letter.owner, time.time(), letter.payload, 0))
        return len(letters)

    async def dead_drop(self, ids: Sequence[int]) -> int:
        """See :meth:`Spool.dead_drop`."""
        self._check_open()
        letters = [letter for id_ in set(ids) if (letter := self._dead.get(id_)) is not None]
        for letter in letters:
            self._raise(letter)
            self._totals[letter.lane, Outcome.DROPPED.value, Reason.OPERATOR.value] += 1
        return len(letters)

    async def bury_lane(self, lane: str, reason: Reason) -> int:
        """See :meth:`Spool.bury_lane`."""
        self._check_open()
        entries = [entry for entry in self._queue.values() if entry.record.lane == lane and not entry.leased]
        for entry in entries:
            self._forget(entry.record.id)
            self._bury(entry.record, entry.record.attempts, reason, "")
        return len(entries)

    async def close(self) -> None:
        """Everything in it is gone."""
        self._closed = True
        self._changed.set()

    def _check_open(self) -> None:
        if self._closed:
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "closed")

    def _new_id(self) -> int:
        self._next_id += 1
        return self._next_id

    def _enqueue(self, record: Record, due: float = 0.0) -> None:
        self._queue[record.id] = _Entry(record, due)
        self._changed.set()

    def _forget(self, id_: int) -> _Entry:
        entry = self._queue.pop(id_)
        self._used_bytes -= len(entry.record.payload)
        return entry

    def _remove_leased(self, id_: int) -> _Entry | None:
        entry = self._queue.get(id_)
        if entry is None or not entry.leased:
            return None
        self._doomed.pop(id_, None)
        return self._forget(id_)

    def _take_back(self, id_: int) -> _Entry | None:
        """A leased record, removed; None if it is not leased or was purged meanwhile."""
        doom = self._doomed.get(id_)
        entry = self._remove_leased(id_)
        if entry is not None and doom is not None:
            self._tally(entry.record, Outcome.PURGED, doom)
            return None
        return entry

    def _bury(self, record: Record, attempts: int, reason: Reason, answer: str) -> None:
        id_ = self._new_id()
        self._dead[id_] = DeadLetter(
            id_,
            record.lane,
            record.owner,
            record.accepted_at,
            time.time(),
            attempts,
            reason.value,
            answer,
            record.payload,
            record.tries,
        )
        self._used_bytes += len(record.payload)
        self._tally(record, Outcome.DEAD, reason)

    def _raise(self, letter: DeadLetter) -> None:
        del self._dead[letter.id]
        self._used_bytes -= len(letter.payload)
        self._totals[letter.lane, Outcome.DEAD.value, letter.reason] -= 1

    def _tally(self, record: Record, outcome: Outcome, reason: Reason) -> None:
        self._totals[record.lane, outcome.value, reason.value] += 1
