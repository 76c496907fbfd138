"""What TikTok's Events API accepts, refuses and silently ignores (pure), written from its documentation alone.

Law: shares nothing with the gateway's own mapping, so that a bug of one shows at the other. One bad event fails the whole request with the index and field of the first. A
finding names a field and never a value.
"""

import ipaddress
import re
from typing import Any

MAX_EVENTS = 1000
_HASH = re.compile(r"[0-9a-f]{64}")
_CURRENCIES = frozenset(
    "AED ARS AUD BDT BHD BIF BOB BRL CAD CHF CLP CNY COP CRC CZK DKK DZD EGP EUR GBP GTQ HKD HNL HUF IDR ILS INR ISK JPY KES KHR KRW KWD KZT MAD MOP MXN MYR "
    "NGN NIO NOK NZD OMR PEN PHP PKR PLN PYG QAR RON RUB SAR SEK SGD THB TRY TWD UAH USD VES VND ZAR".split()
)
_HASHED = ("email", "phone", "external_id", "first_name", "last_name", "zip_code")
_USER = frozenset(
    (*_HASHED, "city", "state", "country", "ttclid", "ttp", "ip", "user_agent", "locale", "idfa", "idfv", "gaid", "att_status")
)
_ITEM = frozenset({"event", "event_time", "event_id", "user", "page", "properties", "limited_data_use", "ad", "app", "lead"})
_ROOT = frozenset({"event_source", "event_source_id", "test_event_code", "data", "partner_name"})
_MOVED = {"phone_number": "phone", "sha256_email": "email", "sha256_phone_number": "phone", "callback": "ttclid"}
_STRINGS = (
    "content_type", "currency", "search_string", "query", "description", "order_id", "shop_id", "customer_type", "delivery_category", "status", "city",
    "region", "country", "checkin_date", "checkout_date", "origin_airport", "destination_airport", "travel_class", "postal_code", "make", "model", "vin",
)  # fmt: skip
_NUMBERS = ("value", "predicted_ltv", "num_adults", "num_children", "num_infants", "user_score")
_CONTENT_TYPES = frozenset({"product", "product_group", "hotel", "flight", "destination", "vehicle"})
_EARLIEST, _LATEST = 1_262_304_000, 4_102_444_800  # 2010 and 2100


class Refused(Exception):
    """The request fails with a code and TikTok's kind of message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


def request(body: Any) -> list[dict[str, Any]]:
    """The data items of a decoded request. Raises :class:`Refused` as TikTok would."""
    if type(body) is not dict:
        raise Refused(40002, "Not a valid JSON object")
    if "event_source" not in body:
        raise Refused(40002, "event_source: Missing data for required field.")
    if type(body["event_source"]) is not str or body["event_source"] not in {"web", "app", "offline", "crm"}:
        raise Refused(40002, "event_source: Must be one of: web, app, offline, crm.")
    if type(body.get("event_source_id")) is not str or not body["event_source_id"]:
        raise Refused(40002, "event_source_id: Missing data for required field.")
    if type(body.get("test_event_code", "")) is not str:
        raise Refused(40002, "test_event_code: Not a valid string.")
    if "partner_name" in body:
        raise Refused(40063, "Invalid partner name.")
    data = body.get("data")
    if type(data) is not list or not data:
        raise Refused(40002, "data: Missing data for required field.")
    if len(data) > MAX_EVENTS:
        raise Refused(40002, f"data: Longer than maximum length {MAX_EVENTS}.")
    for index, item in enumerate(data):
        _item(item, f"Batch.{index}", web=body["event_source"] == "web")
    return data


def _need(value: bool, path: str, what: str) -> None:
    if not value:
        raise Refused(40002, f"{path}: {what}")


def _item(item: Any, path: str, *, web: bool) -> None:
    _need(type(item) is dict, path, "Not a valid object")
    _need(type(item.get("event")) is str and 0 < len(item["event"]) <= 100, f"{path}.event", "Not a valid string")
    time = item.get("event_time")
    _need(type(time) is int and _EARLIEST < time < _LATEST, f"{path}.event_time", "Not a valid integer")
    _need(type(item.get("event_id", "")) is str, f"{path}.event_id", "Not a valid string")
    user = item.get("user", {})
    _need(type(user) is dict, f"{path}.user", "Not a valid object")
    for field, value in user.items():
        _need(_texts(value), f"{path}.user.{field[:40]}", "Not a valid string")
    page = item.get("page")
    if web:
        _need(type(page) is dict, f"{path}.page", "Missing data for required field.")
        _need(type(page.get("url")) is str and page["url"] != "", f"{path}.page.url", "Missing data for required field.")
    _need(type(item.get("limited_data_use", False)) is bool, f"{path}.limited_data_use", "Not a valid boolean")
    properties = item.get("properties", {})
    _need(type(properties) is dict, f"{path}.properties", "Not a valid object")
    _properties(properties, f"{path}.properties")


def _properties(properties: dict[str, Any], path: str) -> None:
    for field in _STRINGS:
        _need(type(properties.get(field, "")) is str, f"{path}.{field}", "Not a valid string")
    for field in _NUMBERS:
        _need(_number(properties.get(field, 0)), f"{path}.{field}", "Not a valid number")
    _need(type(properties.get("num_items", 0)) is int, f"{path}.num_items", "Not a valid integer")
    ids = properties.get("content_ids", [])
    _need(type(ids) is list and all(type(entry) is str for entry in ids), f"{path}.content_ids", "Not a valid string")
    contents = properties.get("contents", [])
    _need(type(contents) is list, f"{path}.contents", "Not a valid list")
    for index, content in enumerate(contents):
        here = f"{path}.contents.{index}"
        _need(type(content) is dict, here, "Not a valid object")
        for field in ("content_id", "content_name", "content_category", "brand"):
            _need(type(content.get(field, "")) is str, f"{here}.{field}", "Not a valid string")
        _need(_number(content.get("price", 0)), f"{here}.price", "Not a valid number")
        _need(type(content.get("quantity", 0)) is int, f"{here}.quantity", "Not a valid integer")


def _number(value: Any) -> bool:
    return type(value) in {int, float} and value == value and abs(value) < 1e15  # noqa: PLR0124 - NaN is not itself


def _texts(value: Any) -> bool:
    return type(value) is str or (type(value) is list and all(type(entry) is str for entry in value))


def findings(body: dict[str, Any], item: dict[str, Any]) -> list[str]:
    """What TikTok would take with code 0 and not use."""
    found = [f"{field[:40]}: ignored by TikTok" for field in body if field not in _ROOT]
    found += [f"{field[:40]}: ignored by TikTok" for field in item if field not in _ITEM]
    if "test_event_code" in item:
        found.append("test_event_code: belongs at the root of the request")
    user = item.get("user", {})
    for field, value in user.items():
        if field in _MOVED:
            found.append(f"user.{field}: ignored by TikTok; the field is called {_MOVED[field]}")
        elif field not in _USER:
            found.append(f"user.{field[:40]}: ignored by TikTok")
        elif field in _HASHED:
            values = value if type(value) is list else [value]
            if not all(_HASH.fullmatch(entry) for entry in values):
                found.append(f"user.{field}: not a lower-case SHA-256; it matches nobody")
    if ip := user.get("ip"):
        try:
            if not ipaddress.ip_address(ip).is_global:
                found.append("user.ip: not a public address")
        except ValueError:
            found.append("user.ip: not an address")
    if not any(user.get(field) for field in ("email", "phone", "external_id", "ttclid", "ttp")):
        found.append("user: nothing but address and user agent to match the visitor by")
    properties = item.get("properties", {})
    if properties.get("value") and "currency" not in properties:
        found.append("properties.currency: missing; the value cannot be used")
    if "currency" in properties and properties["currency"] not in _CURRENCIES:
        found.append("properties.currency: not a currency TikTok knows")
    if "content_type" in properties and properties["content_type"] not in _CONTENT_TYPES:
        found.append("properties.content_type: not a type TikTok knows")
    if not item.get("event_id"):
        found.append("event_id: missing; a browser pixel's event cannot be deduplicated against this one")
    return found
