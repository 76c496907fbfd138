"""What became of the events that were answered 2xx, the sum behind P9 (pure).

Law: every scenario that collects keeps one account per sandbox: 2xx answers against different event_ids, and what came more than once. A request without a 2xx answer may or may
not have been stored, so its events may arrive and need not; what arrives beyond that was never sent. Signs never cancel out: one lost and one too many are two.
"""

from dataclasses import dataclass
from typing import Any

from benchmarks.figure import Figure
from benchmarks.load.generator import Result


@dataclass(slots=True)
class Account:
    """The events of one scenario."""

    acknowledged: int = 0
    """Events of requests that were answered 2xx, warm-ups included."""
    open: int = 0
    """Events of requests that were answered otherwise or not at all."""
    lost: int = 0
    duplicated: int = 0
    strangers: int = 0
    """Arrived, but neither acknowledged nor open."""

    @property
    def astray(self) -> int:
        """Everything that should not be."""
        return self.lost + self.duplicated + self.strangers

    def sent(self, result: Result, batch: int = 1) -> None:
        """A run's requests, of ``batch`` events each."""
        ok = result.ok + result.warm_ok
        self.acknowledged += ok * batch
        self.open += (result.sent + result.warm_sent - ok) * batch

    def settle(self, stats: dict[str, Any]) -> None:
        """Compare with the counts of a sandbox that saw these events and no others."""
        arrived = int(stats["unique"])
        self.lost = max(0, self.acknowledged - arrived)
        self.strangers = max(0, arrived - self.acknowledged - self.open)
        self.duplicated = int(stats["duplicates"])


Measured = tuple[list[Figure], Account | None]
"""What a scenario hands back; no account where nothing is collected."""


def figure(accounts: dict[str, Account]) -> Figure:
    """P9, by scenario in its notes."""
    found = accounts.values()
    return Figure(
        "P9",
        f"events lost + duplicated of {sum(account.acknowledged for account in found):,}, by event_id at the sandbox",
        "events",
        [float(sum(account.astray for account in found))],
        0,
        0,
        False,
        notes={
            "lost": sum(account.lost for account in found),
            "duplicated": sum(account.duplicated for account in found),
            "strangers": sum(account.strangers for account in found),
            "acknowledged": {name: account.acknowledged for name, account in accounts.items()},
        },
    )
