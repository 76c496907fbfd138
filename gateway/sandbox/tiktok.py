"""The TikTok Events API simulator (io): the documented endpoint, and ``/sandbox/…`` to look at what arrived and to make it misbehave.

Law: validates as strictly as the documentation, answers TikTok's envelope and codes, and says what TikTok would silently ignore. Loopback and test use only: it stores
what it gets in memory and has no access control.
"""

import asyncio
import gc
import secrets
import time
from importlib.resources import files
from typing import Any

import orjson
from aiohttp import web
from pydantic import ValidationError

from gateway.sandbox import validate
from gateway.sandbox.faults import Dice, Faults
from gateway.sandbox.store import KEEP, Store

PATH = "/open_api/v1.3/event/track/"
_STORE = web.AppKey("store", Store)
_DICE = web.AppKey("dice", Dice)
_FAST = web.AppKey("fast", bool)
_HANG_S = 3600.0
_CSP = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'"
_TYPES = {"css": "text/css", "js": "text/javascript", "html": "text/html"}


def create_app(*, fast: bool = False) -> web.Application:
    """The simulator. ``fast`` keeps only counts, so that a benchmark measures the gateway and not its counterpart."""
    app = web.Application(client_max_size=64 << 20)
    app[_STORE] = Store()
    app[_DICE] = Dice()
    app[_FAST] = fast
    app.add_routes(
        [
            web.post(PATH, _track),
            web.route("*", "/open_api/{path:.*}", _moved),
            web.get("/sandbox/events", _events),
            web.delete("/sandbox/events", _clear),
            web.get("/sandbox/stats", _stats),
            web.put("/sandbox/faults", _set_faults),
            web.get("/sandbox/faults", _get_faults),
            web.get("/sandbox", _to_page),
            web.get("/", _to_page),
            web.get("/sandbox/", _page),
            web.get("/sandbox/static/{name:[a-z.]+}", _static),
        ]
    )
    return app


def _envelope(code: int, message: str, *, status: int = 200, headers: dict[str, str] | None = None) -> web.Response:
    document = {"code": code, "message": message, "request_id": secrets.token_hex(10).upper(), "data": {}}
    return web.Response(body=orjson.dumps(document), status=status, content_type="application/json", headers=headers)


async def _track(request: web.Request) -> web.StreamResponse:
    faults = request.app[_DICE].throw()
    if faults is None:
        return await _process(request)
    await request.read()
    # Before the wait: a sender that gives up waiting has been served all the same.
    answer = await _process(request) if faults.after_processing else None
    if faults.latency_ms:
        await asyncio.sleep(faults.latency_ms / 1000)
    if faults.any:
        return await _misbehave(request, faults)
    return answer or await _process(request)


async def _misbehave(request: web.Request, faults: Faults) -> web.StreamResponse:
    if faults.hang:
        await asyncio.sleep(_HANG_S)
    if faults.reset:
        if request.transport is not None:
            request.transport.abort()
        return web.Response()
    headers = {"Retry-After": f"{faults.retry_after:g}"} if faults.retry_after is not None else None
    status = faults.http_status or 200
    if faults.html:
        return web.Response(
            text="<html><body>Please wait …</body></html>", content_type="text/html", status=status, headers=headers
        )
    if faults.code is not None:
        return _envelope(
            faults.code, faults.message or ("OK" if faults.code == 0 else "fault injected"), status=status, headers=headers
        )
    return web.Response(text=f"{status}\n", status=status, headers=headers)


async def _process(request: web.Request) -> web.Response:
    store = request.app[_STORE]
    store.requests += 1
    raw = await request.read()
    token = request.headers.get("Access-Token", "")
    if request.app[_FAST]:
        return _envelope(*_count(store, raw))
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return _envelope(40002, "Not valid JSON")
    try:
        # What can be read but not written would spoil the list of what arrived, which wraps the item once more than the body does.
        orjson.dumps([body])
    except orjson.JSONEncodeError:
        return _envelope(40002, "Nested too deeply")
    try:
        if not token:
            raise validate.Refused(40104, "Access token is empty")
        if token == "revoked" or token.startswith("Bearer "):  # noqa: S105 - the documented test value
            raise validate.Refused(40105, "Access token is incorrect or has been revoked")
        if type(body) is dict and body.get("event_source_id") == "BADPIXEL":
            raise validate.Refused(40001, "No permission to operate the pixel")
        items = validate.request(body)
    except validate.Refused as refused:
        _keep_refused(store, body, refused)
        return _envelope(refused.code, refused.message, status=401 if refused.code in {40104, 40105} else 200)
    store.count(body["event_source_id"], items)
    of_request = [] if request.content_type == "application/json" else ["Content-Type: not application/json"]
    now = time.time()
    for item in items:
        store.keep(body, item, accepted=True, code=0, findings=of_request + validate.findings(body, item, now))
    return _envelope(0, "OK")


def _count(store: Store, raw: bytes) -> tuple[int, str]:
    """Decode and count, no more. A batch of 1000 is some 7,000 containers that all die together: a collector that looks at them while they are made doubles the cost."""
    collects = gc.isenabled()
    gc.disable()
    try:
        body = orjson.loads(raw)
        store.count(body["event_source_id"], body["data"])
        del body
    except orjson.JSONDecodeError:
        return 40002, "Not valid JSON"
    except (TypeError, KeyError):
        return 40002, "Not a valid request"
    finally:
        if collects:
            gc.enable()
    return 0, "OK"


def _keep_refused(store: Store, body: Any, refused: validate.Refused) -> None:
    items = body.get("data") if type(body) is dict else None
    if type(items) is list:
        store.events += len(items)
        for item in items[:100]:
            store.keep(body, item, accepted=False, code=refused.code, findings=[refused.message])


async def _moved(_request: web.Request) -> web.Response:
    return _envelope(40400, f"Path not found: this is POST {PATH}, with the slash at its end", status=404)


async def _events(request: web.Request) -> web.Response:
    store = request.app[_STORE]
    entries = store.since(_whole(request.query.get("since", ""), 0), _whole(request.query.get("limit", ""), KEEP))
    return web.Response(
        body=orjson.dumps({"events": entries, "last": store.last, "now": time.time()}), content_type="application/json"
    )


def _whole(text: str, default: int) -> int:
    return int(text[:18]) if text.isdecimal() else default


async def _clear(request: web.Request) -> web.Response:
    request.app[_STORE].clear()
    return web.Response(status=204)


async def _stats(request: web.Request) -> web.Response:
    return web.Response(body=orjson.dumps(request.app[_STORE].stats()), content_type="application/json")


async def _set_faults(request: web.Request) -> web.Response:
    try:
        faults = Faults.model_validate(orjson.loads(await request.read() or b"{}"))
    except (orjson.JSONDecodeError, ValidationError) as error:
        reasons = (
            [f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}" for problem in error.errors()]
            if isinstance(error, ValidationError)
            else ["not valid JSON"]
        )
        return web.Response(body=orjson.dumps({"error": reasons}), status=400, content_type="application/json")
    request.app[_DICE].set(faults)
    return await _get_faults(request)


async def _get_faults(request: web.Request) -> web.Response:
    return web.Response(body=orjson.dumps(request.app[_DICE].describe()), content_type="application/json")


async def _to_page(_request: web.Request) -> web.Response:
    raise web.HTTPFound("/sandbox/")


def _asset(name: str) -> bytes:
    return files("gateway.sandbox").joinpath("static", name).read_bytes()


async def _page(_request: web.Request) -> web.Response:
    body = await asyncio.to_thread(_asset, "sandbox.html")
    return web.Response(body=body, content_type="text/html", charset="utf-8", headers={"Content-Security-Policy": _CSP})


async def _static(request: web.Request) -> web.Response:
    name = request.match_info["name"]
    if name not in {"sandbox.css", "sandbox.js"}:
        raise web.HTTPNotFound
    body = await asyncio.to_thread(_asset, name)
    return web.Response(
        body=body,
        content_type=_TYPES[name.rpartition(".")[2]],
        charset="utf-8",
        headers={"Cache-Control": "max-age=60", "X-Content-Type-Options": "nosniff"},
    )


async def serve(host: str, port: int, *, fast: bool = False) -> web.AppRunner:
    """Start the simulator on ``host:port``; the caller cleans the runner up."""
    # A sender that hangs up ends its request: hanging ones would otherwise gather for an hour each.
    runner = web.AppRunner(create_app(fast=fast), access_log=None, shutdown_timeout=1.0, handler_cancellation=True)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
