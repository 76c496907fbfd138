"""The search for bad events."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.isolate import Culprit, isolate
from gateway.delivery.verdict import Action, Verdict
from gateway.outcome import Reason

DELIVERED = Verdict(Action.DELIVERED, Reason.NONE, "0", "OK")


def refused(place: int | None = None) -> Verdict:
    return Verdict(Action.BAD_EVENT, Reason.TIKTOK_REJECTED, "40002", "bad", culprit=place)


class TikTok:
    """Refuses a batch that holds one of ``bad``; names its place if it is ``helpful``."""

    def __init__(self, bad: set[int], helpful: bool) -> None:
        self.bad = bad
        self.helpful = helpful
        self.posts: list[list[int]] = []
        self.taken: list[int] = []

    def post(self, batch: list[int]) -> Verdict:
        self.posts.append(batch)
        for place, item in enumerate(batch):
            if item in self.bad:
                return refused(place if self.helpful else None)
        self.taken += batch
        return DELIVERED


def drive(batch: list[int], tiktok: TikTok, first: Verdict) -> list[Culprit[int]]:
    """Search to the end."""
    culprits: list[Culprit[int]] = []
    search = isolate(batch, first)
    reply: Verdict | None = None
    while True:
        try:
            step = search.send(reply)
        except StopIteration:
            return culprits
        reply = None
        if isinstance(step, Culprit):
            culprits.append(step)
        else:
            assert step, "nothing is posted without an event"
            reply = tiktok.post(step)


@given(size=st.integers(1, 60), data=st.data(), helpful=st.booleans())
def test_every_bad_event_is_named_and_every_good_one_delivered_once(size: int, data: st.DataObject, helpful: bool) -> None:
    bad = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    tiktok = TikTok(bad, helpful)
    batch = list(range(size))
    culprits = drive(batch, tiktok, tiktok.post(batch))
    assert sorted(culprit.item for culprit in culprits) == sorted(bad)
    assert sorted(tiktok.taken) == sorted(set(batch) - bad)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 9, 100, 1000])
def test_one_culprit_costs_few_requests(size: int) -> None:
    batch = list(range(size))
    for culprit in {0, 1 % size, size // 2, size - 1}:
        named, unnamed = TikTok({culprit}, True), TikTok({culprit}, False)
        drive(batch, named, refused(culprit))
        drive(batch, unnamed, refused())
        assert len(named.posts) <= 1
        assert len(unnamed.posts) <= math.ceil(math.log2(size)) + 1 if size > 1 else not unnamed.posts


@given(size=st.integers(2, 40), data=st.data(), helpful=st.booleans())
def test_nothing_known_to_be_bad_is_posted_again(size: int, data: st.DataObject, helpful: bool) -> None:
    bad = data.draw(st.sets(st.integers(0, size - 1), min_size=1))
    tiktok = TikTok(bad, helpful)
    drive(list(range(size)), tiktok, tiktok.post(list(range(size))))
    refusals = [frozenset(batch) for batch in tiktok.posts if bad & set(batch)]
    assert len(refusals) == len(set(refusals))


def test_neighbours_without_a_good_event_between_are_in_a_row() -> None:
    tiktok = TikTok({0, 1, 4, 5, 6, 9}, helpful=True)
    culprits = drive(list(range(10)), tiktok, refused(0))
    assert {culprit.item: culprit.in_a_row for culprit in culprits} == {0: True, 1: True, 4: False, 5: True, 6: True, 9: False}


@pytest.mark.parametrize("place", [50, 10, 9999])
def test_a_place_outside_of_the_batch_is_not_believed(place: int) -> None:
    tiktok = TikTok({3}, helpful=False)
    culprits = drive(list(range(10)), tiktok, refused(place))
    assert [culprit.item for culprit in culprits] == [3]


def test_a_wrong_place_ends_all_the_same() -> None:
    search = isolate(list(range(5)), refused(0))
    steps: list[int | Culprit[int]] = []
    reply: Verdict | None = None
    for _ in range(20):
        try:
            step = search.send(reply)
        except StopIteration:
            break
        reply = None if isinstance(step, Culprit) else refused(0)
        if isinstance(step, Culprit):
            steps.append(step.item)
    assert steps == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("action", [Action.RETRY, Action.SUSPEND, Action.SPLIT])
@pytest.mark.parametrize("place", [None, 2])
def test_it_ends_when_tiktok_says_something_else(action: Action, place: int | None) -> None:
    search = isolate(list(range(8)), refused(place))
    step = next(search)
    if isinstance(step, Culprit):
        step = search.send(None)
    assert isinstance(step, list)
    with pytest.raises(StopIteration):
        search.send(Verdict(action, Reason.NONE, "x", ""))
