"""Withdrawals and erasures (io): records removed on the broker, from all pods' hands and from all pods' disks.

Law: every record leaves counted once, by whoever removes it; what is leased is purged when it comes back. What one pod removes is said to all; who does not hear it finds the note
before he forwards (:mod:`gateway.spool.jetstream.withdrawals`).
"""

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

import orjson

from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import OnRemoval, Purged, Record, Spool, nobody_told
from gateway.spool.jetstream.fetching import Fetching
from gateway.spool.jetstream.gate import Gate
from gateway.spool.jetstream.holding import Held, Holdings
from gateway.spool.jetstream.intake import Intake
from gateway.spool.jetstream.letters import Letters
from gateway.spool.jetstream.names import Names, lane_of, token
from gateway.spool.jetstream.totals import Totals
from gateway.spool.jetstream.wire import Answer, BrokerAway, Message, Refused, Wire, sequence_of
from gateway.telemetry import tasks

_log = logging.getLogger(__name__)
_TIMEOUT_S = 3.0
_EVERYTHING = 1 << 40
_MAX_UNPURGED = 100_000
_AGAIN_S = 2.0


class Purging:
    """One process's part in it."""

    def __init__(
        self,
        wire: Wire,
        names: Names,
        holdings: Holdings,
        fetching: Fetching,
        letters: Letters,
        totals: Totals,
        gate: Gate,
        local: Spool,
        intake: Intake,
    ) -> None:
        self._wire = wire
        self._names = names
        self._holdings = holdings
        self._fetching = fetching
        self._letters = letters
        self._totals = totals
        self._gate = gate
        self._local = local
        self._withdrawals = intake.withdrawals
        self._unpurged: dict[str, tuple[Reason, float]] = {}
        self._repeating: asyncio.Task[None] | None = None
        self.on_removal: OnRemoval = nobody_told
        fetching.on_withdrawn = lambda *what: tasks.spawn(self._withdrawn(*what), "purge")
        intake.on_late = lambda *what: tasks.spawn(self._late(*what), "purge")

    # -- asked for here

    async def purge(self, owner: str, reason: Reason, at: float) -> Purged:
        """An owner's records, wherever they are; how many were removed from here. BrokerAway: what is on this disk is gone, the rest goes as soon as the broker is back."""
        self.on_removal(owner, b"", at)
        try:
            return await self._purge(owner, reason, at)
        except (BrokerAway, Refused):
            self.again()
            raise

    async def _purge(self, owner: str, reason: Reason, at: float) -> Purged:
        # At once: whoever has leased them may be about to send them, and the broker may be away for long.
        under_way = self._doom_leased(lambda record: record.owner == owner, reason)
        async with self._gate.shared():
            purged, late = await self._counted_locally(lambda: self._local.purge(owner, reason))
            if len(self._unpurged) < _MAX_UNPURGED:
                self._unpurged[owner] = reason, at  # until the broker is known to have removed it
            await self._withdrawals.note(owner, b"", reason, at)
            for stream in (self._names.queue, self._names.later):
                purged += await self._purge_stream(stream, owner, reason, at)
            letters = await self._wire.scan(self._names.dead, f"{self._names.dead}.*.*.{token(owner)}", 0, _EVERYTHING)
            purged += await self._letters.remove(letters, Outcome.PURGED, reason)
        self._unpurged.pop(owner, None)
        return Purged(purged, under_way + late)

    def again(self) -> None:
        """What the broker could not be asked for is asked for until it is done."""
        if self._unpurged and (self._repeating is None or self._repeating.done()):
            self._repeating = tasks.spawn(self._repeat(), "purge")

    async def _repeat(self) -> None:
        while self._unpurged:
            for owner, (reason, at) in list(self._unpurged.items()):
                with suppress(SpoolUnavailable, BrokerAway, Refused):
                    await self._purge(owner, reason, at)
            await asyncio.sleep(_AGAIN_S)

    async def close(self) -> None:
        """Ask no more."""
        await tasks.cancel(self._repeating)

    async def erase(self, needle: bytes, reason: Reason) -> Purged:
        """All records that hold ``needle``."""
        at = time.time()
        self.on_removal("", needle, at)
        under_way = self._doom_leased(lambda record: needle in record.payload, reason)
        async with self._gate.shared():
            erased, late = await self._counted_locally(lambda: self._local.erase(needle, reason))
            await self._withdrawals.note("", needle, reason, at)
            told = {"needle": needle.decode("latin-1"), "reason": reason.value, "at": at}
            # First here: what we say comes back to us as if another pod had counted it.
            dropped = self._doom_those(lambda record: needle in record.payload, reason, counted=False)
            await self._wire.send(Message(self._names.control, orjson.dumps(told)))
            for stream in (self._names.queue, self._names.later):
                async for message in self._wire.all(stream, f"{stream}.>"):
                    if needle in message.data and await self._remove_one(stream, message, reason):
                        erased += 1
            await self.let_go(dropped)
            letters = [each async for each in self._wire.all(self._names.dead, f"{self._names.dead}.>") if needle in each.data]
            erased += await self._letters.remove(letters, Outcome.PURGED, reason)
            return Purged(erased, under_way + late)

    async def _late(self, owner: str, needle: bytes, reason: Reason) -> None:
        """A record was forwarded while it was being withdrawn."""
        with suppress(SpoolUnavailable, BrokerAway, Refused):
            await (self.erase(needle, reason) if needle else self.purge(owner, reason, time.time()))

    async def _purge_stream(self, stream: str, owner: str, reason: Reason, at: float) -> int:
        subject = f"{stream}.*.*.{token(owner)}"
        last = (await self._wire.api(f"STREAM.INFO.{stream}"))["state"]["last_seq"]
        told = {"stream": stream, "owner": owner, "up_to": last, "reason": reason.value, "at": at}
        dropped = self._doom_owner(stream, owner, last, reason, counted=False)
        await self._wire.send(Message(self._names.control, orjson.dumps(told)))
        # One by one: the broker's own purge would take what is leased from under its deliverer, and could not say how much that was.
        purged = sum([await self._remove_one(stream, message, reason) async for message in self._wire.all(stream, subject)])
        await self.let_go(dropped)
        return purged

    async def let_go(self, dropped: Sequence[Held]) -> None:
        """The broker counts what it has handed out as waiting, though its message has been removed, until it is told."""
        for answer in await self._wire.ask([Message(held.ack, b"+ACK") for held in dropped], _TIMEOUT_S):
            answer.json()

    async def _remove_one(self, stream: str, message: Answer, reason: Reason) -> bool:
        """False if it is leased here, or had gone already."""
        sequence = sequence_of(message)
        held = self._holdings.by_place.get((stream, sequence))
        if held is not None and self._doom(held, reason, counted=False):
            return False
        removed = await self._wire.delete(stream, sequence)
        if held is not None:
            await self.let_go([held])
        if not removed:
            return False
        self._totals.add(lane_of(message.headers["Nats-Subject"]), Outcome.PURGED, reason.value)
        return True

    async def _withdrawn(self, stream: str, sequence: int, lane: str, reason: Reason) -> None:
        """It was in the hands of a deliverer that has ended, or on its way here while it was being purged."""
        with suppress(BrokerAway):
            async with self._gate.shared():
                if await self._wire.delete(stream, sequence):
                    self._totals.add(lane, Outcome.PURGED, reason.value)

    # -- said by others

    def told(self, words: bytes) -> None:
        """Records are nobody's any more: here or, said by another pod, there."""
        try:
            told = orjson.loads(words)
            reason, at = Reason(told["reason"]), float(told.get("at", 0.0)) or time.time()
            if "needle" in told:
                self._erased_elsewhere(told["needle"].encode("latin-1"), reason, at)
                return
            stream, owner, up_to = told["stream"], str(told["owner"]), int(told["up_to"])
        except (ValueError, KeyError, TypeError, AttributeError, OverflowError):
            _log.warning("a message on the control subject cannot be read")
            return
        self._forget(self._doom_owner(stream, owner, up_to, reason, counted=True))
        if stream == self._names.queue:
            self.on_removal(owner, b"", at)
            tasks.spawn(self._purge_here(lambda: self._local.purge(owner, reason)), "purge")

    def _erased_elsewhere(self, needle: bytes, reason: Reason, at: float) -> None:
        if not needle:
            return
        self.on_removal("", needle, at)
        self._forget(self._doom_those(lambda record: needle in record.payload, reason, counted=True))
        tasks.spawn(self._purge_here(lambda: self._local.erase(needle, reason)), "purge")

    async def _purge_here(self, removal: Callable[[], Awaitable[Purged]]) -> None:
        """From this disk, what another pod was asked to remove."""
        with suppress(SpoolUnavailable):
            async with self._gate.shared():
                if removed := (await self._counted_locally(removal)).removed:
                    _log.info("records purged from this disk, as another pod said", extra={"records": removed})

    def _forget(self, dropped: Sequence[Held]) -> None:
        if dropped:
            tasks.spawn(self._let_go_later(dropped), "purge")

    async def _let_go_later(self, dropped: Sequence[Held]) -> None:
        with suppress(BrokerAway):
            await self._wire.send(*(Message(held.ack, b"+ACK") for held in dropped))

    # -- in hand

    def _doom_owner(self, stream: str, owner: str, up_to: int, reason: Reason, *, counted: bool) -> list[Held]:
        """Those that nobody had leased."""
        self._fetching.withdraw(stream, owner, up_to, reason)
        places = self._holdings.by_place.values()
        found = [held for held in places if held.stream == stream and held.record.owner == owner and held.sequence <= up_to]
        return [held for held in found if not self._doom(held, reason, counted=counted)]

    def _doom_leased(self, which: Callable[[Record], bool], reason: Reason) -> int:
        """How many were not doomed yet."""
        found = [held for held in self._holdings.by_place.values() if held.leased and held.doomed is None and which(held.record)]
        for held in found:
            self._doom(held, reason, counted=False)
        return len(found)

    def _doom_those(self, which: Callable[[Record], bool], reason: Reason, *, counted: bool) -> list[Held]:
        found = [held for held in self._holdings.by_place.values() if which(held.record)]
        return [held for held in found if not self._doom(held, reason, counted=counted)]

    def _doom(self, held: Held, reason: Reason, *, counted: bool) -> bool:
        """True: it is leased, and purged when it comes back; else it is handed to nobody."""
        if not held.leased:
            self._holdings.forget(held)
        elif held.doomed is None:
            held.doomed, held.counted = reason, counted
            self._holdings.doomed[held.record.id] = reason
        return held.leased

    async def _counted_locally(self, removal: Callable[[], Awaitable[Purged]]) -> Purged:
        async with self._withdrawals.counting:
            before = (await self._local.stats()).totals
            purged = await removal()
            for key, n in (await self._local.stats()).totals.items() if purged.removed else ():
                if key[1] == Outcome.PURGED.value:
                    self._totals.add(key[0], Outcome.PURGED, key[2], n - before.get(key, 0))
        return purged


@contextmanager
def translated() -> Iterator[None]:
    """What the caller of a spool may see."""
    try:
        yield
    except (BrokerAway, Refused) as error:
        raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, f"the broker: {error}") from None
