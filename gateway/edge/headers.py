"""Header fields on their way through: what is refused, removed, added and kept (pure).

Law: what could be read in two ways is refused; what is passed on is written anew, field by field, with the sender's bytes,
case, order and duplicates. The framing is ours: Content-Length when known, else chunked. Nothing is added but
X-Forwarded-For/-Proto/-Host (and Forwarded where it was used). Change together with ``address.py``.
"""

import re
from collections.abc import Iterable
from enum import IntEnum
from functools import lru_cache

from multidict import CIMultiDictProxy, istr

from gateway.edge.address import Client
from gateway.edge.head import Head

RawHeaders = tuple[tuple[bytes, bytes], ...]

_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,255})(?::[0-9]{1,5})?")
_AUTHORITY = re.compile(r"https?://([^/?#]+)", re.IGNORECASE)
_PLAIN_CONNECTION = frozenset({b"keep-alive", b"close", b"upgrade", b""})
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_SHARED_CACHING = tuple(map(istr, ("Cache-Control", "Expires", "Surrogate-Control", "CDN-Cache-Control", "Age")))
_CACHE_CONTROL = _SHARED_CACHING[0]
_ACCEPT, _FETCH_DEST = istr("Accept"), istr("Sec-Fetch-Dest")
_PURPOSES = (istr("Sec-Purpose"), istr("Purpose"), istr("X-Moz"))


class Refused(Exception):  # noqa: N818 - it names what happened to the request
    """A request that could be read in two ways; the text is for the log and the answer, it quotes nothing."""


class _Kind(IntEnum):
    KEEP = 0
    DROP = 1
    CONNECTION = 2
    FORWARDED_FOR = 3
    FORWARDED_PROTO = 4
    FORWARDED_HOST = 5
    FORWARDED = 6
    LOOKALIKE = 7


_KINDS = {
    b"connection": _Kind.CONNECTION,
    b"keep-alive": _Kind.DROP,
    b"proxy-connection": _Kind.DROP,
    b"proxy-authenticate": _Kind.DROP,
    b"proxy-authorization": _Kind.DROP,
    b"te": _Kind.DROP,
    b"trailer": _Kind.DROP,
    b"transfer-encoding": _Kind.DROP,
    b"upgrade": _Kind.DROP,
    b"x-forwarded-for": _Kind.FORWARDED_FOR,
    b"x-forwarded-proto": _Kind.FORWARDED_PROTO,
    b"x-forwarded-host": _Kind.FORWARDED_HOST,
    b"forwarded": _Kind.FORWARDED,
}
_PROTECTED = frozenset(_KINDS) - {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"proxy-connection"} | {
    b"host",
    b"content-length",
    b"cookie",
}
"""Fields that nobody may have removed by naming them in Connection, or imitate by ``_`` for ``-``: apps that follow CGI read
both spellings as one."""


@lru_cache(maxsize=2048)
def _kind(name: bytes) -> int:
    lower = name.lower()
    if b"_" in lower and lower.replace(b"_", b"-") in _PROTECTED:
        return _Kind.LOOKALIKE
    return _KINDS.get(lower, _Kind.KEEP)


def valid_host(host: str) -> bool:
    """A host name or address with an optional port – one, without user info or spaces."""
    return _HOST.fullmatch(host) is not None


def split_target(target: str, host: str) -> tuple[str, str]:
    """Path and query of a request target. Refused if an absolute-form target names another host than the Host field."""
    if not target.startswith("/") and target != "*":
        match = _AUTHORITY.match(target)
        if not match or not valid_host(match[1]) or (host and match[1].lower() != host.lower()):
            raise Refused("the target is absolute and names another host than the Host field")
        target = target[match.end() :]
        if not target.startswith("/"):
            target = "/" + target
    path, _, query = target.partition("?")
    return path, query


def nominated(value: bytes) -> frozenset[bytes]:
    """Fields that a Connection field declares to be for this hop only. Refused if one of them is not its to remove."""
    tokens = frozenset(token.strip().lower() for token in value.split(b","))
    names = tokens - _PLAIN_CONNECTION
    if names & _PROTECTED:
        raise Refused("Connection names a field that must reach the app")
    return names


def request_head(head: Head, client: Client, peer: str, *, chunked: bool, websocket: bool) -> bytes:
    """The head that the app is sent. ``peer``: address of the connection's other end, '' for a unix socket. May raise Refused."""
    lines = [b"%b %b HTTP/1.%d\r\n" % (head.method.encode(), head.target, 1 if head.version[1] or client.host else 0)]
    hop: frozenset[bytes] = frozenset()
    seen: dict[int, int] = {}
    for name, value in head.raw_headers:
        kind = _kind(name)
        if not kind:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif kind == _Kind.DROP:
            if websocket and name.lower() == b"upgrade":
                lines.append(b"Connection: Upgrade\r\n%b: %b\r\n" % (name, value))
        elif kind == _Kind.CONNECTION:
            hop |= nominated(value)
        elif kind == _Kind.LOOKALIKE:
            raise Refused("a field imitates a protected one by underscores")
        elif client.trusted:
            seen[kind] = len(lines)
            lines.append(b"%b: %b\r\n" % (name, value))
        elif kind not in seen:
            # keeps the place and the spelling of the field that is replaced
            seen[kind] = len(lines)
            lines.append(name)
    _tell(lines, seen, client, peer)
    if hop:
        lines = [lines[0], *(line for line in lines[1:] if line.partition(b":")[0].lower() not in hop)]
    if chunked:
        lines.append(b"Transfer-Encoding: chunked\r\n")
    lines.append(b"\r\n")
    return b"".join(lines)


def _tell(lines: list[bytes], seen: dict[int, int], client: Client, peer: str) -> None:
    """Append to a trusted sender's forwarding fields, replace an untrusted one's, add what is missing."""
    sender, scheme, host = peer.encode(), client.scheme.encode(), client.host.encode("utf-8", "surrogateescape")
    at = seen.get(_Kind.FORWARDED_FOR)
    if at is None:
        if sender:
            lines.append(b"X-Forwarded-For: %b\r\n" % sender)
    elif client.trusted:
        if sender:
            lines[at] = b"%b, %b\r\n" % (lines[at][:-2], sender)
    else:
        lines[at] = b"%b: %b\r\n" % (lines[at], sender)
    for kind, name, value in (
        (_Kind.FORWARDED_PROTO, b"X-Forwarded-Proto", scheme),
        (_Kind.FORWARDED_HOST, b"X-Forwarded-Host", host),
    ):
        at = seen.get(kind)
        if at is None:
            if value:
                lines.append(b"%b: %b\r\n" % (name, value))
        elif not client.trusted:
            lines[at] = b"%b: %b\r\n" % (lines[at], value)
    at = seen.get(_Kind.FORWARDED)
    if at is not None:
        node = b'"[%b]"' % sender if b":" in sender else sender or b"unknown"
        element = b'for=%b;host="%b";proto=%b' % (node, host, scheme)
        lines[at] = b"%b, %b\r\n" % (lines[at][:-2], element) if client.trusted else b"%b: %b\r\n" % (lines[at], element)


def response_head(
    status: int, reason: str, raw_headers: RawHeaders, *, extra: Iterable[bytes] = (), upgrade: bool = False
) -> bytes:
    """The head that the client is sent, ``extra`` lines (each ending in CRLF) last. ValueError if a field would end its line."""
    lines = [b"HTTP/1.1 %d %b\r\n" % (status, reason.encode("utf-8", "surrogateescape"))]
    hop: frozenset[bytes] = frozenset()
    for name, value in raw_headers:
        kind = _kind(name)
        if not kind:
            lines.append(b"%b: %b\r\n" % (name, value))
        elif kind == _Kind.DROP:
            if upgrade and name.lower() == b"upgrade":
                lines.append(b"Connection: Upgrade\r\n%b: %b\r\n" % (name, value))
        elif kind == _Kind.CONNECTION:
            hop |= frozenset(token.strip().lower() for token in value.split(b",")) - _PLAIN_CONNECTION - _PROTECTED
        else:
            lines.append(b"%b: %b\r\n" % (name, value))
    if status < 200 or status == 204:
        hop |= {b"content-length"}
    if hop:
        lines = [lines[0], *(line for line in lines[1:] if line.partition(b":")[0].lower() not in hop)]
    lines.extend(extra)
    lines.append(b"\r\n")
    block = b"".join(lines)
    # The response parser is lenient: a lone CR or LF inside a field must not become a line of ours.
    if block.count(b"\n") != block.count(b"\r\n") or block.count(b"\r") != block.count(b"\n") or block.count(b"\r\n\r\n") != 1:
        raise ValueError("a response field contains a line break")
    return block


def is_navigation(head: Head) -> bool:
    """A person opening a page: GET of a document, not a prefetch."""
    if head.method != "GET":
        return False
    headers = head.headers
    destination = headers.get(_FETCH_DEST)
    if destination is None:
        if "text/html" not in headers.get(_ACCEPT, ""):
            return False
    elif destination != "document":
        return False
    return not any("prefetch" in headers.get(name, "") for name in _PURPOSES)


def cookie_permission(status: int, headers: CIMultiDictProxy[str]) -> tuple[bool, bool]:
    """Whether Set-Cookie may be added to an answer of the app, and whether ``Cache-Control: private`` must be added with it.

    A shared cache must never store one visitor's cookie for another: only answers that are private already, or that say nothing
    about caching at all, qualify.
    """
    if status != 200 and status not in _REDIRECTS:
        return False, False
    present = [name for name in _SHARED_CACHING if name in headers]
    if not present:
        return True, True
    directives = {d.strip().lower() for value in headers.getall(_CACHE_CONTROL, ()) for d in value.split(",")}
    private = bool(directives & {"private", "no-store"}) and not {"public"} & directives
    return private, False
