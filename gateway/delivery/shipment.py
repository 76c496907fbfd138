"""One leased batch on its way: map, post, give every record its fate (io).

Law: every record of the batch is settled by TikTok's verdict or released, whatever happens in between – an answer, a spool that fails, a cancellation, a defect of our
own. A success is settled before the next request. Mapping yields to the event loop between slices.
"""

import logging
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import orjson

from gateway.catalog.runtime import Integration
from gateway.delivery import batch
from gateway.delivery.client import Client
from gateway.delivery.hush import Hush
from gateway.delivery.isolate import Culprit, Search, isolate
from gateway.delivery.orders import WAIT_S, order_key
from gateway.delivery.retry import backoff
from gateway.delivery.settings import DeliverySettings
from gateway.delivery.standing import Standing
from gateway.delivery.turns import Turns
from gateway.delivery.verdict import Action, Verdict
from gateway.errors import SpoolUnavailable
from gateway.mapping.compile import Mapped
from gateway.mapping.prepared import Prepared
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Death, Done, Mark, Record, Retry, Settlement, Spool
from gateway.telemetry.feed import Feed
from gateway.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)

_loads: Final[Callable[[bytes], Any]] = orjson.loads
_dumps: Final[Callable[[Any], bytes]] = orjson.dumps
_done: Final[Callable[[tuple[int, Outcome, Reason]], Done]] = partial(tuple.__new__, Done)
"""As :data:`gateway.spool.base.new_record`, and for the same reason: one is made per event."""
_DELIVERED: Final = Outcome.DELIVERED
_SLICE_RECORDS: Final = 25
_SLICE_BYTES: Final = 64 << 10
"""Mapped in one turn of the loop: about a millisecond, which is what collecting and the site may have to wait for."""
_LOOKED_AT: Final = 10
"""Items of each batch that match quality is told by: all of a quiet shop's, a sample of a busy one's."""
_CEILING_S = 600.0
"""How long a lane remembers that TikTok found its batches too large."""
_HUSH_S = 10.0


class Item:
    """A record that was mapped. One is made per event: a class of slots costs a fraction of a named tuple."""

    __slots__ = ("accepted_at", "data", "id", "order", "record")

    def __init__(self, record: Record, data: bytes, order: int) -> None:
        self.record = record
        self.id = record.id
        self.accepted_at = record.accepted_at
        self.data = data
        self.order = order
        """:func:`gateway.delivery.orders.order_key`, where orders are sent once only."""


@dataclass(slots=True)
class Route:
    """What all shipments of a lane share."""

    lane: str
    test_code: str
    spool: Spool
    client: Client
    settings: DeliverySettings
    metrics: Metrics
    standing: Standing
    turns: Turns
    hush: Hush = field(default_factory=lambda: Hush(_HUSH_S))
    dues: list[float] = field(default_factory=list)
    """When records that were put off are due (Unix s): a lane that ends need not wait for what comes too late."""
    orders: set[int] = field(default_factory=set)
    """Orders whose purchase is under way."""
    ceiling: int = 0
    """Events per request after TikTok found more too many; 0 = no limit of that kind."""
    ceiling_until: float = 0.0

    def max_batch(self, now: float) -> int:
        """Events per request now."""
        if self.ceiling and now < self.ceiling_until:
            return min(self.ceiling, self.settings.max_batch)
        return self.settings.max_batch

    def put_off(self, dues: Iterable[float], now: float) -> None:
        """Records will be handed out again at ``dues``."""
        self.dues = [due for due in (*self.dues, *dues) if due > now]


class Shipment:
    """Delivers one batch for ``integration`` as it is now."""

    def __init__(self, route: Route, records: list[Record], integration: Integration, *, probe: bool) -> None:
        self._route = route
        self._records = records
        self._integration = integration
        self._once = integration.once
        self._probe = probe
        self._unsettled = {record.id for record in records}
        self._asked = False
        self._thinned = False
        """Some of its records were purged while they were under way."""
        self._verdict: Verdict | None = None
        self._claimed: set[int] = set()

    async def deliver(self) -> None:
        """Map, post, settle. Raises nothing but cancellation."""
        route = self._route
        try:
            items = await self._map()
            if self._integration.settings.dedupe_purchases:
                items = await self._without_known_orders(items)
            if items:
                await self._send(items)
                if self._probe and route.standing.doubts_events:
                    await self._put_off([item for item in items if item.id in self._unsettled])
            if not self._asked:
                route.standing.unanswered(time.monotonic())
        except SpoolUnavailable as error:
            # What is leased stays so until the spool opens again and hands it out once more.
            if route.hush.said("spool", time.monotonic()):
                _log.warning("could not settle; the spool is not available", extra={"lane": route.lane, "reason": error.reason})
        except Exception:  # noqa: BLE001 - a defect of ours: the events are kept, the circuit slows the lane down
            if route.hush.said("defect", time.monotonic()):
                _log.exception("delivery of a batch failed; its events are kept", extra={"lane": route.lane})
            self._learn(
                Verdict(Action.RETRY, Reason.CONNECTION, "defect", "the gateway failed at this batch"), route.standing.ticket
            )
        finally:
            if self._unsettled:
                await self._release()
            route.orders -= self._claimed

    async def _release(self) -> None:
        try:
            await self._route.spool.release(list(self._unsettled))
        except SpoolUnavailable:
            _log.debug("could not release; the spool is not available")

    # -- map

    async def _map(self) -> list[Item]:
        items: list[Item] = []
        done: list[Done] = []
        dead: list[Death] = []
        oldest = time.time() - self._route.settings.max_age
        in_slice = size = 0
        await self._route.turns.take()
        for record in self._records:
            length = len(record.payload)
            in_slice += 1
            size += length
            if in_slice > _SLICE_RECORDS or size > _SLICE_BYTES:
                in_slice, size = 1, length
                await self._route.turns.take()
            self._map_one(record, oldest, items, done, dead)
        if done or dead:
            await self._settle(Settlement(done=done, dead=dead))
        return items

    def _map_one(self, record: Record, oldest: float, items: list[Item], done: list[Done], dead: list[Death]) -> None:
        """Add ``record`` to ``items``, or its fate to ``done`` or ``dead``."""
        if record.accepted_at < oldest:
            done.append(Done(record.id, Outcome.EXPIRED, Reason.TOO_OLD))
            return
        integration, metrics = self._integration, self._route.metrics
        feed = metrics.feed
        ready = record.beside
        if isinstance(ready, Prepared) and ready.program is integration.program and len(items) >= _LOOKED_AT:
            items.append(Item(record, ready.data, 0))
            if feed is not None and feed.follows:
                feed.mapped(integration.id, ready.event_id, record.id, ready.data)
            return
        try:
            sealed = _loads(record.payload)
            mapped = integration.program.apply(sealed)
            if isinstance(mapped, Mapped):
                order = order_key(self._route.lane, mapped.item) if self._once else 0
                items.append(Item(record, _dumps(mapped.item), order))
                if len(items) <= _LOOKED_AT and not record.attempts:
                    user = mapped.item.get("user")
                    metrics.matchable(user if isinstance(user, dict) else {})
                if feed is not None and feed.follows:
                    feed.mapped(integration.id, sealed["event_id"], record.id, items[-1].data)
                return
            if feed is not None and feed.follows:
                # its row would seem to wait for ever
                feed.mapped(integration.id, sealed["event_id"], record.id, b"")
            if mapped.outcome is Outcome.DEAD:
                dead.append(Death(record.id, mapped.reason, mapped.detail))
            else:
                done.append(Done(record.id, mapped.outcome, mapped.reason))
        except Exception:  # noqa: BLE001 - one event that cannot be read or mapped must not hold up its neighbours
            if self._route.hush.said("undecodable", time.monotonic()):
                # Without the error: its words could quote the event.
                _log.warning("stored event cannot be read or mapped, now a dead letter", extra=self._about(record))
            dead.append(Death(record.id, Reason.UNDECODABLE, "the stored event cannot be read"))

    async def _without_known_orders(self, items: list[Item]) -> list[Item]:
        """Each order once: what TikTok has taken ends here, what is under way elsewhere is waited for. Orders are claimed before anybody is asked, and given
        back only after they were settled: two shipments cannot both find an order new."""
        under_way = self._route.orders
        mine, late = list[Item](), list[Item]()
        for item in items:
            if item.order and item.order in under_way:
                late.append(item)
                continue
            if item.order:
                under_way.add(item.order)
                self._claimed.add(item.order)
            mine.append(item)
        if not self._claimed and not late:
            return items
        known = await self._route.spool.marked(list(self._claimed))
        repeated = [item for item in mine if item.order in known]
        now = time.time()
        if late:
            self._route.put_off([now + WAIT_S], now)
        await self._settle(
            Settlement(
                done=[Done(item.id, Outcome.DEDUPLICATED, Reason.DUPLICATE_ORDER) for item in repeated],
                retry=[Retry(item.id, now + WAIT_S, Reason.DUPLICATE_ORDER) for item in late],
            )
        )
        return [item for item in mine if item.order not in known]

    # -- send

    async def _spared(self, items: list[Item]) -> list[Item]:
        """``items`` without those whose visitor has withdrawn, or was erased, while they were under way. Nothing is awaited between the last look and the post."""
        spool = self._route.spool
        while doomed := spool.doomed(self._records):
            fresh = [id_ for id_ in doomed if id_ in self._unsettled]
            if not fresh:
                break
            await spool.release(fresh)
            self._unsettled.difference_update(fresh)
            self._thinned = True
            if (feed := self._route.metrics.feed) is not None and feed.in_hand:
                for id_ in fresh:
                    feed.settled(id_, Outcome.PURGED.value, doomed[id_].value, "", "", "")
        return [item for item in items if item.id in self._unsettled] if self._thinned else items

    async def _send(self, items: list[Item]) -> Action:
        """Post ``items`` and do what the verdict says; the verdict of the first request."""
        items = await self._spared(items)
        if not items:
            return Action.DELIVERED
        verdict = await self._post(items)
        match verdict.action:
            case Action.DELIVERED:
                await self._delivered(items, verdict)
            case Action.BAD_EVENT:
                await self._isolate(items, verdict)
            case Action.SPLIT:
                await self._split(items, verdict)
            case Action.RETRY:
                await self._again(items, verdict)
            case Action.SUSPEND:
                pass  # released untouched: the cause is not the events
        return verdict.action

    async def _post(self, items: list[Item]) -> Verdict:
        integration = self._integration
        body = batch.body(integration.pixel_code, self._route.test_code, [item.data for item in items])
        ticket = self._route.standing.ticket
        verdict = (await self._route.client.post(integration.id, integration.access_token, body)).verdict
        self._learn(verdict, ticket)
        if verdict.action is Action.SUSPEND:
            self._kept(items)
        return verdict

    def _learn(self, verdict: Verdict, ticket: int) -> None:
        self._asked = True
        self._verdict = verdict
        self._route.standing.learn(verdict, ticket, self._integration.settings, time.monotonic(), random.random())  # noqa: S311

    async def _isolate(self, items: list[Item], verdict: Verdict) -> None:
        standing = self._route.standing
        if standing.held:
            if not self._probe:
                self._kept(items)
            return  # a suspended lane condemns no event
        culprits: list[Culprit[Item]] = []
        search = isolate(items, verdict)
        step = _advance(search, None)
        failed: tuple[list[Item], Verdict] | None = None
        while step is not None:
            reply: Verdict | None = None
            if isinstance(step, Culprit):
                culprits.append(step)
                alike = standing.culprit(step.words, step.in_a_row)
                if alike or len(items) == len(culprits) > 1:
                    standing.doubt(step.words, self._integration.settings, time.monotonic())
                    self._kept(items)
                    return
            else:
                if len(await self._spared(step)) < len(step):
                    # What the search knows is about these events together: the rest comes again, and is searched anew.
                    break
                reply = await self._post(step)
                if reply.action is Action.DELIVERED:
                    await self._delivered(step, reply)
                elif reply.action is Action.RETRY:
                    failed = step, reply
            step = _advance(search, reply)
        await self._condemn(culprits)
        if failed is not None:
            await self._again(*failed)

    async def _split(self, items: list[Item], verdict: Verdict) -> None:
        if len(items) == 1:
            await self._settle(Settlement(dead=[Death(items[0].id, Reason.BATCH_TOO_LARGE, _answer(verdict))]))
            return
        half = len(items) // 2
        self._route.ceiling, self._route.ceiling_until = half, time.monotonic() + _CEILING_S
        for part in (items[:half], items[half:]):
            if await self._send(part) in {Action.RETRY, Action.SUSPEND}:
                return

    # -- fates

    async def _delivered(self, items: list[Item], verdict: Verdict) -> None:
        await self._route.turns.take()
        until = time.time() + (self._integration.settings.dedupe_purchases or 0.0)
        reason = verdict.reason
        await self._settle(
            Settlement(
                done=[_done((item.id, _DELIVERED, reason)) for item in items],
                marks=[Mark(item.order, until, self._route.lane) for item in items if item.order],
            )
        )
        now = time.time()
        self._route.metrics.delivered(self._integration.id, [now - item.accepted_at for item in items])
        if verdict.cure and (times := self._route.hush.said(verdict.code, time.monotonic())):
            _log.warning("TikTok took a batch with a reservation", extra=self._extra(verdict) | {"batches": times})

    async def _again(self, items: list[Item], verdict: Verdict) -> None:
        """Later: one draw for the whole batch, so that it stays together. Jitter is for other gateways, not for neighbours."""
        await self._route.turns.take()
        now, draw = time.time(), random.random()  # noqa: S311
        dues = {
            attempts: now + backoff(attempts, draw, verdict.retry_after_s)
            for attempts in {item.record.attempts for item in items}
        }
        self._route.put_off(dues.values(), now)
        await self._settle(
            Settlement(retry=[Retry(item.id, dues[item.record.attempts], verdict.reason, verdict.code) for item in items])
        )

    async def _put_off(self, items: list[Item]) -> None:
        """The next probe tries another event: this one may be bad after all."""
        now = time.time()
        due = now + 0.9 * self._route.standing.probe_every_s
        self._route.put_off([due], now)
        code = self._verdict.code if self._verdict else ""
        await self._settle(Settlement(retry=[Retry(item.id, due, Reason.TIKTOK_REJECTED, code) for item in items]))

    async def _condemn(self, culprits: list[Culprit[Item]]) -> None:
        if not culprits:
            return
        await self._settle(
            Settlement(dead=[Death(culprit.item.id, Reason.TIKTOK_REJECTED, _answer(culprit.words)) for culprit in culprits])
        )
        if times := self._route.hush.said("refused", time.monotonic()):
            first = culprits[0]
            extra = self._about(first.item.record) | self._extra(first.words) | {"events": len(culprits), "batches": times}
            _log.warning("events refused by TikTok, now dead letters", extra=extra)

    async def _settle(self, settlement: Settlement) -> None:
        if not (settlement.done or settlement.dead or settlement.retry):
            return
        await self._route.spool.settle(settlement)
        for fates in (settlement.done, settlement.dead, settlement.retry):
            self._unsettled.difference_update([fate[0] for fate in fates])
        for (outcome, reason), n in _tally(settlement).items():
            self._route.metrics.outcome(outcome, reason, integration=self._integration.id, n=n)
        if (feed := self._route.metrics.feed) is not None and feed.in_hand:
            self._feed(feed, settlement)

    def _feed(self, feed: Feed, settlement: Settlement) -> None:
        verdict = self._verdict
        words = (verdict.code, verdict.message, verdict.cure) if verdict else ("", "", "")
        for id_, outcome, reason in settlement.done:
            feed.settled(id_, outcome.value, reason.value, *words)
        for id_, reason, answer in settlement.dead:
            feed.settled(id_, Outcome.DEAD.value, reason.value, words[0], answer, words[2])
        for id_, _, reason, _ in settlement.retry:
            feed.settled(id_, "", reason.value, *words)

    def _kept(self, items: list[Item]) -> None:
        """The feed hears what TikTok said of events that stay in the queue although they were posted: nothing is settled that would tell it."""
        feed, verdict = self._route.metrics.feed, self._verdict
        if feed is None or not feed.in_hand or verdict is None:
            return
        for item in items:
            if item.id in self._unsettled:
                feed.settled(item.id, "", verdict.reason.value, verdict.code, verdict.message, verdict.cure)

    def _about(self, record: Record) -> dict[str, object]:
        return {"lane": self._route.lane, "record": record.id}

    def _extra(self, verdict: Verdict) -> dict[str, object]:
        return {"lane": self._route.lane, "code": verdict.code, "answer": verdict.message, "cure": verdict.cure}


def _advance(search: "Search[Item]", reply: Verdict | None) -> "list[Item] | Culprit[Item] | None":
    try:
        return search.send(reply)
    except StopIteration:
        return None


def _tally(settlement: Settlement) -> dict[tuple[Outcome, Reason], int]:
    """How many met which end. What was delivered together is alike: it is counted by runs."""
    tally: dict[tuple[Outcome, Reason], int] = {}
    last, why, run = _DELIVERED, Reason.NONE, 0
    for _, outcome, reason in settlement.done:
        if outcome is not last or reason is not why:
            _count(tally, last, why, run)
            last, why, run = outcome, reason, 0
        run += 1
    _count(tally, last, why, run)
    for _, reason, _ in settlement.dead:
        _count(tally, Outcome.DEAD, reason, 1)
    return tally


def _count(tally: dict[tuple[Outcome, Reason], int], outcome: Outcome, reason: Reason, n: int) -> None:
    if n:
        tally[outcome, reason] = tally.get((outcome, reason), 0) + n


def _answer(verdict: Verdict) -> str:
    return f"{verdict.code}: {verdict.message}"
