"""How commands reach the management API (io): the running gateway's, or one of their own over the spool.

Law: there is one code path. Where no gateway runs, the command opens the spool under its lock and serves the same API to itself over a unix socket.
"""

import secrets
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import aiohttp
import click
from aiohttp import web

from gateway.admin.listener import create_app
from gateway.admin.operation import PREFIX
from gateway.admin.settings import AdminSettings, AdminToken
from gateway.app.changing import compile_sound
from gateway.app.management import make_desk
from gateway.catalog.runtime import Live
from gateway.config.load import Loaded, load
from gateway.edge.settings import parse_listen
from gateway.errors import GatewayError, SpoolLocked
from gateway.settings import SecretStr
from gateway.spool.engine import open_spool
from gateway.telemetry.metrics import Metrics

_LOOK_S = 2.0


class Api:
    """The management API, wherever it is."""

    def __init__(self, session: aiohttp.ClientSession, base: str, token: str, *, running: bool) -> None:
        self._session = session
        self._base = base
        self._headers = {"Authorization": f"Bearer {token}"}
        self.running = running
        """True: a gateway that runs answers."""

    async def call(self, method: str, path: str, *, query: dict[str, Any] | None = None, body: Any = None) -> Any:
        """The JSON of an answer; ClickException with the API's own words for a refusal."""
        wanted = {name: str(value) for name, value in (query or {}).items() if value not in {"", None, 0.0}}
        async with self._session.request(method, self._base + path, params=wanted, json=body, headers=self._headers) as answer:
            found = await answer.json() if answer.content_type == "application/json" else None
            if answer.status >= 400:
                raise click.ClickException(_words(found) or f"the gateway answered {answer.status}")
            return found

    async def lines(self, path: str, query: dict[str, Any]) -> AsyncIterator[bytes]:
        """The lines of a streamed answer."""
        wanted = {name: str(value) for name, value in query.items() if value not in {"", None, 0.0}}
        async with self._session.get(self._base + path, params=wanted, headers=self._headers) as answer:
            if answer.status >= 400:
                raise click.ClickException(_words(await answer.json()) or f"the gateway answered {answer.status}")
            async for line in answer.content:
                yield line


def _words(found: Any) -> str:
    return str(found["error"]["message"]) if isinstance(found, dict) and "error" in found else ""


@asynccontextmanager
async def api(config: Path) -> AsyncIterator[Api]:
    """The API for ``config``. ClickException says what to do where neither way is open."""
    loaded = load(config)
    if loaded.fatal or "spool" in loaded.off:
        raise click.ClickException(
            f"the configuration has problems:\n{loaded.problems[0]}\nttgateway check -c {config} shows all."
        )
    async with _running(loaded) as found:
        if found is not None:
            yield found
            return
    async with _own(loaded) as found:
        yield found


@asynccontextmanager
async def _running(loaded: Loaded) -> AsyncIterator[Api | None]:
    admin = loaded.settings.admin
    token = next((each for each in admin.tokens if each.role == "editor"), None) if admin else None
    if admin is None or token is None:
        yield None
        return
    host, port = parse_listen(admin.listen)
    base = f"http://{'127.0.0.1' if host in {'', '0.0.0.0', '::'} else host}:{port}{PREFIX}"
    async with aiohttp.ClientSession(trust_env=False, timeout=aiohttp.ClientTimeout(total=None, sock_connect=_LOOK_S)) as session:
        found = Api(session, base, token.token.get_secret_value().strip(), running=True)
        try:
            await found.call("GET", "session")
        except aiohttp.ClientError:
            yield None
            return
        yield found


@asynccontextmanager
async def _own(loaded: Loaded) -> AsyncIterator[Api]:
    metrics = Metrics()
    try:
        spool = await open_spool(loaded.settings.spool, metrics=metrics, role="admin")
    except SpoolLocked as error:
        raise click.ClickException(
            f"{error}: a gateway runs on this spool. Give it an admin section with an editor's token, and this command works through it."
        ) from None
    except GatewayError as error:
        raise click.ClickException(f"the spool cannot be opened: {error}") from None
    secret = secrets.token_hex(16)
    admin = AdminSettings(tokens=[AdminToken(name="command line", role="editor", token=SecretStr(secret))])
    live = Live(compile_sound(loaded, secrets.token_bytes(32)))
    desk = make_desk(admin, lambda: spool, live, metrics)
    runner = web.AppRunner(create_app(desk), access_log=None)
    with tempfile.TemporaryDirectory(prefix="ttgateway-") as folder:
        path = str(Path(folder) / "api")
        try:
            await runner.setup()
            await web.UnixSite(runner, path).start()
            async with aiohttp.ClientSession(
                connector=aiohttp.UnixConnector(path), timeout=aiohttp.ClientTimeout(total=None)
            ) as session:
                yield Api(session, f"http://localhost{PREFIX}", secret, running=False)
        finally:
            for job in desk.replays.jobs.values():
                if job.task is not None:
                    with suppress(Exception):
                        await job.task
            await runner.cleanup()
            await spool.close()
