"""Rates by the second."""

from gateway.edge.rate import RateLimit


def test_a_second_lets_in_its_limit() -> None:
    rate = RateLimit()
    assert [rate.admit("a", 3, 10.0) for _ in range(5)] == [True, True, True, False, False]
    assert rate.admit("b", 3, 10.9)
    assert rate.admit("a", 3, 11.0)


def test_a_first_batch_always_passes_and_uses_up_the_second() -> None:
    rate = RateLimit()
    assert rate.admit("a", 3, 10.0, 500)
    assert not rate.admit("a", 3, 10.5, 1)


def test_what_is_refused_is_not_counted() -> None:
    rate = RateLimit()
    assert rate.admit("a", 5, 10.0, 3)
    assert not rate.admit("a", 5, 10.0, 3)
    assert rate.admit("a", 5, 10.0, 2)


def test_a_clock_that_goes_back_stops_nobody() -> None:
    rate = RateLimit()
    assert rate.admit("a", 1, 10.0)
    assert rate.admit("a", 1, 9.0)


def test_memory_is_that_of_one_second() -> None:
    rate = RateLimit()
    for number in range(1000):
        rate.admit(number, 1, 10.0)
    rate.admit("a", 1, 11.0)
    assert len(rate._counts) == 1
