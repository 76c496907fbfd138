"""When to try again (pure: randomness and the clock come in).

Law: full jitter – a pause is drawn between zero and the exponential bound – so that many gateways do not come back in step; Retry-After is a lower bound. The circuit
opens after consecutive failures, and a single probe decides whether it closes.
"""

from dataclasses import dataclass

BASE_S = 1.0
CAP_S = 300.0
OPEN_AFTER = 5
"""Consecutive failures that open a circuit."""
THROTTLES_TO_PAUSE = 5
PAUSE_S = 300.0
"""Pause after five throttles in a row: TikTok's per-minute quota."""


def backoff(attempt: int, draw: float, retry_after_s: float | None = None) -> float:
    """Seconds before attempt ``attempt`` + 1 (attempts count from 0); ``draw`` is uniform in [0, 1)."""
    bound = min(CAP_S, BASE_S * (1 << min(attempt, 20)))
    return max(draw * bound, retry_after_s or 0.0)


@dataclass(slots=True)
class Circuit:
    """One lane's circuit: closed, open until :attr:`until`, or half-open while :attr:`probing`. Times are the caller's clock."""

    failures: int = 0
    throttles: int = 0
    until: float = 0.0
    probing: bool = False

    def may_send(self, now: float) -> bool:
        """Closed, or time for the single probe. The caller that gets True while open must report its outcome."""
        return not self.is_open or (now >= self.until and not self.probing)

    @property
    def is_open(self) -> bool:
        """Requests are held back."""
        return self.until > 0.0

    def sent(self) -> None:
        """A request goes out; while open it is the probe."""
        if self.is_open:
            self.probing = True

    def succeeded(self) -> None:
        """An answer that proves TikTok is there."""
        self.failures = self.throttles = 0
        self.until = 0.0
        self.probing = False

    def failed(self, now: float, draw: float, *, throttled: bool, retry_after_s: float | None) -> None:
        """A failure; opens the circuit from :data:`OPEN_AFTER` on, at once for a throttle."""
        self.probing = False
        self.failures += 1
        self.throttles = self.throttles + 1 if throttled else 0
        pause = retry_after_s
        if self.throttles >= THROTTLES_TO_PAUSE:
            pause = max(pause or 0.0, PAUSE_S)
        if throttled or pause or self.failures >= OPEN_AFTER:
            # At least a second between probes, whatever the jitter draws: one probe a second is the promise.
            self.until = now + max(1.0, backoff(self.failures, draw, pause))
