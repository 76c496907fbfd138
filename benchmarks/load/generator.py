"""Closed-loop and open-loop runs over a set of connections.

Law: a run ends only when every request it sent was answered or its connection lost, so that answers and deliveries can be
compared one to one. Latencies are seconds, counted from the intended time in open loop.
"""

import asyncio
import time
from array import array
from collections.abc import Callable
from dataclasses import dataclass, field

from benchmarks.load.client import Connection

MakeRequest = Callable[[int], bytes]
"""From the request's number to its bytes."""


@dataclass(slots=True)
class Result:
    """What one run saw. ``latencies_s`` is in order of completion."""

    seconds: float = 0.0
    sent: int = 0
    statuses: dict[int, int] = field(default_factory=dict)
    """HTTP status → answers; 0 = connection lost before the answer."""
    latencies_s: "array[float]" = field(default_factory=lambda: array("d"))
    warm_ok: int = 0
    """2xx answers of a warm-up that went before: they are events too."""
    warm_sent: int = 0

    @property
    def ok(self) -> int:
        """Answers with 2xx."""
        return sum(count for status, count in self.statuses.items() if 200 <= status < 300)

    @property
    def rate(self) -> float:
        """2xx answers a second."""
        return self.ok / self.seconds if self.seconds else 0.0

    def percentiles_ms(self) -> dict[str, float]:
        """p50, p90, p99, p99.9 and max in milliseconds."""
        values = sorted(self.latencies_s)
        if not values:
            return {}
        points = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99.9": 0.999}
        result = {name: values[min(len(values) - 1, int(len(values) * q))] * 1e3 for name, q in points.items()}
        result["max"] = values[-1] * 1e3
        return result


class Generator:
    """Drives ``connections`` keep-alive connections against one address."""

    def __init__(self, host: str, port: int, make_request: MakeRequest, *, connections: int = 64) -> None:
        self._host, self._port = host, port
        self._make = make_request
        self._count = connections
        self._result = Result()
        self._next = 0
        self._outstanding = 0
        self._quiet = asyncio.Event()
        self._handler: Callable[[Connection], None] = lambda _connection: None
        self._connections: list[Connection] = []

    async def connect(self) -> None:
        """Open all connections; OSError if nobody listens."""
        loop = asyncio.get_running_loop()
        for _ in range(self._count):
            _, connection = await loop.create_connection(lambda: Connection(self._answered, self._lost), self._host, self._port)
            self._connections.append(connection)

    def close(self) -> None:
        """Close all connections."""
        for connection in self._connections:
            if connection.transport:
                connection.transport.close()

    def _answered(self, connection: Connection, status: int, due: float) -> None:
        result = self._result
        result.statuses[status] = result.statuses.get(status, 0) + 1
        result.latencies_s.append(time.perf_counter() - due)
        self._outstanding -= 1
        self._handler(connection)
        if not self._outstanding:
            self._quiet.set()

    def _lost(self, connection: Connection) -> None:
        if connection in self._connections:
            self._connections.remove(connection)

    def _send(self, connection: Connection, due: float) -> None:
        number = self._next
        self._next += 1
        self._outstanding += 1
        self._result.sent += 1
        connection.send(self._make(number), due)

    async def closed_loop(self, duration_s: float) -> Result:
        """Every connection sends its next request as soon as the last was answered: finds the maximum rate."""
        self._result = result = Result()
        self._quiet.clear()
        begin = time.perf_counter()
        stop_at = begin + duration_s

        def again(connection: Connection) -> None:
            now = time.perf_counter()
            if now < stop_at and connection.transport is not None:
                self._send(connection, now)

        self._handler = again
        for connection in list(self._connections):
            self._send(connection, time.perf_counter())
        await self._quiet.wait()
        result.seconds = time.perf_counter() - begin
        return result

    async def open_loop(self, rate: float, duration_s: float) -> Result:
        """Requests fall due at a fixed rate whatever the server does; one that finds no free connection waits, and its wait counts."""
        self._result = result = Result()
        self._quiet.clear()
        total = max(1, int(rate * duration_s))
        interval = 1.0 / rate
        free = list(self._connections)
        waiting: list[float] = []  # due times, a queue read from the front by index
        head = 0

        def freed(connection: Connection) -> None:
            nonlocal head
            if connection.transport is None:
                return
            if head < len(waiting):
                due = waiting[head]
                head += 1
                self._send(connection, due)
            else:
                free.append(connection)

        self._handler = freed
        begin = time.perf_counter() + 0.01
        issued = 0
        while issued < total:
            now = time.perf_counter()
            due_count = min(total, int((now - begin) * rate) + 1) if now >= begin else 0
            while issued < due_count:
                due = begin + issued * interval
                issued += 1
                if free:
                    self._send(free.pop(), due)
                else:
                    waiting.append(due)
            # Sleeping below a millisecond is beyond the timer's promise; the due time is what counts, not this wake-up.
            await asyncio.sleep(max(0.0, min(0.001, begin + issued * interval - time.perf_counter())))
            if not self._connections:
                break
        while (self._outstanding or head < len(waiting)) and self._connections:
            self._quiet.clear()
            if self._outstanding:
                await self._quiet.wait()
        result.seconds = time.perf_counter() - begin
        return result
