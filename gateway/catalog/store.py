"""The catalogue that is made in the management UI, on disk with its revisions (io: the folder ``catalog.path``).

Law: a revision is the whole catalogue in one file. What is in force is a file of its own, which a change replaces in one step once its revision and its secrets are on the
disk: after a crash either the old or the new holds, never a part. Secrets are files of their own (0600); entries only refer to them, and a secret that was replaced is
removed. Whatever else stands in an entry is text: ``${…}`` in it refers to nothing.
"""

import fcntl
import os
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

import yaml

from gateway.errors import GatewayError

HEAD = "catalogue.yaml"
"""What is in force."""
KINDS = ("pipelines", "integrations")
SECRETS = {"pipelines": "secret", "integrations": "access_token"}
"""Kind → the field that is kept in a file of its own."""
KEPT = 500
"""Revisions."""

_REVISIONS, _SECRETS, _LOCK = "revisions", "secrets", "catalogue.lock"
_REFERENCE = re.compile(r"\$\{[^}]*\}")
_WRITTEN_REFERENCE = re.compile(r"\$(\$\{[^}]*\})")
_SECRET_REFERENCE = re.compile(r"\$\{file:secrets/([a-z0-9._-]+)\}")
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_HEADER = "# Made in the management UI; every change is a revision beside it. Edit it while the gateway runs only if you must: it is taken over like any other file.\n"

Entry = dict[str, Any]


class CatalogueUnusable(GatewayError):
    """The folder cannot be read or written; the message says what to do."""


class ChangedMeanwhile(GatewayError):
    """Somebody else's revision came in between."""


@dataclass(frozen=True, slots=True)
class Revision:
    """The catalogue after one change. ``number`` 0 = nothing has been made yet."""

    number: int = 0
    at: float = 0.0
    """Unix seconds."""
    actor: str = ""
    summary: str = ""
    pipelines: list[Entry] = field(default_factory=list)
    """As in a configuration file, secrets as references."""
    integrations: list[Entry] = field(default_factory=list)
    test_codes: dict[str, float] = field(default_factory=dict)
    """Integration → Unix seconds at which its test event code is taken out."""

    def entries(self, kind: str) -> list[Entry]:
        """Those of ``pipelines`` or ``integrations``."""
        found: list[Entry] = getattr(self, kind)
        return found

    def entry(self, kind: str, id_: str) -> Entry | None:
        """The one of that id."""
        return next((each for each in self.entries(kind) if each.get("id") == id_), None)


class _Dumper(yaml.SafeDumper):
    """Writes Unicode's own line ends escaped: bare, they would be read back as a space."""


_LINE_ENDS = frozenset("\x85\u2028\u2029")


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if _LINE_ENDS.isdisjoint(text) else '"')


_Dumper.add_representer(str, _text_node)


def dumped(revision: Revision) -> str:
    """The file's text."""
    document = {"version": 1, **asdict(revision)}
    for kind in KINDS:
        document[kind] = [_escaped(entry, SECRETS[kind]) for entry in revision.entries(kind)]
    return _HEADER + str(yaml.dump(document, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=120))


def parsed(text: str) -> Revision:
    """A file's text read back. CatalogueUnusable if it is none."""
    try:
        document = yaml.load(text, Loader=_LOADER)  # noqa: S506 - the safe loader, in C where there is one
        return Revision(
            int(document["number"]),
            float(document["at"]),
            str(document["actor"]),
            str(document["summary"]),
            [_plain(entry) for entry in document.get("pipelines") or []],
            [_plain(entry) for entry in document.get("integrations") or []],
            {str(name): float(at) for name, at in (document.get("test_codes") or {}).items()},
        )
    except (yaml.YAMLError, KeyError, TypeError, ValueError, AttributeError) as error:
        raise CatalogueUnusable(f"not a revision of the catalogue: {type(error).__name__}") from None


def reference(name: str) -> str:
    """To the secret of that name, as an entry has it."""
    return f"${{file:{_SECRETS}/{name}}}"


def secret_name(reference_: str) -> str:
    """The inverse; empty if it refers to none."""
    match = _SECRET_REFERENCE.fullmatch(reference_)
    return match[1] if match else ""


def named_secrets(revision: Revision, *kinds: str) -> dict[str, str]:
    """Reference → name of the secrets that entries of ``kinds`` (none given = all) refer to."""
    fields = (str(entry.get(SECRETS[kind], "")) for kind in kinds or KINDS for entry in revision.entries(kind))
    return {each: name for each in fields if (name := secret_name(each))}


class Revisions(Protocol):
    """Where changes are kept. Every method blocks, and raises CatalogueUnusable."""

    def fault(self) -> str:
        """Why nothing can be changed; empty = it can."""
        ...

    def head(self) -> Revision:
        """What is in force."""
        ...

    def revision(self, number: int) -> Revision | None:
        """One of those that are kept."""
        ...

    def numbers(self, below: int | None = None) -> list[int]:
        """The revisions that are kept, newest first; those of changes that never came into force left out."""
        ...

    def keep_secret(self, kind: str, id_: str, value: str) -> str:
        """Keep a secret apart; the reference to it."""
        ...

    def last_secret(self, kind: str, id_: str) -> str:
        """The reference to the secret that an entry has or had last; empty = none is kept."""
        ...

    def drop_secrets(self, references: Iterable[str]) -> None:
        """Remove those of changes that did not come to be."""
        ...

    def commit(self, revision: Revision) -> None:
        """Put ``revision`` in force. ChangedMeanwhile unless it follows the one that is."""
        ...


class Store:
    """One folder. Every method blocks: call it off the loop."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @property
    def head_path(self) -> Path:
        """The file that is in force."""
        return self.folder / HEAD

    def fault(self) -> str:
        """Why nothing can be written here; empty = it can."""
        try:
            self._prepare()
            probe = self.folder / ".probe"
            probe.touch()
            probe.unlink()
        except OSError as error:
            return f"{self.folder} cannot be written: {error.strerror}. Mount a writable volume there, or change catalog.path."
        return ""

    def head(self) -> Revision:
        """What is in force. CatalogueUnusable if it cannot be read."""
        try:
            return parsed(self.head_path.read_text())
        except FileNotFoundError:
            return Revision()
        except (OSError, UnicodeDecodeError) as error:
            raise CatalogueUnusable(f"{self.head_path} cannot be read: {error}") from None

    def revision(self, number: int) -> Revision | None:
        """One of those that are kept."""
        try:
            return parsed(self._path(number).read_text())
        except (OSError, UnicodeDecodeError):
            return None

    def numbers(self, below: int | None = None) -> list[int]:
        """The revisions that are kept, newest first; those of changes that never came into force left out."""
        end = self.head().number + 1 if below is None else below
        found = (int(path.stem) for path in (self.folder / _REVISIONS).glob("*.yaml") if path.stem.isdigit())
        return sorted((number for number in found if number < end), reverse=True)

    def keep_secret(self, kind: str, id_: str, value: str) -> str:
        """Write a secret into a file of its own; the reference to it."""
        self._prepare()
        name = f"{kind}.{id_}.{SECRETS[kind]}"
        number = max((_version(path) for path in self._secrets(name)), default=0) + 1
        _write(self.folder / _SECRETS / f"{name}.{number}", value)
        return reference(f"{name}.{number}")

    def last_secret(self, kind: str, id_: str) -> str:
        """The reference to the secret that an entry has or had last; empty = none is kept."""
        paths = self._secrets(f"{kind}.{id_}.{SECRETS[kind]}")
        return reference(max(paths, key=_version).name) if paths else ""

    def drop_secrets(self, references: Iterable[str]) -> None:
        """Remove the files of changes that did not come to be."""
        for name in map(secret_name, references):
            if name:
                (self.folder / _SECRETS / name).unlink(missing_ok=True)

    def commit(self, revision: Revision) -> None:
        """Put ``revision`` in force. ChangedMeanwhile unless it follows the one that is; CatalogueUnusable if it cannot be written."""
        try:
            with self._locked():
                if self.head().number != revision.number - 1:
                    raise ChangedMeanwhile("somebody else changed the catalogue meanwhile; read it again")
                text = dumped(revision)
                _write(self._path(revision.number), text)
                _write(self.head_path, text)
                self._sweep(revision)
        except OSError as error:
            raise CatalogueUnusable(f"{self.folder} cannot be written: {error.strerror}") from None

    # -- a copy of what is kept elsewhere

    def secrets(self) -> dict[str, str]:
        """File name → value of all that are here."""
        found = {}
        with suppress(OSError, UnicodeDecodeError):
            for path in (self.folder / _SECRETS).iterdir():
                if path.suffix[1:].isdigit():
                    found[path.name] = path.read_text()
        return found

    def copy_secrets(self, values: Mapping[str, str]) -> None:
        """Write them, by file name."""
        try:
            self._prepare()
            for name, value in values.items():
                _write(self.folder / _SECRETS / name, value)
        except OSError as error:
            raise CatalogueUnusable(f"{self.folder} cannot be written: {error.strerror}") from None

    def copy_head(self, text: str, keep: Collection[str]) -> bool:
        """Put ``text`` in force here and remove all secrets but ``keep``; whether it is another text."""
        try:
            with self._locked():
                changed = not self.head_path.exists() or self.head_path.read_bytes() != text.encode()
                if changed:
                    _write(self.head_path, text)
                for path in list((self.folder / _SECRETS).iterdir()):
                    if path.name not in keep:
                        path.unlink()
        except OSError as error:
            raise CatalogueUnusable(f"{self.folder} cannot be written: {error.strerror}") from None
        return changed

    # -- inside

    def _path(self, number: int) -> Path:
        return self.folder / _REVISIONS / f"{number:07}.yaml"

    def _secrets(self, name: str) -> list[Path]:
        return [path for path in (self.folder / _SECRETS).glob(f"{name}.*") if path.suffix[1:].isdigit()]

    def _prepare(self) -> None:
        for folder in (self.folder, self.folder / _REVISIONS, self.folder / _SECRETS):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        self._prepare()
        descriptor = os.open(self.folder / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _sweep(self, head: Revision) -> None:
        """Remove old revisions, and the secrets that nothing needs any more: of an entry that exists only the one it refers to, of one that was removed the last, as long as
        a revision could bring it back."""
        with suppress(OSError):
            kept = self.numbers(head.number + 1)
            for number in kept[KEPT:]:
                self._path(number).unlink()
            held = named_secrets(head)
            for path in list((self.folder / _SECRETS).iterdir()):
                own = reference(path.name)
                kind, id_, *_ = path.name.split(".")
                if own in held or not path.suffix[1:].isdigit():
                    continue
                gone = kind in KINDS and head.entry(kind, id_) is None and self.last_secret(kind, id_) == own
                if not (gone and self._remembered(path.stem, kept[:KEPT])):
                    path.unlink()

    def _remembered(self, name: str, numbers: Iterable[int]) -> bool:
        return any(f"{_SECRETS}/{name}.".encode() in self._path(number).read_bytes() for number in numbers)


def _version(path: Path) -> int:
    return int(path.suffix[1:])


def _write(path: Path, text: str) -> None:
    """Replace ``path`` in one step, durable when it returns."""
    fresh = path.with_name(f".{path.name}.new")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    fresh.replace(path)
    folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _escaped(entry: Mapping[str, Any], secret: str) -> Entry:
    return {name: value if name == secret else _each_text(value, lambda text: _REFERENCE.sub(r"$\g<0>", text)) for name, value in entry.items()}  # fmt: skip


def _plain(entry: Mapping[str, Any]) -> Entry:
    return {name: _each_text(value, lambda text: _WRITTEN_REFERENCE.sub(r"\1", text)) for name, value in entry.items()}


def _each_text(value: Any, change: Any) -> Any:
    match value:
        case str():
            return change(value)
        case dict():
            return {name: _each_text(inner, change) for name, inner in value.items()}
        case list():
            return [_each_text(inner, change) for inner in value]
        case _:
            return value
