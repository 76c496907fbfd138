"""From parsed events to durable records (pure but for the injected clock, entropy and spool).

Law: total – every event gets exactly one outcome for every integration it is meant for: accepted (when its commit is known), filtered, deduplicated, or refused. An event is
sealed at most once and only if somebody may have it; integrations without ``user.*`` mappings of their own share one payload.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final, cast

import orjson

from gateway.catalog.runtime import Integration, Pipeline
from gateway.consent.gate import Decision
from gateway.edge import bots, recent
from gateway.errors import SpoolUnavailable
from gateway.event.model import Event, Rejection
from gateway.identity.seal import Visitor
from gateway.lane import Lane
from gateway.mapping.names import canonical
from gateway.mapping.prepared import Prepared, prepare
from gateway.outcome import Outcome, Reason
from gateway.spool.base import NewRecord, Spool, new_record
from gateway.telemetry.metrics import Metrics

_EVENT_ID_BYTES = 12
_NO_REASON = Reason.NONE
_dumps: Final[Callable[[Any], bytes]] = orjson.dumps
_COME_BACK = frozenset({Reason.RATE_LIMITED, Reason.SPOOL_FULL, Reason.SPOOL_UNAVAILABLE, Reason.DRAINING})
"""Turned away now, not for good."""


class Taken:
    """What became of one request's events at the edge."""

    __slots__ = (
        "accepted",
        "accepted_events",
        "filtered_events",
        "incomplete",
        "keys",
        "reason",
        "records",
        "rejected",
        "under_way",
    )

    def __init__(
        self,
        records: list[NewRecord],
        accepted: list[tuple[str, str]],
        accepted_events: int,
        filtered_events: int,
        rejected: list[Rejection],
        reason: Reason,
        keys: dict[int, None],
        under_way: "list[asyncio.Future[None]] | None",
        incomplete: int = 0,
    ) -> None:
        self.records = records
        self.accepted = accepted
        """(pipeline, integration) of each record, to be counted when the commit is known."""
        self.accepted_events = accepted_events
        self.filtered_events = filtered_events
        self.rejected = rejected
        """Events that turned out to be unusable only while being sealed."""
        self.reason = reason
        """Why the last filtered event was filtered, for a log or an explanation."""
        self.keys = keys
        """By which the events are recognised, should they come again; those without an event id of their own are not."""
        self.under_way = under_way
        """Commits of events that came again before they were durable: the sender may not be told of success before they are."""
        self.incomplete = incomplete
        """Events that did not go to all of the pipeline's integrations, because some are broken."""

    @property
    def waits(self) -> bool:
        """Whether anything has to become durable before the answer."""
        return bool(self.records) or self.under_way is not None


class Sender:
    """Who sends a request's events. A class rather than two functions: closures that know each other are rubbish that only the collector of cycles removes."""

    def decide(self, event: Event) -> Decision:
        """Whether and for what its visitor has consented."""
        raise NotImplementedError

    def visit(self, event: Event, decision: Decision) -> Visitor:
        """The visitor of an event that will be sealed."""
        raise NotImplementedError


class Intake:
    """Gates, seals and spools the events of one request."""

    def __init__(self, metrics: Metrics, now: Callable[[], float], entropy: Callable[[int], bytes]) -> None:
        self._spool: Spool | None = None
        self._metrics = metrics
        self._now = now
        self._entropy = entropy
        self._group: asyncio.Future[None] | None = None
        self._tally: dict[tuple[str, str], int] = {}
        self._keys: list[int] = []
        self._recent = recent.Recent()
        self._removed = recent.Removed()
        self._under_way: dict[int, asyncio.Future[None]] = {}
        """Keys of events that are being made durable."""

    @property
    def spool(self) -> Spool | None:
        """Where records go; None = nowhere yet."""
        return self._spool

    @spool.setter
    def spool(self, spool: Spool | None) -> None:
        self._spool = spool
        if spool is not None:
            spool.on_removal = self.forget

    def forget(self, owner: str, needle: bytes, at: float) -> None:
        """A person's records are being removed: what comes of them from now on is new."""
        self._removed.note(owner, needle.decode("latin-1"), at)

    def take(  # noqa: C901, PLR0915 - the whole way of one event on one page; split, its outcomes could not be seen to be total
        self,
        pipeline: Pipeline,
        events: list[Event],
        sender: Sender,
        *,
        integrations: tuple[Integration, ...] | None = None,
        bots_policy: str = "",
    ) -> Taken:
        """Turn ``events`` into records."""
        records: list[NewRecord] = []
        accepted: list[tuple[str, str]] = []
        keys: dict[int, None] = {}
        rejected: list[Rejection] = []
        received = self._now()
        candidates = pipeline.integrations if integrations is None else integrations
        policy = bots_policy or pipeline.bots
        accepted_events = filtered_events = 0
        last = _NO_REASON
        anonymous = who = ""
        feed = self._metrics.feed
        spool = self._spool
        under_way: list[asyncio.Future[None]] | None = None
        if events:
            self._metrics.received(pipeline.id, events[0].wire, len(events))
        incomplete = self._leave_out(pipeline, events) if pipeline.broken and integrations is None else 0
        for at, event in enumerate(events):
            targets = candidates
            if event.pixel_codes:
                targets = tuple(integration for integration in candidates if integration.pixel_code in event.pixel_codes)
            if not targets:
                last = Reason.UNKNOWN_PIXEL if candidates else Reason.NO_INTEGRATION
                self._metrics.outcome(Outcome.FILTERED, last, pipeline=pipeline.id)
                if feed is not None and feed.wants(pipeline.id, ""):
                    feed.filtered(pipeline.id, "", event.name, last)
                filtered_events += 1
                continue
            decision = sender.decide(event)
            willing: list[Integration] = []
            for integration in targets:
                reason = decision.refusal(integration.consent) if integration.enabled else Reason.INTEGRATION_DISABLED
                if reason:
                    last = reason
                    self._metrics.outcome(Outcome.FILTERED, reason, pipeline=pipeline.id, integration=integration.id)
                    if feed is not None and feed.wants(pipeline.id, integration.id):
                        feed.filtered(pipeline.id, integration.id, event.name, reason, decision.source)
                else:
                    willing.append(integration)
            if not willing:
                filtered_events += 1
                continue
            visitor = sender.visit(event, decision)
            bot = policy != "allow" and bots.is_bot(visitor.user_agent)
            if bot and policy == "drop":
                last = Reason.BOT
                for integration in willing:
                    self._metrics.outcome(Outcome.FILTERED, Reason.BOT, pipeline=pipeline.id, integration=integration.id)
                    if feed is not None and feed.wants(pipeline.id, integration.id):
                        feed.filtered(pipeline.id, integration.id, event.name, last, decision.source)
                filtered_events += 1
                continue
            # A request's events are mostly one visitor's: hashed once.
            if anonymous != (named := event.anonymous_id or visitor.anonymous_id):
                anonymous, who = named, pipeline.sealer.owner(named)
            before, known = len(records), len(keys)
            repeated: list[Integration] | None = None
            name = canonical(event.name) if event.event_id else ""
            try:
                sealed = pipeline.sealer.seal(
                    event,
                    visitor,
                    pipeline=pipeline.id,
                    granted=decision.granted,
                    consent_source=decision.source,
                    gpc=decision.gpc,
                    received=received,
                    event_id="" if event.event_id else self._entropy(_EVENT_ID_BYTES).hex(),
                )
                if bot:
                    sealed["flags"] = ["bot"]
                shared = _dumps(sealed)
                event_id = event.event_id
                if event_id and self._removed.any:
                    event_id += self._removed.mark(who, sealed["user"])
                for integration in willing:
                    lane = Lane(integration.id, event.test_event_code).key if event.test_event_code else integration.lane
                    called = ""
                    if event_id:
                        called = f"{name} {event_id}"
                        key = recent.key(lane, name, event_id)
                        commit = self._under_way.get(key)
                        if commit is not None:
                            under_way = [*(under_way or ()), commit]
                        if commit is not None or key in keys or self._recent.holds(key):
                            repeated = [*(repeated or ()), integration]
                            continue
                        keys[key] = None
                    payload = shared
                    stored: Any = sealed
                    if integration.program.has_user_rules:
                        rules = integration.program.user_rules(event.wire, event.type, event.name)
                        if own := pipeline.sealer.overlay(event, rules):
                            stored = {**sealed, "user": {**sealed["user"], **own}}
                            payload = _dumps(stored)
                    ready: Prepared | None = None
                    if spool is not None and not integration.once and spool.keeps(lane):
                        ready = prepare(integration.program, stored)
                    records.append(new_record((lane, who, received, payload, called, ready)))
                    if feed is not None and feed.wants(pipeline.id, integration.id):
                        feed.accepted(
                            pipeline.id, integration.id, sealed["name"], sealed["event_id"], payload, decision.source, lane
                        )
            except (orjson.JSONEncodeError, RecursionError):
                # Serialised before it is acknowledged: what cannot be written cannot be accepted, by none of them.
                del records[before:]
                for key in list(keys)[known:]:
                    del keys[key]
                rejected.append(Rejection(at, Reason.WRONG_SHAPE, "the event holds a value that cannot be stored"))
                for integration in willing:
                    self._metrics.outcome(Outcome.REJECTED, Reason.WRONG_SHAPE, pipeline=pipeline.id, integration=integration.id)
                continue
            if repeated is not None:
                willing = self._without(pipeline, willing, repeated)
            for integration in willing:
                accepted.append((pipeline.id, integration.id))  # noqa: PERF401 - a list made to be added costs more in the compiled build
            accepted_events += 1
        return Taken(records, accepted, accepted_events, filtered_events, rejected, last, keys, under_way, incomplete)

    def _leave_out(self, pipeline: Pipeline, events: list[Event]) -> int:
        """Count what the pipeline's broken integrations miss: events that name a pixel are not known to be theirs."""
        feed = self._metrics.feed
        missed = [event for event in events if not event.pixel_codes]
        for integration in pipeline.broken if missed else ():
            reason = Reason.INTEGRATION_BROKEN
            self._metrics.outcome(Outcome.FILTERED, reason, pipeline=pipeline.id, integration=integration, n=len(missed))
            for event in missed:
                if feed is not None and feed.wants(pipeline.id, integration):
                    feed.filtered(pipeline.id, integration, event.name, reason)
        return len(missed)

    def _without(self, pipeline: Pipeline, willing: list[Integration], repeated: list[Integration]) -> list[Integration]:
        """Count the repetitions. The sender is told of success all the same: what it wants to be there is there."""
        for integration in repeated:
            self._metrics.outcome(Outcome.DEDUPLICATED, Reason.REPEATED, pipeline=pipeline.id, integration=integration.id)
        return [integration for integration in willing if integration not in repeated]

    def put(self, taken: Taken) -> "asyncio.Future[None]":
        """Make the records durable; outcomes are counted when the commit is known. Raises SpoolUnavailable at once where it is certain."""
        spool = self.spool
        if not taken.records and taken.under_way:
            return _all(taken.under_way)
        try:
            if spool is None:
                raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "the event spool is not available; the site is not affected", 10)
            future = spool.put(taken.records)
        except SpoolUnavailable as error:
            for pipeline, integration in taken.accepted:
                self._metrics.outcome(Outcome.REFUSED, error.reason, pipeline=pipeline, integration=integration)
            raise
        # Everything that is committed together shares one future, so one callback counts a whole group.
        if future is not self._group:
            self._group = future
            tally: dict[tuple[str, str], int] = {}
            keys: list[int] = []
            self._tally, self._keys = tally, keys
            future.add_done_callback(lambda done: self._counted(done, tally, keys))
        self._keys += taken.keys
        for key in taken.keys:
            self._under_way[key] = future
        tally = self._tally
        for pair in taken.accepted:
            tally[pair] = tally.get(pair, 0) + 1
        return future if taken.under_way is None else _all([future, *taken.under_way])

    def _counted(self, future: "asyncio.Future[None]", tally: dict[tuple[str, str], int], keys: list[int]) -> None:
        if self._group is future:
            self._group = None
        for key in keys:
            self._under_way.pop(key, None)
        outcome, reason = Outcome.ACCEPTED, Reason.NONE
        if future.cancelled():
            outcome, reason = Outcome.REFUSED, Reason.SPOOL_UNAVAILABLE
        elif (error := future.exception()) is not None:
            outcome = Outcome.REFUSED
            reason = error.reason if isinstance(error, SpoolUnavailable) else Reason.SPOOL_UNAVAILABLE
        else:
            # Only now: what failed to become durable is sent again, and must not be taken for a repetition then.
            self._recent.enter(keys, self._now())
        for (pipeline, integration), n in tally.items():
            self._metrics.outcome(outcome, reason, pipeline=pipeline, integration=integration, n=n)

    def count_rejected(self, pipeline: str, rejected: list[Rejection]) -> None:
        """Count what a parser could not use; the pixel's automatic actions are filtered, not rejected."""
        if rejected:
            self._metrics.received(pipeline, "unusable", len(rejected))
        for rejection in rejected:
            outcome = Outcome.FILTERED if rejection.reason is Reason.AUTOMATIC_EVENT else Outcome.REJECTED
            self._metrics.outcome(outcome, rejection.reason, pipeline=pipeline)

    def count_refused(self, pipeline: str, reason: Reason, n: int = 1) -> None:
        """Count the ``n`` events of a request that was turned away as a whole; a body that could not be read counts as one."""
        self._metrics.outcome(
            Outcome.REFUSED if reason in _COME_BACK else Outcome.REJECTED, reason, pipeline=pipeline, n=max(1, n)
        )


def _all(commits: "list[asyncio.Future[None]]") -> "asyncio.Future[None]":
    """Done with the last of ``commits``, failed with the first that fails."""
    return cast("asyncio.Future[None]", asyncio.gather(*commits))


def rejections(parsed: list[Rejection], later: list[Rejection]) -> list[Rejection]:
    """What the sender is told: both kinds by their index in the request, without the pixel's automatic actions, which are no fault.

    ``later`` are those of :attr:`Taken.rejected`, whose index is among the events that the parser let through.
    """
    told = [rejection for rejection in parsed if rejection.reason is not Reason.AUTOMATIC_EVENT]
    if later:
        unusable = {rejection.at for rejection in parsed}
        most = len(unusable) + max(rejection.at for rejection in later) + 1
        usable = [index for index in range(most) if index not in unusable]
        told += [rejection._replace(at=usable[rejection.at]) for rejection in later]
    return told
