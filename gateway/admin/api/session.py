"""Logging in and out (io: HTTP only)."""

from aiohttp import web

from gateway.admin.access import COOKIE, SESSION_S, Who
from gateway.admin.errors import Refused
from gateway.admin.operation import Call, Input, Operations, Output

operations = Operations()


class Login(Input):
    """What logging in takes."""

    token: str
    """One of ``admin.tokens``."""


class Session(Output):
    """Who is logged in."""

    name: str
    """The token's name."""
    role: str
    """``viewer`` or ``editor``."""
    expires_at: float
    """Unix seconds; 0 for a bearer token, which does not expire."""


@operations.post(
    "session",
    "Log in with an admin token",
    role="public",
    body=Login,
    answer=Session,
    refusals=("unauthenticated", "too_many_attempts", "wrong_origin"),
)
async def log_in(call: Call) -> web.Response:
    """A session cookie for a token."""
    access, address = call.desk.access, call.request.remote or ""
    if wait_s := access.wait_s(address):
        raise Refused("too_many_attempts", f"too many attempts; try again in {wait_s} s", retry_after_s=wait_s)
    found = access.log_in(call.body.token.strip())
    if found is None:
        access.failed(address)
        raise Refused("unauthenticated", "no token of admin.tokens is like this one")
    id_, who = found
    response = web.json_response(_told(who).model_dump())
    response.set_cookie(
        COOKIE, id_, max_age=int(SESSION_S), path="/", httponly=True, samesite="Strict", secure=_is_https(call.request)
    )
    return response


@operations.get("session", "Who is logged in", answer=Session)
async def current(call: Call) -> Session:
    """The caller."""
    return _told(call.who)


@operations.delete("session", "Log out", role="viewer", status=204)
async def log_out(call: Call) -> web.Response:
    """End the session."""
    call.desk.access.log_out(call.request.cookies.get(COOKIE, ""))
    response = web.Response(status=204)
    response.del_cookie(COOKIE, path="/", httponly=True, samesite="Strict")
    return response


def _told(who: Who) -> Session:
    return Session(name=who.name, role=who.role, expires_at=who.expires_at)


def _is_https(request: web.Request) -> bool:
    """TLS ends before us: the UI's own page says how it was reached."""
    return request.secure or request.headers.get("Origin", "").startswith("https://")
