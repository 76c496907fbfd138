"""Settings of the edge listener, of cookies and of the drain (pure).

Law: what is wrong here makes the gateway refuse to start, so every rule that can be checked without the world is checked here.
"""

import re
from ipaddress import IPv6Address
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from gateway.edge.address import parse_network
from gateway.settings import Bytes, Duration, Settings

_HOST_PORT = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<host>[A-Za-z0-9._-]*)):(?P<port>\d{1,5})")
_UPSTREAM = re.compile(r"http://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?/?|unix:/.+")
_HOST = re.compile(r"(?=.{1,253}\.?$)(?:[A-Za-z0-9_-]{1,63}\.)*[A-Za-z0-9_-]{1,63}\.?")
_PREFIX = re.compile(r"(?:/[A-Za-z0-9._~-]+)+")
_FIELD_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^`|~-]+")
_ORIGIN = re.compile(r"https?://(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)(?::\d{1,5})?")
_DOT_SEGMENTS = frozenset({".", ".."})


def parse_listen(text: str) -> tuple[str, int]:
    """``host:port`` or ``[v6]:port`` → (host, port); an empty host means all interfaces. ValueError says what was expected."""
    match = _HOST_PORT.fullmatch(text)
    if not match or int(match["port"]) > 65535:
        raise ValueError("expected host:port such as 0.0.0.0:8080 or [::]:8080")
    _check_host(match["six"] or match["host"])
    return match["six"] or match["host"] or "", int(match["port"])


def _check_host(host: str) -> None:
    """ValueError if ``host`` can be no name and no address: nothing could ever look it up. Empty is for the caller to judge."""
    if ":" in host:
        try:
            IPv6Address(host)
        except ValueError:
            raise ValueError("the brackets hold no IPv6 address") from None
    elif host and not _HOST.fullmatch(host):
        raise ValueError("the host name has an empty part between dots, or one of more than 63 characters")


def _listen(text: str) -> str:
    parse_listen(text)
    return text


def _upstream(text: str | None) -> str | None:
    if text is None:
        return None
    if not _UPSTREAM.fullmatch(text) or (text.startswith("http:") and not 0 < upstream_port(text) <= 65535):
        raise ValueError("expected http://host:port (no path; TLS ends before the gateway) or unix:/path/to/socket")
    if text.startswith("http:"):
        _check_host(upstream_host(text))
    return text


def upstream_host(text: str) -> str:
    """The host of an ``http://`` upstream, an IPv6 address without its brackets."""
    host = text.removeprefix("http://").rstrip("/")
    return host[1:].partition("]")[0] if host.startswith("[") else host.partition(":")[0]


def upstream_port(text: str) -> int:
    """The port of an ``http://`` upstream, 80 if it names none."""
    port = re.search(r":(\d+)/?$", text)
    return int(port[1]) if port else 80


def _prefix(text: str) -> str:
    if not _PREFIX.fullmatch(text) or _DOT_SEGMENTS & set(text.split("/")):
        raise ValueError("expected a path such as /gw: it starts with a slash, does not end with one, and is not the root")
    return text


def _network(text: str) -> str:
    parse_network(text)
    return text


def _field_name(text: str) -> str:
    if not _FIELD_NAME.fullmatch(text):
        raise ValueError("expected the name of a header such as X-Forwarded-For")
    return text


def is_origin(text: str) -> bool:
    """Whether ``text`` is scheme, host and perhaps a port, and nothing else."""
    return _ORIGIN.fullmatch(text) is not None


def _origin(text: str) -> str:
    if not is_origin(text):
        raise ValueError("expected an origin such as https://shop.example.com, without a path")
    return text.lower()


class ClientIpSettings(Settings):
    """``edge.client_ip``: whose word about the visitor's address, scheme and host is believed."""

    trusted_proxies: list[Annotated[str, AfterValidator(_network)]] = ["loopback", "private"]
    """Proxies in front of the gateway: ``loopback``, ``private``, addresses or CIDRs. What anybody else writes into
    forwarding headers is replaced. Add your CDN's ranges if it connects directly."""
    header: Annotated[str, AfterValidator(_field_name)] = "X-Forwarded-For"
    """Where the trusted proxies write the visitor's address; ``CF-Connecting-IP`` behind that CDN."""
    trusted_hops: Literal["auto"] | Annotated[int, Field(ge=1, le=32)] = "auto"
    """How many proxies stand in front, counted from the right of X-Forwarded-For. ``auto`` takes the rightmost address that is
    not a trusted proxy; set a number if a proxy in the chain has an address you cannot list."""


class LimitSettings(Settings):
    """``edge.limits``: what one connection may take."""

    max_connections: int = Field(default=20000, ge=1)
    """Connections beyond this are answered 503 and closed at once. Lowered, with a word in the log, to three quarters of the files
    that the process may open; a request that no file is left for, to connect to the app, is answered 503."""
    header_timeout: Duration = 10.0
    """A request head must be complete this long after its first byte, or it is answered 408."""
    idle_timeout: Duration = 75.0
    """A kept-alive connection without a request is closed after this; keep it above your load balancer's own."""
    body_progress: Duration = 30.0
    """A request body that grows by less than a kilobyte, and a reader that takes nothing, are given up after this."""
    max_waiting_bytes: Bytes = Field(default=128 * 2**20, ge=2**20)
    """What may wait in memory for slow clients and for a slow app, all connections together; beyond it the connection that has
    waited longest is ended. The rest of the gateway needs about 100 MiB at 10,000 connections."""
    max_header_bytes: Bytes = Field(default=65536, ge=1024, le=2**20)
    """Of one request or response head; larger ones are answered 431 (502 when the app sent them)."""
    max_header_fields: int = Field(default=256, ge=16, le=4096)
    """Of one request or response head."""


class UpstreamTimeouts(Settings):
    """``edge.upstream_timeouts``: how long the app may take."""

    connect: Duration = 5.0
    """Until the connection to the app stands; then 504."""
    first_byte: Duration = 120.0
    """From the complete request until the answer begins; then 504. Raise it for longer polls. 0 = for ever."""
    idle: Duration = 600.0
    """Between two pieces of an answer or a tunnel. Raise it for event streams that are silent for longer. 0 = for ever."""


class ScriptSettings(Settings):
    """``edge.script``: the client script."""

    name: str = Field(default="s", pattern=r"^[A-Za-z0-9_-]{1,40}$")
    """Its file name below the prefix, without ``.js``: ``s`` is served as ``/gw/s.js`` and, for ever, as ``/gw/s.<hash>.js``."""
    global_name: str = Field(default="ttq", pattern=r"^[A-Za-z_$][A-Za-z0-9_$]{0,40}$")
    """What pages call it by. Another name than ``ttq`` stands in the tag that ``ttgateway snippet`` prints (``data-global``)."""


class EdgeSettings(Settings):
    """The ``edge`` section: the listener that faces the visitors."""

    listen: Annotated[str, AfterValidator(_listen)] = "0.0.0.0:8080"
    """``host:port`` that visitors (or your ingress) reach."""
    reuse_port: bool = False
    """Lets several instances on one machine share the port; each needs a spool directory of its own."""
    upstream: Annotated[str | None, AfterValidator(_upstream)] = None
    """The site's app: ``http://host:port`` or ``unix:/path``. Without it everything outside the prefix is 404."""
    upstream_timeouts: UpstreamTimeouts = UpstreamTimeouts()
    """How long the app may take to connect, to begin and to continue."""
    error_page: str | None = None
    """HTML file that visitors see when the app cannot be reached; a plain sentence by default."""
    prefix: Annotated[str, AfterValidator(_prefix)] = "/gw"
    """Path of the first-party endpoints. Requests below it are never forwarded to the app."""
    script: ScriptSettings = ScriptSettings()
    """Names of the client script."""
    client_ip: ClientIpSettings = ClientIpSettings()
    """How the visitor's address is found behind proxies."""
    allowed_origins: list[Annotated[str, AfterValidator(_origin)]] = []
    """Other origins whose pages may send events. Pages of the same site always may."""
    limits: LimitSettings = LimitSettings()
    """Connections, head sizes and patience."""


class CookieSettings(Settings):
    """The ``cookies`` section: the first-party cookies that the gateway sets, with consent only."""

    make_ttp: bool = True
    """Makes the browser id ``_ttp`` if the visitor has none; off: only an existing one is refreshed."""
    ttp_max_age: Duration = 395 * 86400.0
    """Lifetime of ``_ttp``. Browsers cap it at 400 days."""
    ttclid_max_age: Duration = 30 * 86400.0
    """How long a click id is remembered."""
    domain: Literal["auto", "host"] = "auto"
    """``auto``: the registrable domain of the pipeline's matching ``domains`` entry, so that subdomains share the cookies;
    ``host``: only the host that was visited."""


class DrainSettings(Settings):
    """The ``drain`` section: how the gateway ends."""

    delay: Duration = 5.0
    """Keeps accepting for this long after the signal, until load balancers have noticed."""
    grace: Duration = 55.0
    """Then waits at most this long for running requests, tunnels and the spool. Keep delay + grace below the pod's
    terminationGracePeriodSeconds."""
