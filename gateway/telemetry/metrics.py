"""Counters, histograms and gauges (io only at scrape).

Law: the data path adds to plain dictionaries; Prometheus' own classes see the numbers only when somebody scrapes. Labels are
bounded: pipeline, integration, outcome, reason, code – never anything a visitor sent.
"""

import logging
import time
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Final, NamedTuple

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway import __version__
from gateway.outcome import Outcome, Reason
from gateway.telemetry.feed import Feed
from gateway.telemetry.tasks import crashes

_log = logging.getLogger(__name__)

HTTP_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
DELIVERY_BUCKETS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
LAG_BUCKETS_S = (0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 900.0, 3600.0, 21600.0, 86400.0)
MATCH_FIELDS: Final = ("email", "phone", "external_id", "ttclid", "ttp", "ip", "user_agent")
"""What TikTok matches events by."""
_place: Final = bisect_left


class Sample(NamedTuple):
    """One gauge value with its label values, in the order the gauge declared."""

    labels: tuple[str, ...]
    value: float


class Histogram:
    """Cumulative buckets without locks: the loop is the only writer."""

    __slots__ = ("_bounds", "counts", "total")

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self._bounds = bounds
        self.counts = [0] * (len(bounds) + 1)
        self.total = 0.0

    def observe(self, value: float) -> None:
        """Count one value."""
        self.counts[_place(self._bounds, value)] += 1
        self.total += value

    def buckets(self) -> list[tuple[str, float]]:
        """(upper bound, cumulative count) as Prometheus wants them."""
        result, running = [], 0
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self.counts, strict=True):
            running += count
            result.append((bound, float(running)))
        return result


class _Gauge(NamedTuple):
    help: str
    labels: tuple[str, ...]
    read: Callable[[], Iterable[Sample]]
    counter: bool


class Metrics(Collector):
    """Everything the gateway counts. One per process; rooms get it injected."""

    def __init__(self) -> None:
        self._outcomes: dict[tuple[str, str, str, str], int] = {}
        self._received: dict[tuple[str, str], int] = {}
        self._http: dict[tuple[str, int], Histogram] = {}
        self._delivery_codes: dict[tuple[str, str], int] = {}
        self._delivery_s: dict[str, Histogram] = {}
        self._lag_s: dict[str, Histogram] = {}
        self.match = dict.fromkeys(("events", *MATCH_FIELDS), 0)
        """Of the events that were looked at: how many there were, and how many of them carry each field."""
        self._gauges: dict[str, _Gauge] = {}
        self._started = time.time()
        self.feed: Feed | None = None
        """The live feed, where somebody may look: told by the same rooms at the same places as the counts."""
        self._registry = CollectorRegistry(auto_describe=False)
        self._registry.register(self)

    # -- the data path

    def outcome(
        self, outcome: Outcome, reason: Reason = Reason.NONE, *, pipeline: str = "", integration: str = "", n: int = 1
    ) -> None:
        """Count ``n`` pairs of event and integration that met ``outcome``."""
        key = (pipeline, integration, outcome, reason)
        self._outcomes[key] = self._outcomes.get(key, 0) + n

    def received(self, pipeline: str, wire: str, n: int = 1) -> None:
        """Count ``n`` events read from requests, before any decision."""
        key = (pipeline, wire)
        self._received[key] = self._received.get(key, 0) + n

    def observe_http(self, route: str, status: int, seconds: float) -> None:
        """Count one answered request of ``route`` (``collect`` or ``proxy``)."""
        key = (route, status)
        histogram = self._http.get(key)
        if histogram is None:
            histogram = self._http[key] = Histogram(HTTP_BUCKETS_S)
        histogram.observe(seconds)

    def delivery_request(self, integration: str, code: str, seconds: float) -> None:
        """Count one request to TikTok by its body code (or ``http_500``, ``timeout`` …)."""
        key = (integration, code)
        self._delivery_codes[key] = self._delivery_codes.get(key, 0) + 1
        self._delivery_s.setdefault(integration, Histogram(DELIVERY_BUCKETS_S)).observe(seconds)

    def delivered(self, integration: str, lags_s: Iterable[float]) -> None:
        """Note how long delivered events took from acceptance to TikTok's answer."""
        histogram = self._lag_s.get(integration)
        if histogram is None:
            histogram = self._lag_s[integration] = Histogram(LAG_BUCKETS_S)
        for lag_s in lags_s:
            histogram.observe(lag_s)

    def matchable(self, user: dict[str, Any]) -> None:
        """Note what a mapped event can be matched by; a sample of all events will do."""
        match = self.match
        match["events"] += 1
        for field in MATCH_FIELDS:
            if user.get(field):
                match[field] += 1

    # -- what is read at scrape time

    def provide(
        self, name: str, help_text: str, labels: tuple[str, ...], read: Callable[[], Iterable[Sample]], *, counter: bool = False
    ) -> None:
        """Register a gauge (or counter) ``ttgateway_<name>`` whose samples ``read`` gives at each scrape."""
        self._gauges[name] = _Gauge(help_text, labels, read, counter)

    def outcomes(self) -> dict[tuple[str, str, str, str], int]:
        """A copy of (pipeline, integration, outcome, reason) → count."""
        return dict(self._outcomes)

    def received_by_wire(self) -> dict[tuple[str, str], int]:
        """A copy of (pipeline, wire) → events read."""
        return dict(self._received)

    def codes(self) -> dict[tuple[str, str], int]:
        """A copy of (integration, code) → requests to TikTok."""
        return dict(self._delivery_codes)

    def lags(self) -> list[int]:
        """Deliveries by the buckets of LAG_BUCKETS_S, those beyond last."""
        return [sum(column) for column in zip(*(each.counts for each in self._lag_s.values()), strict=True)]

    def render(self) -> bytes:
        """Prometheus' text format."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """Called by prometheus_client at scrape."""
        received = CounterMetricFamily("ttgateway_events_received", "Events read from requests.", labels=("pipeline", "wire"))
        for labels, count in list(self._received.items()):
            received.add_metric(labels, count)
        yield received
        outcomes = CounterMetricFamily(
            "ttgateway_events_outcome",
            "What became of events, per integration.",
            labels=("pipeline", "integration", "outcome", "reason"),
        )
        for key, count in list(self._outcomes.items()):
            outcomes.add_metric(key, count)
        yield outcomes
        codes = CounterMetricFamily(
            "ttgateway_delivery_requests", "Requests to TikTok by answer code.", labels=("integration", "code")
        )
        for code_key, count in list(self._delivery_codes.items()):
            codes.add_metric(code_key, count)
        yield codes
        latency = HistogramMetricFamily("ttgateway_delivery_seconds", "Duration of requests to TikTok.", labels=("integration",))
        for integration, histogram in list(self._delivery_s.items()):
            latency.add_metric((integration,), histogram.buckets(), histogram.total)
        yield latency
        lag = HistogramMetricFamily(
            "ttgateway_delivery_lag_seconds", "From acceptance to TikTok's answer, of delivered events.", labels=("integration",)
        )
        for integration, histogram in list(self._lag_s.items()):
            lag.add_metric((integration,), histogram.buckets(), histogram.total)
        yield lag
        http = HistogramMetricFamily(
            "http_server_request_duration_seconds", "Duration of requests on the edge listener.", labels=("route", "status")
        )
        for (route, status), histogram in list(self._http.items()):
            http.add_metric((route, str(status)), histogram.buckets(), histogram.total)
        yield http
        for name, gauge in list(self._gauges.items()):
            kind = CounterMetricFamily if gauge.counter else GaugeMetricFamily
            family = kind(f"ttgateway_{name}", gauge.help, labels=gauge.labels)
            try:
                for sample in gauge.read():
                    family.add_metric(sample.labels, sample.value)
            except Exception:  # noqa: BLE001 - one room's broken gauge must not blind the others
                _log.warning("gauge could not be read", extra={"gauge": name}, exc_info=True)
                continue
            yield family
        crashed = CounterMetricFamily("ttgateway_task_crashes", "Background tasks that crashed.", labels=("task",))
        for task, count in list(crashes.items()):
            crashed.add_metric((task,), count)
        yield crashed
        info = GaugeMetricFamily("ttgateway_build_info", "1; the version is a label.", labels=("version",))
        info.add_metric((__version__,), 1)
        yield info
        started = GaugeMetricFamily("ttgateway_start_time_seconds", "Unix time at which this process started.")
        started.add_metric((), self._started)
        yield started
