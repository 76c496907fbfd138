"""The connection to the broker (io): many requests at once, answered over one inbox.

Law: a request ends with its answer, with :class:`BrokerAway`, or with :class:`Refused`; nothing waits longer than its time-out, and a lost
connection ends all that wait at once. Reconnecting never gives up.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import suppress
from importlib.util import find_spec
from itertools import count
from pathlib import Path
from typing import Any, NamedTuple

import nats.errors
import orjson
from nats.aio.client import Client, RawCredentials
from nats.aio.msg import Msg

from gateway.errors import GatewayError, SpoolUnavailable
from gateway.outcome import Reason
from gateway.spool.settings import SpoolSettings

_log = logging.getLogger(__name__)
_API = "$JS.API."
_PAGE = 512
_RECONNECT_S = 0.25
_CONNECT_S = 1.5


class BrokerAway(GatewayError):
    """No answer: not connected, electing, or too slow."""


class Refused(GatewayError):
    """The broker answered with an error."""

    def __init__(self, code: int, words: str) -> None:
        super().__init__(f"{words} (code {code})")
        self.code = code
        self.words = words


class Message(NamedTuple):
    """Something to publish."""

    subject: str
    payload: bytes = b""
    headers: dict[str, str] | None = None


class Answer(NamedTuple):
    """What came back."""

    headers: dict[str, str]
    data: bytes
    status: str

    def json(self) -> dict[str, Any]:
        """The answer's body; raises Refused where it is an error."""
        if self.status:
            raise Refused(int(self.status), self.headers.get("Description", "refused"))
        try:
            body = orjson.loads(self.data or b"{}")
        except orjson.JSONDecodeError:
            raise Refused(0, "the broker's answer is not JSON") from None
        if not isinstance(body, dict):
            raise Refused(0, "the broker's answer is no object")
        error = body.get("error")
        if error:
            raise Refused(int(error.get("err_code", error.get("code", 0))), str(error.get("description", "refused")))
        return body


def options(settings: SpoolSettings, role: str) -> dict[str, Any]:
    """How to connect: addresses, credentials, trust, as the files say now (blocks). SpoolUnavailable if a file that they name cannot be used.

    Answers come below a subject of the role's own: whoever may listen to what all clients share hears what they read, tokens too. Changes with ``deploy/nats``.
    """
    servers = [each.strip() for each in settings.url.split(",") if each.strip()]
    found: dict[str, Any] = {"servers": servers, "name": "ttgateway", "inbox_prefix": inbox(settings.stream, role)}
    if settings.credentials:
        found["user_credentials"] = _credentials(settings.credentials)
    if settings.tls_ca or any(each.startswith("tls://") for each in servers):
        try:
            found["tls"] = ssl.create_default_context(cafile=settings.tls_ca or None)
        except OSError as error:  # an SSLError is one
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, f"spool.tls_ca {settings.tls_ca}: {error.strerror}") from None
    return found


def inbox(stream: str, role: str) -> str:
    """What the subjects of a role's answers begin with."""
    return f"_INBOX_{stream}_{role}"


def _credentials(path: str) -> RawCredentials:
    """As text: the library would read the file in the loop, at every connection."""

    def unusable(why: str) -> SpoolUnavailable:
        return SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, f"spool.credentials {path}: {why}")

    try:
        text = Path(path).read_text(encoding="ascii")
    except OSError as error:
        raise unusable(error.strerror or "cannot be read") from None
    except UnicodeDecodeError:
        raise unusable("is no .creds file") from None
    if "BEGIN NATS USER JWT" not in text or "BEGIN USER NKEY SEED" not in text:
        raise unusable("is no .creds file")
    if find_spec("nkeys") is None:
        raise unusable("needs a package that is not installed: pip install 'ttgateway[jetstream]'")
    return RawCredentials(text)


class _Client(Client):
    """Says nothing to a server that does not speak TLS where TLS is asked for; the library would go on in clear, password first."""

    def __init__(self, *, trusts: bool) -> None:
        super().__init__()
        self._trusts = trusts

    def _connect_command(self) -> bytes:
        if self._trusts and not self._server_info.get("tls_required"):
            raise nats.errors.Error("the server does not speak TLS")
        return super()._connect_command()


class Wire:
    """One connection. ``on_change`` is called whenever it is had or lost."""

    def __init__(self, options: dict[str, Any], on_change: Callable[[], None]) -> None:
        self._options = options
        self._on_change = on_change
        self._nc: Client | None = None
        self._numbers = count()
        self._waiting: dict[str, asyncio.Future[Answer]] = {}
        self._scans: dict[str, asyncio.Queue[Answer | None]] = {}
        self._inbox = ""
        self._heard: dict[str, Callable[[bytes, dict[str, str]], None]] = {}
        self.on_delivery: Callable[[Msg], None] = lambda _message: None
        """Called with each record that the broker hands out."""
        self.on_status: Callable[[str], None] = lambda _name: None
        """Called when the broker ends a request for records, with the name it was made under."""

    @property
    def connected(self) -> bool:
        """Whether a request has a chance."""
        return self._nc is not None and self._nc.is_connected

    @property
    def version(self) -> str:
        """The broker's."""
        return str(self._nc.connected_server_version) if self._nc is not None else ""

    @property
    def max_payload_bytes(self) -> int:
        """The largest message the broker takes, 1 MiB while it was never asked."""
        return int(self._nc.max_payload) if self._nc is not None and self._nc.is_connected else 1 << 20

    async def connect(self) -> None:
        """Raises BrokerAway. May be called again until it succeeds; from then on the connection mends itself."""

        async def lost() -> None:
            self._lose()

        async def had() -> None:
            self._on_change()

        async def failed(error: Exception) -> None:
            # Without its inbox nothing is answered, and that looks like a broker that is away.
            refused = "permissions violation for subscription" in str(error).lower() and "_inbox" in str(error).lower()
            _log.log(logging.ERROR if refused else logging.DEBUG, "broker: %s", error)

        nc = _Client(trusts=bool(self._options.get("tls")))
        try:
            # Without a limit of ours, it would go on trying until the broker is there.
            async with asyncio.timeout(_CONNECT_S):
                await nc.connect(
                    max_reconnect_attempts=-1,
                    connect_timeout=1,
                    ping_interval=5,
                    max_outstanding_pings=2,
                    disconnected_cb=lost,
                    reconnected_cb=had,
                    error_cb=failed,
                    **{"reconnect_time_wait": _RECONNECT_S, **self._options},
                )
        except (nats.errors.Error, OSError, TimeoutError, ValueError) as error:
            with suppress(nats.errors.Error, OSError, RuntimeError):
                await nc.close()
            raise BrokerAway(f"cannot connect: {str(error) or 'no answer'}") from None
        except asyncio.CancelledError:
            with suppress(nats.errors.Error, OSError, RuntimeError):
                await nc.close()
            raise
        self._inbox = nc.new_inbox()
        await nc.subscribe(self._inbox + ".>", cb=self._arrived)
        self._nc = nc
        for subject in list(self._heard):
            await self._subscribe(nc, subject)

    async def listen(self, subject: str, told: Callable[[bytes, dict[str, str]], None]) -> None:
        """Call ``told`` with whatever is said on ``subject``, over this connection and all that follow it."""
        self._heard[subject] = told
        if self._nc is not None:
            await self._subscribe(self._nc, subject)

    async def _subscribe(self, nc: Client, subject: str) -> None:
        async def arrived(message: Msg) -> None:
            self._heard[subject](message.data, message.headers or {})

        with suppress(nats.errors.Error, OSError):
            await nc.subscribe(subject, cb=arrived)

    async def send(self, *messages: Message, reply: str = "") -> None:
        """Publish without waiting for an answer. BrokerAway if there is no connection."""
        if self._nc is None or not self._nc.is_connected:
            raise BrokerAway("not connected")
        try:
            for subject, payload, headers in messages:
                await self._nc.publish(subject, payload, reply=reply, headers=headers)
        except (nats.errors.Error, OSError) as error:
            raise BrokerAway(str(error) or type(error).__name__) from None

    def inbox(self, name: str) -> str:
        """A reply subject for records; the request's end is told to :attr:`on_status` with ``name``."""
        return f"{self._inbox}.p.{name}"

    async def ask(self, messages: Sequence[Message], timeout_s: float) -> list[Answer]:
        """All answers, in order. Raises BrokerAway unless all came in time; some may have taken effect then."""
        if self._nc is None or not self._nc.is_connected:
            raise BrokerAway("not connected")
        loop = asyncio.get_running_loop()
        keys: list[str] = []
        futures: list[asyncio.Future[Answer]] = []
        try:
            async with asyncio.timeout(timeout_s):
                for subject, payload, headers in messages:
                    key = str(next(self._numbers))
                    future = self._waiting[key] = loop.create_future()
                    keys.append(key)
                    futures.append(future)
                    await self._nc.publish(subject, payload, reply=f"{self._inbox}.a.{key}", headers=headers)
                answers = await asyncio.gather(*futures)
        except (nats.errors.Error, OSError, TimeoutError) as error:
            raise BrokerAway(str(error) or "no answer in time") from None
        finally:
            for key in keys:
                self._waiting.pop(key, None)
            for future in futures:
                future.cancel()
        if any(answer.status == "503" for answer in answers):
            raise BrokerAway("no JetStream answers for the subject")
        return answers

    async def api(self, call: str, body: dict[str, Any] | None = None, timeout_s: float = 2.0) -> dict[str, Any]:
        """One call of the broker's own interface. Raises Refused with its words."""
        (answer,) = await self.ask([Message(_API + call, orjson.dumps(body or {}))], timeout_s)
        return answer.json()

    async def read(self, stream: str, requests: Sequence[dict[str, Any]], timeout_s: float = 2.0) -> list[Answer | None]:
        """Stored messages, each by ``{"seq": n}`` or ``{"last_by_subj": s}``; None where there is none."""
        subject = f"{_API}DIRECT.GET.{stream}"
        answers = await self.ask([Message(subject, orjson.dumps(each)) for each in requests], timeout_s)
        return [None if answer.status else answer for answer in answers]

    async def scan(self, stream: str, subject: str, after: int, limit: int) -> list[Answer]:
        """Up to ``limit`` stored messages of ``subject`` with a sequence above ``after``, ascending."""
        found: list[Answer] = []
        while len(found) < limit:
            page = await self._page(stream, subject, after, min(_PAGE, limit - len(found)))
            if not page:
                break
            found += page
            after = sequence_of(page[-1])
        return found

    async def _page(self, stream: str, subject: str, after: int, limit: int) -> list[Answer]:
        key = str(next(self._numbers))
        queue = self._scans[key] = asyncio.Queue()
        body = {"seq": after + 1, "next_by_subj": subject, "batch": limit}
        page: list[Answer] = []
        try:
            await self.send(Message(f"{_API}DIRECT.GET.{stream}", orjson.dumps(body)), reply=f"{self._inbox}.s.{key}")
            async with asyncio.timeout(5.0):
                while len(page) <= limit:
                    answer = await queue.get()
                    if answer is None or answer.status == "503":
                        raise BrokerAway("lost while reading")
                    if answer.status:
                        break
                    page.append(answer)
        except TimeoutError:
            raise BrokerAway("no answer in time") from None
        finally:
            del self._scans[key]
        return page

    async def all(self, stream: str, subject: str) -> AsyncIterator[Answer]:
        """All stored messages of ``subject``, ascending."""
        after = 0
        while page := await self._page(stream, subject, after, _PAGE):
            for message in page:
                yield message
            after = sequence_of(page[-1])

    async def delete(self, stream: str, sequence: int) -> bool:
        """Remove one stored message; False if it had gone already."""
        try:
            await self.api(f"STREAM.MSG.DELETE.{stream}", {"seq": sequence, "no_erase": True})
        except Refused:
            return False
        return True

    async def close(self) -> None:
        """Send what waits and end."""
        if self._nc is None:
            return
        with suppress(nats.errors.Error, OSError, TimeoutError):
            if self._nc.is_connected:
                await self._nc.flush(1)
        # RuntimeError: the loop's word for a connection that was lost with something to send.
        with suppress(nats.errors.Error, OSError, TimeoutError, RuntimeError):
            await self._nc.close()
        self._lose()

    def _lose(self) -> None:
        waiting, self._waiting = self._waiting, {}
        for future in waiting.values():
            if not future.done():
                future.set_result(Answer({}, b"", "503"))
        for queue in self._scans.values():
            queue.put_nowait(None)
        self._on_change()

    async def _arrived(self, message: Msg) -> None:
        if not message.subject.startswith(self._inbox):
            self.on_delivery(message)  # a record keeps the subject that it was stored under
            return
        kind, _, name = message.subject[len(self._inbox) + 1 :].partition(".")
        if kind == "p":
            self.on_status(name)
            return
        headers = message.headers or {}
        answer = Answer(headers, message.data, headers.get("Status", ""))
        if kind == "a":
            if (future := self._waiting.get(name)) is not None and not future.done():
                future.set_result(answer)
        elif (queue := self._scans.get(name)) is not None:
            queue.put_nowait(answer)


def sequence_of(answer: Answer) -> int:
    """A stored message's number in its stream."""
    return int(answer.headers["Nats-Sequence"])
