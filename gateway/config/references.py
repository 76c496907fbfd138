"""``${env:NAME}`` and ``${file:/path}`` in values → what they stand for (io: reads the named files).

Law: a value that cannot be resolved is left out and becomes a problem at its own place; which part that switches off is decided by the caller.
The content of a secret never appears in a problem. ``$${`` writes a literal ``${``.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.config import document as doc

_REFERENCE = re.compile(r"(\$?)\$\{([^}]*)\}")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_MAX_FILE_BYTES = 64 * 1024


class _Unresolved(Exception):
    def __init__(self, message: str, hint: str = "") -> None:
        super().__init__(message)
        self.message, self.hint = message, hint


_MISSING = object()


class Resolver:
    """Resolves the references of one document; ``files`` are those it named, for the watcher."""

    def __init__(self, document: doc.Document, environment: Mapping[str, str], folder: Path) -> None:
        self._document = document
        self._environment = environment
        self._folder = folder
        self.files: list[Path] = []

    def resolve(self) -> Any:
        """The document's data with every reference replaced; unresolved ones are left out."""
        data = self._walk(self._document.data, ())
        return None if data is _MISSING else data

    def _walk(self, value: Any, path: doc.Path) -> Any:
        match value:
            case str() if "${" in value:
                return self._text(value, path)
            case dict():
                walked = {key: self._walk(item, (*path, key)) for key, item in value.items()}
                return {key: item for key, item in walked.items() if item is not _MISSING}
            case list():
                items = [self._walk(item, (*path, index)) for index, item in enumerate(value)]
                # an unresolved item keeps its place: the others' lines and indices must still fit
                return [None if item is _MISSING else item for item in items]
            case _:
                return value

    def _text(self, text: str, path: doc.Path) -> Any:
        try:
            return _REFERENCE.sub(lambda match: match[0][1:] if match[1] else self._one(match[2]), text)
        except _Unresolved as fault:
            self._document.add(path, fault.message, fault.hint)
            return _MISSING

    def _one(self, reference: str) -> str:
        kind, _, name = reference.partition(":")
        if kind == "env" and _NAME.fullmatch(name):
            if name not in self._environment:
                raise _Unresolved(f"the environment variable {name} is not set")
            return self._environment[name]
        if kind == "file" and name:
            return self._file(self._folder / name)
        raise _Unresolved(f"${{{reference}}} is not understood", "expected ${env:NAME} or ${file:/path}")

    def _file(self, path: Path) -> str:
        if path not in self.files:
            self.files.append(path)
        try:
            content = path.read_bytes()
        except FileNotFoundError:
            raise _Unresolved(f"the file {path} does not exist", "is the secret mounted?") from None
        except OSError as error:
            raise _Unresolved(f"the file {path} cannot be read: {error.strerror}") from None
        if len(content) > _MAX_FILE_BYTES:
            raise _Unresolved(f"the file {path} is larger than 64 KiB", "is it the right file?")
        try:
            text = content.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise _Unresolved(f"the file {path} is not UTF-8 text", "is it the right file?") from None
        if not text.strip():
            raise _Unresolved(f"the file {path} is empty")
        return text
