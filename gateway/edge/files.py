"""How many files the process may open, and what that leaves for connections (io).

Law: running out of descriptors hurts everybody at once – the site, the spool, the logs – so the listener takes fewer connections
than there are, and says so when that is fewer than configured.
"""

import resource
from contextlib import suppress

RESERVE = 256
"""Descriptors for what is not a visitor: spool, logs, delivery, ops, the loop itself."""


def room_for(connections: int) -> int:
    """Raise the soft limit as far as ``connections`` need and the hard limit allows; returns how many may be taken.

    Each visitor may need a second connection, to the app; silent ones do not. A quarter is kept for those.
    """
    wanted = 2 * connections + RESERVE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY:
        return connections
    if soft < wanted and soft != hard:
        raised = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
        with suppress(OSError, ValueError):  # some kernels cap it below the hard limit: then what there is must do
            resource.setrlimit(resource.RLIMIT_NOFILE, (raised, hard))
            soft = raised
    return min(connections, max(1, (soft - RESERVE) * 3 // 4))
