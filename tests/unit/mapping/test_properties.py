"""The field rules: what each property becomes, and that a bad one costs nothing but itself."""

import math
from typing import Any

import pytest
from sealed_events import item, mapped, properties, sealed

from gateway.mapping import tiktok


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ({"value": "99.95"}, 99.95), ({"value": 0}, 0), ({"value": 5, "revenue": 6, "total": 7}, 5), ({"revenue": "6", "total": 7}, 6), ({"total": 7}, 7),
        ({"value": None, "revenue": "", "total": 7}, 7), ({"value": "free", "total": 7}, 7), ({"value": -5, "total": 7}, 7), ({"value": math.nan, "total": 7}, 7),
        ({"products": [{"price": 2, "quantity": 3}, {"price": "0.5"}]}, 6.5), ({"products": [{"price": 0.1, "quantity": 3}]}, 0.3),
        ({"products": [{"price": 10, "quantity": 0.5}]}, 5), ({"products": [{"sku": "a"}]}, None), ({"price": 4, "quantity": "2"}, 8), ({"sku": "a", "price": 4}, 4),
        ({"value": "1,234"}, None), ({"value": math.inf}, None), ({"value": [5]}, None), ({}, None), ({"value": True}, None),
        ({"products": [{"price": 1e12, "quantity": 1000}]}, None),
    ],
)  # fmt: skip
def test_value(given: dict[str, Any], value: float | None):
    assert properties(given).get("value") == value


@pytest.mark.parametrize("bad", ["free", -5, math.nan, "1,234"])
def test_an_unusable_value_is_told(bad: Any):
    assert mapped(sealed("Order Completed", {"value": bad})).findings == ("properties.value: not a usable amount, omitted",)


def test_contents_from_every_list_in_order():
    lists = {"contents": [{"sku": "c"}], "products": [{"sku": "p"}], "items": [{"sku": "i"}]}
    assert properties(lists)["contents"] == [{"content_id": "c"}]
    assert properties({key: lists[key] for key in ("products", "items")})["contents"] == [{"content_id": "p"}]
    assert properties({"contents": [], "items": lists["items"]})["contents"] == [{"content_id": "i"}]


def test_a_full_line():
    line = {
        "product_id": 12.0, "sku": "no", "name": " Shoe ", "category": "Shoes", "brand": "Acme", "price": "1.234,50", "quantity": "2", "variant": "red",
        "position": 3,
    }  # fmt: skip
    assert properties({"products": [line]}) == {
        "contents": [
            {
                "content_id": "12",
                "content_name": "Shoe",
                "content_category": "Shoes",
                "brand": "Acme",
                "price": 1234.5,
                "quantity": 2,
            }
        ],
        "content_type": "product",
        "num_items": 2,
        "value": 2469.0,
    }


def test_ga4_lines():
    line = {"item_id": "i", "item_name": "Shoe", "item_category": "Shoes", "item_brand": "Acme", "price": 2, "quantity": 1}
    expected = {
        "content_id": "i",
        "content_name": "Shoe",
        "content_category": "Shoes",
        "brand": "Acme",
        "price": 2,
        "quantity": 1,
    }
    found = properties({"items": [line], "transaction_id": "T-1", "currency": "eur", "value": 2}, "purchase")
    assert found == {
        "contents": [expected],
        "content_type": "product",
        "num_items": 1,
        "value": 2,
        "currency": "EUR",
        "order_id": "T-1",
    }


@pytest.mark.parametrize("missing", range(5))
def test_content_id_chain(missing: int):
    keys = ["content_id", "product_id", "sku", "item_id", "id"]
    assert properties({"products": [{key: f"the {key}" for key in keys[missing:]}]})["contents"] == [
        {"content_id": f"the {keys[missing]}"}
    ]


@pytest.mark.parametrize(
    ("raw", "content_id"),
    [(12, "12"), (12.0, "12"), (12.5, "12.5"), (0, "0"), ("  a ", "a"), (10**20, str(10**20)), ("", "next"), (None, "next"), (True, "next"), ([1], "next"), ("   ", "next"), ("x" * 600, "next")],
)  # fmt: skip
def test_content_ids_are_texts(raw: Any, content_id: str):
    assert properties({"products": [{"content_id": raw, "sku": "next"}]})["contents"] == [{"content_id": content_id}]


def test_the_events_own_product():
    assert properties({"product_id": 7, "name": "Shoe", "price": "9.5"}, "Product Viewed") == {
        "contents": [{"content_id": "7", "content_name": "Shoe", "price": 9.5}], "content_type": "product", "num_items": 1, "value": 9.5,
    }  # fmt: skip
    assert properties({"id": "SKU", "price": 1})["contents"] == [{"content_id": "SKU", "price": 1}]
    assert "contents" not in properties({"id": "ORDER-1", "value": 5})
    assert "contents" not in properties({"id": "x", "order_id": "ORDER-1", "price": 1})
    assert properties({"name": "Ada", "value": 1}) == {"value": 1}


def test_lists_in_other_forms():
    assert properties({"products": {"sku": "a"}})["contents"] == [{"content_id": "a"}]
    assert properties({"contents": '[{"content_id": 5, "price": "2"}]'})["contents"] == [{"content_id": "5", "price": 2}]
    assert properties({"items": ["a", 2, None, " "]})["contents"] == [{"content_id": "a"}, {"content_id": "2"}]
    assert properties({"items": ["a", 2]})["num_items"] == 2
    for bad in ("nothing", "[1,", 5, True):
        found = mapped(sealed("Order Completed", {"products": bad}))
        assert "properties" not in found.item
        assert found.findings == ("properties.contents: not a list of products, omitted",)


def test_a_bad_line_spoils_nothing():
    found = mapped(
        sealed(
            "Order Completed",
            {"products": [{"sku": "a", "price": "x", "quantity": 1.5}, None, {}, [], {"sku": "b", "price": -1, "quantity": -1}]},
        )
    )
    assert found.item["properties"]["contents"] == [{"content_id": "a"}, {"content_id": "b"}]
    assert found.item["properties"]["num_items"] == 2
    assert found.findings == (
        "properties.contents.0.price: not a usable amount, omitted",
        "properties.contents.0.quantity: not a whole number, omitted",
        "properties.contents.4.price: not a usable amount, omitted",
        "properties.contents.4.quantity: not a whole number, omitted",
    )


def test_too_many_lines_are_cut_and_then_nothing_is_derived_from_them():
    found = mapped(sealed("Order Completed", {"products": [{"sku": str(n), "price": 1} for n in range(501)]}))
    assert len(found.item["properties"]["contents"]) == 500
    assert not {"value", "num_items"} & set(found.item["properties"])
    assert len(found.findings) == 1
    assert properties({"products": [{"sku": "a", "price": 1}] * 501, "value": 501})["value"] == 501


@pytest.mark.parametrize(
    ("given", "count"),
    [
        ({"num_items": 4, "products": [{"sku": "a"}]}, 4), ({"num_items": "4"}, 4), ({"products": [{"sku": "a", "quantity": 2}, {"sku": "b"}]}, 3),
        ({"num_items": "x", "products": [{"sku": "a"}]}, 1), ({"num_items": -1, "sku": "a"}, 1), ({"sku": "a", "quantity": 0}, 0), ({}, None), ({"value": 1}, None),
    ],
)  # fmt: skip
def test_num_items(given: dict[str, Any], count: int | None):
    assert properties(given).get("num_items") == count


@pytest.mark.parametrize(
    ("preset", "content_type"), [("retail", "product"), ("travel", "hotel"), ("automotive", "vehicle"), ("b2b_saas", "product")]
)
def test_content_type_by_preset(preset: str, content_type: str):
    assert properties({"sku": "a"}, "Purchase", preset=preset)["content_type"] == content_type


@pytest.mark.parametrize(
    ("name", "given", "content_type"),
    [
        ("Listing Viewed", {"listing_id": "a"}, "hotel"), ("Listing Viewed", {"listing_id": "a", "origin_airport": "LHR"}, "flight"),
        ("Destination Searched", {"destination_id": "a"}, "destination"), ("Listing Viewed", {"listing_id": "a", "content_type": "Destination"}, "destination"),
        ("Listing Viewed", {"contents": [{"content_id": "a", "content_type": "flight"}]}, "flight"),
        ("Listing Viewed", {"listing_id": "a", "content_type": "boat"}, "hotel"), ("Listing Viewed", {"content_ids": ["a"]}, "hotel"),
        ("Listing Viewed", {"city": "Rome"}, None),
    ],
)  # fmt: skip
def test_content_type_of_travel(name: str, given: dict[str, Any], content_type: str | None):
    assert properties(given, name, preset="travel").get("content_type") == content_type


def test_only_travel_knows_flights():
    for preset, content_type in (("retail", "product"), ("automotive", "vehicle")):
        assert properties({"sku": "a", "origin_airport": "LHR"}, "Purchase", preset=preset)["content_type"] == content_type


@pytest.mark.parametrize("preset", ["travel", "automotive"])
def test_catalogue_presets_give_content_ids(preset: str):
    assert properties({"products": [{"id": 1}, {"id": "b"}]}, "Purchase", preset=preset)["content_ids"] == ["1", "b"]
    assert properties({"products": [{"id": 1}], "content_ids": [7]}, "Purchase", preset=preset)["content_ids"] == ["7"]
    assert "content_ids" not in properties({"products": [{"id": 1}]})


def test_an_industrys_own_ids_come_last():
    assert properties({"vehicle_id": "V", "sku": "S"}, "vehicle_viewed", preset="automotive")["content_ids"] == ["S"]
    assert properties({"vehicle_id": "V", "vin": "W"}, "vehicle_viewed", preset="automotive")["content_ids"] == ["V"]
    assert properties({"hotel_id": 5}, "Listing Viewed", preset="travel")["content_ids"] == ["5"]
    assert "contents" not in properties({"vehicle_id": "V"}, "Product Viewed")


@pytest.mark.parametrize(
    ("given", "text"),
    [
        ({"search_string": "a", "query": "b", "search_term": "c"}, "a"), ({"query": "b", "search_term": "c"}, "b"), ({"search_term": "c"}, "c"), ({"query": 5}, "5"),
        ({"search_string": "", "query": "b"}, "b"), ({"search_string": {}, "query": "b"}, "b"), ({"query": " "}, None), ({}, None),
    ],
)  # fmt: skip
def test_search_string(given: dict[str, Any], text: str | None):
    found = properties(given, "Products Searched")
    assert found.get("search_string") == text
    assert "query" not in found


@pytest.mark.parametrize("code", sorted(tiktok.CURRENCIES))
def test_every_currency(code: str):
    assert properties({"currency": f" {code.lower()} "}) == {"currency": code}


@pytest.mark.parametrize("code", ["XYZ", "€", "EURO", 978, None, "", [], "LKR"])
def test_other_currencies_are_left_out(code: Any):
    found = mapped(sealed("Order Completed", {"currency": code, "value": 1}))
    assert found.item["properties"] == {"value": 1}
    given = code is not None and code != ""
    assert found.findings == (("properties.currency: not a currency TikTok knows, omitted",) if given else ())


@pytest.mark.parametrize("field", sorted(tiktok.STRINGS))
def test_text_fields(field: str):
    assert properties({field: " x "})[field] == "x"
    assert properties({field: 2025.0})[field] == "2025"
    found = mapped(sealed("Order Completed", {field: {"a": 1}}))
    assert "properties" not in found.item
    if field != "order_id":
        assert found.findings == (f"properties.{field}: not a text, omitted",)


@pytest.mark.parametrize("field", sorted(tiktok.NUMBERS))
def test_number_fields(field: str):
    assert properties({field: "2.5"}) == {field: 2.5}
    assert mapped(sealed("Order Completed", {field: "two"})).findings == (f"properties.{field}: not a number, omitted",)


@pytest.mark.parametrize("field", sorted(tiktok.STRING_LISTS))
def test_list_fields(field: str):
    assert properties({field: ["a", 1, None]})[field] == ["a", "1"]
    assert properties({field: "a"})[field] == ["a"]
    assert properties({field: {}}) == {}


@pytest.mark.parametrize(("field", "option"), [(field, option) for field, options in tiktok.ENUMS.items() for option in options])
def test_every_option_in_any_case(field: str, option: str):
    for spelling in (option, option.upper(), option.lower(), option.replace("_", " "), option.replace("_", "-")):
        assert properties({field: spelling})[field] == option


@pytest.mark.parametrize(
    ("field", "said", "option"),
    [(field, said, option) for field, words in tiktok.SPOKEN.items() if field != "mileage" for said, option in words.items()],
)
def test_options_as_people_say_them(field: str, said: str, option: str):
    assert properties({field: said.capitalize()})[field] == option


@pytest.mark.parametrize("field", sorted(tiktok.ENUMS))
def test_other_options_are_left_out(field: str):
    for bad in ("whatever", 5, [], {}, True, "x" * 9000):
        found = mapped(sealed("Order Completed", {field: bad}))
        assert "properties" not in found.item
        assert found.findings[0].startswith(f"properties.{field}: not one of ")


@pytest.mark.parametrize(
    ("raw", "mileage"),
    [
        ({"value": "12.000,5", "unit": "km"}, {"value": 12000.5, "unit": "KM"}), ({"value": 5, "unit": "Miles"}, {"value": 5, "unit": "MI"}),
        ({"value": 5}, None), ({"value": 5, "unit": "li"}, None), ({"unit": "KM"}, None), (12000, None), ({"value": -1, "unit": "KM"}, None),
    ],
)  # fmt: skip
def test_mileage(raw: Any, mileage: dict[str, Any] | None):
    assert properties({"mileage": raw}, "vehicle_viewed", preset="automotive").get("mileage") == mileage


@pytest.mark.parametrize(
    ("raw", "found"),
    [([1, "2.5"], [1, 2.5]), ([5, 1], [1, 5]), ([1], None), ([1, 2, 3], None), ([1, "x"], None), ("1-2", None), ([-1, 2], None)],
)
def test_price_range(raw: Any, found: list[float] | None):
    assert properties({"preferred_price_range": raw}).get("preferred_price_range") == found


def test_year_is_whole():
    assert properties({"year": "2021"}) == {"year": 2021}
    assert properties({"year": "2021.5"}) == {}


def test_an_automotive_event():
    given = {
        "vehicle_id": 9,
        "make": "Fiat",
        "model": 500,
        "year": "2021",
        "mileage": {"value": "12", "unit": "mi"},
        "fuel_type": "petrol",
        "state_of_vehicle": "used",
        "price": 9000,
        "currency": "gbp",
    }
    assert properties(given, "vehicle_viewed", preset="automotive") == {
        "value": 9000, "currency": "GBP", "make": "Fiat", "model": "500", "year": 2021, "mileage": {"value": 12, "unit": "MI"}, "fuel_type": "Gasoline",
        "state_of_vehicle": "Used", "contents": [{"content_id": "9", "price": 9000}], "content_ids": ["9"], "content_type": "vehicle", "num_items": 1,
    }  # fmt: skip


def test_what_tiktok_does_not_document_stays_here_unless_it_was_written_for_tiktok():
    given = {
        "value": 5,
        "coupon": "MAY",
        "plan": {"level": 2},
        "revenue": "x",
        "currency": "XYZ",
        "content_id": 7,
        "price": 5,
        "event_id": "e",
        "none": None,
    }
    assert set(properties(given)) == {"value", "contents", "content_type", "num_items"}
    for wire in ("pixel", "native"):
        found = item(sealed("Purchase", given, wire=wire))["properties"]
        assert set(found) == {"value", "contents", "content_type", "num_items", "coupon", "plan", "revenue"}
        assert found["plan"] == {"level": 2}


# -- what an integration sends at all


@pytest.mark.parametrize("field", ["ip", "user_agent", "email"])
def test_send_switches(field: str):
    assert set(item(sealed())["user"]) == {"email", "external_id", "ip", "user_agent", "ttp"}
    assert set(item(sealed(), send={field: False})["user"]) == {"email", "external_id", "ip", "user_agent", "ttp"} - {field}


def test_page_query():
    assert item(sealed())["page"] == {
        "url": "https://shop.example.com/thanks?x=1#top",
        "referrer": "https://www.example.org/?q=2",
    }
    assert item(sealed(), send={"page_query": "drop"})["page"] == {
        "url": "https://shop.example.com/thanks",
        "referrer": "https://www.example.org/",
    }


@pytest.mark.parametrize(
    ("setting", "event", "expected"),
    [
        (False, {}, None), (True, {}, True), ("gpc", {}, None), ("gpc", {"gpc": True}, True), (False, {"gpc": True}, None), (False, {"limited_data_use": True}, True),
        (True, {"limited_data_use": False}, True), (False, {"limited_data_use": False}, None),
    ],
)  # fmt: skip
def test_limited_data_use(setting: bool | str, event: dict[str, Any], expected: bool | None):
    assert item(sealed(**event), limited_data_use=setting).get("limited_data_use") is expected


def test_findings_come_contents_first_then_the_value_then_the_rest():
    lines = [{"sku": "a", "price": "x"}, {"sku": "b", "price": 2}]
    found = mapped(sealed(properties={"currency": "?", "total": "free", "value": "x", "products": lines}))
    assert [finding.partition(":")[0] for finding in found.findings] == [
        "properties.contents.0.price", "properties.value", "properties.total", "properties.currency",
    ]  # fmt: skip
    assert found.item["properties"]["value"] == 2


def test_a_sum_of_whole_prices_is_whole():
    given = ({"products": [{"sku": "a", "price": 7}]}, {"products": [{"sku": "a", "price": 7, "quantity": 2}]}, {"price": 7})
    assert [repr(properties(each)["value"]) for each in given] == ["7", "14", "7"]
