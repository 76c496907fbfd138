"""Segments: how records lie in the spool (pure).

Law: a segment holds up to :data:`MAX_RECORDS` records of one lane that were made durable together, as one row: a JSON head
(owners, acceptance times, lengths, attempts, the last tries) and the payloads, concatenated. One row for many records is what makes a commit,
a lease and a settlement cheap; the price is that a record is removed by a bit in a mask until its whole segment is gone.

A segment's id is ``lane << 42 | sequence``: the integer primary key keeps each lane together and in order of acceptance without
an index. A record's id is ``segment << 6 | position``. The head's shape is stored on disk: change it only with a migration.
"""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import repeat

import orjson

from gateway.spool.base import Record, Tries, plain, tries_of

MAX_RECORDS = 63
"""One bit each in a signed 64-bit mask."""
MAX_BYTES = 128 * 1024
"""A segment is closed when it grows beyond this, so that damage to one row and a read-ahead stay small."""
SEQUENCE_BITS = 42
MAX_LANE = (1 << 15) - 1
POSITION_BITS = 6
POSITION_MASK = (1 << POSITION_BITS) - 1

_record = partial(tuple.__new__, Record)


class MalformedError(ValueError):
    """A row that is no segment: the file is damaged."""


class Segment:
    """One segment in memory. ``gone`` = removed for good, ``leased`` = handed out; both are bit masks by position."""

    __slots__ = (
        "accepted",
        "attempts",
        "beside",
        "count",
        "due",
        "full",
        "gone",
        "id",
        "lane",
        "leased",
        "owners",
        "payloads",
        "size",
        "tries",
        "waiting",
    )

    def __init__(
        self,
        lane: str,
        owners: Sequence[str],
        accepted: Sequence[float],
        payloads: Sequence[bytes],
        attempts: Sequence[int] | None,
        *,
        due: float = 0.0,
        id_: int = 0,
        tries: Sequence[Tries] | None = None,
        beside: Sequence[object] | None = None,
    ) -> None:
        self.id = id_
        """0 until the writer has given it one."""
        self.lane = lane
        self.owners = owners
        self.accepted = accepted
        self.payloads = payloads
        self.attempts = attempts
        """None = never tried."""
        self.tries = tries
        """None = not known."""
        self.beside = beside
        """:attr:`NewRecord.beside`; None = nothing."""
        self.due = due
        """Unix s; 0 = at once."""
        self.count = len(payloads)
        self.full = (1 << self.count) - 1
        self.size = sum(map(len, payloads))
        self.gone = 0
        self.leased = 0
        self.waiting = False
        """True while the lane's queue holds it."""

    @property
    def available(self) -> int:
        """Mask of what can be handed out."""
        return self.full & ~(self.gone | self.leased)

    def head(self) -> bytes:
        """The row's head: ``[owners, accepted, lengths]``, of what has been tried with ``attempts`` and ``tries`` behind."""
        lengths = list(map(len, self.payloads))
        if self.attempts is None:
            return orjson.dumps((self.owners, self.accepted, lengths))
        return orjson.dumps(
            (self.owners, self.accepted, lengths, self.attempts, list(map(plain, self.tries or [()] * self.count)))
        )

    def records(self) -> Iterable[Record]:
        """All of its records, in order."""
        base = self.id << POSITION_BITS
        return map(
            _record,
            zip(
                range(base, base + self.count),
                repeat(self.lane),
                self.owners,
                self.accepted,
                self.payloads,
                self.attempts or repeat(0),
                self.tries or repeat(()),
                self.beside or repeat(None),
                strict=False,
            ),
        )

    def record(self, position: int) -> Record:
        """One of its records."""
        attempts = self.attempts[position] if self.attempts else 0
        return Record(
            self.id << POSITION_BITS | position,
            self.lane,
            self.owners[position],
            self.accepted[position],
            self.payloads[position],
            attempts,
            self.tries[position] if self.tries else (),
            self.beside[position] if self.beside else None,
        )


def positions(mask: int) -> list[int]:
    """The set bits of ``mask``, ascending."""
    found = []
    while mask:
        low = mask & -mask
        found.append(low.bit_length() - 1)
        mask ^= low
    return found


def parse(lane: str, id_: int, head: object, data: bytes | memoryview, due: float = 0.0) -> Segment:
    """A stored row → its segment. MalformedError if head and data do not belong together."""
    attempts: Sequence[int] | None = None
    tries: Sequence[Tries] | None = None
    match head:
        case [list(owners), list(accepted), list(lengths)]:
            pass
        case [list(owners), list(accepted), list(lengths), list(counts), *rest]:
            tries = _tries(rest, len(lengths))
            if len(counts) != len(lengths) or not _all(counts, int):
                raise MalformedError("attempts")
            attempts = counts
        case _:
            raise MalformedError("head")
    count = len(lengths)
    if not 0 < count <= MAX_RECORDS or len(owners) != count or len(accepted) != count:
        raise MalformedError("counts")
    payloads = []
    start = 0
    for length in lengths:
        if not isinstance(length, int) or length < 0:
            raise MalformedError("length")
        payloads.append(bytes(data[start : start + length]))
        start += length
    if start != len(data):
        raise MalformedError("size")
    if not _all(owners, str) or not _all(accepted, (int, float)):
        raise MalformedError("types")
    return Segment(lane, owners, accepted, payloads, attempts, due=due, id_=id_, tries=tries)


def _all(values: Sequence[object], kind: type | tuple[type, ...]) -> bool:
    return all(isinstance(value, kind) for value in values)


def _tries(rest: list[object], count: int) -> list[Tries] | None:
    """What is behind the attempts: nothing, if an older program wrote it."""
    match rest:
        case []:
            return None
        case [list(stored)] if len(stored) == count:
            try:
                return list(map(tries_of, stored))
            except ValueError:
                raise MalformedError("tries") from None
    raise MalformedError("head")


def split(
    lane: str,
    owners: Sequence[str],
    accepted: Sequence[float],
    payloads: Sequence[bytes],
    attempts: Sequence[int] | None = None,
    due: float = 0.0,
    tries: Sequence[Tries] | None = None,
    beside: Sequence[object] | None = None,
) -> list[Segment]:
    """Columns of one lane's records → segments within the limits (a single record may be larger)."""
    segments: list[Segment] = []
    count = len(payloads)
    start = 0
    while start < count:
        end = min(count, start + MAX_RECORDS)
        part = payloads[start:end]
        if sum(map(len, part)) > MAX_BYTES:
            end = start + _fitting(part)
            part = payloads[start:end]
        counts = attempts[start:end] if attempts else None
        those = tries[start:end] if tries else None
        extra = beside[start:end] if beside else None
        segments.append(Segment(lane, owners[start:end], accepted[start:end], part, counts, due=due, tries=those, beside=extra))
        start = end
    return segments


def _fitting(payloads: Sequence[bytes]) -> int:
    """How many of ``payloads`` fit into one segment; at least one."""
    size = 0
    for position, payload in enumerate(payloads):
        size += len(payload)
        if size > MAX_BYTES and position:
            return position
    return len(payloads)
