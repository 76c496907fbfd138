"""The sealed event is shared: delivery maps the very objects that the edge made, for several integrations, while others still read them. So mapping changes nothing of them, nor of
an item made before, and gives what it would give for the event read back from the spool."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from any_events import FULL, NAMES, PROPERTIES
from hypothesis import given
from hypothesis import strategies as st
from sealed_events import program, sealed

from gateway.event import native, pixel, signal
from gateway.identity.seal import Sealer, Visitor
from gateway.mapping.compile import Mapped, Program, Unmapped
from gateway.mapping.presets import PRESETS
from gateway.mapping.settings import FieldMapping
from gateway.mapping.steps import contents_steps, item_steps
from gateway.mapping.transforms import TRANSFORMS

HOLDERS: dict[str, Any] = {
    "global": {
        "mappings": [
            {"default": {"nested": [1, {"two": 2}]}, "target": "properties.constant"},
            {"default": [{"sku": "constant", "price": 1}], "target": "properties.contents"},
            {"source": "properties.products", "target": "properties.contents", "default": {"sku": "d"}},
            {"source": "properties.products[].id", "target": "contents[].content_id", "default": ["x", "y"]},
            {"default": 2, "target": "contents[].quantity"},
            {"source": "properties.products", "target": "properties.copied"},
            {"source": "properties", "target": "properties.everything"},
            {"source": "context.device", "target": "properties.device"},
            {"source": "traits", "target": "properties.traits"},
            {"source": "user.email", "target": "properties.digests"},
            {"source": "page", "target": "properties.landing"},
            {"source": "properties.status", "target": "properties.told", "value_map": {"1": {"one": [1]}, "true": [1]}},
            {"source": "properties.content_ids", "target": "properties.content_ids"},
            {"source": "properties.content_ids", "target": "properties.listed"},
            {"source": "page.referrer", "target": "page.url"},
            {"source": "event", "target": "event_id"},
            {"source": "gpc", "target": "limited_data_use"},
            *(
                {"source": f"properties.{source}", "target": f"properties.{name}_of_{source}", "transform": name}
                for name in TRANSFORMS
                for source in ("products", "content_ids", "value")
            ),
        ]
    },
    "default_action": "passthrough",
    "limited_data_use": "gpc",
    "send": {"ip": False, "email": False, "page_query": "drop"},
}
"""Mappings that hand objects on, of the event as well as of the configuration, or make lists and lines of them."""
OVERRIDES: dict[str, Any] = {
    "events": {
        "Order Completed": {
            "vendor_event_name": "Subscribe",
            "mappings": [{"source": "properties.products[].name", "target": "contents[].content_name", "transform": "uppercase"}],
        },
        "page": {"enabled": False},
    },
    "defaults": {"action": "passthrough", "mappings": [{"source": "properties.items", "target": "properties.items"}]},
    "limited_data_use": True,
}
PROGRAMS = [
    program(preset=preset, **settings) for preset in PRESETS for settings in ({}, {"default_action": "passthrough"}, FULL, HOLDERS, OVERRIDES)
]  # fmt: skip


def told(found: Mapped | Unmapped) -> str:
    """All that mapping says: types, order and the difference of 1, 1.0 and true included."""
    return repr((found.item, found.findings) if isinstance(found, Mapped) else tuple(found))


def shared(event: dict[str, Any], programs: list[Program] = PROGRAMS) -> None:
    """Map ``event`` by all ``programs`` as integrations do that have it in common, twice, and each a copy of its own; nothing may differ."""
    before = repr(event)
    stored = orjson.dumps(event)
    found = [compiled.apply(event) for compiled in programs]
    first = [told(each) for each in found]
    assert [told(compiled.apply(event)) for compiled in programs] == first
    assert repr(event) == before
    assert [told(each) for each in found] == first
    assert [told(compiled.apply(orjson.loads(stored))) for compiled in programs] == first


def _written(value: Any) -> Any:
    """``value`` as JSON has it, where what is no number is null."""
    return orjson.loads(orjson.dumps(value))


@given(
    NAMES,
    PROPERTIES.map(_written),
    st.sampled_from(["signal", "pixel", "image", "native"]),
    st.sampled_from(["track", "page", "identify"]),
    st.fixed_dictionaries({}, optional={
        "traits": PROPERTIES.map(_written),
        "context": st.fixed_dictionaries({}, optional={"device": PROPERTIES.map(_written), "library": st.just({"api": "ttq"})}),
        "gpc": st.just(True),
        "limited_data_use": st.booleans(),
        "findings": st.just(["user.phone: not a valid number, omitted"]),
        "user": st.just({"email": ["a" * 64, "b" * 64], "ip": "8.8.8.8"}) | st.just({}),
        "page": st.just({}),
    }),
)  # fmt: skip
def test_any_event_is_left_as_it_is(name: str, properties: dict[str, Any], wire: str, kind: str, more: dict[str, Any]):
    shared(sealed(name, properties, wire=wire, type=kind, **more))


SEALER = Sealer("US", b"k" * 32)
VISITOR = Visitor("8.8.8.8", "Mozilla/5.0", "2NbVBtlA8nqwZQ8aJvWq3yJ0uRz", {}, "anon", "https://example.com/", "example.com")
FOLDER = Path(__file__).parents[2] / "vectors"
VECTORS = [record for name in ("posthog", "walkeros", "zaraz") for record in json.loads((FOLDER / f"{name}.json").read_text())]
LINES = [{"sku": "a", "price": "9.95", "quantity": 2}, {"id": 7, "name": "Seven", "price": 1}, "loose"]


def _of_vector(given: dict[str, Any]) -> dict[str, Any]:
    """PostHog's, Zaraz' or walkerOS' event as one of ours, as far as mapping is concerned."""
    event, payload = given.get("event", given), given.get("payload", {})
    name = event if isinstance(event, str) else event.get("event") or event.get("name") or payload.get("name")
    told = {} if isinstance(event, str) else event.get("properties") or event.get("data") or payload.get("ecommerce")
    nested = {} if isinstance(event, str) else {"nested": event.get("nested", [])}
    return {"event": name or "Order Completed", "properties": {**(told or {}), **nested}}


EVENTS = {
    **{record["id"]: _of_vector(record["input"]) for record in VECTORS if record["kind"] == "transform"},
    **{
        f"{preset}-{source}": {"event": source, "properties": {"products": LINES, "currency": "eur", "value": "1,234.5", "content_ids": ["a", 1, None]}}
        for preset, table in PRESETS.items()
        for source in table.events
    },
    "more lines than are taken": {"event": "Order Completed", "properties": {"products": LINES * 300}},
}  # fmt: skip


@pytest.mark.parametrize("name", EVENTS)
def test_what_was_parsed_and_sealed_is_left_as_it_is(name: str):
    """Through the parsers and the sealer: what they make is mapped as what the spool gives back of it."""
    event = {"messageId": "m", "traits": {"email": "a@example.com", "plan": "gold"}, **EVENTS[name]}
    event["context"] = {"device": {"type": "phone"}, "campaign": {"name": "may"}, **event.get("context", {})}
    item = event | {"event_id": "m"}
    for (parsed,) in (
        signal.parse(_written(event), None).events,
        pixel.parse(_written(item), act=False).events,
        native.parse({"event_source_id": "C1", "data": [_written(item)]}, b"").events,
    ):
        made = SEALER.seal(
            parsed, VISITOR, pipeline="shop", granted=["marketing"], consent_source="event", gpc=True, received=1.8e9, event_id="made",
        )  # fmt: skip
        shared(made)  # type: ignore[arg-type]


@pytest.mark.parametrize("transform", TRANSFORMS)
@given(PROPERTIES.map(_written))
def test_no_step_changes_what_it_reads(transform: str, properties: dict[str, Any]):
    """Each by itself, with an item that others have filled."""
    mappings = [
        FieldMapping.model_validate({"source": "properties.products", "target": target, "transform": transform, "value_map": {"a": {"b": [1]}}})
        for target in ("properties.x", "properties.contents", "contents[].content_id", "page.url", "event_id", "limited_data_use")
    ]  # fmt: skip
    event = sealed("Order Completed", properties)
    lines: list[dict[str, Any]] = [{"content_id": "a"}, {"price": 1}]
    before = repr((event, lines))
    item: dict[str, Any] = {"event_id": "e", "page": {}, "properties": {}}
    for step in item_steps(mappings, frozenset()):
        step(event, item, [])
    for change in contents_steps(mappings, frozenset()):
        change(event, lines, [])
    assert repr((event, lines)) == before
