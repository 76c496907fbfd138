"""Request bodies."""

import orjson
import pytest

from gateway.delivery import batch
from gateway.delivery.settings import ENDPOINT, DeliverySettings

ITEMS = [orjson.dumps({"event": "Purchase", "event_id": str(number)}) for number in range(3)]


@pytest.mark.parametrize("count", [0, 1, 3])
def test_a_body_is_one_pixel_and_its_items(count: int) -> None:
    assert orjson.loads(batch.body("C4ABC", "", ITEMS[:count])) == {
        "event_source": "web",
        "event_source_id": "C4ABC",
        "data": [{"event": "Purchase", "event_id": str(number)} for number in range(count)],
    }


def test_the_test_code_stands_at_the_root() -> None:
    document = orjson.loads(batch.body("C4ABC", "TEST123", ITEMS))
    assert document["test_event_code"] == "TEST123"
    assert all("test_event_code" not in item for item in document["data"])


def test_odd_codes_cannot_break_the_json() -> None:
    document = orjson.loads(batch.body('a"b\\', '"}', ITEMS))
    assert (document["event_source_id"], document["test_event_code"]) == ('a"b\\', '"}')


@pytest.mark.parametrize("address", [ENDPOINT, "http://127.0.0.1:8099/x/", "http://[::1]:1/", "https://tiktok.example"])
def test_endpoints(address: str) -> None:
    assert DeliverySettings(endpoint=address).endpoint == address


@pytest.mark.parametrize(
    "address",
    [
        "",
        "tiktok.example",
        "ftp://tiktok.example/",
        "https://",
        "https:///path",
        "http://a b/",
        "http://a:x/",
        "http://a:99999/",
        "http://[::1/",
        "http://a/\n",
    ],
)
def test_what_is_no_endpoint(address: str) -> None:
    with pytest.raises(ValueError, match="expected an http"):
        DeliverySettings(endpoint=address)


@pytest.mark.parametrize("field", ["timeout", "max_age", "suspend_probe", "max_batch", "in_flight", "rate_limit"])
def test_zero_is_no_limit_of_anything(field: str) -> None:
    with pytest.raises(ValueError, match=field):
        DeliverySettings.model_validate({field: 0})
