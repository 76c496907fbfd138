"""Primitives that the components' settings are made of (pure).

Law: a component owns its settings as a frozen pydantic model built on :class:`Settings`; unknown keys are errors; each
field's docstring says what changing it does, and the UI's help text and the documentation come from it.
Durations are seconds as float, sizes are bytes as int; both are written by humans as ``10s`` and ``64KiB``.
"""

import re
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, SecretStr

__all__ = ["Bytes", "Duration", "Field", "SecretStr", "Settings", "parse_duration", "parse_size"]

_DURATION = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)")
DURATION = rf"^\s*(?:{_DURATION.pattern}\s*)+$"
"""How durations are written, for schemas."""
_DURATION_S = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_SIZE = re.compile(r"(\d+(?:\.\d+)?)\s*(B|KiB|MiB|GiB|TiB|kB|KB|MB|GB|TB)?")
SIZE = rf"^\s*{_SIZE.pattern}\s*$"
"""How sizes are written, for schemas."""
_SIZE_BYTES = {
    "B": 1, "kB": 10**3, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12,
    "KiB": 2**10, "MiB": 2**20, "GiB": 2**30, "TiB": 2**40,
}  # fmt: skip


def parse_duration(value: Any) -> float:
    """``10s``, ``200ms``, ``14d``, ``1h30m`` or a bare number of seconds → seconds. ValueError says what was expected."""
    if isinstance(value, bool):
        raise ValueError("expected a duration such as 10s, 200ms or 14d")
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, str):
        text = value.strip()
        parts = _DURATION.findall(text)
        if parts and not _DURATION.sub("", text).strip():
            return sum(float(number) * _DURATION_S[unit] for number, unit in parts)
    raise ValueError("expected a duration such as 10s, 200ms or 14d")


def parse_size(value: Any) -> int:
    """``64KiB``, ``1GiB``, ``500MB`` or a bare number of bytes → bytes. ValueError says what was expected."""
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and (match := _SIZE.fullmatch(value.strip())):
        return int(float(match[1]) * _SIZE_BYTES[match[2] or "B"])
    raise ValueError("expected a size such as 64KiB, 1GiB or a number of bytes")


Duration = Annotated[float, BeforeValidator(parse_duration), Field(ge=0, allow_inf_nan=False)]
Bytes = Annotated[int, BeforeValidator(parse_size), Field(ge=0)]


class Settings(BaseModel):
    """Base of every settings model: frozen, strict about unknown keys, documented by its attribute docstrings."""

    model_config = ConfigDict(extra="forbid", frozen=True, use_attribute_docstrings=True, hide_input_in_errors=True)
