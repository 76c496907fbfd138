"""The API's document, OpenAPI 3.1 (pure): made of the declarations and models that requests are validated by."""

import re
from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from gateway import __version__
from gateway.admin.errors import STATUS, document
from gateway.admin.operation import PREFIX, Operation

_ALWAYS = ("unauthenticated", "forbidden", "wrong_host", "too_many_attempts")
_PATTERN = re.compile(r"\{(\w+):(?:[^{}]|\{[^{}]*\})*\}")
_REF = "#/components/schemas/{model}"
_ERROR = {
    "type": "object",
    "required": ["error"],
    "properties": {
        "error": {
            "type": "object",
            "required": ["code", "message", "problems"],
            "properties": {
                "code": {"type": "string", "enum": sorted(STATUS)},
                "message": {"type": "string"},
                "problems": {
                    "type": "array",
                    "items": {
                        "type": "object",
                        "properties": {"path": {"type": "string"}, "message": {"type": "string"}, "hint": {"type": "string"}},
                    },
                },
            },
        }
    },
}


def describe(operations: Iterable[Operation]) -> dict[str, Any]:
    """The whole document."""
    operations = list(operations)
    wanted: list[tuple[type[BaseModel], Any]] = []
    for each in operations:
        wanted += [(model, "validation") for model in (each.query, each.body) if model is not None]
        if each.answer is not None:
            wanted.append((each.answer, "serialization"))
    references, definitions = models_json_schema(list(dict.fromkeys(wanted)), ref_template=_REF)
    paths: dict[str, dict[str, Any]] = {}
    for each in operations:
        path = PREFIX + _PATTERN.sub(r"{\1}", each.path)
        paths.setdefault(path, {})[each.method.lower()] = _operation(each, references, definitions.get("$defs", {}))
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "ttgateway management API",
            "version": __version__,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {
            "schemas": {**definitions.get("$defs", {}), "Error": _ERROR},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"},
                "session": {"type": "apiKey", "in": "cookie", "name": "ttgateway_session"},
            },
        },
        "security": [{"token": []}, {"session": []}],
    }


def _operation(each: Operation, references: dict[Any, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"summary": each.summary, "x-role": each.role, "tags": [each.path.partition("/")[0]]}
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}} for name in re.findall(r"\{(\w+)", each.path)
    ]
    if each.query is not None:
        schema = definitions[references[each.query, "validation"]["$ref"].rpartition("/")[2]]
        parameters += [
            {
                "name": name,
                "in": "query",
                "required": name in schema.get("required", ()),
                "schema": part,
                "description": part.get("description", ""),
            }
            for name, part in schema["properties"].items()
        ]
    if parameters:
        made["parameters"] = parameters
    if each.body is not None:
        made["requestBody"] = {"required": True, "content": {"application/json": {"schema": references[each.body, "validation"]}}}
    content: dict[str, Any] = {}
    if each.status != 204:
        schema = references[each.answer, "serialization"] if each.answer is not None else {"type": "string"}
        content = {"content": {each.media_type: {"schema": schema}}}
    made["responses"] = {str(each.status): {"description": "done", **content}}
    codes = () if each.role == "public" else _ALWAYS
    if each.body is not None or each.query is not None:
        codes = (*codes, "invalid")
    for code in dict.fromkeys((*codes, *each.refusals)):
        made["responses"].setdefault(str(STATUS[code]), document(code))
    if each.role == "public":
        made["security"] = []
    return made
