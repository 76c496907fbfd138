"""The simulator's memory: bounded, and its counts fit together."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox.store import KEEP, Store

BODY = {"event_source_id": "C1", "test_event_code": "T1"}


def keep(store: Store, n: int) -> None:
    for number in range(n):
        store.keep(BODY, {"event": "Purchase", "event_id": str(number)}, accepted=True, code=0, findings=[])


@given(
    st.lists(
        st.tuples(
            st.sampled_from("AB"), st.lists(st.tuples(st.sampled_from("PV"), st.sampled_from(["1", "2", "3", None])), max_size=6)
        ),
        max_size=6,
    )
)
def test_accepted_is_unique_and_duplicates(requests: list[tuple[str, list[tuple[str, str | None]]]]):
    store, seen, total = Store(), set(), 0
    for pixel, events in requests:
        store.count(pixel, [{"event": name} | ({"event_id": id_} if id_ else {}) for name, id_ in events])
        seen |= {(pixel, name, id_) for name, id_ in events}
        total += len(events)
    stats = store.stats()
    assert stats["events"] == stats["accepted"] == total
    assert stats["unique"] == len(seen)
    assert stats["unique"] + stats["duplicates"] == total


def test_one_entry_says_what_came_and_what_became_of_it():
    store = Store()
    store.keep(BODY, {"event": "X"}, accepted=False, code=40002, findings=["data: no"])
    assert store.since(0) == [
        {"seq": 1, "event_source_id": "C1", "test_event_code": "T1", "event": {"event": "X"}, "accepted": False, "code": 40002, "findings": ["data: no"]}
    ]  # fmt: skip


def test_only_the_last_are_kept_newest_last():
    store = Store()
    keep(store, KEEP + 5)
    kept = [entry["seq"] for entry in store.since(0)]
    assert kept == list(range(6, KEEP + 6))


@pytest.mark.parametrize(("since", "expected"), [(0, [1, 2, 3]), (2, [3]), (3, []), (99, [])])
def test_since(since: int, expected: list[int]):
    store = Store()
    keep(store, 3)
    assert [entry["seq"] for entry in store.since(since)] == expected


def test_clearing_forgets_the_counts_but_not_the_numbering():
    store = Store()
    keep(store, 3)
    events: list[dict[str, Any]] = [{"event": "Purchase", "event_id": "1"}]
    store.count("C1", events)
    store.requests = 4
    store.clear()
    assert store.stats() == dict.fromkeys(("requests", "events", "accepted", "unique", "duplicates"), 0)
    assert store.since(0) == []
    keep(store, 1)  # a page that polls with the last number it saw misses nothing
    assert [entry["seq"] for entry in store.since(3)] == [4]
