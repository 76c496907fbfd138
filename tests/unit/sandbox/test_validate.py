"""The simulator refuses what TikTok refuses, with the path, and says what TikTok would silently ignore."""

import copy
from pathlib import Path
from typing import Any

import orjson
import pytest

from gateway.sandbox import validate

GOOD: dict[str, Any] = {
    "event_source": "web",
    "event_source_id": "C1",
    "data": [{
        "event": "Purchase", "event_time": 1_795_000_000, "event_id": "1", "user": {"email": "a" * 64, "ttp": "x" * 27, "ip": "8.8.8.8"},
        "page": {"url": "https://shop.example.com/"},
        "properties": {"value": 9.5, "currency": "EUR", "contents": [{"content_id": "1", "price": 9.5, "quantity": 1}]},
    }],
}  # fmt: skip


def changed(path: str, value: Any) -> dict[str, Any]:
    body = copy.deepcopy(GOOD)
    *parents, last = path.split(".")  # ">" stands for a dot within a name
    last = last.replace(">", ".")
    place: Any = body
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    if value is None:
        del place[last]
    elif isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return body


def test_a_good_request_passes_without_a_finding() -> None:
    (item,) = validate.request(GOOD)
    assert validate.findings(GOOD, item) == []


@pytest.mark.parametrize(("path", "value", "message"), [
    ("event_source", None, "event_source"), ("event_source", "shop", "event_source"), ("event_source_id", None, "event_source_id"),
    ("data", [], "data"), ("data", [GOOD["data"][0]] * 1001, "data: Longer"), ("data.0.event", "", "Batch.0.event"),
    ("data.0.event_time", "1795000000", "Batch.0.event_time"), ("data.0.event_time", 1_795_000_000_000, "Batch.0.event_time"),
    ("data.0.event_id", 7, "Batch.0.event_id"), ("data.0.page", None, "Batch.0.page"), ("data.0.page.url", "", "Batch.0.page.url"),
    ("data.0.user.email", 1, "Batch.0.user.email"), ("data.0.properties.value", "9.5", "Batch.0.properties.value"),
    ("data.0.properties.contents.0.content_id", 1, "Batch.0.properties.contents.0.content_id: Not a valid string"),
    ("data.0.properties.contents.0.quantity", 1.5, "Batch.0.properties.contents.0.quantity"),
    ("data.0.limited_data_use", "yes", "Batch.0.limited_data_use"), ("event_source", ["web"], "event_source"), ("event_source", "crm", "Batch.0.lead"),
    ("event_source", "app", "Batch.0.app"), ("event_source_id", 5, "event_source_id"), ("test_event_code", 1, "test_event_code"), ("data", {}, "data"),
    ("data.0", "x", "Batch.0: "), ("data.0.event", "x" * 101, "Batch.0.event"), ("data.0.event", None, "Batch.0.event"), ("data.0.event_time", None, "Batch.0.event_time"),
    ("data.0.event_time", True, "Batch.0.event_time"), ("data.0.event_time", 1_795_000_000.5, "Batch.0.event_time"), ("data.0.event_time", 5, "Batch.0.event_time"),
    ("data.0.user", [], "Batch.0.user"), ("data.0.user.email", [1], "Batch.0.user.email"), ("data.0.user.ttp", ["x"], "Batch.0.user.ttp"),
    ("data.0.page", "x", "Batch.0.page"), ("data.0.page.url", None, "Batch.0.page.url: Missing"), ("data.0.page.url", 1, "Batch.0.page.url: Not a valid string"),
    ("data.0.page.referrer", 1, "Batch.0.page.referrer"), ("data.0.properties", [], "Batch.0.properties"), ("data.0.properties.value", True, "Batch.0.properties.value"),
    ("data.0.properties.value", float("nan"), "Batch.0.properties.value"), ("data.0.properties.currency", "XXX", "Batch.0.properties.currency: Not a valid choice"),
    ("data.0.properties.currency", "eur", "Batch.0.properties.currency"), ("data.0.properties.order_id", 1, "Batch.0.properties.order_id"),
    ("data.0.properties.num_items", 1.0, "Batch.0.properties.num_items"), ("data.0.properties.year", "2020", "Batch.0.properties.year"),
    ("data.0.properties.content_ids", ["1", 2], "Batch.0.properties.content_ids"), ("data.0.properties.suggested_hotels", "x", "Batch.0.properties.suggested_hotels"),
    ("data.0.properties.mileage", "5 MI", "Batch.0.properties.mileage"), ("data.0.properties.mileage", {"value": "5"}, "Batch.0.properties.mileage"),
    ("data.0.properties.preferred_price_range", [1], "Batch.0.properties.preferred_price_range"), ("data.0.properties.contents", {}, "Batch.0.properties.contents"),
    ("data.0.properties.preferred_price_range", ["1", "2"], "Batch.0.properties.preferred_price_range"), ("data.0.properties.contents.0", "x", "Batch.0.properties.contents.0"),
    ("data.0.properties.contents.0.price", "9.5", "Batch.0.properties.contents.0.price"),
])  # fmt: skip
def test_what_tiktok_refuses(path: str, value: Any, message: str) -> None:
    with pytest.raises(validate.Refused) as refused:
        validate.request(changed(path, value))
    assert refused.value.code == 40002
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(("path", "value", "finding"), [
    ("data.0.user.phone_number", "b" * 64, "user.phone_number"), ("data.0.user.email", "alice@example.com", "user.email"),
    ("data.0.user.shoe_size", "44", "user.shoe_size"), ("data.0.user.ip", "10.0.0.1", "user.ip"),
    ("data.0.test_event_code", "T1", "test_event_code"),
    ("data.0.event_id", None, "event_id"), ("surprise", 1, "surprise"), ("data.0.user.shoe_size", {"eu": [44]}, "user.shoe_size"), ("data.0.context", {}, "context"),
    ("data.0.event", "purchase", "event: taken for a custom event; TikTok spells its own Purchase"), ("data.0.event", "PageView", "event: taken for a custom event"),
    ("data.0.event", "CompletePayment", "event: an old name"), ("data.0.user.email", ["a" * 64, "alice@example.com"], "user.email"), ("data.0.user.email", "A" * 64, "user.email"),
    ("data.0.user.ip", "alice", "user.ip"), ("data.0.user.ip", "", "user.ip"), ("data.0.user.ip", "fd00::1", "user.ip"), ("data.0.user.ttclid", "x" * 1001, "user.ttclid"),
    ("data.0.user", {"user_agent": "x"}, "user:"), ("data.0.user", None, "user:"), ("data.0.page.title", "x", "page.title"), ("data.0.page.url", "shop", "page.url"),
    ("data.0.page.url", "https://shop.example.com/?mail=alice%40example.com", "page.url: holds an e-mail address"),
    ("data.0.page.referrer", "https://shop.example.com/?m=alice@example.com", "page.referrer: holds"),
    ("data.0.properties.note", {"to": ["alice@example.com"]}, "properties.note: holds"), ("data.0.properties.note", {"alice@example.com": 1}, "properties.note: holds"),
    ("data.0.properties.currency", None, "properties.currency: missing"), ("data.0.properties.content_type", "shoes", "properties.content_type"),
    ("data.0.properties.customer_type", "alice", "properties.customer_type"), ("data.0.properties.contents.0.content_id", None, "properties.contents.0.content_id: missing"),
    ("data.0.user.alice@example>com", "x", "user.a field whose name is no plain word"), ("alice@example>com", "x", "a field whose name is no plain word"),
])  # fmt: skip
def test_what_tiktok_would_silently_ignore(path: str, value: Any, finding: str) -> None:
    body = changed(path, value)
    (item,) = validate.request(body)
    found = validate.findings(body, item)
    assert any(line.startswith(finding) for line in found), found
    assert not any("alice" in line for line in found)


def test_every_documented_field_passes_without_a_finding() -> None:
    """The reference's field tables, each field with a value of its type."""
    values = {
        "string": "x",
        "number": 1.5,
        "integer": 2,
        "string[]": ["x"],
        "number[2]": [1, 2.5],
        "object{value,unit}": {"value": 5, "unit": "MI"},
    }
    facts = orjson.loads((Path(__file__).parents[2] / "vectors/tiktok-events-api.json").read_bytes())
    body = copy.deepcopy(GOOD)
    (item,) = body["data"]
    for field in facts["property_fields"]:
        name = field["field"]
        if field["type"] in values and "[]" not in name and name not in {"currency", "mileage"}:
            item["properties"][name] = field["enum"][0] if "enum" in field else values[field["type"]]
        elif name == "mileage":
            item["properties"][name] = values[field["type"]]
    for field in facts["user_fields"]:
        item["user"][field["field"]] = "a" * 64
    item["user"]["ip"] = "2001:4860:4860::8888"
    assert len(item["properties"]) > 50
    assert len(item["user"]) == len(facts["user_fields"])
    validate.request(body)
    assert validate.findings(body, item) == []


@pytest.mark.parametrize("source", ["app", "crm", "offline"])
def test_other_sources_need_no_page(source: str) -> None:
    body = changed("event_source", source)
    del body["data"][0]["page"]
    body["data"][0] |= {"app": {}, "lead": {}}
    assert len(validate.request(body)) == 1


def test_the_currencies_are_the_documented_ones() -> None:
    facts = orjson.loads((Path(__file__).parents[2] / "vectors/tiktok-events-api.json").read_bytes())
    for code in facts["currencies"]["codes"]:
        validate.request(changed("data.0.properties.currency", code))
    assert len(facts["currencies"]["codes"]) == 62


def test_the_first_bad_event_and_field_is_named() -> None:
    good, bad = GOOD["data"][0], {**GOOD["data"][0], "event_id": 7}
    with pytest.raises(validate.Refused) as refused:
        validate.request({**GOOD, "data": [good, good, bad, bad]})
    assert refused.value.message == "Batch.2.event_id: Not a valid string"


@pytest.mark.parametrize(
    ("age_s", "found"),
    [(28 * 86400 + 1, ["event_time: older"]), (28 * 86400 - 1, []), (-601, ["event_time: in the future"]), (-599, [])],
)
def test_the_time_is_judged_where_now_is_known(age_s: float, found: list[str]) -> None:
    (item,) = GOOD["data"]
    lines = validate.findings(GOOD, item, item["event_time"] + age_s)
    assert [line.startswith(start) for line, start in zip(lines, found, strict=True)] == [True] * len(found)
