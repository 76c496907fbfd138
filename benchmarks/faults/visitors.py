"""Visitors that never repeat a request, and count what became of each (io).

Law: they do what HTTP asks of a client and no more: a connection that was announced to close, or that was closed while idle, is
replaced; whatever happens to a request that has been sent is its result.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field

Make = Callable[[int], bytes]


@dataclass(slots=True)
class Seen:
    """What became of the requests."""

    sent: int = 0
    results: Counter[str] = field(default_factory=Counter)
    """Status, or the way it failed."""
    failed: list[int] = field(default_factory=list)
    """Numbers of the requests that were not answered 200."""
    reconnects: int = 0
    latencies_s: list[float] = field(default_factory=list)

    def percentile_ms(self, q: float) -> float:
        """Latency in milliseconds."""
        values = sorted(self.latencies_s)
        return values[min(len(values) - 1, int(len(values) * q))] * 1e3 if values else 0.0


class _Visit(asyncio.Protocol):
    """One keep-alive connection."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport | None = None
        self._answer: asyncio.Future[tuple[int, bool]] | None = None
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def usable(self) -> bool:
        """Whether another request may be sent."""
        return self.transport is not None and not self.transport.is_closing()

    def ask(self, request: bytes) -> "asyncio.Future[tuple[int, bool]]":
        """The answer's status, and whether the connection stays."""
        assert self.transport is not None
        self._received = b""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer

    def data_received(self, data: bytes) -> None:
        self._received += data
        head, mark, body = self._received.partition(b"\r\n\r\n")
        if not mark or self._answer is None:
            return
        lower = head.lower()
        at = lower.find(b"\r\ncontent-length:")
        length = int(lower[at + 17 :].split(b"\r\n", 1)[0]) if at >= 0 else 0
        if len(body) >= length and not self._answer.done():
            self._answer.set_result((int(head[9:12]), b"\r\nconnection: close" not in lower))

    def connection_lost(self, exc: BaseException | None) -> None:
        self.transport = None
        if self._answer is not None and not self._answer.done():
            self._answer.set_exception(ConnectionResetError("reset" if exc else "ended"))


class Visitors:
    """An open loop of requests over keep-alive connections to one port."""

    def __init__(self, port: int, make: Make, *, connections: int = 40, patience_s: float = 30.0) -> None:
        self._port, self._make, self._patience_s = port, make, patience_s
        self._idle: list[_Visit] = []
        self._busy = 0
        self._connections = connections
        self._free = asyncio.Semaphore(connections)
        self.seen = Seen()

    async def _one(self, number: int, due: float) -> None:
        seen = self.seen
        async with self._free:
            self._idle = [visit for visit in self._idle if visit.usable()]
            self._busy += 1
            try:
                if self._idle and len(self._idle) + self._busy > self._connections:
                    visit = self._idle.pop(0)  # the longest idle one: every connection is used in turn
                else:
                    seen.reconnects += 1
                    _, visit = await asyncio.get_running_loop().create_connection(_Visit, "127.0.0.1", self._port)
            except OSError as error:
                self._busy -= 1
                seen.results[f"connect: {type(error).__name__}"] += 1
                seen.failed.append(number)
                return
            try:
                async with asyncio.timeout(self._patience_s):
                    status, stays = await visit.ask(self._make(number))
                result = str(status)
            except (ConnectionError, TimeoutError) as error:
                result, stays = f"{type(error).__name__}: {error}", False
            self._busy -= 1
            seen.results[result] += 1
            seen.latencies_s.append(time.perf_counter() - due)
            if result != "200":
                seen.failed.append(number)
            if stays and visit.usable():
                self._idle.append(visit)
            elif visit.transport is not None:
                visit.transport.close()

    async def visit(self, rate: float, until: asyncio.Event) -> Seen:
        """Requests at ``rate`` until the event is set; returns when all were answered."""
        running: set[asyncio.Task[None]] = set()
        begin = time.perf_counter()
        while not until.is_set():
            due = begin + self.seen.sent / rate
            pause = due - time.perf_counter()
            if pause > 0:
                await asyncio.sleep(pause)
            task = asyncio.create_task(self._one(self.seen.sent, due))
            self.seen.sent += 1
            running.add(task)
            task.add_done_callback(running.discard)
        await asyncio.gather(*running)
        self.close()
        return self.seen

    def close(self) -> None:
        """Close the idle connections."""
        for visit in self._idle:
            if visit.transport is not None:
                visit.transport.close()
        self._idle.clear()
