"""Saving what can be read of a damaged file (io).

Law: nothing readable is given up and damage is never a reason not to start. The damaged files are renamed, never deleted; the
readable rows go into a new file under their old ids; records that were accepted but are found nowhere are tallied as quarantined.
"""

import logging
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import apsw
import orjson

from gateway.outcome import Outcome, Reason
from gateway.spool import schema
from gateway.spool.segment import SEQUENCE_BITS, MalformedError, Segment, parse, positions
from gateway.spool.transaction import Total, Transaction

log = logging.getLogger(__name__)

CHECK_WHOLE_BYTES = 64 << 20
"""Files up to this size are checked completely when they are opened; larger ones as they are read."""
_TABLES = {
    "lane": "id, key",
    "segment": "id, due, count, size, oldest, head, data",
    "gone": "segment, mask",
    "dead": "id, lane, owner, accepted_at, died_at, attempts, reason, answer, payload",
}
_KEYS = {"lane": "id", "segment": "id", "gone": "segment", "dead": "id"}


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the records of a damaged file."""

    kept: int
    lost: int
    quarantine: str


def healthy(connection: apsw.Connection, path: Path) -> bool:
    """A quick look; complete for small files."""
    try:
        if path.stat().st_size <= CHECK_WHOLE_BYTES:
            rows = connection.execute("PRAGMA quick_check(1)").fetchall()
            return bool(rows == [("ok",)])
    except (apsw.CorruptError, apsw.NotADBError):
        return False
    return True


def salvage(path: Path, vfs: str | None = None) -> Report:
    """Move the damaged file aside and build a new one of what is readable. The caller holds the lock; no connection is open."""
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    aside = path.with_name(f"{path.name}.damaged-{stamp}")
    number = 0
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{stamp}-{number}")
    fresh = path.with_name(f"{path.name}.salvage")
    for name in _files(fresh):
        name.unlink(missing_ok=True)
    found = _read(path)
    connection = schema.open_writer(fresh, vfs)
    try:
        report = _write(connection, found, aside.name)
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close()
    for old, new in zip(_files(path), _files(aside), strict=True):
        with suppress(FileNotFoundError):
            old.rename(new)
    fresh.rename(path)
    return report


def _files(path: Path) -> list[Path]:
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]


@dataclass(slots=True)
class _Found:
    lanes: dict[int, str]
    segments: dict[int, Segment]
    dead: dict[int, tuple[Any, ...]]
    totals: Counter[Total]


def _read(path: Path) -> _Found:
    found = _Found({}, {}, {}, Counter())
    try:
        connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE)
    except apsw.Error:
        return found
    try:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        _read_tables(connection, found)
    finally:
        connection.close(force=True)
    return found


def _read_tables(connection: apsw.Connection, found: _Found) -> None:
    for row in _rows(connection, "lane"):
        if isinstance(row[1], str):
            found.lanes[row[0]] = row[1]
    with suppress(apsw.Error):
        for lane, outcome, reason, n in connection.execute("SELECT lane, outcome, reason, n FROM total"):
            if isinstance(lane, str) and isinstance(outcome, str) and isinstance(reason, str) and isinstance(n, int):
                found.totals[lane, outcome, reason] = n
    masks = {row[0]: row[1] for row in _rows(connection, "gone") if isinstance(row[1], int)}
    for row in _rows(connection, "segment"):
        segment = _segment(row, found.lanes)
        if segment is not None:
            segment.gone = masks.get(segment.id, 0) & segment.full
            found.segments[segment.id] = segment
    for row in _rows(connection, "dead"):
        if _is_letter(row):
            found.dead[row[0]] = row


def _segment(row: tuple[Any, ...], lanes: dict[int, str]) -> Segment | None:
    id_, due, count, _size, _oldest, head, data = row
    try:
        number = id_ >> SEQUENCE_BITS
        segment = parse(lanes.setdefault(number, f"recovered-{number}"), id_, orjson.loads(head), data, float(due))
    except (MalformedError, ValueError, TypeError):
        return None
    return segment if segment.count == count else None


def _is_letter(row: tuple[Any, ...]) -> bool:
    _, lane, owner, accepted_at, died_at, attempts, reason, answer, payload = row
    texts = all(isinstance(text, str) for text in (lane, owner, reason, answer))
    return (
        texts
        and isinstance(accepted_at, float)
        and isinstance(died_at, float)
        and isinstance(attempts, int)
        and isinstance(payload, bytes)
    )


def _rows(connection: apsw.Connection, table: str) -> Iterator[tuple[Any, ...]]:
    """Every readable row: where a range fails, its halves are tried, until what remains are the damaged rows alone."""
    key = _KEYS[table]
    sql = f"SELECT {_TABLES[table]} FROM {table} NOT INDEXED WHERE {key} BETWEEN ? AND ? ORDER BY {key}"  # noqa: S608 - constants
    ranges = [(0, (1 << 62))]
    budget = 50_000
    while ranges and budget:
        budget -= 1
        low, high = ranges.pop(0)
        try:
            for row in connection.execute(sql, (low, high)):
                yield row
                low = row[0] + 1
        except (apsw.CorruptError, apsw.NotADBError, apsw.IOError, apsw.SQLError):
            if low < high:
                middle = (low + high) // 2
                ranges += [(low, middle), (middle + 1, high)]


def _write(connection: apsw.Connection, found: _Found, quarantine: str) -> Report:
    connection.execute("BEGIN IMMEDIATE")
    transaction = Transaction(connection, {}, 0)
    for number, key in found.lanes.items():
        connection.execute("INSERT OR IGNORE INTO lane VALUES (?, ?)", (number, key))
    kept: Counter[str] = Counter()
    totals = Counter({key: n for key, n in found.totals.items() if key[1] != Outcome.DEAD.value})
    for segment in found.segments.values():
        left = segment.full & ~segment.gone
        if not left:
            continue
        transaction.store(segment)
        if segment.gone:
            connection.execute("INSERT INTO gone VALUES (?, ?)", (segment.id, segment.gone))
        kept[segment.lane] += len(positions(left))
    for row in found.dead.values():
        connection.execute("INSERT INTO dead VALUES (?,?,?,?,?,?,?,?,?)", row)
        kept[row[1]] += 1
        totals[row[1], Outcome.DEAD.value, row[6]] += 1
    lost = 0
    for lane in {key[0] for key in totals if key[1] == Outcome.ACCEPTED.value} | set(kept):
        finals = sum(
            n for key, n in totals.items() if key[0] == lane and key[1] not in {Outcome.ACCEPTED.value, Outcome.DEAD.value}
        )
        missing = totals[lane, Outcome.ACCEPTED.value, ""] - finals - kept[lane]
        if missing > 0:
            totals[lane, Outcome.QUARANTINED.value, Reason.CORRUPT_SPOOL.value] += missing
            lost += missing
        elif missing < 0:
            # The totals themselves were damaged: what is there was accepted.
            totals[lane, Outcome.ACCEPTED.value, ""] -= missing
    transaction.totals = totals
    transaction.finish()
    connection.execute("COMMIT")
    return Report(kept=sum(kept.values()), lost=lost, quarantine=quarantine)
