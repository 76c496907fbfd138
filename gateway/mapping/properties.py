"""A sealed event's properties to TikTok's (pure): the field rules.

Law: a bad optional field is left out with a finding and spoils nothing. Only fields that TikTok documents, and fields that an integration maps explicitly, are sent: what
nobody asked for stays here. (Events that a site wrote for TikTok, pixel and native, keep their other fields: custom conversions may be built on them.)
"""

from collections.abc import Callable
from typing import Any, Final

from gateway.mapping import tiktok
from gateway.mapping.coerce import LARGEST, amount, given, integer, number, text, texts, trimmed, whole
from gateway.mapping.contents import SOUGHT, lines, measure
from gateway.mapping.presets import PRESETS

_SEARCH_KEYS: Final[tuple[str, ...]] = ("search_string", "query", "search_term")
_ORDER_KEYS: Final[tuple[str, ...]] = ("order_id", "transaction_id")
VALUE_KEYS: Final[tuple[str, ...]] = ("value", "revenue", "total")
_VALUE: Final = 1
_LINES: Final = 2
_CHAINS: Final = 4
_TYPE: Final = 8
_IDS: Final = 16
_COUNT: Final = 32
_FLIGHT_KEYS: Final = frozenset(
    "origin_airport destination_airport departing_departure_date departing_arrival_date returning_departure_date returning_arrival_date flight_id".split()
)

ContentStep = Callable[[list[dict[str, Any]], list[str]], list[dict[str, Any]]]
"""(contents, findings) → contents: what an integration's own mappings make of them."""


class Shape:
    """What a preset and an event's name decide beforehand."""

    __slots__ = ("content_type", "derives_content_ids", "id_keys")

    def __init__(self, content_type: str, derives_content_ids: bool, id_keys: tuple[str, ...]) -> None:
        self.content_type = content_type
        """Where the event does not say; ``hotel`` gives way to ``flight`` if the event speaks of one."""
        self.derives_content_ids = derives_content_ids
        self.id_keys = id_keys


def build(source: dict[str, Any], shape: Shape, findings: list[str], change: ContentStep | None = None) -> dict[str, Any]:
    """TikTok's properties of an event whose own are ``source``; appends to ``findings`` what was left out and why."""
    out: dict[str, Any] = {}
    late: list[str] = []  # what is said of the fields comes after what is said of the contents
    asks = 0
    for key, raw in source.items():
        known = _KNOWN.get(key)
        if known is None:
            continue
        asks |= known.asks
        rule = known.rule
        if rule is None or not given(raw):
            continue
        found = rule.read(raw)
        if found is None:
            late.append(f"properties.{key}: {rule.complaint}, omitted")
        else:
            out[key] = found
    value = _value(source, late) if asks & _VALUE else None
    if asks & _LINES:
        contents, total, count, spoken_type = lines(source, shape.id_keys, findings, adds_up=value is None)
    else:
        contents, total, count, spoken_type = [], None, None, None
    if change is not None and (changed := change(contents, findings)):
        contents = changed
        total, count = measure(contents)
    if late:
        findings += late
    if value is None and total is not None and total <= LARGEST:
        value = total
    if value is not None:
        out["value"] = value
    if asks & _CHAINS:
        for target, keys in FALLBACKS:
            for key in keys:
                if said := trimmed(source.get(key)):
                    out[target] = said
                    break
    has_ids = bool(asks & _IDS) and "content_ids" in out
    if contents:
        out["contents"] = contents
        if shape.derives_content_ids and not has_ids:
            ids = [content["content_id"] for content in contents if "content_id" in content]
            if ids:
                out["content_ids"] = ids
                has_ids = True
    if (contents or has_ids) and not (asks & _TYPE and "content_type" in out):
        spoken = _content_type(spoken_type) if spoken_type else None
        flies = shape.content_type == "hotel" and not _FLIGHT_KEYS.isdisjoint(source)
        out["content_type"] = spoken or ("flight" if flies else shape.content_type)
    if count is not None and not (asks & _COUNT and "num_items" in out):
        out["num_items"] = count
    return out


def _value(source: dict[str, Any], findings: list[str]) -> float | int | None:
    """What the event itself says that it is worth; what is wrong with that comes before the other findings."""
    wrong = 0
    for key in VALUE_KEYS:
        raw = source.get(key)
        if given(raw):
            found = amount(raw)
            if found is not None:
                return found
            findings.insert(wrong, f"properties.{key}: not a usable amount, omitted")
            wrong += 1
    return None


def keep_others(out: dict[str, Any], source: dict[str, Any]) -> None:
    """Add the properties that TikTok documents no type for, as they are."""
    for key, value in source.items():
        if key not in _SPOKEN_FOR and key not in out and given(value):
            out[key] = value


def put(out: dict[str, Any], key: str, raw: Any, findings: list[str]) -> None:
    """Set one property as the type TikTok documents for it; other names get the value as it is."""
    rule = _RULES.get(key) or _EXPLICIT.get(key)
    if rule is not None:
        found = rule.read(raw)
    elif type(raw) is list:
        found = [entry for entry in raw if entry is not None] or None
    else:
        found = None if type(raw) is float and number(raw) is None else raw
    if found is None:
        findings.append(f"properties.{key}: {rule.complaint if rule else 'not a usable value'}, omitted")
    else:
        out[key] = found


def _text(raw: Any) -> str | None:
    return trimmed(raw) or None


def _currency(raw: Any) -> str | None:
    if type(raw) is str and raw in tiktok.CURRENCIES:
        return raw
    code = text(raw, 16).strip().upper()
    return code if code in tiktok.CURRENCIES else None


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
    value, unit = amount(raw.get("value")), text(raw.get("unit"), 16).strip()
    unit = tiktok.SPOKEN["mileage"].get(unit.lower(), unit.upper())
    return {"value": value, "unit": unit} if value is not None and unit in tiktok.MILEAGE_UNITS else None


def _range(raw: Any) -> list[float] | None:
    if type(raw) is not list or len(raw) != 2:
        return None
    low, high = amount(raw[0]), amount(raw[1])
    return None if low is None or high is None else [min(low, high), max(low, high)]


def _given_contents(raw: Any) -> list[dict[str, Any]] | None:
    return lines({"contents": raw}, (), [])[0] or None


_content_type: Final = _option("content_type")


class Rule:
    """How one property is read."""

    __slots__ = ("complaint", "read")

    def __init__(self, read: Callable[[Any], Any], complaint: str) -> None:
        self.read = read
        """What it becomes; None = nothing usable."""
        self.complaint = complaint
        """What is said then."""


class Known:
    """What is done about a property that an event has."""

    __slots__ = ("asks", "rule")

    def __init__(self, rule: Rule | None, asks: int) -> None:
        self.rule = rule
        """By which it is read for itself."""
        self.asks = asks
        """What :func:`build` has to look for because it is there, whatever its value. Most events have little of it, and what nobody asks for costs nothing."""


_RULES: Final[dict[str, Rule]] = {
    **dict.fromkeys(tiktok.STRINGS - {"order_id"}, Rule(_text, "not a text")),
    **dict.fromkeys(tiktok.NUMBERS, Rule(number, "not a number")),
    **dict.fromkeys(tiktok.INTEGERS, Rule(integer, "not a whole number")),
    **dict.fromkeys(tiktok.STRING_LISTS, Rule(texts, "not a list of texts")),
    **{field: Rule(_option(field), f"not one of {', '.join(options)}") for field, options in tiktok.ENUMS.items()},
    "currency": Rule(_currency, "not a currency TikTok knows"),
    "num_items": Rule(whole, "not a whole number"),
    "mileage": Rule(_mileage, 'not of the form {"value": 12000, "unit": "KM"}'),
    "preferred_price_range": Rule(_range, "not two numbers"),
}
"""By the property's name, which is TikTok's for it."""
NAMESAKES: Final = frozenset(_RULES)
"""Properties that are read under TikTok's name for them."""
_EXPLICIT: Final[dict[str, Rule]] = {
    "value": Rule(amount, "not a usable amount"),
    "contents": Rule(_given_contents, "not a list of products"),
    "search_string": Rule(_text, "not a text"),
    "query": Rule(_text, "not a text"),
    "order_id": Rule(_text, "not a text"),
}
"""The same for those that an event's own properties reach by the chains below."""
FALLBACKS: Final[tuple[tuple[str, tuple[str, ...]], ...]] = (("search_string", _SEARCH_KEYS), ("order_id", _ORDER_KEYS))
_ASKING: Final = (
    (_VALUE, VALUE_KEYS),
    (_LINES, (*SOUGHT, *(key for preset in PRESETS.values() for key in preset.id_keys))),
    (_CHAINS, (*_SEARCH_KEYS, *_ORDER_KEYS)),
    (_TYPE, ("content_type",)),
    (_IDS, ("content_ids",)),
    (_COUNT, ("num_items",)),
)
"""What is to be looked for, and the properties that ask for it."""
_KNOWN: Final[dict[str, Known]] = {
    key: Known(_RULES.get(key), sum(asks for asks, keys in _ASKING if key in keys))
    for key in {*_RULES, *(key for _, keys in _ASKING for key in keys)}
}
_SPOKEN_FOR: Final = frozenset({
    *_RULES, *_EXPLICIT, *tiktok.CONTENT_STRINGS, "price", "quantity", "products", "items", "event_id",
})  # fmt: skip
"""What has a place of its own: either it is there by now, or it was unusable."""
