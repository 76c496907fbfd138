"""Values to the types TikTok wants (pure).

Law: None (for text, ``''``) means "cannot be read as that"; nothing is guessed where a text can be read in two ways, no number is NaN or infinite, nothing raises.
"""

import math
import re
from datetime import UTC, datetime
from typing import Any

from gateway.errors import BadInput
from gateway.event import jsonbody

LARGEST = 1e12
"""Amounts beyond it are mistakes in every currency."""
_PLAIN = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_WRITTEN = (
    (re.compile(r"[+-]?\d{1,3}(?:,\d{3})+\.\d+|[+-]?\d{1,3}(?:,\d{2,3})+,\d{3}", re.ASCII), ",", "."),
    (re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+,\d+|[+-]?\d{1,3}(?:\.\d{3}){2,}", re.ASCII), ".", ","),
    (re.compile(r"[+-]?\d+,(?:\d{1,2}|\d{4,})|[+-]?\d{4,},\d{3}", re.ASCII), "", ","),
)
"""(form, what groups its digits, its decimal mark). ``1,234`` is in none: it is a thousand to some and one and a bit to others."""
_GROUPED = re.compile(r"([+-]?\d{1,3}(?:[ '’\u00a0\u202f]\d{3})+)([.,]\d+)?", re.ASCII)
_NOT_DIGITS = re.compile(r"[^\d+-]", re.ASCII)
_AROUND = " \t\r\n\u00a0\u202f€$£¥₹"
_MAX_NUMBER = 40
_EPOCH = re.compile(r"\d{9,16}(?:\.\d{1,9})?", re.ASCII)
_MILLISECONDS_FROM = 100_000_000_000.0  # 1973 in milliseconds, the year 5138 in seconds
_LATEST_S = 253_402_300_799.0  # the last second a calendar date can hold
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_HUGE = 10**64
MAX_TEXT = 8192
MAX_TEXTS = 1000


def number(value: Any) -> float | int | None:
    """A finite number from a number or its text: ``99.95``, ``1,234.50``, ``1.234,50``, ``99,95``, ``1 234.5``, with or without a currency sign.

    ``1,234`` has two readings and is refused.
    """
    kind = type(value)
    if kind is int or kind is float:
        return value if -LARGEST <= value <= LARGEST else None  # NaN compares false
    if kind is not str or len(value) > _MAX_NUMBER:
        return None
    text = value.strip(_AROUND)
    if not _PLAIN.fullmatch(text):
        text = _plain(text)
        if not text:
            return None
    result = float(text)
    return result if -LARGEST <= result <= LARGEST else None


def _plain(text: str) -> str:
    for form, groups, mark in _WRITTEN:
        if form.fullmatch(text):
            return (text.replace(groups, "") if groups else text).replace(mark, ".")
    if found := _GROUPED.fullmatch(text):
        return _NOT_DIGITS.sub("", found[1]) + (found[2] or "").replace(",", ".")
    return ""


def integer(value: Any) -> int | None:
    """A whole number; fractions are not rounded but refused."""
    if type(value) is int:
        return value if -LARGEST <= value <= LARGEST else None
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """Text from text or a number (``12``, not ``12.0``), ``''`` for anything else or too long."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= limit else ""
    if kind is int:
        return str(value) if -_HUGE < value < _HUGE else ""
    if kind is float and math.isfinite(value):
        return str(int(value)) if value.is_integer() and abs(value) < 1e16 else repr(value)
    return ""


def trimmed(value: Any, limit: int = MAX_TEXT) -> str:
    """The same without surrounding white space."""
    return value.strip() if type(value) is str and len(value) <= limit else text(value, limit)


def texts(value: Any) -> list[str] | None:
    """A list of texts from a list, or from one value; entries that are no text are left out."""
    items = value if type(value) is list else [value]
    return [entry for item in items[:MAX_TEXTS] if (entry := trimmed(item, 512))] or None


def boolean(value: Any) -> bool | None:
    """true/false, yes/no, on/off, 1/0 in any case."""
    return value if type(value) is bool else _BOOLEANS.get(text(value, 8).strip().lower())


def from_json(written: str) -> Any:
    """What a text holds as JSON, None if it holds none or is nested deeper than an event may be (then it could be read but not written again)."""
    try:
        return jsonbody.load(written.encode())
    except (BadInput, ValueError):
        return None


def moment(value: Any) -> datetime | None:
    """A time from ISO 8601 (its own zone, UTC if it names none) or from Unix seconds or milliseconds (UTC)."""
    if type(value) is str:
        found = value.strip()
        if not _EPOCH.fullmatch(found):
            try:
                parsed = datetime.fromisoformat(found)
            except ValueError:
                return None
            return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        value = float(found)
    if type(value) not in {int, float} or not 0 <= value <= _LATEST_S * 1000:
        return None
    seconds = value / 1000.0 if value >= _MILLISECONDS_FROM else float(value)
    return datetime.fromtimestamp(seconds, UTC) if seconds <= _LATEST_S else None
