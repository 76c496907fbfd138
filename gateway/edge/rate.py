"""Rate limits per pipeline and per client address (pure: the clock comes in).

Law: fixed windows of one second, cleared as the second turns, so memory is bounded by what one second lets in.
"""


class RateLimit:
    """Counts events per key within the running second."""

    __slots__ = ("_counts", "_second")

    def __init__(self) -> None:
        self._second = 0
        self._counts: dict[object, int] = {}

    def admit(self, key: object, limit: int, now: float, n: int = 1) -> bool:
        """Count ``n`` for ``key``; False if that passes ``limit`` within the second of ``now`` (the first batch always passes)."""
        second = int(now)
        if second != self._second:
            self._second = second
            self._counts.clear()
        before = self._counts.get(key, 0)
        if before and before + n > limit:
            return False
        self._counts[key] = before + n
        return True
