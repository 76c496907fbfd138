"""What is wrong with a section, with a hint where there is one (pure).

Law: no message quotes the value at fault (it may be a secret); unknown keys come with the nearest known one.
"""

import difflib
import re
import types
import typing
from collections.abc import Sequence
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from gateway.config.document import Document, Path
from gateway.wording import faults

_SENTENCE_END = re.compile(r"(?<!\be\.g)(?<!\bi\.e)\.\s")


def translate(error: ValidationError, model: type[BaseModel], document: Document, at: Path, data: Any) -> None:
    """Add every fault of ``error`` (from validating ``data``, found at ``at``) to ``document``; known faults are not repeated."""
    known = {path for path, _ in document.problems}
    for path, message, details in faults(error, data):
        if any((*at, *path)[: len(seen)] == seen for seen in known if len(seen) > len(at)):
            continue
        document.add((*at, *path), message, _hint(details, path, model, data))


def nearest(word: str, known: Sequence[str]) -> str:
    """``did you mean …?`` for the nearest of ``known``, else the list of them if it is short."""
    if found := difflib.get_close_matches(word.lower().replace("-", "_"), known, 1, 0.6):
        return f"did you mean {found[0]}?"
    return f"known are: {', '.join(known)}" if 0 < len(known) <= 16 else ""


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
            return " ".join(_SENTENCE_END.split(field.description or "", 1)[0].replace("``", "").split()).rstrip(".")
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
