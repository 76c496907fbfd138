"""The ops listener: /livez, /readyz, /metrics, and a drain that only loopback may start (io).

Law: no secrets, no UI, nothing about visitors. Readiness means listening and not draining, and nothing else: a gateway whose spool or
TikTok is down still serves the site.
"""

import ipaddress
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from gateway.settings import Field, Settings
from gateway.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)


class OpsSettings(Settings):
    """The ``ops`` section."""

    listen: str = Field(default="0.0.0.0:9090", pattern=r"^.+:\d{1,5}$")
    """``host:port`` of the ops listener (``[::]:9090`` for IPv6). Keep it inside the cluster: it needs no password."""


@dataclass(frozen=True, slots=True)
class OpsHooks:
    """What the listener is told by the composition root."""

    ready: Callable[[], bool]
    drain: Callable[[], Awaitable[None]]
    """Starts (or joins) the drain and returns when it is complete."""
    refresh: Callable[[], Awaitable[None]] | None = None
    """Awaited before each scrape: reads what gauges show but only a coroutine may ask for."""


_METRICS = web.AppKey("metrics", Metrics)
_HOOKS = web.AppKey("hooks", OpsHooks)


def create_app(metrics: Metrics, hooks: OpsHooks) -> web.Application:
    """The listener's application."""
    app = web.Application()
    app[_METRICS] = metrics
    app[_HOOKS] = hooks
    app.add_routes(
        [
            web.get("/livez", _livez),
            web.get("/readyz", _readyz),
            web.get("/metrics", _metrics),
            web.post("/drain", _drain),
        ]
    )
    return app


async def _livez(_request: web.Request) -> web.Response:
    return web.Response(text="ok\n")


async def _readyz(request: web.Request) -> web.Response:
    if request.app[_HOOKS].ready():
        return web.Response(text="ready\n")
    return web.Response(status=503, text="not ready: starting or draining\n")


async def _metrics(request: web.Request) -> web.Response:
    if (refresh := request.app[_HOOKS].refresh) is not None:
        try:
            await refresh()
        except Exception:  # noqa: BLE001 - stale gauges are better than no metrics
            _log.warning("gauges could not be refreshed", exc_info=True)
    body = request.app[_METRICS].render()
    return web.Response(body=body, headers={"Content-Type": "text/plain; version=0.0.4; charset=utf-8"})


async def _drain(request: web.Request) -> web.Response:
    peer = request.transport.get_extra_info("peername") if request.transport else None
    # a browser on this machine could be made to post here by any page; it cannot leave out Origin
    if not peer or not _is_loopback(peer[0]) or "Origin" in request.headers:
        return web.Response(status=403, text="the drain can only be started from this machine\n")
    await request.app[_HOOKS].drain()
    return web.Response(text="drained\n")


def _is_loopback(host: str) -> bool:
    address = ipaddress.ip_address(host.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        address = address.ipv4_mapped
    return address.is_loopback
