"""What the simulator remembers (pure): the last events and counts over all of them.

Law: bounded – 10,000 events; uniqueness is remembered by pixel + event + event_id as 64-bit hashes, as TikTok deduplicates.
"""

from collections import deque
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

    def since(self, sequence: int) -> list[dict[str, Any]]:
        """Kept items after ``sequence``, newest last."""
        return [entry for entry in self._kept if entry["seq"] > sequence]

    def stats(self) -> dict[str, int]:
        """requests, events, accepted, unique, duplicates."""
        return {
            "requests": self.requests, "events": self.events, "accepted": self.accepted, "unique": len(self._seen), "duplicates": self.duplicates,
        }  # fmt: skip
