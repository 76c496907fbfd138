"""Ports for servers that a test starts: of loopback, below those that the system gives to outgoing connections, and of this test process alone.

A port that was free a moment ago may be gone when its server starts, where several test processes ask at once.
"""

import itertools
import os

from benchmarks.ports import first_free

_FIRST, _EACH, _WORKERS = 10_000, 2_000, 11
_worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % _WORKERS
_next = itertools.cycle(range(_FIRST + _worker * _EACH, _FIRST + (_worker + 1) * _EACH))
# Where the last run of this worker ended nobody knows: begin somewhere.
for _ in range(os.getpid() % _EACH):
    next(_next)


def free_port() -> int:
    """A port that nothing of this machine listens on."""
    return first_free(_next, _EACH)


def free_ports(count: int) -> list[int]:
    """Different ones."""
    return [free_port() for _ in range(count)]
