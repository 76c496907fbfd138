"""YAML text → plain values that remember their lines (pure).

Law: every key and item has a line; keys used twice are problems instead of the last one winning silently; nothing but mappings, lists and plain
scalars exists (no tags, no objects). Dates and clock-like numbers (``12:30``) stay text: people who write them mean text. Values are bounded, so that aliases
cannot grow into a bomb.
"""

from dataclasses import dataclass, field
from typing import Any

import yaml

from gateway.errors import Problem

Path = tuple[str | int, ...]
"""Keys and indices from the root; written dotted for people."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_SCALARS = yaml.SafeLoader("")
_MERGE = "tag:yaml.org,2002:merge"
_PLAIN = {f"tag:yaml.org,2002:{kind}" for kind in ("null", "bool", "int", "float", "str", "timestamp", "value")}
_AS_TEXT = {"tag:yaml.org,2002:timestamp", "tag:yaml.org,2002:value", "tag:yaml.org,2002:str"}
_MAX_DEPTH = 32
_MAX_NODES = 100_000


@dataclass(slots=True)
class Document:
    """What a file says and where."""

    file: str
    data: Any = None
    lines: dict[Path, int] = field(default_factory=dict)
    """1-based line of each key or item."""
    problems: list[tuple[Path, Problem]] = field(default_factory=list)

    def line(self, path: Path) -> int:
        """The line of ``path``, or of the nearest enclosing key that exists; 1 for the root."""
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 1)

    def add(self, path: Path, message: str, hint: str = "", line: int = 0) -> None:
        """Note a problem at ``path``."""
        self.problems.append((path, Problem(dotted(path), message, hint, self.file, line or self.line(path))))


def dotted(path: Path) -> str:
    """``('edge', 'limits')`` → ``edge.limits``; the root is called by what it is."""
    return ".".join(map(str, path)) or "(file)"


def parse(text: str, file: str) -> Document:
    """Read one YAML document. Problems are in the result; ``data`` is None if nothing could be read."""
    document = Document(file)
    try:
        root = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        hint = "indent with spaces, not tabs" if "\\t" in str(error.problem) else ""
        document.add((), f"not valid YAML: {error.problem or error.context}", hint, line=mark.line + 1 if mark else 1)
        return document
    except yaml.YAMLError as error:
        # the reader's own complaint: a control character or bytes that are no text
        document.add((), f"not valid YAML: {getattr(error, 'reason', 'unreadable')}")
        return document
    if root is not None:
        _Reader(document).read(root)
    if document.data is None and not document.problems:
        document.add((), "the file is empty", "ttgateway init writes a commented starter configuration")
    return document


class _Reader:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._left = _MAX_NODES

    def read(self, root: yaml.Node) -> None:
        self._document.data = self._value(root, ())

    def _value(self, node: yaml.Node, path: Path) -> Any:
        self._left -= 1
        if self._left < 0 or len(path) > _MAX_DEPTH:
            if self._left >= -1:
                self._document.add(path, "too large or too deeply nested", line=node.start_mark.line + 1)
                self._left = -2
            return None
        if isinstance(node, yaml.MappingNode):
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode):
            return self._list(node, path)
        return self._scalar(node, path)

    def _list(self, node: yaml.SequenceNode, path: Path) -> list[Any]:
        result = []
        for index, item in enumerate(node.value):
            self._document.lines[(*path, index)] = item.start_mark.line + 1
            result.append(self._value(item, (*path, index)))
        return result

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        merged: dict[str, Any] = {}
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if key_node.tag == _MERGE:
                sources = value_node.value if isinstance(value_node, yaml.SequenceNode) else [value_node]
                for source in reversed(sources):
                    merged.update(self._mapping(source, path) if isinstance(source, yaml.MappingNode) else {})
                continue
            if not isinstance(key_node, yaml.ScalarNode):
                self._document.add(path, "a key must be plain text", line=line)
                continue
            key: str = key_node.value
            if key in result:
                first = self._document.lines[(*path, key)]
                self._document.add((*path, key), "this key is used twice", f"first in line {first}; remove one", line=line)
                continue
            self._document.lines[(*path, key)] = line
            result[key] = self._value(value_node, (*path, key))
        return merged | result

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        if node.tag not in _PLAIN:
            self._document.add(path, f"the tag {node.tag} is not allowed", "write a plain value", line=node.start_mark.line + 1)
            return None
        if node.tag in _AS_TEXT or (node.tag.endswith((":int", ":float")) and ":" in node.value):
            return node.value
        try:
            return _SCALARS.construct_object(node, deep=True)
        except ValueError:
            return node.value
