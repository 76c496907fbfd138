"""The durable fates (io): counters on the broker, added to a little later than what they count.

Law: every fate is owed first and paid within a moment; what a killed process still owed is missing from the totals, never from the records. A payment that may have
arrived is repeated under its own id, which the broker counts once.
"""

import secrets
from collections import Counter
from itertools import count

from gateway.outcome import Outcome
from gateway.spool.jetstream.names import Names, lane_of, text
from gateway.spool.jetstream.wire import Message, Wire

_MOST = 10_000


class Totals:
    """Fates by lane, outcome and reason, of all pods together."""

    def __init__(self, wire: Wire, names: Names) -> None:
        self._wire = wire
        self._names = names
        self._owed: Counter[tuple[str, str, str]] = Counter()
        self._paying: list[Message] = []
        self._run = secrets.token_hex(8)
        self._numbers = count()

    @property
    def owing(self) -> bool:
        """Whether something is to be paid."""
        return bool(self._owed or self._paying)

    def add(self, lane: str, outcome: Outcome, reason: str, n: int = 1) -> None:
        """Count ``n`` records."""
        self._owed[lane, outcome.value, reason] += n

    async def pay(self, timeout_s: float) -> None:
        """Bring the broker's counters up to date; BrokerAway if that is not known to have happened."""
        if not self._paying:
            owed, self._owed = self._owed, Counter()
            self._paying = [
                Message(
                    self._names.total(*key), b"", {"Nats-Incr": f"{n:+d}", "Nats-Msg-Id": f"{self._run}{next(self._numbers):x}"}
                )
                for key, n in owed.items()
                if n
            ]
        if self._paying:
            for answer in await self._wire.ask(self._paying, timeout_s):
                answer.json()
            self._paying = []

    async def read(self) -> dict[tuple[str, str, str], int]:
        """What the counters say, what this process owes included."""
        found: Counter[tuple[str, str, str]] = Counter(self._owed)
        for message in await self._wire.scan(self._names.totals, f"{self._names.totals}.>", 0, _MOST):
            subject = message.headers["Nats-Subject"]
            *_, outcome, reason = subject.split(".")
            found[lane_of(subject), text(outcome), text(reason)] += int(message.json()["val"])
        return {key: n for key, n in found.items() if n}
