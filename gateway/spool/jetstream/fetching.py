"""Getting records from the broker into this process's hands (io).

Law: a record that arrives goes into its lane's holding, whoever had asked and whether or not he still waits, so that a cancelled lease loses nothing. What is held is kept
alive at the broker; what nobody takes goes back to it for others.
"""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress
from itertools import count

import orjson
from nats.aio.msg import Msg

from gateway.outcome import Reason
from gateway.spool.base import Record
from gateway.spool.jetstream.fates import tries_in
from gateway.spool.jetstream.holding import Held, Holdings, LaneHolding
from gateway.spool.jetstream.names import Names, consumer, lane_of, owner_of
from gateway.spool.jetstream.wire import BrokerAway, Message, Wire
from gateway.telemetry import tasks

_ANSWER_S = 1.0
"""What is there is handed out at once; longer than this means that the broker is away."""
_EXPIRES_S = 5.0
_MAX_WITHDRAWN = 100_000
_NS = 1_000_000_000


class Fetching:
    """Pulls for leases, and looks after what is in hand."""

    def __init__(self, wire: Wire, names: Names, holdings: Holdings, ack_wait_s: float) -> None:
        self._wire = wire
        self._names = names
        self._holdings = holdings
        self._keep_s = ack_wait_s / 3
        self._loop = asyncio.get_running_loop()
        self._numbers = count()
        self._withdrawn: OrderedDict[tuple[str, str], tuple[int, Reason]] = OrderedDict()
        self.on_withdrawn: Callable[[str, int, str, Reason], object] = lambda *_: None
        wire.on_delivery = self._delivered
        wire.on_status = self._ended

    def withdraw(self, stream: str, owner: str, up_to: int, reason: Reason) -> None:
        """What of ``owner`` is on its way here from before a purge is nobody's any more."""
        self._withdrawn[stream, owner] = up_to, reason
        self._withdrawn.move_to_end((stream, owner))
        if len(self._withdrawn) > _MAX_WITHDRAWN:
            self._withdrawn.popitem(last=False)

    def lost(self) -> None:
        """The connection has gone, and with it every request."""
        for lane in self._holdings.numbers:
            lane.pulls.clear()
            lane.changed.set()

    async def gather(self, lane: LaneHolding, records: int) -> None:
        """Ask for what is there now, and wait until it has come. BrokerAway."""
        asked = [
            await self._pull(lane, stream, records, {"no_wait": True})
            for stream in (self._names.queue, self._names.later)
            if not lane.pulls.get(stream)
        ]
        end = self._loop.time() + _ANSWER_S
        while any(name in lane.pulls.get(stream, ()) for stream, name in asked) and self._loop.time() < end:
            lane.changed.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout_at(end):
                    await lane.changed.wait()
        for stream, name in asked:
            lane.pulls.get(stream, {}).pop(name, None)

    async def expect(self, lane: LaneHolding, records: int, wait_s: float) -> None:
        """Have the broker send what comes within ``wait_s``. BrokerAway."""
        for stream in (self._names.queue, self._names.later):
            if not lane.pulls.get(stream):
                await self._pull(lane, stream, records, {"expires": int(max(0.01, min(wait_s, _EXPIRES_S)) * _NS)})

    async def _pull(self, lane: LaneHolding, stream: str, records: int, how: dict[str, object]) -> tuple[str, str]:
        number = str(next(self._numbers))
        lane.pulls.setdefault(stream, {})[number] = records
        call = f"$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer(lane.lane)}"
        try:
            await self._wire.send(
                Message(call, orjson.dumps({"batch": records, **how})), reply=self._wire.inbox(f"{lane.number}.{stream}.{number}")
            )
        except BrokerAway:
            lane.pulls.get(stream, {}).pop(number, None)
            raise
        return stream, number

    def _ended(self, name: str) -> None:
        lane_number, stream, number = name.split(".")
        lane = self._holdings.numbers[int(lane_number)]
        lane.pulls.get(stream, {}).pop(number, None)
        lane.changed.set()

    def _delivered(self, message: Msg) -> None:
        subject, headers = message.subject, message.headers or {}
        stream = subject.partition(".")[0]
        sequence = message.metadata.sequence.stream
        lane = self._holdings.lane(lane_of(subject))
        if pulls := lane.pulls.get(stream):
            # Requests are served in the order in which they were made.
            first = next(iter(pulls))
            pulls[first] -= 1
            if pulls[first] <= 0:
                del pulls[first]
        lane.changed.set()
        held = self._holdings.by_place.get((stream, sequence))
        if held is not None:
            held.ack = message.reply  # delivered once more while it is in hand
            return
        owner = owner_of(subject)
        up_to, reason = self._withdrawn.get((stream, owner), (0, Reason.NONE))
        if sequence <= up_to:
            self.on_withdrawn(stream, sequence, lane.lane, reason)
            return
        try:
            due, accepted_at = float(headers.get("Ttgw-Due", 0)), float(headers.get("Ttgw-At", 0))
            attempts = int(headers.get("Ttgw-Tries", 0))
        except ValueError:
            due, accepted_at, attempts = 0.0, time.time(), 0
        delay = due - time.time()
        if delay > 0:
            # Only in the stream that has no max_ack_pending.
            self._say(message.reply, b"-NAK " + orjson.dumps({"delay": int(delay * _NS)}))
            return
        record = Record(self._holdings.new_id(), lane.lane, owner, accepted_at, message.data, attempts, tries_in(headers))
        held = Held(record, stream, sequence, message.reply, self._loop.time())
        self._holdings.add(held)
        lane.put_back(held)

    def _say(self, ack: str, word: bytes) -> None:
        async def say() -> None:
            with suppress(BrokerAway):
                await self._wire.send(Message(ack, word))

        tasks.spawn(say(), "tell broker")

    async def tend(self) -> None:
        """Keep alive what is leased, give back what nobody takes."""
        while True:
            await asyncio.sleep(self._keep_s)
            now = self._loop.time()
            words: list[Message] = []
            for held in list(self._holdings.by_place.values()):
                if held.leased:
                    words.append(Message(held.ack, b"+WPI"))
                elif now - held.since > self._keep_s:
                    self._holdings.forget(held)
                    words.append(Message(held.ack, b"-NAK"))
            with suppress(BrokerAway):
                await self._wire.send(*words)

    async def give_back(self) -> None:
        """Everything in hand, for other pods to have at once."""
        words = [Message(held.ack, b"-NAK") for held in self._holdings.by_place.values()]
        with suppress(BrokerAway):
            await self._wire.send(*words)
