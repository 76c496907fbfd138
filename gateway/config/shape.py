"""A setting's value as JSON schema, for those who judge a configuration before the gateway does: Helm (pure).

Law: the models are the one source, and what a person writes and the gateway takes passes, references (``${env:…}``, ``${file:…}``) included; lengths and
what fields must agree on are the gateway's to judge. Patterns are of the kind that Go's regexp knows as well.
"""

import types
from collections.abc import Callable, Iterable
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import SecretStr
from pydantic.fields import FieldInfo

from gateway.catalog.model import Text
from gateway.settings import DURATION, SIZE, parse_duration, parse_size

_REFERENCE = r"\$\{"
_BOUNDS: dict[str, tuple[str, Callable[[float, float], float]]] = {
    "ge": ("minimum", max), "gt": ("exclusiveMinimum", max), "le": ("maximum", min), "lt": ("exclusiveMaximum", min),
}  # fmt: skip
_NUMBERS_TOO = {part.func for part in get_args(Text)[1:]}
_WRITTEN = {parse_duration: DURATION, parse_size: SIZE}
_SCALARS: dict[Any, dict[str, Any]] = {
    str: {"type": "string"},
    SecretStr: {"type": "string"},
    bool: {"type": ["boolean", "string"], "pattern": rf"^([Tt]rue|[Ff]alse)$|{_REFERENCE}"},
    int: {"type": ["integer", "string"], "pattern": rf"^\s*[-+]?\d+\s*$|{_REFERENCE}"},
    float: {"type": ["number", "string"], "pattern": rf"^\s*[-+]?\d+(\.\d+)?\s*$|{_REFERENCE}"},
    type(None): {"type": "null"},
}


def shape(annotation: Any, metadata: Iterable[Any] = ()) -> dict[str, Any]:
    """The JSON schema of a value that is no section: type, enumeration, pattern and bounds."""
    facts = list(_flat(metadata))
    arguments = get_args(annotation)
    match get_origin(annotation) or annotation:
        case origin if origin is Annotated:
            return shape(arguments[0], [*arguments[1:], *facts])
        case origin if origin is Literal:
            return {"anyOf": [{"enum": list(arguments)}, {"type": "string", "pattern": _REFERENCE}]}
        case origin if origin in {Union, types.UnionType}:
            return _either([shape(each, facts) for each in arguments])
        case origin if origin is list:
            return {"type": "array", "items": shape(arguments[0])}
        case origin if origin is dict:
            return {"type": "object", "additionalProperties": shape(arguments[1])}
        case origin if origin in _SCALARS:
            return _scalar(_SCALARS[origin], facts)
        case _:
            return {}


def _flat(metadata: Iterable[Any]) -> Iterable[Any]:
    for fact in metadata:
        if isinstance(fact, FieldInfo):
            yield from fact.metadata
        else:
            yield fact


def _scalar(plain: dict[str, Any], facts: list[Any]) -> dict[str, Any]:
    made = dict(plain)
    for fact in facts:
        function = getattr(fact, "func", None)
        if function in _WRITTEN:
            made |= {"type": ["number", "string"], "pattern": f"{_WRITTEN[function]}|{_REFERENCE}"}
        elif function in _NUMBERS_TOO:
            made |= {"type": ["string", "integer"]}
        if pattern := getattr(fact, "pattern", None):
            made["pattern"] = f"{pattern}|{_REFERENCE}"
        for bound, (keyword, tighter) in _BOUNDS.items():
            if (limit := getattr(fact, bound, None)) is not None:
                made[keyword] = tighter(limit, made.get(keyword, limit))
    return made


def _either(kinds: list[dict[str, Any]]) -> dict[str, Any]:
    """``X | None`` stays one kind that may be null as well: a tool names what it expected then."""
    some = [kind for kind in kinds if kind != _SCALARS[type(None)]]
    if len(some) == 1 and len(kinds) == 2 and "type" in some[0]:
        known = some[0]["type"]
        return some[0] | {"type": [*([known] if isinstance(known, str) else known), "null"]}
    return {"anyOf": kinds}
