"""The table of fields that people read: each source is tried, through parser, sealer and mapping."""

from typing import Any

import pytest

from gateway.event import signal
from gateway.identity.seal import Sealer, Visitor
from gateway.mapping.compile import Mapped, Program
from gateway.mapping.described import described, namesakes
from gateway.mapping.presets import PRESETS

NOW = 1_750_000_000.0
VALUES: dict[str, Any] = {
    "properties.value": 12.5, "properties.currency": "EUR", "contents[].price": 12.5, "contents[].quantity": 3, "properties.num_items": 3,
    "properties.content_ids": ["a"], "properties.content_type": "destination", "page.url": "https://shop.example/x", "page.referrer": "https://r.example/",
    "user.email": "jane@example.com", "user.phone": "+447700900123", "user.country": "GB",
}  # fmt: skip
EVENTS = {"retail": "Order Completed", "travel": "Booking Completed", "automotive": "vehicle_viewed", "b2b_saas": "Signed Up"}
TRIED = [(preset, field.target, source) for preset in PRESETS for field in described(preset) for source in field.sources]


def _placed(event: dict[str, Any], source: str, value: Any) -> None:
    first, _, rest = source.partition(".")
    if first == "products[]":
        event["properties"]["products"] = [{"content_id": "other", rest: value}]
        if rest != "content_id" and value == "own":
            del event["properties"]["products"][0]["content_id"]
        return
    for name in source.split(".")[:-1]:
        event = event.setdefault(name, {})
    event[source.rsplit(".", maxsplit=1)[-1]] = value


def _mapped(preset: str, event: dict[str, Any]) -> dict[str, Any]:
    (parsed,) = signal.parse(event, None).events
    sealed = Sealer("GB", b"k" * 32).seal(
        parsed, Visitor(host="shop.example.com"), pipeline="shop", granted=["marketing"], consent_source="event", gpc=False, received=NOW, event_id="made",
    )  # fmt: skip
    found = Program(preset=preset).apply(sealed)
    assert isinstance(found, Mapped)
    return found.item


def _read(item: dict[str, Any], target: str) -> Any:
    if target.startswith("contents[]."):
        return item["properties"]["contents"][0][target.partition(".")[2]]
    for name in target.split("."):
        item = item[name]
    return item


@pytest.mark.parametrize(("preset", "target", "source"), TRIED)
def test_every_source_is_read(preset: str, target: str, source: str) -> None:
    event: dict[str, Any] = {"type": "track", "event": EVENTS[preset], "properties": {}}
    value = VALUES.get(target, "own")
    _placed(event, source, value)
    found = _read(_mapped(preset, event), target)
    if target.startswith("user.") and target not in {"user.city", "user.state", "user.country"}:
        assert len(found) == 64
    else:
        assert str(found).lower() == str(value).lower()


@pytest.mark.parametrize("preset", PRESETS)
def test_namesakes_are_all_the_rest(preset: str) -> None:
    assert {"description", "status"} < set(namesakes(preset))
    assert not {f"properties.{name}" for name in namesakes(preset)} & {field.target for field in described(preset)}
    item = _mapped(preset, {"type": "track", "event": EVENTS[preset], "properties": {"description": "a bag"}})
    assert item["properties"]["description"] == "a bag"
