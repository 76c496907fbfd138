"""Bytes that wait in memory for somebody slow (pure).

Law: the sum over all connections stays within one budget, give or take a single read. When it is exceeded, the connection that has
held something for the longest is given up: a client that takes its answer piece by piece starts anew with every piece, so that
those who take nothing go first, however many they are.
"""

from typing import Protocol


class Holder(Protocol):
    """A connection."""

    def give_up(self) -> None:
        """End; too much waits in memory."""


class Holdings:
    """The books of one listener."""

    __slots__ = ("_budget", "_sizes", "given_up", "total")

    def __init__(self, budget_bytes: int) -> None:
        self._budget = budget_bytes
        self._sizes: dict[Holder, int] = {}
        """In the order in which they began to hold something."""
        self.total = 0
        self.given_up = 0
        """Connections that were ended for it."""

    def hold(self, holder: Holder, size: int) -> None:
        """``size`` bytes wait for ``holder`` now, in place of what was said before; 0 = nothing any more."""
        sizes = self._sizes
        if not size:
            self.total -= sizes.pop(holder, 0)
            return
        self.total += size - sizes.get(holder, 0)
        sizes[holder] = size
        while self.total > self._budget:
            oldest = next(iter(sizes))
            self.total -= sizes.pop(oldest)
            self.given_up += 1
            oldest.give_up()
