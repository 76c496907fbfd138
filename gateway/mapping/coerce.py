"""Values to the types TikTok wants (pure).

Law: None means "cannot be read as that"; nothing is guessed where a text can be read in two ways, and no number is NaN or infinite.
"""

import math
import re
from typing import Any

_PLAIN = re.compile(r"[+-]?\d+(\.\d*)?|[+-]?\.\d+")
_ENGLISH = re.compile(r"[+-]?\d{1,3}(,\d{3})+(\.\d+)?")
_CONTINENTAL = re.compile(r"[+-]?\d{1,3}(\.\d{3})+,\d+|[+-]?\d+,\d{1,2}")
_AROUND = " \t\u00a0€$£¥₹"
_LARGEST = 1e12


def number(value: Any) -> float | int | None:
    """A finite number from a number or its text: ``99.95``, ``1,234.50``, ``1.234,50``, ``99,95``, with or without a currency sign."""
    kind = type(value)
    if kind is int:
        return value if abs(value) <= _LARGEST else None
    if kind is float:
        return value if math.isfinite(value) and abs(value) <= _LARGEST else None
    if kind is not str or len(value) > 40:
        return None
    found = value.strip(_AROUND)
    if _PLAIN.fullmatch(found):
        pass
    elif _ENGLISH.fullmatch(found):
        found = found.replace(",", "")
    elif _CONTINENTAL.fullmatch(found):
        found = found.replace(".", "").replace(",", ".")
    else:
        return None
    result = float(found)
    return result if abs(result) <= _LARGEST else None


def integer(value: Any) -> int | None:
    """A whole number; fractions are not rounded but refused."""
    if type(value) is int:
        return value if abs(value) <= _LARGEST else None
    found = number(value)
    return int(found) if found is not None and found == int(found) else None


def text(value: Any, limit: int = 8192) -> str:
    """Text from text or a number (``12``, not ``12.0``), ``''`` for anything else or too long."""
    kind = type(value)
    if kind is str:
        return value if len(value) <= limit else ""
    if kind is int:
        return str(value)
    if kind is float and math.isfinite(value):
        return str(int(value)) if value.is_integer() else repr(value)
    return ""


def texts(value: Any) -> list[str] | None:
    """A list of texts from a list, or from one value."""
    items = value if type(value) is list else [value]
    found = [entry for item in items[:1000] if (entry := text(item, 512))]
    return found or None
