"""One visitor's connection (io): aiohttp's C request parser, the collector, the pass-through.

Law: of aiohttp only ``HttpRequestParser`` and the streams it fills are used (the contract test pins what we rely on). With ``max_msg_queue_size=1`` the parser stops behind
each request, so that one request is in work at a time and later ones wait unread: answers leave in order without a queue. A body that has arrived is answered before the
callback returns, without a task. A plain request passes the parser by (``plain.py``), but only while the parser is known to be between two requests and to keep nothing.
Streams are drained after every feed; the parser never has to pause reading, and its demands to do so are ignored.
"""

import asyncio
import logging
import time
from typing import Any, Final

from aiohttp import http_parser
from aiohttp.http_exceptions import LineTooLong

from gateway.edge import headers
from gateway.edge.address import UNIX_PEER, Client
from gateway.edge.answer import Answer, Deferred, status_line
from gateway.edge.context import Context
from gateway.edge.faults import FAULTS, Fault, error_page
from gateway.edge.head import Fields, Head
from gateway.edge.limits import COLLECT_BODY_BYTES, HELD_BYTES, MIN_PROGRESS_BYTES, TAIL_BYTES
from gateway.edge.line import ANSWER, BODY, CLOSING, HEAD, IDLE, TUNNEL, ClientLine
from gateway.edge.proxy import Exchange
from gateway.edge.tunnel import Tunnel
from gateway.edge.upstream import Upstream

_log = logging.getLogger(__name__)

_PARSER_BUFFER_BYTES = 1 << 20
"""Above what one read can bring (uvloop: 256 KiB), so that a stream never reaches its own high-water mark between drains."""
_NOBODY = Client("", "", "http", "")
_clock: Final = time.perf_counter


def require_c_parser() -> None:
    """RuntimeError if aiohttp runs on its pure Python parser: it is slower and judges ambiguous requests otherwise."""
    if http_parser.HttpRequestParser is http_parser.HttpRequestParserPy:
        raise RuntimeError("aiohttp's C parser is missing: install a wheel of aiohttp with its extensions")


class EdgeProtocol(ClientLine):
    """A connection of the edge listener."""

    __slots__ = (
        "_clear",
        "_deferred",
        "_fed",
        "_gathered",
        "_head",
        "_head_bytes",
        "_http10",
        "_parser",
        "_payload",
        "_peer",
        "_pieces",
        "_started",
        "_tail",
        "_who",
        "_who_key",
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._parser: Any = None
        self._clear = True
        """The parser is between two requests and keeps nothing: a plain request may pass it by."""
        self._peer = ""
        self._head: Head | None = None
        self._head_bytes = 0
        self._http10 = False
        self._payload: Any = None
        self._pieces: bytearray | None = None
        """A body of ours that comes in pieces. One buffer: each byte may come by itself, and an object for each would be many times its size."""
        self._gathered = 0
        """Bytes of the body so far, if it comes in pieces."""
        self._fed = 0
        """Bytes of the body before the last feed."""
        self._tail = 0
        """Bytes that came with the request in work and may belong to later ones; the parser keeps them."""
        self._deferred: Deferred | None = None
        self._who_key: tuple[str, ...] = ()
        self._who = _NOBODY
        self._started = 0.0

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        context = self._context
        self._transport = transport  # type: ignore[assignment]
        peer = transport.get_extra_info("peername")
        self._peer = str(peer[0]) if isinstance(peer, tuple) else UNIX_PEER
        limits = context.limits
        self._parser = http_parser.HttpRequestParser(
            self,  # type: ignore[arg-type]  # it calls pause_reading and resume_reading only
            context.loop,
            _PARSER_BUFFER_BYTES,
            max_line_size=limits.max_header_bytes,
            max_field_size=limits.max_header_bytes,
            max_headers=limits.max_header_fields,
            auto_decompress=False,
            max_msg_queue_size=1,
        )
        crowded = len(context.connections) >= context.max_connections
        if crowded or not context.has_room():
            context.rejected += crowded
            context.starved += not crowded
            self._keep = False
            self._send(FAULTS[Fault.CROWDED])
        context.connections.add(self)

    def connection_lost(self, exc: BaseException | None) -> None:
        self._context.connections.discard(self)
        self._transport = None
        self._parser = None  # breaks the cycle between parser and protocol
        self._payload = None
        self._phase = CLOSING
        self._deferred = None
        self._account()
        exchange, self._exchange = self._exchange, None
        if exchange is not None:
            exchange.gone()
        tunnel, self._tunnel = self._tunnel, None
        if tunnel is not None:
            tunnel.client_gone()

    def data_received(self, data: bytes) -> None:
        phase = self._phase
        if phase == BODY or (phase <= HEAD and not self._blocked):
            self._advance(data)
        elif phase <= ANSWER:
            self._held += data
            if len(self._held) > HELD_BYTES:
                self._read(False)
                self._account()
        elif self._tunnel is not None:
            self._tunnel.from_client(data)

    # -- the parser's demands, see the law

    def pause_reading(self) -> None:
        """Called by a full stream."""

    def resume_reading(self, resume_parser: bool = True) -> None:
        """Called at a stream's end."""

    # -- requests in

    def _advance(self, data: bytes) -> None:
        """Feed the parser until it has nothing more or a request is being worked on."""
        if self._clear and self._phase == IDLE and (self._take_plain(data) if data else not self._tail):
            return
        while self._parser is not None:
            clear, self._clear = self._clear, False
            try:
                fed: tuple[Any, bool, bytes] = self._parser.feed_data(data)
            except Exception as error:  # noqa: BLE001 - whatever the parser raises is the sender's fault, and the end
                self._refuse(Fault.HEAD_TOO_LARGE if _too_large(error) else Fault.MALFORMED)
                return
            messages = fed[0]
            if messages:
                message, payload = messages[0]
                # The head ends with the first empty line. A body in chunks is longer than what is counted of it.
                self._clear = clear and data.find(b"\r\n\r\n") + 4 + payload.total_bytes == len(data)
                self._begin(message, payload, len(data))
            elif self._phase == BODY:
                self._continue(len(data))
            elif data:
                self._part_of_head(len(data))
            else:
                self._clear = clear
            if self._phase != IDLE or self._blocked or not (messages or data):
                if self._tail or len(data) > TAIL_BYTES:
                    self._note_tail(len(data), begun=bool(messages))
                return
            data = b""  # the parser has kept what follows the request

    def _note_tail(self, size: int, *, begun: bool) -> None:
        """Of ``size`` bytes fed, what is not the request's in work is kept by the parser until that is answered."""
        if self._phase != ANSWER and not self._blocked:
            size = 0  # all has been read
        elif not size:
            return  # nothing was fed: the rest of what is noted already
        elif self._payload is not None:
            size -= self._payload.total_bytes - (0 if begun else self._fed)
        self._tail = size if size > TAIL_BYTES else 0
        self._account()

    def _part_of_head(self, size: int) -> None:
        if self._phase == IDLE:
            self._phase = HEAD
            self._since = self._context.now
        self._head_bytes += size
        if self._head_bytes > 2 * self._context.limits.max_header_bytes:
            self._refuse(Fault.HEAD_TOO_LARGE)

    def _take_plain(self, data: bytes) -> bool:
        """Begin with a request that needs no parser, see ``plain.py``. False: it does."""
        context = self._context
        # more is the parser's, which keeps books of what waits
        read = context.plain.read(data) if len(data) <= TAIL_BYTES else None
        if read is None:
            return False
        head, body = read
        if not headers.known(head.field("host")):
            return False
        self._started = _clock()
        self._recognise(head.headers)
        self._head = head
        self._http10 = False
        self._keep = not context.draining
        self._phase = ANSWER
        self._since = context.now
        context.cohorts.arrived(self, head, body)
        return True

    def _recognise(self, fields: Fields) -> None:
        """Whose request it is."""
        addresses = self._context.addresses
        key = addresses.key(self._peer, fields)
        if key != self._who_key:
            self._who = addresses.resolve(key)
            self._who_key = key

    def _begin(self, message: Any, payload: Any, size: int) -> None:
        self._started = _clock()
        context = self._context
        fields = message.headers
        raw_headers: tuple[tuple[bytes, bytes], ...] = message.raw_headers
        method: str = message.method
        target: str = message.path
        version: tuple[int, int] = message.version
        upgrade: bool = message.upgrade
        self._recognise(fields)
        try:
            if upgrade and (method == "CONNECT" or message.chunked or not payload.is_eof() or payload.total_bytes):
                raise headers.Refused("CONNECT, or an Upgrade with a body")
            path, query = headers.checked(target, version, fields)
        except headers.Refused as refused:
            _log.debug("request refused", extra={"why": str(refused)})
            self._refuse(Fault.MALFORMED)
            return
        if size + self._head_bytes > context.limits.max_header_bytes and (
            sum(len(n) + len(v) + 4 for n, v in raw_headers) + len(target) > context.limits.max_header_bytes
        ):
            self._refuse(Fault.HEAD_TOO_LARGE)
            return
        self._head_bytes = 0
        head = self._head = Head(method, target.encode("ascii"), path, query, fields, raw_headers, version)
        self._http10 = not version[1]
        # behind an Upgrade the parser stops, whoever answers it: what follows is read by a tunnel or not at all
        self._keep = not message.should_close and not upgrade and not context.draining
        self._payload = payload
        complete: bool = payload.is_eof()
        self._gathered = 0
        self._fed = payload.total_bytes
        self._phase = ANSWER if complete else BODY
        self._since = context.now
        if path.startswith(context.prefix_slash):
            if complete:
                context.cohorts.arrived(self, head, payload.read_nowait())
            else:
                self._gather(head)
        elif context.upstream is None or path == context.prefix:
            self._keep = self._keep and complete
            self._send(FAULTS[Fault.NOT_FOUND])
        else:
            self._pass_on(message, head, context.upstream, complete)

    def _continue(self, size: int) -> None:
        """More of the body of the request in work: ``size`` bytes were fed."""
        payload = self._payload
        complete: bool = payload.is_eof()
        self._clear = complete and payload.total_bytes - self._fed == size
        data = payload.read_nowait()
        if complete:
            self._phase = ANSWER
        else:
            self._fed = payload.total_bytes
        if self._exchange is not None:
            if data or complete:
                self._count(len(data))
                self._exchange.upload(data, complete=complete)
        elif data or complete:
            self._gather_piece(data, complete)

    def _count(self, size: int) -> None:
        """The body has grown: progress if it is by enough."""
        before = self._gathered
        self._gathered += size
        if before // MIN_PROGRESS_BYTES != self._gathered // MIN_PROGRESS_BYTES:
            self._since = self._context.now

    # -- collect

    def _gather(self, head: Head) -> None:
        """Take a body that comes in pieces."""
        if int(head.field("content-length") or 0) > COLLECT_BODY_BYTES:
            self._refuse(self._context.collector.too_large(head, self._who))
            return
        if head.field("expect").lower() == "100-continue" and head.version[1]:
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._pieces = bytearray()
        self._gather_piece(self._payload.read_nowait(), False)

    def _gather_piece(self, data: bytes, complete: bool) -> None:
        pieces = self._pieces
        if pieces is None:
            return
        pieces += data
        self._count(len(data))
        if self._gathered > COLLECT_BODY_BYTES and self._head is not None:
            self._refuse(self._context.collector.too_large(self._head, self._who))
        elif complete and self._head is not None:
            body, self._pieces = bytes(pieces), None
            self._account()
            self._context.cohorts.arrived(self, self._head, body)
        elif self._gathered > TAIL_BYTES:
            self._account()

    def collect(self, head: Head, body: bytes) -> None:
        """Decide about a request that has arrived, see ``cohort.py``."""
        try:
            answer = self._context.collector.handle(head, body, self._who)
        except Exception:  # noqa: BLE001 - a defect there must not take the connection, let alone the site, with it
            _log.exception("collect crashed")
            answer = FAULTS[Fault.CRASHED]
        if isinstance(answer, Deferred):
            self._deferred = answer
            self._context.cohorts.wait(self, answer.future)
        else:
            self._send(answer)
            self._next()

    def committed(self, future: "asyncio.Future[None]", error: BaseException | None) -> None:
        """Answer: the commit is known, and what it failed with."""
        deferred, self._deferred = self._deferred, None
        if deferred is None or deferred.future is not future:
            return  # the client has gone
        self._send(deferred.answer if error is None else deferred.on_failure(error))
        self._next()

    def _send(self, answer: Answer) -> None:
        """Send a complete answer and be ready for the next request, or close."""
        transport = self._transport
        if transport is None:
            return
        context = self._context
        status = answer.status
        body = b"" if self._head is not None and self._head.method == "HEAD" else answer.body
        length = b"" if status == 204 else b"Content-Length: %d\r\n" % len(answer.body)
        if not self._keep:
            length += b"Connection: close\r\n"
        elif self._http10:
            length += b"Connection: keep-alive\r\n"
        self._sent = True
        transport.write(b"%b%b%b%b\r\n%b" % (status_line(status), answer.headers, context.date, length, body))
        if self._started:
            context.observe("collect", status, _clock() - self._started)
        self._ended()

    def _ended(self) -> None:
        """The answer has been handed over in full."""
        unread = self._phase == BODY
        self._head = self._payload = None
        self._started = 0.0
        self._since = self._context.now
        if self._keep:
            self._phase = IDLE
        elif unread or self._held:
            self._linger()
        else:
            self.close()

    def _next(self) -> None:
        """After an answer that did not come at once: go on with what has arrived meanwhile."""
        if self._phase <= HEAD and not self._blocked:
            # What the parser kept goes first: fed more each time, it would copy all that waits for every request of a pipeline.
            self._advance(b"")
        if self._phase <= BODY and not self._blocked:
            held, self._held = self._held, b""
            if len(held) > HELD_BYTES:
                self._read(True)
                self._account()
            if held:
                self._advance(held)
            if self._fin and self._phase <= BODY and not self._blocked:
                self.close()  # all that was complete before the client's end has been answered; the rest never comes

    # -- pass-through

    def _pass_on(self, message: Any, head: Head, upstream: Upstream, complete: bool) -> None:
        websocket = message.upgrade and head.version[1] == 1 and head.field("upgrade").lower() == "websocket"
        exchange = self._exchange = Exchange(
            self, self._context, upstream, head, self._who, chunked=bool(message.chunked), websocket=websocket
        )
        try:
            peer = "" if self._peer == UNIX_PEER else self._peer
            exchange.start(peer, self._payload.read_nowait(), complete=complete)
        except headers.Refused as refused:
            _log.debug("request refused", extra={"why": str(refused)})
            self._exchange = None
            self._refuse(Fault.MALFORMED)

    @property
    def keeps(self) -> bool:
        """Whether the connection is kept after the answer in work."""
        return self._keep

    def close_after(self) -> None:
        """Close once the answer in work is complete."""
        self._keep = False

    def exchange_done(self) -> None:
        """The app's answer has been passed on in full."""
        self._exchange = None
        self.resume_upload()
        self._started = 0.0
        self._ended()
        self._next()

    def answer_for_app(self, fault: Fault) -> int:
        """Say that the app is away or too slow; returns the status."""
        self._exchange = None
        self.resume_upload()
        self._started = 0.0
        page = self._context.error_page
        answer = error_page(fault, page) if page else FAULTS[fault]
        if self._phase == BODY:
            self._keep = False
        self._send(answer)
        self._next()
        return answer.status

    def truncate(self, *, hard: bool) -> None:
        """End without the rest of an answer. ``hard``: by a reset, because a plain end would look complete."""
        self._exchange = None
        if hard:
            self._reset()
        else:
            self.close()

    def enter_tunnel(self, tunnel: Tunnel) -> None:
        """The exchange has become a websocket; bytes that came behind its request go first."""
        self._exchange = None
        self._tunnel = tunnel
        self._phase = TUNNEL
        _, _, tail = self._parser.feed_data(b"")
        self._parser = None
        early, self._held = tail + self._held, b""
        if early:
            tunnel.from_client(early)
        if self._fin:
            self.close()  # as in a tunnel that stood already: who ends its side ends the tunnel

    # -- what waits in memory

    def _waiting_bytes(self) -> int:
        return super()._waiting_bytes() + self._tail + (self._gathered if self._pieces else 0)

    def give_up(self) -> None:
        if self._pieces:
            self._refuse(Fault.CROWDED)
        else:
            super().give_up()

    # -- ends

    def _refuse(self, fault: Fault | Answer) -> None:
        """Answer a request that cannot be worked on, and close."""
        self._context.refused += 1
        self._keep = False
        if self._exchange is not None:
            exchange, self._exchange = self._exchange, None
            exchange.gone()
            if exchange.began:
                self._reset()
                return
        self._started = self._started or _clock()
        self._phase = BODY  # something is unread: linger
        self._head = None
        self._pieces = None
        self._account()
        self._send(fault if isinstance(fault, Answer) else FAULTS[fault])


def _too_large(error: BaseException) -> bool:
    return isinstance(error, LineTooLong) or "Too many headers" in str(error)
