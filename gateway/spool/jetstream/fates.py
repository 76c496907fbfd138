"""What becomes of leased records (io): settled, postponed, buried.

Law: what a record turns into is acknowledged by the broker before the record itself is; a settlement that the broker's absence interrupts is repeated until it is known to
be whole, each part under an id that the broker counts once.
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TypeVar
from urllib.parse import quote, unquote

import orjson

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import DeadLetter, Mark, Record, Retry, Settlement, Tries, plain, tried, tries_of
from gateway.spool.jetstream.holding import Held, Holdings
from gateway.spool.jetstream.names import Names, lane_of, owner_of
from gateway.spool.jetstream.totals import Totals
from gateway.spool.jetstream.wire import Answer, BrokerAway, Message, Refused, Wire, sequence_of

_log = logging.getLogger(__name__)
T = TypeVar("T")
_TIMEOUT_S = 3.0
_PAUSE_S = 0.2
_ANSWER_CHARS = 2000
TRIED = "Ttgw-Tried"
"""The last tries: ``[[time, reason, code], …]``. Codes are ASCII."""


class Fates:
    """Settlements."""

    def __init__(self, wire: Wire, names: Names, holdings: Holdings, totals: Totals, open_: Callable[[], bool]) -> None:
        self._wire = wire
        self._names = names
        self._holdings = holdings
        self._totals = totals
        self._open = open_

    async def settle(self, settlement: Settlement) -> None:
        """See :meth:`Spool.settle`."""
        now = time.time()
        marks = await self._lasting(lambda: self._new_marks(settlement.marks, now)) if settlement.marks else []
        taken: list[Held] = []
        tallies: list[tuple[str, Outcome, Reason]] = []
        for id_, outcome, reason in settlement.done:
            if (held := self._take(id_, taken)) is not None:
                tallies.append((held.record.lane, outcome, reason))
                if held.counted:  # somebody has told the visitor's purge about it already
                    self._totals.add(held.record.lane, Outcome.PURGED, (held.doomed or Reason.NONE).value, -1)
        turned = [
            self._postponed(held, retry, now)
            for retry in settlement.retry
            if (held := self._take(retry.id, taken)) is not None and not self._doomed(held, tallies)
        ]
        for death in settlement.dead:
            if (held := self._take(death.id, taken)) is not None and not self._doomed(held, tallies):
                record = held.record._replace(tries=death.tries(held.record.tries, now))
                name = f"{held.stream}{held.sequence}"
                turned.append(self.letter(record, name, record.attempts + 1, death.reason, death.answer))
                tallies.append((record.lane, Outcome.DEAD, death.reason))
        if turned or marks:
            await self._lasting(lambda: self._ask([*marks, *turned]))
        if taken:
            await self._lasting(lambda: self._acknowledge(taken))
        for held in taken:
            self._holdings.forget(held)
        for lane, outcome, reason in tallies:
            self._totals.add(lane, outcome, reason.value)

    def _take(self, id_: int, taken: list[Held]) -> Held | None:
        held = self._holdings.leased(id_)
        if held is None:
            return None
        # It stays in its place, still kept alive, until the broker has been told; but it can be settled no second time.
        del self._holdings.by_id[id_]
        taken.append(held)
        return held

    def _doomed(self, held: Held, tallies: list[tuple[str, Outcome, Reason]]) -> bool:
        if held.doomed is None:
            return False
        if not held.counted:
            tallies.append((held.record.lane, Outcome.PURGED, held.doomed))
        return True

    def _postponed(self, held: Held, retry: Retry, now: float) -> Message:
        record = held.record
        headers = {
            "Nats-Msg-Id": f"{held.stream}{held.sequence}",
            "Ttgw-At": repr(record.accepted_at),
            "Ttgw-Due": repr(retry.due),
            "Ttgw-Tries": str(record.attempts + 1),
            TRIED: tries_text(tried(record.tries, now, retry.reason, retry.code)),
        }
        return Message(self._names.subject(self._names.later, record.lane, record.owner), record.payload, headers)

    def letter(self, record: Record, id_: str, attempts: int, reason: Reason, answer: str) -> Message:
        """A record as a dead letter."""
        return letter(self._names, record, id_, attempts, reason.value, answer, time.time())

    async def _ask(self, messages: Sequence[Message]) -> None:
        for answer in await self._wire.ask(messages, _TIMEOUT_S):
            answer.json()

    async def _acknowledge(self, taken: list[Held]) -> None:
        # Answered acknowledgements: one that is lost unnoticed would mean a second delivery.
        there = [held for held in taken if not held.counted]
        try:
            await self._wire.ask([Message(held.ack, b"+ACK") for held in there], _TIMEOUT_S)
        except BrokerAway:
            if not self._wire.connected:
                raise
            # One that was killed may have forgotten that it handed them out, and says nothing to that; the records themselves it has not forgotten.
            for held in there:
                await self._wire.delete(held.stream, held.sequence)

    async def _lasting(self, run: Callable[[], Awaitable[T]]) -> T:
        """Until it succeeds; SpoolUnavailable only when the spool is closed meanwhile."""
        while True:
            if not self._open():
                raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "closed")
            try:
                return await run()
            except (BrokerAway, Refused) as error:
                _log.debug("settlement waits for the broker: %s", error)
            await asyncio.sleep(_PAUSE_S)

    async def _new_marks(self, marks: Sequence[Mark], now: float) -> list[Message]:
        """Those that last longer than what is there."""
        wanted: dict[int, float] = {}
        for mark in marks:
            if mark.until >= now:
                wanted[mark.key] = max(mark.until, wanted.get(mark.key, 0.0))
        there = await self.marks(list(wanted))
        return [mark_message(self._names, key, until, now) for key, until in wanted.items() if until > there.get(key, 0.0)]

    async def marks(self, keys: Sequence[int]) -> dict[int, float]:
        """Until when each is marked, as far as it is."""
        if not keys:
            return {}
        found = await self._wire.read(self._names.marks, [{"last_by_subj": f"{self._names.marks}.{key}"} for key in keys])
        return {key: float(answer.data) for key, answer in zip(keys, found, strict=True) if answer is not None and answer.data}


def tries_text(tries: Tries) -> str:
    """For the header :data:`TRIED`."""
    return orjson.dumps(plain(tries)).decode()


def tries_in(headers: Mapping[str, str]) -> Tries:
    """What the header says; none, if an older pod wrote the message."""
    try:
        return tries_of(orjson.loads(headers.get(TRIED, "[]")))
    except ValueError:
        return ()


def letter(names: Names, record: Record, id_: str, attempts: int, reason: str, answer: str, died_at: float) -> Message:
    """A record as a dead letter."""
    headers = {
        "Nats-Msg-Id": id_,
        "Ttgw-At": repr(record.accepted_at),
        "Ttgw-Died": repr(died_at),
        "Ttgw-Tries": str(attempts),
        TRIED: tries_text(record.tries),
        "Ttgw-Reason": reason,
        "Ttgw-Answer": quote(answer[:_ANSWER_CHARS]),
    }
    return Message(names.subject(names.dead, record.lane, record.owner), record.payload, headers)


def mark_message(names: Names, key: int, until: float, now: float) -> Message:
    """A mark, gone by itself when its time is over."""
    return Message(f"{names.marks}.{key}", repr(until).encode(), {"Nats-TTL": f"{max(1, int(until - now) + 1)}s"})


def letter_of(answer: Answer) -> DeadLetter:
    """A stored dead letter."""
    headers = answer.headers
    subject = headers["Nats-Subject"]
    return DeadLetter(
        id=sequence_of(answer),
        lane=lane_of(subject),
        owner=owner_of(subject),
        accepted_at=float(headers.get("Ttgw-At", 0)),
        died_at=float(headers.get("Ttgw-Died", 0)),
        attempts=int(headers.get("Ttgw-Tries", 0)),
        reason=headers.get("Ttgw-Reason", ""),
        answer=unquote(headers.get("Ttgw-Answer", "")),
        payload=answer.data,
        tries=tries_in(headers),
    )
