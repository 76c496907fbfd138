"""One request passed through to the app and its answer passed back (io).

Law: events in, writes out, no task and no await: bytes that arrive on one side are written to the other before the callback
returns. The two transports' own buffers are the only ones, and each side's high-water mark pauses reading on the other.
An answer that the app began but did not finish never looks complete to the client.
"""

import asyncio
import logging
import time
from typing import Any, Final, Protocol

from multidict import istr

from gateway.edge import headers
from gateway.edge.address import Client
from gateway.edge.connection import AppConnection, ResponseMessage
from gateway.edge.context import Context
from gateway.edge.faults import Fault
from gateway.edge.files import EXHAUSTED
from gateway.edge.head import Head
from gateway.edge.tunnel import ClientEnd, Tunnel
from gateway.edge.upstream import Upstream

_log = logging.getLogger(__name__)
_REPEATABLE: Final = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_CONTENT_LENGTH: Final = istr("Content-Length")
_LAST_CHUNK: Final = b"0\r\n\r\n"
_COPIED_BYTES: Final = 2048
"""Up to here one copy costs less than a second buffer."""


def _chunk(data: bytes | memoryview) -> bytes:
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))


class Asking(ClientEnd, Protocol):
    """The client's connection, as its exchange sees it."""

    @property
    def keeps(self) -> bool:
        """Whether the connection is kept after the answer in work."""

    def send_together(self, pieces: tuple[bytes | memoryview, ...]) -> None:
        """Write several buffers as one."""

    def close_after(self) -> None:
        """Close once the answer in work is complete."""

    def exchange_done(self) -> None:
        """The answer has been passed on in full."""

    def answer_for_app(self, fault: Fault) -> int:
        """Say that the app is away or too slow; returns the status."""

    def truncate(self, *, hard: bool) -> None:
        """End without the rest of an answer."""

    def enter_tunnel(self, tunnel: Tunnel) -> None:
        """The exchange has become a websocket."""


class Exchange:
    """Lives from the request's head to the answer's last byte, or to the loss of either side."""

    # One is made per request: what most requests never change stays on the class.
    _app: AppConnection | None = None
    _connecting: asyncio.Task[Any] | None = None
    _complete = False
    _repeatable = False
    _began = False
    _over = False
    _status = 0
    _answer_chunked = False
    _until_close = False
    _app_closes = False

    def __init__(
        self,
        client: Asking,
        context: Context,
        upstream: Upstream,
        head: Head,
        who: Client,
        *,
        chunked: bool,
        websocket: bool,
    ) -> None:
        self._client = client
        self._context = context
        self._upstream = upstream
        self._head = head
        self._who = who
        self._chunked = chunked
        self._websocket = websocket
        self._pending: list[bytes] = []
        self._since = context.now
        self._started = time.perf_counter()

    @property
    def began(self) -> bool:
        """Whether the final head has been sent to the client."""
        return self._began

    # -- the client's side

    def start(self, peer: str, body: bytes, *, complete: bool) -> None:
        """Send the head and what has arrived of the body. May raise headers.Refused before anything is sent."""
        first = headers.request_head(
            self._head,
            self._who,
            peer,
            chunked=self._chunked,
            websocket=self._websocket,
            address_header=self._context.address_header,
        )
        self._complete = complete
        if body:
            first += _chunk(body) if self._chunked else body
        if complete and self._chunked:
            first += _LAST_CHUNK
        self._pending.append(first)
        self._repeatable = complete and not body and not self._websocket and self._head.method in _REPEATABLE
        app = self._upstream.take(self._context.now, sure=not self._repeatable)
        if app is None:
            self._connect()
        else:
            self._connected(app)

    def upload(self, data: bytes, *, complete: bool) -> None:
        """More of the request's body."""
        if self._chunked:
            data = (_chunk(data) if data else b"") + (_LAST_CHUNK if complete else b"")
        self._complete = complete
        self._since = self._context.now
        if self._app is not None:
            if data:
                self._app.write(data)
        elif data:
            self._pending.append(data)

    def pause(self) -> None:
        """The client does not read."""
        if self._app is not None:
            self._app.pause_app()

    def resume(self) -> None:
        """The client reads again."""
        self._since = self._context.now
        if self._app is not None:
            self._app.resume_app()

    def gone(self) -> None:
        """The client is gone: tell the app by ending its connection."""
        self._over = True
        if self._connecting is not None:
            self._connecting.cancel()
        if self._app is not None:
            self._app.abort()
            self._app = None

    def waiting_bytes(self) -> int:
        """What of the upload the app has not taken yet."""
        return self._app.waiting_bytes() if self._app is not None else sum(map(len, self._pending))

    def sweep(self, now: float) -> None:
        """Give up on an app that has taken too long. Not called while it is the client who is waited for."""
        timeouts = self._upstream.timeouts
        limit = timeouts.idle if self._began else timeouts.first_byte
        if not self._over and self._app is not None and limit and now - self._since > limit:
            self._fail(Fault.APP_SLOW, "the app did not go on" if self._began else "the app did not begin to answer in time")

    # -- connecting

    def _connect(self) -> None:
        if not self._complete:
            self._client.pause_upload()
        self._connecting = self._upstream.connect(self._connected, self._unreachable)

    def _connected(self, app: AppConnection) -> None:
        self._connecting = None
        if self._over:
            app.abort()
            return
        self._app = app
        self._since = self._context.now
        app.begin(self, self._head.method)
        pending = self._pending
        app.write(pending[0] if len(pending) == 1 else b"".join(pending))
        if self._repeatable:
            return  # kept for the one repetition
        self._pending = []
        if not self._complete:
            self._client.resume_upload()

    def _unreachable(self, error: BaseException) -> None:
        self._connecting = None
        if isinstance(error, TimeoutError):
            self._fail(Fault.APP_SLOW, "the app did not take the connection in time")
        elif isinstance(error, OSError) and error.errno in EXHAUSTED:
            self._context.starved += 1
            self._fail(Fault.STARVED, "no file descriptor is left for a connection to the app")
        else:
            self._fail(Fault.APP_AWAY, f"cannot connect: {type(error).__name__}")

    # -- the app's side (upstream.Answered)

    def interim(self, message: ResponseMessage) -> None:
        """Pass a 1xx on, except to HTTP/1.0 clients, which do not know them."""
        self._repeatable = False
        self._since = self._context.now
        if self._head.version[1]:
            try:
                self._client.send(headers.response_head(message.code, message.reason, message.raw_headers))
            except ValueError as error:
                self._fail(Fault.APP_AWAY, str(error))

    def answered(self, message: ResponseMessage, body: bytes | memoryview, done: bool) -> None:
        """Choose the framing, add what may be added, send the head with what is there of the body."""
        self._since = self._context.now
        self._repeatable = False
        self._status = status = message.code
        self._app_closes = bool(message.should_close)
        extra = self._framing(message, status)
        if headers.is_navigation(self._head):
            extra += self._cookies(message, status)
        if not self._complete or self._websocket or self._until_close:
            self._client.close_after()
        if not self._client.keeps:
            extra.append(headers.CLOSE)
        elif not self._head.version[1]:
            extra.append(headers.KEEP_ALIVE)
        try:
            block = headers.response_head(status, message.reason, message.raw_headers, extra)
        except ValueError as error:
            self._fail(Fault.APP_AWAY, str(error))
            return
        self._began = True
        if self._answer_chunked:
            if body:
                block += _chunk(body)
            if done:
                block += _LAST_CHUNK
            self._client.send(block)
        elif len(body) > _COPIED_BYTES:
            self._client.send_together((block, body))
        else:
            self._client.send(block + body)
        if done:
            self._finish()

    def _framing(self, message: ResponseMessage, status: int) -> list[headers.Field]:
        if status in {204, 304} or _CONTENT_LENGTH in message.headers:
            return []
        if self._head.method == "HEAD":
            return [headers.CHUNKED] if message.chunked and self._head.version[1] else []
        if self._head.version[1]:
            self._answer_chunked = True
            return [headers.CHUNKED]
        self._until_close = True
        return []

    def _cookies(self, message: ResponseMessage, status: int) -> list[headers.Field]:
        allowed, add_private = headers.cookie_permission(status, message.headers)
        if not allowed:
            return []
        try:
            values = self._context.collector.navigation_cookies(self._head, self._who)
        except Exception:  # noqa: BLE001 - the site comes first: its page goes out whatever the collector does
            if self._context.may_complain():
                _log.exception("navigation cookies failed; the page goes out without them")
            return []
        fields = [(b"Set-Cookie", value) for value in values]
        if fields and add_private:
            fields.append(headers.PRIVATE)
        return fields

    def body(self, data: bytes, done: bool) -> None:
        """Pass a piece of the answer on."""
        self._since = self._context.now
        if self._answer_chunked:
            data = (_chunk(data) if data else b"") + (_LAST_CHUNK if done else b"")
        if data:
            self._client.send(data)
        if done:
            self._finish()

    def switched(self, message: ResponseMessage, tail: bytes | memoryview) -> None:
        """A 101: from now on both sides are a tunnel."""
        app = self._app
        if app is None:
            return
        if not self._websocket:
            self._fail(Fault.APP_AWAY, "the app switched protocols unasked")
            return
        try:
            block = headers.response_head(101, message.reason, message.raw_headers, upgrade=True)
        except ValueError as error:
            self._fail(Fault.APP_AWAY, str(error))
            return
        self._over = True
        self._context.observe("proxy", 101, time.perf_counter() - self._started)
        self._client.send(block + tail)
        self._client.enter_tunnel(Tunnel(self._client, app, self._context))

    def raw(self, data: bytes) -> None:
        """Never called: a tunnel takes the connection over."""

    def lost(self, error: BaseException | None) -> None:
        """The app ended the connection: repeat, refuse or truncate."""
        app, self._app = self._app, None
        if self._over:
            return
        if self._repeatable and app is not None and app.reused:
            self._repeatable = False
            self._connect()
            return
        self._fail(Fault.APP_AWAY, f"the app's connection ended: {type(error).__name__ if error else 'closed'}")

    def upload_paused(self) -> None:
        """The app does not read."""
        self._client.pause_upload()

    def upload_resumed(self) -> None:
        """The app reads again."""
        self._since = self._context.now
        self._client.resume_upload()

    # -- the end

    def _finish(self) -> None:
        self._over = True
        app, self._app = self._app, None
        if app is not None:
            app.release(reusable=self._complete and not self._app_closes and not self._websocket)
        self._context.observe("proxy", self._status, time.perf_counter() - self._started)
        self._client.exchange_done()

    def _fail(self, fault: Fault, why: str) -> None:
        """Answer for the app if nothing was sent yet, else let the client see that the answer is incomplete."""
        self._over = True
        app, self._app = self._app, None
        if app is not None:
            app.abort()
        if self._context.may_complain():
            _log.warning("pass-through failed", extra={"why": why, "fault": fault.value, "began": self._began})
        if self._began:
            self._client.truncate(hard=self._until_close)
        else:
            status = self._client.answer_for_app(fault)
            self._context.observe("proxy", status, time.perf_counter() - self._started)
