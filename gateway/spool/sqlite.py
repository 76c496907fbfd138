"""The default spool: SQLite through apsw (io).

Law: the loop's thread owns the queues in memory and never touches the disk; the writer's thread owns the tables. What the loop
has decided (a settlement, a purge) takes effect in memory at once and is then written; until it is written, the caller waits.
A freshly committed record goes from the commit straight to its lane's queue; only a backlog is read back from the file.
"""

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

import apsw
import orjson

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool import reader, schema
from gateway.spool.base import DeadLetter, Lane, LaneStats, NewRecord, Record, Settlement, SpoolStats
from gateway.spool.lanes import LaneQueue
from gateway.spool.lock import DirectoryLock
from gateway.spool.reader import Damaged, Reader
from gateway.spool.salvage import Report, healthy, salvage
from gateway.spool.segment import POSITION_BITS, POSITION_MASK, SEQUENCE_BITS, Segment, positions, split
from gateway.spool.settings import SpoolSettings
from gateway.spool.state import State, load
from gateway.spool.transaction import Corpse, Removal, Total, Transaction
from gateway.spool.writer import CORRUPT_ERRORS, CommitFuture, Group, Job, Writer

log = logging.getLogger(__name__)

HELD_BYTES = 16 << 20
"""Payloads kept in memory for handing out without reading them back, over all lanes."""
PENDING_BYTES = 32 << 20
"""Payloads waiting for a commit; beyond, the disk is too slow and callers are told to come back."""
READ_BYTES = 2 << 20
"""One read of a backlog."""
READ_SEGMENTS = 1024
SCAN_SEGMENTS = 4096
SCAN_OWNERS = 16
FULL_SHARE = 0.98
"""Reported as not writable from here on; puts are refused when they would exceed ``max_bytes`` itself."""
MAX_DELAY_S = 3600.0
"""A retry found at start is due within this, whatever the clock did meanwhile."""
BURY_RECORDS = 1000


class OutcomeCounter(Protocol):
    """What the spool counts by itself: the fates nobody asked for."""

    def outcome(
        self, outcome: Outcome, reason: Reason = ..., *, pipeline: str = ..., integration: str = ..., n: int = ...
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
        self._queues: dict[str, LaneQueue] = {}
        self._segments: dict[int, Segment] = {}
        self._masks: dict[int, int] = {}
        self._totals: Counter[Total] = Counter()
        self._numbers: dict[str, int] = {}
        self._keys: dict[int, str] = {}
        self._held_bytes = 0
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}
        self._reading: dict[str, asyncio.Future[None]] = {}
        self._purging: dict[str, str] = {}
        self._deleted_meanwhile: set[int] | None = None
        self._purge_lock = asyncio.Lock()
        self._purge_wanted: dict[str, tuple[Reason, asyncio.Future[int]]] = {}
        self._reread = 0
        """Grows when a purge removes what is not in memory: a read under way may have seen it."""
        self._epoch = 0
        self._closed = False
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
        lock, writer, state, report = await loop.run_in_executor(None, _open_files, path, settings, post, vfs)
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
            writer.tokens.put(None)
        return group.future

    def _committed(self, segments: list[Segment], totals: Counter[Total], group: Group | None, jobs: list[Job]) -> None:
        self._totals.update(totals)
        touched = set()
        for segment in segments:
            queue = self._queues.get(segment.lane)
            if queue is None:
                number = segment.id >> SEQUENCE_BITS
                self._numbers[segment.lane] = number
                self._keys[number] = segment.lane
                queue = self._queues[segment.lane] = LaneQueue(segment.lane, number)
            touched.add(segment.lane)
            if segment.due:
                queue.postpone(self._monotonic(segment.due), segment.id, segment.count)
            elif segment.id > queue.cursor:
                if not queue.behind and self._held_bytes + segment.size <= HELD_BYTES:
                    queue.cursor = segment.id
                    self._hold(segment)
                    queue.offer(segment)
                queue.tail = segment.id
        if group is not None and not group.future.done():
            group.future.set_result(None)
        for job in jobs:
            if job.future is not None and not job.future.done():
                job.future.set_result(job.result)
        for lane in touched:
            self._wake(lane)

    def _monotonic(self, due: float) -> float:
        return self._loop.time() + due - time.time()

    def _hold(self, segment: Segment) -> None:
        self._segments[segment.id] = segment
        self._held_bytes += segment.size

    def _let_go(self, segment: Segment) -> None:
        if self._segments.pop(segment.id, None) is not None:
            self._held_bytes -= segment.size
        if self._deleted_meanwhile is not None:
            self._deleted_meanwhile.add(segment.id)

    def _wake(self, lane: str) -> None:
        for waiter in self._waiters.pop(lane, ()):
            if not waiter.done():
                waiter.set_result(None)

    # --- lease

    async def lease(self, lane: str, max_records: int, max_bytes: int, wait_s: float) -> list[Record]:
        """See :meth:`Spool.lease`."""
        deadline = self._loop.time() + wait_s
        while True:
            self._check_open()
            queue = self._queues.get(lane)
            if queue is not None:
                await self._fill(queue, max_records, max_bytes)
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
            overdue = bool(queue.later) and queue.later[0][0] <= self._loop.time()
            if not overdue and (not queue.behind or queue.available >= max_records):
                return
            other = self._reading.get(queue.key)
            if other is not None:
                await asyncio.shield(other)
                continue
            done = self._reading[queue.key] = self._loop.create_future()
            try:
                if overdue:
                    await self._read_due(queue, max_records)
                else:
                    await self._read_next(queue, max_records - queue.available, max_bytes)
            except Damaged:
                self._writer.suspect = True
                self._writer.tokens.put(None)
                raise
            finally:
                del self._reading[queue.key]
                done.set_result(None)

    async def _read_due(self, queue: LaneQueue, max_records: int) -> None:
        entries = queue.pop_due(self._loop.time(), max_records)
        seen = self._epoch, self._reread
        try:
            segments = await self._lease_reader.run(reader.these_segments(queue.key, [entry[1] for entry in entries]))
        except BaseException:
            for entry in entries if seen[0] == self._epoch else ():
                queue.postpone(*entry)
            raise
        if seen == (self._epoch, self._reread):
            self._take_in(queue, segments)
        elif seen[0] == self._epoch:
            for entry in entries:
                queue.postpone(*entry)

    async def _read_next(self, queue: LaneQueue, max_records: int, max_bytes: int) -> None:
        tail = queue.tail
        seen = self._epoch, self._reread
        # A little more than is wanted: the next lease will want it, and a read has a cost of its own.
        limit = min(int(max_records * 2 / queue.per_segment) + 1, READ_SEGMENTS)
        segments = await self._lease_reader.run(
            reader.next_segments(queue.key, queue.cursor, queue.end, limit, min(max_bytes, READ_BYTES))
        )
        if seen != (self._epoch, self._reread):
            return
        queue.cursor = segments[-1].id if segments else tail
        if segments:
            queue.per_segment = sum(segment.count for segment in segments) / len(segments)
        queue.tail = max(queue.tail, queue.cursor)
        self._take_in(queue, segments)

    def _take_in(self, queue: LaneQueue, segments: list[Segment]) -> None:
        for segment in segments:
            segment.gone = self._masks.get(segment.id, 0)
            if segment.available:
                self._hold(segment)
                queue.offer(segment)

    # --- settle, release

    async def settle(self, settlement: Settlement) -> None:
        """See :meth:`Spool.settle`. Waits as long as the disk fails; SpoolUnavailable only when the spool is closed meanwhile."""
        self._check_open()
        removal = Removal()
        touched: dict[int, Segment] = {}
        segments = self._segments
        totals = removal.totals
        for id_, outcome, reason in settlement.done:
            segment = segments.get(id_ >> POSITION_BITS)
            bit = 1 << (id_ & POSITION_MASK)
            if segment is None or not segment.leased & bit:
                continue
            segment.leased ^= bit
            segment.gone |= bit
            touched[segment.id] = segment
            totals[segment.lane, outcome.value, reason.value] += 1
        later: dict[tuple[str, float], list[Record]] = {}
        now = time.time()
        for id_, due, _ in settlement.retry:
            if (found := self._take_back(id_, touched, totals)) is not None:
                later.setdefault((found.lane, max(due, 0.001)), []).append(found)
        for id_, reason, answer in settlement.dead:
            if (found := self._take_back(id_, touched, totals)) is not None:
                removal.corpses.append(_corpse(found, now, found.attempts + 1, reason, answer))
                totals[found.lane, Outcome.DEAD.value, reason.value] += 1
        for (lane, due), records in later.items():
            removal.later += _requeue(lane, records, due)
        await self._remove(removal, touched)

    def _take_back(self, id_: int, touched: dict[int, Segment], totals: Counter[Total]) -> Record | None:
        """Remove a leased record from its segment; None if it is not leased or was purged meanwhile."""
        segment = self._segments.get(id_ >> POSITION_BITS)
        position = id_ & POSITION_MASK
        bit = 1 << position
        if segment is None or not segment.leased & bit:
            return None
        segment.leased ^= bit
        segment.gone |= bit
        touched[segment.id] = segment
        record = segment.record(position)
        doomed = segment.doomed and segment.doomed.get(position)
        doomed = doomed or self._purging.get(record.owner)
        if doomed and record.owner:
            totals[segment.lane, Outcome.PURGED.value, doomed] += 1
            return None
        return record

    async def _remove(self, removal: Removal, touched: dict[int, Segment]) -> None:
        """Write what became of ``touched``, whose masks have been changed already."""
        for segment in touched.values():
            if segment.gone == segment.full:
                removal.segments.append(segment.id)
                if self._masks.pop(segment.id, 0):
                    removal.unmask.append(segment.id)
                self._let_go(segment)
            else:
                removal.masks[segment.id] = self._masks[segment.id] = segment.gone
        if not removal.totals and not touched:
            return
        for (_, outcome, reason), n in removal.totals.items():
            if outcome == Outcome.PURGED.value:
                self._count(Outcome.PURGED, Reason(reason), "", n)
        await self._run(lambda transaction: transaction.remove(removal), lasting=True)

    async def _run(self, run: Any, *, lasting: bool = False) -> Any:
        self._check_open()
        future: asyncio.Future[Any] = self._loop.create_future()
        self._writer.submit(Job(run, future, lasting=lasting))
        return await asyncio.shield(future)

    async def release(self, ids: Sequence[int]) -> None:
        """See :meth:`Spool.release`."""
        self._check_open()
        doomed: dict[int, Segment] = {}
        removal = Removal()
        lanes = set()
        for id_ in ids:
            segment = self._segments.get(id_ >> POSITION_BITS)
            position = id_ & POSITION_MASK
            bit = 1 << position
            if segment is None or not segment.leased & bit:
                continue
            if (segment.doomed and position in segment.doomed) or segment.owners[position] in self._purging:
                self._take_back(id_, doomed, removal.totals)
                continue
            segment.leased ^= bit
            queue = self._queues[segment.lane]
            lanes.add(segment.lane)
            if segment.waiting:
                queue.available += 1
            else:
                queue.offer(segment)
        for lane in lanes:
            self._wake(lane)
        if doomed:
            await self._remove(removal, doomed)

    # --- purge

    async def purge(self, owner: str, reason: Reason) -> int:
        """See :meth:`Spool.purge`. Finding an owner is a scan beside the writer: an index would cost each put more than the rare
        purge is worth. Purges that arrive during a scan share the next one."""
        self._check_open()
        if not owner:
            return 0
        _, future = self._purge_wanted.setdefault(owner, (reason, self._loop.create_future()))
        async with self._purge_lock:
            if not future.done():
                await self._purge_next()
        return await asyncio.shield(future)

    async def _purge_next(self) -> None:
        batch = {owner: self._purge_wanted.pop(owner) for owner in list(self._purge_wanted)[:SCAN_OWNERS]}
        try:
            purged = await self._purge({owner: reason.value for owner, (reason, _) in batch.items()})
        except BaseException as error:
            for _, future in batch.values():
                future.set_exception(
                    error if isinstance(error, SpoolUnavailable) else SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "closed")
                )
                future.exception()
            raise
        for owner, (_, future) in batch.items():
            future.set_result(purged[owner])

    async def _purge(self, owners: dict[str, str]) -> Counter[str]:
        # What was put before this call is committed, and known here, once an empty job has been.
        await self._run(_no_work)
        purged: Counter[str] = Counter()
        self._purging = owners
        self._deleted_meanwhile = set()
        try:
            removal, touched = Removal(), dict[int, Segment]()
            for segment in list(self._segments.values()):
                self._purge_held(segment, removal, touched, purged)
            await self._remove(removal, touched)
            after: int | None = -1
            while after is not None:
                after, rows = await self._side_reader.run(reader.owned_segments(list(owners), after, SCAN_SEGMENTS))
                removal, touched = Removal(), {}
                for id_, head in rows:
                    if id_ in self._deleted_meanwhile:
                        continue
                    held = self._segments.get(id_)
                    if held is not None:
                        self._purge_held(held, removal, touched, purged)
                    else:
                        self._purge_stored(id_, orjson.loads(head)[0], removal, purged)
                await self._remove(removal, touched)
            for owner, reason in owners.items():
                purged[owner] += await self._run(lambda t, owner=owner, reason=reason: t.purge_dead(owner, reason))
        finally:
            self._purging = {}
            self._deleted_meanwhile = None
        return purged

    def _purge_held(self, segment: Segment, removal: Removal, touched: dict[int, Segment], purged: Counter[str]) -> None:
        for position in positions(segment.full & ~segment.gone):
            owner = segment.owners[position]
            reason = self._purging.get(owner)
            if reason is None:
                continue
            if segment.leased >> position & 1:
                segment.doomed = {**(segment.doomed or {}), position: reason}
                continue
            self._queues[segment.lane].withdraw(segment, 1 << position)
            touched[segment.id] = segment
            removal.totals[segment.lane, Outcome.PURGED.value, reason] += 1
            purged[owner] += 1

    def _purge_stored(self, id_: int, owners: list[str], removal: Removal, purged: Counter[str]) -> None:
        known = self._masks.get(id_, 0)
        gone = known
        lane = self._keys[id_ >> SEQUENCE_BITS]
        for position, owner in enumerate(owners):
            reason = self._purging.get(owner)
            if reason is not None and not gone >> position & 1:
                gone |= 1 << position
                removal.totals[lane, Outcome.PURGED.value, reason] += 1
                purged[owner] += 1
        if gone == known:
            return
        self._reread += 1
        if gone == (1 << len(owners)) - 1:
            removal.segments.append(id_)
            if self._masks.pop(id_, 0):
                removal.unmask.append(id_)
        else:
            removal.masks[id_] = self._masks[id_] = gone

    # --- what there is

    async def stats(self) -> SpoolStats:
        """See :meth:`Spool.stats`. ``queued`` counts leased records too."""
        self._check_open()
        queued, dead = self.depths()
        leased: Counter[str] = Counter()
        for segment in self._segments.values():
            leased[segment.lane] += segment.leased.bit_count()
        lanes = []
        for lane in sorted({*queued, *dead}):
            oldest = 0.0
            if queued[lane] and (number := self._numbers.get(lane)) is not None:
                low = number << SEQUENCE_BITS
                oldest = await self._side_reader.run(reader.oldest(low, low + (1 << SEQUENCE_BITS)))
            lanes.append(LaneStats(lane, queued[lane], leased[lane], dead[lane], oldest))
        return SpoolStats(
            lanes=lanes,
            used_bytes=self._writer.used_bytes,
            max_bytes=self._settings.max_bytes,
            writable=self._writer.refusal is None and self._writer.used_bytes < FULL_SHARE * self._settings.max_bytes,
            totals=dict(self._totals),
        )

    def depths(self) -> tuple[Counter[str], Counter[str]]:
        """(queued, dead) records by lane, without touching the disk."""
        queued: Counter[str] = Counter()
        dead: Counter[str] = Counter()
        for (lane, outcome, _), n in self._totals.items():
            if outcome == Outcome.ACCEPTED.value:
                queued[lane] += n
            else:
                queued[lane] -= n
                if outcome == Outcome.DEAD.value:
                    dead[lane] += n
        return +queued, +dead

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
        queue = self._queues.get(lane)
        buried = 0
        if queue is None:
            return 0
        # Nothing waits for its time any more.
        queue.later = [(0.0, id_, count) for _, id_, count in queue.later]
        while True:
            await self._fill(queue, BURY_RECORDS, READ_BYTES)
            records = queue.take(BURY_RECORDS, READ_BYTES)
            if not records:
                return buried
            now = time.time()
            removal, touched = Removal(), dict[int, Segment]()
            for record in records:
                if self._take_back(record.id, touched, removal.totals) is not None:
                    removal.corpses.append(_corpse(record, now, record.attempts, reason, ""))
                    removal.totals[lane, Outcome.DEAD.value, reason.value] += 1
            buried += len(removal.corpses)
            await self._remove(removal, touched)

    # --- life

    async def close(self) -> None:
        """See :meth:`Spool.close`."""
        if self._closed:
            return
        self._closed = True
        for lane in list(self._waiters):
            self._wake(lane)
        self._writer.stop()
        await self._loop.run_in_executor(None, self._end)

    def _end(self) -> None:
        self._writer.join()
        self._lease_reader.close()
        self._side_reader.close()
        self._lock.release()

    def _check_open(self) -> None:
        if self._closed:
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "closed")

    def _adopt(self, state: State) -> None:
        self._numbers = dict(state.lanes)
        self._keys = {number: key for key, number in state.lanes.items()}
        self._masks = dict(state.masks)
        self._totals = Counter(state.totals)
        self._segments = {}
        self._held_bytes = 0
        self._queues = {key: LaneQueue(key, number, state.tails.get(key)) for key, number in state.lanes.items()}
        for lane, id_, due, count in state.later:
            self._queues[lane].postpone(self._loop.time() + min(due - time.time(), MAX_DELAY_S), id_, count)

    def _replaced(self, state: State, report: Report) -> None:
        """The writer has salvaged the file: go on as after a restart."""
        self._epoch += 1
        self.salvaged = report
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


def _open_files(
    path: Path, settings: SpoolSettings, post: Callable[..., None], vfs: str | None
) -> tuple[DirectoryLock, Writer, State, Report | None]:
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
        return connection, load(connection)
    except BaseException:
        connection.config(apsw.SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, 1)
        connection.close()
        raise


def _corpse(record: Record, now: float, attempts: int, reason: Reason, answer: str) -> Corpse:
    return (record.lane, record.owner, record.accepted_at, now, attempts, reason.value, answer, record.payload)


def _requeue(lane: str, records: list[Record], due: float) -> list[Segment]:
    return split(
        lane,
        [record.owner for record in records],
        [record.accepted_at for record in records],
        [record.payload for record in records],
        [record.attempts + 1 for record in records],
        due,
    )


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _no_work(_: Transaction) -> None:
    pass
