"""The thread that writes: group commit, checkpoints, recovery (io).

Law: one thread, one connection. Everything that gathered while a commit was syncing goes into the next one. Nothing is
acknowledged before COMMIT has returned, and after any failure of the disk nothing more on that connection: it is closed without
a checkpoint, a fresh one is opened, the log is checkpointed away (pages of the log that a failed fsync left behind are not to be
trusted) and a probe written, and only then are records taken again. Settlements survive that: they are kept and applied later.
"""

import asyncio
import logging
import queue
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import apsw

from gateway.errors import SpoolUnavailable
from gateway.outcome import Reason
from gateway.spool import schema
from gateway.spool.base import MAX_MARKS
from gateway.spool.removal import Removal
from gateway.spool.salvage import Report, salvage
from gateway.spool.state import State, load
from gateway.spool.transaction import Transaction
from gateway.spool.work import Group, Job

log = logging.getLogger(__name__)

CHECKPOINT_BYTES = 4 << 20
"""Size of the log at which it is written back: small enough for a stall of some milliseconds, large enough to save writes of
pages that are freed soon after."""
CHECKPOINT_IDLE_BYTES = 64 << 10
MEASURE_EVERY_S = 0.1
IDLE_S = 1.0
GATHER_S = 0.001
"""From one commit to the beginning of the next: an event that comes alone waits for nothing, a stream of them shares commits (measured at 2,000 events/s: a third less CPU)."""
HOUSEKEEPING_S = 30.0
VACUUM_PAGES = 128
"""Per step, about a millisecond."""
VACUUM_KEEP_PAGES = 1024
"""Free pages left in the file: the next records want them back."""
EXPIRE_ROWS = 500
BACKOFF_S = (0.1, 5.0)
PROBE_BYTES = 64 << 10

DISK_ERRORS = (
    apsw.IOError,
    apsw.FullError,
    apsw.CorruptError,
    apsw.NotADBError,
    apsw.ReadOnlyError,
    apsw.CantOpenError,
    apsw.BusyError,
    apsw.LockedError,
    apsw.ProtocolError,
    apsw.PermissionsError,
    apsw.NoMemError,
    apsw.SchemaChangeError,
    OSError,
)
"""Failures after which the connection is not trusted; all others are the fault of one request."""
CORRUPT_ERRORS = (apsw.CorruptError, apsw.NotADBError)


class CommitFuture(asyncio.Future[None]):
    """Shared by everything in one commit: one waiter's cancellation must not reach the others."""

    def cancel(self, msg: Any | None = None) -> bool:
        return False


class Writer(threading.Thread):
    """Owns the writing connection. ``post`` hands a callable to the event loop's thread."""

    def __init__(
        self,
        path: Path,
        connection: apsw.Connection,
        state: State,
        *,
        max_bytes: int,
        dead_max_age_s: float,
        post: Callable[..., None],
        vfs: str | None,
    ) -> None:
        super().__init__(name="spool-writer", daemon=True)
        self._path = path
        self.vfs = vfs
        self._connection: apsw.Connection | None = connection
        self._lanes = state.lanes
        self._sequence = state.sequence
        self._transactions = state.transactions
        self._max_bytes = max_bytes
        self._dead_max_age_s = dead_max_age_s
        self._post = post
        self.mutex = threading.Lock()
        self.group: Group | None = None
        self.jobs: list[Job] = []
        self.tokens: queue.SimpleQueue[None] = queue.SimpleQueue()
        """One for each reason to look again."""
        self.refusal: tuple[Reason, str] | None = None
        """Set while nothing can be made durable."""
        self.suspect = False
        """Set by a reader that met damage, see :meth:`doubt`."""
        self.file = 0
        """Grows by one with each file that took a damaged one's place."""
        self.on_commit: Callable[..., None] = _nothing
        """(segments, totals, group, jobs) on the loop, after the commit."""
        self.on_salvage: Callable[[State, Report, int], None] = _nothing
        """The file was replaced; what was known of it no longer holds."""
        self.on_expired: Callable[[list[Any]], None] = _nothing
        self._kept: list[Job] = []
        self._doubtful: tuple[int, Transaction, int, list[Job]] | None = None
        self._taken: tuple[Group | None, list[Job]] = (None, [])
        """What has been taken from the queues and not been answered yet."""
        self._backoff_s = BACKOFF_S[0]
        self._reopen_at = 0.0
        self._closing = False
        self._measured_at = 0.0
        self._committed_at = 0.0
        self._housekept_at = time.monotonic()
        self._checkpoint_bytes = min(CHECKPOINT_BYTES, max(CHECKPOINT_IDLE_BYTES, max_bytes // 8))
        self._free_pages = 0
        self._log_bytes = 0
        self.used_bytes = 0
        connection.set_wal_hook(self._watch_log)
        self._measure(connection)

    # --- called by the loop's thread

    def submit(self, job: Job) -> None:
        """Queue other work."""
        with self.mutex:
            self.jobs.append(job)
        self.tokens.put(None)

    def doubt(self, file: int) -> None:
        """A reader has met damage in ``file``: salvage it, unless that was done meanwhile."""
        with self.mutex:
            if file == self.file:
                self.suspect = True
        self.tokens.put(None)

    def stop(self) -> None:
        """Commit what waits, checkpoint, end; then :meth:`join`."""
        self._closing = True
        self.tokens.put(None)

    # --- the thread

    def run(self) -> None:
        """Until :meth:`stop`."""
        while True:
            self._await_work()
            with self.mutex:
                group, self.group = self.group, None
                jobs, self.jobs = self.jobs, []
            self._taken = (group, jobs)
            try:
                self._turn(group, jobs)
            except Exception as error:
                # The thread must outlive anything, and what it holds unanswered must be answered.
                log.exception("spool writer failed")
                self._fail(error, *self._taken, None)
            if self._closing and not self.group and not self.jobs:
                break
        self._finish()

    def _await_work(self) -> None:
        wait_s = IDLE_S if self._connection is not None else max(0.0, self._reopen_at - time.monotonic())
        if self._closing or (self._kept and self._connection is not None):
            return
        try:
            self.tokens.get(timeout=wait_s)
        except queue.Empty:
            return
        pause_s = self._committed_at + GATHER_S - time.monotonic()
        if pause_s > 0 and not self._closing:
            time.sleep(pause_s)

    def _turn(self, group: Group | None, jobs: list[Job]) -> None:
        if self.suspect and self._connection is not None:
            self._abandon(apsw.CorruptError("a reader met damage"))
        if self._connection is None:
            self._refuse(group)
            self._keep(jobs)
            self._taken = (None, [])
            self._reopen()
            return
        jobs = [*self._kept, *jobs]
        self._kept = []
        self._taken = (group, jobs)
        if group or jobs:
            self._commit(group, jobs)
            self._committed_at = time.monotonic()
        elif self.tokens.empty():
            self._idle()
        if self._connection is not None:
            self._bound_log()
            if time.monotonic() - self._housekept_at > HOUSEKEEPING_S:
                self._housekeep()

    def _commit(self, group: Group | None, jobs: list[Job]) -> None:
        connection = self._trusted()
        transaction = Transaction(connection, self._lanes, self._sequence)
        committing = False
        put_segments = 0
        try:
            connection.execute("BEGIN IMMEDIATE")
            if group and group.records:
                transaction.put(group.records)
                put_segments = len(transaction.segments)
            for job in jobs:
                job.result = job.run(transaction)
            transaction.finish()
            committing = True
            connection.execute("COMMIT")
        except DISK_ERRORS as error:
            doubt = (self._transactions + 1, transaction, put_segments, jobs) if committing else None
            self._fail(error, group, jobs, doubt)
            return
        except Exception as error:  # noqa: BLE001 - one bad request must not take the others with it
            self._forget(transaction)
            connection.execute("ROLLBACK")
            self._one_by_one(group, jobs, error)
            return
        self._sequence = transaction.sequence
        self._transactions += 1
        self._taken = (None, [])
        self._post(self.on_commit, transaction.segments, transaction.totals, group, jobs)
        # Until it is measured again, assume that what was put has made the files grow.
        self.used_bytes += group.size if group else 0
        full = self.used_bytes >= self._max_bytes
        if full or time.monotonic() - self._measured_at > MEASURE_EVERY_S:
            with suppress(*DISK_ERRORS):
                self._measure(connection)

    def _one_by_one(self, group: Group | None, jobs: list[Job], error: Exception) -> None:
        """Find the request at fault by giving each its own transaction."""
        if (1 if group else 0) + len(jobs) == 1:
            if group:
                self._post(_set_exception, group.future, error)
            for job in jobs:
                self._post(_set_exception, job.future, error)
            log.error("spool request failed: %s", type(error).__name__)
            return
        # From here on each is answered by its own turn.
        self._taken = (None, [])
        for single in jobs:
            self._alone(None, [single])
        if group:
            self._alone(group, [])

    def _alone(self, group: Group | None, jobs: list[Job]) -> None:
        if self._connection is None:
            self._refuse(group)
            self._keep(jobs)
        else:
            self._commit(group, jobs)

    def _trusted(self) -> apsw.Connection:
        if self._connection is None:
            raise apsw.CantOpenError("no trusted connection")
        return self._connection

    # --- failure and recovery

    def _fail(self, error: Exception, group: Group | None, jobs: list[Job], doubt: Any) -> None:
        if doubt is not None:
            self._doubtful = doubt
        self._abandon(error, forget=doubt[1] if doubt else None)
        self._refuse(group)
        self._keep(jobs)

    def _abandon(self, error: Exception, forget: Transaction | None = None) -> None:
        reason = Reason.SPOOL_FULL if isinstance(error, apsw.FullError) else Reason.SPOOL_UNAVAILABLE
        self.refusal = (
            reason,
            "the disk is full" if reason is Reason.SPOOL_FULL else f"the disk failed ({type(error).__name__})",
        )
        log.error("spool unavailable: %s: %s", type(error).__name__, error)
        if isinstance(error, CORRUPT_ERRORS):
            self.suspect = True
        self._reopen_at = time.monotonic() + self._backoff_s
        connection, self._connection = self._connection, None
        if forget is not None:
            self._forget(forget)
        if connection is not None:
            with suppress(apsw.Error):
                connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
            with suppress(apsw.Error):
                connection.close(force=True)

    def _forget(self, transaction: Transaction) -> None:
        for key in transaction.new_lanes:
            self._lanes.pop(key, None)

    def _refuse(self, group: Group | None) -> None:
        if group is not None:
            reason, detail = self.refusal or (Reason.SPOOL_UNAVAILABLE, "closed")
            self._post(_set_exception, group.future, SpoolUnavailable(reason, detail))

    def _keep(self, jobs: Sequence[Job]) -> None:
        reason, detail = self.refusal or (Reason.SPOOL_UNAVAILABLE, "closed")
        for job in jobs:
            if job.lasting:
                self._kept.append(job)
            else:
                self._post(_set_exception, job.future, SpoolUnavailable(reason, detail))

    def _reopen(self) -> None:
        """A fresh connection, proved by a checkpoint and a probe; else wait longer."""
        if self._closing or time.monotonic() < self._reopen_at:
            return
        self._reopen_at = time.monotonic() + self._backoff_s
        connection = None
        try:
            if self.suspect:
                self._replace()
            connection = schema.open_writer(self._path, self.vfs)
            state = load(connection)
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR REPLACE INTO meta VALUES ('probe', zeroblob(?))", (PROBE_BYTES,))
            connection.execute("COMMIT")
            connection.execute("DELETE FROM meta WHERE key = 'probe'")
            self._measure(connection)
        except (*DISK_ERRORS, apsw.Error) as error:
            if isinstance(error, CORRUPT_ERRORS):
                self.suspect = True
            if connection is not None:
                with suppress(apsw.Error):
                    connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
                with suppress(apsw.Error):
                    connection.close(force=True)
            self._backoff_s = min(self._backoff_s * 2, BACKOFF_S[1])
            return
        connection.set_wal_hook(self._watch_log)
        self._connection = connection
        self._lanes = state.lanes
        self._sequence = max(self._sequence, state.sequence)
        self._transactions = state.transactions
        self._backoff_s = BACKOFF_S[0]
        self._settle_doubt(state)
        self.refusal = None
        log.warning("spool available again")

    def _replace(self) -> None:
        report = salvage(self._path, self.vfs)
        # As after a restart: what was leased is handed out again, settlements of it come to nothing.
        for job in self._kept:
            self._post(_set_result, job.future, None)
        self._kept = []
        self._doubtful = None
        log.error("spool was damaged: %d records kept, %d quarantined in %s", report.kept, report.lost, report.quarantine)
        connection = schema.open_writer(self._path, self.vfs)
        try:
            state = load(connection)
            with self.mutex:
                self.file += 1
                self.suspect = False
            self._post(self.on_salvage, state, report, self.file)
        finally:
            connection.close()

    def _settle_doubt(self, state: State) -> None:
        """The failed COMMIT may have come through after all: then its puts, answered as failed, are taken back."""
        doubt, self._doubtful = self._doubtful, None
        if doubt is None or state.transactions < doubt[0]:
            return
        _, transaction, put_segments, jobs = doubt
        put = transaction.segments[:put_segments]
        removal = Removal(segments=[segment.id for segment in put])
        for segment in put:
            removal.totals[segment.lane, "accepted", ""] -= segment.count
            transaction.totals[segment.lane, "accepted", ""] -= segment.count
        self._post(self.on_commit, transaction.segments[put_segments:], transaction.totals, None, jobs)
        self._kept = [job for job in self._kept if job not in jobs]
        if put:
            self._kept.append(Job(lambda t: t.remove(removal), None, lasting=True))

    # --- upkeep

    def _measure(self, connection: apsw.Connection) -> None:
        self.used_bytes, self._free_pages = schema.used_bytes(connection, self._path)
        self._measured_at = time.monotonic()

    def _watch_log(self, _connection: apsw.Connection, _name: str, pages: int) -> int:
        self._log_bytes = pages * schema.PAGE_BYTES
        return 0

    def _bound_log(self) -> None:
        """Write the log back after the acknowledgement, not within the commit."""
        if self._log_bytes >= self._checkpoint_bytes:
            self._checkpoint()

    def _checkpoint(self) -> None:
        connection = self._trusted()
        try:
            connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
            self._log_bytes = 0
        except DISK_ERRORS as error:
            self._abandon(error)

    def _idle(self) -> None:
        """Nothing waits: give back what is not needed, in steps short enough for a put to barely notice."""
        connection = self._trusted()
        if self._log_bytes >= CHECKPOINT_IDLE_BYTES:
            self._checkpoint()
            return
        try:
            while self._free_pages > VACUUM_KEEP_PAGES and self.tokens.empty() and not self._closing:
                connection.execute(f"PRAGMA incremental_vacuum({VACUUM_PAGES})").fetchall()
                self._measure(connection)
                if self._log_bytes >= self._checkpoint_bytes:
                    connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
                    self._log_bytes = 0
            self._measure(connection)
        except DISK_ERRORS as error:
            self._abandon(error)

    def _housekeep(self) -> None:
        """Let old dead letters expire and old marks be forgotten, a few at a time."""
        self._housekept_at = time.monotonic()
        self._forget_marks()
        if self._connection is None:
            return
        before = time.time() - self._dead_max_age_s
        if not self._trusted().execute("SELECT 1 FROM dead WHERE died_at < ? LIMIT 1", (before,)).fetchall():
            return
        expired: list[Any] = []
        job = Job(lambda t: expired.extend(t.expire_dead(before, EXPIRE_ROWS)), None, lasting=False)
        self._commit(None, [job])
        if expired:
            self._post(self.on_expired, expired)
        if len(expired) == EXPIRE_ROWS:
            self._housekept_at -= HOUSEKEEPING_S

    def _forget_marks(self) -> None:
        (first,) = schema.one(self._trusted(), "SELECT coalesce(min(until), 0) FROM mark")
        if not first:
            return
        job = Job(lambda t: t.forget_marks(time.time(), MAX_MARKS, EXPIRE_ROWS), None, lasting=False)
        self._commit(None, [job])
        if job.result == EXPIRE_ROWS:
            self._housekept_at -= HOUSEKEEPING_S

    def _finish(self) -> None:
        reason, detail = self.refusal or (Reason.SPOOL_UNAVAILABLE, "closed")
        self.refusal = (reason, detail)
        for job in self._kept:
            self._post(_set_exception, job.future, SpoolUnavailable(reason, detail))
        if self._connection is not None:
            with suppress(apsw.Error):
                self._connection.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_TRUNCATE)
            with suppress(apsw.Error):
                self._connection.close()
            self._connection = None


def _nothing(*_: Any) -> None:
    pass


def _set_result(future: asyncio.Future[Any] | None, result: Any) -> None:
    if future is not None and not future.done():
        future.set_result(result)


def _set_exception(future: asyncio.Future[Any] | None, error: Exception) -> None:
    if future is not None and not future.done():
        future.set_exception(error)
        # The waiter may have gone (a client that hung up); an unwatched failure is no news then.
        future.exception()
