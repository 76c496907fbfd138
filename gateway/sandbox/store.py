"""What the simulator remembers (pure): the last events and counts over all of them.

Law: 10,000 events are kept, the counts cover all; uniqueness is remembered by pixel + event + event_id, as TikTok deduplicates, in 64-bit hashes (some 60 bytes for each
different event until cleared: a benchmark of millions must be able to account for every one).
"""

from collections import deque
from itertools import islice
from typing import Any

KEEP = 10_000


class Store:
    """Counts and keeps what arrived."""

    def __init__(self) -> None:
        self.clear()

    def clear(self) -> None:
        """Forget everything, counts included; sequence numbers go on."""
        self.requests = self.events = self.accepted = self.duplicates = 0
        self._seen: set[int] = set()
        self._kept: deque[dict[str, Any]] = deque(maxlen=KEEP)
        self._sequence: int = getattr(self, "_sequence", 0)

    def count(self, pixel: str, items: list[dict[str, Any]]) -> None:
        """Count accepted items, and which of them had been seen before."""
        seen = self._seen
        before = len(seen)
        seen.update([hash((pixel, item["event"], item.get("event_id"))) for item in items])
        self.events += len(items)
        self.accepted += len(items)
        self.duplicates += len(items) - (len(seen) - before)

    def keep(self, body: dict[str, Any], item: Any, *, accepted: bool, code: int, findings: list[str]) -> None:
        """Remember one data item as it came."""
        self._sequence += 1
        self._kept.append(
            {
                "seq": self._sequence,
                "event_source_id": body.get("event_source_id"),
                "test_event_code": body.get("test_event_code"),
                "event": item,
                "accepted": accepted,
                "code": code,
                "findings": findings,
            }
        )

    @property
    def last(self) -> int:
        """Number of the newest item ever kept, 0 before the first."""
        return self._sequence

    def since(self, sequence: int, limit: int = KEEP) -> list[dict[str, Any]]:
        """Kept items after ``sequence``, the newest ``limit`` of them, newest last."""
        wanted = min(self._sequence - sequence, limit, len(self._kept))
        # From the newest end: who polls asks for few, and the numbers have no gaps.
        return list(islice(reversed(self._kept), max(wanted, 0)))[::-1]

    def stats(self) -> dict[str, int]:
        """requests, events, accepted, unique, duplicates."""
        return {
            "requests": self.requests, "events": self.events, "accepted": self.accepted, "unique": len(self._seen), "duplicates": self.duplicates,
        }  # fmt: skip
