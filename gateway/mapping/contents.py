"""The products of an event as TikTok's ``contents`` (pure), with what they come to.

Law: an entry that nothing can be made of is left out, one without an id is sent (``rules`` speaks of it); ids are always texts. What the lines come to is reckoned from all of
them or not at all.
"""

from typing import Any, Final

from gateway.mapping.coerce import amount, from_json, given, rounded, trimmed, whole

MAX_CONTENTS: Final = 500
_MAX_ID: Final = 512
_ID_KEYS: Final[tuple[str, ...]] = ("content_id", "product_id", "sku", "item_id", "id")
_OWN_PRODUCT: Final[tuple[str, ...]] = ("content_id", "product_id", "sku", "item_id")
"""An event with one of these is about a single product; a bare ``id`` counts only beside a price, for it may be the order's."""
_PRICE_KEYS: Final[tuple[str, ...]] = ("price", "item_price", "unit_price")
KEYS: dict[str, tuple[str, ...]] = {
    "content_id": _ID_KEYS,
    "content_name": ("content_name", "name", "item_name", "title"),
    "content_category": ("content_category", "category", "item_category"),
    "brand": ("brand", "item_brand"),
    "price": _PRICE_KEYS,
    "quantity": ("quantity",),
}
"""TikTok's field of a product → the names it is read by, first one first; the preset's own names of an id come after these."""
SOUGHT: Final = frozenset({"contents", "products", "items", "id", *_OWN_PRODUCT, *_PRICE_KEYS})
"""An event's own properties that :func:`lines` looks for, besides the preset's names of an id: without any of them there are no lines and nothing to add up."""

Lines = tuple[list[dict[str, Any]], float | int | None, int | None, Any]


def lines(source: dict[str, Any], id_keys: tuple[str, ...], findings: list[str], *, adds_up: bool = True) -> Lines:
    """``(contents, Σ price × quantity, Σ quantity, content type as the products say it)``; None where there is nothing to add up. Without ``adds_up`` nobody asks for
    the first sum, and it is None."""
    raw = source.get("contents") or source.get("products") or source.get("items")
    items: list[Any] | None = None
    if raw is not None:
        items = _listed(raw)
        if items is None:
            findings.append("properties.contents: not a list of products, omitted")
    if not items:
        if not _is_product(source, id_keys):
            price = _price(source) if adds_up else None
            return [], None if price is None else _sum(price * _quantity(source)), None, None
        items = [source]
    cut = len(items) > MAX_CONTENTS
    if cut:
        findings.append(f"properties.contents: more than {MAX_CONTENTS}, the rest omitted; value and num_items are not derived")
        items = items[:MAX_CONTENTS]
    contents: list[dict[str, Any]] = []
    total: Any = None
    count = 0
    for at, item in enumerate(items):
        if type(item) is not dict:
            if found := trimmed(item, _MAX_ID):
                contents.append({"content_id": found})
                count += 1
            continue
        content, price, quantity = _content(item, at, id_keys, findings)
        if not content:
            continue
        contents.append(content)
        count += 1 if quantity is None else quantity
        if adds_up and price is not None:
            # Half a kilogram is no quantity for TikTok, but it is half the price.
            times = quantity if quantity is not None else _quantity(item)
            total = price * times if total is None else total + price * times
    first = items[0]
    return (
        contents,
        None if total is None or cut else _sum(total),
        count if contents and not cut else None,
        first.get("content_type") if contents and type(first) is dict else None,
    )


def measure(contents: list[dict[str, Any]]) -> tuple[float | int | None, int | None]:
    """Σ price × quantity and Σ quantity of contents as TikTok gets them; a missing quantity counts as one."""
    priced = [content["price"] * content.get("quantity", 1) for content in contents if "price" in content]
    return round(sum(priced), 6) if priced else None, sum(
        content.get("quantity", 1) for content in contents
    ) if contents else None


def set_field(contents: list[dict[str, Any]], field: str, value: Any, findings: list[str]) -> list[dict[str, Any]]:
    """One value for each line (from a list, by place), or the same for all; a list makes the lines if there are none. Lines may be left empty: the next field's
    values are told by place as well."""
    values = value if type(value) is list else [value] * len(contents)
    contents = [dict(content) for content in contents] or [{} for _ in values[:MAX_CONTENTS]]
    for at, (content, raw) in enumerate(zip(contents, values, strict=False)):
        if not given(raw):
            continue
        found: Any
        if field == "price":
            found = amount(raw)
        elif field == "quantity":
            found = whole(raw)
        else:
            found = trimmed(raw, _MAX_ID) or None
        if found is None:
            findings.append(f"properties.contents.{at}.{field}: not usable, omitted")
        else:
            content[field] = found
    return contents


def _listed(raw: Any) -> list[Any] | None:
    """A list of products from a list, a single product, or either of them written as JSON (query strings and data layers do that)."""
    if type(raw) is str and raw.lstrip()[:1] in {"[", "{"}:
        raw = from_json(raw)
    if type(raw) is dict:
        return [raw]
    return raw if type(raw) is list else None


def _is_product(source: dict[str, Any], id_keys: tuple[str, ...]) -> bool:
    for key in _OWN_PRODUCT:
        if key in source:
            return True
    for key in id_keys:
        if key in source:
            return True
    return "id" in source and "order_id" not in source and _price(source) is not None


def _price(item: dict[str, Any]) -> float | int | None:
    for key in _PRICE_KEYS:
        if given(raw := item.get(key)):
            return amount(raw)
    return None


def _quantity(item: dict[str, Any]) -> float | int:
    found = amount(item.get("quantity"))
    return 1 if found is None else found


def _sum(total: Any) -> float | int:
    # of whole prices it stays whole: typed as a float, it would not in the compiled build
    return rounded(total) if type(total) is float else total


def _content(
    item: dict[str, Any], at: int, id_keys: tuple[str, ...], findings: list[str]
) -> tuple[dict[str, Any], Any, int | None]:
    """The line with its price and quantity, None where it has none that can be used."""
    # Hot: twice or more per purchase. Chains of get cost half of what a table of keys does.
    content: dict[str, Any] = {}
    for key in _ID_KEYS:
        if (raw := item.get(key)) is not None and (found := trimmed(raw, _MAX_ID)):
            content["content_id"] = found
            break
    else:
        for key in id_keys:
            if found := trimmed(item.get(key), _MAX_ID):
                content["content_id"] = found
                break
    raw = item.get("content_name") or item.get("name") or item.get("item_name") or item.get("title")
    if raw and (found := trimmed(raw)):
        content["content_name"] = found
    raw = item.get("content_category") or item.get("category") or item.get("item_category")
    if raw and (found := trimmed(raw)):
        content["content_category"] = found
    raw = item.get("brand") or item.get("item_brand")
    if raw and (found := trimmed(raw)):
        content["brand"] = found
    price: Any = None
    raw = item.get("price")
    if not given(raw):
        raw = item.get("item_price") or item.get("unit_price")
    if given(raw):
        price = amount(raw)
        if price is None:
            findings.append(f"properties.contents.{at}.price: not a usable amount, omitted")
        else:
            content["price"] = price
    quantity: int | None = None
    raw = item.get("quantity")
    if given(raw):
        quantity = whole(raw)
        if quantity is None:
            findings.append(f"properties.contents.{at}.quantity: not a whole number, omitted")
        else:
            content["quantity"] = quantity
    return content, price, quantity
