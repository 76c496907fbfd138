"""What the catalogue that is made in the UI goes by (io): the same loading, checking and compiling as the configuration file.

Law: start-up, reload and the check of a change are one path; there is no second opinion about what is sound.
"""

import asyncio
import secrets
import time
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path

from gateway.admin.changes import Changes, Rules
from gateway.catalog.runtime import Catalogue, compile_catalogue
from gateway.catalog.shared import Commons, SharedStore
from gateway.catalog.store import HEAD, Store
from gateway.config.load import Loaded, load
from gateway.errors import Problem


def make_changes(
    path: Path,
    loaded: Callable[[], Loaded],
    apply: Callable[[], Awaitable[int]],
    role: str,
    commons: Callable[[], Commons | None],
) -> Changes | None:
    """The way to change the catalogue of the configuration at ``path``; None if it keeps none. ``apply`` reloads and gives the revision that is in force then; ``commons`` is
    what pods share, once they have met."""
    folder = loaded().settings.catalog.path
    if folder is None:
        return None

    def check(text: str) -> list[Problem]:
        known = {(each.path, each.message) for each in loaded().problems}
        tried = load(path, made=text, role=role)
        own = str(Path(folder) / HEAD)
        problems = [each for each in tried.problems if each.file == own and (each.path, each.message) not in known]
        problems += [each for each in tried.problems if each.file != own and (each.path, each.message) not in known]
        if not problems:
            compile_sound(tried, secrets.token_bytes(32))
        return problems

    def declared(kind: str) -> dict[str, Collection[str]]:
        found = loaded()
        entries = found.settings.pipelines if kind == "pipelines" else found.settings.integrations
        return {each.id: getattr(each, "integrations", ()) for each in entries if f"{kind}.{each.id}" not in found.made}

    shared = loaded().settings.spool.kind == "jetstream"
    store = SharedStore(commons, asyncio.get_running_loop()) if shared else Store(Path(folder))
    return Changes(store, Rules(check, apply, declared, lambda: loaded().settings.catalog.test_code_lifetime), time.time)


def compile_sound(loaded: Loaded, identity_key: bytes) -> Catalogue:
    """The sound part of the catalogue; a pipeline whose every integration is off is off itself."""
    settings = loaded.settings
    sound = {integration.id for integration in settings.integrations}
    served = [each for each in settings.pipelines if not each.integrations or sound.intersection(each.integrations)]
    off = {name for name in loaded.off if name.startswith(("pipelines", "integrations"))}
    off |= {f"pipelines.{each.id}" for each in settings.pipelines if each not in served}
    if "catalog" in loaded.off:
        # what was made in the UI cannot be read: nobody knows its names, and what waits for it must go on waiting
        off |= {"pipelines", "integrations"}
    return compile_catalogue(served, settings.integrations, identity_key, off)
