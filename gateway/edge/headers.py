"""Header fields on their way through: what is refused, removed, added and kept (pure).

Law: what could be read in two ways is refused; what is passed on is written anew, field by field, with the sender's bytes,
case, order and duplicates. The framing is ours: Content-Length when known, else chunked. Nothing is added but
X-Forwarded-For/-Proto/-Host (and Forwarded where it was used). Change together with ``address.py``.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final

from multidict import CIMultiDictProxy, istr

from gateway.edge.address import Client, valid_host
from gateway.edge.head import Head

RawHeaders = tuple[tuple[bytes, bytes], ...]

_AUTHORITY: Final = re.compile(r"https?://([^/?#]+)", re.IGNORECASE)
_PLAIN_CONNECTION: Final = frozenset({b"keep-alive", b"close", b"upgrade", b""})
_COMMON_CONNECTION: Final = frozenset({b"keep-alive", b"Keep-Alive", b"close", b"Upgrade", b"upgrade"})
_NOTHING: Final[frozenset[bytes]] = frozenset()
_BODILESS: Final = frozenset({b"content-length"})
CHUNKED: Final = (b"Transfer-Encoding", b"chunked")
CLOSE: Final = (b"Connection", b"close")
KEEP_ALIVE: Final = (b"Connection", b"keep-alive")
PRIVATE: Final = (b"Cache-Control", b"private")
_UPGRADE_FIELD: Final = (b"Connection", b"Upgrade")
_REDIRECTS: Final = frozenset({301, 302, 303, 307, 308})
_HOST: Final = istr("Host")
_TRANSFER_ENCODING: Final = istr("Transfer-Encoding")
_CACHE_CONTROL: Final = istr("Cache-Control")
_SHARED_CACHING: Final = tuple(map(istr, ("Expires", "Surrogate-Control", "CDN-Cache-Control", "Age")))
_PRIVATE: Final = frozenset({"private", "no-store"})
_ACCEPT: Final = istr("Accept")
_FETCH_DEST: Final = istr("Sec-Fetch-Dest")
_PURPOSES: Final = (istr("Sec-Purpose"), istr("Purpose"), istr("X-Moz"))
_known_hosts: Final[set[str]] = set()
_KNOWN_HOSTS_MAX: Final = 256


class Refused(Exception):
    """A request that could be read in two ways; the text is for the log and the answer, it quotes nothing."""


Field = tuple[bytes, bytes]

# Plain numbers: an enum's member costs a look-up per header field.
_KEEP: Final = 0
_DROP: Final = 1
_CONNECTION: Final = 2
_FOR: Final = 3
_PROTO: Final = 4
_FORWARDED_HOST: Final = 5
_FORWARDED: Final = 6
_LOOKALIKE: Final = 7
_SPACED: Final = 8
_UNDERSCORED: Final = 9

_KINDS: Final = {
    b"connection": _CONNECTION,
    b"keep-alive": _DROP,
    b"proxy-connection": _DROP,
    b"proxy-authenticate": _DROP,
    b"proxy-authorization": _DROP,
    b"te": _DROP,
    b"trailer": _DROP,
    b"transfer-encoding": _DROP,
    b"upgrade": _DROP,
    b"x-forwarded-for": _FOR,
    b"x-forwarded-proto": _PROTO,
    b"x-forwarded-host": _FORWARDED_HOST,
    b"forwarded": _FORWARDED,
}
_PROTECTED: Final = frozenset(_KINDS) - {b"connection", b"keep-alive", b"te", b"trailer", b"upgrade", b"proxy-connection"} | {
    b"host",
    b"content-length",
    b"cookie",
}
"""Fields that nobody may have removed by naming them in Connection, or imitate by ``_`` for ``-``: apps that follow CGI read
both spellings as one. So is the field that ``edge.client_ip.header`` names, which a call is told."""


_kinds: Final[dict[bytes, int]] = {}
_KINDS_MAX: Final = 2048


def _kind(name: bytes) -> int:
    known = _kinds.get(name)
    if known is not None:
        return known
    if len(_kinds) >= _KINDS_MAX:
        _kinds.clear()
    kind = _kinds[name] = _judged(name)
    return kind


def _judged(name: bytes) -> int:
    lower = name.lower()
    if lower.endswith((b" ", b"\t")):
        return _SPACED
    if b"_" in lower:
        return _LOOKALIKE if _hyphened(lower) in _PROTECTED else _UNDERSCORED
    return _KINDS.get(lower, _KEEP)


def _hyphened(name: bytes) -> bytes:
    return name.lower().replace(b"_", b"-")


def checked(target: str, version: tuple[int, int], fields: CIMultiDictProxy[str]) -> tuple[str, str]:
    """Path and query of a request. Refused is what llhttp lets pass and we do not."""
    if version != (1, 1):
        if version != (1, 0):
            raise Refused("not HTTP/1.0 or HTTP/1.1")
        if _TRANSFER_ENCODING in fields:
            raise Refused("Transfer-Encoding in HTTP/1.0")
    elif _TRANSFER_ENCODING in fields and fields[_TRANSFER_ENCODING].lower() != "chunked":
        raise Refused("a Transfer-Encoding other than chunked")
    host = fields.get(_HOST)
    if host is not None and host not in _known_hosts:
        if not valid_host(host):
            raise Refused("the Host field is not one host name")
        if len(_known_hosts) < _KNOWN_HOSTS_MAX:
            _known_hosts.add(host)
    if target[0] == "/":
        path, _, query = target.partition("?")
        return path, query
    return split_target(target, host or "")


def known(host: str) -> bool:
    """Whether a Host field was found to be valid before."""
    return host in _known_hosts


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


def nominated(value: bytes, protected: bytes = b"") -> frozenset[bytes]:
    """Fields that a Connection field declares to be for this hop only. Refused if one of them is not its to remove: those of the
    table, and ``protected``, in lower case."""
    tokens = frozenset(token.strip().lower() for token in value.split(b","))
    names = tokens - _PLAIN_CONNECTION
    if names & _PROTECTED or protected in names:
        raise Refused("Connection names a field that must reach the app")
    return names


def request_head(
    head: Head, client: Client, peer: str, *, chunked: bool, websocket: bool, address_header: bytes = b"x-forwarded-for"
) -> bytes:
    """The head that the app is sent. ``peer``: address of the connection's other end, '' for a unix socket; ``address_header``:
    where trusted proxies write the client's address, in lower case. May raise Refused."""
    fields: list[Field] = []
    keep = fields.append
    hop: frozenset[bytes] = _NOTHING
    forwarding: dict[int, int] = {}
    for field in head.raw_headers:
        kind = _kind(field[0])
        if not kind:
            keep(field)
        elif kind == _CONNECTION:
            if field[1] not in _COMMON_CONNECTION:
                hop |= nominated(field[1], address_header)
        elif kind == _UNDERSCORED:
            if _hyphened(field[0]) == address_header:
                raise Refused("a field imitates the client's address by underscores")
            keep(field)
        elif kind == _LOOKALIKE:
            raise Refused("a field imitates a protected one by underscores")
        elif kind == _SPACED:
            raise Refused("white space before a colon")
        elif kind >= _FOR:
            if client.trusted or kind not in forwarding:
                forwarding[kind] = len(fields)
                keep(field)
        elif websocket and field[0].lower() == b"upgrade":
            keep(_UPGRADE_FIELD)
            keep(field)
    if forwarding:
        _tell(fields, forwarding, client, peer)
    else:
        fields += _introduction(peer, client.scheme, client.host)
    if hop:
        fields = [field for field in fields if field[0].lower() not in hop]
    if chunked:
        fields.append(CHUNKED)
    # HTTP/1.0 clients become 1.1, so that the app may stream, unless they name no host, which 1.1 demands
    minor = 1 if head.version[1] or head.field("host") else 0
    first = b"%b %b HTTP/1.%d" % (head.method.encode(), head.target, minor)
    return b"\r\n".join((first, *map(b": ".join, fields), b"\r\n"))


@lru_cache(maxsize=1024)
def _introduction(peer: str, scheme: str, host: str) -> tuple[Field, ...]:
    """What the app is told about a client whose request had no forwarding fields."""
    told = (
        (b"X-Forwarded-For", peer.encode()),
        (b"X-Forwarded-Proto", scheme.encode()),
        (b"X-Forwarded-Host", host.encode()),
    )
    return tuple(field for field in told if field[1])


def _tell(fields: list[Field], at: dict[int, int], client: Client, peer: str) -> None:
    """Append to a trusted sender's forwarding fields, replace an untrusted one's, add what is missing. ``at``: kind → place."""
    sender, host = peer.encode(), client.host.encode()
    node = b'"[%b]"' % sender if b":" in sender else sender or b"unknown"
    for kind, name, value, appended in (
        (_FOR, b"X-Forwarded-For", sender, True),
        (_PROTO, b"X-Forwarded-Proto", client.scheme.encode(), False),
        (_FORWARDED_HOST, b"X-Forwarded-Host", host, False),
        (_FORWARDED, b"", b'for=%b;host="%b";proto=%b' % (node, host, client.scheme.encode()), True),
    ):
        place = at.get(kind)
        if place is None:
            if name and value:
                fields.append((name, value))
        elif not client.trusted:
            # the client's own spelling and place, our value
            fields[place] = (fields[place][0], value)
        elif appended and value:
            fields[place] = (fields[place][0], b"%b, %b" % (fields[place][1], value))


def response_head(
    status: int, reason: str, raw_headers: RawHeaders, extra: Iterable[Field] = (), *, upgrade: bool = False
) -> bytes:
    """The head that the client is sent, ``extra`` fields last. ValueError if a field of the app would end its line early, or if
    white space ends a name: we looked its fields up without, others might not (RFC 9112 §5.1)."""
    fields: list[Field] = []
    keep = fields.append
    hop: frozenset[bytes] = _BODILESS if status < 200 or status == 204 else _NOTHING
    for field in raw_headers:
        kind = _kind(field[0])
        if not kind:
            keep(field)
        elif kind == _CONNECTION:
            if field[1] not in _COMMON_CONNECTION:
                hop |= frozenset(token.strip().lower() for token in field[1].split(b",")) - _PLAIN_CONNECTION - _PROTECTED
        elif kind == _SPACED:
            raise ValueError("white space before the colon of a response field")
        elif kind != _DROP:
            keep(field)
        elif upgrade and field[0].lower() == b"upgrade":
            keep(_UPGRADE_FIELD)
            keep(field)
    if hop:
        fields = [field for field in fields if field[0].lower() not in hop]
    fields += extra
    first = b"HTTP/1.1 %d %b" % (status, reason.encode("utf-8", "surrogateescape"))
    block = b"\r\n".join((first, *map(b": ".join, fields), b"\r\n"))
    # The response parser is lenient: a lone CR or LF inside a field must not become a line of ours.
    ends = len(fields) + 2
    if block.count(b"\n") != ends or block.count(b"\r") != ends:
        raise ValueError("a response field contains a line break")
    return block


def is_navigation(head: Head) -> bool:
    """A person opening a page: GET of a document, not a prefetch."""
    if head.method != "GET":
        return False
    headers = head.headers
    destination = headers.get(_FETCH_DEST)
    if destination != "document" and (destination is not None or "text/html" not in headers.get(_ACCEPT, "")):
        return False
    return not any("prefetch" in headers[name] for name in _PURPOSES if name in headers)


def cookie_permission(status: int, headers: CIMultiDictProxy[str]) -> tuple[bool, bool]:
    """Whether Set-Cookie may be added to an answer of the app, and whether ``Cache-Control: private`` must be added with it.

    A shared cache must never store one visitor's cookie for another: only answers that are private already, or that say nothing
    about caching at all, qualify.
    """
    if status != 200 and status not in _REDIRECTS:
        return False, False
    if _CACHE_CONTROL not in headers:
        silent = not any(name in headers for name in _SHARED_CACHING)
        return silent, silent
    directives = {part.strip().lower() for value in headers.getall(_CACHE_CONTROL) for part in value.split(",")}
    return not _PRIVATE.isdisjoint(directives) and "public" not in directives, False
