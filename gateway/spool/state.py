"""What is read when a spool is opened (io).

Law: its cost does not grow with the queue. Depths come from the durable totals, each lane's bounds from two seeks; only the
retried segments and the masks are read whole, and of those there are few.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import apsw

from gateway.spool.removal import Total
from gateway.spool.schema import one
from gateway.spool.segment import SEQUENCE_BITS
from gateway.spool.transaction import TRANSACTION


@dataclass(slots=True)
class State:
    """A spool as found."""

    lanes: dict[str, int] = field(default_factory=dict)
    """Key → number."""
    tails: dict[str, int] = field(default_factory=dict)
    """Newest segment of each lane that has one."""
    later: list[tuple[str, int, float, int]] = field(default_factory=list)
    """(lane, segment, due, records) of retried segments."""
    masks: dict[int, int] = field(default_factory=dict)
    totals: Counter[Total] = field(default_factory=Counter)
    sequence: int = 1
    """The next segment's."""
    transactions: int = 0
    checked: bool = True
    """The file was checked whole before it was opened."""


def load(connection: apsw.Connection) -> State:
    """Read it."""
    state = State()
    state.lanes = _mapping(connection, "SELECT key, id FROM lane")
    numbers = {number: key for key, number in state.lanes.items()}
    low = (1 << SEQUENCE_BITS) - 1
    for key, number in state.lanes.items():
        bounds = (number << SEQUENCE_BITS, (number + 1) << SEQUENCE_BITS)
        (newest,) = one(connection, "SELECT max(id) FROM segment WHERE id >= ? AND id < ?", bounds)
        if newest is not None:
            state.tails[key] = newest
            state.sequence = max(state.sequence, (newest & low) + 1)
    for id_, due, count in connection.execute("SELECT id, due, count FROM segment WHERE due > 0"):
        state.later.append((numbers[id_ >> SEQUENCE_BITS], id_, due, count))
    state.masks = _mapping(connection, "SELECT segment, mask FROM gone")
    for lane, outcome, reason, n in connection.execute("SELECT lane, outcome, reason, n FROM total"):
        if (lane, outcome, reason) == TRANSACTION:
            state.transactions = n
        else:
            state.totals[lane, outcome, reason] = n
    return state


def _mapping(connection: apsw.Connection, sql: str) -> dict[Any, Any]:
    rows: list[Any] = connection.execute(sql).fetchall()
    return dict(rows)
