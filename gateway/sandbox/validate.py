"""What TikTok's Events API accepts, refuses and silently ignores (pure), written from its documentation alone.

Law: shares nothing with the gateway's own mapping, so that a bug of one shows at the other. One bad event fails the whole request with the index and field of the first. A
finding names a field and never a value – nor a field's name, where that is no plain word.
"""

import ipaddress
import re
from collections.abc import Iterator
from typing import Any

MAX_EVENTS = 1000
_SOURCES = ("web", "app", "offline", "crm")
_EARLIEST, _LATEST = 1_262_304_000, 4_102_444_800  # 2010 and 2100
_OLD_S, _AHEAD_S = 28 * 86400, 600
_MAX_TTCLID = 1000
_MAX_DEPTH = 8

_HASH = re.compile(r"[0-9a-f]{64}")
_WORD = re.compile(r"[A-Za-z][A-Za-z0-9_.]{0,39}")
_EMAIL = re.compile(r"[A-Za-z0-9._+-]{1,64}(?:@|%40)[A-Za-z0-9-]{1,63}\.[A-Za-z]{2}")

_ROOT = frozenset({"event_source", "event_source_id", "test_event_code", "data", "partner_name"})
_ITEM = frozenset({"event", "event_time", "event_id", "user", "page", "properties", "limited_data_use", "ad", "app", "lead"})
_PAGE = frozenset({"url", "referrer"})
_LISTED = frozenset({"email", "phone", "external_id"})  # one text or several
_HASHED = (*sorted(_LISTED), "first_name", "last_name", "zip_code")
_USER = frozenset(
    {*_HASHED, "city", "state", "country", "ttclid", "ttp", "ip", "user_agent", "locale", "idfa", "idfv", "gaid", "att_status"}
)
_MOVED = {"phone_number": "phone", "sha256_email": "email", "sha256_phone_number": "phone", "callback": "ttclid"}
_CURRENCIES = frozenset(
    "AED ARS AUD BDT BHD BIF BOB BRL CAD CHF CLP CNY COP CRC CZK DKK DZD EGP EUR GBP GTQ HKD HNL HUF IDR ILS INR ISK JPY KES KHR KRW KWD KZT MAD MOP MXN MYR "
    "NGN NIO NOK NZD OMR PEN PHP PKR PLN PYG QAR RON RUB SAR SEK SGD THB TRY TWD UAH USD VES VND ZAR".split()
)
_EVENTS = frozenset(
    "AddPaymentInfo AddToCart AddToWishlist ApplicationApproval CompleteRegistration Contact CustomizeProduct Download FindLocation InitiateCheckout Lead Pageview "
    "Purchase Schedule Search StartTrial SubmitApplication Subscribe ViewContent".split()
)
_SPELLINGS = {name.lower(): name for name in _EVENTS}
_RENAMED = {"CompletePayment": "Purchase", "SubmitForm": "Lead", "PlaceAnOrder": "Purchase"}

_STRINGS = (
    "content_type", "currency", "search_string", "query", "description", "order_id", "shop_id", "customer_type", "delivery_category", "status",
    "city", "region", "country", "checkin_date", "checkout_date", "departing_departure_date", "returning_departure_date", "departing_arrival_date",
    "returning_arrival_date", "travel_start", "travel_end", "origin_airport", "destination_airport", "travel_class", "postal_code", "make", "model", "vin",
    "exterior_color", "interior_color", "trim", "viewcontent_type", "search_type", "registration_type", "state_of_vehicle", "transmission", "body_style",
    "fuel_type", "drivetrain", "condition_of_vehicle",
)  # fmt: skip
_NUMBERS = ("value", "predicted_ltv", "num_adults", "num_children", "num_infants", "user_score", "preferred_num_stops")
_INTEGERS = ("num_items", "year")
_STRING_LISTS = ("content_ids", "suggested_hotels", "destination_ids", "suggested_destinations")
_CONTENT_STRINGS = ("content_id", "content_name", "content_category", "brand")
_ENUMS = {
    "content_type": "product product_group hotel flight destination vehicle",
    "customer_type": "new returning",
    "delivery_category": "in_store curbside home_delivery",
    "travel_class": "eco prem bus first",
    "state_of_vehicle": "New Used CPO",
    "transmission": "Automatic Manual Other",
    "body_style": "Convertible Coupe Hatchback Minivan Truck SUV Sedan Van Wagon Crossover Other",
    "fuel_type": "Diesel Electric Flex Gasoline Hybrid Other",
    "drivetrain": "AWD FOUR_WD FWD RWD TWO_WD Other",
    "condition_of_vehicle": "Excellent Good Fair Poor Other",
}
_CHOICES = {field: frozenset(words.split()) for field, words in _ENUMS.items()}


class Refused(Exception):
    """The request fails with a code and TikTok's kind of message."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


# -- what fails a request


def request(body: Any) -> list[dict[str, Any]]:
    """The data items of a decoded request. Raises :class:`Refused` as TikTok would."""
    if type(body) is not dict:
        raise Refused(40002, "Not a valid JSON object")
    if "event_source" not in body:
        raise Refused(40002, "event_source: Missing data for required field.")
    source = body["event_source"]
    if type(source) is not str or source not in _SOURCES:
        raise Refused(40002, f"event_source: Must be one of: {', '.join(_SOURCES)}.")
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
        _item(item, f"Batch.{index}", source)
    return data


def _need(value: bool, path: str, what: str) -> None:
    if not value:
        raise Refused(40002, f"{path}: {what}")


def _item(item: Any, path: str, source: str) -> None:
    _need(type(item) is dict, path, "Not a valid object")
    _need(type(item.get("event")) is str and 0 < len(item["event"]) <= 100, f"{path}.event", "Not a valid string")
    time = item.get("event_time")
    _need(type(time) is int and _EARLIEST < time < _LATEST, f"{path}.event_time", "Not a valid integer")
    _need(type(item.get("event_id", "")) is str, f"{path}.event_id", "Not a valid string")
    user = item.get("user", {})
    _need(type(user) is dict, f"{path}.user", "Not a valid object")
    for field in _USER & user.keys():  # the other keys are not even looked at
        _need(_texts(user[field], several=field in _LISTED), f"{path}.user.{field}", "Not a valid string")
    page = item.get("page", {})
    _need(type(page) is dict, f"{path}.page", "Not a valid object")
    _need(source != "web" or "page" in item, f"{path}.page", "Missing data for required field.")
    _need(source != "web" or page.get("url", "") != "", f"{path}.page.url", "Missing data for required field.")
    for field in _PAGE:
        _need(type(page.get(field, "")) is str, f"{path}.page.{field}", "Not a valid string")
    if source in {"app", "crm"}:
        place = "app" if source == "app" else "lead"
        _need(type(item.get(place)) is dict, f"{path}.{place}", "Missing data for required field.")
    _need(type(item.get("limited_data_use", False)) is bool, f"{path}.limited_data_use", "Not a valid boolean")
    properties = item.get("properties", {})
    _need(type(properties) is dict, f"{path}.properties", "Not a valid object")
    _properties(properties, f"{path}.properties")


def _properties(properties: dict[str, Any], path: str) -> None:
    for field in _STRINGS:
        _need(type(properties.get(field, "")) is str, f"{path}.{field}", "Not a valid string")
    for field in _NUMBERS:
        _need(_number(properties.get(field, 0)), f"{path}.{field}", "Not a valid number")
    for field in _INTEGERS:
        _need(type(properties.get(field, 0)) is int, f"{path}.{field}", "Not a valid integer")
    for field in _STRING_LISTS:
        entries = properties.get(field, [])
        _need(type(entries) is list and all(type(entry) is str for entry in entries), f"{path}.{field}", "Not a valid string")
    _need("currency" not in properties or properties["currency"] in _CURRENCIES, f"{path}.currency", "Not a valid choice")
    mileage = properties.get("mileage", {})
    _need(type(mileage) is dict and _number(mileage.get("value", 0)), f"{path}.mileage", "Not a valid object")
    prices = properties.get("preferred_price_range", [0, 0])
    _need(
        type(prices) is list and len(prices) == 2 and all(map(_number, prices)),
        f"{path}.preferred_price_range",
        "Not a valid list",
    )
    contents = properties.get("contents", [])
    _need(type(contents) is list, f"{path}.contents", "Not a valid list")
    for index, content in enumerate(contents):
        here = f"{path}.contents.{index}"
        _need(type(content) is dict, here, "Not a valid object")
        for field in _CONTENT_STRINGS:
            _need(type(content.get(field, "")) is str, f"{here}.{field}", "Not a valid string")
        _need(_number(content.get("price", 0)), f"{here}.price", "Not a valid number")
        _need(type(content.get("quantity", 0)) is int, f"{here}.quantity", "Not a valid integer")


def _number(value: Any) -> bool:
    return type(value) in {int, float} and value == value and abs(value) < 1e15  # noqa: PLR0124 - NaN is not itself


def _texts(value: Any, *, several: bool) -> bool:
    return type(value) is str or (several and type(value) is list and all(type(entry) is str for entry in value))


# -- what succeeds and is of no use


def findings(body: dict[str, Any], item: dict[str, Any], now: float | None = None) -> list[str]:
    """What TikTok would take with code 0 and not use. ``now`` in Unix seconds lets the event's time be judged too."""
    return [
        *(f"{_plain(field)}: ignored by TikTok" for field in body if field not in _ROOT),
        *_of_item(item, now),
        *_of_user(item.get("user", {})),
        *_of_page(item.get("page", {})),
        *_of_properties(item.get("properties", {})),
    ]


def _plain(field: str) -> str:
    return field if _WORD.fullmatch(field) else "a field whose name is no plain word"


def _of_item(item: dict[str, Any], now: float | None) -> Iterator[str]:
    for field in item:
        if field == "test_event_code":
            yield "test_event_code: belongs at the root of the request; here it is ignored by TikTok"
        elif field not in _ITEM:
            yield f"{_plain(field)}: ignored by TikTok"
    event = item["event"]
    if event in _RENAMED:
        yield f"event: an old name; TikTok calls it {_RENAMED[event]}"
    elif event not in _EVENTS and event.lower() in _SPELLINGS:
        yield f"event: taken for a custom event; TikTok spells its own {_SPELLINGS[event.lower()]}"
    if not item.get("event_id"):
        yield "event_id: missing; a browser pixel's event cannot be deduplicated against this one"
    if now is not None and item["event_time"] < now - _OLD_S:
        yield "event_time: older than 28 days, the longest attribution window"
    if now is not None and item["event_time"] > now + _AHEAD_S:
        yield "event_time: in the future"


def _of_user(user: dict[str, Any]) -> Iterator[str]:
    for field, value in user.items():
        if field in _MOVED:
            yield f"user.{field}: ignored by TikTok; the field is called {_MOVED[field]}"
        elif field not in _USER:
            yield f"user.{_plain(field)}: ignored by TikTok"
        elif field in _HASHED:
            values = value if type(value) is list else [value]
            if not all(_HASH.fullmatch(entry) for entry in values):
                yield f"user.{field}: not a lower-case SHA-256; it matches nobody"
    if "ip" in user:
        try:
            if not ipaddress.ip_address(user["ip"]).is_global:
                yield "user.ip: not a public address"
        except ValueError:
            yield "user.ip: not an address"
    if len(user.get("ttclid", "")) > _MAX_TTCLID:
        yield f"user.ttclid: longer than {_MAX_TTCLID} characters"
    if not any(user.get(field) for field in ("email", "phone", "external_id", "ttclid", "ttp")):
        yield "user: nothing but address and user agent to match the visitor by"


def _of_page(page: dict[str, Any]) -> Iterator[str]:
    for field, value in page.items():
        if field not in _PAGE:
            yield f"page.{_plain(field)}: ignored by TikTok"
        elif _EMAIL.search(value):
            yield f"page.{field}: holds an e-mail address in clear"
    if not page.get("url", "https://").startswith(("https://", "http://")):
        yield "page.url: not the address of a web page"


def _of_properties(properties: dict[str, Any]) -> Iterator[str]:
    if properties.get("value") and "currency" not in properties:
        yield "properties.currency: missing; the value cannot be used"
    for field, choices in _CHOICES.items():
        if field in properties and properties[field] not in choices:
            yield f"properties.{field}: not a {field.replace('_', ' ')} TikTok knows"
    for index, content in enumerate(properties.get("contents", [])):
        if not content.get("content_id"):
            yield f"properties.contents.{index}.content_id: missing; the product cannot be found in a catalogue"
    for field, value in properties.items():
        if _in_clear(value):
            yield f"properties.{_plain(field)}: holds an e-mail address in clear"


def _in_clear(value: Any, depth: int = 0) -> bool:
    if type(value) is str:
        return _EMAIL.search(value) is not None
    if depth < _MAX_DEPTH and type(value) is dict:
        return any(_EMAIL.search(key) or _in_clear(entry, depth + 1) for key, entry in value.items())
    return depth < _MAX_DEPTH and type(value) is list and any(_in_clear(entry, depth + 1) for entry in value)
