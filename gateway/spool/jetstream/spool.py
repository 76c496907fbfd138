"""The spool on NATS JetStream (io): one queue that many pods fill and empty.

Law: the broker decides who has a record; this process knows only what it holds. An event is accepted when the broker has it, or this disk while the broker is away. Each
step that a killed process leaves half done ends in a second delivery with the same event_id, never in a loss.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import DeadLetter, NewRecord, OnRemoval, Purged, Record, Retry, Settlement, Spool, SpoolStats
from gateway.spool.jetstream.fates import Fates, tries_in
from gateway.spool.jetstream.fetching import Fetching
from gateway.spool.jetstream.figures import Figures
from gateway.spool.jetstream.gate import Gate
from gateway.spool.jetstream.holding import Holdings
from gateway.spool.jetstream.intake import Intake
from gateway.spool.jetstream.letters import Letters
from gateway.spool.jetstream.names import Names, lane_tokens, owner_of
from gateway.spool.jetstream.purging import Purging, translated
from gateway.spool.jetstream.streams import check_version
from gateway.spool.jetstream.together import Talk
from gateway.spool.jetstream.totals import Totals
from gateway.spool.jetstream.wire import Answer, BrokerAway, Refused, Wire, options, sequence_of
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool
from gateway.telemetry import tasks
from gateway.telemetry.metrics import Metrics, Sample

_log = logging.getLogger(__name__)
_LOOK_S = 0.5
"""A look at the figures takes no longer, else the last ones are given."""
_OPEN_S = 1.5
"""While servers choose a leader they may take connections and answer nothing; a gateway that starts then must collect before it says that it is ready."""
_PAY_S = 0.1
_TIMEOUT_S = 3.0
_SCAN = 2048
_EXPIRE_S = 60.0
_FULL_SHARE = 0.98


class JetStreamSpool:
    """Implements :class:`gateway.spool.base.Spool`. Made by :meth:`open`; used from one event loop."""

    def __init__(self, settings: SpoolSettings, local: Spool, wire: Wire, metrics: Metrics | None) -> None:
        self._settings = settings
        self._local = local
        self._wire = wire
        self._metrics = metrics
        self._loop = asyncio.get_running_loop()
        self._names = Names(settings.stream)
        self._holdings = Holdings()
        self._gate = Gate()
        self._totals = Totals(wire, self._names)
        self._figures = Figures(wire, self._names, self._holdings, self._totals, settings.max_bytes)
        self._intake = Intake(wire, self._names, settings, local, self._totals, self._gate, self._holdings)
        self._intake.on_back = self._back
        self._fetching = Fetching(wire, self._names, self._holdings, settings.ack_wait)
        self._fates = Fates(wire, self._names, self._holdings, self._totals, lambda: not self._closed)
        self._letters = Letters(wire, self._names, self._totals, self._intake.ensure)
        self.together = Talk(wire, self._names, settings.replicas)
        self._purging = Purging(
            wire, self._names, self._holdings, self._fetching, self._letters, self._totals, self._gate, local, self._intake
        )
        self._closed = False
        self._last = SpoolStats([], 0, settings.max_bytes, writable=True)
        self._local_records = 0
        self._tasks: list[asyncio.Task[None]] = []

    @classmethod
    async def open(cls, settings: SpoolSettings, *, metrics: Metrics | None = None, role: str = "all") -> "JetStreamSpool":
        """Connect, or go on without the broker until it is there. SpoolUnavailable if it is there and unfit, SpoolLocked and its like if ``path`` cannot be used."""
        here = {"path": str(Path(settings.path) / "forward"), "max_bytes": settings.disk_bytes}
        local = await SqliteSpool.open(settings.model_copy(update=here))
        spool: JetStreamSpool | None = None

        def changed() -> None:
            if spool is not None:
                spool._changed()

        try:
            wire = Wire(await asyncio.to_thread(options, settings, role), changed)
        except SpoolUnavailable:
            await local.close()
            raise
        spool = cls(settings, local, wire, metrics)
        await wire.listen(spool._names.control, lambda words, _headers: spool._purging.told(words))
        try:
            with suppress(BrokerAway, TimeoutError):
                async with asyncio.timeout(_OPEN_S):
                    await spool._connect()
                    spool._intake.away = bool(await local.lanes())
        except BaseException:
            spool._closed = True
            await wire.close()
            await local.close()
            raise
        if not wire.connected:
            _log.warning(
                "the broker is away; events are kept on this disk and forwarded later", extra={"broker": settings.stream}
            )
            spool._tasks.append(tasks.keep(spool._connect_later, "connect to broker"))
        spool._intake.start()
        spool._tasks += [
            tasks.keep(spool._fetching.tend, "tend leases"),
            tasks.keep(spool._pay, "count fates"),
            tasks.keep(spool._expire, "expire dead letters"),
        ]
        spool._provide()
        return spool

    async def _connect(self) -> None:
        await self._wire.connect()
        check_version(self._wire.version)
        await self._intake.make_ready()

    async def _connect_later(self) -> None:
        said = ""
        while True:
            try:
                await self._connect()
            except (BrokerAway, SpoolUnavailable) as error:
                if str(error) != said:
                    said = str(error)
                    _log.error("the broker cannot be used yet", extra={"problem": said})
                await self._wire.close()
                await asyncio.sleep(1.0)
            else:
                self._changed()
                return

    def _changed(self) -> None:
        if self._closed:
            return
        self._intake.changed()
        self._fetching.lost()

    def _back(self) -> None:
        for lane in self._holdings.numbers:
            lane.changed.set()
        self._purging.again()

    # --- put, lease, settle, release

    def put(self, records: Sequence[NewRecord]) -> asyncio.Future[None]:
        """See :meth:`Spool.put`."""
        self._check_open()
        return self._intake.put(records)

    def keeps(self, lane: str) -> bool:
        """See :meth:`Spool.keeps`. Records go to the broker."""
        return False

    async def lease(self, lane: str, max_records: int, max_bytes: int, wait_s: float) -> list[Record]:
        """See :meth:`Spool.lease`."""
        deadline = self._loop.time() + wait_s
        holding = self._holdings.lane(lane)
        while True:
            self._check_open()
            try:
                await self._intake.ensure(lane)
                if len(holding.ready) < max_records:
                    await self._fetching.gather(holding, max_records)
                self._check_open()
                if taken := holding.take(max_records, max_bytes):
                    return [held.record for held in taken]
                now = self._loop.time()
                if now >= deadline:
                    return []
                await self._fetching.expect(holding, max_records, deadline - now)
            except (BrokerAway, Refused):
                holding.known = False
                if self._loop.time() >= deadline:
                    return []
                await self._sleep(holding.changed, min(deadline, self._loop.time() + 0.2))
                continue
            if holding.ready:
                continue
            await self._sleep(holding.changed, min(deadline, self._loop.time() + 5.0))

    async def gathered(self, lane: str, records: int, wait_s: float) -> None:
        """See :meth:`Spool.gathered`. What waits at the broker is not counted here."""
        await asyncio.sleep(wait_s)

    async def _sleep(self, event: asyncio.Event, until: float) -> None:
        event.clear()
        with suppress(TimeoutError):
            async with asyncio.timeout_at(until):
                await event.wait()

    def doomed(self, records: Sequence[Record]) -> dict[int, Reason]:
        """See :meth:`Spool.doomed`. Also by what other pods were asked to remove."""
        doomed = self._holdings.doomed
        return {record.id: doomed[record.id] for record in records if record.id in doomed} if doomed else {}

    async def settle(self, settlement: Settlement) -> None:
        """See :meth:`Spool.settle`."""
        self._check_open()
        async with self._gate.shared():
            await self._fates.settle(settlement)

    async def marked(self, keys: Sequence[int]) -> set[int]:
        """See :meth:`Spool.marked`."""
        self._check_open()
        now = time.time()
        with translated():
            return {key for key, until in (await self._fates.marks(list(keys))).items() if until >= now}

    async def release(self, ids: Sequence[int]) -> None:
        """See :meth:`Spool.release`. They stay in this process's hands for a moment, then go to whoever asks."""
        self._check_open()
        doomed: list[Record] = []
        for id_ in ids:
            held = self._holdings.leased(id_)
            if held is None:
                continue
            if held.doomed is not None:
                doomed.append(held.record)
                continue
            held.since = self._loop.time()
            self._holdings.lane(held.record.lane).put_back(held)
        if doomed:
            # Its purge was waiting for this.
            await self.settle(Settlement(retry=[Retry(record.id, 0.0, Reason.NONE) for record in doomed]))

    # --- purge, erase

    @property
    def on_removal(self) -> OnRemoval:
        """See :attr:`Spool.on_removal`."""
        return self._purging.on_removal

    @on_removal.setter
    def on_removal(self, told: OnRemoval) -> None:
        self._purging.on_removal = told

    async def purge(self, owner: str, reason: Reason) -> Purged:
        """See :meth:`Spool.purge`."""
        self._check_open()
        if not owner:
            return Purged()
        with translated():
            return await self._purging.purge(owner, reason, time.time())

    async def erase(self, needle: bytes, reason: Reason) -> Purged:
        """See :meth:`Spool.erase`."""
        self._check_open()
        if not needle:
            return Purged()
        with translated():
            return await self._purging.erase(needle, reason)

    # --- what there is

    async def stats(self) -> SpoolStats:
        """See :meth:`Spool.stats`. The figures of all pods together; while the broker does not answer, the last ones."""
        self._check_open()
        local = await self._local.stats()
        try:
            if self._wire.connected:
                async with self._gate.alone(_LOOK_S):
                    local = await self._local.stats()
                    self._last = await self._figures.look(local)
        except (BrokerAway, Refused, TimeoutError) as error:
            _log.debug("figures: %s", error)
        self._local_records = sum(lane.queued for lane in local.lanes)
        writable = local.writable if self._intake.away else self._last.used_bytes < _FULL_SHARE * self._settings.max_bytes
        return replace(self._last, writable=writable)

    async def lanes(self) -> list[str]:
        """See :meth:`Spool.lanes`."""
        self._check_open()
        found = set(await self._local.lanes())
        with suppress(BrokerAway, Refused):
            found |= await self._figures.lanes()
        return sorted(found)

    # --- dead letters

    async def dead_list(self, lane: str | None, after: int, limit: int) -> list[DeadLetter]:
        """See :meth:`Spool.dead_list`."""
        self._check_open()
        with translated():
            return list(await self._letters.list(lane, after, limit))

    async def dead_replay(self, ids: Sequence[int]) -> int:
        """See :meth:`Spool.dead_replay`."""
        self._check_open()
        async with self._gate.shared():
            with translated():
                return await self._letters.replay(ids)

    async def dead_drop(self, ids: Sequence[int]) -> int:
        """See :meth:`Spool.dead_drop`."""
        self._check_open()
        async with self._gate.shared():
            with translated():
                return await self._letters.drop(ids)

    async def bury_lane(self, lane: str, reason: Reason) -> int:
        """See :meth:`Spool.bury_lane`."""
        self._check_open()
        buried = 0
        async with self._gate.shared():
            with translated():
                for stream in (self._names.queue, self._names.later):
                    async for message in self._wire.all(stream, f"{stream}.{lane_tokens(lane)}.*"):
                        buried += await self._bury_one(stream, message, lane, reason)
        return buried

    async def _bury_one(self, stream: str, message: Answer, lane: str, reason: Reason) -> int:
        sequence, headers = sequence_of(message), message.headers
        held = self._holdings.by_place.get((stream, sequence))
        if held is not None and held.leased:
            return 0
        accepted_at, tries = float(headers.get("Ttgw-At", 0)), int(headers.get("Ttgw-Tries", 0))
        record = Record(0, lane, owner_of(headers["Nats-Subject"]), accepted_at, message.data, tries, tries_in(headers))
        (answer,) = await self._wire.ask([self._fates.letter(record, f"{stream}{sequence}", tries, reason, "")], _TIMEOUT_S)
        answer.json()
        removed = await self._wire.delete(stream, sequence)
        if held is not None:
            self._holdings.forget(held)
            await self._purging.let_go([held])
        if not removed:
            return 0
        self._totals.add(lane, Outcome.DEAD, reason.value)
        return 1

    # --- upkeep

    async def _pay(self) -> None:
        while True:
            await asyncio.sleep(_PAY_S)
            if self._totals.owing and not self._intake.away:
                with suppress(BrokerAway, Refused, TimeoutError):
                    async with asyncio.timeout(_TIMEOUT_S), self._gate.shared():
                        await self._totals.pay(_TIMEOUT_S)

    async def _expire(self) -> None:
        while True:
            await asyncio.sleep(_EXPIRE_S)
            limit = time.time() - self._settings.dead_max_age
            with suppress(BrokerAway, Refused):
                while letters := [
                    each
                    for each in await self._wire.scan(self._names.dead, f"{self._names.dead}.>", 0, _SCAN)
                    if float(each.headers.get("Ttgw-Died", 0)) < limit
                ]:
                    async with self._gate.shared():
                        await self._letters.remove(letters, Outcome.EXPIRED, Reason.TOO_OLD)

    def _provide(self) -> None:
        if self._metrics is not None:
            one = self._metrics.provide
            one("spool_broker_away", "1 = the broker is away and events are kept on this disk.", (),
                lambda: [Sample((), int(self._intake.away))])  # fmt: skip
            one("spool_local_records", "Records kept on this disk, to be forwarded to the broker.", (),
                lambda: [Sample((), self._local_records)])  # fmt: skip

    async def close(self) -> None:
        """See :meth:`Spool.close`. What is in hand goes back to the broker at once."""
        if self._closed:
            return
        self._closed = True
        for lane in self._holdings.numbers:
            lane.changed.set()
        await self._intake.close()
        await self._purging.close()
        await tasks.cancel(*self._tasks)
        if self._wire.connected:
            await self._fetching.give_back()
            with suppress(BrokerAway, Refused, TimeoutError):
                async with self._gate.alone(_TIMEOUT_S):
                    await self._totals.pay(_TIMEOUT_S)
        await self.together.close()
        await self._wire.close()
        await self._local.close()

    def _check_open(self) -> None:
        if self._closed:
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "closed")
