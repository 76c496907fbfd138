"""Opening the files: lock, check, salvage, migrate (io; runs in a thread).

Law: of everything that can be wrong here, only a lock held by someone else, a newer schema and a disk that cannot be used keep a
spool from opening; damage does not. Whatever happens, the lock is not left behind.
"""

import logging
from collections.abc import Callable
from pathlib import Path

import apsw

from gateway.errors import SpoolUnavailable
from gateway.outcome import Reason
from gateway.spool import schema
from gateway.spool.lock import DirectoryLock
from gateway.spool.salvage import Report, checked_whole, healthy, salvage
from gateway.spool.settings import SpoolSettings
from gateway.spool.state import State, load
from gateway.spool.writer import CORRUPT_ERRORS, Writer

log = logging.getLogger(__name__)


def open_files(
    path: Path, settings: SpoolSettings, post: Callable[..., None], vfs: str | None
) -> tuple[DirectoryLock, Writer, State, Report | None]:
    """The locked spool with its writer, not started yet; a report if a damaged file had to be replaced."""
    directory = path.parent
    try:
        if not directory.exists():
            directory.mkdir(mode=0o700, parents=True)
        lock = DirectoryLock(directory)
    except OSError as error:
        raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, f"{directory}: {error.strerror}") from error
    try:
        report = None
        try:
            connection, state = _open_database(path, vfs)
        except CORRUPT_ERRORS:
            report = salvage(path, vfs)
            log.error("spool was damaged: %d records kept, %d quarantined in %s", report.kept, report.lost, report.quarantine)
            connection, state = _open_database(path, vfs)
        writer = Writer(
            path,
            connection,
            state,
            max_bytes=settings.max_bytes,
            dead_max_age_s=settings.dead_max_age,
            post=post,
            vfs=vfs,
        )
    except (apsw.Error, OSError) as error:
        lock.release()
        raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, f"{path}: {error}") from error
    except BaseException:
        lock.release()
        raise
    return lock, writer, state, report


def _open_database(path: Path, vfs: str | None) -> tuple[apsw.Connection, State]:
    connection = schema.open_writer(path, vfs)
    try:
        if not healthy(connection, path):
            raise apsw.CorruptError("integrity check failed")
        state = load(connection)
        state.checked = checked_whole(path)
        return connection, state
    except BaseException:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close()
        raise
