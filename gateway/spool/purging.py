"""Withdrawals and erasures in the files (io).

Law: what was put before the call is found, queued, leased or dead. From the call on, nothing of the person's that is leased may go out any more: it is purged when it comes back.
Finding records is a scan beside the writer: an index would cost each put more than the rare purge is worth.
"""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import orjson

from gateway.errors import SpoolUnavailable
from gateway.outcome import Reason
from gateway.spool import reader
from gateway.spool.base import Purged
from gateway.spool.reader import Reader
from gateway.spool.removal import Removal, Tally
from gateway.spool.transaction import Transaction
from gateway.spool.window import Window

SCAN_SEGMENTS = 4096
SCAN_OWNERS = 16
"""Purges that share a scan."""

Run = Callable[[Callable[[Transaction], Any]], Awaitable[Any]]
"""Have the writer do it in its transaction."""


class Purging:
    """One spool's removals, one scan at a time."""

    def __init__(self, window: Window, side_reader: Reader, run: Run, remove: Callable[[Removal], Awaitable[None]]) -> None:
        self._window = window
        self._reader = side_reader
        self._run = run
        self._remove = remove
        self._lock = asyncio.Lock()
        self._wanted: dict[str, tuple[Reason, asyncio.Future[Purged]]] = {}

    async def purge(self, owner: str, reason: Reason) -> Purged:
        """See :meth:`Spool.purge`. Purges that arrive during a scan share the next one."""
        _, future = self._wanted.setdefault(owner, (reason, asyncio.get_running_loop().create_future()))
        self._window.mean(owner, reason.value)
        async with self._lock:
            if not future.done():
                await self._purge_next()
        return await asyncio.shield(future)

    async def _purge_next(self) -> None:
        batch = {owner: self._wanted.pop(owner) for owner in list(self._wanted)[:SCAN_OWNERS]}
        try:
            purged = await self._purge({owner: reason.value for owner, (reason, _) in batch.items()})
        except BaseException as error:
            for _, future in batch.values():
                future.set_exception(
                    error if isinstance(error, SpoolUnavailable) else SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "closed")
                )
                future.exception()
            raise
        finally:
            self._window.forget_meant(batch.keys() - self._wanted.keys())
        for owner, (_, future) in batch.items():
            future.set_result(purged.of(owner))

    async def _purge(self, owners: dict[str, str]) -> Tally:
        # What was put before this call is committed, and known here, once an empty job has been.
        await self._run(_no_work)
        window = self._window
        purged = Tally()
        try:
            await self._remove(window.begin_purge(owners, purged))
            after: int | None = -1
            while after is not None:
                after, rows = await self._reader.run(reader.owned_segments(list(owners), after, SCAN_SEGMENTS))
                await self._remove(window.purge_rows([(id_, orjson.loads(head)[0]) for id_, head in rows], purged))
            for owner, reason in owners.items():
                purged.removed[owner] += await self._run(partial(Transaction.purge_dead, owner=owner, reason=reason))
        finally:
            window.end_purge(purged)
        return purged

    async def erase(self, needle: bytes, reason: Reason) -> Purged:
        """See :meth:`Spool.erase`."""
        erased = Tally()
        async with self._lock:
            await self._run(_no_work)  # what was put before this call is committed, and known here
            window = self._window
            try:
                await self._remove(window.begin_erasure(needle, reason.value, erased))
                after: int | None = -1
                while after is not None:
                    after, rows = await self._reader.run(reader.holding_segments(needle, after, SCAN_SEGMENTS // 16))
                    await self._remove(window.erase_rows(rows, reason.value, erased))
                erased.removed[""] += await self._run(lambda transaction: transaction.erase_dead(needle, reason.value))
            finally:
                window.end_purge(erased)
        return erased.of("")


def _no_work(_: Transaction) -> None:
    pass
