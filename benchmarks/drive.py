"""Runs the load generator in this process, which is pinned to the load core, and brackets it with CPU readings (io)."""

import time
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
    generator_share: float = 0.0
    """Part of the run's time that the generator computed: of the load core."""
    sandbox_share: float = 0.0
    """The same for TikTok's stand-in, where it was watched."""
    free_share: float = 0.0
    """The same for what nobody used, this benchmark's processes or others."""

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
    sandbox_pid: int = 0,
) -> Driven:
    """Closed loop, or open loop at ``rate``; a short closed-loop warm-up goes first and is counted in ``result.warm_ok``. ``sandbox_pid`` is watched beside it.

    The warm-up's requests use numbers of their own, so event ids stay unique within one ``make``.
    """

    async def run() -> Driven:
        generator = Generator("127.0.0.1", port, make, connections=connections)
        await generator.connect()
        try:
            warm = await generator.closed_loop(warm_up_s) if warm_up_s else Result()
            before, counterpart = machine.cpu_s(pid), machine.cpu_s(sandbox_pid) if sandbox_pid else 0.0
            own, idle, begin = time.process_time(), machine.idle_s(machine.load_core()), time.perf_counter()
            result = await (generator.open_loop(rate, seconds) if rate else generator.closed_loop(seconds))
            own, lasted = time.process_time() - own, time.perf_counter() - begin
            idle = machine.idle_s(machine.load_core()) - idle
            spent = machine.cpu_s(pid) - before
            counterpart = machine.cpu_s(sandbox_pid) - counterpart if sandbox_pid else 0.0
            result.warm_ok, result.warm_sent = warm.ok, warm.sent
            return Driven(result, spent, own / lasted, counterpart / lasted, idle / lasted)
        finally:
            generator.close()

    return uvloop.run(run())
