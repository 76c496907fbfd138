"""A sealed event's properties to TikTok's (pure): the field rules.

Law: a bad optional field is left out with a finding and spoils nothing. Only fields TikTok documents and fields an integration maps explicitly are sent: what
TikTok would ignore stays here.
"""

from typing import Any

from gateway.mapping import tiktok
from gateway.mapping.coerce import integer, number, text, texts

_ID_KEYS = ("content_id", "product_id", "sku", "item_id", "id")
_NAME_KEYS = ("content_name", "name", "item_name", "title")
_CATEGORY_KEYS = ("content_category", "category", "item_category")
_BRAND_KEYS = ("brand", "item_brand")
_PRICE_KEYS = ("price", "item_price", "unit_price")
_OWN_PRODUCT = frozenset({"content_id", "product_id", "sku", "item_id"})
_SEARCH_KEYS = ("search_string", "query", "search_term")
_VALUE_KEYS = ("value", "revenue", "total")
_CASELESS = {field: {option.lower(): option for option in options} for field, options in tiktok.ENUMS.items()}
_MAX_CONTENTS = 200
_FLIGHT_KEYS = frozenset({"origin_airport", "destination_airport", "departing_departure_date"})

_PLAIN = (
    tiktok.STRINGS
    | tiktok.NUMBERS
    | tiktok.INTEGERS
    | tiktok.STRING_LISTS
    | frozenset(tiktok.ENUMS)
    | {"mileage", "preferred_price_range"}
)


def build(source: dict[str, Any], *, content_type: str, derive_ids: bool, findings: list[str]) -> dict[str, Any]:
    """TikTok's properties of an event whose own are ``source``; appends to ``findings`` what was left out and why."""
    out: dict[str, Any] = {}
    get = source.get
    contents = _contents(source, findings)
    value = None
    for key in _VALUE_KEYS:
        raw = get(key)
        if raw is not None and raw != "":
            value = number(raw)
            if value is None or value < 0:
                findings.append(f"properties.{key}: not a usable amount, omitted")
                value = None
                continue
            break
    if value is None and contents:
        value = _total(contents)
    if value is not None:
        out["value"] = value
    currency = get("currency")
    if currency is not None and currency != "":
        code = text(currency).strip().upper()
        if code in tiktok.CURRENCIES:
            out["currency"] = code
        else:
            findings.append("properties.currency: not a currency TikTok knows, omitted")
    elif value:
        findings.append("properties.currency: missing beside a value; TikTok cannot use the value")
    for key in _SEARCH_KEYS:
        if (raw := get(key)) and (found := text(raw)):
            out["search_string"] = found
            break
    for key, raw in source.items():
        if key in _PLAIN:
            put(out, key, raw, findings)
    if contents:
        out["contents"] = contents
        out.setdefault("content_type", content_type)
        if derive_ids and "content_ids" not in out:
            ids = [item["content_id"] for item in contents if "content_id" in item]
            if ids:
                out["content_ids"] = ids
    elif "content_ids" in out:
        out.setdefault("content_type", content_type)
    count = integer(get("num_items"))
    if count is None and contents:
        count = sum(item.get("quantity", 1) for item in contents)
    if count is not None and count >= 0:
        out["num_items"] = count
    return out


def content_type_of(preset_type: str, source: dict[str, Any], event: str) -> str:
    """Travel means hotels unless the event speaks of a flight, or searches for a destination."""
    if preset_type != "hotel":
        return preset_type
    if not _FLIGHT_KEYS.isdisjoint(source):
        return "flight"
    return "destination" if event == "Search" else "hotel"


def put(out: dict[str, Any], key: str, raw: Any, findings: list[str]) -> None:
    """Set one property, as the type TikTok documents for it; unknown names are set as they are if they are plain values."""
    if raw is None or raw == "":
        return
    found: Any
    if key in tiktok.STRINGS or key in {"search_string", "query"}:
        found = text(raw) or None
    elif key in {"value", "predicted_ltv"} or key in tiktok.NUMBERS:
        found = number(raw)
    elif key in tiktok.INTEGERS or key == "num_items":
        found = integer(raw)
    elif key in tiktok.STRING_LISTS:
        found = texts(raw)
    elif key in tiktok.ENUMS:
        found = _CASELESS[key].get(text(raw).strip().lower())
    elif key == "currency":
        code = text(raw).strip().upper()
        found = code if code in tiktok.CURRENCIES else None
    elif key == "mileage":
        found = _mileage(raw)
    elif key == "preferred_price_range":
        found = _range(raw)
    elif key == "contents":
        found = _contents({"contents": raw}, findings) or None
    else:
        found = raw if type(raw) in {str, int, float, bool} or (type(raw) is list and len(raw) <= _MAX_CONTENTS) else None
    if found is None:
        findings.append(f"properties.{key[:64]}: not of the type TikTok documents, omitted")
    else:
        out[key] = found


def _contents(source: dict[str, Any], findings: list[str]) -> list[dict[str, Any]]:
    raw = source.get("contents") or source.get("products") or source.get("items")
    if type(raw) is dict:
        raw = [raw]
    if type(raw) is list and raw:
        items = raw
    elif not _OWN_PRODUCT.isdisjoint(source):
        items = [source]
    else:
        return []
    if len(items) > _MAX_CONTENTS:
        findings.append(f"properties.contents: more than {_MAX_CONTENTS}, the rest omitted")
        items = items[:_MAX_CONTENTS]
    contents = []
    for number_, item in enumerate(items):
        if type(item) is dict:
            if content := _content(item, number_, findings):
                contents.append(content)
        elif found := text(item, 512):
            contents.append({"content_id": found})
    return contents


def _content(item: dict[str, Any], at: int, findings: list[str]) -> dict[str, Any]:
    get = item.get
    content: dict[str, Any] = {}
    for key in _ID_KEYS:
        if (raw := get(key)) is not None and (found := text(raw, 512)):
            content["content_id"] = found
            break
    else:
        findings.append(f"properties.contents.{at}: no content_id")
    for target, keys in (("content_name", _NAME_KEYS), ("content_category", _CATEGORY_KEYS), ("brand", _BRAND_KEYS)):
        for key in keys:
            if (raw := get(key)) is not None and (found := text(raw)):
                content[target] = found
                break
    for key in _PRICE_KEYS:
        if (raw := get(key)) is not None and raw != "":
            price = number(raw)
            if price is None or price < 0:
                findings.append(f"properties.contents.{at}.price: not a usable amount, omitted")
            else:
                content["price"] = price
            break
    if (raw := get("quantity")) is not None and raw != "":
        quantity = integer(raw)
        if quantity is None or quantity < 0:
            findings.append(f"properties.contents.{at}.quantity: not a whole number, omitted")
        else:
            content["quantity"] = quantity
    return content


def _total(contents: list[dict[str, Any]]) -> float | None:
    prices = [item["price"] * item.get("quantity", 1) for item in contents if "price" in item]
    return round(sum(prices), 6) if prices else None


def _mileage(raw: Any) -> dict[str, Any] | None:
    if type(raw) is dict:
        value, unit = number(raw.get("value")), text(raw.get("unit")).upper()
        return {"value": value, "unit": unit} if value is not None and unit in tiktok.MILEAGE_UNITS else None
    return None


def _range(raw: Any) -> list[float] | None:
    if type(raw) is list and len(raw) == 2:
        low, high = number(raw[0]), number(raw[1])
        if low is not None and high is not None:
            return [low, high]
    return None
