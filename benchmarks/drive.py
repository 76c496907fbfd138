"""Runs the load generator in this process, which is pinned to the load core, and brackets it with CPU readings (io)."""

from collections.abc import Callable
from dataclasses import dataclass

import uvloop

from benchmarks import machine
from benchmarks.load.generator import Generator, Result


@dataclass(slots=True)
class Driven:
    """One run: what the generator saw, and what the server's process spent on it."""

    result: Result
    cpu_s: float

    @property
    def cpu_us(self) -> float:
        """CPU microseconds of the server per request."""
        return self.cpu_s / max(1, self.result.sent) * 1e6


def drive(
    port: int,
    make: Callable[[int], bytes],
    pid: int,
    *,
    seconds: float,
    rate: float = 0.0,
    connections: int = 64,
    warm_up_s: float = 0.5,
) -> Driven:
    """Closed loop, or open loop at ``rate``; a short closed-loop warm-up goes first and is counted in ``result.warm_ok``.

    The warm-up's requests use numbers of their own, so event ids stay unique within one ``make``.
    """

    async def run() -> Driven:
        generator = Generator("127.0.0.1", port, make, connections=connections)
        await generator.connect()
        try:
            if warm_up_s:
                warm = await generator.closed_loop(warm_up_s)
                warm_ok = warm.ok
            else:
                warm_ok = 0
            before = machine.cpu_s(pid)
            result = await (generator.open_loop(rate, seconds) if rate else generator.closed_loop(seconds))
            spent = machine.cpu_s(pid) - before
            result.warm_ok = warm_ok
            return Driven(result, spent)
        finally:
            generator.close()

    return uvloop.run(run())
