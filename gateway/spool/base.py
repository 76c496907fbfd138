"""Records, lanes and the spool's interface (pure).

Law: a spool moves bytes; something made of them may go beside them as long as they stay in memory. ``put`` is durable when its future resolves; a leased record is handed out again only after settle,
release or a restart; every record leaves through exactly one counted outcome, in the same transaction that removes it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from gateway.outcome import Outcome, Reason

if TYPE_CHECKING:
    from asyncio import Future


ANSWERED = frozenset({Reason.TIKTOK_REJECTED, Reason.BATCH_TOO_LARGE})
"""Reasons of a death that an answer brought about; the others are found without asking."""
MAX_TRIES = 5
"""Kept with a record: some 40 bytes each."""
MAX_MARKS = 1_000_000
"""Some 40 bytes of the spool each."""


class NewRecord(NamedTuple):
    """A record to be made durable. ``owner`` is the hash of the visitor's anonymous id, empty = unknown."""

    lane: str
    """:attr:`gateway.lane.Lane.key`."""
    owner: str
    accepted_at: float
    payload: bytes
    key: str = ""
    """What the sender calls it: of two records of a lane with the same key, an engine that many pods share keeps the first (outcome ``deduplicated``). Empty = never the same."""
    beside: Any = None
    """What may spare whoever leases the record the reading of ``payload``. Never stored, and gone with the first failure: it must be possible to do without."""


new_record: Callable[[tuple[str, str, float, bytes, str, Any]], NewRecord] = partial(tuple.__new__, NewRecord)
"""A record of its six fields, for the way of every event: a named tuple's own constructor is a function of Python even in the compiled build, and takes twice as long."""


class Try(NamedTuple):
    """A delivery that was tried."""

    at: float
    """When its outcome was known, Unix seconds."""
    reason: str
    code: str
    """TikTok's code, or what stands in its place; empty = none came."""


Tries = tuple[Try, ...]


def tried(tries: Tries, at: float, reason: Reason, code: str) -> Tries:
    """``tries`` and one more; the last :data:`MAX_TRIES` are kept."""
    return (*tries, Try(at, reason.value, code))[-MAX_TRIES:]


def plain(tries: Tries) -> list[tuple[float, str, str]]:
    """``tries`` as they are stored: a serialiser knows tuples, not their kinds."""
    return [(each.at, each.reason, each.code) for each in tries]


def tries_of(stored: object) -> Tries:
    """From lists of time, reason and code, as they are stored; ValueError if they are anything else."""
    if not isinstance(stored, list):
        raise ValueError("tries")
    found = []
    for each in stored:
        match each:
            case [int() | float() as at, str(reason), str(code)]:
                found.append(Try(at, reason, code))
            case _:
                raise ValueError("tries")
    return tuple(found)


class Record(NamedTuple):
    """A leased record. ``attempts`` counts the deliveries already tried, ``tries`` tells of the last few of them."""

    id: int
    lane: str
    owner: str
    accepted_at: float
    payload: bytes
    attempts: int
    tries: Tries = ()
    beside: Any = None
    """See :attr:`NewRecord.beside`."""


class Retry(NamedTuple):
    """Hand ``id`` out again at ``due`` (Unix s)."""

    id: int
    due: float
    reason: Reason
    code: str = ""
    """TikTok's, or what stands in its place."""


class Death(NamedTuple):
    """Move ``id`` to the dead letters. ``answer`` is the destination's redacted words, for the user."""

    id: int
    reason: Reason
    answer: str = ""
    """Of :data:`ANSWERED` it begins with a code and a colon."""

    def tries(self, before: Tries, at: float) -> Tries:
        """The record's, this one included if it was one."""
        return tried(before, at, self.reason, self.answer.partition(": ")[0]) if self.reason in ANSWERED else before


class Done(NamedTuple):
    """Remove ``id`` with a final outcome: delivered, filtered, expired, deduplicated."""

    id: int
    outcome: Outcome
    reason: Reason = Reason.NONE


class Mark(NamedTuple):
    """Remember ``key`` (64 bits, signed) until ``until`` (Unix s), in the transaction that settles."""

    key: int
    until: float
    lane: str


class Purged(NamedTuple):
    """How many records a purge or an erasure has met."""

    removed: int = 0
    """Queued and dead ones."""
    under_way: int = 0
    """Leased ones: purged when they come back, unless they are delivered before that."""


@dataclass(slots=True)
class Settlement:
    """The fate of leased records, applied in one transaction."""

    done: Sequence[Done] = ()
    retry: Sequence[Retry] = ()
    dead: Sequence[Death] = ()
    marks: Sequence[Mark] = ()


@dataclass(slots=True)
class DeadLetter:
    """A record that will not be tried again by itself."""

    id: int
    lane: str
    owner: str
    accepted_at: float
    died_at: float
    attempts: int
    reason: str
    answer: str
    payload: bytes
    tries: Tries = ()
    """The last ones, oldest first; none are known of letters from before they were kept."""


@dataclass(slots=True)
class LaneStats:
    """One lane's share of the spool; ages in Unix seconds of the oldest acceptance, 0 = empty."""

    lane: str
    queued: int
    leased: int
    dead: int
    oldest_accepted_at: float


@dataclass(slots=True)
class SpoolStats:
    """A snapshot. ``totals`` are the durable fates since the spool was created: (lane, outcome, reason) → records."""

    lanes: list[LaneStats]
    used_bytes: int
    max_bytes: int
    writable: bool
    totals: dict[tuple[str, str, str], int] = field(default_factory=dict)


OnRemoval = Callable[[str, bytes, float], None]
"""(owner, needle, when): called when a purge of the owner, or else an erasure of the needle, begins – here or, where pods share the spool, at another one, with the same time in all."""


def nobody_told(_owner: str, _needle: bytes, _at: float) -> None:
    """Until somebody wants to be told of removals."""


class Spool(Protocol):
    """What edge and delivery know of the spool. Coroutines raise :class:`gateway.errors.SpoolUnavailable`."""

    on_removal: OnRemoval

    def put(self, records: Sequence[NewRecord]) -> "Future[None]":
        """Make ``records`` durable. The future is shared by everything that is committed together; it resolves after fsync or
        fails with SpoolUnavailable, in which case nothing of ``records`` is kept. Raises SpoolUnavailable at once when full."""
        ...

    def keeps(self, lane: str) -> bool:
        """Whether a record of ``lane`` that is put now will probably stay in memory until it is leased: only then is it worth while to put something beside it."""
        ...

    async def lease(self, lane: str, max_records: int, max_bytes: int, wait_s: float) -> list[Record]:
        """Up to ``max_records`` due records of ``lane``, oldest first; waits up to ``wait_s`` for the first one."""
        ...

    async def gathered(self, lane: str, records: int, wait_s: float) -> None:
        """Return when so many ``records`` of ``lane`` can be leased, or after ``wait_s``. An engine that would have to ask for it takes the whole time."""
        ...

    def doomed(self, records: Sequence[Record]) -> Mapping[int, Reason]:
        """Those of the leased ``records`` that a purge or an erasure has meant since they were leased: they must not go out any more, and are purged when they are
        released. A truth test while nobody is being purged."""
        ...

    async def settle(self, settlement: Settlement) -> None:
        """Apply fates to leased records in one transaction."""
        ...

    async def marked(self, keys: Sequence[int]) -> set[int]:
        """Those of ``keys`` that a settlement has marked and whose time is not over. The newest :data:`MAX_MARKS` are kept."""
        ...

    async def release(self, ids: Sequence[int]) -> None:
        """Give leased records back, due at once, without counting an attempt."""
        ...

    async def purge(self, owner: str, reason: Reason) -> Purged:
        """Remove the owner's queued and dead records (leased ones when they come back); how many."""
        ...

    async def erase(self, needle: bytes, reason: Reason) -> Purged:
        """Remove the queued and dead records whose payload holds ``needle`` (leased ones when they come back); how many. A scan of everything."""
        ...

    async def stats(self) -> SpoolStats:
        """Depths, bytes and durable totals."""
        ...

    async def lanes(self) -> list[str]:
        """Lanes that hold queued records."""
        ...

    async def dead_list(self, lane: str | None, after: int, limit: int) -> list[DeadLetter]:
        """Dead letters with id > ``after``, ascending; ``lane`` None = all."""
        ...

    async def dead_replay(self, ids: Sequence[int]) -> int:
        """Queue dead letters again, age starting anew; how many there were."""
        ...

    async def dead_drop(self, ids: Sequence[int]) -> int:
        """Remove dead letters for good (outcome ``dropped``); how many there were."""
        ...

    async def bury_lane(self, lane: str, reason: Reason) -> int:
        """Move a removed integration's queue to the dead letters; how many."""
        ...

    async def close(self) -> None:
        """Commit what waits, checkpoint, release the lock."""
        ...
