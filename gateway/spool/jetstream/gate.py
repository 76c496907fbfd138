"""Work goes on side by side; a look at the figures wants a moment without any (io: the loop only).

Law: whoever looks waits for the work that runs and holds up the work that comes, both for a bounded time that the caller sets.
"""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Gate:
    """Shared by many, or had by one."""

    def __init__(self) -> None:
        self._inside = 0
        self._free = asyncio.Event()
        self._free.set()
        self._still = asyncio.Event()
        self._still.set()
        self._looking = asyncio.Lock()

    @asynccontextmanager
    async def shared(self) -> AsyncIterator[None]:
        """Beside others."""
        while not self._free.is_set():
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
    async def alone(self) -> AsyncIterator[None]:
        """With nobody inside. Use it under a time-out."""
        async with self._looking:
            self._free.clear()
            try:
                await self._still.wait()
                yield
            finally:
                self._free.set()
