"""Pauses and the circuit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from gateway.delivery.retry import BASE_S, CAP_S, OPEN_AFTER, PAUSE_S, STALE, THROTTLES_TO_PAUSE, Circuit, Phase, backoff

DRAWS = st.floats(0, 1, exclude_max=True)


@given(attempt=st.integers(0, 10_000), draw=DRAWS)
def test_a_pause_is_drawn_below_the_exponential_bound(attempt: int, draw: float) -> None:
    assert 0 <= backoff(attempt, draw) <= min(CAP_S, BASE_S * 2 ** min(attempt, 30))


@given(attempt=st.integers(0, 40), draw=DRAWS, after=st.floats(0, 3600))
def test_retry_after_is_a_lower_bound(attempt: int, draw: float, after: float) -> None:
    assert backoff(attempt, draw, after) >= after


def test_the_bound_doubles_from_one_second_to_five_minutes() -> None:
    assert [backoff(attempt, 1.0) for attempt in range(10)] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300]


def fail(
    circuit: Circuit, now: float = 0.0, *, throttled: bool = False, after: float | None = None, draw: float = 1.0
) -> Circuit:
    """One request that fails."""
    circuit = circuit.sending()
    return circuit.failed(circuit.ticket, now, draw, throttled=throttled, retry_after_s=after)


def test_it_opens_after_so_many_failures_in_a_row() -> None:
    circuit = Circuit()
    for _ in range(OPEN_AFTER - 1):
        circuit = fail(circuit)
        assert circuit.phase is Phase.CLOSED
    assert fail(circuit).phase is Phase.OPEN
    assert fail(circuit.succeeded(circuit.ticket)).phase is Phase.CLOSED


@pytest.mark.parametrize(("throttled", "after"), [(True, None), (False, 3.0), (True, 3.0)])
def test_it_opens_at_once_when_asked_to_slow_down(throttled: bool, after: float | None) -> None:
    circuit = fail(Circuit(), 10.0, throttled=throttled, after=after)
    assert circuit.phase is Phase.OPEN
    assert circuit.wait_s(10.0) == pytest.approx(after or BASE_S)
    assert circuit.wait_s(14.0) == 0


def test_pauses_between_probes_double_however_many_requests_failed_together() -> None:
    circuit, now, waits = Circuit(), 0.0, []
    for _ in range(8):  # eight requests that were in flight when TikTok went away
        circuit = circuit.failed(0, now, 1.0, throttled=False, retry_after_s=None)
    for _ in range(12):
        waits.append(circuit.wait_s(now))
        now = circuit.until
        circuit = fail(circuit, now)
    assert waits == [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300, 300]


def test_five_throttles_in_a_row_pause_for_five_minutes() -> None:
    circuit, now = Circuit(), 0.0
    for _ in range(THROTTLES_TO_PAUSE):
        assert circuit.wait_s(now) < PAUSE_S
        now = max(now, circuit.until)
        circuit = fail(circuit, now, throttled=True, draw=0.0)
    assert circuit.wait_s(now) == PAUSE_S


def test_another_failure_between_throttles_breaks_the_row() -> None:
    circuit, now = Circuit(), 0.0
    for number in range(12):
        now = max(now, circuit.until)
        circuit = fail(circuit, now, throttled=number % 4 != 3, draw=0.0)
        assert circuit.wait_s(now) < PAUSE_S


def test_an_answer_from_before_the_opening_proves_nothing() -> None:
    early = Circuit().ticket
    circuit = fail(Circuit(), throttled=True, after=60.0)
    assert circuit.succeeded(early) == circuit
    probing = circuit.sending()
    assert probing.succeeded(early).phase is Phase.HALF_OPEN
    assert probing.failed(early, 60.0, 1.0, throttled=True, retry_after_s=None) == probing
    assert probing.succeeded(probing.ticket).phase is Phase.CLOSED


def test_a_late_retry_after_prolongs_the_pause() -> None:
    early = Circuit().ticket
    circuit = fail(Circuit(), throttled=True)
    assert circuit.failed(early, 0.0, 0.0, throttled=True, retry_after_s=60.0).until == 60.0


def test_a_request_sent_while_open_proves_nothing() -> None:
    circuit = fail(Circuit(), throttled=True)
    assert circuit.ticket == STALE
    assert circuit.succeeded(STALE) == circuit


def test_a_probe_that_asked_nothing_lets_the_next_one_go() -> None:
    circuit = fail(Circuit(), throttled=True).sending()
    assert circuit.unanswered().wait_s(circuit.until) == 0
    assert circuit.unanswered().sending().phase is Phase.HALF_OPEN
    assert Circuit().unanswered() == Circuit()


class Life(RuleBasedStateMachine):
    """Requests go out and come back in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.circuit = Circuit()
        self.now = 0.0
        self.out: list[int] = []

    @rule(seconds=st.floats(0, 400))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds

    @rule()
    def send(self) -> None:
        if self.circuit.wait_s(self.now) > 0 or (self.circuit.phase is not Phase.CLOSED and self.out):
            return
        self.circuit = self.circuit.sending()
        self.out.append(self.circuit.ticket)

    @rule(which=st.integers(0, 20))
    def succeed(self, which: int) -> None:
        if self.out:
            self.circuit = self.circuit.succeeded(self.out.pop(which % len(self.out)))

    @rule(which=st.integers(0, 20), draw=DRAWS, throttled=st.booleans(), after=st.one_of(st.none(), st.floats(0, 3600)))
    def fail(self, which: int, draw: float, throttled: bool, after: float | None) -> None:
        if self.out:
            before, ticket = self.circuit, self.out.pop(which % len(self.out))
            self.circuit = before.failed(ticket, self.now, draw, throttled=throttled, retry_after_s=after)
            assert self.circuit.era >= before.era
            if after and ticket == before.era and before.phase is not Phase.OPEN:
                assert self.circuit.until >= self.now + after

    @invariant()
    def nothing_is_held_for_ever(self) -> None:
        assert self.circuit.wait_s(self.now) <= 3600
        if self.circuit.phase is Phase.OPEN:
            assert self.circuit.until > 0
        if not self.out:
            later = self.circuit.unanswered()
            assert later.wait_s(self.now + 3601) == 0


TestLife = Life.TestCase
