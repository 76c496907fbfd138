"""Field mappings compiled to closures (pure).

Law: a step sets one target of a data item, or leaves it alone where its source has nothing; it never raises for what an event may hold. ``user.*`` targets become
rules for the sealer, which alone sees raw identity.
"""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.identity.seal import UserRule
from gateway.mapping import contents, path, properties
from gateway.mapping.coerce import boolean, given, text, trimmed
from gateway.mapping.settings import FieldMapping
from gateway.mapping.transforms import compose

Read = Callable[[dict[str, Any]], Any]
"""Sealed event → the mapping's value, with all that is done to it; None = nothing to set."""
Step = Callable[[dict[str, Any], dict[str, Any], list[str]], None]
"""(sealed event, item, findings): sets one target of the item."""
ContentsStep = Callable[[dict[str, Any], list[dict[str, Any]], list[str]], list[dict[str, Any]]]
"""(sealed event, contents, findings) → contents. These run before anything is derived from the contents."""
_LINES = "contents[]."
_WHOLE = "properties.contents"


def user_rules(mappings: Sequence[FieldMapping]) -> tuple[UserRule, ...]:
    """The mappings for the sealer."""
    return tuple(
        UserRule(
            mapping.target.removeprefix("user."),
            mapping.source.removesuffix("[]"),
            text(mapping.default, 1024),
            compose(mapping.transform, mapping.value_map, mapping.format),
        )
        for mapping in mappings
        if mapping.target.startswith("user.")
    )


def item_steps(mappings: Sequence[FieldMapping], withheld: frozenset[str]) -> tuple[Step, ...]:
    """The mappings that set a field of the data item. ``withheld`` are user fields that the integration does not send."""
    return tuple(
        _SETTERS[mapping.target.partition(".")[0]](mapping, _read(mapping, withheld))
        for mapping in mappings
        if not mapping.target.startswith(("user.", _LINES)) and mapping.target != _WHOLE
    )


def contents_steps(mappings: Sequence[FieldMapping], withheld: frozenset[str]) -> tuple[ContentsStep, ...]:
    """The mappings that make or change the contents."""
    return tuple(
        _set_line(mapping, _read(mapping, withheld))
        if mapping.target.startswith(_LINES)
        else _set_contents(_read(mapping, withheld))
        for mapping in mappings
        if mapping.target.startswith(_LINES) or mapping.target == _WHOLE
    )


def _read(mapping: FieldMapping, withheld: frozenset[str]) -> Read:
    default = mapping.default
    root, _, field = mapping.source.partition(".")
    if not mapping.source or (root == "user" and field in withheld):
        return lambda _sealed: default
    find = path.reader(mapping.source)
    change = compose(mapping.transform, mapping.value_map, mapping.format)

    def read(sealed: dict[str, Any]) -> Any:
        value = find(sealed)
        if change is not None and not _is_nothing(value):
            value = change(value)
        return default if _is_nothing(value) else value

    return read


def _is_nothing(value: Any) -> bool:
    return not value if type(value) is list else not given(value)


def _set_property(mapping: FieldMapping, read: Read) -> Step:
    field = mapping.target.partition(".")[2]

    def step(sealed: dict[str, Any], item: dict[str, Any], findings: list[str]) -> None:
        value = read(sealed)
        if value is not None:
            properties.put(item["properties"], field, value, findings)

    return step


def _set_page(mapping: FieldMapping, read: Read) -> Step:
    field = mapping.target.partition(".")[2]

    def step(sealed: dict[str, Any], item: dict[str, Any], findings: list[str]) -> None:
        if found := trimmed(read(sealed)):
            item["page"][field] = found

    return step


def _set_event_id(_mapping: FieldMapping, read: Read) -> Step:
    def step(sealed: dict[str, Any], item: dict[str, Any], findings: list[str]) -> None:
        value = read(sealed)
        if found := trimmed(value, 256):
            item["event_id"] = found
        elif value is not None:
            findings.append("event_id: the mapping's value is not usable; the event's own is kept")

    return step


def _set_limited(_mapping: FieldMapping, read: Read) -> Step:
    def step(sealed: dict[str, Any], item: dict[str, Any], findings: list[str]) -> None:
        if boolean(read(sealed)):
            item["limited_data_use"] = True

    return step


def _set_line(mapping: FieldMapping, read: Read) -> ContentsStep:
    field = mapping.target.removeprefix(_LINES)

    def step(sealed: dict[str, Any], lines: list[dict[str, Any]], findings: list[str]) -> list[dict[str, Any]]:
        value = read(sealed)
        return lines if value is None else contents.set_field(lines, field, value, findings)

    return step


def _set_contents(read: Read) -> ContentsStep:
    def step(sealed: dict[str, Any], lines: list[dict[str, Any]], findings: list[str]) -> list[dict[str, Any]]:
        value = read(sealed)
        return lines if value is None else contents.lines({"contents": value}, (), findings)[0] or lines

    return step


_SETTERS: dict[str, Callable[[FieldMapping, Read], Step]] = {
    "properties": _set_property,
    "page": _set_page,
    "event_id": _set_event_id,
    "limited_data_use": _set_limited,
}
"""First word of the target → who sets it."""
