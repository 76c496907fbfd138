"""The management listener (io): routes, guards, and answers of one shape.

Law: every request passes the same guards in the same order – host, origin, identity, role – before anything else is looked at. Changes need an Origin of our own or no
browser at all (a bearer token); nothing is changed by GET. What goes wrong in a resource costs that request and is logged without its words.
"""

import logging
from collections.abc import Awaitable, Callable, Iterable, Sequence
from typing import Any
from urllib.parse import quote, urlsplit

import orjson
from aiohttp import web
from pydantic import BaseModel, ValidationError

from gateway.admin import openapi
from gateway.admin.access import COOKIE, Who
from gateway.admin.api import OPERATIONS
from gateway.admin.desk import Desk
from gateway.admin.errors import Refused, invalid
from gateway.admin.operation import PREFIX, Call, Operation
from gateway.errors import SpoolUnavailable

_log = logging.getLogger(__name__)

MAX_BODY = 1 << 20
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
}
_SAFE = frozenset({"GET", "HEAD"})
_NOBODY = Who("", "viewer")
_DESK = web.AppKey("desk", Desk)
_WHO = web.RequestKey("who", Who)
_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def create_app(desk: Desk, pages: Iterable[web.RouteDef] = (), public: Sequence[str] = ()) -> web.Application:
    """The listener's application. ``pages`` are the UI's routes; those whose path begins with one of ``public`` need no session."""
    app = web.Application(middlewares=[_guarded(tuple(public))], client_max_size=MAX_BODY)
    app[_DESK] = desk
    document = orjson.dumps(openapi.describe(OPERATIONS))

    async def described(_request: web.Request) -> web.Response:
        return web.Response(body=document, content_type="application/json")

    app.add_routes([web.get(f"{PREFIX}openapi.json", described)])
    app.add_routes([web.route(each.method, PREFIX + each.path, _handler(each)) for each in OPERATIONS])
    app.add_routes(list(pages))
    return app


def _guarded(public: tuple[str, ...]) -> Any:
    @web.middleware
    async def guard(request: web.Request, handler: _Handler) -> web.StreamResponse:
        try:
            _check_host(request)
            response = await _pass(request, handler, public)
        except Refused as refused:
            response = _refusal(refused)
        except SpoolUnavailable as error:
            response = _refusal(
                Refused("unavailable", f"the spool is not available: {error.detail}", retry_after_s=error.retry_after_s)
            )
        except web.HTTPException as raised:
            response = _plain(request, raised)
        except Exception:  # noqa: BLE001 - a defect in one resource must not cost the others their listener
            _log.exception("management request failed", extra={"route": _route(request)})
            response = _refusal(Refused("crashed", "the gateway failed at this request; its log says more"))
        if not response.prepared:
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
            if request.path.startswith(PREFIX):
                response.headers.setdefault("Cache-Control", "no-store")
        return response

    return guard


async def _pass(request: web.Request, handler: _Handler, public: tuple[str, ...]) -> web.StreamResponse:
    who = _who(request)
    if request.path.startswith(PREFIX):
        if request.method not in _SAFE:
            _check_origin(request)
        if who is not None:
            request[_WHO] = who
        if who is None and request.path == f"{PREFIX}openapi.json":
            raise Refused("unauthenticated", "send Authorization: Bearer <admin token>, or log in")
        return await handler(request)
    if request.method not in _SAFE:
        raise Refused("forbidden", "pages are only read")
    if who is None and not request.path.startswith(public) and request.match_info.http_exception is None:
        return web.Response(status=303, headers={"Location": f"/login?next={quote(request.path_qs, safe='/')}"})
    return await handler(request)


def _who(request: web.Request) -> Who | None:
    access = request.app[_DESK].access
    given = request.headers.get("Authorization", "")
    if given:
        kind, _, token = given.partition(" ")
        who = access.of_token(token.strip()) if kind.lower() == "bearer" else None
        address = request.remote or ""
        if wait_s := access.wait_s(address) if who is None else 0:
            raise Refused("too_many_attempts", f"too many wrong tokens; try again in {wait_s} s", retry_after_s=wait_s)
        if who is None:
            access.failed(address)
            raise Refused("unauthenticated", "no token of admin.tokens is like this one")
        return who
    return access.of_session(request.cookies.get(COOKIE, ""))


def _check_host(request: web.Request) -> None:
    host = request.headers.get("Host", "").lower()
    name = host.partition("]")[0] + "]" if host.startswith("[") else host.partition(":")[0]
    if name not in request.app[_DESK].access.hosts:
        raise Refused("wrong_host", "this name is not in admin.allowed_hosts; add it there to use it")


def _check_origin(request: web.Request) -> None:
    origin = request.headers.get("Origin")
    if origin is None:
        # Browsers name their origin with every change; what has none must prove itself by a token that no page can send.
        if "Authorization" not in request.headers:
            raise Refused("wrong_origin", "changes need an Origin header of this UI, or a bearer token")
        return
    if urlsplit(origin).netloc.lower() != request.headers.get("Host", "").lower():
        raise Refused("wrong_origin", "changes are taken from this UI's own pages only")


def _handler(operation: Operation) -> _Handler:
    async def handle(request: web.Request) -> web.StreamResponse:
        who = request.get(_WHO)
        if operation.role != "public":
            if who is None:
                raise Refused("unauthenticated", "send Authorization: Bearer <admin token>, or log in")
            if operation.role == "editor" and who.role != "editor":
                raise Refused("forbidden", "your token's role is viewer; this needs an editor")
        call = Call(request.app[_DESK], who or _NOBODY, request)
        if operation.query is not None:
            call.query = _checked(operation.query, dict(request.query))
        if operation.body is not None:
            call.body = _checked(operation.body, await _json(request))
        return _response(await operation.handler(call), operation.status)

    return handle


def _checked(model: type[BaseModel], data: Any) -> BaseModel:
    try:
        return model.model_validate(data)
    except ValidationError as error:
        raise invalid(error, data) from None


async def _json(request: web.Request) -> Any:
    if request.content_type != "application/json":
        raise Refused("not_json", "send Content-Type: application/json")
    try:
        return orjson.loads(await request.read())
    except orjson.JSONDecodeError as error:
        raise Refused("not_json", f"not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None


def _response(found: Any, status: int) -> web.StreamResponse:
    if isinstance(found, web.StreamResponse):
        return found
    if found is None:
        return web.Response(status=204)
    body = found.model_dump_json().encode() if isinstance(found, BaseModel) else orjson.dumps(found)
    return web.Response(status=status, body=body, content_type="application/json")


def _refusal(refused: Refused) -> web.Response:
    response = web.Response(status=refused.status, body=refused.body(), content_type="application/json")
    if refused.status == 401:
        response.headers["WWW-Authenticate"] = "Bearer"
    if refused.retry_after_s:
        response.headers["Retry-After"] = str(refused.retry_after_s)
    return response


def _plain(request: web.Request, raised: web.HTTPException) -> web.StreamResponse:
    if not request.path.startswith(PREFIX) or raised.status < 400:
        return web.Response(status=raised.status, text=f"{raised.status} {raised.reason}\n", headers=_kept(raised))
    code = {404: "not_found", 413: "too_large"}.get(raised.status, "not_found")
    body = Refused(code, f"{raised.reason}: see {PREFIX}openapi.json for what there is").body()
    return web.Response(status=raised.status, body=body, content_type="application/json", headers=_kept(raised))


def _kept(raised: web.HTTPException) -> dict[str, str]:
    return {name: raised.headers[name] for name in ("Allow", "Location") if name in raised.headers}


def _route(request: web.Request) -> str:
    resource = request.match_info.route.resource
    return resource.canonical if resource is not None else ""
