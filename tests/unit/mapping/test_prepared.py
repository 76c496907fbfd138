"""An event mapped ahead is what it would be when mapped later, or nothing."""

from typing import Any

import orjson
import pytest

from gateway.mapping.compile import Mapped, Program
from gateway.mapping.prepared import prepare

EVENT: dict[str, Any] = {
    "v": 1, "wire": "signal", "type": "track", "name": "Order Completed", "event_id": "e-1", "time": 1764158400, "received": 1764158400.5, "pipeline": "shop",
    "user": {"ttp": "t" * 27}, "page": {"url": "https://shop.example/thanks"}, "properties": {"value": "9.50", "currency": "EUR"},
    "consent": {"granted": ["marketing"], "source": "event"},
}  # fmt: skip


def test_what_is_prepared_is_what_would_be_sent() -> None:
    program = Program()
    found = prepare(program, EVENT)
    assert found is not None
    mapped = program.apply(orjson.loads(orjson.dumps(EVENT)))
    assert isinstance(mapped, Mapped)
    assert (found.program, found.event_id, found.data) == (program, "e-1", orjson.dumps(mapped.item))


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "Nobody maps this"},
        {"time": 0},
        {"event_id": ""},
        {"user": {"ttp": object()}},
        {"page": []},
    ],
)
def test_nothing_is_prepared_of_what_is_not_sent_or_cannot_be_mapped(changes: dict[str, Any]) -> None:
    assert prepare(Program(), EVENT | changes) is None
