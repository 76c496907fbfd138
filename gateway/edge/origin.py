"""Who may send events from where: the site's own pages, its listed domains, the allowed origins (pure).

Law: a page of the same host always may; another origin only if it is listed, and then it gets CORS headers that name it, with credentials. What browsers do
not say (no Origin, no Sec-Fetch-Site) is no proof against a sender: events cannot be proven genuine, only browsers can be kept from forging each other's.
"""

from collections.abc import Sequence
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


def host_only(host: str) -> str:
    """A Host value in lower case without its port."""
    host = host.lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]


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

    def preflight(self, pipeline: Pipeline, origin: str, host: str) -> bytes:
        """Header lines that answer an OPTIONS request. Raises BadInput ``origin_not_allowed``."""
        return self.headers(pipeline, origin, host, "") + _PREFLIGHT

    def forget(self) -> None:
        """A new catalogue is in force."""
        self._known.clear()

    def _decide(self, pipeline: Pipeline, origin: str, host: str, fetch_site: str) -> bytes | None:
        own = host_only(host)
        if not origin:
            # Images carry no Origin: those of foreign pages are known by Sec-Fetch-Site, those in e-mails say nothing at all.
            return None if fetch_site == "cross-site" and pipeline.settings.domains else b""
        try:
            parts = urlsplit(origin)
            sender = host_only(parts.netloc)
        except ValueError:
            return None
        if (
            not sender
            or parts.scheme not in {"http", "https"}
            or not origin.isascii()
            or any(character.isspace() for character in origin)
        ):
            return None
        if sender == own and pipeline.serves(own):
            return b""
        listed = origin.lower() in self._allowed or (bool(pipeline.settings.domains) and pipeline.serves(sender))
        if not listed:
            return None
        return (
            f"Access-Control-Allow-Origin: {origin}\r\nAccess-Control-Allow-Credentials: true\r\nAccess-Control-Expose-Headers: Retry-After\r\nVary: Origin\r\n"
        ).encode("ascii")
