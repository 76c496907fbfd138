"""Dead letters on the broker (io): shown, replayed, removed.

Law: two operators at once cannot have one letter twice: whoever removes it counts, and what the other one has queued meanwhile is taken back.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence

from gateway.outcome import Outcome, Reason
from gateway.spool.base import DeadLetter
from gateway.spool.jetstream.fates import letter_of
from gateway.spool.jetstream.names import Names, lane_tokens
from gateway.spool.jetstream.totals import Totals
from gateway.spool.jetstream.wire import Answer, Message, Wire

_TIMEOUT_S = 3.0


class Letters:
    """The stream of dead letters; a letter's id is its sequence there."""

    def __init__(self, wire: Wire, names: Names, totals: Totals, ensure: Callable[[str], Awaitable[None]]) -> None:
        self._wire = wire
        self._names = names
        self._totals = totals
        self._ensure = ensure
        self._lock = asyncio.Lock()

    async def list(self, lane: str | None, after: int, limit: int) -> Sequence[DeadLetter]:
        """See :meth:`Spool.dead_list`."""
        subject = f"{self._names.dead}.>" if lane is None else f"{self._names.dead}.{lane_tokens(lane)}.*"
        return [letter_of(each) for each in await self._wire.scan(self._names.dead, subject, max(0, after), limit)]

    async def replay(self, ids: Sequence[int]) -> int:
        """See :meth:`Spool.dead_replay`."""
        async with self._lock:
            return sum([await self._replay(letter_of(message)) for message in await self._read(ids)])

    async def _replay(self, letter: DeadLetter) -> bool:
        await self._ensure(letter.lane)
        subject = self._names.subject(self._names.queue, letter.lane, letter.owner)
        # Its own id again would be swallowed: the broker remembers one even after its record has been delivered.
        headers = {"Nats-Msg-Id": f"replay-{letter.id}-{letter.died_at!r}", "Ttgw-At": repr(time.time())}
        (answer,) = await self._wire.ask([Message(subject, letter.payload, headers)], _TIMEOUT_S)
        stored = answer.json()
        if await self._wire.delete(self._names.dead, letter.id):
            self._totals.add(letter.lane, Outcome.DEAD, letter.reason, -1)
            return True
        if not stored.get("duplicate"):
            await self._wire.delete(self._names.queue, stored["seq"])  # another pod's operator was quicker
        return False

    async def drop(self, ids: Sequence[int]) -> int:
        """See :meth:`Spool.dead_drop`."""
        async with self._lock:
            return await self.remove(await self._read(ids), Outcome.DROPPED, Reason.OPERATOR)

    async def _read(self, ids: Sequence[int]) -> Sequence[Answer]:
        wanted = sorted({id_ for id_ in ids if id_ > 0})
        found = await self._wire.read(self._names.dead, [{"seq": id_} for id_ in wanted]) if wanted else []
        return [each for each in found if each is not None]

    async def remove(self, letters: Sequence[Answer], outcome: Outcome, reason: Reason) -> int:
        """Those that were still there leave with ``outcome``; how many."""
        removed = 0
        for message in letters:
            letter = letter_of(message)
            if await self._wire.delete(self._names.dead, letter.id):
                self._totals.add(letter.lane, Outcome.DEAD, letter.reason, -1)
                self._totals.add(letter.lane, outcome, reason.value)
                removed += 1
        return removed
