"""Reading beside the writer (io).

Law: read-only connections in a thread of their own each; nothing here waits for a sync, and no transaction is held longer than
one statement, because an old snapshot keeps the log from being reset. A read of many rows is one step of SQLite that returns
one row (aggregates), because each step costs a hand-over of the GIL.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar

import apsw
import orjson

from gateway.errors import SpoolUnavailable
from gateway.outcome import Reason
from gateway.spool import schema
from gateway.spool.base import DeadLetter, Tries, tries_of
from gateway.spool.segment import MalformedError, Segment, parse

T = TypeVar("T")

_ROWS = """
SELECT json_group_array(id), json_group_array(size), CAST(group_concat(head, ',') AS BLOB), CAST(group_concat(data, '') AS BLOB)
FROM ({})
"""
_NEXT = _ROWS.format("""
  SELECT id, size, head, data FROM segment WHERE due = 0 AND id > ?1 AND id <= (
    SELECT max(id) FROM (
      SELECT id, sum(size) OVER (ORDER BY id ROWS UNBOUNDED PRECEDING) - size AS before FROM (
        SELECT id, size FROM segment WHERE due = 0 AND id > ?1 AND id < ?2 ORDER BY id LIMIT ?3))
    WHERE before < ?4)
  ORDER BY id LIMIT ?3""")
"""Segments after ?1 and before ?2: at most ?3, and no more once ?4 bytes are reached."""
_THESE = _ROWS.format(
    "SELECT id, size, head, data FROM segment WHERE id IN (SELECT value FROM json_each(?1)) ORDER BY id LIMIT 100000"
)
_DEAD = "SELECT id, lane, owner, accepted_at, died_at, attempts, reason, answer, payload, tries FROM dead"


class Reader:
    """One read-only connection and its thread."""

    def __init__(self, path: Path, vfs: str | None, name: str) -> None:
        self._path = path
        self._vfs = vfs
        self._executor = ThreadPoolExecutor(1, thread_name_prefix=f"spool-{name}")
        self._connection: apsw.Connection | None = None
        self.stale = False
        """Set when the file was replaced: it is opened anew."""

    async def run(self, read: Callable[[apsw.Connection], T]) -> T:
        """``read`` in the thread. SpoolUnavailable if the disk fails, Damaged if the file is."""
        return await asyncio.get_running_loop().run_in_executor(self._executor, self._run, read)

    def _open(self) -> apsw.Connection:
        if self._connection is None:
            self._connection = schema.open_reader(self._path, self._vfs)
        return self._connection

    def _run(self, read: Callable[[apsw.Connection], T]) -> T:
        try:
            if self.stale:
                self.stale = False
                self._drop()
            return read(self._open())
        except (apsw.CorruptError, apsw.NotADBError, MalformedError) as error:
            self._drop()
            raise Damaged(Reason.SPOOL_UNAVAILABLE, "the spool file is damaged") from error
        except (apsw.Error, OSError) as error:
            self._drop()
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, f"the disk failed ({type(error).__name__})") from error

    def _drop(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(apsw.Error):
                connection.close(force=True)

    def close(self) -> None:
        """End the thread; waits for what is running."""
        self._executor.submit(self._drop)
        self._executor.shutdown(wait=True)


class Damaged(SpoolUnavailable):
    """The file is damaged and must be salvaged."""


def next_segments(
    lane: str, after: int, before: int, max_segments: int, max_bytes: int
) -> Callable[[apsw.Connection], list[Segment]]:
    """A lane's segments in order of acceptance, without the retried ones."""

    def read(connection: apsw.Connection) -> list[Segment]:
        return _segments(lane, connection.execute(_NEXT, (after, before, max_segments, max_bytes)).fetchone())

    return read


def these_segments(lane: str, ids: list[int]) -> Callable[[apsw.Connection], list[Segment]]:
    """Segments by id; those that no longer exist are left out."""

    def read(connection: apsw.Connection) -> list[Segment]:
        return _segments(lane, connection.execute(_THESE, (orjson.dumps(ids).decode(),)).fetchone())

    return read


def _segments(lane: str, row: Any) -> list[Segment]:
    ids, sizes, heads, data = row
    try:
        parsed = orjson.loads(b"[" + (heads or b"") + b"]")
    except orjson.JSONDecodeError as error:
        raise MalformedError("head") from error
    found = []
    view = memoryview(data or b"")
    start = 0
    for id_, size, head in zip(orjson.loads(ids), orjson.loads(sizes), parsed, strict=True):
        found.append(parse(lane, id_, head, view[start : start + size]))
        start += size
    return found


def owned_segments(owners: list[str], after: int, max_segments: int) -> Callable[[apsw.Connection], tuple[int | None, list[Any]]]:
    """Scan ``max_segments`` segments after ``after``: (last id scanned, None at the end; [(id, head)] that may hold an owner)."""
    terms = " OR ".join(["instr(head, ?)"] * len(owners))
    needles = [orjson.dumps(owner) for owner in owners]

    def read(connection: apsw.Connection) -> tuple[int | None, list[Any]]:
        (last,) = schema.one(
            connection, "SELECT max(id) FROM (SELECT id FROM segment WHERE id > ? ORDER BY id LIMIT ?)", (after, max_segments)
        )
        if last is None:
            return None, []
        rows = connection.execute(
            f"SELECT id, head FROM segment WHERE id > ? AND id <= ? AND ({terms})",  # noqa: S608 - question marks only
            (after, last, *needles),
        ).fetchall()
        return last, rows

    return read


def holding_segments(needle: bytes, after: int, max_segments: int) -> Callable[[apsw.Connection], tuple[int | None, list[Any]]]:
    """Scan ``max_segments`` segments after ``after``: (last id scanned, None at the end; [(id, records, mask of those whose payload holds ``needle``)])."""

    def read(connection: apsw.Connection) -> tuple[int | None, list[Any]]:
        (last,) = schema.one(
            connection, "SELECT max(id) FROM (SELECT id FROM segment WHERE id > ? ORDER BY id LIMIT ?)", (after, max_segments)
        )
        if last is None:
            return None, []
        rows = connection.execute(
            "SELECT id, head, data FROM segment WHERE id > ? AND id <= ? AND instr(data, ?)", (after, last, needle)
        )
        found = []
        for id_, head, data in rows:
            segment = parse("", id_, orjson.loads(head), data)
            mask = sum(1 << position for position, payload in enumerate(segment.payloads) if needle in payload)
            if mask:  # else it lay across two payloads
                found.append((id_, segment.count, mask))
        return last, found

    return read


def oldest(low: int, high: int) -> Callable[[apsw.Connection], float]:
    """The oldest acceptance between two segment ids; 0 = none."""

    def read(connection: apsw.Connection) -> float:
        fresh = connection.execute(
            "SELECT oldest FROM segment WHERE due = 0 AND id >= ? AND id < ? ORDER BY id LIMIT 1", (low, high)
        ).fetchone()
        (later,) = schema.one(
            connection, "SELECT min(oldest) FROM segment INDEXED BY segment_due WHERE due > 0 AND id >= ? AND id < ?", (low, high)
        )
        known = [at for at in (fresh and fresh[0], later) if at is not None]
        return min(known, default=0.0)

    return read


def marked(keys: list[int], now: float) -> Callable[[apsw.Connection], set[int]]:
    """Those of ``keys`` that are marked."""

    def read(connection: apsw.Connection) -> set[int]:
        rows = connection.execute(
            "SELECT key FROM mark WHERE key IN (SELECT value FROM json_each(?)) AND until >= ?",
            (orjson.dumps(keys).decode(), now),
        )
        return {int(key) for (key,) in rows}

    return read


def marks_after(key: int, limit: int) -> Callable[[apsw.Connection], list[tuple[int, float, str]]]:
    """Marks with a higher key, ascending: (key, until, lane)."""

    def read(connection: apsw.Connection) -> list[tuple[int, float, str]]:
        rows = connection.execute("SELECT key, until, lane FROM mark WHERE key > ? ORDER BY key LIMIT ?", (key, limit))
        return [(int(found), float(until), str(lane)) for found, until, lane in rows]

    return read


def dead_letters(lane: str | None, after: int, limit: int) -> Callable[[apsw.Connection], list[DeadLetter]]:
    """Dead letters with id > ``after``, ascending."""

    def read(connection: apsw.Connection) -> list[DeadLetter]:
        if lane is None:
            rows = connection.execute(f"{_DEAD} WHERE id > ? ORDER BY id LIMIT ?", (after, limit))
        else:
            rows = connection.execute(f"{_DEAD} WHERE lane = ? AND id > ? ORDER BY id LIMIT ?", (lane, after, limit))
        return [DeadLetter(*row, _tries(text)) for *row, text in rows]  # type: ignore[call-arg]

    return read


def _tries(text: str) -> Tries:
    try:
        return tries_of(orjson.loads(text))
    except ValueError:  # a column of a damaged file that was taken over: the letter itself is worth more
        return ()
