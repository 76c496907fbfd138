"""Rate limits per pipeline and per client address (pure: the clock comes in).

Law: fixed windows of one second, cleared as the second turns, so memory is bounded by what one second lets in.
"""

from collections.abc import Callable


class RateLimit:
    """Counts events per key within the running second."""

    __slots__ = ("_counts", "_second", "_turned")

    def __init__(self, turned: "Callable[[dict[object, int]], None] | None" = None) -> None:
        """``turned`` is shown the counts of each second that is over, when the next event comes."""
        self._turned = turned
        self._second = 0
        self._counts: dict[object, int] = {}

    def admit(self, key: object, limit: int, now: float, n: int = 1) -> bool:
        """Count ``n`` for ``key``; False if that passes ``limit`` within the second of ``now`` (the first batch always passes)."""
        second = int(now)
        if second != self._second:
            self._second = second
            if self._turned is not None:
                self._turned(self._counts)
            self._counts.clear()
        before = self._counts.get(key, 0)
        if before and before + n > limit:
            return False
        self._counts[key] = before + n
        return True
