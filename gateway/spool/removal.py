"""What the loop has decided and the writer is to write (pure)."""

from collections import Counter
from dataclasses import dataclass, field

from gateway.spool.base import Purged
from gateway.spool.segment import Segment

Total = tuple[str, str, str]
"""(lane key, outcome, reason)."""

Corpse = tuple[str, str, float, float, int, str, str, bytes, str]
"""A row of ``dead``: lane, owner, accepted_at, died_at, attempts, reason, answer, payload, tries."""


@dataclass(slots=True)
class Removal:
    """What a settlement (or a purge) does to the tables."""

    segments: list[int] = field(default_factory=list)
    """Gone altogether."""
    masks: dict[int, int] = field(default_factory=dict)
    """Segments of which positions are gone → all of their gone positions."""
    unmask: list[int] = field(default_factory=list)
    """Of ``segments``, those that have a row in ``gone``."""
    later: list[Segment] = field(default_factory=list)
    """Retried records, as new segments."""
    corpses: list[Corpse] = field(default_factory=list)
    totals: Counter[Total] = field(default_factory=Counter)
    marks: list[tuple[int, float, str]] = field(default_factory=list)
    """Keys to remember, until when (Unix s), and their lane."""

    def __bool__(self) -> bool:
        return bool(self.segments or self.masks or self.totals)


@dataclass(slots=True)
class Tally:
    """What purges have met so far, by owner (empty: an erasure)."""

    removed: Counter[str] = field(default_factory=Counter)
    under_way: Counter[str] = field(default_factory=Counter)

    def of(self, owner: str) -> Purged:
        """One purge's share."""
        return Purged(self.removed[owner], self.under_way[owner])
