"""One connection to the site's app (io): aiohttp's C response parser for heads and for bodies that need decoding.

Law: a connection carries one exchange at a time and is reusable only after a complete answer to a completely sent request, with
nothing left over. A head is parsed by itself; a body of known length is then counted and passed on as it came, without a copy
through the parser. Only chunked bodies and those that last until the connection ends go through a second, full parser, whose
stream is drained after every feed, so that it never has to pause.
"""

import asyncio
from typing import Any, Final, Protocol

from aiohttp.http_parser import HttpResponseParser
from multidict import CIMultiDictProxy, istr

from gateway.edge.settings import LimitSettings

PARSER_BUFFER_BYTES: Final = 1 << 20
"""Above what one read can bring: the stream's own high-water mark is never reached, we keep the books ourselves."""
ResponseMessage = Any
"""aiohttp's ``RawResponseMessage``: a named tuple by its annotations and a class of C in fact; compiled code would insist on the former."""
_CONTENT_LENGTH: Final = istr("Content-Length")
_TRANSFER_ENCODING: Final = istr("Transfer-Encoding")
_NO_BODY: Final = frozenset({204, 304})


class Answered(Protocol):
    """What a connection reports to its exchange."""

    def interim(self, message: ResponseMessage) -> None:
        """A 1xx other than 101."""

    def answered(self, message: ResponseMessage, body: bytes | memoryview, done: bool) -> None:
        """The final head and what of the body came with it."""

    def switched(self, message: ResponseMessage, tail: bytes | memoryview) -> None:
        """A 101; the connection now carries raw bytes."""

    def body(self, data: bytes, done: bool) -> None:
        """More of the body, or its end."""

    def raw(self, data: bytes) -> None:
        """Bytes of a tunnel."""

    def lost(self, error: BaseException | None) -> None:
        """The connection ended before the answer did."""

    def upload_paused(self) -> None:
        """The app does not read; hold the client's upload."""

    def upload_resumed(self) -> None:
        """The app reads again."""


class Pool(Protocol):
    """Where a connection belongs."""

    limits: LimitSettings
    loop: asyncio.AbstractEventLoop

    def put_back(self, connection: "AppConnection") -> None:
        """It may carry another exchange."""

    def forget(self, connection: "AppConnection") -> None:
        """It has ended."""


class AppConnection:
    """A pooled connection. An asyncio protocol by its methods, as ``line.ClientLine`` is."""

    __slots__ = (
        "_clean",
        "_early",
        "_heads",
        "_left",
        "_method",
        "_parser",
        "_paused",
        "_payload",
        "_pool",
        "_raw",
        "exchange",
        "idle_since",
        "reused",
        "transport",
    )

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._heads: HttpResponseParser | None = self._new_parser(with_body=False)
        self._parser: HttpResponseParser | None = None
        """The full parser, while a body needs one."""
        self._payload: Any = None
        self._early = b""
        """The beginning of a head that is not complete yet."""
        self._left = 0
        """Bytes still to come of a body of known length."""
        self._method = ""
        self._raw = False
        self._clean = True
        self._paused = False
        self.exchange: Answered | None = None
        self.transport: asyncio.Transport | None = None
        self.idle_since = 0.0
        self.reused = False

    def _new_parser(self, *, with_body: bool) -> HttpResponseParser:
        limits = self._pool.limits
        return HttpResponseParser(
            self,  # type: ignore[arg-type]  # it calls pause_reading and resume_reading only
            self._pool.loop,
            PARSER_BUFFER_BYTES,
            max_line_size=limits.max_header_bytes,
            max_field_size=limits.max_header_bytes,
            max_headers=limits.max_header_fields,
            response_with_body=with_body,
            read_until_eof=True,
            auto_decompress=False,
        )

    def begin(self, exchange: Answered, method: str) -> None:
        """Carry ``exchange`` from now on."""
        self.exchange = exchange
        self._method = method

    def write(self, data: bytes) -> None:
        """Send to the app; harmless after the connection has ended."""
        if self.transport is not None:
            self.transport.write(data)

    def release(self, *, reusable: bool) -> None:
        """The exchange is over."""
        self.exchange = None
        transport = self.transport
        if not (reusable and self._clean) or transport is None or transport.is_closing():
            self.abort()
            return
        self._parser = self._payload = None
        if self._paused:
            self.resume_app()
        self._pool.put_back(self)

    def abort(self) -> None:
        """End it at once; what is in flight is lost."""
        self.exchange = None
        if self.transport is not None:
            self.transport.abort()

    def close(self) -> None:
        """End it after what was written has been sent."""
        self.exchange = None
        if self.transport is not None:
            self.transport.close()

    def waiting_bytes(self) -> int:
        """What the app has not taken yet."""
        return self.transport.get_write_buffer_size() if self.transport is not None else 0

    def pause_app(self) -> None:
        """The client does not read: stop taking from the app."""
        if self.transport is not None and not self.transport.is_closing():
            self._paused = True
            self.transport.pause_reading()

    def resume_app(self) -> None:
        """The client reads again."""
        if self.transport is not None and not self.transport.is_closing():
            self._paused = False
            self.transport.resume_reading()

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def data_received(self, data: bytes) -> None:
        exchange = self.exchange
        if exchange is None:
            self.abort()
        elif self._left:
            self._counted(exchange, data)
        elif self._raw:
            exchange.raw(data)
        elif self._parser is not None:
            self._decode(exchange, data)
        else:
            self._read_head(exchange, data)

    def _read_head(self, exchange: Answered, data: bytes) -> None:
        """Interim heads, then the final one with what came behind it."""
        if self._early:
            data, self._early = self._early + data, b""
        start = 0
        while True:
            end = _head_end(data, start)
            if (end or len(data)) - start > self._pool.limits.max_header_bytes:
                self._broken(ValueError("the head of the answer is too large"))
                return
            if not end:
                self._early = data[start:]
                return
            try:
                messages, _, _ = self._heads.feed_data(data[start:end])  # type: ignore[union-attr]  # there until the connection is lost
                message = messages[0][0]
            except Exception as error:  # noqa: BLE001 - whatever the parser raises, the answer cannot be used
                self._broken(error)
                return
            if message.code >= 200 or message.code == 101:
                break
            exchange.interim(message)
            if self.exchange is not exchange:
                return
            start = end
        code: int = message.code
        if code == 101:
            self._raw = True
            exchange.switched(message, memoryview(data)[end:])
            return
        if self._method == "HEAD" or code in _NO_BODY:
            self._clean = end == len(data)
            exchange.answered(message, b"", True)
            return
        fields: CIMultiDictProxy[str] = message.headers
        told = fields.get(_CONTENT_LENGTH)
        if told is None or message.chunked:
            coding = fields.get(_TRANSFER_ENCODING)
            if coding is not None and not (message.chunked and coding.lower() == "chunked"):
                # the field ends here: the client would be left with a body that nobody told it how to decode
                self._broken(ValueError("a Transfer-Encoding other than chunked"))
                return
            self._parser = self._new_parser(with_body=True)
            self._decode(exchange, data[start:])
        else:
            length = int(told)
            body = memoryview(data)[end:]
            if len(body) > length:
                self._clean = False  # bytes nobody asked for: never reuse this connection
                body = body[:length]
            left = self._left = length - len(body)
            exchange.answered(message, body, not left)

    def _counted(self, exchange: Answered, data: bytes) -> None:
        """More of a body of known length."""
        if len(data) > self._left:
            self._clean = False
            data = data[: self._left]
        self._left -= len(data)
        exchange.body(data, not self._left)

    def _decode(self, exchange: Answered, data: bytes) -> None:
        """A body that is chunked, or ends with the connection; the first time together with its head."""
        try:
            messages, _, _ = self._parser.feed_data(data)  # type: ignore[union-attr]
        except Exception as error:  # noqa: BLE001 - as above
            self._broken(error)
            return
        payload = self._payload
        if payload is None:
            self._clean = len(messages) == 1
            message, payload = messages[0]
            self._payload = payload
            done = payload.is_eof()
            exchange.answered(message, payload.read_nowait(), done)
        else:
            self._clean = not messages
            done = payload.is_eof()
            exchange.body(payload.read_nowait(), done)

    def eof_received(self) -> None:
        exchange, parser, payload = self.exchange, self._parser, self._payload
        if exchange is None or parser is None or payload is None:
            return
        try:
            parser.feed_eof()
        except Exception as error:  # noqa: BLE001 - incomplete by the parser's books
            self._broken(error)
            return
        if payload.is_eof():
            exchange.body(payload.read_nowait(), True)

    def _broken(self, error: BaseException) -> None:
        exchange, self.exchange = self.exchange, None
        self.abort()
        if exchange is not None:
            exchange.lost(error)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.transport = None
        self._pool.forget(self)
        exchange, self.exchange = self.exchange, None
        self._parser = self._payload = None
        self._heads = None  # breaks the cycle between parser and protocol
        if exchange is not None:
            exchange.lost(exc)

    def pause_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.upload_paused()

    def resume_writing(self) -> None:
        if self.exchange is not None:
            self.exchange.upload_resumed()

    # -- the parser's demands: never needed, see the law

    def pause_reading(self) -> None:
        """Called by a full stream."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called at a stream's end."""


def _head_end(data: bytes, start: int) -> int:
    """Where the body begins, 0 if the head is not complete. Lines may end in LF alone: old apps do that, and llhttp lets them."""
    end = data.find(b"\n\r\n", start) + 3
    bare = data.find(b"\n\n", start, end if end > 2 else len(data)) + 2
    if bare > 1:
        return bare
    return end if end > 2 else 0
