"""Who has withdrawn, as far as a pod's own disk has to know (io): notes on the broker, kept for a day.

Law: a note is stored before anything is removed, and is looked for before and after what lies on a disk is forwarded: whatever the order, either the one who removes finds the record
or the one who forwards finds the note. Only what was accepted before a note falls under it.
"""

import asyncio
import time
from collections import OrderedDict

import orjson

from gateway.outcome import Reason
from gateway.spool.jetstream.names import Names, text, token
from gateway.spool.jetstream.wire import Answer, BrokerAway, Message, Wire, sequence_of

KEPT_S = 86400
"""A pod that was away for longer may forward what was withdrawn meanwhile."""
_MOST = 100_000
_SKEW_S = 5.0
"""Clocks of two machines."""
_TIMEOUT_S = 3.0


class Withdrawals:
    """The notes, as one process knows them."""

    def __init__(self, wire: Wire, names: Names) -> None:
        self._wire = wire
        self._stream = names.purges
        self._seen = 0
        self.counting = asyncio.Lock()
        """Whoever removes from this disk and counts by what its totals were before, and whoever forwards: one at a time, so that nothing is counted as both."""
        self._owners: OrderedDict[str, tuple[float, Reason]] = OrderedDict()
        self._needles: OrderedDict[bytes, tuple[float, Reason]] = OrderedDict()

    async def note(self, owner: str, needle: bytes, reason: Reason, at: float) -> None:
        """Store that the records of ``owner``, or those that hold ``needle``, are to go. BrokerAway, Refused."""
        kind, name = ("owner", owner) if owner else ("needle", needle.decode("latin-1"))
        body = orjson.dumps({"at": at, "reason": reason.value})
        (answer,) = await self._wire.ask([Message(f"{self._stream}.{kind}.{token(name)}", body)], _TIMEOUT_S)
        answer.json()

    async def learn(self) -> None:
        """Know all notes that are stored by now. BrokerAway, Refused."""
        state = (await self._wire.api(f"STREAM.INFO.{self._stream}"))["state"]
        last = int(state["last_seq"])
        if last == self._seen:
            return
        if last < self._seen:
            self._seen = 0  # another stream than before
        found = await self._wire.scan(self._stream, f"{self._stream}.>", self._seen, _MOST)
        for answer in found:
            self._read(answer)
        if state["messages"] and (not found or sequence_of(found[-1]) < last):
            raise BrokerAway("a note of a withdrawal cannot be read yet")
        self._seen = last

    def _read(self, answer: Answer) -> None:
        try:
            _, kind, name = answer.headers["Nats-Subject"].split(".")
            body = orjson.loads(answer.data)
            told = min(float(body["at"]), time.time() + _SKEW_S), Reason(body["reason"])
        except (ValueError, KeyError, TypeError):
            return
        if kind == "owner":
            _keep(self._owners, text(name), told)
        else:
            _keep(self._needles, text(name).encode("latin-1", "replace"), told)

    def reason(self, owner: str, accepted_at: float, payload: bytes) -> tuple[Reason, bytes] | None:
        """Why a record must not go out, and the needle it was found by (empty = its owner); None = it may."""
        told = self._owners.get(owner) if owner else None
        if told is not None and accepted_at <= told[0] + _SKEW_S:
            return told[1], b""
        for needle, (at, why) in self._needles.items():
            if accepted_at <= at + _SKEW_S and needle in payload:
                return why, needle
        return None


def _keep(notes: OrderedDict, key: object, told: tuple[float, Reason]) -> None:  # type: ignore[type-arg]
    notes[key] = told
    notes.move_to_end(key)
    if len(notes) > _MOST:
        notes.popitem(last=False)
