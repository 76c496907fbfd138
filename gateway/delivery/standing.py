"""How a lane stands with TikTok (pure: clock and randomness come in).

Law: whether a lane may send, how much, and when it tries again is decided here and nowhere else. Three things hold a lane: the catalogue (disabled, removed, no token),
a suspension (TikTok refuses credentials, pixel or every event alike) and the circuit (TikTok fails). A suspension ends when the integration's settings change, or when
its one probe in ``probe_every_s`` succeeds. Times are the caller's monotonic clock, in seconds.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple

from gateway.delivery import words
from gateway.delivery.accord import OPEN, SUSPENDED, WELL, Accord
from gateway.delivery.retry import CAP_S, Circuit, Phase
from gateway.delivery.verdict import MAX_RETRY_AFTER_S, Action, Verdict
from gateway.outcome import Reason

THROTTLED_FOR_S = 600.0
"""40100 for longer than this is treated as Signal's manual reads it: an authorisation problem."""
SAME_SHAPE = 8
"""Culprits in a row with one message shape: then the cause is not the events."""


class State(StrEnum):
    """What a lane is doing."""

    ACTIVE = "active"
    BACKING_OFF = "backing_off"
    SUSPENDED = "suspended"
    PAUSED = "paused"


@dataclass(frozen=True, slots=True)
class LaneState:
    """A lane's state for metrics, logs and the API. Times are Unix seconds, 0 = none."""

    lane: str
    state: State
    since: float
    next_try: float
    code: str
    message: str
    cure: str


class Gate(NamedTuple):
    """What may be sent now."""

    wait_s: float
    """Nothing before that."""
    in_flight: int
    """Batches that may be under way at once."""
    probe: bool
    """One record only."""


class _Hold(NamedTuple):
    state: State
    message: str
    cure: str


class Standing:
    """One lane's standing."""

    def __init__(self, in_flight: int, probe_every_s: float, now: float) -> None:
        self._in_flight = in_flight
        self.probe_every_s = probe_every_s
        self._circuit = Circuit()
        self._hold: _Hold | None = None
        self._blame: Verdict | None = None
        self._blamed_settings: object = None
        self._next_probe = 0.0
        self._throttled_since: float | None = None
        self._row = ("", 0)
        self._trouble: Verdict | None = None
        self._shown = State.ACTIVE
        self._since = now

    # -- what may be done

    def gate(self, now: float) -> Gate:
        """What may be sent now, the catalogue permitting."""
        if self._blame is not None:
            return Gate(max(0.0, self._next_probe - now), 1, True)
        if self._circuit.phase is Phase.CLOSED:
            return Gate(0.0, self._in_flight, False)
        return Gate(self._circuit.wait_s(now), 1, False)

    @property
    def held(self) -> bool:
        """Only a change of the configuration can free it, or a probe a minute."""
        return self._hold is not None or self._blame is not None

    @property
    def doubts_events(self) -> bool:
        """Suspended because event after event was refused: each probe should try another one."""
        return self._blame is not None and self._blame.reason is Reason.TIKTOK_REJECTED

    @property
    def ticket(self) -> int:
        """What a request takes along to :meth:`learn`."""
        return self._circuit.ticket

    # -- what happens

    def hold(self, state: State, message: str, cure: str, now: float) -> None:
        """The catalogue forbids sending."""
        self._hold = _Hold(state, message, cure)
        self._mark(now)

    def free(self, settings: object, now: float) -> None:
        """The catalogue permits sending with ``settings``; other settings than those that were refused end a suspension."""
        self._hold = None
        if self._blame is not None and settings != self._blamed_settings:
            self._resume()
        self._mark(now)

    def sending(self, now: float) -> None:
        """A batch goes out."""
        if self._blame is not None:
            self._next_probe = now + self.probe_every_s
        self._circuit = self._circuit.sending()

    def unanswered(self, now: float) -> None:
        """The batch ended before anything was posted: it has proved nothing, the next one may try at once."""
        if self._blame is not None:
            self._next_probe = now
        self._circuit = self._circuit.unanswered()

    def learn(self, verdict: Verdict, ticket: int, settings: object, now: float, draw: float) -> None:
        """What an answer says about the lane as a whole; ``ticket`` is from before the request, ``settings`` are what it was made with."""
        match verdict.action:
            case Action.DELIVERED | Action.BAD_EVENT | Action.SPLIT:
                self._reached(verdict, ticket)
            case Action.RETRY:
                self._circuit = self._circuit.failed(
                    ticket, now, draw, throttled=verdict.throttled, retry_after_s=verdict.retry_after_s
                )
                self._trouble = verdict
                if verdict.code == "40100" and not verdict.day_quota:
                    self._throttled_since = now if self._throttled_since is None else self._throttled_since
                    if now - self._throttled_since > THROTTLED_FOR_S:
                        self._suspend(verdict, settings, now)
            case Action.SUSPEND:
                self._suspend(verdict, settings, now)
        self._mark(now)

    def _reached(self, verdict: Verdict, ticket: int) -> None:
        self._throttled_since = None
        if verdict.action is Action.DELIVERED:
            self._row = ("", 0)
        self._circuit = self._circuit.succeeded(ticket)
        current = ticket == self._circuit.era
        # Events that are looked at have passed credentials and pixel.
        if self._blame is not None and current and (verdict.action is Action.DELIVERED or not self.doubts_events):
            self._resume()

    def culprit(self, verdict: Verdict, in_a_row: bool) -> bool:
        """An event was found bad; True if there have been so many alike in a row that the cause is not the events."""
        form = words.shape(verdict.message)
        self._row = (form, self._row[1] + 1 if in_a_row and form == self._row[0] else 1)
        return self._row[1] >= SAME_SHAPE

    def doubt(self, verdict: Verdict, settings: object, now: float) -> None:
        """TikTok refuses event after event with the same words."""
        cure = f"TikTok refuses event after event with the same words, so the cause is the mapping or the pixel, not the events; they are kept. {verdict.cure}"
        self._suspend(verdict._replace(reason=Reason.TIKTOK_REJECTED, cure=cure.strip()), settings, now)
        self._mark(now)

    def _suspend(self, verdict: Verdict, settings: object, now: float) -> None:
        self._blame = verdict
        self._blamed_settings = settings
        self._next_probe = now + self.probe_every_s
        # Answers to what is still under way say nothing about the time after this.
        self._circuit = Circuit(era=self._circuit.era + 1)

    def _resume(self) -> None:
        self._blame = None
        self._blamed_settings = None
        self._throttled_since = None
        self._row = ("", 0)
        self._circuit = Circuit(era=self._circuit.era + 1)

    # -- what is agreed with other deliverers

    @property
    def probes(self) -> bool:
        """Whether the next batch is a probe, of which one deliverer sends one."""
        return self._blame is not None or self._circuit.phase is Phase.OPEN

    def accord(self, now: float, wall: float) -> Accord:
        """What others should know; ``wall`` is Unix seconds at ``now``."""
        offset = wall - now
        throttled_at = self._throttled_since + offset if self._throttled_since is not None else 0.0
        if (blame := self._blame) is not None:
            return Accord(
                SUSPENDED, "", self._next_probe + offset, blame.reason.value, blame.code, blame.message, blame.cure, throttled_at=throttled_at
            )  # fmt: skip
        circuit, trouble = self._circuit, self._trouble
        if circuit.phase is Phase.CLOSED or trouble is None:
            return Accord()
        return Accord(
            OPEN, "", circuit.until + offset, trouble.reason.value, trouble.code, trouble.message, trouble.cure,
            circuit.pauses, circuit.throttles, throttled_at,
        )  # fmt: skip

    def adopt(self, accord: Accord, settings: object, now: float, wall: float) -> None:
        """Stand as another deliverer found, who sends with the same ``settings``. A clock of his that is wrong costs one pause at most."""
        if accord.kind == WELL:
            if self._blame is not None or self._circuit.phase is not Phase.CLOSED:
                self._resume()
            self._mark(now)
            return
        try:
            found = Verdict(Action.RETRY, Reason(accord.reason), accord.code, accord.message, accord.cure)
        except ValueError:
            return  # of a version that knows more reasons
        longest = self.probe_every_s if accord.kind == SUSPENDED else max(CAP_S, MAX_RETRY_AFTER_S)
        next_try = now + min(max(0.0, accord.next_at - wall), longest)
        if accord.throttled_at:
            self._throttled_since = now - max(0.0, wall - accord.throttled_at)
        era = self._circuit.era + 1
        if accord.kind == SUSPENDED:
            self._blame = found._replace(action=Action.SUSPEND)
            self._blamed_settings = settings
            self._next_probe = next_try
            self._circuit = Circuit(era=era)
        else:
            self._blame = None
            self._trouble = found
            self._circuit = Circuit(Phase.OPEN, 0, accord.pauses, accord.throttles, next_try, era)
        self._mark(now)

    # -- what is shown

    def state(self, lane: str, now: float, wall: float) -> LaneState:
        """For people; ``wall`` is Unix seconds at ``now``."""
        code, message, cure, next_try = "", "", "", 0.0
        match self._shown:
            case State.BACKING_OFF:
                trouble, next_try = self._trouble, self._circuit.until
            case State.SUSPENDED if self._hold is None:
                trouble, next_try = self._blame, self._next_probe
            case _:
                trouble = None
        if trouble is not None:
            code, message, cure = trouble.code, trouble.message, trouble.cure
        elif self._hold is not None:
            message, cure = self._hold.message, self._hold.cure
        offset = wall - now
        return LaneState(lane, self._shown, self._since + offset, next_try + offset if next_try else 0.0, code, message, cure)

    def _mark(self, now: float) -> None:
        if self._hold is not None:
            state = self._hold.state
        elif self._blame is not None:
            state = State.SUSPENDED
        else:
            state = State.ACTIVE if self._circuit.phase is Phase.CLOSED else State.BACKING_OFF
        if state is not self._shown:
            self._shown = state
            self._since = now
