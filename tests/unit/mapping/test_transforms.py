"""Transforms, value maps, formats and paths."""

import math
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mapping import path
from gateway.mapping.settings import FieldMapping
from gateway.mapping.transforms import TRANSFORMS, compose, format_problem

TABLE: dict[str, list[tuple[Any, Any]]] = {
    "string": [(12, "12"), (12.0, "12"), ("a", "a"), (True, None), ([1, "b"], ["1", "b"])],
    "number": [("99,95", 99.95), ("1,234", None), (["1", "x", 3], [1.0, None, 3])],
    "integer": [("3", 3), ("3.5", None), (3.0, 3)],
    "boolean": [("yes", True), ("0", False), ("perhaps", None)],
    "lowercase": [("ABC", "abc"), (5, "5"), (["A", "B"], ["a", "b"])],
    "uppercase": [("abc", "ABC"), (["a", None], ["A", None])],
    "trim": [("  a b ", "a b"), ("   ", None)],
    "cents": [(9995, 99.95), ("9995", 99.95), ("x", None)],
    "round": [(1.239, 1.24), ("1.005", 1.0), (3, 3)],
    "iso_date": [("2025-01-31T23:30:00+10:00", "2025-01-31"), (1738315800, "2025-01-31"), ("soon", None)],
    "iso_datetime": [
        (1738315800, "2025-01-31T09:30:00Z"),
        ("2025-01-31T09:30:00+01:00", "2025-01-31T09:30:00+01:00"),
        (None, None),
    ],
    "unix_seconds": [("2025-01-31T09:30:00Z", 1738315800), (1738315800999, 1738315800), ("x", None)],
    "split": [("a, b,,c", ["a", "b", "c"]), ("", None), (5, ["5"])],
    "join": [(["a", 1, None, 2.5], "a,1,2.5"), ("a", "a"), ([], None)],
    "first": [([1, 2], 1), ([], None), ("a", "a")],
    "last": [([1, 2], 2), ([], None), ("a", "a")],
    "count": [([1, None], 2), ([], 0), ("a", None)],
    "sum": [([1, "2.5", "x", None], 3.5), ([0.1, 0.2], 0.3), ("4", 4), ([], None), (["x"], None)],
    "json": [({"a": 1}, '{"a":1}'), ([1], "[1]"), (object(), None)],
    "parse_json": [('{"a":1}', {"a": 1}), ("{", None), ({"a": 1}, {"a": 1})],
}


@pytest.mark.parametrize(("name", "given_", "expected"), [(name, *case) for name, cases in TABLE.items() for case in cases])
def test_every_transform(name: str, given_: Any, expected: Any):
    change = compose(name, {}, None)
    assert change is not None
    assert change(given_) == expected


def test_the_table_is_covered_and_documented():
    assert set(TABLE) == set(TRANSFORMS)
    documented = set(re.findall(r"``([a-z_]+)``", FieldMapping.model_fields["transform"].description or ""))
    assert documented == set(TRANSFORMS)
    assert all(transform.help for transform in TRANSFORMS.values())


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=30),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    )
)
def test_no_transform_raises(value: Any):
    for name in TRANSFORMS:
        for template in (None, "<{value}>", "%Y-%m"):
            change = compose(name, {"1": "one", "true": 2}, template)
            assert change is not None
            change(value)


def test_order_is_transform_value_map_format():
    change = compose("lowercase", {"gold": "VIP"}, "tier-{value}")
    assert change is not None
    assert [change(value) for value in ("GOLD", "Silver", ["GOLD", None], {})] == [
        "tier-VIP",
        "tier-silver",
        ["tier-VIP", None],
        None,
    ]


def test_value_maps_know_numbers_and_booleans():
    change = compose(None, {"1": "one", "true": "yes", "2.5": "x"}, None)
    assert change is not None
    assert [change(value) for value in (1, "1", 1.0, True, 2.5, False, None)] == ["one", "one", "one", "yes", "x", False, None]


def test_formats():
    assert [compose(None, {}, "{value} EUR")(value) for value in (12.0, "x", True, {}, "")] == [
        "12 EUR",
        "x EUR",
        "true EUR",
        None,
        None,
    ]  # type: ignore[misc]
    assert compose(None, {}, "%d.%m.%Y")("2025-01-31") == "31.01.2025"  # type: ignore[misc]
    assert compose(None, {}, "%d.%m.%Y")("soon") is None  # type: ignore[misc]
    assert compose(None, {}, None) is None


@pytest.mark.parametrize(
    ("template", "fine"),
    [
        ("{value}", True), ("order-{value}-{value}", True), ("%Y-%m-%dT%H:%M:%S", True), ("100%% {value}", True), ("{value} at 5%", True),
        ("constant", False), ("{other}", False), ("{value} {x}", False), ("%Q", False), ("%", False), ("{}", False), ("{value!r}", False),
    ],
)  # fmt: skip
def test_formats_are_judged_when_written(template: str, fine: bool):
    assert (format_problem(template) == "") is fine


EVENT = {
    "name": "Order Completed", "event_id": "e-1", "time": 5, "type": "track",
    "properties": {"total": 9, "products": [{"sku": "a", "tags": ["x", "y"]}, {"sku": "b"}, {}, "c"], "deep": {"er": {"est": 1}}, "0": "zero"},
    "page": {"url": "https://e.example/"}, "traits": {"plan": "gold"}, "context": {"campaign": {"name": "may"}}, "user": {"locale": "en-GB"},
}  # fmt: skip


@pytest.mark.parametrize(
    ("source", "value"),
    [
        ("properties.total", 9), ("$.properties.total", 9), ("properties.products.0.sku", "a"), ("properties.products[1].sku", "b"),
        ("properties.products[].sku", ["a", "b", None, None]), ("properties.products[*].sku", ["a", "b", None, None]), ("properties.products[].tags.1", ["y", None, None, None]),
        ("properties.products[].tags[]", [["x", "y"], None, None, None]), ("properties.products.9.sku", None), ("properties.products.sku", None),
        ("properties.deep.er.est", 1), ("properties.deep.er.est.more", None), ("properties.deep[].er", None), ("properties.0", "zero"), ("properties.none", None),
        ("page.url", "https://e.example/"), ("context.page.url", "https://e.example/"), ("traits.plan", "gold"), ("context.traits.plan", "gold"),
        ("context.campaign.name", "may"), ("context.locale", "en-GB"), ("event", "Order Completed"), ("messageId", "e-1"), ("timestamp", 5), ("type", "track"),
    ],
)  # fmt: skip
def test_paths(source: str, value: Any):
    normal = path.normalise(source)
    assert path.problem(normal, identity=False) == ""
    assert path.reader(normal)(EVENT) == value


@pytest.mark.parametrize(
    "source",
    [
        "total",
        "properties..x",
        ".x",
        "properties.",
        "properties.a[0",
        "properties.[]",
        "userId",
        "x" * 300,
        "context_x.y",
        "a b.c",
    ],
)
def test_bad_paths(source: str):
    assert path.problem(path.normalise(source), identity=False)


def test_a_path_without_a_root_is_told_the_likely_one():
    assert "properties.order_total?" in path.problem("order_total", identity=False)


@given(st.text(alphabet="ab.[]*0$ ", max_size=20))
def test_any_path_that_is_let_through_can_be_read(source: str):
    normal = path.normalise("properties." + source)
    if not path.problem(normal, identity=False):
        path.reader(normal)(EVENT)
        path.reader(normal)({"properties": {"a": [{"b": [1]}], "b": {"a": {}}}})
        path.reader(normal)({})


def test_nan_never_comes_of_a_transform():
    for name in ("number", "integer", "cents", "round", "sum"):
        assert compose(name, {}, None)(math.nan) is None  # type: ignore[misc]
