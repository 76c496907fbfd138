"""An integration's own mappings: global, per event, for what passes through; every kind of target; what is refused when it is written."""

from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from sealed_events import USER, item, mapped, program, properties, sealed

from gateway.event.model import Event, Wire
from gateway.identity.seal import Sealer, sha256
from gateway.mapping.settings import FieldMapping


def one(**mapping: Any) -> dict[str, Any]:
    """Settings with one mapping for Order Completed."""
    return {"events": {"Order Completed": {"mappings": [mapping]}}}


def test_the_manuals_shape():
    settings = {
        "global": {"mappings": [{"source": "context.campaign.name", "target": "properties.campaign"}]},
        "defaults": {"action": "passthrough", "mappings": [{"source": "properties.spins", "target": "properties.num_items"}]},
        "events": {
            "Order Completed": {
                "vendor_event_name": "Subscribe", "enabled": True,
                "mappings": [{"source": "properties.tier", "target": "properties.plan", "transform": "lowercase", "value_map": {"gold": "VIP"}, "format": "tier-{value}", "default": "none"}],
            },
        },
    }  # fmt: skip
    context = {"campaign": {"name": "may"}}
    assert item(sealed("order_completed", {"tier": "GOLD"}, context=context), **settings)["properties"] == {
        "campaign": "may",
        "plan": "tier-VIP",
    }
    assert item(sealed("order_completed", {}, context=context), **settings)["properties"]["plan"] == "none"
    assert item(sealed("Wheel Spun", {"spins": "3"}, context=context), **settings)["properties"] == {
        "campaign": "may",
        "num_items": 3,
    }
    assert item(sealed("Product Viewed", {"spins": "3"}, context=context), **settings)["properties"] == {"campaign": "may"}


def test_the_events_mapping_comes_after_the_global_one_and_both_after_the_preset():
    settings = {
        "global": {
            "mappings": [{"default": "EUR", "target": "properties.currency"}, {"default": 1, "target": "properties.value"}]
        },
        "events": {"Order Completed": {"mappings": [{"default": 2, "target": "properties.value"}]}},
    }
    assert properties({"value": 9, "currency": "GBP"}, **settings) == {"value": 2, "currency": "EUR"}
    assert properties({"value": 9}, "Product Viewed", **settings) == {"value": 1, "currency": "EUR"}


def test_a_source_with_nothing_leaves_the_target_alone():
    for nothing in ({}, {"other": None}, {"other": ""}, {"other": []}):
        assert properties({"value": 9, **nothing}, **one(source="properties.other", target="properties.value"))["value"] == 9
        assert (
            properties({"value": 9, **nothing}, **one(source="properties.other", target="properties.value", default=3))["value"]
            == 3
        )
    assert (
        properties({"other": "x"}, **one(source="properties.other", target="properties.value", transform="number", default=3))[
            "value"
        ]
        == 3
    )


@pytest.mark.parametrize(
    ("target", "raw", "expected"),
    [
        ("value", "9,95", 9.95), ("value", -1, None), ("currency", "gbp", "GBP"), ("currency", "zzz", None), ("search_string", 5, "5"), ("order_id", 12.0, "12"),
        ("num_items", "2", 2), ("content_type", "Hotel", "hotel"), ("content_ids", [1, None, "b"], ["1", "b"]), ("year", "2021", 2021),
        ("anything", "as is", "as is"), ("anything", 5, 5), ("anything", True, True), ("anything", [1, None, "b"], [1, "b"]), ("anything", {"a": 1}, {"a": 1}),
        ("anything", float("nan"), None), ("contents", [{"sku": 1}], [{"content_id": "1"}]), ("contents", "x", None),
    ],
)  # fmt: skip
def test_properties_are_brought_to_their_type(target: str, raw: Any, expected: Any):
    found = mapped(sealed("Order Completed", {"other": raw}), **one(source="properties.other", target=f"properties.{target}"))
    assert found.item.get("properties", {}).get(target) == expected
    assert bool(found.findings) is (expected is None)


LINES = {"basket": [{"ref": 1, "cost": "9,95", "n": 2}, {"ref": "b", "n": "x"}, {"cost": 1}]}


def test_contents_line_by_line():
    mappings = [
        {"source": "properties.basket[].ref", "target": "contents[].content_id"},
        {"source": "properties.basket[].cost", "target": "properties.contents[].price"},
        {"source": "properties.basket[].n", "target": "contents[*].quantity"},
        {"default": "Acme", "target": "contents[].brand"},
    ]
    found = mapped(sealed("Order Completed", LINES), events={"Order Completed": {"mappings": mappings}}, preset="travel")
    assert found.item["properties"] == {
        "contents": [
            {"content_id": "1", "price": 9.95, "quantity": 2, "brand": "Acme"}, {"content_id": "b", "brand": "Acme"}, {"price": 1, "brand": "Acme"},
        ],
        "content_ids": ["1", "b"], "content_type": "hotel", "num_items": 4, "value": 20.9,
    }  # fmt: skip
    assert found.findings == ("properties.contents.1.quantity: not usable, omitted",)


def test_contents_that_are_there_are_changed_by_place():
    given = {"products": [{"sku": "a", "upc": "1", "price": 2}, {"sku": "b", "price": 3}], "value": 5}
    found = properties(given, **one(source="properties.products[].upc", target="contents[].content_id"))
    assert [line["content_id"] for line in found["contents"]] == ["1", "b"]
    assert found["value"] == 5


def test_lines_that_nothing_was_found_for_are_left_out():
    given = {"basket": [{"ref": "a"}, {}, {"ref": "c"}]}
    found = properties(given, **one(source="properties.basket[].ref", target="contents[].content_id"))
    assert found == {"contents": [{"content_id": "a"}, {"content_id": "c"}], "content_type": "product", "num_items": 2}


def test_a_constant_makes_no_lines():
    assert properties({"value": 5}, **one(default="Acme", target="contents[].brand")) == {"value": 5}


def test_contents_as_a_whole_from_elsewhere():
    given = {"ecommerce": {"items": [{"item_id": 1, "price": 2, "quantity": 2}]}}
    found = properties(given, **one(source="properties.ecommerce.items", target="properties.contents"))
    assert found == {
        "contents": [{"content_id": "1", "price": 2, "quantity": 2}],
        "content_type": "product",
        "num_items": 2,
        "value": 4,
    }


def test_event_id_page_and_limited_data_use():
    given = {"order_id": 12.0, "link": "https://shop.example.com/p?q=1", "us": "yes", "empty": ""}
    event = sealed("Order Completed", given)
    assert item(event, **one(source="properties.order_id", target="event_id", format="order-{value}"))["event_id"] == "order-12"
    assert item(event, **one(source="properties.empty", target="event_id"))["event_id"] == "e-1"
    kept = mapped(event, **one(source="properties", target="event_id"))
    assert kept.item["event_id"] == "e-1"
    assert kept.findings
    assert item(event, **one(source="properties.link", target="page.url"))["page"]["url"] == given["link"]
    assert (
        item(event, send={"page_query": "drop"}, **one(source="properties.link", target="page.url"))["page"]["url"]
        == "https://shop.example.com/p"
    )
    assert item(event, **one(source="properties.us", target="limited_data_use"))["limited_data_use"] is True
    for no in ("order_id", "empty"):
        assert "limited_data_use" not in item(event, **one(source=f"properties.{no}", target="limited_data_use"))
    assert "limited_data_use" not in item(
        sealed("Order Completed", {"us": "false"}), **one(source="properties.us", target="limited_data_use")
    )


def test_what_is_not_sent_cannot_be_mapped_back_in():
    mapping = one(source="user.ip", target="properties.address")
    assert item(sealed(), **mapping)["properties"]["address"] == USER["ip"]
    assert "properties" not in item(sealed(), send={"ip": False}, **mapping)


# -- user.* goes to the sealer


def overlay(raw: Event, **mapping: Any) -> dict[str, Any]:
    compiled = program(**one(**mapping))
    assert compiled.has_user_rules
    return Sealer("GB", b"k" * 32).overlay(raw, compiled.user_rules("signal", "track", "order_completed"))


RAW = Event(
    Wire.SIGNAL, "track", "Order Completed", user_id="U-1", traits={"work": " Ada@Example.com "},
    properties={"guests": [{"mail": "bob@example.com"}], "tel": ["07700 900123"], "tier": "GOLD", "mails": "a@example.com, b@example.com"},
)  # fmt: skip


@pytest.mark.parametrize(
    ("mapping", "expected"),
    [
        ({"source": "traits.work", "target": "user.email"}, {"email": sha256("ada@example.com")}),
        ({"source": "context.traits.work", "target": "user.email"}, {"email": sha256("ada@example.com")}),
        ({"source": "properties.guests[0].mail", "target": "user.email"}, {"email": sha256("bob@example.com")}),
        ({"source": "properties.tel[]", "target": "user.phone"}, {"phone": sha256("+447700900123")}),
        ({"source": "userId", "target": "user.external_id", "format": "crm-{value}"}, {"external_id": sha256("crm-U-1")}),
        ({"source": "userId", "target": "user.external_id", "transform": "lowercase"}, {"external_id": sha256("u-1")}),
        ({"source": "properties.tier", "target": "user.external_id", "value_map": {"GOLD": "g-1"}}, {"external_id": sha256("g-1")}),
        ({"source": "properties.mails", "target": "user.email", "transform": "split"}, {"email": [sha256("a@example.com"), sha256("b@example.com")]}),
        ({"source": "properties.none", "target": "user.country", "default": "GB"}, {"country": "gb"}),
        ({"source": "properties.none", "target": "user.email"}, {}),
        ({"default": "X.Y-1", "target": "user.ttclid"}, {"ttclid": "X.Y-1"}),
    ],
)  # fmt: skip
def test_user_targets_are_sealed(mapping: dict[str, Any], expected: dict[str, Any]):
    assert overlay(RAW, **mapping) == expected
    assert item(sealed(), **one(**mapping))["user"] == USER


def test_who_has_which_user_rules():
    def targets(compiled: Any, name: str) -> list[str]:
        return [rule.target for rule in compiled.user_rules("signal", "track", name)]

    compiled = program(
        **{
            "global": {"mappings": [{"source": "userId", "target": "user.external_id"}]},
            "defaults": {"mappings": [{"source": "traits.b", "target": "user.phone"}]},
            "events": {"Order Completed": {"enabled": False, "mappings": [{"source": "traits.a", "target": "user.email"}]}},
        }
    )
    assert targets(compiled, "orderCompleted") == ["external_id", "email"]
    assert targets(compiled, "purchase") == ["external_id", "email"]
    assert targets(compiled, "Product Viewed") == ["external_id"]
    assert targets(compiled, "Wheel Spun") == ["external_id", "phone"]
    assert not program().has_user_rules
    assert program().user_rules("signal", "track", "x") == ()


# -- refused when written


@pytest.mark.parametrize(
    ("mapping", "words"),
    [
        ({"source": "properties.a", "target": "properties"}, "expected properties.<name>"),
        ({"source": "properties.a", "target": "event_time"}, "expected properties.<name>"),
        ({"source": "properties.a", "target": "properties.a.b"}, "expected properties.<name>"),
        ({"source": "properties.a", "target": "user.phone_number"}, "user.phone"),
        ({"source": "properties.a", "target": "user.shoe_size"}, "TikTok ignores this field"),
        ({"source": "properties.a", "target": "page.title"}, "page.url or page.referrer"),
        ({"source": "total", "target": "properties.value"}, "properties.total"),
        ({"source": "properties.a[].b", "target": "user.email"}, "one value"),
        ({"source": "userId", "target": "properties.who"}, "begins with properties"),
        ({"source": "properties.a", "target": "user.email", "transform": "sha256"}, "hashed by themselves"),
        ({"source": "properties.a", "target": "properties.a", "transform": "rot13"}, "expected one of boolean"),
        ({"source": "properties.a", "target": "properties.a", "format": "always"}, "{value}"),
        ({"target": "properties.a"}, "default to send as a constant"),
        ({"source": "properties.a", "target": "properties.a", "default": float("nan")}, "finite"),
        ({"source": "properties.a", "target": "properties.a", "default": {1, 2}}, "JSON"),
        ({"source": "properties.a", "target": "properties.a", "value_map": {"a": object()}}, "JSON"),
        ({"source": "properties.a", "target": "properties.a", "sauce": 1}, "Extra inputs"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused(mapping: dict[str, Any], words: str):
    with pytest.raises(ValidationError) as caught:
        FieldMapping.model_validate(mapping)
    assert words in str(caught.value)


def test_yaml_habits_are_understood():
    text = (
        "{source: properties.a, target: properties.b, value_map: {2: two, true: yes it is, 3: 2025-01-31}, default: 2025-01-31}"
    )
    entry = FieldMapping.model_validate(yaml.safe_load(text))
    assert entry.value_map == {"2": "two", "true": "yes it is", "3": "2025-01-31"}
    assert entry.default == "2025-01-31"


@pytest.mark.parametrize(("name", "kept"), [(" Purchase ", "Purchase"), ("", None), ("  ", None), (None, None)])
def test_vendor_names_are_trimmed(name: str | None, kept: str | None):
    entry = program(events={"Order Completed": {"vendor_event_name": name}})
    assert entry.target("signal", "track", "Order Completed") == "Purchase"
    assert entry._overrides["ordercompleted"].vendor_event_name == kept
