"""The simulator refuses what TikTok refuses, with the path, and says what TikTok would silently ignore."""

import copy
from typing import Any

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
    *parents, last = path.split(".")
    place: Any = body
    for part in parents:
        place = place[int(part)] if part.isdigit() else place[part]
    if value is None:
        del place[last]
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
    ("data.0.limited_data_use", "yes", "Batch.0.limited_data_use"),
])  # fmt: skip
def test_what_tiktok_refuses(path: str, value: Any, message: str) -> None:
    with pytest.raises(validate.Refused) as refused:
        validate.request(changed(path, value))
    assert refused.value.code == 40002
    assert refused.value.message.startswith(message)


@pytest.mark.parametrize(("path", "value", "finding"), [
    ("data.0.user.phone_number", "b" * 64, "user.phone_number"), ("data.0.user.email", "alice@example.com", "user.email"),
    ("data.0.user.shoe_size", "44", "user.shoe_size"), ("data.0.user.ip", "10.0.0.1", "user.ip"),
    ("data.0.test_event_code", "T1", "test_event_code"), ("data.0.properties.currency", "XXX", "properties.currency"),
    ("data.0.event_id", None, "event_id"), ("surprise", 1, "surprise"),
])  # fmt: skip
def test_what_tiktok_would_silently_ignore(path: str, value: Any, finding: str) -> None:
    body = changed(path, value)
    (item,) = validate.request(body)
    found = validate.findings(body, item)
    assert any(line.startswith(finding) for line in found), found
    assert not any("alice" in line for line in found)
