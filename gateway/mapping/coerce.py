"""Values to the types TikTok wants (pure).

Law: None (for text, ``''``) means "cannot be read as that"; nothing is guessed where a text can be read in two ways, no number is NaN or infinite, nothing raises.
"""

import math
import re
from datetime import UTC, datetime
from typing import Any, Final

from gateway.errors import BadInput
from gateway.event import jsonbody

LARGEST: Final = 1e12
"""Amounts beyond it are mistakes in every currency."""
_LARGEST_WHOLE: Final = 10**12
_EXACT_DIGITS: Final = 15
"""Any whole number of so many digits is a float exactly."""
_PLAIN: Final = re.compile(r"[+-]?(?:\d+(?:\.\d*)?|\.\d+)", re.ASCII)
_WRITTEN = (
    (re.compile(r"[+-]?\d{1,3}(?:,\d{3})+\.\d+|[+-]?\d{1,3}(?:,\d{2,3})+,\d{3}", re.ASCII), ",", "."),
    (re.compile(r"[+-]?\d{1,3}(?:\.\d{3})+,\d+|[+-]?\d{1,3}(?:\.\d{3}){2,}", re.ASCII), ".", ","),
    (re.compile(r"[+-]?\d+,(?:\d{1,2}|\d{4,})|[+-]?\d{4,},\d{3}", re.ASCII), "", ","),
)
"""(form, what groups its digits, its decimal mark). ``1,234`` is in none: it is a thousand to some and one and a bit to others."""
_GROUPED = re.compile(r"([+-]?\d{1,3}(?:[ '’\u00a0\u202f]\d{3})+)([.,]\d+)?", re.ASCII)
_NOT_DIGITS = re.compile(r"[^\d+-]", re.ASCII)
_AROUND: Final = " \t\r\n\u00a0\u202f€$£¥₹"
_MAX_NUMBER: Final = 40
_EPOCH: Final = re.compile(r"\d{9,16}(?:\.\d{1,9})?", re.ASCII)
_MILLISECONDS_FROM = 100_000_000_000.0  # 1973 in milliseconds, the year 5138 in seconds
_LATEST_S = 253_402_300_799.0  # the last second a calendar date can hold
_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
_HUGE: Final = 10**64
MAX_TEXT: Final = 8192
MAX_TEXTS: Final = 1000


def given(value: Any) -> bool:
    """Whether there is anything at all: neither null nor an empty text."""
    return len(value) > 0 if type(value) is str else value is not None


def number(value: Any) -> float | int | None:
    """A finite number from a number or its text: ``99.95``, ``1,234.50``, ``1.234,50``, ``99,95``, ``1 234.5``, with or without a currency sign.

    ``1,234`` has two readings and is refused.
    """
    if type(value) is float:
        return value if -LARGEST <= value <= LARGEST else None  # NaN compares false
    if type(value) is int:
        return value if -_LARGEST_WHOLE <= value <= _LARGEST_WHOLE else None
    if type(value) is not str:
        return None
    found = _written(value)
    return None if math.isnan(found) else found


def amount(value: Any) -> float | int | None:
    """A number that is not negative."""
    if type(value) is float:
        return value if 0.0 <= value <= LARGEST else None
    if type(value) is int:
        return value if 0 <= value <= _LARGEST_WHOLE else None
    if type(value) is not str:
        return None
    found = _written(value)
    return found if found >= 0.0 else None  # NaN compares false


def _written(text: str) -> float:
    """The number that a text holds, NaN if it holds none that is usable."""
    if len(text) > _MAX_NUMBER:
        return math.nan
    result = _decimal(text)
    if result < 0.0:
        text = text.strip(_AROUND)
        if not _PLAIN.fullmatch(text):
            text = _plain(text)
            if not text:
                return math.nan
        result = float(text)
    return result if -LARGEST <= result <= LARGEST else math.nan


def _decimal(text: str) -> float:
    """A few digits, with a point or without, which nearly every amount is; -1.0 for any other form.

    Both whole numbers are floats exactly, and so their quotient is the float nearest to what is written, which is what ``float`` finds at twice the cost.
    """
    size = len(text)
    if size > _EXACT_DIGITS:
        return -1.0
    digits = 0.0
    scale = 0.0  # none before the point, which a second one cannot pass for
    for at in range(size):
        code = ord(text[at])
        if 0x30 <= code <= 0x39:
            digits = digits * 10.0 + (code - 0x30)
            scale *= 10.0
        elif code == 0x2E and scale == 0.0:
            scale = 1.0
        else:
            return -1.0
    if size < 2 and (size == 0 or scale == 1.0):
        return -1.0
    return digits / scale if scale > 0.0 else digits


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
        return value if -_LARGEST_WHOLE <= value <= _LARGEST_WHOLE else None
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def whole(value: Any) -> int | None:
    """A whole number that is not negative."""
    found = integer(value)
    return found if found is not None and found >= 0 else None


def rounded(value: float) -> float:
    """``round(value, 6)``, which writes the number out and reads it again. A sum of prices seldom has more places: then it is the quotient nearest to itself."""
    if 0.0 <= value < 1e9 and int(value * 1e6 + 0.5) / 1e6 == value:
        return value
    return round(value, 6)


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """Text from text or a number (``12``, not ``12.0``), ``''`` for anything else or too long."""
    if type(value) is str:
        return value if len(value) <= limit else ""
    if type(value) is int:
        return str(value) if -_LARGEST_WHOLE < value < _LARGEST_WHOLE or -_HUGE < value < _HUGE else ""
    if type(value) is float and math.isfinite(value):
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
