"""From the files of one gateway to the broker (io): what ``ttgateway spool move`` does.

Law: a record leaves the files when the broker has acknowledged it, never before. It goes under an id that is made of what it holds: moved once more after an interruption, it is kept
once. Pods that use the broker meanwhile are not in the way; a gateway on the files is, and is noticed by its lock. What a visitor has withdrawn while his records lay in the files
stays behind: the notes of withdrawals are read before and after each portion.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from hashlib import blake2b

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import DeadLetter, Done, Mark, Record, Settlement
from gateway.spool.jetstream.fates import TRIED, letter, mark_message, tries_text
from gateway.spool.jetstream.names import Names
from gateway.spool.jetstream.streams import check_version, ensure_lane, prepare
from gateway.spool.jetstream.totals import Totals
from gateway.spool.jetstream.wire import Answer, BrokerAway, Message, Refused, Wire, options
from gateway.spool.jetstream.withdrawals import Withdrawals
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

_RECORDS = 256
_BYTES = 1 << 20
"""In flight at once: a broker in its first seconds must not be drowned."""
_TIMEOUT_S = 5.0
_PATIENCE_S = 30.0
"""A broker that is away, or whose servers are choosing a leader, is waited for that long."""
_FIRST_KEY = -(1 << 63) - 1


@dataclass(slots=True)
class Moved:
    """How many so far."""

    queued: int = 0
    letters: int = 0
    marks: int = 0
    withdrawn: int = 0
    """Removed instead: their visitors had withdrawn meanwhile."""
    known: int = 0
    """Of these, what the broker had already: an earlier move was interrupted before it could note them."""


class Moving:
    """One move."""

    def __init__(self, source: SqliteSpool, settings: SpoolSettings) -> None:
        """Reads the files that ``settings`` name; SpoolUnavailable if they cannot be used."""
        self.moved = Moved()
        self._source = source
        self._settings = settings
        self._names = Names(settings.stream)
        self._wire = Wire(options(settings, "admin"), lambda: None)
        self._totals = Totals(self._wire, self._names)
        self._withdrawals = Withdrawals(self._wire, self._names)
        self._lanes: set[str] = set()

    async def run(self, told: Callable[[Moved], None]) -> Moved:
        """Everything; ``told`` after each portion. SpoolUnavailable when it cannot go on: what is moved is moved, the rest is where it was."""
        try:
            await self._wire.connect()
            check_version(self._wire.version)
            await prepare(self._wire, self._names, self._settings)
            self._source.hasten()
            for lane in await self._source.lanes():
                while records := await self._source.lease(lane, _RECORDS, _BYTES, 0.0):
                    await self._queued(lane, records)
                    told(self.moved)
            while letters := await self._source.dead_list(None, 0, _RECORDS):
                await self._letters(letters)
                told(self.moved)
            after = _FIRST_KEY
            while marks := await self._source.marks(max(after, _FIRST_KEY + 1), _RECORDS):
                await self._marks(marks)
                told(self.moved)
                after = marks[-1].key
            await self._totals.pay(_TIMEOUT_S)
        except (BrokerAway, Refused) as error:
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, f"the broker: {error}") from None
        finally:
            await self._wire.close()
        return self.moved

    async def _queued(self, lane: str, leased: Sequence[Record]) -> None:
        names = self._names
        try:
            await self._withdrawals.learn()
        except BaseException:
            await self._source.release([record.id for record in leased])
            raise
        reasons = {record.id: reason for record in leased if (reason := self._reason(record))}
        if reasons:
            await self._source.settle(Settlement(done=[Done(id_, Outcome.PURGED, reason) for id_, reason in reasons.items()]))
        self.moved.withdrawn += len(reasons)
        if not (records := [record for record in leased if record.id not in reasons]):
            return
        messages = [
            Message(
                names.subject(names.queue, lane, record.owner),
                record.payload,
                {
                    "Nats-Msg-Id": _id(lane, record.owner, record.accepted_at, record.payload),
                    "Ttgw-At": repr(record.accepted_at),
                    "Ttgw-Tries": str(record.attempts),
                    TRIED: tries_text(record.tries),
                },
            )
            for record in records
        ]
        try:
            await self._lane(lane)
            answers = await self._ask(messages)
        except BaseException:
            await self._source.release([record.id for record in records])
            raise
        taken = [record for record, answer in zip(records, answers, strict=True) if _refusal(answer) is None]
        await self._source.settle(Settlement(done=[Done(record.id, Outcome.DROPPED, Reason.MOVED) for record in taken]))
        new = self._new(answers)
        self.moved.queued += len(taken)
        self._totals.add(lane, Outcome.ACCEPTED, "", new)
        await self._take_back(names.queue, records, answers)
        await self._totals.pay(_TIMEOUT_S)
        if len(taken) < len(records):
            await self._source.release([record.id for record, answer in zip(records, answers, strict=True) if _refusal(answer)])
            _raise_first(answers)

    async def _letters(self, found: Sequence[DeadLetter]) -> None:
        await self._withdrawals.learn()
        withdrawn = [each.id for each in found if self._reason(each)]
        self.moved.withdrawn += await self._source.dead_drop(withdrawn)
        letters = [each for each in found if each.id not in withdrawn]
        messages = []
        for each in letters:
            await self._lane(each.lane)
            record = Record(0, each.lane, each.owner, each.accepted_at, each.payload, each.attempts, each.tries)
            id_ = _id(each.lane, each.owner, each.accepted_at, each.payload)
            messages.append(letter(self._names, record, id_, each.attempts, each.reason, each.answer, each.died_at))
        answers = await self._ask(messages)
        taken = [each for each, answer in zip(letters, answers, strict=True) if _refusal(answer) is None]
        await self._source.dead_drop([each.id for each in taken])
        self.moved.letters += len(taken)
        self._new(answers)
        for each, answer in zip(letters, answers, strict=True):
            if _refusal(answer) is None and not answer.json().get("duplicate"):
                self._totals.add(each.lane, Outcome.ACCEPTED, "")
                self._totals.add(each.lane, Outcome.DEAD, each.reason)
        await self._take_back(self._names.dead, letters, answers)
        await self._totals.pay(_TIMEOUT_S)
        _raise_first(answers)

    def _reason(self, record: Record | DeadLetter) -> Reason | None:
        found = self._withdrawals.reason(record.owner, record.accepted_at, record.payload)
        return found[0] if found is not None else None

    async def _take_back(self, stream: str, records: Sequence[Record | DeadLetter], answers: Sequence[Answer]) -> None:
        """What was withdrawn while it was on its way: whoever removes has looked at the broker too early."""
        await self._withdrawals.learn()
        for record, answer in zip(records, answers, strict=True):
            if _refusal(answer) is not None or (reason := self._reason(record)) is None:
                continue
            if await self._wire.delete(stream, answer.json()["seq"]):
                if isinstance(record, DeadLetter):
                    self._totals.add(record.lane, Outcome.DEAD, record.reason, -1)
                self._totals.add(record.lane, Outcome.PURGED, reason.value)
                self.moved.withdrawn += 1

    async def _marks(self, marks: Sequence[Mark]) -> None:
        now = time.time()
        lasting = [mark for mark in marks if mark.until > now]
        _raise_first(await self._ask([mark_message(self._names, mark.key, mark.until, now) for mark in lasting]))
        self.moved.marks += len(lasting)

    def _new(self, answers: Sequence[Answer]) -> int:
        taken = [answer for answer in answers if _refusal(answer) is None]
        known = sum(bool(answer.json().get("duplicate")) for answer in taken)
        self.moved.known += known
        return len(taken) - known

    async def _lane(self, lane: str) -> None:
        if lane not in self._lanes:
            await ensure_lane(self._wire, self._names, self._settings, lane)
            self._lanes.add(lane)

    async def _ask(self, messages: Sequence[Message]) -> list[Answer]:
        end = time.monotonic() + _PATIENCE_S
        while True:
            try:
                return await self._wire.ask(messages, _TIMEOUT_S)
            except BrokerAway:
                if time.monotonic() > end:
                    raise
            await asyncio.sleep(0.2)


def _id(lane: str, owner: str, accepted_at: float, payload: bytes) -> str:
    head = f"move\n{lane}\n{owner}\n{accepted_at!r}\n"
    return blake2b(head.encode("utf-8", "surrogatepass") + payload, digest_size=16).hexdigest()


def _refusal(answer: Answer) -> Refused | None:
    try:
        answer.json()
    except Refused as refused:
        return refused
    return None


def _raise_first(answers: Sequence[Answer]) -> None:
    for answer in answers:
        answer.json()
