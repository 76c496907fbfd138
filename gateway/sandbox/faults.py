"""Faults on demand (pure but for the dice): how the simulator misbehaves until told otherwise."""

import random
from typing import Any

from gateway.settings import Field, Settings


class Faults(Settings):
    """The body of ``PUT /sandbox/faults``; ``{}`` ends all faults."""

    latency_ms: float = Field(0, ge=0, le=600_000)
    """Wait before answering."""
    code: int | None = None
    """Answer with this code in TikTok's envelope."""
    http_status: int | None = Field(None, ge=200, le=599)
    """Answer with this status; without ``code`` and with an error status the body is plain text."""
    retry_after: float | None = Field(None, ge=0)
    """Send Retry-After with the answer."""
    message: str | None = Field(None, max_length=1000)
    """The envelope's message."""
    reset: bool = False
    """Cut the connection instead of answering."""
    html: bool = False
    """Answer 200 with a page of HTML."""
    hang: bool = False
    """Never answer."""
    after_processing: bool = False
    """Take the events in first, then misbehave: the sender cannot know."""
    rate: float = Field(1.0, ge=0, le=1)
    """Share of requests that are hit."""
    count: int | None = Field(None, ge=0)
    """Requests to hit before the faults end by themselves."""

    @property
    def any(self) -> bool:
        """Something other than latency is to go wrong."""
        return self.reset or self.html or self.hang or self.code is not None or self.http_status is not None


class Dice:
    """Whether the next request is hit."""

    def __init__(self) -> None:
        self._faults = Faults()
        self._left: int | None = None

    def set(self, faults: Faults) -> None:
        """Put faults in force."""
        self._faults = faults
        self._left = faults.count

    def throw(self) -> Faults | None:
        """The faults that hit this request, or None."""
        faults = self._faults
        if self._left == 0 or (faults.rate < 1 and random.random() >= faults.rate):
            return None
        if not faults.any and not faults.latency_ms:
            return None
        if self._left is not None:
            self._left -= 1
        return faults

    def describe(self) -> dict[str, Any]:
        """What is in force."""
        return self._faults.model_dump(exclude_defaults=True) | ({"left": self._left} if self._left is not None else {})
