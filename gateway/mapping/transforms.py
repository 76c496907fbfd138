"""The closed table of transforms (pure): what a mapping may do to a value.

Law: a transform that cannot do its work gives None, which means "no value"; it never raises.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.mapping.coerce import integer, number, text


def _iso(value: Any) -> str | None:
    seconds = number(value)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).isoformat()
    except (ValueError, OverflowError, OSError):
        return None


def _unix(value: Any) -> int | None:
    if isinstance(value, str):
        try:
            moment = datetime.fromisoformat(value)
        except ValueError:
            return integer(value)
        return int((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp())
    return integer(value)


def _date(value: Any) -> str | None:
    seconds = _unix(value)
    try:
        return None if seconds is None else datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d")
    except (ValueError, OverflowError, OSError):
        return None


def _boolean(value: Any) -> bool | None:
    if isinstance(value, bool):
        return value
    return {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}.get(text(value).lower())


def _string(change: Callable[[str], str]) -> Callable[[Any], Any]:
    return lambda value: change(found) if (found := text(value)) else None


def _cents(value: Any) -> float | None:
    found = number(value)
    return None if found is None else found / 100


TRANSFORMS: dict[str, Callable[[Any], Any]] = {
    "string": lambda value: text(value) or None,
    "number": number,
    "integer": integer,
    "boolean": _boolean,
    "lowercase": _string(str.lower),
    "uppercase": _string(str.upper),
    "trim": _string(str.strip),
    "cents": _cents,
    "iso_date": _iso,
    "date": _date,
    "unix_seconds": _unix,
    "split": _string(lambda found: [part.strip() for part in found.split(",") if part.strip()]),  # type: ignore[arg-type, return-value]
    "join": lambda value: ",".join(filter(None, map(text, value))) if isinstance(value, list) else value,
    "first": lambda value: (value[0] if value else None) if isinstance(value, list) else value,
    "last": lambda value: (value[-1] if value else None) if isinstance(value, list) else value,
    "count": lambda value: len(value) if isinstance(value, list) else None,
    "sum": lambda value: (
        sum(found for item in value if (found := number(item)) is not None) if isinstance(value, list) else number(value)
    ),
    "json": lambda value: orjson.dumps(value).decode(),
}
"""Name → function. ``cents`` divides by 100; ``date`` gives YYYY-MM-DD; ``split`` cuts at commas."""
