"""Whose request it is: the client's address, scheme and host by trusted hops (pure).

Law: what a client can write is believed only as far as trusted proxies vouch for it: X-Forwarded-For is counted from the
right, starting at the peer of the connection. Only a globally routable address is ever called ``public_ip``.
Change together with ``headers.py``, which tells the app what was concluded here.
"""

import ipaddress
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Literal

from cachetools import LRUCache
from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.edge.head import Fields

IPAddress = ipaddress.IPv4Address | ipaddress.IPv6Address
IPNetwork = ipaddress.IPv4Network | ipaddress.IPv6Network
Key = tuple[str, str, str, str, str]

NAMED_NETWORKS: dict[str, tuple[str, ...]] = {
    "loopback": ("127.0.0.0/8", "::1/128"),
    "private": ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "100.64.0.0/10", "169.254.0.0/16", "fc00::/7", "fe80::/10"),
}
"""Names that ``trusted_proxies`` understands; ``private`` includes carrier-grade NAT because clusters use it for pods."""

UNIX_PEER = "unix"
"""The peer of a unix socket: whoever may open the file is trusted like loopback."""

_VALID_HOST = re.compile(r"(?:\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._~-]{1,255})(?::[0-9]{1,5})?")
_PROTO: Final = istr("X-Forwarded-Proto")
_FORWARDED_HOST: Final = istr("X-Forwarded-Host")
_HOST: Final = istr("Host")
_CACHE_SIZE = 4096
_MAX_HOPS_READ = 64
_MAX_HEADER_CHARS = 4096


@dataclass(frozen=True, slots=True)
class Client:
    """What is believed about the sender of a request."""

    ip: str
    """The address counted from the right; '' if it is not an address (unix socket, ``unknown``)."""
    public_ip: str
    """``ip`` if it is globally routable, else ''. The only address that may leave for TikTok."""
    scheme: str
    """``http`` or ``https``: the latter only if a trusted proxy says so."""
    host: str
    """The host that was asked for, with port if there was one."""
    trusted: bool = False
    """Whether the connection's peer is a trusted proxy."""


def valid_host(host: str) -> bool:
    """A host name or address with an optional port – one, without user info or spaces."""
    return _VALID_HOST.fullmatch(host) is not None


def parse_network(text: str) -> list[IPNetwork]:
    """``loopback``, ``private``, an address or a CIDR → networks. ValueError says what was expected."""
    if text in NAMED_NETWORKS:
        return [ipaddress.ip_network(network) for network in NAMED_NETWORKS[text]]
    try:
        return [ipaddress.ip_network(text.strip(), strict=False)]
    except ValueError:
        raise ValueError("expected loopback, private, an address or a CIDR such as 10.0.0.0/8") from None


def parse_address(text: str) -> IPAddress | None:
    """An address as proxies write it – quoted, bracketed, with port or zone, IPv4 in IPv6 – or None."""
    text = text.strip().strip('"').strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    text = text.partition("%")[0]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return None
    if isinstance(address, ipaddress.IPv6Address) and address.ipv4_mapped:
        return address.ipv4_mapped
    return address


_NEVER_PUBLIC = tuple(
    ipaddress.ip_network(network)
    for network in (
        "192.88.99.0/24",  # 6to4 relays, withdrawn
        "64:ff9b::/96",  # NAT64: the address is a translator's, not the visitor's
        "64:ff9b:1::/48",
        "2001::/23",  # protocol assignments, Teredo
        "2002::/16",  # 6to4
        "3fff::/20",  # documentation
        "5f00::/16",  # segment routing
        "fec0::/10",  # site-local, withdrawn
    )
)


def is_public(address: IPAddress) -> bool:
    """Globally routable unicast: not private, shared, loopback, link-local, documentation, multicast, reserved or tunnelled."""
    if not address.is_global or address.is_multicast or address.is_reserved or address.is_unspecified:
        return False
    return not any(address.version == network.version and address in network for network in _NEVER_PUBLIC)


class Addresses:
    """Resolves clients by one set of rules; answers are cached, bounded, by what they depend on."""

    def __init__(
        self,
        trusted_proxies: Iterable[str] = ("loopback", "private"),
        header: str = "X-Forwarded-For",
        trusted_hops: int | Literal["auto"] = "auto",
    ) -> None:
        self._networks = [network for text in trusted_proxies for network in parse_network(text)]
        self._header = istr(header)
        self._lower = header.lower()
        self._listed = self._lower == "x-forwarded-for"
        self._hops = trusted_hops
        self._cache: LRUCache[Key, Client] = LRUCache(_CACHE_SIZE)
        self.seen = {"trusted_forwarding": 0, "trusted_silent": 0, "stranger_forwarding": 0, "stranger": 0}
        """Clients by what vouches for their address: a trusted proxy, one that forwards none, a stranger that claims to be a proxy, nobody."""

    def key(self, peer: str, fields: Fields) -> Key:
        """All that the client of a request from ``peer`` (an address, or ``unix``) depends on: equal keys, equal clients."""
        if isinstance(fields, dict):
            named, host = fields.get(self._lower, ""), fields.get("host", "")
            return peer, named, fields.get("x-forwarded-proto", ""), host, fields.get("x-forwarded-host", "")
        get = fields.get
        named = _joined(fields, self._header) if self._header in fields else ""
        return peer, named, get(_PROTO, ""), get(_HOST, ""), get(_FORWARDED_HOST, "")

    def resolve(self, key: Key) -> Client:
        """The client that ``key`` stands for."""
        client = self._cache.get(key)
        if client is None:
            client = self._conclude(*key)
            if sum(map(len, key)) <= _MAX_HEADER_CHARS:
                self._cache[key] = client
        return client

    def trusts(self, address: IPAddress | None) -> bool:
        """Whether ``address`` is a trusted proxy's."""
        return address is not None and any(
            address.version == network.version and address in network for network in self._networks
        )

    def _conclude(self, peer: str, named: str, proto: str, host: str, forwarded_host: str) -> Client:
        nearest = parse_address(peer)
        trusted = peer == UNIX_PEER or self.trusts(nearest)
        if trusted:
            self.seen["trusted_forwarding" if named else "trusted_silent"] += 1
        else:
            self.seen["stranger_forwarding" if named else "stranger"] += 1
        address = nearest
        if trusted and named:
            address = self._from_the_right(named, nearest) if self._listed else parse_address(named)
        scheme = "https" if trusted and _last(proto).lower() in {"https", "wss"} else "http"
        if trusted and valid_host(_last(forwarded_host)):
            host = _last(forwarded_host)
        return Client(
            ip=str(address) if address else "",
            # a proxy's own address is never its visitor's
            public_ip=str(address) if address and is_public(address) and not self.trusts(address) else "",
            scheme=scheme,
            host=host,
            trusted=trusted,
        )

    def _from_the_right(self, listed: str, nearest: IPAddress | None) -> IPAddress | None:
        """Each trusted hop vouches for the entry on its left; the first that is not trusted is the client."""
        entries = [entry for entry in listed[-_MAX_HEADER_CHARS:].split(",") if entry.strip()][-_MAX_HOPS_READ:]
        if isinstance(self._hops, int):
            # the peer is hop 1: it wrote the rightmost entry
            if self._hops < 1 or not entries:
                return nearest
            return parse_address(entries[-min(self._hops, len(entries))])
        address = nearest
        for entry in reversed(entries):
            address = parse_address(entry)
            if not self.trusts(address):
                return address
        return address


def _joined(fields: CIMultiDict[str] | CIMultiDictProxy[str], name: str) -> str:
    values = fields.getall(name)
    return values[0] if len(values) == 1 else ",".join(values)


def _last(value: str) -> str:
    return value.rpartition(",")[2].strip()
