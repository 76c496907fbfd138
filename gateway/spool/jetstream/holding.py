"""What this process has in its hands (pure but for the loop's event): records that the broker has handed out to it.

Law: a record is ready or leased, once; one that is delivered again while it is held only renews its acknowledgement address. A doomed one is handed to nobody any more.
"""

import asyncio
import heapq
from dataclasses import dataclass, field

from gateway.outcome import Reason
from gateway.spool.base import Record


@dataclass(slots=True)
class Held:
    """One record in hand."""

    record: Record
    stream: str
    sequence: int
    ack: str
    since: float
    """When it came to hand or went back to ready, on the loop's clock."""
    leased: bool = False
    doomed: Reason | None = None
    counted: bool = False
    """The doom was counted by the pod that asked for it."""
    gone: bool = False

    def __lt__(self, other: "Held") -> bool:
        return (self.record.accepted_at, self.sequence) < (other.record.accepted_at, other.sequence)


@dataclass(slots=True, eq=False)
class LaneHolding:
    """One lane's records in hand, and the requests to the broker for more."""

    lane: str
    number: int
    ready: list[Held] = field(default_factory=list)
    changed: asyncio.Event = field(default_factory=asyncio.Event)
    pulls: dict[str, dict[str, int]] = field(default_factory=dict)
    """Stream → requests that the broker has not ended yet, oldest first → records still to come."""
    known: bool = False
    """Its consumers exist."""

    def put_back(self, held: Held) -> None:
        """Hand it out (again), in its place."""
        held.leased = False
        heapq.heappush(self.ready, held)
        self.changed.set()

    def take(self, max_records: int, max_bytes: int) -> list[Held]:
        """The oldest, now leased."""
        taken: list[Held] = []
        size = 0
        while self.ready and len(taken) < max_records:
            held = self.ready[0]
            if held.gone:
                heapq.heappop(self.ready)
                continue
            size += len(held.record.payload)
            if taken and size > max_bytes:
                break
            heapq.heappop(self.ready)
            held.leased = True
            taken.append(held)
        return taken


class Holdings:
    """All lanes' records in hand."""

    def __init__(self) -> None:
        self.lanes: dict[str, LaneHolding] = {}
        self.numbers: list[LaneHolding] = []
        self.by_id: dict[int, Held] = {}
        self.by_place: dict[tuple[str, int], Held] = {}
        self.doomed: dict[int, Reason] = {}
        """Leased records that are purged when they come back."""
        self._next_id = 1

    def lane(self, key: str) -> LaneHolding:
        """The lane, made if need be."""
        found = self.lanes.get(key)
        if found is None:
            found = self.lanes[key] = LaneHolding(key, len(self.numbers))
            self.numbers.append(found)
        return found

    def new_id(self) -> int:
        """Never the same twice: a late settlement of an earlier lease must not meet a later one."""
        self._next_id += 1
        return self._next_id

    def add(self, held: Held) -> None:
        """It came to hand."""
        self.by_id[held.record.id] = held
        self.by_place[held.stream, held.sequence] = held

    def forget(self, held: Held) -> None:
        """It is out of hand."""
        held.gone = True
        self.doomed.pop(held.record.id, None)
        self.by_id.pop(held.record.id, None)
        self.by_place.pop((held.stream, held.sequence), None)

    def leased(self, id_: int) -> Held | None:
        """The leased record, if it is one."""
        held = self.by_id.get(id_)
        return held if held is not None and held.leased and not held.gone else None
