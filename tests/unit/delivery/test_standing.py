"""How a lane stands: gates, suspensions, doubts, and what is shown."""

import pytest

from gateway.delivery.standing import SAME_SHAPE, THROTTLED_FOR_S, Standing, State
from gateway.delivery.verdict import Verdict, judge

IN_FLIGHT, PROBE_S = 8, 60.0
SETTINGS, OTHERS = "settings", "other settings"


def verdict(code: int, message: str = "words", **headers: str) -> Verdict:
    return judge(200, headers, f'{{"code":{code},"message":"{message}"}}'.encode(), 0.0)


OK, REVOKED, THROTTLED, BROKEN, BAD = (verdict(code) for code in (0, 40105, 40100, 50000, 40002))


class Lane:
    """A standing and its clock."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.standing = Standing(IN_FLIGHT, PROBE_S, self.now)
        self.standing.free(SETTINGS, self.now)

    def send(self, answer: Verdict, settings: str = SETTINGS) -> None:
        """One request, sent and answered now."""
        self.standing.sending(self.now)
        self.answer(self.standing.ticket, answer, settings)

    def answer(self, ticket: int, answer: Verdict, settings: str = SETTINGS) -> None:
        """An answer to a request that was sent before."""
        self.standing.learn(answer, ticket, settings, self.now, 0.5)

    @property
    def wait_s(self) -> float:
        return self.standing.gate(self.now).wait_s

    @property
    def state(self) -> State:
        return self.standing.state("lane", self.now, self.now).state


@pytest.fixture
def lane() -> Lane:
    return Lane()


def test_a_new_lane_sends_many_at_once(lane: Lane) -> None:
    assert lane.standing.gate(lane.now) == (0.0, IN_FLIGHT, False)
    assert lane.state is State.ACTIVE


def test_refused_credentials_suspend_and_probe_once_a_minute(lane: Lane) -> None:
    lane.send(REVOKED)
    for _ in range(3):
        assert lane.state is State.SUSPENDED
        assert lane.wait_s == PROBE_S
        lane.now += PROBE_S
        assert lane.standing.gate(lane.now) == (0.0, 1, True)
        lane.send(REVOKED)
    lane.now += PROBE_S
    lane.send(OK)
    assert lane.state is State.ACTIVE
    assert lane.standing.gate(lane.now) == (0.0, IN_FLIGHT, False)


@pytest.mark.parametrize("answer", [REVOKED, BROKEN, THROTTLED])
def test_a_failed_probe_leaves_it_suspended_for_the_first_reason(lane: Lane, answer: Verdict) -> None:
    lane.send(REVOKED)
    lane.now += PROBE_S
    lane.send(answer)
    shown = lane.standing.state("lane", lane.now, lane.now)
    assert (shown.state, shown.code) == (State.SUSPENDED, "40105")
    assert lane.wait_s == PROBE_S
    lane.now += PROBE_S
    lane.send(OK)
    assert lane.state is State.ACTIVE


def test_other_settings_resume_at_once_and_the_same_ones_do_not(lane: Lane) -> None:
    lane.send(REVOKED)
    lane.standing.free(SETTINGS, lane.now)
    assert lane.state is State.SUSPENDED
    lane.standing.free(OTHERS, lane.now)
    assert lane.state is State.ACTIVE
    assert lane.wait_s == 0


def test_a_late_refusal_of_old_settings_does_not_stick(lane: Lane) -> None:
    ticket = lane.standing.ticket
    lane.send(REVOKED)
    lane.standing.free(OTHERS, lane.now)
    lane.answer(ticket, REVOKED, SETTINGS)
    lane.standing.free(OTHERS, lane.now)
    assert lane.state is State.ACTIVE


def test_an_answer_from_before_the_suspension_does_not_end_it(lane: Lane) -> None:
    ticket = lane.standing.ticket
    lane.send(REVOKED)
    lane.answer(ticket, OK)
    assert lane.state is State.SUSPENDED


def test_a_bad_event_proves_credentials(lane: Lane) -> None:
    lane.send(REVOKED)
    lane.now += PROBE_S
    lane.send(BAD)
    assert lane.state is State.ACTIVE


def test_a_probe_that_asked_nothing_is_followed_by_the_next(lane: Lane) -> None:
    lane.send(REVOKED)
    lane.now += PROBE_S
    lane.standing.sending(lane.now)
    assert lane.wait_s == PROBE_S
    lane.standing.unanswered(lane.now)
    assert lane.wait_s == 0


def test_throttling_for_ten_minutes_is_taken_for_missing_authorisation(lane: Lane) -> None:
    begin = lane.now
    while lane.state is not State.SUSPENDED:
        lane.now += lane.wait_s
        lane.send(THROTTLED)
        assert lane.now - begin <= 2 * THROTTLED_FOR_S
    assert lane.now - begin > THROTTLED_FOR_S
    shown = lane.standing.state("lane", lane.now, lane.now)
    assert "Signal's manual" in shown.cure
    assert "TikTok's SDK" in shown.cure
    lane.now += PROBE_S
    lane.send(THROTTLED)
    assert lane.wait_s == PROBE_S


def test_a_success_between_throttles_starts_the_ten_minutes_anew(lane: Lane) -> None:
    for _ in range(40):
        lane.now += max(lane.wait_s, 30.0)
        lane.send(THROTTLED)
        lane.now += lane.wait_s
        lane.send(OK)
        assert lane.state is State.ACTIVE


def test_failures_back_off_and_a_success_ends_it(lane: Lane) -> None:
    for _ in range(5):
        assert lane.state is State.ACTIVE
        lane.send(BROKEN)
    shown = lane.standing.state("lane", lane.now, 5000.0)
    assert (shown.state, shown.code) == (State.BACKING_OFF, "50000")
    assert shown.next_try == pytest.approx(5000.0 + lane.wait_s)
    lane.now += lane.wait_s
    assert lane.standing.gate(lane.now) == (0.0, 1, False)
    lane.send(OK)
    assert lane.state is State.ACTIVE


def test_eight_culprits_in_a_row_of_one_shape_are_no_culprits(lane: Lane) -> None:
    alike = [lane.standing.culprit(verdict(40002, f"Batch.{number}.event: bad"), True) for number in range(SAME_SHAPE)]
    assert alike == [False] * (SAME_SHAPE - 1) + [True]


@pytest.mark.parametrize("interruption", ["shape", "good neighbour", "delivery"])
def test_what_breaks_the_row(lane: Lane, interruption: str) -> None:
    for number in range(3 * SAME_SHAPE):
        broken = number % (SAME_SHAPE - 1) == 0
        if broken and interruption == "delivery":
            lane.send(OK)
        words = "Batch.1.page: bad" if broken and interruption == "shape" else "Batch.1.event: bad"
        assert not lane.standing.culprit(verdict(40002, words), not (broken and interruption == "good neighbour"))


def test_doubts_last_until_something_is_delivered(lane: Lane) -> None:
    lane.standing.doubt(BAD, SETTINGS, lane.now)
    shown = lane.standing.state("lane", lane.now, lane.now)
    assert shown.state is State.SUSPENDED
    assert "not the events" in shown.cure
    assert lane.standing.doubts_events
    assert lane.standing.held
    lane.now += PROBE_S
    lane.send(BAD)
    assert lane.state is State.SUSPENDED
    lane.now += PROBE_S
    lane.send(OK)
    assert lane.state is State.ACTIVE
    assert not lane.standing.doubts_events


def test_a_refusal_that_names_the_pixel_doubts_too(lane: Lane) -> None:
    lane.send(verdict(40002, "event_source_id: unknown"))
    assert lane.state is State.SUSPENDED
    assert lane.standing.doubts_events
    lane.send(REVOKED)
    assert not lane.standing.doubts_events


def test_the_catalogue_holds_and_frees(lane: Lane) -> None:
    lane.standing.hold(State.PAUSED, "disabled", "", lane.now)
    lane.now += 5
    shown = lane.standing.state("lane", lane.now, lane.now)
    assert (shown.state, shown.since, shown.message, shown.next_try) == (State.PAUSED, 1000.0, "disabled", 0.0)
    assert lane.standing.held
    lane.standing.free(SETTINGS, lane.now)
    assert lane.standing.state("lane", lane.now, lane.now).since == 1005.0
    assert not lane.standing.held


def test_no_token_is_shown_with_its_cure_although_it_was_suspended_before(lane: Lane) -> None:
    lane.send(REVOKED)
    lane.standing.hold(State.SUSPENDED, "there is no access token", "Set access_token.", lane.now)
    shown = lane.standing.state("lane", lane.now, lane.now)
    assert (shown.state, shown.code, shown.cure) == (State.SUSPENDED, "", "Set access_token.")


def test_a_used_up_quota_per_day_is_no_refusal_of_credentials(lane: Lane) -> None:
    """Ten minutes of 40100 suspend, because they may mean the token; a quota for the day says itself what it is."""
    begin, asked = lane.now, 0
    while lane.now - begin < 20 * 3600:
        lane.send(verdict(40100, "quota per day exceeded"))
        asked += 1
        assert lane.standing.state("lane", lane.now, lane.now).state is State.BACKING_OFF
        assert "00:00 UTC" in lane.standing.state("lane", lane.now, lane.now).cure
        lane.now += lane.wait_s
    assert asked <= 21
