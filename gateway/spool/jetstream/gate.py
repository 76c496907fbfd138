"""Work goes on side by side; a look at the figures wants a moment without any (io: the loop only).

Law: whoever looks waits for the work that runs and holds up the work that comes, the first for a time that the caller sets, the second for :data:`_HOLD_UP_S` at most: while servers
choose a leader a look would take as long as the choice.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

_HOLD_UP_S = 0.05


class Gate:
    """Shared by many, or had by one."""

    def __init__(self) -> None:
        self._inside = 0
        self._free = asyncio.Event()
        self._free.set()
        self._still = asyncio.Event()
        self._still.set()
        self._looking = asyncio.Lock()
        self._limit: asyncio.Timeout | None = None
        self._hurried = False

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Beside others."""
        while not self._free.is_set():
            self._hurry()
            await self._free.wait()
        self._inside += 1
        self._still.clear()
        try:
            yield
        finally:
            self._inside -= 1
            if not self._inside:
                self._still.set()

    @asynccontextmanager
    async def alone(self, patience_s: float) -> AsyncIterator[None]:
        """With nobody inside. TimeoutError after ``patience_s``, or sooner if somebody waits at the gate."""
        async with asyncio.timeout(patience_s) as limit, self._looking:
            self._limit, self._hurried = limit, False
            self._free.clear()
            try:
                await self._still.wait()
                yield
            finally:
                self._limit = None
                self._free.set()

    def _hurry(self) -> None:
        limit = self._limit
        if limit is None or self._hurried or limit.expired():
            return
        self._hurried = True
        soon = asyncio.get_running_loop().time() + _HOLD_UP_S
        limit.reschedule(min(limit.when() or soon, soon))
