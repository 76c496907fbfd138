"""When to try again (pure: randomness and the clock come in).

Law: full jitter – a pause is drawn between zero and the exponential bound – so that many gateways do not come back in step; Retry-After is a lower bound. The circuit
opens after consecutive failures, and a single probe decides whether it closes. Requests fly in parallel, so an answer to one that was sent before the circuit opened
neither closes it nor counts as another failure.
"""

from dataclasses import dataclass, replace
from enum import StrEnum

BASE_S = 1.0
CAP_S = 300.0
OPEN_AFTER = 5
"""Consecutive failures that open a circuit."""
THROTTLES_TO_PAUSE = 5
PAUSE_S = 300.0
"""Pause after five throttles in a row: TikTok's per-minute quota."""
STALE = -1
"""The era of a request that proves nothing: it was sent while the circuit was open."""


def backoff(attempt: int, draw: float, retry_after_s: float | None = None) -> float:
    """Seconds before attempt ``attempt`` + 1 (attempts count from 0); ``draw`` is uniform in [0, 1)."""
    bound = min(CAP_S, BASE_S * (1 << min(attempt, 20)))
    return max(draw * bound, retry_after_s or 0.0)


class Phase(StrEnum):
    """Whether requests may go out."""

    CLOSED = "closed"
    OPEN = "open"
    HALF_OPEN = "half_open"


@dataclass(frozen=True, slots=True)
class Circuit:
    """One lane's circuit; each transition returns the next state. Times are the caller's clock, in seconds."""

    phase: Phase = Phase.CLOSED
    failures: int = 0
    """Consecutive ones while closed."""
    pauses: int = 0
    """Openings in a row: the exponent of the next pause."""
    throttles: int = 0
    """Consecutive throttles, over openings."""
    until: float = 0.0
    """While open: when the probe may go out."""
    era: int = 0
    """Grows with each opening."""

    @property
    def ticket(self) -> int:
        """What a request takes along, to be handed back with its answer."""
        return STALE if self.phase is Phase.OPEN else self.era

    def wait_s(self, now: float) -> float:
        """Seconds until a request may go out; 0 = now. In half-open the probe that is under way decides, not the clock."""
        return max(0.0, self.until - now) if self.phase is Phase.OPEN else 0.0

    def sending(self) -> "Circuit":
        """A batch goes out; if the circuit is open it is the probe."""
        return replace(self, phase=Phase.HALF_OPEN) if self.phase is Phase.OPEN else self

    def unanswered(self) -> "Circuit":
        """The batch ended without a request having been judged: if it was the probe, the next one may go out."""
        return replace(self, phase=Phase.OPEN) if self.phase is Phase.HALF_OPEN else self

    def succeeded(self, ticket: int) -> "Circuit":
        """An answer that proves TikTok is there."""
        return Circuit(era=self.era) if ticket == self.era and self.phase is not Phase.OPEN else self

    def failed(self, ticket: int, now: float, draw: float, *, throttled: bool, retry_after_s: float | None) -> "Circuit":
        """A failure. It opens the circuit if it was the probe, at once for a throttle or a Retry-After, else from :data:`OPEN_AFTER` on."""
        if ticket != self.era or self.phase is Phase.OPEN:
            if self.phase is Phase.OPEN and retry_after_s:
                return replace(self, until=max(self.until, now + retry_after_s))
            return self
        failures = self.failures + 1
        throttles = self.throttles + 1 if throttled else 0
        if self.phase is Phase.CLOSED and not throttled and not retry_after_s and failures < OPEN_AFTER:
            return replace(self, failures=failures, throttles=throttles)
        pause = max(retry_after_s or 0.0, PAUSE_S) if throttles >= THROTTLES_TO_PAUSE else retry_after_s
        # At least a second between probes, whatever the jitter draws.
        until = now + max(BASE_S, backoff(self.pauses, draw, pause))
        return Circuit(Phase.OPEN, 0, self.pauses + 1, throttles, until, self.era + 1)
