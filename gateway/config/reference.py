"""The settings as a Markdown table, made from their docstrings (pure).

Law: what is not documented here is not documented at all: names, types, defaults and sentences come from the models themselves.
``python -m gateway.config.reference`` writes it to standard output.
"""

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal, NamedTuple, get_args, get_origin

from pydantic import BaseModel, SecretStr
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from gateway.config.settings import GatewaySettings
from gateway.config.shape import shape
from gateway.config.words import model_in
from gateway.settings import parse_duration, parse_size


class Setting(NamedTuple):
    """One row of the reference."""

    path: str
    """Dotted; ``[]`` marks list entries, ``.*`` the keys of a free mapping."""
    expected: str
    default: str
    text: str
    shape: dict[str, Any] = {}
    """JSON schema of its value; empty for sections and lists of them."""


def settings() -> list[Setting]:
    """Every setting of the configuration file, in the order of the file."""
    return list(_walk(GatewaySettings, ""))


def markdown() -> str:
    """One table per section."""
    lines = ["# Settings", ""]
    section = ""
    for setting in settings():
        head = setting.path.partition(".")[0].removesuffix("[]")
        if head != section:
            section = head
            lines += [
                "" if lines[-1] else lines.pop(),
                f"## {head}",
                "",
                "| setting | expected | default | meaning |",
                "|---|---|---|---|",
            ]
        cells = (f"`{setting.path}`", setting.expected, f"`{setting.default}`" if setting.default else "", setting.text)
        lines.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _walk(model: type[BaseModel], prefix: str) -> Iterator[Setting]:
    for name, field in model.model_fields.items():
        inner = model_in(field.annotation)
        path = prefix + (field.alias or name) + _suffix(field.annotation, inner)
        text = " ".join((field.description or "").replace("``", "`").split())
        schema = {} if inner else shape(field.annotation, field.metadata)
        yield Setting(path, _expected(field, inner), _default(field, inner), text, schema)
        if inner is not None:
            yield from _walk(inner, f"{path}.")


def _suffix(annotation: Any, inner: type[BaseModel] | None) -> str:
    origin = get_origin(annotation)
    if inner is None:
        return ""
    return "[]" if origin is list else ".*" if origin is dict else ""


def _expected(field: FieldInfo, inner: type[BaseModel] | None) -> str:
    if inner is not None:
        return (
            "list" if get_origin(field.annotation) is list else "mapping" if get_origin(field.annotation) is dict else "section"
        )
    for parse, (words, _) in _WRITTEN.items():
        if _parsed_by(field, parse):
            return words
    return " or ".join(dict.fromkeys(_type_words(field.annotation)))


def _type_words(annotation: Any) -> Iterator[str]:
    arguments = get_args(annotation)
    origin = get_origin(annotation) or annotation
    if origin is Literal:
        yield ", ".join(map(str, arguments))
    elif origin in _TYPE_WORDS:
        yield _TYPE_WORDS[origin]
    elif hasattr(annotation, "__metadata__"):
        yield from _type_words(arguments[0])
    else:
        for argument in arguments:
            if argument is not type(None):
                yield from _type_words(argument)


def _default(field: FieldInfo, inner: type[BaseModel] | None) -> str:
    default = field.default
    if field.is_required():
        return "required"
    if inner is not None or field.default_factory is not None or default is PydanticUndefined or default is None:
        return ""
    for parse, (_, write) in _WRITTEN.items():
        if _parsed_by(field, parse):
            return write(default)
    if isinstance(default, bool):
        return str(default).lower()
    return f"[{', '.join(map(str, default))}]" if isinstance(default, list) else str(default or "")


def _parsed_by(field: FieldInfo, parse: Callable[[Any], Any]) -> bool:
    return any(getattr(part, "func", None) is parse for part in field.metadata)


def _in_units(units: Sequence[tuple[str, float]]) -> Callable[[float], str]:
    def write(value: float) -> str:
        # the largest unit that leaves a whole number
        return next(
            (f"{value / size:g}{unit}" for unit, size in units if value >= size and (value / size).is_integer()), f"{value:g}"
        )

    return write


_TYPE_WORDS: dict[Any, str] = {
    str: "text", int: "whole number", float: "number", bool: "true, false", SecretStr: "secret", dict: "mapping", list: "list", Any: "anything",
}  # fmt: skip
_WRITTEN: dict[Callable[[Any], Any], tuple[str, Callable[[Any], str]]] = {
    parse_duration: ("duration", _in_units((("d", 86400.0), ("h", 3600.0), ("m", 60.0), ("s", 1.0), ("ms", 0.001)))),
    parse_size: ("size", _in_units((("GiB", 2.0**30), ("MiB", 2.0**20), ("KiB", 2.0**10)))),
}


if __name__ == "__main__":
    sys.stdout.write(markdown())
