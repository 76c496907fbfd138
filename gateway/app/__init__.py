"""The composition root (io): settings in, running gateway out; the only room that imports everybody."""

import asyncio
import logging
import secrets
from pathlib import Path

import uvloop

from gateway.app.changing import compile_sound
from gateway.app.gateway import Gateway
from gateway.catalog.runtime import Catalogue
from gateway.config.load import Loaded, load
from gateway.config.settings import GatewaySettings
from gateway.errors import Problem
from gateway.telemetry import logs

EXIT_OK, EXIT_FAILED, EXIT_CONFIGURATION = 0, 1, 78

_log = logging.getLogger(__name__)


def run(path: Path, log_level: str = "info", role: str = "all") -> int:
    """Run with the configuration at ``path`` until a signal; the exit code. 78 = ``edge`` or ``ops`` cannot be used, or the spool cannot be shared as ``role`` wants."""
    logs.configure(log_level)
    loaded = load(path, role=role)
    if loaded.fatal:
        for problem in loaded.problems:
            _log.critical("configuration problem; not started", extra={"problem": str(problem)})
        return EXIT_CONFIGURATION
    if role != "all" and loaded.settings.spool.kind == "sqlite":
        _log.critical("a role of its own needs a spool that pods share: spool.kind jetstream; not started", extra={"role": role})
        return EXIT_CONFIGURATION
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(_serve(path, loaded, role))


def sound_parts(path: Path) -> tuple[GatewaySettings, Catalogue | None, list[Problem]]:
    """What ``run`` would start with, and the problems; no catalogue if it would collect nothing."""
    loaded = load(path)
    if loaded.fatal or {"consent", "cookies"} & set(loaded.off):
        return loaded.settings, None, loaded.problems
    return loaded.settings, compile_sound(loaded, secrets.token_bytes(32)), loaded.problems


async def _serve(path: Path, loaded: Loaded, role: str) -> int:
    gateway = Gateway(path, loaded, role)
    try:
        await gateway.start_up()
    except OSError as error:
        _log.critical("cannot listen; not started", extra={"problem": str(error)})
        return EXIT_FAILED
    await gateway.main_loop()
    await gateway.shut_down()
    return EXIT_OK
