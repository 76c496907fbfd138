"""What was accepted lately, to recognise it when it comes again (pure: the clock comes in).

Law: two tables of hashes (62 bits in eight bytes) take turns. The young one is entered until it is full or as old as the window; then it becomes the old one, the old one is forgotten
and an empty one begins. What was entered is therefore recognised for at least the window and at most twice as long – unless more came meanwhile than a table holds
(:data:`ENTRIES`), in which case the window shrinks and memory does not grow. Nothing here can be turned back into an event.
"""

import mmap
from collections.abc import Iterable, Mapping
from typing import Final

WINDOW_S: Final = 48 * 3600.0
"""TikTok's own deduplication reaches that far."""
SLOTS: Final = 1 << 20
"""Places in one table of eight bytes each: 8 MiB, 16 MiB for both."""
ENTRIES = SLOTS * 7 // 10
"""Entered in one table at most: beyond, the search for a free place becomes long."""
PERSONS = 20_000
"""Removals that are remembered of each kind: some 5 MB at most."""
_KEY: Final = (1 << 62) - 1  # what the compiled build computes with without an object for each number


def key(lane: str, name: str, event_id: str) -> int:
    """62 bits that stand for one event of a lane; never 0. Salted by this process: nobody outside can make two events collide."""
    return hash((lane, name, event_id)) & _KEY or 1


class Recent:
    """A bounded memory of keys. Times are Unix seconds; a clock that is set back only prolongs the window."""

    def __init__(self, slots: int = SLOTS) -> None:
        self._slots = slots
        self._mask = slots - 1
        self._most = slots * 7 // 10
        self._young = _table(slots)
        self._old: memoryview | None = None
        self._entered = 0
        self._since: float | None = None

    def holds(self, key: int) -> bool:
        """Whether ``key`` was entered."""
        mask = self._mask
        table = self._young
        at = key & mask
        while found := table[at]:
            if found == key:
                return True
            at = (at + 1) & mask
        if self._old is None:
            return False
        table = self._old
        at = key & mask
        while found := table[at]:
            if found == key:
                return True
            at = (at + 1) & mask
        return False

    def enter(self, keys: Iterable[int], now: float) -> None:
        """Remember ``keys`` from now on."""
        if self._since is None:
            self._since = now
        elif now - self._since >= WINDOW_S:
            self._turn(now)
        mask, most = self._mask, self._most
        for each in keys:
            if self._entered >= most:
                self._turn(now)
            table = self._young
            at = each & mask
            while (found := table[at]) and found != each:
                at = (at + 1) & mask
            if not found:
                table[at] = each
                self._entered += 1

    def _turn(self, now: float) -> None:
        self._old, self._young = self._young, _table(self._slots)
        self._entered, self._since = 0, now


class Removed:
    """Whose records were removed, and when. What was entered of such a person before is not recognised any more: it may not be there, and whoever sends it again, after a new
    grant, would be told of a success and lose it. Entries themselves name nobody and cannot be found by a person, so the person's new events get other keys."""

    def __init__(self, most: int = PERSONS) -> None:
        self._most = most
        self._owners: dict[str, float] = {}
        self._identities: dict[str, float] = {}
        self.any = False

    def note(self, owner: str, identity: str, at: float) -> None:
        """The records of ``owner``, or of whoever has ``identity`` (a hash), were removed."""
        self.any = True
        if owner:
            self._keep(self._owners, owner, at)
        if identity:
            self._keep(self._identities, identity, at)

    def _keep(self, known: dict[str, float], who: str, at: float) -> None:
        latest = max(at, known.pop(who, 0.0))
        known[who] = latest
        while len(known) > self._most:
            del known[next(iter(known))]

    def mark(self, owner: str, user: Mapping[str, object]) -> str:
        """What sets the person's events apart since the latest removal; empty if there was none."""
        latest = self._owners.get(owner, 0.0) if owner else 0.0
        if self._identities:
            for value in user.values():
                for one in value if isinstance(value, list) else (value,):
                    if isinstance(one, str):
                        latest = max(latest, self._identities.get(one, 0.0))
        return f" {latest!r}" if latest else ""


def _table(slots: int) -> memoryview:
    # Anonymous memory: the kernel gives a page when it is first written, so that a quiet gateway does not pay for a busy one's table.
    return memoryview(mmap.mmap(-1, slots * 8)).cast("Q")
