"""One lane: lease, map, send, judge, settle (io).

Law: a lane waits only for itself. Every leased record is settled, released, or handed out again after a restart. The mapping and the token are those in force when a
batch is made. Mapping yields to the event loop between slices.
"""

import asyncio
import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

import orjson

from gateway.catalog.runtime import Integration, Live
from gateway.delivery import batch as batching
from gateway.delivery.client import Client
from gateway.delivery.isolate import isolate
from gateway.delivery.retry import Circuit, backoff
from gateway.delivery.settings import DeliverySettings
from gateway.delivery.verdict import Action, Verdict, shape
from gateway.errors import SpoolUnavailable
from gateway.lane import Lane
from gateway.mapping.compile import Unmapped
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Death, Done, Record, Retry, Settlement, Spool
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tasks import spawn

_log = logging.getLogger(__name__)
_SLICE = 100
"""Records mapped before other work gets its turn: about a millisecond."""
_IDLE_WAIT_S = 5.0
_THROTTLED_FOR_S = 600.0
"""40100 for longer than this is treated as Signal's manual reads it: an authorisation problem."""
_SAME_SHAPE = 8
"""Culprits in a row with one message shape: then the cause is not the events."""


class State(StrEnum):
    """What a lane is doing."""

    ACTIVE = "active"
    BACKING_OFF = "backing_off"
    SUSPENDED = "suspended"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane's state for metrics, logs and the API. Times are Unix seconds, 0 = none."""

    lane: str
    state: State
    since: float
    next_try: float
    code: str
    message: str
    cure: str


class Item(NamedTuple):
    """A record that was mapped."""

    record: Record
    data: bytes


class LaneWorker:
    """Delivers the records of one lane."""

    def __init__(self, lane: str, spool: Spool, live: Live, client: Client, settings: DeliverySettings, metrics: Metrics) -> None:
        self.lane = lane
        self._target = Lane.parse(lane)
        self._spool = spool
        self._live = live
        self._client = client
        self._settings = settings
        self._metrics = metrics
        self._circuit = Circuit()
        self._in_flight: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._stopping = False
        self._suspended: Verdict | None = None
        self._credentials = ("", "")
        self._next_probe = 0.0
        self._throttled_since = 0.0
        self._same_shape = ("", 0)
        self._state = LaneState(lane, State.ACTIVE, time.time(), 0.0, "", "", "")

    @property
    def state(self) -> LaneState:
        """What it is doing now."""
        return self._state

    def wake(self) -> None:
        """Look at the catalogue again: credentials or settings may have changed."""
        self._changed.set()

    def stop(self) -> None:
        """Deliver what is due without lingering, then end."""
        self._stopping = True
        self._changed.set()

    async def run(self) -> None:
        """Until stopped: then what is due has been delivered, or given back."""
        try:
            while True:
                busy = bool(self._in_flight)
                integration = await self._ready()
                if integration is None:
                    if self._stopping and not busy:
                        break
                    continue  # at its limit: what lands makes room for the rest of the flush
                records = await self._lease()
                if records:
                    self._circuit.sent()
                    task = spawn(self._deliver(records, integration), f"deliver {self.lane}")
                    self._in_flight.add(task)
                    task.add_done_callback(self._landed)
                elif self._stopping:
                    if not self._in_flight:
                        break
                    # neither the lease nor anything else need yield here: without this wait the loop spins and nothing lands
                    await asyncio.wait(self._in_flight, return_when=asyncio.FIRST_COMPLETED)
        except SpoolUnavailable as error:
            _log.warning("spool is not available to delivery", extra={"lane": self.lane, "reason": error.reason})
            await asyncio.sleep(1.0)
            raise
        finally:
            if self._in_flight:
                await asyncio.gather(*self._in_flight, return_exceptions=True)

    def _landed(self, task: asyncio.Task[None]) -> None:
        self._in_flight.discard(task)
        self._changed.set()

    # -- may anything be sent now?

    async def _ready(self) -> Integration | None:
        """The integration to send for, or None after a wait for something to change."""
        catalogue = self._live.current
        integration = catalogue.integrations.get(self._target.integration)
        if integration is None and catalogue.off:
            # it may be declared and broken rather than removed: nothing is buried for a typing error
            await self._pause(State.PAUSED, "the integration's configuration has problems; its queue waits")
            return None
        if integration is None:
            buried = await self._spool.bury_lane(self.lane, Reason.INTEGRATION_REMOVED)
            if buried:
                _log.warning(
                    "integration was removed; its queue is in the dead letters", extra={"lane": self.lane, "records": buried}
                )
                self._metrics.outcome(Outcome.DEAD, Reason.INTEGRATION_REMOVED, integration=self._target.integration, n=buried)
            await self._pause(State.PAUSED, "the integration was removed")
            return None
        if not integration.enabled:
            await self._pause(State.PAUSED, "the integration is disabled; its queue waits")
            return None
        credentials = (integration.access_token, integration.pixel_code)
        if self._suspended is not None and credentials != self._credentials:
            _log.info("credentials changed, lane resumes", extra={"lane": self.lane})
            self._resume()
        if not integration.access_token:
            await self._pause(State.SUSPENDED, "there is no access token", "Set access_token of this integration.")
            return None
        now = time.monotonic()
        limit = self._settings.in_flight
        if self._suspended is not None:
            if now < self._next_probe or self._in_flight:
                await self._wait(max(0.01, self._next_probe - now))
                return None
            self._next_probe = now + self._settings.suspend_probe
            limit = 1
        elif self._circuit.is_open:
            if not self._circuit.may_send(now) or self._in_flight:
                await self._wait(max(0.01, self._circuit.until - now))
                return None
            limit = 1
        if len(self._in_flight) >= limit:
            await self._wait(_IDLE_WAIT_S)
            return None
        if self._suspended is None and not self._circuit.is_open:
            self._enter(State.ACTIVE)
        return integration

    async def _pause(self, state: State, message: str, cure: str = "") -> None:
        self._enter(state, message=message, cure=cure)
        await self._wait(_IDLE_WAIT_S)

    async def _wait(self, seconds: float) -> None:
        if self._stopping and not self._in_flight:
            return
        self._changed.clear()
        try:
            async with asyncio.timeout(min(seconds, _IDLE_WAIT_S)):
                await self._changed.wait()
        except TimeoutError:
            pass

    async def _lease(self) -> list[Record]:
        settings = self._settings
        single = self._suspended is not None
        wanted = 1 if single else settings.max_batch
        wait = 0.0 if self._stopping else _IDLE_WAIT_S / 5
        records = await self._spool.lease(self.lane, wanted, settings.max_batch_bytes, wait)
        if records and not self._stopping and not single and len(records) < wanted and settings.linger:
            size = sum(len(record.payload) for record in records)
            await asyncio.sleep(settings.linger)
            if size < settings.max_batch_bytes:
                records += await self._spool.lease(self.lane, wanted - len(records), settings.max_batch_bytes - size, 0.0)
        return records

    # -- one batch

    async def _deliver(self, records: list[Record], integration: Integration) -> None:
        unsettled = {record.id for record in records}
        try:
            items = await self._map(records, integration, unsettled)
            if items:
                await self._send(items, integration, unsettled)
        except SpoolUnavailable as error:
            # The records stay leased until the restart of the spool hands them out again.
            _log.warning("could not settle; the spool is not available", extra={"lane": self.lane, "reason": error.reason})
        finally:
            if unsettled:
                try:
                    await self._spool.release(list(unsettled))
                except SpoolUnavailable:
                    _log.warning("could not release; the spool is not available", extra={"lane": self.lane})

    async def _map(self, records: list[Record], integration: Integration, unsettled: set[int]) -> list[Item]:
        items: list[Item] = []
        settlement_done: list[Done] = []
        dead: list[Death] = []
        oldest = time.time() - self._settings.max_age
        apply = integration.program.apply
        for number, record in enumerate(records):
            if number and number % _SLICE == 0:
                await asyncio.sleep(0)
            if record.accepted_at < oldest:
                settlement_done.append(Done(record.id, Outcome.EXPIRED, Reason.TOO_OLD))
                continue
            try:
                mapped = apply(orjson.loads(record.payload))
                if isinstance(mapped, Unmapped):
                    if mapped.outcome is Outcome.DEAD:
                        dead.append(Death(record.id, mapped.reason, mapped.detail))
                    else:
                        settlement_done.append(Done(record.id, mapped.outcome, mapped.reason))
                else:
                    items.append(Item(record, orjson.dumps(mapped.item)))
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                dead.append(Death(record.id, Reason.UNDECODABLE, "the stored event cannot be read"))
        if settlement_done or dead:
            await self._settle(Settlement(done=settlement_done, dead=dead), unsettled)
        return items

    async def _send(self, items: list[Item], integration: Integration, unsettled: set[int]) -> None:
        verdict = await self._post(items, integration)
        match verdict.action:
            case Action.DELIVERED:
                await self._delivered(items, verdict, unsettled)
            case Action.BAD_EVENT:
                await self._isolate(items, verdict, integration, unsettled)
            case Action.SPLIT:
                await self._split(items, verdict, integration, unsettled)
            case Action.RETRY:
                await self._again(items, verdict, unsettled)
            case Action.SUSPEND:
                pass  # released untouched: the cause is not the events

    async def _post(self, items: list[Item], integration: Integration) -> Verdict:
        body = batching.body(integration.pixel_code, self._target.test_code, [item.data for item in items])
        reply = await self._client.post(integration.id, integration.access_token, body)
        self._judge(reply.verdict, integration)
        return reply.verdict

    def _judge(self, verdict: Verdict, integration: Integration) -> None:
        """What the answer says about the lane as a whole."""
        now = time.monotonic()
        match verdict.action:
            case Action.DELIVERED | Action.BAD_EVENT | Action.SPLIT:
                self._throttled_since = 0.0
                self._circuit.succeeded()
                if self._suspended is not None and verdict.action is Action.DELIVERED:
                    _log.info("lane resumed", extra={"lane": self.lane})
                    self._resume()
            case Action.RETRY:
                self._circuit.failed(now, random.random(), throttled=verdict.throttled, retry_after_s=verdict.retry_after_s)  # noqa: S311
                if verdict.code == "40100":
                    self._throttled_since = self._throttled_since or now
                    if now - self._throttled_since > _THROTTLED_FOR_S:
                        self._suspend(verdict, integration)
                        return
                wait = max(0.0, self._circuit.until - now)
                self._enter(State.BACKING_OFF, verdict, next_try=time.time() + wait if wait else 0.0)
            case Action.SUSPEND:
                self._circuit.succeeded()
                self._suspend(verdict, integration)

    def _suspend(self, verdict: Verdict, integration: Integration) -> None:
        self._suspended = verdict
        self._credentials = (integration.access_token, integration.pixel_code)
        self._next_probe = time.monotonic() + self._settings.suspend_probe
        self._enter(State.SUSPENDED, verdict, next_try=time.time() + self._settings.suspend_probe)

    def _resume(self) -> None:
        self._suspended = None
        self._throttled_since = 0.0
        self._same_shape = ("", 0)
        self._circuit.succeeded()
        self._enter(State.ACTIVE)

    def _enter(
        self, state: State, verdict: Verdict | None = None, *, message: str = "", cure: str = "", next_try: float = 0.0
    ) -> None:
        code = verdict.code if verdict else ""
        message = verdict.message if verdict else message
        cure = verdict.cure if verdict else cure
        old = self._state
        since = old.since if old.state is state else time.time()
        self._state = LaneState(self.lane, state, since, next_try, code, message, cure)
        if old.state is not state or (state is State.SUSPENDED and (old.code, old.message) != (code, message)):
            level = logging.INFO if state is State.ACTIVE else logging.WARNING if state is not State.SUSPENDED else logging.ERROR
            _log.log(level, f"lane {state.value}", extra={"lane": self.lane, "code": code, "answer": message, "cure": cure})

    # -- fates

    async def _settle(self, settlement: Settlement, unsettled: set[int]) -> None:
        await self._spool.settle(settlement)
        integration = self._target.integration
        tally: dict[tuple[Outcome, Reason], int] = {}
        for done in settlement.done:
            tally[done.outcome, done.reason] = tally.get((done.outcome, done.reason), 0) + 1
            unsettled.discard(done.id)
        for death in settlement.dead:
            tally[Outcome.DEAD, death.reason] = tally.get((Outcome.DEAD, death.reason), 0) + 1
            unsettled.discard(death.id)
        for retry in settlement.retry:
            unsettled.discard(retry.id)
        for (outcome, reason), n in tally.items():
            self._metrics.outcome(outcome, reason, integration=integration, n=n)

    async def _delivered(self, items: list[Item], verdict: Verdict, unsettled: set[int]) -> None:
        self._same_shape = ("", 0)
        await self._settle(
            Settlement(done=[Done(item.record.id, Outcome.DELIVERED, verdict.reason) for item in items]), unsettled
        )

    async def _again(self, items: list[Item], verdict: Verdict, unsettled: set[int]) -> None:
        now = time.time()
        retries = [
            Retry(item.record.id, now + backoff(item.record.attempts, random.random(), verdict.retry_after_s), verdict.reason)  # noqa: S311
            for item in items
        ]
        await self._settle(Settlement(retry=retries), unsettled)

    async def _split(self, items: list[Item], verdict: Verdict, integration: Integration, unsettled: set[int]) -> None:
        if len(items) == 1:
            await self._settle(Settlement(dead=[Death(items[0].record.id, Reason.BATCH_TOO_LARGE, verdict.message)]), unsettled)
            return
        half = len(items) // 2
        for part in (items[:half], items[half:]):
            await self._send(part, integration, unsettled)

    async def _isolate(self, items: list[Item], verdict: Verdict, integration: Integration, unsettled: set[int]) -> None:
        search = isolate(items, verdict)
        answer: Verdict | None = None
        posted: list[Item] = []
        step: Callable[[], list[Item]] = lambda: next(search) if answer is None else search.send(answer)  # noqa: E731
        try:
            while True:
                posted = step()
                answer = await self._post(posted, integration)
                if answer.action is Action.DELIVERED:
                    await self._delivered(posted, answer, unsettled)
        except StopIteration as ended:
            culprits: list[tuple[Item, Verdict]] = ended.value
        if len(culprits) > 1 and len(culprits) == len(items):
            self._not_the_events(verdict, integration)
            return
        deaths = []
        for item, words in culprits:
            form = shape(words.message)
            count = self._same_shape[1] + 1 if form == self._same_shape[0] else 1
            self._same_shape = (form, count)
            deaths.append(Death(item.record.id, Reason.TIKTOK_REJECTED, f"{words.code}: {words.message}"))
        if self._same_shape[1] >= _SAME_SHAPE:
            self._not_the_events(verdict, integration)
            return
        await self._settle(Settlement(dead=deaths), unsettled)
        for item, words in culprits[:3]:
            _log.warning(
                "event refused by TikTok, now a dead letter",
                extra={
                    "lane": self.lane,
                    "record": item.record.id,
                    "code": words.code,
                    "answer": words.message,
                    "cure": words.cure,
                },
            )
        if answer is not None and answer.action is Action.RETRY:
            await self._again([item for item in posted if item.record.id in unsettled], answer, unsettled)

    def _not_the_events(self, verdict: Verdict, integration: Integration) -> None:
        cure = f"TikTok refuses event after event with the same words, so the cause is the mapping or the pixel, not the events; they are kept. {verdict.cure}"
        self._suspend(verdict._replace(action=Action.SUSPEND, cure=cure), integration)
