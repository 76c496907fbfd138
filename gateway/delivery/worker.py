"""All lanes (io): started as they appear, supervised, flushed at the end.

Law: one lane's fate never touches another's. ``stop`` delivers what is due within its grace, gives the rest back to the spool, and returns how much remains.
"""

import asyncio
import logging
from collections.abc import Iterable
from contextlib import suppress
from functools import partial

from gateway.catalog.runtime import Live
from gateway.delivery.client import Client
from gateway.delivery.council import Council
from gateway.delivery.lane import LaneWorker
from gateway.delivery.settings import DeliverySettings
from gateway.delivery.standing import LaneState, State
from gateway.delivery.turns import Turns
from gateway.errors import SpoolUnavailable
from gateway.spool.base import Spool
from gateway.telemetry.metrics import Metrics, Sample
from gateway.telemetry.tasks import cancel, keep
from gateway.together import Together

_log = logging.getLogger(__name__)
_LOOK_S = 2.0
"""How soon records of a lane that nobody knew (a native test code) are noticed."""
_STATES = {State.ACTIVE: 0, State.BACKING_OFF: 1, State.SUSPENDED: 2, State.PAUSED: 3}


class Worker:
    """Delivers everything in a spool."""

    def __init__(
        self, spool: Spool, live: Live, settings: DeliverySettings, metrics: Metrics, together: Together | None = None
    ) -> None:
        """``together`` where other processes empty the same spool."""
        self._spool = spool
        self._live = live
        self._settings = settings
        self._metrics = metrics
        self._client = Client(settings, metrics)
        self._turns = Turns()
        self._council = Council(together, settings.timeout, metrics, self._client.share) if together is not None else None
        self._lanes: dict[str, LaneWorker] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._finder: asyncio.Task[None] | None = None
        live.listeners.append(self.wake)
        metrics.provide(
            "lane_state",
            "Delivery lanes: 0 active, 1 backing off, 2 suspended, 3 paused.",
            ("integration", "test_code"),
            self._samples,
        )

    async def start(self) -> None:
        """Begin delivering."""
        if self._council is not None:
            await self._council.start()
        self._finder = keep(self._find, "find lanes")

    def wake(self) -> None:
        """A new catalogue is in force."""
        self.ensure(self._live.current.lanes())
        for lane in self._lanes.values():
            lane.wake()

    def ensure(self, lanes: Iterable[str]) -> None:
        """Start workers for lanes that have none."""
        if self._finder is None:
            return
        for lane in lanes:
            if lane not in self._lanes:
                worker = self._lanes[lane] = LaneWorker(
                    lane, self._spool, self._live, self._client, self._settings, self._metrics, self._turns, self._council
                )
                task = self._tasks[lane] = keep(worker.run, f"lane {lane}")
                task.add_done_callback(partial(self._ended, lane))

    def _ended(self, lane: str, _task: asyncio.Task[None]) -> None:
        # Empty and filled by nobody: records for it make a new worker.
        self._lanes.pop(lane, None)
        self._tasks.pop(lane, None)

    def lane_states(self) -> list[LaneState]:
        """Every lane's state, by name."""
        return [self._lanes[name].state for name in sorted(self._lanes)]

    async def stop(self, grace_s: float) -> int:
        """Flush within ``grace_s`` seconds, then stop; the number of records that stay in the spool. May be called again with less patience."""
        begun = asyncio.get_running_loop().time()
        with suppress(SpoolUnavailable):
            self.ensure(await self._spool.lanes())  # a lane may have appeared since the finder looked
        await cancel(self._finder)
        self._finder = None
        if self.wake in self._live.listeners:
            self._live.listeners.remove(self.wake)
        grace_s -= asyncio.get_running_loop().time() - begun
        for lane in self._lanes.values():
            lane.stop(grace_s)
        tasks = list(self._tasks.values())
        if tasks:
            await asyncio.wait(tasks, timeout=max(0.0, grace_s))
        await cancel(*tasks)
        if self._council is not None:
            await self._council.close()
        await self._client.close()
        try:
            remaining = sum(lane.queued for lane in (await self._spool.stats()).lanes)
        except SpoolUnavailable:
            return 0
        if remaining:
            _log.warning("records stay in the spool; they are delivered after the next start", extra={"records": remaining})
        return remaining

    async def _find(self) -> None:
        while True:
            try:
                self.ensure([*self._live.current.lanes(), *await self._spool.lanes()])
            except SpoolUnavailable:
                _log.debug("spool is not available to delivery")
            await asyncio.sleep(_LOOK_S)

    def _samples(self) -> list[Sample]:
        return [Sample(tuple(([*state.lane.split("|"), ""])[:2]), _STATES[state.state]) for state in self.lane_states()]
