"""Whether an answer of the management API is what its OpenAPI document says.

Law: a small part of JSON Schema, and whatever it does not know fails. An answer holds nothing that the document does not name: pages and scripts would build on it.
"""

import re
from functools import cache
from typing import Any

from gateway.admin import openapi
from gateway.admin.api import OPERATIONS

_TYPES: dict[str, tuple[type, ...]] = {
    "null": (type(None),), "boolean": (bool,), "integer": (int,), "number": (int, float), "string": (str,), "array": (list,), "object": (dict,),
}  # fmt: skip
_KNOWN = {
    "$ref", "type", "anyOf", "enum", "const", "properties", "required", "additionalProperties", "items", "title", "description", "default",
    "pattern", "minLength", "maxLength", "minimum", "maximum", "exclusiveMinimum", "format", "writeOnly", "propertyNames", "maxItems", "ge", "gt", "le",
}  # fmt: skip
"""The second line only narrows what a value of the type may be; what people wrote is not judged here."""


@cache
def document() -> dict[str, Any]:
    """The whole."""
    return openapi.describe(OPERATIONS)


def undocumented(method: str, path: str, status: int, body: Any) -> list[str]:
    """What is not as the document has it in the JSON answer to ``method`` on ``path`` below ``/api/v1/``; empty = nothing."""
    path = "/api/v1/" + path.partition("?")[0]
    if path == "/api/v1/openapi.json":
        return []
    if status >= 400:  # refused before anybody looked which operation it is
        return _differences({"$ref": "Error"}, body, "$")
    # a fixed path goes before one with parts
    for pattern in sorted(document()["paths"], key=lambda each: each.count("{")):
        if not re.fullmatch(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(pattern)), path):
            continue
        operation = document()["paths"][pattern].get(method.lower())
        if operation is None:
            continue
        answer = operation["responses"].get(str(status))
        if answer is None:
            return [f"{method} {path}: no answer {status}"]
        return [f"{method} {path}: {each}" for each in _differences(answer["content"]["application/json"]["schema"], body, "$")]
    return [f"{method} {path}: no such operation"]


def _differences(schema: dict[str, Any], value: Any, at: str) -> list[str]:
    assert schema.keys() <= _KNOWN, f"{at}: this check does not know {schema.keys() - _KNOWN}"
    if "$ref" in schema:
        schema = document()["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
    if "anyOf" in schema:
        found = [_differences(each, value, at) for each in schema["anyOf"]]
        return [] if not all(found) else min(found, key=len)
    if "const" in schema and value != schema["const"]:
        return [f"{at} is {value!r}, not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{at} is {value!r}, none of {schema['enum']}"]
    kind = schema.get("type")
    if kind is None:
        return []
    if not isinstance(value, _TYPES[kind]) or (isinstance(value, bool) and kind != "boolean"):
        return [f"{at} is {value!r}, no {kind}"]
    if kind == "array":
        return [
            each for number, item in enumerate(value) for each in _differences(schema.get("items", {}), item, f"{at}[{number}]")
        ]
    return _of_object(schema, value, at) if kind == "object" else []


def _of_object(schema: dict[str, Any], value: dict[str, Any], at: str) -> list[str]:
    properties, more = schema.get("properties", {}), schema.get("additionalProperties", "properties" not in schema)
    found = [f"{at}.{name} is missing" for name in schema.get("required", ()) if name not in value]
    for name, inner in value.items():
        if name in properties:
            found += _differences(properties[name], inner, f"{at}.{name}")
        elif isinstance(more, dict):
            found += _differences(more, inner, f"{at}.{name}")
        elif not more:
            found.append(f"{at}.{name} is not in the document")
    return found
