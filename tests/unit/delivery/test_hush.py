"""Logging without flooding."""

from gateway.delivery.hush import Hush


def test_one_line_of_a_kind_in_a_while_with_the_number_of_times() -> None:
    hush = Hush(10.0)
    assert [hush.said("a", now) for now in (0, 1, 9.9, 10, 11, 25)] == [1, 0, 0, 3, 0, 2]


def test_kinds_do_not_silence_each_other() -> None:
    hush = Hush(10.0)
    assert [hush.said("a", 0), hush.said("b", 0), hush.said("a", 1)] == [1, 1, 0]
