"""What may wait in memory: one budget, and the longest holder goes first."""

import resource
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.edge import files
from gateway.edge.holdings import Holdings


class Line:
    """A connection that notes its end."""

    def __init__(self, books: Holdings) -> None:
        self.books = books
        self.ended = False

    def give_up(self) -> None:
        self.ended = True
        self.books.hold(self, 0)  # as connections do when they have cleaned up


def test_the_longest_holder_goes_first_and_one_that_let_go_in_between_is_young_again() -> None:
    books = Holdings(100)
    old, moving, young = Line(books), Line(books), Line(books)
    books.hold(old, 40)
    books.hold(moving, 10)
    books.hold(young, 20)
    books.hold(old, 0)
    books.hold(old, 40)
    books.hold(young, 60)
    assert [line.ended for line in (old, moving, young)] == [False, True, False]
    assert (books.total, books.given_up) == (100, 1)


def test_who_alone_holds_too_much_is_ended_itself() -> None:
    books = Holdings(100)
    line = Line(books)
    books.hold(line, 101)
    assert line.ended
    assert books.total == 0


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60)), max_size=60))
def test_the_sum_is_right_and_never_above_the_budget(steps: list[tuple[int, int]]) -> None:
    books = Holdings(100)
    lines = [Line(books) for _ in range(10)]
    sizes: dict[Line, int] = {}
    for which, size in steps:
        line = lines[which]
        line.ended = False
        books.hold(line, size)
        sizes[line] = size
        for each in lines:
            if each.ended:
                sizes.pop(each, None)
                each.ended = False
        assert books.total == sum(sizes.values()) <= 100


@pytest.mark.parametrize(
    ("soft", "hard", "asked", "room", "together", "raised_to"),
    [
        (1024, 1024, 20000, 576, 768, 1024),
        (1024, 524288, 20000, 20000, 40000, 40256),
        (1024, 20000, 20000, 14808, 19744, 20000),
        (1024, resource.RLIM_INFINITY, 20000, 20000, 40000, 40256),
        (resource.RLIM_INFINITY, resource.RLIM_INFINITY, 20000, 20000, sys.maxsize, resource.RLIM_INFINITY),
        (100, 100, 20000, 1, 2, 100),
        (65536, 524288, 500, 500, 65280, 65536),
    ],
)
def test_connections_fit_the_limit_of_open_files(
    monkeypatch: pytest.MonkeyPatch, soft: int, hard: int, asked: int, room: int, together: int, raised_to: int
) -> None:
    limit = [soft, hard]
    monkeypatch.setattr(resource, "getrlimit", lambda _: tuple(limit))
    monkeypatch.setattr(resource, "setrlimit", lambda _, pair: limit.__setitem__(slice(None), pair))
    assert files.room_for(asked) == files.Room(room, together)
    assert limit == [raised_to, hard]


def test_a_limit_that_cannot_be_raised_must_do(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_which: int, _pair: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (1024, 4096))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    assert files.room_for(20000) == files.Room(576, 768)
