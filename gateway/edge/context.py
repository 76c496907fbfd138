"""What all connections of one listener share (io only through what it holds).

Law: written by the listener alone; connections read it. ``now`` is the sweep's coarse clock: patience needs no finer one, and
reading an attribute costs less than reading a clock for every request.
"""

import asyncio
import sys
from collections.abc import Callable
from typing import Protocol

from gateway.edge.address import Addresses, Client
from gateway.edge.answer import Answer, Deferred
from gateway.edge.cohort import Cohorts
from gateway.edge.head import Head
from gateway.edge.holdings import Holdings
from gateway.edge.limits import Patience
from gateway.edge.plain import PlainReader
from gateway.edge.settings import EdgeSettings
from gateway.edge.upstream import Upstream


class Collects(Protocol):
    """What the wire needs of the collector."""

    def handle(self, head: Head, body: bytes, client: Client) -> Answer | Deferred:
        """Answer a request below the prefix, now or when its commit is done."""
        ...

    def too_large(self, head: Head, client: Client) -> Answer:
        """The answer to a request whose body is larger than the wire takes."""
        ...

    def navigation_cookies(self, head: Head, client: Client) -> tuple[bytes, ...]:
        """Set-Cookie values for a navigation, () if there is nothing to set."""
        ...


class Observes(Protocol):
    """What the wire needs of the metrics."""

    def observe_http(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request of ``collect`` or ``proxy``."""
        ...


class Connected(Protocol):
    """What the listener needs of a client's connection."""

    @property
    def at_work(self) -> bool:
        """Whether an end now would cut something off."""

    def sweep(self, now: float) -> None:
        """Look whether patience has run out."""

    def finish_soon(self) -> None:
        """Close after the answer in work."""

    def abort(self) -> None:
        """End at once."""


class Context:
    """One per listener."""

    __slots__ = (
        "_complained",
        "address_header",
        "addresses",
        "cohorts",
        "collector",
        "connections",
        "cut_off",
        "date",
        "draining",
        "error_page",
        "holdings",
        "limits",
        "loop",
        "max_connections",
        "max_together",
        "now",
        "observe",
        "patience",
        "plain",
        "prefix",
        "prefix_slash",
        "refused",
        "rejected",
        "settings",
        "starved",
        "tunnels",
        "upstream",
    )

    def __init__(
        self,
        settings: EdgeSettings,
        collector: Collects,
        metrics: Observes,
        upstream: Upstream | None,
        loop: asyncio.AbstractEventLoop,
    ) -> None:
        self.settings = settings
        self.limits = settings.limits
        self.patience = Patience(settings.limits)
        self.prefix = settings.prefix
        self.prefix_slash = settings.prefix + "/"
        self.plain = PlainReader(self.prefix_slash, settings.limits.max_header_bytes, settings.limits.max_header_fields)
        self.collector = collector
        self.observe: Callable[[str, int, float], None] = metrics.observe_http
        self.upstream = upstream
        self.addresses = Addresses(settings.client_ip.trusted_proxies, settings.client_ip.header, settings.client_ip.trusted_hops)
        self.address_header = settings.client_ip.header.lower().encode()
        """As :func:`gateway.edge.headers.request_head` wants it."""
        self.loop = loop
        self.now = loop.time()
        self.date = b""
        """The Date line, refreshed by the sweep."""
        self.draining = False
        self.connections: set[Connected] = set()
        self.max_connections = settings.limits.max_connections
        """The setting, or less where the process may not open that many files."""
        self.max_together = sys.maxsize
        """Connections of clients and to the app together, by the files that the process may open."""
        self.holdings = Holdings(settings.limits.max_waiting_bytes)
        self.cohorts = Cohorts(loop.call_soon)
        self.tunnels = 0
        self.refused = 0
        """Requests answered 4xx because they could be read in two ways, were too large or too slow."""
        self.rejected = 0
        """Connections beyond the cap."""
        self.starved = 0
        """Connections and requests that were refused since no descriptor was left for them."""
        self.cut_off = 0
        """Connections that the end of the grace met at work."""
        self.error_page = b""
        self._complained = 0.0

    def has_room(self) -> bool:
        """Whether a descriptor is left for one more connection, a client's or one to the app."""
        return len(self.connections) + (len(self.upstream) if self.upstream is not None else 0) < self.max_together

    def may_complain(self) -> bool:
        """True once a second at most: an app that is away, or a visitor with a script, must not fill the log."""
        if self.now - self._complained < 1.0:
            return False
        self._complained = self.now
        return True
