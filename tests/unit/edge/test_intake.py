"""What cannot be written is not accepted, by no integration, and the sender is told which event it was."""

import tracemalloc
import zlib
from typing import Any

import orjson
import pytest
from collect_desk import INTEGRATION, PIPELINE, Desk

from gateway.consent.gate import Decision, Gate
from gateway.consent.settings import ConsentSettings
from gateway.edge.body import MAX_BODY, inflate
from gateway.edge.intake import Sender, Taken, rejections
from gateway.errors import BadInput
from gateway.event.model import Event, Rejection, Wire
from gateway.identity.seal import Visitor
from gateway.outcome import Reason


def take(*events: Event) -> tuple[Desk, Taken]:
    class Somebody(Sender):
        """Consents to everything; one event's visitor has an address that nothing can store."""

        gate = Gate(ConsentSettings(default="grant"))

        def decide(self, event: Event) -> Decision:
            return self.gate.decide(None, "", None)

        def visit(self, event: Event, decision: Decision) -> Visitor:
            return Visitor(ip="\ud800" if event.name == "unstorable" else "", user_agent="Mozilla/5.0")

    desk = Desk(
        pipelines=[{**PIPELINE, "integrations": ["tt", "twin"]}], integrations=[INTEGRATION, {**INTEGRATION, "id": "twin"}]
    )
    (pipeline,) = desk.live.current.pipelines
    return desk, desk.collector._intake.take(pipeline, list(events), Somebody())


@pytest.mark.interpreted
@pytest.mark.parametrize("value", [{1}, object(), 1 << 70, "\ud800"])
def test_a_value_that_cannot_be_stored_costs_no_event(value: Any) -> None:
    desk, taken = take(Event(Wire.SIGNAL, "track", "x", properties={"v": value, "kept": 1}))
    assert [orjson.loads(record.payload)["properties"]["kept"] for record in taken.records] == [1, 1]
    assert desk.outcomes() == {}


@pytest.mark.interpreted
def test_an_event_that_cannot_be_stored_is_rejected_for_all() -> None:
    """No wire lets in what the sealer could not replace; should one ever, it must cost one event and neither its neighbours nor the request."""
    desk, taken = take(*(Event(Wire.SIGNAL, "track", name) for name in ("a", "unstorable", "b")))
    assert (len(taken.records), taken.accepted_events) == (4, 2)
    assert taken.accepted == [("shop", "tt"), ("shop", "twin")] * 2
    assert [(r.at, r.reason) for r in taken.rejected] == [(1, Reason.WRONG_SHAPE)]
    assert desk.outcomes() == {("shop", "tt", "rejected", "wrong_shape"): 1, ("shop", "twin", "rejected", "wrong_shape"): 1}


def test_rejections_are_told_by_their_place_in_the_request() -> None:
    parsed = [
        Rejection(0, Reason.MISSING_NAME, "a"),
        Rejection(2, Reason.AUTOMATIC_EVENT, "b"),
        Rejection(3, Reason.INVALID_TIME, "c"),
    ]
    later = [Rejection(0, Reason.WRONG_SHAPE, "d"), Rejection(2, Reason.WRONG_SHAPE, "e")]
    # Of the request's events 0 … 5, the parser let 1, 4 and 5 through.
    assert [(r.at, r.detail) for r in rejections(parsed, later)] == [(0, "a"), (3, "c"), (1, "d"), (5, "e")]
    assert rejections([], []) == []


def test_a_bomb_takes_no_more_memory_than_the_largest_body() -> None:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = b"".join([squeezer.compress(bytes(1 << 20)) for _ in range(256)]) + squeezer.flush()
    head = Desk().request("POST", "/gw/e", {"Content-Encoding": "gzip"})
    tracemalloc.start()
    with pytest.raises(BadInput) as refused:
        inflate(head, bomb)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert refused.value.reason is Reason.TOO_LARGE
    assert peak < 4 * MAX_BODY


def test_the_largest_body_fits() -> None:
    squeezer = zlib.compressobj(9, zlib.DEFLATED, 31)
    head = Desk().request("POST", "/gw/e", {"Content-Encoding": "gzip"})
    assert len(inflate(head, squeezer.compress(bytes(MAX_BODY)) + squeezer.flush())) == MAX_BODY
