"""The closed table of transforms, and texts made of values (pure): what a mapping may do to a value on its way.

Law: a transform that cannot do its work gives None, which means "no value"; nothing here raises for what an event may hold. The order is fixed: transform,
``value_map``, ``format``; ``default`` stands in where nothing is left.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import orjson

from gateway.mapping.coerce import MAX_TEXTS, boolean, from_json, integer, moment, number, text

Change = Callable[[Any], Any]
"""Value → value; None = no value."""


class Transform(NamedTuple):
    """One entry of the table."""

    change: Change
    whole: bool
    """Takes a list as a whole; the others are applied to each of its entries."""
    help: str
    """What it does, for people."""


def _iso_date(value: Any) -> str | None:
    found = moment(value)
    return found.date().isoformat() if found else None


def _iso_datetime(value: Any) -> str | None:
    found = moment(value)
    return found.isoformat(timespec="seconds").replace("+00:00", "Z") if found else None


def _unix(value: Any) -> int | None:
    found = moment(value)
    return int(found.timestamp()) if found else None


def _cents(value: Any) -> float | None:
    found = number(value)
    return None if found is None else found / 100


def _round(value: Any) -> float | int | None:
    found = number(value)
    return None if found is None else round(found, 2)


def _split(value: Any) -> list[str] | None:
    return [part for part in map(str.strip, text(value).split(",")[:MAX_TEXTS]) if part] or None


def _join(value: Any) -> str | None:
    return ",".join(filter(None, map(text, value))) or None if type(value) is list else text(value) or None


def _end(at: int) -> Change:
    return lambda value: (value[at] if value else None) if type(value) is list else value


def _sum(value: Any) -> float | int | None:
    if type(value) is not list:
        return number(value)
    found = [amount for item in value if (amount := number(item)) is not None]
    return number(round(sum(found), 6)) if found else None


def _json(value: Any) -> str | None:
    try:
        return orjson.dumps(value).decode()
    except (TypeError, ValueError, RecursionError):
        return None


def _parse_json(value: Any) -> Any:
    return from_json(value) if type(value) is str else value


TRANSFORMS: dict[str, Transform] = {
    "string": Transform(lambda value: text(value) or None, False, "text; a number as its digits (12, not 12.0)"),
    "number": Transform(number, False, 'a number from its text ("99.95", "1.234,50"); what can be read in two ways is left out'),
    "integer": Transform(integer, False, "a whole number; fractions are left out"),
    "boolean": Transform(boolean, False, "true/false from true, yes, on, 1 and their opposites"),
    "lowercase": Transform(lambda value: text(value).lower() or None, False, "lower case"),
    "uppercase": Transform(lambda value: text(value).upper() or None, False, "upper case"),
    "trim": Transform(lambda value: text(value).strip() or None, False, "without surrounding white space"),
    "cents": Transform(_cents, False, "divided by 100: 9995 becomes 99.95"),
    "round": Transform(_round, False, "rounded to two decimals"),
    "iso_date": Transform(_iso_date, False, "a date (2025-01-31) from a time in ISO 8601, Unix seconds or milliseconds"),
    "iso_datetime": Transform(_iso_datetime, False, "a date and time (2025-01-31T09:30:00Z) from the same"),
    "unix_seconds": Transform(_unix, False, "whole Unix seconds from the same"),
    "split": Transform(_split, False, "a list from a text, cut at commas"),
    "join": Transform(_join, True, "a text from a list, joined by commas"),
    "first": Transform(_end(0), True, "the first entry of a list"),
    "last": Transform(_end(-1), True, "the last entry of a list"),
    "count": Transform(lambda value: len(value) if type(value) is list else None, True, "how many entries a list has"),
    "sum": Transform(_sum, True, "the sum of the numbers in a list"),
    "json": Transform(_json, True, "the value written as JSON"),
    "parse_json": Transform(_parse_json, False, "what a text holds as JSON"),
}
"""Name → what it does. There is no hash among them: ``user.*`` targets are hashed by themselves, and nothing else is identity."""

_DIRECTIVES = "YmdHMSyjbBaApIZz%"
_DIRECTIVE = re.compile(r"%(.?)", re.DOTALL)
_BRACES = re.compile(r"\{([^{}]*)\}")


def format_problem(template: str) -> str:
    """What is wrong with a ``format``, ``''`` if nothing is."""
    names = _BRACES.findall(template)
    if names:
        return "" if set(names) == {"value"} else "only {value} can be filled in"
    directives = _DIRECTIVE.findall(template)
    if not directives:
        return "expected a text with {value} in it, or a date format such as %Y-%m-%d"
    unknown = [letter for letter in directives if letter not in _DIRECTIVES or not letter]
    return f"unknown date directive %{unknown[0]}" if unknown else ""


def _formatter(template: str) -> Change:
    """A text with ``{value}`` filled in; without it, a date format (strftime) for a value that is a time."""
    if "{value}" in template:
        return lambda value: template.replace("{value}", found) if (found := _words(value)) else None

    def written(value: Any) -> str | None:
        found = moment(value)
        return found.strftime(template) if found else None

    return written


def _words(value: Any) -> str:
    return ("true" if value else "false") if type(value) is bool else text(value)


def _mapper(value_map: Mapping[str, Any]) -> Change:
    return lambda value: value_map.get(_words(value), value) if type(value) in {str, int, float, bool} else value


def each(change: Change) -> Change:
    """``change`` for one value, or for every entry of a list (entries keep their place)."""

    def changed(value: Any) -> Any:
        if type(value) is list:
            return [None if entry is None else change(entry) for entry in value]
        return change(value)

    return changed


def compose(transform: str | None, value_map: Mapping[str, Any], template: str | None) -> Change | None:
    """All that a mapping does to a value, in its order; None = nothing."""
    stages: list[Change] = []
    if transform:
        chosen = TRANSFORMS[transform]
        stages.append(chosen.change if chosen.whole else each(chosen.change))
    if value_map:
        stages.append(each(_mapper(value_map)))
    if template:
        stages.append(each(_formatter(template)))
    if not stages:
        return None
    if len(stages) == 1:
        return stages[0]

    def changed(value: Any) -> Any:
        for stage in stages:
            value = stage(value)
            if value is None:
                return None
        return value

    return changed
