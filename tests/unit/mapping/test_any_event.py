"""Whatever a sealed event holds: mapping is total, its item can be written, obeys TikTok's rules and passes the sandbox, which shares no code with it."""

import math
from typing import Any

import orjson
from any_events import FULL, NAMES, PROPERTIES, VALUES
from hypothesis import given
from hypothesis import strategies as st
from sealed_events import program, sealed

from gateway.mapping import contents, properties, rules
from gateway.mapping.coerce import LARGEST, number
from gateway.mapping.compile import Mapped, Unmapped
from gateway.mapping.presets import PRESETS
from gateway.sandbox import validate

PROGRAMS = [program(preset=preset, default_action="passthrough") for preset in PRESETS] + [program(**FULL), program()]


@given(st.sampled_from(PROGRAMS), NAMES, PROPERTIES, st.sampled_from(["signal", "pixel", "image", "native"]))
def test_any_properties(compiled: Any, name: str, given_properties: dict[str, Any], wire: str):
    event = sealed(name, given_properties, wire=wire)
    found = compiled.apply(event)
    if isinstance(found, Unmapped):
        assert not name.strip() or compiled is PROGRAMS[-1]
        return
    assert isinstance(found, Mapped)
    again = orjson.loads(orjson.dumps(found.item))
    if wire not in {"native", "pixel"}:
        # What the site wrote for TikTok is passed on; NaN in it is no JSON and does not get this far.
        assert compiled is PROGRAMS[-2] or _no_nan(found.item)
    assert [finding for finding in rules.check(again) if finding.fatal or "refuses" in finding.message] == []
    validate.request({"event_source": "web", "event_source_id": "C1", "data": [again]})
    assert all(type(finding) is str for finding in found.findings)


def _no_nan(value: Any) -> bool:
    if isinstance(value, dict):
        return all(map(_no_nan, value.values()))
    if isinstance(value, list):
        return all(map(_no_nan, value))
    return not isinstance(value, float) or math.isfinite(value)


LINE_NAMES = sorted({
    "contents", "products", "items", "order_id", *(key for keys in contents.KEYS.values() for key in keys), *(key for preset in PRESETS.values() for key in preset.id_keys),
})  # fmt: skip


@given(st.sampled_from(sorted(PRESETS)), st.dictionaries(st.sampled_from(LINE_NAMES), VALUES, max_size=4))
def test_no_line_is_overlooked(preset: str, source: dict[str, Any]):
    """Lines are made only where a property asks for them: each name that they can be made of has to."""
    table = PRESETS[preset]
    lines, total, count, _ = contents.lines(source, table.id_keys, [])
    built = properties.build(source, properties.Shape(table.content_type, table.derives_content_ids, table.id_keys), [])
    assert repr(built.get("contents", [])) == repr(lines)
    assert built.get("value") == (total if total is not None and total <= LARGEST else None)
    assert built.get("num_items") == count


AMOUNTS = st.decimals(min_value=0, max_value=10_000, places=2).map(float)


@given(st.lists(st.tuples(AMOUNTS, st.integers(0, 50) | st.none()), min_size=1, max_size=20))
def test_the_value_is_the_sum_of_the_lines(lines: list[tuple[float, int | None]]):
    products = [{"sku": "a", "price": price} | ({} if quantity is None else {"quantity": quantity}) for price, quantity in lines]
    found = PROGRAMS[0].apply(sealed("Order Completed", {"products": products}))
    assert isinstance(found, Mapped)
    assert math.isclose(
        found.item["properties"]["value"],
        sum(price * (1 if quantity is None else quantity) for price, quantity in lines),
        abs_tol=1e-5,
    )
    assert found.item["properties"]["num_items"] == sum(1 if quantity is None else quantity for _, quantity in lines)


@given(st.sampled_from(["value", "revenue", "total"]), VALUES)
def test_a_value_is_what_can_be_read_or_nothing(key: str, raw: Any):
    found = PROGRAMS[0].apply(sealed("Order Completed", {key: raw}))
    assert isinstance(found, Mapped)
    amount = number(raw)
    assert found.item.get("properties", {}).get("value") == (amount if amount is not None and amount >= 0 else None)


@given(NAMES)
def test_a_name_always_has_the_same_fate(name: str):
    for compiled in PROGRAMS:
        first, second = compiled.target("signal", "track", name), compiled.target("signal", "track", name)
        assert first == second
        assert len(first) <= 100
