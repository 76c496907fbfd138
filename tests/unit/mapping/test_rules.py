"""TikTok's rules before sending: every finding, where it is, and what is fatal."""

from typing import Any

import pytest
from sealed_events import TIME, USER, item, sealed

from gateway.mapping import rules
from gateway.mapping.tiktok import LEGACY_EVENTS, RETIRING_EVENTS, STANDARD_EVENTS

GOOD: dict[str, Any] = {
    "event": "Purchase", "event_time": TIME, "event_id": "e-1", "user": USER, "page": {"url": "https://shop.example.com/"},
    "properties": {"value": 5, "currency": "EUR", "contents": [{"content_id": "a", "price": 5, "quantity": 1}], "content_type": "product", "num_items": 1},
}  # fmt: skip


def test_nothing_is_wrong_with_a_good_item():
    assert rules.check(GOOD) == []


@pytest.mark.parametrize("name", [*sorted(STANDARD_EVENTS - {"Purchase", "Subscribe", "StartTrial", "Search"}), "Pageview"])
def test_standard_names_are_fine(name: str):
    assert rules.check({**GOOD, "event": name, "properties": {}}) == []


@pytest.mark.parametrize(
    ("change", "path", "words", "fatal"),
    [
        ({"event": ""}, "event", "required", True), ({"event": "  "}, "event", "required", True), ({"event": None}, "event", "required", True),
        ({"event": "x" * 101}, "event", "100 characters", True), ({"event": 5}, "event", "required", True),
        ({"event": "Wheel Spun"}, "event", "custom event", False), ({"event": "PageView"}, "event", "Pageview", False),
        ({"event": "add_to_cart"}, "event", "AddToCart", False),
        ({"event_time": None}, "event_time", "Unix seconds", True), ({"event_time": "1750000000"}, "event_time", "Unix seconds", True),
        ({"event_time": TIME * 1000}, "event_time", "Unix seconds", True), ({"event_time": 1.5}, "event_time", "Unix seconds", True),
        ({"event_time": 0}, "event_time", "Unix seconds", True),
        ({"event_id": 5}, "event_id", "not a text", False), ({"event_id": None}, "event_id", "missing", False), ({"event_id": ""}, "event_id", "empty", False),
        ({"limited_data_use": "yes"}, "limited_data_use", "true or false", False),
        ({"page": {}}, "page.url", "required", False), ({"page": None}, "page.url", "required", False), ({"page": {"url": "shop"}}, "page.url", "not the address", False),
        ({"user": None}, "user", "nothing to match", False), ({"user": {}}, "user", "nothing to match", False),
        ({"user": {"ip": "8.8.8.8", "user_agent": "x"}}, "user", "nothing but address", False),
        ({"user": {**USER, "phone_number": "x"}}, "user.phone_number", "called phone", False),
        ({"user": {**USER, "shoe_size": "x"}}, "user.shoe_size", "ignores", False),
        ({"user": {**USER, "email": "ada@example.com"}}, "user.email", "matches nobody", False),
        ({"user": {**USER, "email": ["a" * 64, "A" * 64]}}, "user.email", "matches nobody", False),
        ({"user": {**USER, "phone": 5}}, "user.phone", "not a text", False), ({"user": {**USER, "phone": []}}, "user.phone", "not a text", False),
        ({"user": {**USER, "ip": "10.0.0.1"}}, "user.ip", "public", False), ({"user": {**USER, "ip": "here"}}, "user.ip", "public", False),
        ({"user": {**USER, "ttclid": "x" * 1001}}, "user.ttclid", "sent whole", False),
        ({"properties": []}, "properties", "not an object", False),
    ],
)  # fmt: skip
def test_findings(change: dict[str, Any], path: str, words: str, fatal: bool):
    (found,) = rules.check({**GOOD, **change})
    assert (found.path, found.fatal) == (path, fatal)
    assert words in found.message
    assert str(found) == f"{path}: {found.message}"


@pytest.mark.parametrize(
    ("change", "path"),
    [
        ({"value": "5"}, "value"), ({"value": float("nan")}, "value"), ({"currency": "XYZ"}, "currency"), ({"currency": 5}, "currency"), ({"num_items": 1.5}, "num_items"),
        ({"content_type": "boat"}, "content_type"), ({"content_type": []}, "content_type"), ({"content_ids": [1]}, "content_ids"), ({"content_ids": "a"}, "content_ids"),
        ({"order_id": 5}, "order_id"), ({"year": "2021"}, "year"), ({"num_adults": "2"}, "num_adults"), ({"contents": {}}, "contents"),
        ({"contents": [5]}, "contents.0"), ({"contents": [{"content_id": 5}]}, "contents.0.content_id"), ({"contents": [{"price": 1}]}, "contents.0.content_id"),
        ({"contents": [{"content_id": "a", "price": "5"}]}, "contents.0.price"), ({"contents": [{"content_id": "a", "quantity": 1.5}]}, "contents.0.quantity"),
        ({"contents": [{"content_id": "a", "brand": None}]}, "contents.0.brand"),
    ],
)  # fmt: skip
def test_findings_of_properties(change: dict[str, Any], path: str):
    (found,) = rules.check({**GOOD, "properties": {**GOOD["properties"], **change}})
    assert found.path == f"properties.{path}"
    assert not found.fatal


@pytest.mark.parametrize(
    ("event", "properties", "path"),
    [
        ("Purchase", {"value": 5}, "properties.currency"), ("Purchase", {}, "properties.value"), ("Subscribe", {}, "properties.value"),
        ("Search", {}, "properties.search_string"), ("ViewContent", {"content_type": "vehicle"}, "properties.content_ids"),
    ],
)  # fmt: skip
def test_what_tiktok_would_miss(event: str, properties: dict[str, Any], path: str):
    assert [found.path for found in rules.check({**GOOD, "event": event, "properties": properties})] == [path]


@pytest.mark.parametrize("name", [*LEGACY_EVENTS, *RETIRING_EVENTS])
def test_old_names_are_told(name: str):
    found = rules.check({**GOOD, "event": name})[0]
    assert found.path == "event"
    assert {**LEGACY_EVENTS, **RETIRING_EVENTS}[name] in found.message
    assert not found.fatal


def test_the_presets_old_name_is_told_too():
    assert "Lead" in str(rules.check(item(sealed("trade_in_valued"), preset="automotive"))[0])


def test_the_fatal_comes_first_and_values_are_never_quoted():
    broken = {
        "event": "ada@example.com " * 9,
        "user": {"email": "ada@example.com"},
        "page": {"url": "ada@example.com"},
        "properties": {"currency": "ada@example.com"},
    }
    found = rules.check(broken)
    assert [finding.fatal for finding in found] == sorted((finding.fatal for finding in found), reverse=True)
    assert not any("ada@" in str(finding) for finding in found)


def test_an_empty_item_is_only_found_fault_with():
    assert {finding.path for finding in rules.check({})} == {"event", "event_time", "event_id", "page.url", "user"}
