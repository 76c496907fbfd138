"""Saving what can be read of a damaged file (io).

Law: nothing readable is given up and damage is never a reason not to start. The damaged files are renamed, never deleted; the
readable rows go into a new file under their old ids; records that were accepted but are found nowhere are tallied as quarantined.
"""

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw
import orjson

from gateway.outcome import Outcome, Reason
from gateway.spool import schema
from gateway.spool.pages import Pages, Row
from gateway.spool.removal import Total
from gateway.spool.segment import MAX_LANE, SEQUENCE_BITS, MalformedError, parse
from gateway.spool.transaction import Transaction

CHECK_WHOLE_BYTES = 64 << 20
"""Files up to this size are checked completely when they are opened; larger ones in the background, and as they are read."""
_COMMIT_ROWS = 500
_OUTCOMES = frozenset(Outcome)
_MAX_COUNT = 1 << 53


@dataclass(frozen=True, slots=True)
class Report:
    """What became of the records of a damaged file."""

    kept: int
    """Queued and dead records in the new file."""
    lost: int
    """Records that were accepted and are neither there nor accounted for."""
    quarantine: str
    """Where the damaged file is now."""


def checked_whole(path: Path) -> bool:
    """Whether :func:`healthy` looks at all of it."""
    return path.stat().st_size <= CHECK_WHOLE_BYTES


def healthy(connection: apsw.Connection, path: Path) -> bool:
    """A quick look; complete for small files."""
    try:
        if checked_whole(path):
            return bool(connection.execute("PRAGMA quick_check(1)").fetchall() == [("ok",)])
    except (apsw.CorruptError, apsw.NotADBError):
        return False
    return True


def salvage(path: Path, vfs: str | None = None) -> Report:
    """Move the damaged file aside and build a new one of what is readable. The caller holds the lock; no connection is open."""
    aside = _free_name(path)
    fresh = path.with_name(f"{path.name}.salvage")
    for name in _files(fresh):
        name.unlink(missing_ok=True)
    connection = schema.open_writer(fresh, vfs)
    try:
        pages = Pages(path, schema.PAGE_BYTES)
        try:
            report = _copy(pages, connection, aside.name)
        finally:
            pages.close()
        connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
    finally:
        connection.close()
    for old, new in zip(_files(path), _files(aside), strict=True):
        with suppress(FileNotFoundError):
            old.rename(new)
    fresh.rename(path)
    return report


def _free_name(path: Path) -> Path:
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime())
    number = 0
    while True:
        aside = path.with_name(f"{path.name}.damaged-{stamp}{f'.{number}' if number else ''}")
        if not aside.exists():
            return aside
        number += 1


def _files(path: Path) -> list[Path]:
    return [path, path.with_name(path.name + "-wal"), path.with_name(path.name + "-shm")]


@dataclass(slots=True)
class _Found:
    lanes: dict[int, str] = field(default_factory=dict)
    masks: dict[int, int] = field(default_factory=dict)
    totals: Counter[Total] = field(default_factory=Counter)
    dead: Counter[tuple[str, str]] = field(default_factory=Counter)
    """(lane, reason) → letters."""
    queued: Counter[int] = field(default_factory=Counter)
    """Lane number → records."""


def _copy(pages: Pages, connection: apsw.Connection, quarantine: str) -> Report:
    found = _Found()
    connection.execute("BEGIN IMMEDIATE")
    for number, row in enumerate(pages.rows()):
        _copy_row(connection, row, found)
        if number % _COMMIT_ROWS == _COMMIT_ROWS - 1:
            connection.execute("COMMIT")
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            connection.execute("BEGIN IMMEDIATE")
    _copy_masks(connection, found)
    _name_lanes(found)
    kept: Counter[str] = Counter()
    for lane, n in found.queued.items():
        key = found.lanes.setdefault(lane, f"recovered-{lane}")
        kept[key] += n
    for lane, key in found.lanes.items():
        connection.execute("INSERT OR IGNORE INTO lane VALUES (?, ?)", (lane, key))
    for (key, _), n in found.dead.items():
        kept[key] += n
    totals, lost = _account(found, kept)
    transaction = Transaction(connection, {}, 0)
    transaction.totals = totals
    transaction.finish()
    connection.execute("COMMIT")
    return Report(kept=kept.total(), lost=lost, quarantine=quarantine)


def _copy_row(connection: apsw.Connection, row: Row, found: _Found) -> None:
    """Recognise a row by its shape: the schema may be what is damaged."""
    match row:
        case (
            int(id_),
            [None, int() | float() as due, int(count), int(size), int() | float() as oldest, bytes(head), bytes(data)],
        ):
            if _is_segment(id_, count, head, data):
                values = (id_, float(due), count, size, float(oldest), head, data)
                connection.execute("INSERT OR IGNORE INTO segment VALUES (?,?,?,?,?,?,?)", values)
                if connection.changes():
                    found.queued[id_ >> SEQUENCE_BITS] += count
        case (
            int(id_),
            [None, str(lane), str(), int() | float(), int() | float(), int(), str(reason), str(), bytes(), *more] as letter,
        ) if len(more) < 2 and all(isinstance(each, str) for each in more) and 0 < id_ < _MAX_COUNT:
            # Those from before there were tries are a column shorter.
            connection.execute("INSERT OR IGNORE INTO dead VALUES (?,?,?,?,?,?,?,?,?,?)", (id_, *letter[1:9], *(more or ["[]"])))
            if connection.changes():
                found.dead[lane, reason] += 1
        case (int(id_), [None, str(key)]) if 0 < id_ <= MAX_LANE and key not in found.lanes.values():
            found.lanes[id_] = key
        case (int(id_), [None, int() | float() as until, str(lane)]):
            connection.execute("INSERT OR IGNORE INTO mark VALUES (?, ?, ?)", (id_, float(until), lane))
        case (int(id_), [None, int(mask)]):
            found.masks[id_] = mask
        case (None, [str(lane), str(outcome), str(reason), int(n)]) if outcome in _OUTCOMES and 0 <= n < _MAX_COUNT:
            found.totals[lane, outcome, reason] = n


def _is_segment(id_: int, count: int, head: bytes, data: bytes) -> bool:
    try:
        return 0 < id_ >> SEQUENCE_BITS <= MAX_LANE and parse("", id_, orjson.loads(head), data).count == count
    except (MalformedError, orjson.JSONDecodeError):
        return False


def _copy_masks(connection: apsw.Connection, found: _Found) -> None:
    for id_, mask in found.masks.items():
        row: Any = connection.execute("SELECT count FROM segment WHERE id = ?", (id_,)).fetchone()
        if row is None:
            continue
        full = (1 << row[0]) - 1
        found.queued[id_ >> SEQUENCE_BITS] -= (mask & full).bit_count()
        if mask & full == full:
            connection.execute("DELETE FROM segment WHERE id = ?", (id_,))
        else:
            connection.execute("INSERT INTO gone VALUES (?, ?)", (id_, mask & full))


def _name_lanes(found: _Found) -> None:
    """The lanes' names may be what is damaged; the totals know them too, and how many records each must have."""
    waiting: Counter[str] = Counter()
    for (lane, outcome, _), n in found.totals.items():
        if outcome not in _OUTCOMES:
            continue
        waiting[lane] += n if outcome == Outcome.ACCEPTED.value else -n
    nameless = [number for number, n in found.queued.items() if n and number not in found.lanes]
    names = {lane: n for lane, n in (+waiting).items() if lane not in found.lanes.values()}
    for number in nameless:
        alike = [lane for lane, n in names.items() if n == found.queued[number]]
        if len(alike) != 1 and len(nameless) == len(names) == 1:
            alike = list(names)
        if len(alike) == 1:
            found.lanes[number] = alike[0]
            del names[alike[0]]


def _account(found: _Found, kept: Counter[str]) -> tuple[Counter[Total], int]:
    """Totals that agree with what is in the new file, and how many records are missing."""
    totals = Counter({key: n for key, n in found.totals.items() if key[1] != Outcome.DEAD.value})
    for (lane, reason), n in found.dead.items():
        totals[lane, Outcome.DEAD.value, reason] += n
    lost = 0
    for lane in {key[0] for key in totals} | set(kept):
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
    return totals, lost
