"""The same small app for the servers that people run: it answers with its count, and the method, path and body it read.

``python real_apps.py aiohttp PORT``; ``asgi`` for uvicorn, ``wsgi`` for gunicorn; ``node_app.js`` beside it says the same.
"""

import itertools
import sys
from collections.abc import Awaitable, Callable, Iterable
from typing import Any

_count = itertools.count(1)


def _said(method: str, path: str, body: bytes) -> bytes:
    return f"{next(_count)} {method} {path} {body.hex()}".encode()


async def asgi(scope: Any, receive: Callable[[], Awaitable[Any]], send: Callable[[Any], Awaitable[None]]) -> None:
    """Reads the whole body, then answers; a request that breaks off is not counted."""
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            return
        body += message.get("body", b"")
        if not message.get("more_body"):
            break
    said = _said(scope["method"], scope["path"], body)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", str(len(said)).encode())]})
    await send({"type": "http.response.body", "body": said})


def wsgi(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """The same."""
    body = environ["wsgi.input"].read()
    said = _said(environ["REQUEST_METHOD"], environ["PATH_INFO"], body)
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]


def _aiohttp(port: int) -> None:
    from aiohttp import web

    async def handle(request: web.Request) -> web.Response:
        body = await request.read()
        return web.Response(body=_said(request.method, request.path, body))

    app = web.Application()
    app.router.add_route("*", "/{path:.*}", handle)
    web.run_app(app, host="127.0.0.1", port=port, print=lambda *_: None)


if __name__ == "__main__":
    _aiohttp(int(sys.argv[2]))
