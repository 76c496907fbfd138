"""The live feed: the last events and what became of them, for people who look (pure: the clock comes in).

Law: bounded, and cheap when nobody looks. :data:`RATE` rows a second are kept whosever they are, and :data:`ASSURED` of each pipeline and integration beside them, so that a
busy one hides no quiet one; the rest is only counted, and a busy second costs one look-up per event. Old rows make room where there are most of a kind. What is kept of a filtered
event is its name, pipeline, reason, time and who spoke of consent, nothing else; of the others the sealed payload. Subscribers that do not keep up miss rows, never the reverse.
Where pods share an engine a row is known to all of them by its ``uid``: what happens to it here is announced, what happens elsewhere is merged, and a later stage is never undone.
"""

from collections import OrderedDict, deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from gateway.outcome import Outcome, Reason

RATE = 50
"""Rows a second; above, the feed shows a sample and says so."""
ASSURED = 5
"""Rows a second of each pipeline and integration, however busy the others are …"""
_SPARE = 2
"""… as long as those beyond the rate are not more than twice the rate."""
KEPT = 500
_BACKLOG = 200
_OPEN = frozenset({Outcome.ACCEPTED.value, "retrying"})
_FINAL = 1 << 30
MAX_SUBSCRIBERS = 20


@dataclass(slots=True)
class Row:
    """One event for one integration."""

    id: str
    at: float
    pipeline: str
    integration: str
    name: str
    outcome: str
    reason: str
    payload: bytes = b""
    """The sealed event; empty for a filtered one."""
    consent: str = ""
    """Who spoke for the visitor."""
    attempts: int = 0
    code: str = ""
    answer: str = ""
    cure: str = ""
    sent: bytes = b""
    """The data item as it was posted last."""
    record: int = -1
    key: tuple[str, str] = ("", "")
    lane: str = ""
    """Where it waits or waited; empty for a filtered one."""
    uid: str = ""
    """The same in all pods; empty while nobody elsewhere knows of it."""

    @property
    def open(self) -> bool:
        """It is in the queue: more will be heard of it."""
        return self.outcome in _OPEN

    @property
    def stage(self) -> int:
        """Grows with what is known of its fate."""
        return self.attempts if self.open else _FINAL

    def told(self) -> dict[str, Any]:
        """As the API shows it."""
        return {
            "id": self.id, "at": self.at, "pipeline": self.pipeline, "integration": self.integration, "name": self.name, "outcome": self.outcome,
            "reason": self.reason, "attempts": self.attempts, "code": self.code,
        }  # fmt: skip


@dataclass(slots=True)
class Subscription:
    """What somebody has not seen yet."""

    waiting: deque[Row] = field(default_factory=lambda: deque(maxlen=_BACKLOG))
    woken: Callable[[], None] = lambda: None
    """Called when there is something."""


class Feed:
    """One per process."""

    def __init__(self, now: Callable[[], float], rate: int = RATE) -> None:
        self._now = now
        self.rate = rate
        """Rows a second of what happens here."""
        self.announce: Callable[[Row], None] | None = None
        """Called with each row that something has happened to here."""
        self._rows: OrderedDict[str, Row] = OrderedDict()
        self._by_event: dict[tuple[str, str], Row] = {}
        self._by_record: dict[int, Row] = {}
        self._by_uid: dict[str, Row] = {}
        self._kinds: dict[tuple[str, str], deque[Row]] = {}
        """(pipeline, integration) → its rows, oldest first."""
        self._since = -1.0
        """When the second began whose rows are counted."""
        self._left = self._spare = 0
        self._taken: dict[tuple[str, str], int] = {}
        """(pipeline, integration) → rows of this second."""
        self._number = 0
        self.seen = 0
        """Events that came by."""
        self.subscriptions: list[Subscription] = []

    def wants(self, pipeline: str, integration: str) -> bool:
        """Whether the next event would be kept; counts it."""
        self.seen += 1
        now = self._now()
        if not 0.0 <= now - self._since < 1.0:  # a clock that is set back begins one too
            self._since, self._left, self._spare = now, self.rate, _SPARE * self.rate
            self._taken.clear()
        kind = pipeline, integration
        taken = self._taken.get(kind, 0)
        if self._left:
            self._left -= 1
        elif taken < ASSURED and self._spare:
            self._spare -= 1
        else:
            return False
        self._taken[kind] = taken + 1
        return True

    def filtered(self, pipeline: str, integration: str, name: str, reason: Reason, consent: str = "") -> None:
        """An event that a rule left out; ``consent`` = who had spoken for its visitor by then."""
        self._add(Row("", self._now(), pipeline, integration, name, Outcome.FILTERED.value, reason.value, consent=consent))

    def accepted(
        self, pipeline: str, integration: str, name: str, event_id: str, payload: bytes, consent: str, lane: str
    ) -> None:
        """An event on its way to the spool."""
        row = Row("", self._now(), pipeline, integration, name, Outcome.ACCEPTED.value, "", payload, consent)
        row.key, row.lane = (integration, event_id), lane
        self._by_event[row.key] = row
        self._add(row)

    @property
    def follows(self) -> bool:
        """Whether delivery has anything to tell before it posts."""
        return bool(self._by_event)

    @property
    def in_hand(self) -> bool:
        """Whether it has anything to tell of a record's fate."""
        return bool(self._by_record)

    def mapped(self, integration: str, event_id: str, record: int, item: bytes) -> None:
        """The item of an event that is about to be posted; empty = it is not sent, and settled by a rule."""
        row = self._by_event.get((integration, event_id))
        if row is not None:
            row.sent, row.record = item, record
            self._by_record[record] = row

    def settled(self, record: int, outcome: str, reason: str, code: str, answer: str, cure: str) -> None:
        """What became of a record; ``outcome`` empty = it stays in the queue, to be tried again."""
        row = self._by_record.get(record)
        if row is None:
            return
        row.attempts += bool(row.sent)
        row.outcome, row.reason = outcome or "retrying", reason
        row.code, row.answer, row.cure = code, answer, cure
        if outcome:
            self._forget(row)
        self._tell(row)
        self._announce(row)

    def named(self, row: Row, uid: str) -> None:
        """Others know ``row`` by that from now on."""
        row.uid = uid
        if row.id in self._rows:
            self._by_uid[uid] = row

    def merge(self, told: Row) -> None:
        """What happened to a row elsewhere."""
        row = self._by_uid.get(told.uid)
        if row is None:
            self._enter(told)
            self._by_uid[told.uid] = told
            if told.stage < _FINAL:
                self._by_event[told.key] = told  # it may be delivered here
            return
        if told.stage <= row.stage:
            return
        row.outcome, row.reason, row.attempts, row.sent = told.outcome, told.reason, told.attempts, told.sent
        row.code, row.answer, row.cure = told.code, told.answer, told.cure
        if row.stage == _FINAL:
            self._forget(row)
        self._tell(row)

    def _forget(self, row: Row) -> None:
        """Nothing more will be heard of it."""
        self._by_record.pop(row.record, None)
        if self._by_event.get(row.key) is row:
            del self._by_event[row.key]

    def recent(self, limit: int, fits: Callable[[Row], bool]) -> list[Row]:
        """The newest rows that fit, newest first."""
        found = []
        for row in reversed(self._rows.values()):
            if fits(row):
                found.append(row)
                if len(found) == limit:
                    break
        return found

    def row(self, id_: str) -> Row | None:
        """One of those that are kept."""
        return self._rows.get(id_)

    def _add(self, row: Row) -> None:
        self._enter(row)
        self._announce(row)

    def _announce(self, row: Row) -> None:
        if self.announce is not None:
            self.announce(row)

    def _enter(self, row: Row) -> None:
        self._number += 1
        row.id = str(self._number)
        self._rows[row.id] = row
        kind = row.pipeline, row.integration
        if kind in self._kinds:
            self._kinds[kind].append(row)
        else:
            self._kinds[kind] = deque((row,))
        if len(self._rows) > KEPT:
            self._make_room()
        self._tell(row)

    def _make_room(self) -> None:
        fullest = max(self._kinds, key=self._number_of)
        rows = self._kinds[fullest]
        old = rows.popleft()
        if not rows:
            del self._kinds[fullest]
        del self._rows[old.id]
        self._forget(old)
        self._by_uid.pop(old.uid, None)

    def _number_of(self, kind: tuple[str, str]) -> int:
        return len(self._kinds[kind])

    def _tell(self, row: Row) -> None:
        for subscription in self.subscriptions:
            subscription.waiting.append(row)
            subscription.woken()
