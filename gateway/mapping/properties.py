"""A sealed event's properties to TikTok's (pure): the field rules.

Law: a bad optional field is left out with a finding and spoils nothing. Only fields that TikTok documents, and fields that an integration maps explicitly, are sent: what
nobody asked for stays here. (Events that a site wrote for TikTok, pixel and native, keep their other fields: custom conversions may be built on them.)
"""

from collections.abc import Callable
from typing import Any, NamedTuple

from gateway.mapping import tiktok
from gateway.mapping.coerce import LARGEST, integer, number, text, texts, trimmed
from gateway.mapping.contents import lines, measure

_SEARCH_KEYS = ("search_string", "query", "search_term")
_ORDER_KEYS = ("order_id", "transaction_id")
VALUE_KEYS = ("value", "revenue", "total")
_FLIGHT_KEYS = frozenset(
    "origin_airport destination_airport departing_departure_date departing_arrival_date returning_departure_date returning_arrival_date flight_id".split()
)

ContentStep = Callable[[list[dict[str, Any]], list[str]], list[dict[str, Any]]]
"""(contents, findings) → contents: what an integration's own mappings make of them."""


class Shape(NamedTuple):
    """What a preset and an event's name decide beforehand."""

    content_type: str
    """Where the event does not say; ``hotel`` gives way to ``flight`` if the event speaks of one."""
    derives_content_ids: bool
    id_keys: tuple[str, ...]


def build(source: dict[str, Any], shape: Shape, findings: list[str], change: ContentStep | None = None) -> dict[str, Any]:
    """TikTok's properties of an event whose own are ``source``; appends to ``findings`` what was left out and why."""
    out: dict[str, Any] = {}
    get = source.get
    contents, total, count, spoken_type = lines(source, shape.id_keys, findings)
    if change is not None and (changed := change(contents, findings)):
        contents = changed
        total, count = measure(contents)
    for key in VALUE_KEYS:
        raw = get(key)
        if raw is not None and raw != "":
            value = number(raw)
            if value is not None and value >= 0:
                out["value"] = value
                break
            findings.append(f"properties.{key}: not a usable amount, omitted")
    else:
        if total is not None and total <= LARGEST:
            out["value"] = total
    for key, raw in source.items():
        rule = _RULES.get(key)
        if rule is not None and raw is not None and raw != "":
            found = rule[0](raw)
            if found is None:
                findings.append(f"properties.{key}: {rule[1]}, omitted")
            else:
                out[key] = found
    for target, keys in FALLBACKS:
        if target not in out:
            for key in keys:
                if found := trimmed(get(key)):
                    out[target] = found
                    break
    if contents:
        out["contents"] = contents
        if shape.derives_content_ids and "content_ids" not in out:
            ids = [content["content_id"] for content in contents if "content_id" in content]
            if ids:
                out["content_ids"] = ids
    if "content_type" not in out and (contents or "content_ids" in out):
        spoken = _content_type(spoken_type) if spoken_type else None
        flies = shape.content_type == "hotel" and not _FLIGHT_KEYS.isdisjoint(source)
        out["content_type"] = spoken or ("flight" if flies else shape.content_type)
    if count is not None and "num_items" not in out:
        out["num_items"] = count
    return out


def keep_others(out: dict[str, Any], source: dict[str, Any]) -> None:
    """Add the properties that TikTok documents no type for, as they are."""
    for key, value in source.items():
        if key not in _SPOKEN_FOR and key not in out and value is not None and value != "":
            out[key] = value


def put(out: dict[str, Any], key: str, raw: Any, findings: list[str]) -> None:
    """Set one property as the type TikTok documents for it; other names get the value as it is."""
    rule = _RULES.get(key) or _EXPLICIT.get(key)
    if rule is not None:
        found = rule[0](raw)
    elif type(raw) is list:
        found = [entry for entry in raw if entry is not None] or None
    else:
        found = None if type(raw) is float and number(raw) is None else raw
    if found is None:
        findings.append(f"properties.{key}: {rule[1] if rule else 'not a usable value'}, omitted")
    else:
        out[key] = found


def _text(raw: Any) -> str | None:
    return trimmed(raw) or None


def _currency(raw: Any) -> str | None:
    code = text(raw, 16).strip().upper()
    return code if code in tiktok.CURRENCIES else None


def _amount(raw: Any) -> float | int | None:
    found = number(raw)
    return found if found is not None and found >= 0 else None


def _whole(raw: Any) -> int | None:
    found = integer(raw)
    return found if found is not None and found >= 0 else None


def _bare(said: str) -> str:
    return "".join(character for character in said.lower() if character.isalnum())


def _option(field: str) -> Callable[[Any], str | None]:
    known = {option: option for option in tiktok.ENUMS[field]}
    spoken = {_bare(option): option for option in known} | tiktok.SPOKEN.get(field, {})

    def chosen(raw: Any) -> str | None:
        return (known.get(raw) or spoken.get(_bare(raw[:64]))) if type(raw) is str else None

    return chosen


def _mileage(raw: Any) -> dict[str, Any] | None:
    if type(raw) is not dict:
        return None
    value, unit = _amount(raw.get("value")), text(raw.get("unit"), 16).strip()
    unit = tiktok.SPOKEN["mileage"].get(unit.lower(), unit.upper())
    return {"value": value, "unit": unit} if value is not None and unit in tiktok.MILEAGE_UNITS else None


def _range(raw: Any) -> list[float] | None:
    if type(raw) is not list or len(raw) != 2:
        return None
    low, high = _amount(raw[0]), _amount(raw[1])
    return None if low is None or high is None else [min(low, high), max(low, high)]


def _given_contents(raw: Any) -> list[dict[str, Any]] | None:
    return lines({"contents": raw}, (), [])[0] or None


_content_type = _option("content_type")

Rule = tuple[Callable[[Any], Any], str]
_RULES: dict[str, Rule] = {
    **dict.fromkeys(tiktok.STRINGS - {"order_id"}, (_text, "not a text")),
    **dict.fromkeys(tiktok.NUMBERS, (number, "not a number")),
    **dict.fromkeys(tiktok.INTEGERS, (integer, "not a whole number")),
    **dict.fromkeys(tiktok.STRING_LISTS, (texts, "not a list of texts")),
    **{field: (_option(field), f"not one of {', '.join(options)}") for field, options in tiktok.ENUMS.items()},
    "currency": (_currency, "not a currency TikTok knows"),
    "num_items": (_whole, "not a whole number"),
    "mileage": (_mileage, 'not of the form {"value": 12000, "unit": "KM"}'),
    "preferred_price_range": (_range, "not two numbers"),
}
"""Property → (what it becomes, or None; what is said then). Read by name from every event."""
NAMESAKES = frozenset(_RULES)
"""Properties that are read under TikTok's name for them."""
_EXPLICIT: dict[str, Rule] = {
    "value": (_amount, "not a usable amount"),
    "contents": (_given_contents, "not a list of products"),
    "search_string": (_text, "not a text"),
    "query": (_text, "not a text"),
    "order_id": (_text, "not a text"),
}
"""The same for those that an event's own properties reach by the chains below."""
FALLBACKS = (("search_string", _SEARCH_KEYS), ("order_id", _ORDER_KEYS))
_SPOKEN_FOR = frozenset({
    *_RULES, *_EXPLICIT, *tiktok.CONTENT_STRINGS, "price", "quantity", "products", "items", "event_id",
})  # fmt: skip
"""What has a place of its own: either it is there by now, or it was unusable."""
