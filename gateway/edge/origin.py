"""Who may send events from where: the site's own pages, its listed domains, the allowed origins (pure).

Law: pages of the same site always may; other origins only if they are listed, and all but the very same origin get CORS headers that name it, with credentials.
A request without an Origin (an image, a script) must have come to a host of the pipeline's own site. What browsers do not say (no Origin, no Sec-Fetch-Site) is
no proof against a sender: events cannot be proven genuine, only browsers can be kept from forging each other's.
"""

from collections.abc import Iterable, Sequence
from typing import Final
from urllib.parse import urlsplit

from gateway.catalog.runtime import Pipeline
from gateway.errors import BadInput
from gateway.outcome import Reason

_PREFLIGHT = (
    b"Access-Control-Allow-Methods: GET, POST, OPTIONS\r\nAccess-Control-Allow-Headers: authorization, content-type, content-encoding\r\n"
    b"Access-Control-Max-Age: 7200\r\n"
)
_MEMO = 8192
_REFUSED = "events from this origin are not accepted; list its host in pipelines[].domains or edge.allowed_origins"
_MAX_HOST = 260
_SAME_SITE = frozenset({"same-origin", "same-site"})
_hosts: Final[dict[str, str]] = {}


def host_only(host: str) -> str:
    """A Host value in lower case without its port."""
    known = _hosts.get(host)
    if known is not None:
        return known
    lower = host.lower()
    if len(host) > _MAX_HOST:
        return lower  # a name has at most 253 characters; longer rubbish is not worth remembering
    if len(_hosts) >= _MEMO:
        _hosts.clear()
    found = _hosts[host] = lower.partition("]")[0] + "]" if lower.startswith("[") else lower.partition(":")[0]
    return found


class Origins:
    """Decides and remembers, per pipeline, what an origin may do."""

    def __init__(self, allowed: Sequence[str]) -> None:
        self._allowed = frozenset(origin.rstrip("/").lower() for origin in allowed)
        self._known: dict[tuple[str, str, str, str], bytes | None] = {}

    def headers(self, pipeline: Pipeline, origin: str, host: str, fetch_site: str) -> bytes:
        """CORS header lines for the answer (empty for the site's own pages). Raises BadInput ``origin_not_allowed``."""
        key = (pipeline.id, origin, host, fetch_site)
        try:
            found = self._known[key]
        except KeyError:
            found = self._decide(pipeline, origin, host, fetch_site)
            if sum(map(len, key)) < 1024:
                if len(self._known) >= _MEMO:
                    self._known.clear()
                self._known[key] = found
        if found is None:
            raise BadInput(Reason.ORIGIN_NOT_ALLOWED, _REFUSED)
        return found

    def any(self, pipelines: Iterable[Pipeline], origin: str, host: str, fetch_site: str) -> bytes | None:
        """The same where no pipeline is known: of the first one that takes the origin, None if none does."""
        for pipeline in pipelines:
            try:
                return self.headers(pipeline, origin, host, fetch_site)
            except BadInput:
                continue
        return None

    def preflight(self, pipelines: Iterable[Pipeline], origin: str, host: str, fetch_site: str) -> bytes:
        """Header lines that answer an OPTIONS request, which names no key. Raises BadInput ``origin_not_allowed``."""
        found = self.any(pipelines, origin, host, fetch_site)
        if found is None:
            raise BadInput(Reason.ORIGIN_NOT_ALLOWED, _REFUSED)
        return found + _PREFLIGHT

    def forget(self) -> None:
        """A new catalogue is in force."""
        self._known.clear()

    def _decide(self, pipeline: Pipeline, origin: str, host: str, fetch_site: str) -> bytes | None:
        own = host_only(host)
        if not origin:
            # Images carry no Origin: those of foreign pages are known by Sec-Fetch-Site, those in e-mails say nothing at all.
            if pipeline.settings.domains and (fetch_site == "cross-site" or not _of_its_site(pipeline, own)):
                return None
            return b""
        try:
            parts = urlsplit(origin)
            sender = host_only(parts.netloc)
        except ValueError:
            return None
        # What is written back into a header is an origin and nothing else.
        if parts.scheme not in {"http", "https"} or not sender or not _is_origin(origin):
            return None
        if pipeline.serves(own):
            if parts.netloc.lower() == host.lower():
                return b""
            site = pipeline.cookie_domain(own)
            allowed = sender == own or fetch_site in _SAME_SITE or _below(sender, site)
        else:
            allowed = False
        if not allowed and origin.lower() not in self._allowed and not (pipeline.settings.domains and pipeline.serves(sender)):
            return None
        return (
            f"Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: Retry-After\r\nVary: Origin\r\n"
        ).encode("ascii")


def _is_origin(origin: str) -> bool:
    return origin.isascii() and origin.isprintable() and " " not in origin and origin.count("/") == 2


def _of_its_site(pipeline: Pipeline, own: str) -> bool:
    """Whether a host is one of the pipeline's, or shares the registrable domain of one (``collect.example.com`` for ``shop.example.com``)."""
    if pipeline.serves(own):
        return True
    served = (f"www{domain[1:]}" if domain.startswith("*.") else domain for domain in pipeline.settings.domains)
    return any(_below(own, pipeline.cookie_domain(host)) for host in served)


def _below(host: str, site: str) -> bool:
    return bool(site) and (host == site or host.endswith("." + site))
