"""What pydantic found wrong, in words for people (pure).

Law: no message quotes the value at fault (it may be a secret); unknown keys come with the nearest known one.
"""

import difflib
import types
import typing
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.document import Document, Path

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


def translate(error: ValidationError, model: type[BaseModel], document: Document, at: Path, data: Any) -> None:
    """Add every fault of ``error`` (from validating ``data``, found at ``at``) to ``document``; known faults are not repeated."""
    known = {path for path, _ in document.problems}
    alternatives: dict[Path, list[ErrorDetails]] = {}
    for details in error.errors(include_url=False, include_input=False):
        alternatives.setdefault(_own_path(details, data), []).append(details)
    for path, group in alternatives.items():
        if any((*at, *path)[: len(seen)] == seen for seen in known if len(seen) > len(at)):
            continue
        first, *others = dict.fromkeys(_message(details) for details in group)
        message = " or ".join([first, *(other.removeprefix("expected ") for other in others)])
        document.add((*at, *path), message, _hint(group[0], path, model, data))


def nearest(word: str, known: Sequence[str]) -> str:
    """``did you mean …?`` for the nearest of ``known``, else the list of them if it is short."""
    if found := difflib.get_close_matches(word.lower().replace("-", "_"), known, 1, 0.6):
        return f"did you mean {found[0]}?"
    return f"known are: {', '.join(known)}" if 0 < len(known) <= 16 else ""


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


def _hint(details: ErrorDetails, path: Path, model: type[BaseModel], data: Any) -> str:
    kind = details["type"]
    if kind == "extra_forbidden":
        return nearest(str(path[-1]), _keys(_model_at(model, path[:-1])))
    value = _value_at(data, path)
    if kind == "string_type" and isinstance(value, int | float):
        return "put it in quotes"
    if kind == "literal_error" and isinstance(value, str):
        known = [name.strip("'") for name in str(details.get("ctx", {}).get("expected", "")).replace(" or ", ", ").split(", ")]
        found = difflib.get_close_matches(value.lower(), known, 1, 0.6)
        return f"did you mean {found[0]}?" if found else ""
    if kind in {"string_pattern_mismatch", "missing"}:
        return _first_sentence(_model_at(model, path[:-1]), path[-1])
    return ""


def _value_at(data: Any, path: Path) -> Any:
    for step in path:
        try:
            data = data[step]
        except (KeyError, IndexError, TypeError):
            return None
    return data


def _keys(model: type[BaseModel] | None) -> list[str]:
    return [] if model is None else [field.alias or name for name, field in model.model_fields.items()]


def _first_sentence(model: type[BaseModel] | None, key: str | int) -> str:
    for name, field in model.model_fields.items() if model else ():
        if (field.alias or name) == key:
            return " ".join((field.description or "").split(". ")[0].replace("``", "").split()).rstrip(".")
    return ""


def _model_at(model: type[BaseModel] | None, path: Path) -> type[BaseModel] | None:
    for step in path:
        if model is None:
            return None
        if isinstance(step, int):
            continue
        field = next((field for name, field in model.model_fields.items() if (field.alias or name) == step), None)
        # a key of a free mapping (``events: {Name: …}``) keeps the model of its values
        model = model_in(field.annotation) if field else model
    return model


def model_in(annotation: Any) -> type[BaseModel] | None:
    """The settings model inside ``X | None``, ``list[X]``, ``dict[str, X]`` or ``Annotated[X, …]``."""
    if isinstance(annotation, type) and not get_args(annotation):
        return annotation if issubclass(annotation, BaseModel) else None
    if get_origin(annotation) in {Union, types.UnionType, list, dict, tuple, typing.Annotated}:
        return next((found for part in get_args(annotation) if (found := model_in(part))), None)
    return None
