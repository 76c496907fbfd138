"""Making records durable (io): on the broker, or below ``path`` while it is away.

Law: the future of a put resolves when one of the two has all of its records. A record has one id, whichever way it goes and whichever pod it comes to, so that what several
have got is kept once.
While the breaker is open nobody waits for the broker; it closes when everything kept here has been forwarded.
"""

import asyncio
import logging
import secrets
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import count

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Done, NewRecord, Record, Settlement, Spool
from gateway.spool.jetstream.gate import Gate
from gateway.spool.jetstream.holding import Holdings
from gateway.spool.jetstream.names import Names, message_id
from gateway.spool.jetstream.streams import ensure_lane, prepare
from gateway.spool.jetstream.totals import Totals
from gateway.spool.jetstream.wire import Answer, BrokerAway, Message, Refused, Wire
from gateway.spool.jetstream.withdrawals import Withdrawals
from gateway.spool.settings import SpoolSettings
from gateway.spool.writer import CommitFuture
from gateway.telemetry import tasks

_log = logging.getLogger(__name__)
_ID_BYTES = 32
_NEW, _TRIED = b"n", b"t"
"""Goes before the id on this disk: whether the broker may have the record already. If not, one that it knows came from elsewhere."""
_FORWARD_RECORDS = 256
_FORWARD_BYTES = 4 << 20
_FORWARD_TIMEOUT_S = 3.0
_LOOK_S = 0.25
_HEADROOM_BYTES = 4096
_FULL = frozenset({10077, 10047, 10023, 10028})
"""The stream or the account has no room: its sender is told to come back, for the other store is bounded for the same reason."""


class Group:
    """The records of one turn of the loop."""

    __slots__ = ("future", "records")

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future
        self.records: list[NewRecord] = []


class Intake:
    """Where records come in."""

    def __init__(
        self, wire: Wire, names: Names, settings: SpoolSettings, local: Spool, totals: Totals, gate: Gate, holdings: Holdings
    ) -> None:
        self._wire = wire
        self._names = names
        self._settings = settings
        self._local = local
        self._totals = totals
        self._gate = gate
        self._holdings = holdings
        self._loop = asyncio.get_running_loop()
        self._run = secrets.token_hex(8)
        self._numbers = count()
        self._group: Group | None = None
        self._storing: set[asyncio.Task[None]] = set()
        self._wake = asyncio.Event()
        self._forwarder: asyncio.Task[None] | None = None
        self._ready = False
        self._said = ""
        self._tried: set[str] = set()
        """Ids of a forwarding that was interrupted."""
        self.away = True
        """The breaker: nobody waits for the broker."""
        self.on_back: Callable[[], None] = lambda: None
        self.withdrawals = Withdrawals(wire, names)
        self.on_late: Callable[[str, bytes, Reason], object] = lambda *_: None
        """Called for an owner, or a needle, whose records were forwarded while they were being withdrawn."""

    def start(self) -> None:
        """Begin forwarding."""
        self._forwarder = tasks.keep(self._forward, "forward to broker")

    def changed(self) -> None:
        """The connection was had or lost: what exists over there is looked at anew."""
        self._ready = False
        if not self._wire.connected:
            self.open_breaker("not connected")
        for lane in self._holdings.numbers:
            lane.known = False
        self._wake.set()

    def open_breaker(self, why: str) -> None:
        """Keep records here from now on."""
        self._ready = False
        if not self.away:
            self.away = True
            _log.warning("the broker is away; events are kept on this disk and forwarded later", extra={"problem": why})
        self._wake.set()

    # --- put

    def put(self, records: Sequence[NewRecord]) -> asyncio.Future[None]:
        """See :meth:`Spool.put`."""
        most = self._wire.max_payload_bytes - _HEADROOM_BYTES
        if any(len(record.payload) > most for record in records):
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "the record is larger than the broker's max_payload")
        group = self._group
        if group is None:
            group = self._group = Group(CommitFuture(loop=self._loop))
            # At the end of this turn of the loop: every request that is ready now joins the group.
            self._loop.call_soon(self._commit, group)
        group.records += records
        return group.future

    def _commit(self, group: Group) -> None:
        self._group = None
        if not group.records:
            group.future.set_result(None)
            return
        task = tasks.spawn(self._store(group), "store")
        self._storing.add(task)
        task.add_done_callback(self._storing.discard)

    async def _store(self, group: Group) -> None:
        try:
            async with self._gate.shared():
                named = [(self._name(record), record) for record in group.records]
                how = _NEW if self.away else _TRIED
                if self.away or not await self._publish(named, self._settings.publish_timeout):
                    await self._local.put(
                        [record._replace(payload=how + id_.encode() + record.payload, beside=None) for id_, record in named]
                    )
                    self._wake.set()
                self._count(group.records, Outcome.ACCEPTED, "")
        except SpoolUnavailable as error:
            if not group.future.done():
                group.future.set_exception(error)
                group.future.exception()
        except BaseException:
            if not group.future.done():
                group.future.set_exception(SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "ended"))
                group.future.exception()
            raise
        else:
            if not group.future.done():
                group.future.set_result(None)

    def _name(self, record: NewRecord) -> str:
        return message_id(record.lane, record.key) if record.key else f"{self._run}{next(self._numbers):016x}"

    def _count(self, records: Iterable[NewRecord], outcome: Outcome, reason: str) -> None:
        for lane, n in Counter(record.lane for record in records).items():
            self._totals.add(lane, outcome, reason, n)

    async def _publish(self, named: list[tuple[str, NewRecord]], timeout_s: float) -> bool:
        """False: the broker is away, and may have some of them. SpoolUnavailable: it has no room for all of them."""
        try:
            async with asyncio.timeout(timeout_s):
                for lane in {record.lane for _, record in named}:
                    await self.ensure(lane)
                answers = await self._wire.ask([self._message(id_, record) for id_, record in named], timeout_s)
        except (BrokerAway, Refused, TimeoutError) as error:
            self.open_breaker(str(error) or "no answer in time")
            return False
        refusals = [refused for answer in answers if (refused := _refusal(answer)) is not None]
        if not refusals:
            repeated = [record for answer, (_, record) in zip(answers, named, strict=True) if _known(answer)]
            self._count(repeated, Outcome.DEDUPLICATED, Reason.REPEATED.value)
            return True
        if any(refused.code not in _FULL for refused in refusals):
            self.open_breaker(str(refusals[0]))
            return False
        await self._take_back(answers, [record for _, record in named])
        raise SpoolUnavailable(Reason.SPOOL_FULL, "the broker's stream has reached max_bytes", 30)

    async def _take_back(self, answers: list[Answer], records: list[NewRecord]) -> None:
        """Their senders are told to come back. A record with a key stays: the broker would swallow it when it is sent again, because it remembers the ids of removed messages too."""
        for answer, record in zip(answers, records, strict=True):
            if _refusal(answer) is not None or _known(answer):
                continue
            if record.key:
                self._count([record], Outcome.ACCEPTED, "")
                continue
            with suppress(BrokerAway):
                await self._wire.delete(self._names.queue, answer.json()["seq"])

    def _message(self, id_: str, record: NewRecord) -> Message:
        subject = self._names.subject(self._names.queue, record.lane, record.owner)
        return Message(subject, record.payload, {"Nats-Msg-Id": id_, "Ttgw-At": repr(record.accepted_at)})

    async def ensure(self, lane: str) -> None:
        """The lane's consumers exist."""
        holding = self._holdings.lane(lane)
        if not holding.known:
            await ensure_lane(self._wire, self._names, self._settings, lane)
            holding.known = True

    # --- forwarding

    async def make_ready(self) -> None:
        """Connected, and the streams are as they have to be."""
        await prepare(self._wire, self._names, self._settings)
        self._ready = True

    async def _forward(self) -> None:
        while True:
            self._wake.clear()
            if self.away or await self._local.lanes():
                await self._try_forward()
            if self._wake.is_set() and not self.away:
                continue
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S if self.away else 5.0):
                    await self._wake.wait()
            if self.away:
                await asyncio.sleep(_LOOK_S)

    async def _try_forward(self) -> None:
        try:
            if not self._wire.connected:
                return
            if not self._ready:
                await self.make_ready()
            while lanes := await self._local.lanes():
                await self.withdrawals.learn()
                for lane in lanes:
                    await self._forward_lane(lane)
        except (BrokerAway, Refused, SpoolUnavailable) as error:
            if str(error) != self._said:
                self._said = str(error)
                _log.warning("cannot forward to the broker; it is tried again", extra={"problem": self._said})
            return
        self._said = ""
        if self.away:
            self.away = False
            _log.info("the broker is in use")
            self.on_back()

    async def _forward_lane(self, lane: str) -> None:
        async with self._gate.shared(), self.withdrawals.counting:
            records = await self._local.lease(lane, _FORWARD_RECORDS, _FORWARD_BYTES, 0.0)
            if not records:
                raise BrokerAway("records are in other hands")
            records = await self._permitted(records)
            try:
                await self.ensure(lane)
                unwrapped = [_unwrapped(record) for record in records]
                answers = await self._wire.ask([self._message(id_, record) for _, id_, record in unwrapped], _FORWARD_TIMEOUT_S)
                for answer in answers:
                    answer.json()
            except BaseException:
                self._tried.update(record.payload[1 : 1 + _ID_BYTES].decode("ascii", "replace") for record in records)
                await self._local.release([record.id for record in records])
                raise
            await self._local.settle(Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in records]))
            for answer, (how, id_, record) in zip(answers, unwrapped, strict=True):
                if _known(answer) and how == _NEW and id_ not in self._tried:
                    self._count([record], Outcome.DEDUPLICATED, Reason.REPEATED.value)
                self._tried.discard(id_)
            await self.withdrawals.learn()
            for owner, needle, reason in {(owner, needle, reason) for _, owner, needle, reason in self._withdrawn(records)}:
                self.on_late(owner, needle, reason)

    async def _permitted(self, records: list[Record]) -> list[Record]:
        """What was withdrawn while it lay here is not forwarded."""
        withdrawn = self._withdrawn(records)
        if not withdrawn:
            return records
        await self._local.settle(Settlement(done=[Done(record.id, Outcome.PURGED, reason) for record, _, _, reason in withdrawn]))
        for record, _, _, reason in withdrawn:
            self._totals.add(record.lane, Outcome.PURGED, reason.value)
        gone = {record.id for record, *_ in withdrawn}
        return [record for record in records if record.id not in gone]

    def _withdrawn(self, records: list[Record]) -> list[tuple[Record, str, bytes, Reason]]:
        return [
            (record, "" if found[1] else record.owner, found[1], found[0])
            for record in records
            if (found := self.withdrawals.reason(record.owner, record.accepted_at, record.payload)) is not None
        ]

    async def close(self) -> None:
        """Finish what runs."""
        if self._group is not None:
            self._commit(self._group)
        if self._storing:
            await asyncio.wait(self._storing)
        await tasks.cancel(self._forwarder)


def _unwrapped(record: Record) -> tuple[bytes, str, NewRecord]:
    how, id_, payload = record.payload[:1], record.payload[1 : 1 + _ID_BYTES], record.payload[1 + _ID_BYTES :]
    return how, id_.decode("ascii", "replace"), NewRecord(record.lane, record.owner, record.accepted_at, payload)


def _known(answer: Answer) -> bool:
    """The broker had a message of that id already."""
    return b'"duplicate"' in answer.data and bool(answer.json().get("duplicate"))


def _refusal(answer: Answer) -> Refused | None:
    try:
        answer.json()
    except Refused as refused:
        return refused
    return None
