"""One piece of work per turn of the event loop, over all lanes (io: the loop only).

Law: mapping and settling are cheap for an event and dear for a thousand, and many batches become ready in the same turn. Whoever is about to do a slice of such work
takes a turn first; then collecting and passing through wait for one slice and not for all of them.
"""

import asyncio


class Turns:
    """Shared by all lanes of a worker; first come, first served."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def take(self) -> None:
        """Wait for a turn: what the caller does before it awaits again is the only such work of this turn of the loop."""
        async with self._lock:
            await asyncio.sleep(0)
