"""How long a connection may stay in which state (pure).

Law: a connection is always in exactly one phase; each phase has one patience and one consequence, and both are looked up here.
The sweep in ``listener.py`` asks once a second, not a timer per request: a deadline is kept to within one sweep.
"""

import math
from enum import IntEnum

from gateway.edge.settings import LimitSettings

COLLECT_BODY_BYTES = 1 << 20
"""Largest body of a collect request on the wire; gzip is inflated to at most the same by the collector."""
HELD_BYTES = 1 << 16
"""Bytes of later pipelined requests kept while one is being answered; then reading pauses."""
LINGER_S = 2.0
"""How long the rest of a refused upload is read and thrown away, so that the client sees the answer before a reset."""
FIN_GRACE_S = 0.95
"""How long a client that has ended its side is believed to wait for the answer; a client that is gone looks the same, and the
app is to know within a second."""
FIN_QUIET_S = 5.0
"""After that, how long such a client is believed while its answer, begun, does not go on: one that is gone sends no sign of it."""
QUIET_S = 1.0
"""A drain closes connections that have been idle for this long: a younger one may have its next request on the way."""
MIN_PROGRESS_BYTES = 1024
"""A request body must grow by this within ``body_progress``: one byte now and then is not progress."""
TAIL_BYTES = 1 << 14
"""Of what came with a request more than this is counted as waiting while the request is in work: it may be later requests."""


class Phase(IntEnum):
    """Where a connection stands. Up to BODY arriving bytes go to the parser; after it they are held, pumped or dropped."""

    IDLE = 0
    """Between requests."""
    HEAD = 1
    """A request head has begun."""
    BODY = 2
    """The head is complete, the body is not."""
    ANSWER = 3
    """The request is complete, its answer is not."""
    TUNNEL = 4
    """A websocket: bytes are pumped."""
    LINGER = 5
    """Answered and half-closed; what still arrives is dropped."""
    CLOSING = 6
    """The last bytes are on their way."""


class Overdue(IntEnum):
    """What the sweep does with a connection whose patience has run out."""

    NOTHING = 0
    CLOSE = 1
    """Quietly: nobody waits for an answer."""
    TIMEOUT = 2
    """With a 408: a request has begun."""
    RESET = 3
    """At once: the peer does not take what it is sent."""


_CONSEQUENCES = {
    Phase.IDLE: Overdue.CLOSE,
    Phase.HEAD: Overdue.TIMEOUT,
    Phase.BODY: Overdue.TIMEOUT,
    Phase.LINGER: Overdue.RESET,
    Phase.CLOSING: Overdue.RESET,
}


class Patience:
    """Seconds per phase, from the settings."""

    __slots__ = ("_seconds", "stalled_s")

    def __init__(self, limits: LimitSettings) -> None:
        self.stalled_s = limits.body_progress
        seconds = {
            Phase.IDLE: limits.idle_timeout,
            Phase.HEAD: limits.header_timeout,
            Phase.BODY: limits.body_progress,
            Phase.LINGER: LINGER_S,
            Phase.CLOSING: limits.body_progress,
        }
        # By the phase's number: asked for every connection in every sweep, and an enum's member as a key costs as much as the rest of the look.
        self._seconds = tuple(seconds.get(phase) or math.inf for phase in Phase)

    def judge(self, phase: int, waited_s: float) -> Overdue:
        """What is due after ``waited_s`` without progress in ``phase``."""
        if waited_s <= self._seconds[phase]:
            return Overdue.NOTHING
        return _CONSEQUENCES[Phase(phase)]

    def sweep_s(self, *others: float) -> float:
        """How often each connection is looked at: a quarter of the shortest patience that is configured, at most a second."""
        configured = (self._seconds[phase] for phase in _CONSEQUENCES if phase is not Phase.LINGER)
        return max(0.05, min(1.0, min([*configured, *(s for s in others if s)]) / 4))
