"""The default spool: SQLite through apsw (io).

Law: the loop's thread decides (:mod:`gateway.spool.window`) and never touches the disk; the writer's thread owns the tables; two
readers have a thread each. A freshly committed record goes from the commit straight to its lane's queue in memory; only a backlog
is read back from the file.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from gateway.errors import SpoolUnavailable
from gateway.lane import Lane
from gateway.outcome import Outcome, Reason
from gateway.spool import reader, schema
from gateway.spool.base import (
    DeadLetter,
    LaneStats,
    Mark,
    NewRecord,
    OnRemoval,
    Purged,
    Record,
    Settlement,
    SpoolStats,
    nobody_told,
)
from gateway.spool.inspection import Inspection
from gateway.spool.lanes import LaneQueue
from gateway.spool.lock import DirectoryLock
from gateway.spool.opening import open_files
from gateway.spool.purging import Purging
from gateway.spool.reader import Damaged, Reader
from gateway.spool.removal import Removal, Total
from gateway.spool.salvage import Report
from gateway.spool.segment import SEQUENCE_BITS, Segment
from gateway.spool.settings import SpoolSettings
from gateway.spool.state import State
from gateway.spool.transaction import Transaction
from gateway.spool.window import Window
from gateway.spool.work import Group, Job
from gateway.spool.writer import CommitFuture, Writer
from gateway.telemetry import tasks

PENDING_BYTES = 32 << 20
"""Payloads waiting for a commit; beyond, the disk is too slow and callers are told to come back."""
READ_BYTES = 2 << 20
"""One read of a backlog."""
READ_SEGMENTS = 1024
FULL_SHARE = 0.98
"""Reported as not writable from here on; puts are refused when they would exceed ``max_bytes`` itself."""
MAX_DELAY_S = 3600.0
"""A retry found at start is due within this, whatever the clock did meanwhile."""
BURY_RECORDS = 1000
_OWN_OUTCOMES = frozenset({Outcome.PURGED.value, Outcome.DROPPED.value})
"""Counted in the metrics here, once committed; the other fates by whoever decides them."""


class OutcomeCounter(Protocol):
    """What the spool counts by itself: the fates nobody asked for."""

    def outcome(
        self, outcome: Outcome, reason: Reason = Reason.NONE, *, pipeline: str = "", integration: str = "", n: int = 1
    ) -> None: ...


class SqliteSpool:
    """Implements :class:`gateway.spool.base.Spool`. Made by :meth:`open`; used from one event loop."""

    def __init__(
        self,
        settings: SpoolSettings,
        path: Path,
        lock: DirectoryLock,
        state: State,
        writer: Writer,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self._settings = settings
        self._path = path
        self._lock = lock
        self._loop = loop
        self._writer = writer
        self._metrics: OutcomeCounter | None = None
        self._lease_reader = Reader(path, writer.vfs, "lease")
        self._side_reader = Reader(path, writer.vfs, "read")
        self._window = Window()
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._reading: dict[str, asyncio.Future[None]] = {}
        self._purging = Purging(self._window, self._side_reader, self._run, self._remove)
        self.on_removal: OnRemoval = nobody_told
        self._closed = False
        self._file = 0
        """The one that is read, see :attr:`Writer.file`."""
        self._inspection: Inspection | None = None
        self._inspecting: asyncio.Task[None] | None = None
        self.salvaged: Report | None = None
        """Set when a damaged file had to be replaced."""
        self._adopt(state)

    @classmethod
    async def open(
        cls, settings: SpoolSettings, *, metrics: OutcomeCounter | None = None, vfs: str | None = None
    ) -> "SqliteSpool":
        """Open or create the spool. SpoolLocked, SpoolTooNew or SpoolUnavailable if it cannot be used; damage is salvaged."""
        loop = asyncio.get_running_loop()

        def post(function: Any, *arguments: Any) -> None:
            with suppress(RuntimeError):  # the loop has been closed: nobody is left to be told
                loop.call_soon_threadsafe(function, *arguments)

        path = Path(settings.path) / schema.FILE
        lock, writer, state, report = await loop.run_in_executor(None, open_files, path, settings, post, vfs)
        spool = cls(settings, path, lock, state, writer, loop)
        spool._metrics = metrics
        spool.salvaged = report
        if report is not None:
            spool._count(Outcome.QUARANTINED, Reason.CORRUPT_SPOOL, "", report.lost)
        writer.on_commit = spool._committed
        writer.on_salvage = spool._replaced
        writer.on_expired = spool._expired
        writer.start()
        # A reader that stays open keeps the shared index of the log alive, so that a failed commit is never read back from it.
        await spool._side_reader.run(lambda connection: connection.execute("SELECT 1").fetchone())
        if not state.checked:
            spool._inspection = Inspection(path, vfs)
            spool._inspecting = tasks.spawn(spool._inspection.run(lambda: writer.doubt(0)), "check spool")
        return spool

    # --- put

    def put(self, records: Sequence[NewRecord]) -> asyncio.Future[None]:
        """See :meth:`Spool.put`."""
        writer = self._writer
        if writer.refusal is not None or self._closed:
            reason, detail = writer.refusal or (Reason.SPOOL_UNAVAILABLE, "closed")
            raise SpoolUnavailable(reason, detail)
        size = 0
        for record in records:
            size += len(record[3])
        group = writer.group
        pending = group.size if group is not None else 0
        if writer.used_bytes + pending + size > self._settings.max_bytes:
            raise SpoolUnavailable(Reason.SPOOL_FULL, "the spool has reached max_bytes", 30)
        if pending > PENDING_BYTES:
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "the disk is too slow")
        fresh = False
        with writer.mutex:
            group = writer.group
            if group is None:
                group = writer.group = Group(CommitFuture(loop=self._loop))
                fresh = True
            group.records += records
            group.size += size
        if fresh:
            # Told at the end of this turn of the loop: every request that is ready now joins the group, and the writer wakes once
            # for all of them instead of fighting the loop for the interpreter.
            self._loop.call_soon(writer.tokens.put, None)
        return group.future

    def _committed(self, segments: list[Segment], totals: Counter[Total], group: Group | None, jobs: list[Job]) -> None:
        for (lane, outcome, reason), n in totals.items():
            if outcome in _OWN_OUTCOMES:
                self._count(Outcome(outcome), Reason(reason), lane, n)
        touched = self._window.committed(segments, totals, self._loop.time() - time.time())
        if group is not None and not group.future.done():
            group.future.set_result(None)
        for job in jobs:
            if job.future is not None and not job.future.done():
                job.future.set_result(job.result)
        for lane in touched:
            self._wake(lane)

    def _wake(self, lane: str) -> None:
        for waiter in self._waiters.pop(lane, ()):
            if not waiter.done():
                waiter.set_result(None)

    # --- lease

    def keeps(self, lane: str) -> bool:
        """See :meth:`Spool.keeps`."""
        return self._window.keeps(lane)

    async def lease(self, lane: str, max_records: int, max_bytes: int, wait_s: float) -> list[Record]:
        """See :meth:`Spool.lease`."""
        deadline = self._loop.time() + wait_s
        while True:
            self._check_open()
            queue = self._window.queues.get(lane)
            if queue is not None:
                await self._fill(queue, max_records, max_bytes)
                if self._window.queues.get(lane) is not queue:
                    continue
                records = queue.take(max_records, max_bytes)
                if records:
                    return records
            now = self._loop.time()
            if now >= deadline:
                return []
            until = deadline
            if queue is not None and queue.later:
                until = min(until, queue.later[0][0])
            await self._sleep(lane, until)

    async def gathered(self, lane: str, records: int, wait_s: float) -> None:
        """See :meth:`Spool.gathered`."""
        deadline = self._loop.time() + wait_s
        while self._loop.time() < deadline:
            self._check_open()
            queue = self._window.queues.get(lane)
            # What has to be read back is not counted, and is more than one batch.
            if queue is not None and (queue.behind or queue.available >= records):
                return
            await self._sleep(lane, deadline)

    async def _sleep(self, lane: str, until: float) -> None:
        waiter: asyncio.Future[None] = self._loop.create_future()
        self._waiters.setdefault(lane, []).append(waiter)
        timer = self._loop.call_at(until, _resolve, waiter)
        try:
            await waiter
        finally:
            timer.cancel()
            waiting = self._waiters.get(lane)
            if waiting and waiter in waiting:
                waiting.remove(waiter)
                if not waiting:
                    del self._waiters[lane]

    async def _fill(self, queue: LaneQueue, max_records: int, max_bytes: int) -> None:
        """Read until ``max_records`` can be handed out or nothing is left to read. Nothing is leased here, so that being
        cancelled loses nothing."""
        while True:
            if self._window.queues.get(queue.key) is not queue:
                return  # the file was replaced meanwhile, and the queue with it
            overdue = bool(queue.later) and queue.later[0][0] <= self._loop.time()
            if not overdue and (not queue.behind or queue.available >= max_records):
                return
            other = self._reading.get(queue.key)
            if other is not None:
                await asyncio.shield(other)
                continue
            done = self._reading[queue.key] = self._loop.create_future()
            file = self._file
            try:
                if overdue:
                    await self._read_due(queue, max_records)
                else:
                    await self._read_next(queue, max_records - queue.available, max_bytes)
            except Damaged:
                self._writer.doubt(file)
                raise
            finally:
                del self._reading[queue.key]
                done.set_result(None)

    async def _read_due(self, queue: LaneQueue, max_records: int) -> None:
        window = self._window
        entries = queue.pop_due(self._loop.time(), max_records)
        before = window.rereads
        segments: list[Segment] | None = None
        try:
            segments = await self._lease_reader.run(reader.these_segments(queue.key, [entry[1] for entry in entries]))
        finally:
            if segments is None or before != window.rereads:
                for entry in entries:
                    queue.postpone(*entry)
            else:
                window.take_in(queue, segments)

    async def _read_next(self, queue: LaneQueue, max_records: int, max_bytes: int) -> None:
        tail = queue.tail
        before = self._window.rereads
        # A little more than is wanted: the next lease will want it, and a read has a cost of its own.
        limit = min(int(max_records * 2 / queue.per_segment) + 1, READ_SEGMENTS)
        read = reader.next_segments(queue.key, queue.cursor, queue.end, limit, min(max_bytes, READ_BYTES))
        segments = await self._lease_reader.run(read)
        if before != self._window.rereads:
            return
        queue.cursor = segments[-1].id if segments else tail
        queue.tail = max(queue.tail, queue.cursor)
        if segments:
            queue.per_segment = sum(segment.count for segment in segments) / len(segments)
        self._window.take_in(queue, segments)

    # --- settle, release

    def doomed(self, records: Sequence[Record]) -> dict[int, Reason]:
        """See :meth:`Spool.doomed`."""
        return self._window.doomed(records)

    async def settle(self, settlement: Settlement) -> None:
        """See :meth:`Spool.settle`. Waits as long as the disk fails; SpoolUnavailable only when the spool is closed meanwhile."""
        self._check_open()
        await self._remove(self._window.settle(settlement, time.time()))

    async def marked(self, keys: Sequence[int]) -> set[int]:
        """See :meth:`Spool.marked`."""
        self._check_open()
        return await self._lease_reader.run(reader.marked(list(keys), time.time()))

    async def marks(self, after: int, limit: int) -> list[Mark]:
        """All marks in portions, by key."""
        self._check_open()
        return [Mark(*row) for row in await self._side_reader.run(reader.marks_after(after, limit))]

    def hasten(self) -> None:
        """What waits for its time is handed out at once, until this process ends."""
        for queue in self._window.queues.values():
            queue.later = [(0.0, segment, count) for _, segment, count in queue.later]

    async def release(self, ids: Sequence[int]) -> None:
        """See :meth:`Spool.release`."""
        self._check_open()
        lanes, removal = self._window.release(ids)
        for lane in lanes:
            self._wake(lane)
        await self._remove(removal)

    async def _remove(self, removal: Removal) -> None:
        """Have the writer write what the window has decided."""
        if not removal:
            return
        await self._run(lambda transaction: transaction.remove(removal), lasting=True)

    async def _run(self, run: Callable[[Transaction], Any], *, lasting: bool = False) -> Any:
        self._check_open()
        future: asyncio.Future[Any] = self._loop.create_future()
        self._writer.submit(Job(run, future, lasting=lasting))
        return await asyncio.shield(future)

    # --- purge

    async def purge(self, owner: str, reason: Reason) -> Purged:
        """See :meth:`Spool.purge`."""
        self._check_open()
        if not owner:
            return Purged()
        self.on_removal(owner, b"", time.time())
        return await self._purging.purge(owner, reason)

    async def erase(self, needle: bytes, reason: Reason) -> Purged:
        """See :meth:`Spool.erase`."""
        self._check_open()
        if not needle:
            return Purged()
        self.on_removal("", needle, time.time())
        return await self._purging.erase(needle, reason)

    # --- what there is

    async def stats(self) -> SpoolStats:
        """See :meth:`Spool.stats`. ``queued`` counts leased records too. Depths and totals are of one moment, so that they add up; only the ages are
        read from the file afterwards."""
        self._check_open()
        queued, dead = self._window.depths()
        leased = self._window.leased()
        totals = dict(self._window.totals)
        lanes = []
        for lane in sorted({*queued, *dead}):
            oldest = 0.0
            if queued[lane]:
                low = self._window.numbers[lane] << SEQUENCE_BITS
                oldest = await self._side_reader.run(reader.oldest(low, low + (1 << SEQUENCE_BITS)))
            lanes.append(LaneStats(lane, queued[lane], leased[lane], dead[lane], oldest))
        writer = self._writer
        return SpoolStats(
            lanes=lanes,
            used_bytes=writer.used_bytes,
            max_bytes=self._settings.max_bytes,
            writable=writer.refusal is None and writer.used_bytes < FULL_SHARE * self._settings.max_bytes,
            totals=totals,
        )

    def depths(self) -> tuple[Counter[str], Counter[str]]:
        """(queued including leased, dead) records by lane, without touching the disk: for gauges."""
        return self._window.depths()

    async def lanes(self) -> list[str]:
        """See :meth:`Spool.lanes`."""
        self._check_open()
        return sorted(self.depths()[0])

    # --- dead letters

    async def dead_list(self, lane: str | None, after: int, limit: int) -> list[DeadLetter]:
        """See :meth:`Spool.dead_list`."""
        self._check_open()
        return await self._side_reader.run(reader.dead_letters(lane, after, limit))

    async def dead_replay(self, ids: Sequence[int]) -> int:
        """See :meth:`Spool.dead_replay`."""
        return int(await self._run(lambda transaction: transaction.replay(ids)))

    async def dead_drop(self, ids: Sequence[int]) -> int:
        """See :meth:`Spool.dead_drop`."""
        return int(await self._run(lambda transaction: transaction.drop(ids)))

    async def bury_lane(self, lane: str, reason: Reason) -> int:
        """See :meth:`Spool.bury_lane`. What is leased is left to whoever holds it."""
        self._check_open()
        queue = self._window.queues.get(lane)
        buried = 0
        if queue is None:
            return 0
        # Nothing waits for its time any more.
        queue.later = [(0.0, id_, count) for _, id_, count in queue.later]
        while True:
            await self._fill(queue, BURY_RECORDS, READ_BYTES)
            self._check_open()
            records = queue.take(BURY_RECORDS, READ_BYTES)
            if not records:
                return buried
            removal = self._window.bury(records, reason, time.time())
            buried += len(removal.corpses)
            await self._remove(removal)

    # --- life

    async def close(self) -> None:
        """See :meth:`Spool.close`."""
        if self._closed:
            return
        self._closed = True
        for lane in list(self._waiters):
            self._wake(lane)
        self._writer.stop()
        await tasks.cancel(self._inspecting)
        await self._loop.run_in_executor(None, self._end)

    def _end(self) -> None:
        if self._inspection is not None:
            self._inspection.close()
        self._writer.join()
        self._lease_reader.close()
        self._side_reader.close()
        self._lock.release()

    def _check_open(self) -> None:
        if self._closed:
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "closed")

    def _adopt(self, state: State) -> None:
        now, wall = self._loop.time(), time.time()
        later = [(lane, now + min(due - wall, MAX_DELAY_S), id_, count) for lane, id_, due, count in state.later]
        self._window.adopt(state.lanes, state.tails, state.masks, state.totals, later)

    def _replaced(self, state: State, report: Report, file: int) -> None:
        """The writer has salvaged the file: go on as after a restart."""
        self.salvaged, self._file = report, file
        self._lease_reader.stale = self._side_reader.stale = True
        self._adopt(state)
        self._count(Outcome.QUARANTINED, Reason.CORRUPT_SPOOL, "", report.lost)
        for lane in list(self._waiters):
            self._wake(lane)

    def _expired(self, rows: list[Any]) -> None:
        for lane, n in Counter(row[0] for row in rows).items():
            self._count(Outcome.EXPIRED, Reason.TOO_OLD, lane, n)

    def _count(self, outcome: Outcome, reason: Reason, lane: str, n: int) -> None:
        if self._metrics is not None and n:
            self._metrics.outcome(outcome, reason, integration=Lane.parse(lane).integration, n=n)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
