"""One write transaction: what may be done to the tables (io).

Law: everything here runs in the writer's thread between BEGIN and COMMIT, and every removal of a record is tallied in the same
transaction. Steps are few and large on purpose: apsw gives the GIL away and takes it back around each of SQLite's steps, and
taking it back may wait for the event loop. Hence multi-row statements and ``json_each`` instead of one statement per record.
"""

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import apsw
import orjson

from gateway.outcome import Outcome, Reason
from gateway.spool.base import NewRecord
from gateway.spool.removal import Corpse, Removal, Total
from gateway.spool.segment import MAX_LANE, SEQUENCE_BITS, Segment, split

_ROWS = 8
"""Largest multi-row statement; more rows gain nothing (measured)."""
_SEGMENT = "(?,?,?,?,?,?,?)"
_INSERT = {n: "INSERT INTO segment VALUES " + ",".join([_SEGMENT] * n) for n in range(1, _ROWS + 1)}  # noqa: S608 - constants
_TALLY = {
    n: "INSERT INTO total VALUES "  # noqa: S608 - constants
    + ",".join(["(?,?,?,?)"] * n)
    + " ON CONFLICT DO UPDATE SET n = n + excluded.n"
    for n in range(1, _ROWS + 1)
}
_MASK = (
    "INSERT INTO gone SELECT value ->> 0, value ->> 1 FROM json_each(?) WHERE true ON CONFLICT DO UPDATE SET mask = excluded.mask"
)
_DELETE = "DELETE FROM segment WHERE id IN (SELECT value FROM json_each(?))"
_DELETE_MASK = "DELETE FROM gone WHERE segment IN (SELECT value FROM json_each(?))"
_DEAD = "INSERT INTO dead(lane, owner, accepted_at, died_at, attempts, reason, answer, payload, tries) VALUES "
_BURY_ONE = _DEAD + "(?,?,?,?,?,?,?,?,?)"
_BURY = _DEAD + ",".join(["(?,?,?,?,?,?,?,?,?)"] * _ROWS)

_MARK = (
    "INSERT INTO mark SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each(?) WHERE true"
    " ON CONFLICT DO UPDATE SET until = max(until, excluded.until)"
)

TRANSACTION: Total = ("", "transaction", "")
"""A pseudo total that counts transactions: after a failed commit it tells whether the commit came through after all."""


class Transaction:
    """The open write transaction. ``segments`` and ``totals`` are what it changed, for the loop to know after the commit."""

    def __init__(self, connection: apsw.Connection, lanes: dict[str, int], sequence: int) -> None:
        self._execute = connection.execute
        self._lanes = lanes
        self.sequence = sequence
        self.new_lanes: list[str] = []
        self.segments: list[Segment] = []
        self.totals: Counter[Total] = Counter()

    def put(self, records: Sequence[NewRecord]) -> None:
        """Queue new records and tally them as accepted."""
        lanes, owners, accepted, payloads, _, beside = zip(*records, strict=True)
        if lanes.count(lanes[0]) == len(lanes):
            segments = split(lanes[0], owners, accepted, payloads, beside=beside)
            self.totals[lanes[0], "accepted", ""] += len(lanes)
        else:
            segments = []
            by_lane: dict[str, list[NewRecord]] = {}
            for record in records:
                by_lane.setdefault(record[0], []).append(record)
            for lane, rows in by_lane.items():
                _, owners, accepted, payloads, _, beside = zip(*rows, strict=True)
                segments += split(lane, owners, accepted, payloads, beside=beside)
                self.totals[lane, "accepted", ""] += len(rows)
        self.queue(segments)

    def queue(self, segments: Sequence[Segment]) -> None:
        """Insert segments and give them their ids."""
        for start in range(0, len(segments), _ROWS):
            values: list[Any] = []
            part = segments[start : start + _ROWS]
            for segment in part:
                segment.id = self._lane(segment.lane) << SEQUENCE_BITS | self.sequence
                self.sequence += 1
                values += _row(segment)
            self._execute(_INSERT[len(part)], values)
        self.segments += segments

    def remove(self, removal: Removal) -> None:
        """Apply a settlement."""
        if removal.segments:
            self._execute(_DELETE, (orjson.dumps(removal.segments).decode(),))
        if removal.unmask:
            self._execute(_DELETE_MASK, (orjson.dumps(removal.unmask).decode(),))
        if removal.masks:
            self._execute(_MASK, (orjson.dumps(list(removal.masks.items())).decode(),))
        if removal.later:
            self.queue(removal.later)
        if removal.corpses:
            self.bury(removal.corpses)
        if removal.marks:
            self._execute(_MARK, (orjson.dumps(removal.marks).decode(),))
        self.totals.update(removal.totals)

    def bury(self, corpses: Sequence[Corpse]) -> None:
        """Add dead letters (tallied by the caller)."""
        whole = len(corpses) - len(corpses) % _ROWS
        for start in range(0, whole, _ROWS):
            self._execute(_BURY, [value for corpse in corpses[start : start + _ROWS] for value in corpse])
        for corpse in corpses[whole:]:
            self._execute(_BURY_ONE, corpse)

    def replay(self, ids: Iterable[int]) -> int:
        """Dead letters → queue, accepted now, never tried."""
        rows = self._take_dead("id IN (SELECT value FROM json_each(?))", orjson.dumps(list(ids)).decode())
        now = time.time()
        by_lane: dict[str, list[tuple[str, bytes]]] = {}
        for lane, owner, _, payload in rows:
            by_lane.setdefault(lane, []).append((owner, payload))
        for lane, letters in by_lane.items():
            owners, payloads = zip(*letters, strict=True)
            self.queue(split(lane, owners, [now] * len(letters), payloads))
        return len(rows)

    def drop(self, ids: Iterable[int]) -> int:
        """Dead letters → dropped."""
        rows = self._take_dead("id IN (SELECT value FROM json_each(?))", orjson.dumps(list(ids)).decode(), payload=False)
        return self._final(rows, Outcome.DROPPED, Reason.OPERATOR)

    def purge_dead(self, owner: str, reason: str) -> int:
        """An owner's dead letters → purged."""
        return self._final(self._take_dead("owner = ? AND owner <> ''", owner, payload=False), Outcome.PURGED, reason)

    def erase_dead(self, needle: bytes, reason: str) -> int:
        """Dead letters whose payload holds ``needle`` → purged."""
        return self._final(self._take_dead("instr(payload, ?)", needle, payload=False), Outcome.PURGED, reason)

    def expire_dead(self, died_before: float, limit: int) -> list[Any]:
        """The oldest dead letters that died before then → expired; at most ``limit`` rows."""
        ids = self._execute("SELECT id FROM dead WHERE died_at < ? ORDER BY died_at LIMIT ?", (died_before, limit)).fetchall()
        if not ids:
            return []
        text = orjson.dumps([row[0] for row in ids]).decode()
        rows = self._take_dead("id IN (SELECT value FROM json_each(?))", text, payload=False)
        self._final(rows, Outcome.EXPIRED, Reason.TOO_OLD)
        return rows

    def forget_marks(self, before: float, most: int, limit: int) -> int:
        """Marks whose time is over, and the next to be over of what is more than ``most``; at most ``limit``. How many."""
        rows: list[Any] = self._execute("SELECT count(*) FROM mark").fetchall()
        over = max(0, rows[0][0] - most)
        gone = self._execute(
            "DELETE FROM mark WHERE key IN (SELECT key FROM mark WHERE until < ?1 OR ?2 > 0 ORDER BY until LIMIT ?3) RETURNING key",
            (before, over, min(limit, over) if over else limit),
        ).fetchall()
        return len(gone)

    def finish(self) -> None:
        """Write the totals; the last thing before COMMIT."""
        values: list[Any] = [*TRANSACTION, 1]
        count = 1
        for key, n in self.totals.items():
            if not n:
                continue
            values += (*key, n)
            count += 1
            if count == _ROWS:
                self._execute(_TALLY[count], values)
                values, count = [], 0
        if count:
            self._execute(_TALLY[count], values)

    def _take_dead(self, where: str, argument: str | bytes, *, payload: bool = True) -> list[Any]:
        column = "payload" if payload else "NULL"
        rows: list[Any] = self._execute(
            f"DELETE FROM dead WHERE {where} RETURNING lane, owner, reason, {column}",  # noqa: S608 - constants of this module
            (argument,),
        ).fetchall()
        for lane, _, reason, _ in rows:
            self.totals[lane, Outcome.DEAD.value, reason] -= 1
        return rows

    def _final(self, rows: Sequence[Any], outcome: Outcome, reason: str) -> int:
        for row in rows:
            self.totals[row[0], outcome.value, str(reason)] += 1
        return len(rows)

    def _lane(self, key: str) -> int:
        number = self._lanes.get(key)
        if number is None:
            number = max(self._lanes.values(), default=0) + 1
            if number > MAX_LANE:
                raise ValueError("too many lanes")
            self._execute("INSERT INTO lane VALUES (?, ?)", (number, key))
            self._lanes[key] = number
            self.new_lanes.append(key)
        return number


def _row(segment: Segment) -> tuple[Any, ...]:
    data = b"".join(segment.payloads)
    return (segment.id, segment.due, segment.count, segment.size, min(segment.accepted), segment.head(), data)
