"""The database's shape, its migrations and how connections are opened (io).

Law: ``user_version`` is the schema's number; each migration is one transaction; a newer number than :data:`VERSION` is left
untouched. Only the writer's connection writes and checkpoints, with ``synchronous=FULL``: a commit has been synced to disk.

Tables: ``segment`` holds the queue (see :mod:`gateway.spool.segment`), ``gone`` the removed positions of segments that are not
gone altogether, ``dead`` the dead letters, ``total`` the durable fates, ``lane`` the interned lane keys and ``mark`` what settlements asked to
be remembered. At any commit and for each lane: total(accepted) = Σ of its other totals + positions in ``segment`` − positions in ``gone``. ``total(dead)`` counts the
rows in ``dead``: it falls when one is replayed, dropped, expired or purged; all others only grow.
"""

import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from gateway.errors import SpoolTooNew

FILE = "spool.db"
VERSION = 3
MINIMUM_SQLITE = 3_051_003
"""Older ones can corrupt the database when the log is reset while it is being checkpointed."""
PAGE_BYTES = 8192
"""Measured: a lone commit costs the same as with 4 KiB, a group of 64 a tenth less; larger pages only slow lone commits."""
WRITER_CACHE_KIB = 8192
READER_CACHE_KIB = 1024

_V1 = """
CREATE TABLE meta(key TEXT PRIMARY KEY, value) WITHOUT ROWID;
CREATE TABLE lane(id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE segment(
  id INTEGER PRIMARY KEY, due REAL NOT NULL, count INTEGER NOT NULL, size INTEGER NOT NULL, oldest REAL NOT NULL,
  head BLOB NOT NULL, data BLOB NOT NULL);
CREATE INDEX segment_due ON segment(due, count, oldest) WHERE due > 0;
CREATE TABLE gone(segment INTEGER PRIMARY KEY, mask INTEGER NOT NULL);
CREATE TABLE dead(
  id INTEGER PRIMARY KEY AUTOINCREMENT, lane TEXT NOT NULL, owner TEXT NOT NULL, accepted_at REAL NOT NULL, died_at REAL NOT NULL,
  attempts INTEGER NOT NULL, reason TEXT NOT NULL, answer TEXT NOT NULL, payload BLOB NOT NULL);
CREATE INDEX dead_lane ON dead(lane, id);
CREATE INDEX dead_owner ON dead(owner) WHERE owner <> '';
CREATE INDEX dead_died ON dead(died_at);
CREATE TABLE total(lane TEXT NOT NULL, outcome TEXT NOT NULL, reason TEXT NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY(lane, outcome, reason)) WITHOUT ROWID;
"""
_V2 = """
CREATE TABLE mark(key INTEGER PRIMARY KEY, until REAL NOT NULL, lane TEXT NOT NULL);
CREATE INDEX mark_until ON mark(until);
"""
_V3 = """
ALTER TABLE dead ADD COLUMN tries TEXT NOT NULL DEFAULT '[]';
"""
# The heads of segments have a fifth part since then: an older program would take them for damage.
MIGRATIONS = (_V1, _V2, _V3)
"""``MIGRATIONS[n]`` leads from version n to n + 1."""


def open_writer(path: Path, vfs: str | None = None) -> apsw.Connection:
    """The one connection that writes and checkpoints; migrated. SpoolTooNew leaves the file as it was."""
    if apsw.SQLITE_VERSION_NUMBER < MINIMUM_SQLITE:
        raise RuntimeError(f"SQLite {apsw.sqlite_lib_version()} is too old: 3.51.3 or newer is needed")
    # SQLite gives its log and shared memory the mode of the database file, so the file is made before SQLite can.
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READWRITE, vfs=vfs, statementcachesize=200)
    try:
        # A newer program's file is not even checkpointed by looking at it.
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        _prepare(connection)
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 0)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: apsw.Connection) -> None:
    connection.set_busy_timeout(2000)
    version = int(one(connection, "PRAGMA user_version")[0])
    if version > VERSION:
        raise SpoolTooNew(f"the spool has schema {version}, this program knows {VERSION}: use a newer program or another path")
    if version == 0:
        connection.execute(f"PRAGMA page_size={PAGE_BYTES}")
        connection.execute("PRAGMA auto_vacuum=INCREMENTAL")
    for pragma in (
        "journal_mode=WAL",
        "synchronous=FULL",
        f"cache_size=-{WRITER_CACHE_KIB}",
        "temp_store=MEMORY",
        "journal_size_limit=8388608",
    ):
        connection.execute(f"PRAGMA {pragma}").fetchall()
    connection.wal_autocheckpoint(0)
    for number in range(version, VERSION):
        connection.execute("BEGIN IMMEDIATE")
        try:
            connection.execute(MIGRATIONS[number])
            connection.execute(f"PRAGMA user_version={number + 1}")
            connection.execute("COMMIT")
        except BaseException:
            with suppress(apsw.Error):
                connection.execute("ROLLBACK")
            raise


def open_reader(path: Path, vfs: str | None = None) -> apsw.Connection:
    """A read-only connection; it never checkpoints."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY, vfs=vfs)
    connection.set_busy_timeout(2000)
    connection.execute(f"PRAGMA cache_size=-{READER_CACHE_KIB}")
    return connection


def one(connection: apsw.Connection, sql: str, arguments: tuple[Any, ...] = ()) -> tuple[Any, ...]:
    """The row of a query that has exactly one."""
    row: tuple[Any, ...] | None = connection.execute(sql, arguments).fetchone()
    if row is None:
        raise apsw.CorruptError("a query that always has a row had none")
    return row


def used_bytes(connection: apsw.Connection, path: Path) -> tuple[int, int]:
    """(bytes of pages in use and of the log, free pages)."""
    pages, free, size = one(
        connection, "SELECT page_count, freelist_count, page_size FROM pragma_page_count, pragma_freelist_count, pragma_page_size"
    )
    log = 0
    with suppress(OSError):
        log = Path(f"{path}-wal").stat().st_size
    return (pages - free) * size + log, free
