"""Which pipeline a request is for, and whether it may come in within this second (pure but for the injected clock).

Law: the same for browsers and back ends; an address is limited to its share, so that one of them cannot use up its pipeline's rate. Back ends are few and
known by their signature: they have the whole of it.
"""

from collections.abc import Callable

from gateway.catalog.runtime import Live, Pipeline
from gateway.edge.dominance import Dominance
from gateway.edge.origin import host_only
from gateway.edge.rate import RateLimit
from gateway.errors import SpoolUnavailable
from gateway.outcome import Reason

_ADDRESS_SHARE = 4
"""One address may use a quarter of its pipeline's rate."""
TOO_FAST = "too many events in this second; try again"
TOO_FAST_RETRY_AFTER_S = 1


def bearer(value: str) -> str:
    """The token of an ``Authorization: Bearer`` value, else ``''``."""
    return value[7:].strip() if value[:7].lower() == "bearer " else ""


class Admission:
    """Finds pipelines and keeps their rates."""

    def __init__(self, live: Live, now: Callable[[], float]) -> None:
        self._live = live
        self._now = now
        self.dominance = Dominance()
        self._rate = RateLimit(self.dominance.second)

    def pipeline(self, key: str, host: str) -> Pipeline:
        """By key, else by host, else the only one. Raises BadInput, or SpoolUnavailable while the configuration is broken."""
        catalogue = self._live.current
        if not catalogue.pipelines:
            raise SpoolUnavailable(
                Reason.SPOOL_UNAVAILABLE, "no pipeline is configured (or the configuration has problems; see the log)", 30
            )
        return catalogue.pipeline(key, "" if key else host_only(host))

    def admit(self, pipeline: Pipeline, n: int, address: str = "") -> bool:
        """Count ``n`` events (at least one) of ``pipeline`` from ``address``; False = over the rate."""
        now, limit, n = self._now(), pipeline.settings.rate_limit, n or 1
        if address and not self._rate.admit((pipeline.id, address), limit // _ADDRESS_SHARE or 1, now, n):
            return False
        return self._rate.admit(pipeline.id, limit, now, n)
