"""A configuration file → settings and everything that is wrong with it (io: reads the file, the secrets it names, and the catalogue made in the UI).

Law: all problems at once, each with file and line. ``check``, start-up and reload share this one function; what a problem costs differs: a fault in ``edge`` or
``ops`` is fatal, any other switches its own part off (``off``) and leaves the rest as written; an integration whose
token is not there collects and waits for it. Entries made in the UI stand behind those of the file: where both
claim an id or a key, the file has it.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.catalog import model as catalog_model
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.store import HEAD
from gateway.config import document as doc
from gateway.config import environment, words
from gateway.config.references import Resolver
from gateway.config.settings import ENTRY_LISTS, FATAL_SECTIONS, GatewaySettings
from gateway.edge.settings import parse_listen
from gateway.errors import Problem

_MAX_FILE_BYTES = 4 << 20
_TOKEN = "access_token"  # noqa: S105 - a field's name
_ENTRY_MODELS: dict[str, type[BaseModel]] = {"pipelines": PipelineSettings, "integrations": IntegrationSettings}
_SECTION_MODELS = {
    name: model for name, field in GatewaySettings.model_fields.items() if (model := words.model_in(field.annotation))
}


@dataclass(slots=True)
class Loaded:
    """What a configuration file came to."""

    settings: GatewaySettings
    """The sound parts; defaults stand where a part is off."""
    problems: list[Problem] = field(default_factory=list)
    fatal: bool = False
    """``edge`` or ``ops`` is unusable, or nothing could be read: there is nothing to start."""
    off: dict[str, str] = field(default_factory=dict)
    """Part → first problem: section names, ``pipelines.<id>``, ``integrations.<id>`` (the index where there is no id);
    ``integrations.<id>.access_token`` where only that is missing, and the integration is there without it."""
    files: list[Path] = field(default_factory=list)
    """The file itself, the catalogue and the secrets they name, for the watcher."""
    made: frozenset[str] = frozenset()
    """``pipelines.<id>`` and ``integrations.<id>`` of the entries made in the UI, broken ones included."""
    revision: int = 0
    """Of the catalogue."""


@dataclass(slots=True)
class _Source:
    """One document that declares entries."""

    document: doc.Document
    data: dict[str, Any] = field(default_factory=dict)
    """References resolved."""
    entries: dict[str, dict[int, Any]] = field(default_factory=lambda: {name: {} for name in ENTRY_LISTS})
    """List name → index in the document → sound entry."""


def load(path: Path, variables: Mapping[str, str] | None = None, made: str | None = None, role: str = "all") -> Loaded:
    """Read ``path``. Never raises for what is in it or that it is missing. ``made`` stands for the content of the catalogue made in the UI, to try a change; ``role`` is what
    the process is for: tokens are not even read where nothing is delivered."""
    source = _Source(_read(path))
    document = source.document
    loaded = Loaded(GatewaySettings(), files=[path])
    sources = [source]
    if document.data is not None:
        variables = environment.variables() if variables is None else variables
        data = _resolved(document, variables, path.absolute().parent, loaded, role)
        if isinstance(data, dict):
            source.data = data
            loaded.settings = _validate(source)
            if loaded.settings.catalog.path is not None:
                sources.append(_made(Path(loaded.settings.catalog.path), made, loaded, role))
            _cross_check(sources)
        else:
            document.add((), "expected a mapping of sections", "ttgateway init writes a commented starter configuration")
    _judge(sources, loaded)
    return loaded


def _resolved(document: doc.Document, variables: Mapping[str, str], folder: Path, loaded: Loaded, role: str) -> Any:
    """The document with its references replaced. What is not delivered needs no token: an edge never reads one, and where there is only a UI one may be missing."""
    if role == "edge":
        for integration in _items(document.data, "integrations") if isinstance(document.data, dict) else ():
            integration.pop(_TOKEN, None)
    resolver = Resolver(document, variables, folder)
    data = resolver.resolve()
    loaded.files += resolver.files
    if role == "admin":
        document.problems = [each for each in document.problems if (*each[0][:1], *each[0][2:]) != ("integrations", _TOKEN)]
    return data


def _made(folder: Path, text: str | None, loaded: Loaded, role: str) -> _Source:
    """What the UI has made, if anything."""
    path = folder / HEAD
    loaded.files.append(path)
    source = _Source(doc.Document(str(path)))
    if text is None and not path.exists():
        if loaded.settings.spool.kind == "jetstream":
            # What the pods share may hold anything: nobody may be told that it does not exist, nor its queue be buried.
            loaded.off["catalog"] = "the shared catalogue has not been seen here yet"
        return source
    source.document = document = doc.parse(text, str(path)) if text is not None else _read(path)
    data = _resolved(document, {}, folder.absolute(), loaded, role)
    if not isinstance(data, dict):
        if not document.problems:
            document.add((), "expected a mapping", "roll back by copying the last of revisions/ over it")
        return source
    source.data = data
    loaded.revision = data["number"] if isinstance(data.get("number"), int) else 0
    for name in ENTRY_LISTS:
        if data.get(name) is not None:
            _entries(source, name)
    loaded.made = frozenset(f"{name}.{item['id']}" for name in ENTRY_LISTS for item in _items(data, name) if item.get("id"))
    return source


def _read(path: Path) -> doc.Document:
    document = doc.Document(str(path))
    try:
        with path.open("rb") as file:
            content = file.read(_MAX_FILE_BYTES + 1)
    except OSError as error:
        document.problems.append(((), Problem("(file)", f"cannot be read: {error.strerror}", "name it with -c", str(path))))
        return document
    if len(content) > _MAX_FILE_BYTES:
        document.add((), "larger than 4 MiB", "is it the right file?")
        return document
    try:
        return doc.parse(content.decode("utf-8-sig"), str(path))
    except UnicodeDecodeError as error:
        document.add((), "not UTF-8 text", line=content[: error.start].count(b"\n") + 1)
        return document


def _validate(source: _Source) -> GatewaySettings:
    document, data = source.document, source.data
    fields = GatewaySettings.model_fields
    for key in data:
        if key not in fields:
            document.add((key,), "unknown key", words.nearest(key, list(fields)))
    if "version" not in data:
        document.add((), "version is missing", "write version: 1")
    elif data["version"] != 1 or isinstance(data["version"], bool):
        document.add(("version",), "expected 1", "this is the only version there is")
    values: dict[str, Any] = {}
    for name in fields:
        if name == "version" or data.get(name) is None:
            continue
        if name in ENTRY_LISTS:
            _entries(source, name)
            continue
        section = _section(document, (name,), _SECTION_MODELS[name], data[name])
        if section is not None:
            values[name] = section
    settings = GatewaySettings.model_construct(**values)
    _check_listeners(document, settings)
    return settings


def _section(document: doc.Document, at: doc.Path, model: type[BaseModel], data: Any) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        words.translate(error, model, document, at, data)
        return None


def _entries(source: _Source, name: str) -> None:
    document, items = source.document, source.data[name]
    if not isinstance(items, list):
        document.add((name,), "expected a list", "each entry begins with a dash")
        return
    found = ((index, _section(document, (name, index), _ENTRY_MODELS[name], item)) for index, item in enumerate(items))
    source.entries[name] = {index: entry for index, entry in found if entry is not None}


def _cross_check(sources: list[_Source]) -> None:
    """The catalogue's own rules; their indices count the sound entries of all sources, ours those of a document."""
    places = {name: [(source, index) for source in sources for index in source.entries[name]] for name in ENTRY_LISTS}
    pipelines: list[PipelineSettings] = [source.entries["pipelines"][index] for source, index in places["pipelines"]]
    integrations: list[IntegrationSettings] = [source.entries["integrations"][index] for source, index in places["integrations"]]
    declared = {str(item.get("id")) for source in sources for item in _items(source.data, "integrations")}
    for problem in catalog_model.validate(pipelines, integrations):
        name, number, *rest = problem.path.split(".")
        source, index = places[name][int(number)]
        at: doc.Path = (name, index, *(int(step) if step.isdigit() else step for step in rest))
        if name == "pipelines" and rest[:1] == ["integrations"]:
            reference = pipelines[int(number)].integrations[int(rest[1])]
            if reference in declared:
                continue  # it is there, and has a problem of its own
            source.document.add(at, problem.message, words.nearest(reference, sorted(declared)) or problem.hint)
            continue
        source.document.add(at, problem.message, problem.hint)
    _cross_check_broken(sources, declared)


def _cross_check_broken(sources: list[_Source], declared: set[str]) -> None:
    """The same for entries with faults of their own, as far as they can be read: mending those must not bring up others."""
    for name, field_ in (("pipelines", "id"), ("integrations", "id"), ("pipelines", "key")):
        first: dict[str, tuple[_Source, int]] = {}
        for source, index, item in _numbered(sources, name):
            value = item.get(field_)
            if not isinstance(value, str) or first.setdefault(value, (source, index)) == (source, index):
                continue
            for other, at in ((source, index), first[value]):
                if at not in other.entries[name]:
                    other.document.add((name, at, field_), "is used twice", f"{field_}s must differ")
                    break
    for source, index, item in _numbered(sources, "pipelines"):
        references = item.get("integrations")
        if index in source.entries["pipelines"] or not isinstance(references, list):
            continue
        for number, reference in enumerate(references):
            if isinstance(reference, str) and reference not in declared:
                hint = words.nearest(reference, sorted(declared))
                source.document.add(("pipelines", index, "integrations", number), f"there is no integration {reference!r}", hint)


def _numbered(sources: list[_Source], name: str) -> Iterator[tuple[_Source, int, dict[str, Any]]]:
    for source in sources:
        items = source.data.get(name)
        for index, item in enumerate(items if isinstance(items, list) else ()):
            if isinstance(item, dict):
                yield source, index, item


def _items(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    items = data.get(name)
    return [item for item in items if isinstance(item, dict)] if isinstance(items, list) else []


def _check_listeners(document: doc.Document, settings: GatewaySettings) -> None:
    taken: dict[int, str] = {parse_listen(settings.edge.listen)[1]: "edge"}
    for name, section in (("ops", settings.ops), ("admin", settings.admin)):
        if section is None:
            continue
        try:
            port = parse_listen(section.listen)[1]
        except ValueError as error:
            document.add((name, "listen"), str(error))
            continue
        if port and port in taken:
            document.add((name, "listen"), f"the same port as {taken[port]}.listen", "each listener needs a port of its own")
        taken.setdefault(port, name)


def _judge(sources: list[_Source], loaded: Loaded) -> None:
    """Decide what each problem switches off, and put the sound entries into the settings."""
    sound: dict[str, list[Any]] = {name: [] for name in ENTRY_LISTS}
    for source in sources:
        made = source is not sources[0]
        document, entries = source.document, {name: dict(found) for name, found in source.entries.items()}
        document.problems.sort(key=lambda item: item[1].line)
        for path, problem in document.problems:
            loaded.problems.append(problem)
            section = str(path[0]) if path else ""
            if section in ENTRY_LISTS and len(path) > 1 and isinstance(path[1], int):
                if section == "pipelines" and path[2:3] == ("integrations",) and len(path) > 3:
                    continue  # a reference to nothing: the pipeline goes on with its other integrations
                if path[2:] == (_TOKEN,) and (entry := entries[section].get(path[1])) and entry.access_token is None:
                    # Nothing to deliver with yet, as where none is written: its events queue up and wait for it.
                    loaded.off.setdefault(f"{section}.{entry.id}.{_TOKEN}", str(problem))
                    continue
                entries[section].pop(path[1], None)
                loaded.off.setdefault(f"{section}.{_entry_name(document, path[:2])}", str(problem))
            elif made:
                loaded.off.setdefault("catalog", str(problem))
            elif section in FATAL_SECTIONS or not isinstance(document.data, dict):
                loaded.fatal = True
            elif section in GatewaySettings.model_fields:
                loaded.off.setdefault(section, str(problem))
        for name in ENTRY_LISTS:
            sound[name] += entries[name].values()
    loaded.settings = loaded.settings.model_copy(update=sound)


def _entry_name(document: doc.Document, path: doc.Path) -> str:
    """The entry's id as written, or its index."""
    entry = document.data[path[0]][path[1]]
    return str(entry["id"]) if isinstance(entry, dict) and entry.get("id") else str(path[1])
