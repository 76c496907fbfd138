"""What the event loop knows of the spool (pure).

Law: decisions about records are taken here, on the loop, without waiting: what is handed out, what became of it, what a purge
hits. Each decision takes effect in memory at once and is returned as a :class:`Removal` for the writer; until that is committed
the caller waits. Everything here can be rebuilt from the tables, except what is leased: a restart hands that out again.
"""

from collections import Counter
from collections.abc import Iterable, Sequence

import orjson

from gateway.outcome import Outcome, Reason
from gateway.spool.base import Record, Settlement, plain, tried
from gateway.spool.lanes import LaneQueue
from gateway.spool.removal import Corpse, Removal, Tally, Total
from gateway.spool.segment import POSITION_BITS, POSITION_MASK, SEQUENCE_BITS, Segment, positions, split

_DEAD = Outcome.DEAD.value
HELD_BYTES = 16 << 20
"""Payloads kept in memory for handing out without reading them back, over all lanes."""
BESIDE_BYTES = 8 << 20
"""Payloads in memory up to which something may be put beside new ones: as much again at most."""
HELD_RECORDS = 4096
"""The same for one lane, so that a suspended one leaves room for the others."""


class Window:
    """Queues, segments in memory, masks and totals of one open spool."""

    def __init__(self) -> None:
        self.queues: dict[str, LaneQueue] = {}
        self.numbers: dict[str, int] = {}
        """Lane key → number."""
        self.totals: Counter[Total] = Counter()
        self.segments: dict[int, Segment] = {}
        """Those in memory: waiting to be handed out, or leased."""
        self.held_bytes = 0
        self.rereads = 0
        """Grows when something was removed that is not in memory: a read under way may have seen it and must be repeated."""
        self._keys: dict[int, str] = {}
        self._masks: dict[int, int] = {}
        self._doomed: dict[int, str] = {}
        """Leased records to purge when they come back, with the reason."""
        self._meant: dict[str, str] = {}
        """Owners whose purge has been asked for and is not over, with the reason: what of theirs is leased is doomed, found yet or not."""
        self._needle: tuple[bytes, str] | None = None
        """The same for an erasure."""
        self._met: Counter[str] = Counter()
        """Leased records that came back and were purged before they had been found, by owner (empty: an erasure)."""
        self._purging: dict[str, str] = {}
        self._deleted_meanwhile: set[int] | None = None

    # --- what comes in

    def add_lane(self, key: str, number: int, tail: int | None = None) -> LaneQueue:
        """A lane that the tables know."""
        self.numbers[key] = number
        self._keys[number] = key
        queue = self.queues[key] = LaneQueue(key, number, tail)
        return queue

    def adopt(
        self,
        lanes: dict[str, int],
        tails: dict[str, int],
        masks: dict[int, int],
        totals: Counter[Total],
        later: Iterable[tuple[str, float, int, int]],
    ) -> None:
        """Start from what the tables hold. ``later``: (lane, due on the loop's clock, segment, records)."""
        self.queues, self.numbers, self._keys = {}, {}, {}
        for key, number in lanes.items():
            self.add_lane(key, number, tails.get(key))
        self._masks = dict(masks)
        self.totals = Counter(totals)
        self.segments = {}
        self._doomed = {}
        self.held_bytes = 0
        self.rereads += 1
        for lane, due, segment, count in later:
            self.queues[lane].postpone(due, segment, count)

    def committed(self, segments: Sequence[Segment], totals: Counter[Total], clock_offset_s: float) -> set[str]:
        """New segments are in the tables. ``clock_offset_s``: the loop's clock minus the wall's. The lanes they are in."""
        self.totals.update(totals)
        touched = set()
        for segment in segments:
            queue = self.queues.get(segment.lane)
            if queue is None:
                queue = self.add_lane(segment.lane, segment.id >> SEQUENCE_BITS)
            touched.add(segment.lane)
            if segment.due:
                queue.postpone(segment.due + clock_offset_s, segment.id, segment.count)
            elif segment.id > queue.cursor:
                room = self.held_bytes + segment.size <= HELD_BYTES and queue.available < HELD_RECORDS
                if room and not queue.behind:
                    queue.cursor = segment.id
                    self._hold(segment)
                    queue.offer(segment)
                queue.tail = segment.id
        return touched

    def keeps(self, lane: str) -> bool:
        """Whether what is put now will probably be handed out without being read back."""
        if self.held_bytes >= BESIDE_BYTES:
            return False
        queue = self.queues.get(lane)
        return queue is None or (not queue.behind and queue.available < HELD_RECORDS)

    def take_in(self, queue: LaneQueue, segments: Iterable[Segment]) -> None:
        """Segments that have been read back."""
        for segment in segments:
            segment.gone = self._masks.get(segment.id, 0)
            if segment.available:
                self._hold(segment)
                queue.offer(segment)

    def _hold(self, segment: Segment) -> None:
        self.segments[segment.id] = segment
        self.held_bytes += segment.size

    # --- what became of leased records

    def settle(self, settlement: Settlement, now: float) -> Removal:
        """Fates of leased records; ids that are not leased are left out."""
        removal = Removal()
        touched: dict[int, Segment] = {}
        segments = self.segments
        totals = removal.totals
        for id_, outcome, reason in settlement.done:
            segment = segments.get(id_ >> POSITION_BITS)
            bit = 1 << (id_ & POSITION_MASK)
            if segment is None or not segment.leased & bit:
                continue
            segment.leased ^= bit
            segment.gone |= bit
            touched[segment.id] = segment
            totals[segment.lane, outcome._value_, reason._value_] += 1
        if self._doomed:
            for id_, _, _ in settlement.done:
                self._doomed.pop(id_, None)
        later: dict[tuple[str, float], list[Record]] = {}
        for id_, due, why, code in settlement.retry:
            if (found := self._take_back(id_, touched, totals)) is not None:
                # 0 stands for "never tried" in the tables.
                later.setdefault((found.lane, max(due, 0.001)), []).append(
                    found._replace(tries=tried(found.tries, now, why, code))
                )
        for death in settlement.dead:
            if (found := self._take_back(death.id, touched, totals)) is not None:
                found = found._replace(tries=death.tries(found.tries, now))
                removal.corpses.append(_corpse(found, now, found.attempts + 1, death.reason, death.answer))
                totals[found.lane, _DEAD, death.reason._value_] += 1
        removal.marks += [(key, until, lane) for key, until, lane in settlement.marks]
        for (lane, due), records in later.items():
            removal.later += _requeue(lane, records, due)
        return self._close(removal, touched)

    def release(self, ids: Iterable[int]) -> tuple[set[str], Removal]:
        """Leased records wait again, except those that were purged meanwhile; the lanes that have something to hand out."""
        removal = Removal()
        touched: dict[int, Segment] = {}
        lanes = set()
        for id_ in ids:
            segment = self.segments.get(id_ >> POSITION_BITS)
            bit = 1 << (id_ & POSITION_MASK)
            if segment is None or not segment.leased & bit:
                continue
            if self._doom(segment, id_):
                self._take_back(id_, touched, removal.totals)
                continue
            segment.leased ^= bit
            queue = self.queues[segment.lane]
            lanes.add(segment.lane)
            if segment.waiting:
                queue.available += 1
            else:
                queue.offer(segment)
        return lanes, self._close(removal, touched)

    def bury(self, records: Iterable[Record], reason: Reason, now: float) -> Removal:
        """Leased records of a removed integration die."""
        removal = Removal()
        touched: dict[int, Segment] = {}
        for record in records:
            if self._take_back(record.id, touched, removal.totals) is not None:
                removal.corpses.append(_corpse(record, now, record.attempts, reason, ""))
                removal.totals[record.lane, _DEAD, reason._value_] += 1
        return self._close(removal, touched)

    def doomed(self, records: Sequence[Record]) -> dict[int, Reason]:
        """Those of the leased ``records`` that are to be purged when they come back."""
        if not (self._doomed or self._meant or self._needle):
            return {}
        found = {}
        for record in records:
            segment = self.segments.get(record.id >> POSITION_BITS)
            if segment is None or not segment.leased >> (record.id & POSITION_MASK) & 1:
                continue
            if doom := self._doom(segment, record.id):
                found[record.id] = Reason(doom)
        return found

    def _doom(self, segment: Segment, id_: int) -> str:
        """Why a leased record is purged when it comes back; empty = it is not."""
        if not (self._doomed or self._meant or self._needle):
            return ""
        owner = segment.owners[id_ & POSITION_MASK]
        if doom := self._doomed.get(id_) or (self._meant.get(owner, "") if owner else ""):
            return doom
        return self._needle[1] if self._needle and self._needle[0] in segment.payloads[id_ & POSITION_MASK] else ""

    def _take_back(self, id_: int, touched: dict[int, Segment], totals: Counter[Total]) -> Record | None:
        """Remove a leased record from its segment; None if it is not leased or was purged meanwhile."""
        segment = self.segments.get(id_ >> POSITION_BITS)
        position = id_ & POSITION_MASK
        bit = 1 << position
        if segment is None or not segment.leased & bit:
            return None
        segment.leased ^= bit
        segment.gone |= bit
        touched[segment.id] = segment
        if doom := self._doom(segment, id_):
            totals[segment.lane, Outcome.PURGED.value, doom] += 1
            if self._doomed.pop(id_, None) is None:
                owner = segment.owners[position]
                self._met[owner if owner in self._meant else ""] += 1
            return None
        return segment.record(position)

    def _close(self, removal: Removal, touched: dict[int, Segment]) -> Removal:
        """Add what the changed masks of ``touched`` mean for the tables."""
        for segment in touched.values():
            if segment.gone == segment.full:
                removal.segments.append(segment.id)
                if self._masks.pop(segment.id, 0):
                    removal.unmask.append(segment.id)
                if self.segments.pop(segment.id, None) is not None:
                    self.held_bytes -= segment.size
                if self._deleted_meanwhile is not None:
                    self._deleted_meanwhile.add(segment.id)
            else:
                removal.masks[segment.id] = self._masks[segment.id] = segment.gone
        return removal

    # --- purge

    def mean(self, owner: str, reason: str) -> None:
        """A purge has been asked for: until :meth:`forget_meant`, what comes back of the owner's is purged."""
        self._meant[owner] = reason

    def forget_meant(self, owners: Iterable[str]) -> None:
        """Their purge is over."""
        for owner in owners:
            self._meant.pop(owner, None)

    def begin_purge(self, owners: dict[str, str], purged: Tally) -> Removal:
        """Purge what is in memory (owner → reason); :meth:`end_purge` when the tables have been scanned."""
        self._purging = owners
        self._deleted_meanwhile = set()
        removal = Removal()
        touched: dict[int, Segment] = {}
        for segment in self.segments.values():
            self._purge_held(segment, removal, touched, purged)
        return self._close(removal, touched)

    def purge_rows(self, rows: Iterable[tuple[int, Sequence[str]]], purged: Tally) -> Removal:
        """Purge what a scan of the tables has found: (segment, its owners)."""
        removal = Removal()
        touched: dict[int, Segment] = {}
        for id_, owners in rows:
            if self._deleted_meanwhile is not None and id_ in self._deleted_meanwhile:
                continue
            held = self.segments.get(id_)
            if held is not None:
                self._purge_held(held, removal, touched, purged)
            else:
                self._purge_stored(id_, owners, removal, purged)
        return self._close(removal, touched)

    def begin_erasure(self, needle: bytes, reason: str, erased: Tally) -> Removal:
        """Purge what is in memory and holds ``needle``; until :meth:`end_purge`, what comes back is purged too."""
        self._deleted_meanwhile = set()
        self._needle = needle, reason
        removal = Removal()
        touched: dict[int, Segment] = {}
        for segment in self.segments.values():
            mask = sum(
                1 << position for position in positions(segment.full & ~segment.gone) if needle in segment.payloads[position]
            )
            self._erase_held(segment, mask, reason, removal, touched, erased)
        return self._close(removal, touched)

    def erase_rows(self, rows: Iterable[tuple[int, int, int]], reason: str, erased: Tally) -> Removal:
        """Purge what a scan of the tables has found: (segment, its records, mask of those that are meant)."""
        removal = Removal()
        touched: dict[int, Segment] = {}
        for id_, count, mask in rows:
            if self._deleted_meanwhile is not None and id_ in self._deleted_meanwhile:
                continue
            held = self.segments.get(id_)
            if held is not None:
                self._erase_held(held, mask & ~held.gone, reason, removal, touched, erased)
            else:
                self._take_stored(id_, count, mask, reason, removal, erased)
        return self._close(removal, touched)

    def _erase_held(
        self, segment: Segment, mask: int, reason: str, removal: Removal, touched: dict[int, Segment], erased: Tally
    ) -> None:
        for position in positions(mask):
            if segment.leased >> position & 1:
                self._sentence(segment.id << POSITION_BITS | position, "", reason, erased)
                continue
            self.queues[segment.lane].withdraw(segment, 1 << position)
            touched[segment.id] = segment
            removal.totals[segment.lane, Outcome.PURGED.value, reason] += 1
            erased.removed[""] += 1

    def _take_stored(self, id_: int, count: int, mask: int, reason: str, removal: Removal, erased: Tally) -> None:
        known = self._masks.get(id_, 0)
        fresh = mask & ~known
        if not fresh:
            return
        removal.totals[self._keys[id_ >> SEQUENCE_BITS], Outcome.PURGED.value, reason] += fresh.bit_count()
        erased.removed[""] += fresh.bit_count()
        self._set_gone(id_, known | fresh, count, removal)

    def _sentence(self, id_: int, owner: str, reason: str, tally: Tally) -> None:
        """A leased record is purged when it comes back."""
        tally.under_way[owner] += id_ not in self._doomed
        self._doomed[id_] = reason

    def end_purge(self, tally: Tally) -> None:
        """Everything has been scanned."""
        for owner in [*self._purging, ""]:
            tally.under_way[owner] += self._met.pop(owner, 0)
        self._purging = {}
        self._needle = None
        self._deleted_meanwhile = None

    def _purge_held(self, segment: Segment, removal: Removal, touched: dict[int, Segment], purged: Tally) -> None:
        if self._purging.keys().isdisjoint(segment.owners):
            return
        for position in positions(segment.full & ~segment.gone):
            owner = segment.owners[position]
            reason = self._purging.get(owner)
            if reason is None:
                continue
            if segment.leased >> position & 1:
                self._sentence(segment.id << POSITION_BITS | position, owner, reason, purged)
                continue
            self.queues[segment.lane].withdraw(segment, 1 << position)
            touched[segment.id] = segment
            removal.totals[segment.lane, Outcome.PURGED.value, reason] += 1
            purged.removed[owner] += 1

    def _purge_stored(self, id_: int, owners: Sequence[str], removal: Removal, purged: Tally) -> None:
        known = gone = self._masks.get(id_, 0)
        lane = self._keys[id_ >> SEQUENCE_BITS]
        for position, owner in enumerate(owners):
            reason = self._purging.get(owner)
            if reason is not None and not gone >> position & 1:
                gone |= 1 << position
                removal.totals[lane, Outcome.PURGED.value, reason] += 1
                purged.removed[owner] += 1
        if gone != known:
            self._set_gone(id_, gone, len(owners), removal)

    def _set_gone(self, id_: int, gone: int, count: int, removal: Removal) -> None:
        """Write the mask of a segment that is not in memory."""
        self.rereads += 1
        if gone == (1 << count) - 1:
            removal.segments.append(id_)
            if self._masks.pop(id_, 0):
                removal.unmask.append(id_)
        else:
            removal.masks[id_] = self._masks[id_] = gone

    # --- what there is

    def depths(self) -> tuple[Counter[str], Counter[str]]:
        """(queued including leased, dead) records by lane."""
        queued: Counter[str] = Counter()
        dead: Counter[str] = Counter()
        for (lane, outcome, _), n in self.totals.items():
            if outcome == Outcome.ACCEPTED.value:
                queued[lane] += n
            else:
                queued[lane] -= n
                if outcome == Outcome.DEAD.value:
                    dead[lane] += n
        return +queued, +dead

    def leased(self) -> Counter[str]:
        """Leased records by lane."""
        leased: Counter[str] = Counter()
        for segment in self.segments.values():
            leased[segment.lane] += segment.leased.bit_count()
        return leased


def _corpse(record: Record, now: float, attempts: int, reason: Reason, answer: str) -> Corpse:
    tries = orjson.dumps(plain(record.tries)).decode()
    return (record.lane, record.owner, record.accepted_at, now, attempts, reason.value, answer, record.payload, tries)


def _requeue(lane: str, records: list[Record], due: float) -> list[Segment]:
    return split(
        lane,
        [record.owner for record in records],
        [record.accepted_at for record in records],
        [record.payload for record in records],
        [record.attempts + 1 for record in records],
        due,
        [record.tries for record in records],
    )
