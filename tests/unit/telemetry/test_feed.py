"""The feed of many pods: one row, whoever tells of it; and what they tell, junk included."""

from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.outcome import Reason
from gateway.telemetry.feed import ASSURED, KEPT, RATE, Feed, Row, Subscription
from gateway.telemetry.telling import SILENT_S, Bulletin, Others, row_heard, row_told

PAYLOAD = orjson.dumps({"wire": "signal", "type": "track", "name": "Order Completed", "event_id": "order-1"})


class Net:
    """Feeds that hear each other at once."""

    def __init__(self, n: int) -> None:
        self.feeds = [Feed(lambda: 1000.0) for _ in range(n)]
        self.said = 0
        for number, feed in enumerate(self.feeds):
            feed.announce = lambda row, number=number: self._say(number, row)  # type: ignore[misc]

    def _say(self, number: int, row: Row) -> None:
        self.said += 1
        if not row.uid:
            self.feeds[number].named(row, f"{number}-{row.id}")
        heard = row_heard(row_told(row))
        assert heard is not None
        for other, feed in enumerate(self.feeds):
            if other != number:
                copy = row_heard(row_told(row))
                assert copy is not None
                feed.merge(copy)

    def outcomes(self) -> list[list[str]]:
        return [[row.outcome for row in feed.recent(10, lambda _: True)] for feed in self.feeds]


def test_accepted_here_delivered_there_seen_by_a_third() -> None:
    net = Net(3)
    edge, deliver, admin = net.feeds
    seen = Subscription()
    admin.subscriptions.append(seen)
    edge.accepted("shop", "tiktok", "Order Completed", "order-1", PAYLOAD, "event", "tiktok")
    assert net.outcomes() == [["accepted"]] * 3
    deliver.mapped("tiktok", "order-1", 7, b'{"event":"Purchase"}')
    deliver.settled(7, "", "timeout", "timeout", "no answer", "")
    assert net.outcomes() == [["retrying"]] * 3
    deliver.mapped("tiktok", "order-1", 8, b'{"event":"Purchase"}')
    deliver.settled(8, "delivered", "", "0", "OK", "")
    assert net.outcomes() == [["delivered"]] * 3
    (row,) = admin.recent(10, lambda _: True)
    assert (row.attempts, row.code, row.sent, row.payload) == (2, "0", b'{"event":"Purchase"}', PAYLOAD)
    assert len(seen.waiting) == 3
    assert not any(feed.follows for feed in net.feeds)
    assert net.said == 3, "nobody repeats what he has heard"


def test_a_word_that_comes_late_undoes_nothing() -> None:
    net = Net(2)
    edge, admin = net.feeds
    edge.accepted("shop", "tiktok", "Order Completed", "order-1", PAYLOAD, "event", "tiktok")
    (row,) = edge.recent(1, lambda _: True)
    early = row_told(row)
    edge.mapped("tiktok", "order-1", 7, b"{}")
    edge.settled(7, "dead", "tiktok_rejected", "40002", "bad", "")
    for words in (early, row_told(row)):
        late = row_heard(words)
        assert late is not None
        admin.merge(late)
    assert net.outcomes()[1] == ["dead"]
    fresh = Feed(lambda: 0.0)
    for words in (row_told(row), early):
        heard = row_heard(words)
        assert heard is not None
        fresh.merge(heard)
    assert [each.outcome for each in fresh.recent(5, lambda _: True)] == ["dead"]


def test_it_stays_bounded_whoever_tells() -> None:
    feed = Feed(lambda: 0.0)
    for number in range(3 * KEPT):
        feed.merge(Row("", 0.0, "shop", "tiktok", "x", "accepted", "", uid=f"a-{number}", key=("tiktok", str(number))))
    assert len(feed.recent(10 * KEPT, lambda _: True)) == KEPT
    assert len(feed._by_uid) == len(feed._by_event) == KEPT


class Second:
    """A clock that is put on by hand."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def _pass(feed: Feed, pipeline: str, count: int, integration: str = "tiktok") -> None:
    """``count`` events come by."""
    for _ in range(count):
        if feed.wants(pipeline, integration):
            feed.filtered(pipeline, integration, "x", Reason.BOT)


def _rows(feed: Feed, pipeline: str, integration: str = "tiktok") -> int:
    return len(feed.recent(10 * KEPT, lambda row: (row.pipeline, row.integration) == (pipeline, integration)))


def test_a_busy_pipeline_hides_no_quiet_one() -> None:
    clock = Second()
    feed = Feed(clock)
    for _ in range(60):
        _pass(feed, "busy", 100)
        _pass(feed, "quiet", 1)
        _pass(feed, "quiet", 1, "other")
        clock.now += 1
    assert (_rows(feed, "quiet"), _rows(feed, "quiet", "other")) == (60, 60)
    assert _rows(feed, "busy") == KEPT - 120
    assert feed.seen == 60 * 102


def test_what_is_assured_is_bounded_as_well() -> None:
    feed = Feed(lambda: 1000.0)
    _pass(feed, "busy", 200)
    assert _rows(feed, "busy") == RATE, "the busy one gets nothing on top"
    _pass(feed, "brisk", 20)
    assert _rows(feed, "brisk") == ASSURED
    for number in range(100):
        _pass(feed, f"shop-{number}", 10)
    assert len(feed.recent(10 * KEPT, lambda _: True)) == 3 * RATE


def test_the_fullest_makes_room_and_nothing_is_kept_twice() -> None:
    feed = Feed(lambda: 1000.0)
    for number in range(KEPT):
        feed.accepted("old", "tiktok", "x", f"old-{number}", PAYLOAD, "event", "tiktok")
    for number in range(2 * KEPT):
        feed.accepted(f"shop-{number % 3}", "tiktok", "x", f"{number}", PAYLOAD, "event", "tiktok")
    assert [_rows(feed, name) for name in ("old", "shop-0", "shop-1", "shop-2")] == [125, 125, 125, 125]
    assert len(feed._rows) == len(feed._by_event) == sum(map(len, feed._kinds.values())) == KEPT


def test_a_record_that_stays_in_the_queue_counts_each_try() -> None:
    feed = Feed(lambda: 1000.0)
    feed.accepted("shop", "tiktok", "Order Completed", "order-1", PAYLOAD, "event", "tiktok|TEST1")
    (row,) = feed.recent(1, lambda _: True)
    for _ in range(2):
        feed.mapped("tiktok", "order-1", 7, b"{}")
        feed.settled(7, "", "tiktok_auth", "40105", "revoked", "Regenerate it.")
    assert (row.open, row.outcome, row.attempts, row.code, row.lane) == (True, "retrying", 2, "40105", "tiktok|TEST1")
    heard = row_heard(row_told(row_with_uid(row)))
    assert heard is not None
    assert heard.lane == "tiktok|TEST1"
    earlier = orjson.loads(row_told(row))
    del earlier["lane"]
    assert (older := row_heard(orjson.dumps(earlier))) is not None, "a pod of an earlier version"
    assert older.lane == ""


def row_with_uid(row: Row) -> Row:
    """As others know it."""
    row.uid = row.uid or "a-1"
    return row


def test_what_was_filtered_is_told_without_content() -> None:
    feed = Feed(lambda: 0.0)
    told: list[bytes] = []
    feed.announce = lambda row: told.append(row_told(row))
    feed.filtered("shop", "tiktok", "Order Completed", Reason.CONSENT_DENIED, "event+gpc")
    words = orjson.loads(told[0])
    assert {name for name, value in words.items() if value} == {"pipeline", "integration", "name", "outcome", "reason", "consent"}


JSON = st.recursive(st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False) | st.text(max_size=5), lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=5)  # fmt: skip
WHOLE: dict[str, Any] = orjson.loads(
    row_told(Row("1", 1.0, "shop", "tiktok", "x", "accepted", "", PAYLOAD, uid="a-1", key=("tiktok", "1")))
)
BULLETIN: dict[str, Any] = orjson.loads(Bulletin("a", 5.0).written({("received", ""): 1}, [], whole=True))


@given(st.binary(max_size=40))
def test_junk_is_no_row(words: bytes) -> None:
    assert row_heard(words) is None
    others = Others(0.0)
    others.hear(words, 1.0)
    assert others.pods == 0


@given(st.sampled_from(sorted(WHOLE)), JSON)
def test_a_bent_row_is_none_or_can_be_shown(name: str, value: Any) -> None:
    row = row_heard(orjson.dumps(WHOLE | {name: value}))
    if row is not None:
        orjson.dumps(row.told())
        assert not row.payload or orjson.loads(row.payload)["wire"]


@given(st.sampled_from(sorted(BULLETIN)), JSON)
def test_a_bent_bulletin_breaks_nothing(name: str, value: Any) -> None:
    others = Others(0.0)
    others.hear(orjson.dumps(BULLETIN | {name: value}), 1.0)
    others.lanes([])
    assert others.counts.total() in {0, 1} or name == "counts"


def test_counters_are_added_up_whatever_is_lost() -> None:
    others = Others(since=100.0)
    old, new = Bulletin("old", 50.0), Bulletin("new", 150.0)
    key = ("received", "")
    others.hear(old.written({key: 1000, ("delivered", ""): 7}, [], whole=True), 1.0)
    others.hear(new.written({key: 5}, [], whole=True), 1.0)
    assert others.counts == {key: 5}, "what was before belongs to another's history"
    old.written({key: 1001, ("delivered", ""): 7}, [], whole=False)  # lost
    others.hear(old.written({key: 1004, ("delivered", ""): 7}, [], whole=False), 2.0)
    assert others.counts == {key: 9}
    others.hear(old.written({key: 1004, ("delivered", ""): 7}, [], whole=True), 3.0)
    assert others.counts == {key: 9}
    others.forget(3.0 + SILENT_S + 1)
    assert others.pods == 0
    assert others.counts == {key: 9}


def test_a_pod_that_was_there_before_is_counted_from_its_first_whole_word() -> None:
    others = Others(since=100.0)
    old = Bulletin("old", 50.0)
    others.hear(old.written({("received", ""): 1000}, [], whole=False), 1.0)
    others.hear(old.written({("received", ""): 1001, ("dead", "x"): 500}, [], whole=False), 1.0)
    others.hear(old.written({("received", ""): 1002, ("dead", "x"): 500}, [], whole=True), 1.0)
    others.hear(old.written({("received", ""): 1003, ("dead", "x"): 501}, [], whole=False), 1.0)
    assert others.counts == {("received", ""): 1, ("dead", "x"): 1}


@pytest.mark.parametrize("order", [1, -1])
def test_of_two_words_about_a_lane_the_worse_is_shown(order: int) -> None:
    def lane(state: str) -> dict[str, Any]:
        return {
            "integration": "a",
            "test_event_code": "",
            "state": state,
            "since": 1.0,
            "next_try": 0.0,
            "code": "",
            "message": "",
            "cure": "",
        }

    others = Others(0.0)
    for number, state in enumerate(["active", "suspended", "backing_off"][::order]):
        others.hear(Bulletin(str(number), 1.0).written({}, [lane(state), {"integration": "junk"}], whole=True), 1.0)
    assert [each["state"] for each in others.lanes([lane("active")])] == ["suspended"]
