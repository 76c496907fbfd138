"""Dotted paths into a sealed event (pure): how a mapping names its source.

Law: a path is read once, when a mapping is compiled; reading a value by it never raises. ``products.0.sku`` and ``products[0].sku`` pick one entry,
``products[].sku`` (or ``[*]``) collects from all.
"""

import re
from collections.abc import Callable
from typing import Any

_INDEX = re.compile(r"\[(\d{1,4})\]")
_FORM = re.compile(r"[^.\[\]\s][^.\[\]]*(\[\])?(\.[^.\[\]]+(\[\])?)*")

ROOTS: dict[str, str] = {
    "properties": "properties", "traits": "traits", "context": "context", "page": "page", "user": "user",
    "event": "name", "name": "name", "type": "type", "event_id": "event_id", "messageId": "event_id", "message_id": "event_id",
    "time": "time", "timestamp": "time", "event_time": "time", "pipeline": "pipeline", "wire": "wire", "gpc": "gpc",
}  # fmt: skip
"""What a path may begin with → the sealed event's field."""
IDENTITY_ROOTS = frozenset({"userId", "user_id", "anonymousId", "anonymous_id"})
"""What a path may begin with in addition where the target is ``user.*``: that mapping reads the raw event."""
_BELOW_CONTEXT = {
    "context.page": "page", "context.traits": "traits", "context.user": "user", "context.locale": "user.locale", "context.ip": "user.ip",
    "context.userAgent": "user.user_agent", "context.user_agent": "user.user_agent", "context.ttclid": "user.ttclid",
}  # fmt: skip
"""Parts of Signal's context that have a place of their own after parsing."""


def normalise(path: str) -> str:
    """One spelling for the same path: ``$.`` dropped, ``[0]`` as ``.0``, ``[*]`` as ``[]``, the context's parts under their own names."""
    found = _INDEX.sub(r".\1", path.strip().removeprefix("$.").replace("[*]", "[]"))
    for old, new in _BELOW_CONTEXT.items():
        if found == old or found.startswith((old + ".", old + "[")):
            return new + found[len(old) :]
    return found


def problem(path: str, *, identity: bool) -> str:
    """What is wrong with a normalised path, ``''`` if nothing is. ``identity``: it is for a ``user.*`` target."""
    if not _FORM.fullmatch(path) or len(path) > 256:
        return "expected a dotted path such as properties.total or properties.products[].sku"
    root = path.partition(".")[0].removesuffix("[]")
    if root not in ROOTS and not (identity and root in IDENTITY_ROOTS):
        return (
            f"expected a path that begins with properties, traits, context, page, user or event; did you mean properties.{path}?"
        )
    if identity and "[]" in path.removesuffix("[]"):
        return "user.* takes one value: pick an entry, as in properties.guests.0.email"
    return ""


def reader(path: str) -> Callable[[dict[str, Any]], Any]:
    """A getter of a normalised path's value from a sealed event; None where there is none. Collected entries keep their place: missing ones are None."""
    root, _, rest = path.partition(".")
    field = ROOTS[root]
    if not rest:
        return lambda sealed: sealed.get(field)
    parts = rest.split(".")
    if len(parts) == 1 and "[]" not in rest:
        only = parts[0]

        def near(sealed: dict[str, Any]) -> Any:
            value = sealed.get(field)
            return value.get(only) if type(value) is dict else None

        return near
    steps = [
        (part.removesuffix("[]"), int(part) if part.isascii() and part.isdigit() else -1, part.endswith("[]")) for part in parts
    ]
    return lambda sealed: _walk(sealed.get(field), steps, 0)


def _walk(value: Any, steps: list[tuple[str, int, bool]], at: int) -> Any:
    for number in range(at, len(steps)):
        name, index, every = steps[number]
        if type(value) is dict:
            value = value.get(name)
        elif type(value) is list and 0 <= index < len(value):
            value = value[index]
        else:
            return None
        if every:
            return [_walk(entry, steps, number + 1) for entry in value] if type(value) is list else None
    return value
