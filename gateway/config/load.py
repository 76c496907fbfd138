"""A configuration file → settings and everything that is wrong with it (io: reads the file and the secrets it names).

Law: all problems at once, each with file and line. ``check``, start-up and reload share this one function; what a problem costs differs: a fault in ``edge`` or
``ops`` is fatal, any other switches its own part off (``off``) and leaves the rest as written.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from gateway.catalog import model as catalog_model
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.config import document as doc
from gateway.config import environment, words
from gateway.config.references import Resolver
from gateway.config.settings import ENTRY_LISTS, FATAL_SECTIONS, GatewaySettings
from gateway.edge.settings import parse_listen
from gateway.errors import Problem

_MAX_FILE_BYTES = 4 << 20
_Entries = dict[str, dict[int, Any]]
"""List name → index in the file → sound entry."""
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
    """Part → first problem: section names, ``pipelines.<id>``, ``integrations.<id>`` (the index where there is no id)."""
    files: list[Path] = field(default_factory=list)
    """The file itself and the secrets it names, for the watcher."""


def load(path: Path, variables: Mapping[str, str] | None = None) -> Loaded:
    """Read ``path``. Never raises for what is in it or that it is missing."""
    document = _read(path)
    loaded = Loaded(GatewaySettings(), files=[path])
    entries: _Entries = {}
    if document.data is not None:
        resolver = Resolver(document, environment.variables() if variables is None else variables, path.absolute().parent)
        data = resolver.resolve()
        loaded.files += resolver.files
        if isinstance(data, dict):
            loaded.settings, entries = _validate(document, data)
        else:
            document.add((), "expected a mapping of sections", "ttgateway init writes a commented starter configuration")
    _judge(document, loaded, entries)
    return loaded


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


def _validate(document: doc.Document, data: dict[str, Any]) -> tuple[GatewaySettings, _Entries]:
    fields = GatewaySettings.model_fields
    for key in data:
        if key not in fields:
            document.add((key,), "unknown key", words.nearest(key, list(fields)))
    if "version" not in data:
        document.add((), "version is missing", "write version: 1")
    elif data["version"] != 1 or isinstance(data["version"], bool):
        document.add(("version",), "expected 1", "this is the only version there is")
    values: dict[str, Any] = {}
    entries: _Entries = {name: {} for name in ENTRY_LISTS}
    for name in fields:
        if name == "version" or data.get(name) is None:
            continue
        if name in ENTRY_LISTS:
            entries[name] = _entries(document, name, data[name])
            continue
        section = _section(document, (name,), _SECTION_MODELS[name], data[name])
        if section is not None:
            values[name] = section
    _cross_check(document, entries, data)
    settings = GatewaySettings.model_construct(**values)
    _check_listeners(document, settings)
    return settings, entries


def _section(document: doc.Document, at: doc.Path, model: type[BaseModel], data: Any) -> Any:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        words.translate(error, model, document, at, data)
        return None


def _entries(document: doc.Document, name: str, items: Any) -> dict[int, Any]:
    if not isinstance(items, list):
        document.add((name,), "expected a list", "each entry begins with a dash")
        return {}
    found = ((index, _section(document, (name, index), _ENTRY_MODELS[name], item)) for index, item in enumerate(items))
    return {index: entry for index, entry in found if entry is not None}


def _cross_check(document: doc.Document, entries: _Entries, data: dict[str, Any]) -> None:
    """The catalogue's own rules; its indices count the sound entries, ours those of the file."""
    indices = {name: list(found) for name, found in entries.items()}
    declared = {str(item.get("id")) for item in _items(data, "integrations")}
    pipelines: list[PipelineSettings] = list(entries["pipelines"].values())
    for problem in catalog_model.validate(pipelines, list(entries["integrations"].values())):
        name, index, *rest = problem.path.split(".")
        at: doc.Path = (name, indices[name][int(index)], *(int(step) if step.isdigit() else step for step in rest))
        if name == "pipelines" and rest[:1] == ["integrations"]:
            reference = pipelines[int(index)].integrations[int(rest[1])]
            if reference in declared:
                continue  # it is there, and has a problem of its own
            document.add(at, problem.message, words.nearest(reference, sorted(declared)) or problem.hint)
            continue
        document.add(at, problem.message, problem.hint)


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


def _judge(document: doc.Document, loaded: Loaded, entries: _Entries) -> None:
    """Decide what each problem switches off, and put the sound entries into the settings."""
    document.problems.sort(key=lambda item: item[1].line)
    sound = {name: dict(found) for name, found in entries.items()}
    for path, problem in document.problems:
        loaded.problems.append(problem)
        section = str(path[0]) if path else ""
        if section in FATAL_SECTIONS or not isinstance(document.data, dict):
            loaded.fatal = True
        elif section in ENTRY_LISTS and len(path) > 1 and isinstance(path[1], int):
            if section == "pipelines" and path[2:3] == ("integrations",) and len(path) > 3:
                continue  # a reference to nothing: the pipeline goes on with its other integrations
            sound.get(section, {}).pop(path[1], None)
            loaded.off.setdefault(f"{section}.{_entry_name(document, path[:2])}", str(problem))
        elif section in GatewaySettings.model_fields:
            loaded.off.setdefault(section, str(problem))
    loaded.settings = loaded.settings.model_copy(update={name: list(found.values()) for name, found in sound.items()})


def _entry_name(document: doc.Document, path: doc.Path) -> str:
    """The entry's id as written, or its index."""
    entry = document.data[path[0]][path[1]]
    return str(entry["id"]) if isinstance(entry, dict) and entry.get("id") else str(path[1])
