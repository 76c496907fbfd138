"""One lane: wait until something may be sent, lease it, send it off (io).

Law: a lane waits only for itself. Every leased record is settled or released. Mapping, token and pixel are those in force when a batch is made. What is allowed is
decided by :mod:`gateway.delivery.standing`, what becomes of a batch by :mod:`gateway.delivery.shipment`; here is only the waiting.
"""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from gateway.catalog.model import IntegrationSettings
from gateway.catalog.runtime import Integration, Live
from gateway.delivery.client import Client
from gateway.delivery.council import Council
from gateway.delivery.settings import DeliverySettings
from gateway.delivery.shipment import Route, Shipment
from gateway.delivery.standing import Gate, LaneState, Standing, State
from gateway.delivery.turns import Turns
from gateway.errors import SpoolUnavailable
from gateway.lane import Lane
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Record, Spool
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tasks import cancel, spawn

_log = logging.getLogger(__name__)
_LOOK_S = 5.0
"""At the latest after this long a waiting lane looks at the catalogue and the clock again."""
_IDLE_S = 60.0
"""A lane that no integration fills any more and that is empty ends after this long."""
_SPOOL_PAUSE_S = 1.0
_DUE_SLACK_S, _DUE_LOOK_S = 1.0, 0.02
"""While ending: records may come up to a second after they were due by our reckoning; look that often."""
_LEVELS = {
    State.ACTIVE: logging.INFO,
    State.BACKING_OFF: logging.WARNING,
    State.SUSPENDED: logging.ERROR,
    State.PAUSED: logging.WARNING,
}


class LaneWorker:
    """Delivers the records of one lane."""

    def __init__(
        self,
        lane: str,
        spool: Spool,
        live: Live,
        client: Client,
        settings: DeliverySettings,
        metrics: Metrics,
        turns: Turns,
        council: Council | None = None,
    ) -> None:
        target = Lane.parse(lane)
        self.lane = lane
        self._integration_id = target.integration
        self._spool = spool
        self._live = live
        self._settings = settings
        self._metrics = metrics
        self._standing = Standing(settings.in_flight, settings.suspend_probe, time.monotonic())
        self._route = Route(lane, target.test_code, spool, client, settings, metrics, self._standing, turns)
        self._council = council
        self._seat = council.seat(lane, self._standing, self._found) if council is not None else None
        if self._seat is not None:
            self._seat.on_change = self._heard
        self._in_flight: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._nap: asyncio.Timeout | None = None
        self._end: float | None = None
        """Once stopping: the end of the grace, on the loop's clock."""
        self._told: tuple[State, str, str] = (State.ACTIVE, "", "")
        self._idle_since: float | None = None

    @property
    def state(self) -> LaneState:
        """What it is doing now."""
        return self._standing.state(self.lane, time.monotonic(), time.time())

    def wake(self) -> None:
        """Look at the catalogue again: credentials or settings may have changed."""
        self._changed.set()
        self._interrupt()

    def stop(self, grace_s: float) -> None:
        """Deliver what can be delivered within ``grace_s``, without lingering, then end."""
        self._end = asyncio.get_running_loop().time() + grace_s
        self.wake()

    async def run(self) -> None:
        """Until stopped – or until the lane is empty and no integration fills it any more."""
        try:
            while not await self._turn():
                pass
            # What is under way is within the grace: whoever loses patience cancels.
            while self._in_flight:
                await asyncio.wait(self._in_flight)
        finally:
            await cancel(*self._in_flight)
            if self._council is not None and self._seat is not None:
                self._council.leave(self._seat)

    # -- other deliverers

    def _found(self) -> IntegrationSettings | None:
        integration = self._live.current.integrations.get(self._integration_id)
        return integration.settings if integration is not None else None

    def _heard(self) -> None:
        """Another deliverer has found how the lane stands."""
        self.wake()
        self._tell()

    async def _may_probe(self) -> bool:
        """Of a lane in trouble one deliverer sends one batch."""
        return self._seat is None or not self._standing.probes or await self._seat.claim()

    # -- one turn

    async def _turn(self) -> bool:
        """Send one batch off, or wait for something to change; True = it is over."""
        self._changed.clear()
        try:
            integration = await self._integration()
            if integration is None:
                return await self._rest(_LOOK_S)
            gate = self._standing.gate(time.monotonic())
            self._tell()
            if gate.wait_s > 0:
                return await self._rest(gate.wait_s)
            if len(self._in_flight) >= gate.in_flight:
                await self._wait(_LOOK_S)
                return False
            records = await self._lease(gate)
            if records:
                await self._send_off(records)
                return False
            return await self._nothing_due()
        except SpoolUnavailable as error:
            if self._route.hush.said("spool", time.monotonic()):
                _log.warning("spool is not available to delivery", extra={"lane": self.lane, "reason": error.reason})
            if self._end is not None:
                return True
            await self._wait(_SPOOL_PAUSE_S)
            return False

    async def _integration(self) -> Integration | None:
        """The integration as it is now, if it may be sent for; if not, the lane knows why."""
        catalogue = self._live.current
        integration = catalogue.integrations.get(self._integration_id)
        now = time.monotonic()
        if integration is None and catalogue.off:
            # it may be declared and broken rather than removed: nothing is buried for a typing error
            self._hold(State.PAUSED, "the integration's configuration has problems; its queue waits")
            return None
        if integration is None:
            await self._bury()
            self._hold(State.PAUSED, "the integration was removed")
            return None
        if not integration.enabled:
            self._hold(State.PAUSED, "the integration is disabled; its queue waits")
            return None
        if not integration.access_token:
            self._hold(State.SUSPENDED, "there is no access token", "Set access_token of this integration.")
            return None
        self._standing.free(integration.settings, now)
        if self._seat is not None:
            self._seat.speak()
        return integration

    def _hold(self, state: State, message: str, cure: str = "") -> None:
        self._standing.hold(state, message, cure, time.monotonic())
        self._tell()

    async def _bury(self) -> None:
        buried = await self._spool.bury_lane(self.lane, Reason.INTEGRATION_REMOVED)
        if buried:
            _log.warning(
                "integration was removed; its queue is in the dead letters", extra={"lane": self.lane, "records": buried}
            )
            self._metrics.outcome(Outcome.DEAD, Reason.INTEGRATION_REMOVED, integration=self._integration_id, n=buried)

    async def _send_off(self, records: list[Record]) -> None:
        """The catalogue or the lane's standing may have changed while it waited for records: ask again, then go."""
        integration = self._live.current.integrations.get(self._integration_id)
        gate = self._standing.gate(time.monotonic())
        sound = integration is not None and integration.enabled and integration.access_token
        if (
            not sound
            or integration is None
            or gate.wait_s > 0
            or len(self._in_flight) >= gate.in_flight
            or not await self._may_probe()
        ):
            await self._spool.release([record.id for record in records])
            return
        most = self._most(gate)
        if len(records) > most:
            await self._spool.release([record.id for record in records[most:]])
            del records[most:]
        self._standing.sending(time.monotonic())
        shipment = Shipment(self._route, records, integration, probe=gate.probe)
        task = spawn(shipment.deliver(), f"deliver {self.lane}")
        self._in_flight.add(task)
        task.add_done_callback(self._landed)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._changed.set()
        if self._seat is not None:
            self._seat.speak()
        self._tell()
        if self._standing.gate(time.monotonic()).wait_s > 0:
            self._interrupt()  # what the lane waits for must not be sent now

    def _most(self, gate: Gate) -> int:
        return 1 if gate.probe else self._route.max_batch(time.monotonic())

    async def _lease(self, gate: Gate) -> list[Record]:
        most = self._settings.max_batch_bytes
        wanted = self._most(gate)
        records: list[Record] = []
        try:
            async with self._nap_of(_LOOK_S):
                records = await self._spool.lease(self.lane, wanted, most, 0.0 if self._end is not None else _LOOK_S)
            size = sum([len(record.payload) for record in records])
            if records and len(records) < wanted and size < most and self._settings.linger and self._end is None:
                async with self._nap_of(self._settings.linger):
                    await self._spool.gathered(self.lane, wanted - len(records), self._settings.linger)
                more = await self._spool.lease(self.lane, wanted - len(records), most - size, 0.0)
                if more and size + len(more[0].payload) > most:  # a lease hands out its first record whatever the size
                    await self._spool.release([record.id for record in more])
                else:
                    records += more
        except BaseException:
            if records:
                await self._spool.release([record.id for record in records])
            raise
        return records

    # -- waiting

    async def _wait(self, seconds: float) -> None:
        """For a change, or ``seconds``."""
        with suppress(TimeoutError):
            async with asyncio.timeout(min(seconds, _LOOK_S)):
                await self._changed.wait()

    @asynccontextmanager
    async def _nap_of(self, seconds: float) -> AsyncIterator[None]:
        """A wait elsewhere that :meth:`_interrupt` ends early. What is cancelled by it must lose nothing: a lease has taken nothing until it returns."""
        try:
            async with asyncio.timeout(seconds) as self._nap:
                yield
        except TimeoutError:
            pass
        finally:
            self._nap = None

    def _interrupt(self) -> None:
        if self._nap is not None and not self._nap.expired():
            self._nap.reschedule(0.0)

    async def _rest(self, seconds: float) -> bool:
        """Nothing may be sent for ``seconds``; True = the lane is over."""
        if not self._in_flight:
            if self._end is not None and (self._standing.held or asyncio.get_running_loop().time() + seconds >= self._end):
                return True
            if await self._forgotten():
                return True
        await self._wait(seconds)
        return False

    async def _nothing_due(self) -> bool:
        """There was nothing to lease; True = the lane is over."""
        if self._in_flight:
            if self._end is not None:
                await self._wait(_LOOK_S)  # what lands may put records off, or give them back
            return False
        if self._end is None:
            return await self._forgotten()
        if self.lane not in await self._spool.lanes():
            return True
        # What waits was put off: worth waiting for if its time comes within the grace.
        now, left = time.time(), self._end - asyncio.get_running_loop().time()
        soonest = min((due - now for due in self._route.dues if due > now - _DUE_SLACK_S), default=left)
        if soonest >= left:
            return True
        await self._wait(max(_DUE_LOOK_S, soonest))
        return False

    async def _forgotten(self) -> bool:
        """Empty for a while, and no integration fills it any more: a test code of the past."""
        filled = any(each.lane == self.lane for each in self._live.current.integrations.values())
        if filled or self.lane in await self._spool.lanes():
            self._idle_since = None
            return False
        now = time.monotonic()
        self._idle_since = now if self._idle_since is None else self._idle_since
        return now - self._idle_since >= _IDLE_S

    # -- what is said

    def _tell(self) -> None:
        """Log a change of state: a suspension at once, the ups and downs of a circuit once in a while."""
        state = self.state
        lasting = state.state in {State.SUSPENDED, State.PAUSED}
        news = (state.state, state.code if lasting else "", state.message if lasting else "")
        if news == self._told:
            return
        urgent = State.SUSPENDED in {state.state, self._told[0]}
        if not urgent and not self._route.hush.said("state", time.monotonic()):
            return
        self._told = news
        extra = {"lane": self.lane, "code": state.code, "answer": state.message, "cure": state.cure}
        _log.log(_LEVELS[state.state], f"lane {state.state.value}", extra=extra)
