"""Strategies for what events may hold, and a mapping that does something to all of it."""

from typing import Any

from hypothesis import strategies as st

from gateway.mapping import tiktok
from gateway.mapping.presets import PRESETS

KNOWN = [
    *tiktok.STRINGS, *tiktok.NUMBERS, *tiktok.INTEGERS, *tiktok.STRING_LISTS, *tiktok.ENUMS, "value", "revenue", "total", "currency", "num_items", "contents", "products",
    "items", "search_string", "query", "mileage", "preferred_price_range", "product_id", "sku", "id", "price", "quantity", "content_id", "transaction_id", "vehicle_id",
]  # fmt: skip
LINE_KEYS = ["content_id", "product_id", "sku", "id", "name", "category", "brand", "price", "quantity", "content_type"]
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats() | st.text(max_size=12)
    | st.sampled_from(["9.95", "1,234", "1.234,56", "-1", "EUR", "hotel", "2025-01-31", "x" * 9000])
)  # fmt: skip
LINES = st.lists(st.dictionaries(st.sampled_from(LINE_KEYS), SCALARS, max_size=6) | SCALARS, max_size=5)
VALUES = SCALARS | LINES | st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3), max_leaves=6
)  # fmt: skip
PROPERTIES = st.dictionaries(st.sampled_from(KNOWN) | st.text(max_size=8), VALUES, max_size=10)
NAMES = st.sampled_from(
    [name for preset in PRESETS.values() for name in preset.events] + ["Purchase", "CompletePayment", "Wheel Spun", "***"]
) | st.text(min_size=1, max_size=100)

FULL: dict[str, Any] = {
    "default_action": "passthrough",
    "global": {
        "mappings": [
            {"source": "properties.products[].sku", "target": "contents[].content_id", "transform": "uppercase"},
            {"source": "properties.items", "target": "properties.contents"},
            {"source": "properties.total", "target": "properties.value", "transform": "cents"},
            {"source": "properties.id", "target": "event_id", "format": "id-{value}"},
            {"source": "properties.query", "target": "properties.extra", "transform": "parse_json"},
            {"source": "properties.status", "target": "properties.day", "format": "%Y-%m-%d"},
            {"source": "properties", "target": "properties.all", "transform": "json"},
            {"source": "properties.city", "target": "limited_data_use"},
            {"source": "properties.make", "target": "page.url", "value_map": {"1": 1}},
            {"source": "properties.contents[].price", "target": "properties.num_items", "transform": "sum"},
        ]
    },
}
