"""What pydantic found wrong, in words for people (pure).

Law: no message quotes the value at fault: it may be a secret. The faults that the members of a union found at one place are one fault.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

from pydantic import ValidationError
from pydantic_core import ErrorDetails

Path = tuple[str | int, ...]

_WORDS = {
    "missing": "is required",
    "extra_forbidden": "unknown key",
    "string_type": "expected text",
    "int_type": "expected a whole number",
    "int_parsing": "expected a whole number",
    "int_from_float": "expected a whole number",
    "float_type": "expected a number",
    "float_parsing": "expected a number",
    "finite_number": "expected a finite number",
    "bool_type": "expected true or false",
    "bool_parsing": "expected true or false",
    "list_type": "expected a list",
    "dict_type": "expected a mapping of keys to values",
    "model_type": "expected a mapping of keys to values",
    "model_attributes_type": "expected a mapping of keys to values",
    "literal_error": "expected {expected}",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "string_too_short": "must have at least {min_length} character(s)",
    "string_too_long": "must have at most {max_length} characters",
    "too_short": "must have at least {min_length} item(s)",
    "too_long": "must have at most {max_length} items",
    "string_pattern_mismatch": "does not have the expected form",
}


class Fault(NamedTuple):
    """Where, what, and pydantic's details of the first of those that are told as one."""

    path: Path
    message: str
    details: ErrorDetails


def faults(error: ValidationError, data: Any) -> Iterator[Fault]:
    """Every fault that validating ``data`` found, by place."""
    groups: dict[Path, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False, include_input=False):
        groups.setdefault(_own_path(details, data), []).append(details)
    for path, group in groups.items():
        first, *others = dict.fromkeys(_message(details) for details in group)
        yield Fault(path, " or ".join([first, *(other.removeprefix("expected ") for other in others)]), group[0])


def _own_path(details: ErrorDetails, data: Any) -> Path:
    """``loc`` without the names of union members, which pydantic appends and no user wrote."""
    path: Path = ()
    for step in details["loc"]:
        within = isinstance(data, list) and isinstance(step, int) and step < len(data)
        if within or (isinstance(data, dict) and step in data):
            data = data[step]
            path = (*path, step)
        elif details["type"] == "missing" and step == details["loc"][-1]:
            return (*path, step)
    return path


def _message(details: ErrorDetails) -> str:
    context = details.get("ctx", {})
    if details["type"] == "value_error":
        return str(context.get("error", "invalid"))
    words = _WORDS.get(details["type"])
    return words.format(**context) if words else details["msg"][:1].lower() + details["msg"][1:]
