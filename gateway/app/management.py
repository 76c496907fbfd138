"""Puts the management listener together (io): its desk, its address, its life.

Law: a fault here costs the listener and nothing else; the site and the events go on, and the log says what to do.
"""

import asyncio
import logging
import secrets
import time
from collections.abc import Callable
from typing import Any

from aiohttp import web

from gateway.admin.access import Access
from gateway.admin.desk import Desk, Erased, Preview
from gateway.admin.listener import create_app
from gateway.admin.settings import AdminSettings
from gateway.app import trial
from gateway.app.watch import Watch
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import Live
from gateway.config.settings import GatewaySettings
from gateway.delivery.verdict import about
from gateway.edge.settings import parse_listen
from gateway.errors import SpoolUnavailable
from gateway.identity import normalise
from gateway.identity.seal import owner, sha256
from gateway.mapping.compile import Program, Unmapped
from gateway.outcome import Reason
from gateway.snippet import load as load_snippet
from gateway.snippet.tag import tags
from gateway.spool.base import Purged, Spool
from gateway.telemetry import tasks
from gateway.telemetry.feed import Feed
from gateway.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)

_EXPIRE_S = 5.0
_SCRIPT = load_snippet()  # read when this is imported, never while the loop runs


def make_desk(settings: AdminSettings, spool: Callable[[], Spool | None], live: Live, metrics: Metrics) -> Desk:
    """The desk of a gateway, running or not."""

    async def erased(kind: str, value: str) -> Erased:
        found = spool()
        if found is None:
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "not open")
        return await erase(found, kind, value)

    return Desk(
        access=Access(settings.tokens, settings.allowed_hosts, time.time, secrets.token_bytes),
        spool=spool,
        live=live,
        metrics=metrics,
        now=time.time,
        preview=lambda integration, sealed: preview(live, integration, sealed),
        tried=tried,
        erase=erased,
        words=about,
    )


def preview(live: Live, integration: str, sealed: dict[str, Any]) -> Preview | None:
    """What ``sealed`` is mapped to by the integration as it is now."""
    found = live.current.integrations.get(integration)
    return tried(found.program, sealed) if found is not None else None


def tried(program: Program, sealed: dict[str, Any]) -> Preview:
    """What ``sealed`` is mapped to by ``program``."""
    try:
        mapped = program.apply(sealed)
    except Exception:  # noqa: BLE001 - as at delivery: an event that cannot be mapped is told so
        return Preview(None, refusal="the stored event cannot be mapped")
    if isinstance(mapped, Unmapped):
        return Preview(None, refusal=mapped.detail)
    return Preview(dict(mapped.item), mapped.findings)


async def erase(spool: Spool, kind: str, value: str) -> Erased:
    """Remove a person's queued and dead records; how many, by what they were found by. ``kind`` is email, external_id or anonymous_id."""
    removed: dict[str, int] = {}
    under_way = 0
    text = value.strip()
    if kind == "anonymous_id":
        removed["anonymous_id"], under_way = await spool.purge(owner(text), Reason.ERASED)
        kind = "external_id"  # where nothing better is known, TikTok is sent the anonymous id's hash
    if normalise.is_digest(text):
        digest = normalise.digest(text)
    else:
        normal = normalise.email(text) if kind == "email" else normalise.external_id(text)
        digest = sha256(normal) if normal else ""
    removed[kind], more = await spool.erase(digest.encode(), Reason.ERASED) if digest else Purged()
    return Erased(removed, under_way + more)


def snippet_of(settings: GatewaySettings, pipeline: PipelineSettings) -> dict[str, Any]:
    """What a site's developer pastes for a pipeline."""
    script = _SCRIPT
    made = tags(
        prefix=settings.edge.prefix,
        name=settings.edge.script.name,
        digest=script.hash,
        integrity=script.integrity,
        key=pipeline.key,
        global_name=settings.edge.script.global_name,
    )
    return {"snippet": made.script, "csp": "; ".join(made.policy), "noscript": made.noscript}


async def test_send(settings: GatewaySettings, integration: IntegrationSettings, code: str) -> dict[str, Any]:
    """One test event through the real path; TikTok's answer and the cure."""
    sent = await trial.send(settings, integration, code)
    if sent.verdict is None:
        return {
            "sent": None,
            "code": "",
            "message": "the event was not sent",
            "verdict": "",
            "cure": "See its fate under Live events.",
            "seconds": 0.0,
        }
    verdict = sent.verdict
    return {
        "sent": {"event_id": sent.event_id},
        "code": verdict.code,
        "message": verdict.message,
        "verdict": verdict.action.value,
        "cure": verdict.cure,
        "seconds": sent.seconds,
    }


class Management:
    """The management listener of a running gateway."""

    def __init__(self, settings: AdminSettings, desk: Desk) -> None:
        self.desk = desk
        self._settings = settings
        self._runner: web.AppRunner | None = None
        self._expiring: asyncio.Task[None] | None = None

    def watch(self, watch: Watch) -> None:
        """Begin the feed: from here on somebody may look."""
        desk, metrics = self.desk, self.desk.metrics
        metrics.feed = Feed(desk.now)
        desk.history, desk.alerts = watch.history, watch.alerts
        if (changes := desk.changes) is not None:

            async def expire() -> None:
                while True:
                    await changes.look()
                    await changes.expire()
                    await asyncio.sleep(_EXPIRE_S)

            self._expiring = tasks.keep(expire, "expire test event codes")

    async def start(self) -> None:
        """Listen; what keeps it from that is logged."""
        try:
            from gateway.admin.pages import site  # with its templates' engine: only where there is a UI

            host, port = parse_listen(self._settings.listen)
            pages = await asyncio.get_running_loop().run_in_executor(None, site.Pages)
            runner = web.AppRunner(
                create_app(self.desk, pages.routes(), site.PUBLIC),
                access_log=None,
                shutdown_timeout=1.0,
                handler_cancellation=True,
            )
            await runner.setup()
            self._runner = runner
            await web.TCPSite(runner, host or None, port).start()
        except Exception as error:  # noqa: BLE001 - whatever it is, the site must not notice
            _log.error(
                "the management UI cannot listen; everything else runs",
                extra={"listen": self._settings.listen, "problem": str(error)},
            )
            return
        if not self._settings.tokens:
            _log.warning("admin.tokens is empty: nobody can log in to the management UI")
        _log.info("management UI", extra={"listen": self._settings.listen})

    async def close(self) -> None:
        """Stop listening."""
        await tasks.cancel(self._expiring)
        if self._runner is not None:
            await self._runner.cleanup()
            self._runner = None
