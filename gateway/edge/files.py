"""How many files the process may open, and what that leaves for connections (io).

Law: running out of descriptors hurts everybody at once – the site, the spool, the logs – so clients and connections to the app
together never take the reserve, and where that is fewer than configured the listener says so.
"""

import errno
import resource
import sys
from contextlib import suppress
from dataclasses import dataclass

RESERVE = 256
"""Descriptors for what is not a visitor: spool, logs, delivery, ops, the loop itself."""
EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE})
"""Errors of the system that say the same: no descriptor is left."""


@dataclass(frozen=True, slots=True)
class Room:
    """Connections that fit."""

    clients: int
    together: int
    """Clients and connections to the app."""


def room_for(connections: int) -> Room:
    """Raise the soft limit as far as ``connections`` need and the hard limit allows; returns how many may be taken.

    Each visitor may need a second connection, to the app; silent ones do not. A quarter is kept for those.
    """
    wanted = 2 * connections + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return Room(connections, sys.maxsize)
    if soft < wanted and soft != hard:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # some kernels cap it below the hard limit: then what there is must do
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    together = max(2, soft - RESERVE)
    return Room(min(connections, max(1, together * 3 // 4)), together)
