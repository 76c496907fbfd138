"""Ports of loopback that are free (io).

Law: none of those that the system gives to outgoing connections: one that was free a moment ago may be gone by the time that its server starts.
"""

import itertools
import os
import socket
from collections.abc import Iterator
from contextlib import suppress

_RANGE = range(4_000, 10_000)
_next = itertools.cycle([_RANGE[(os.getpid() * 97 + n) % len(_RANGE)] for n in range(len(_RANGE))])


def first_free(candidates: Iterator[int], most: int) -> int:
    """The first of at most so many ``candidates`` that nothing of this machine listens on. OSError if there is none."""
    for port in itertools.islice(candidates, most):
        with suppress(OSError), socket.socket() as probe:
            probe.bind(("127.0.0.1", port))
            return port
    raise OSError("no free port is left")


def free_port() -> int:
    """A port that was free a moment ago, and has not been given to anybody here for long."""
    return first_free(_next, len(_RANGE))
