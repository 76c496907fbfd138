"""Logging without flooding (pure: the clock comes in).

Law: what happens a thousand times a second is said once in a while, with how often it happened; what is new is said at once.
"""


class Hush:
    """Lets one line of each kind through per ``every_s``; kinds are few and fixed."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next: dict[str, float] = {}
        self._kept: dict[str, int] = {}

    def said(self, kind: str, now: float) -> int:
        """0 = keep quiet; else the number of times it happened since it was last said, this one included."""
        count = self._kept.get(kind, 0) + 1
        if now < self._next.get(kind, now):
            self._kept[kind] = count
            return 0
        self._next[kind] = now + self._every_s
        self._kept[kind] = 0
        return count
