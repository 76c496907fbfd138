"""A websocket after its 101: bytes both ways, nothing understood (io).

Law: each side's high-water mark pauses reading on the other; when one side ends, what it sent is flushed to the other, which is
then closed as well. What a client that left has not got rid of waits for the app no longer than an upload may stand still, and in
the listener's books.
"""

import asyncio
from typing import Protocol

from gateway.edge.connection import AppConnection, ResponseMessage
from gateway.edge.context import Context


class ClientEnd(Protocol):
    """The client's end of a tunnel."""

    def send(self, data: bytes) -> None:
        """Write ready bytes."""

    def close(self) -> None:
        """Close after what was written has been sent."""

    def pause_upload(self) -> None:
        """Stop taking from the client."""

    def resume_upload(self) -> None:
        """Go on."""


class Tunnel:
    """Couples a client's connection with one to the app."""

    __slots__ = ("_app", "_client", "_context", "_last_call", "_since")

    def __init__(self, client: ClientEnd, app: AppConnection, context: Context) -> None:
        self._client = client
        self._app = app
        self._context = context
        self._since = context.now
        self._last_call: asyncio.TimerHandle | None = None
        """Once the client is gone and the app has yet to read: when that ends."""
        app.exchange = self
        context.tunnels += 1

    def from_client(self, data: bytes) -> None:
        """Bytes for the app."""
        self._since = self._context.now
        self._app.write(data)

    def client_gone(self) -> None:
        """The client's connection has ended."""
        context, app = self._context, self._app
        context.tunnels -= 1
        waiting = app.waiting_bytes()
        app.close()
        if waiting:
            app.exchange = self  # to learn of the end
            self._last_call = context.loop.call_later(context.patience.stalled_s, self.give_up)
            context.holdings.hold(self, waiting)

    def give_up(self) -> None:
        """The app does not read what the client left behind, or too much waits in memory."""
        self._let_go()
        self._app.abort()

    def _let_go(self) -> bool:
        """Whether the client was gone; what it left is in the books no more."""
        call, self._last_call = self._last_call, None
        if call is None:
            return False
        call.cancel()
        self._context.holdings.hold(self, 0)
        return True

    def pause(self) -> None:
        """The client does not read."""
        self._app.pause_app()

    def resume(self) -> None:
        """The client reads again."""
        self._app.resume_app()

    def waiting_bytes(self) -> int:
        """What the app has not taken yet."""
        return self._app.waiting_bytes()

    def overdue(self, now: float) -> bool:
        """Whether nothing has passed either way for too long."""
        limit = self._context.settings.upstream_timeouts.idle
        return bool(limit) and now - self._since > limit

    # -- the app's side (upstream.Answered)

    def raw(self, data: bytes) -> None:
        """Bytes for the client."""
        self._since = self._context.now
        self._client.send(data)

    def lost(self, _error: BaseException | None) -> None:
        """The app's connection has ended."""
        if not self._let_go():
            self._client.close()

    def upload_paused(self) -> None:
        """The app does not read."""
        self._client.pause_upload()

    def upload_resumed(self) -> None:
        """The app reads again."""
        self._client.resume_upload()

    def interim(self, message: ResponseMessage) -> None:
        """Never called after a 101."""

    def answered(self, message: ResponseMessage, body: bytes | memoryview, done: bool) -> None:
        """Never called after a 101."""

    def switched(self, message: ResponseMessage, tail: bytes | memoryview) -> None:
        """Never called after a 101."""

    def body(self, data: bytes, done: bool) -> None:
        """Never called after a 101."""
