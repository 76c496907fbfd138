"""The gauges of the whole (io: asks the spool): what no single room knows.

Law: read only when somebody scrapes; a spool that does not answer leaves the last figures and is told by ``spool_available``.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Iterator

from gateway.catalog.runtime import Live
from gateway.edge.listener import Listener
from gateway.errors import SpoolUnavailable
from gateway.lane import Lane
from gateway.spool.base import LaneStats, Spool, SpoolStats
from gateway.telemetry.metrics import Metrics, Sample

_PATIENCE_S = 2.0


class Gauges:
    """Registers with the metrics and is told what happens."""

    def __init__(self, metrics: Metrics, live: Live, listener: Listener, *, shared: bool) -> None:
        self._live = live
        self._listener = listener
        self._stats: SpoolStats | None = None
        self._problems = 0
        self._in_force_at = 0.0
        self._tokens_changed: list[Sample] = []
        self.reload_ok = True
        self.spool: Spool | None = None
        self._answers = False
        provide = metrics.provide
        provide(
            "spool_records",
            "Records waiting for delivery, leased ones included.",
            ("integration",),
            self._by_integration(lambda lane: lane.queued),
        )
        provide(
            "spool_fates",
            "What became of all records since the spool was made: accepted = all others + spool_records, at any moment.",
            ("integration", "outcome", "reason"),
            self._fates,
        )
        provide("dead_letters", "Dead letters.", ("integration",), self._by_integration(lambda lane: lane.dead))
        provide("spool_oldest_age_seconds", "Age of the oldest waiting record.", ("integration",), self._oldest)
        provide("spool_bytes", "Bytes the spool uses.", (), self._one(lambda stats: stats.used_bytes))
        provide("spool_max_bytes", "Bytes the spool may use.", (), self._one(lambda stats: stats.max_bytes))
        provide("spool_available", "1 = events can be made durable.", (), lambda: [Sample((), self.available())])
        # Whoever sums over pods would count a broker's records once for each of them.
        help_text = "1 = the spool's figures are those of all pods together: take one pod's, not the sum. 0 = this pod's own."
        provide("spool_shared", help_text, (), lambda: [Sample((), shared)])
        provide("config_problems", "Problems of the configuration in force.", (), lambda: [Sample((), self._problems)])
        provide("config_reload_success", "1 = the last reload was taken over.", (), lambda: [Sample((), self.reload_ok)])
        provide(
            "config_reload_timestamp_seconds",
            "When the configuration in force was taken over.",
            (),
            lambda: [Sample((), self._in_force_at)],
        )
        provide("test_code_active", "1 = events go to TikTok's test tab.", ("integration",), self._test_codes)
        labels = ("integration",)
        provide(
            "token_changed_timestamp_seconds",
            "When a reload brought another access token.",
            labels,
            lambda: list(self._tokens_changed),
        )
        provide("edge", "Connections of the edge and what it turned away.", ("what",), self._edge)

    def in_force(self, problems: int) -> None:
        """A configuration with that many problems has been put in force."""
        self._problems = problems
        self._in_force_at = time.time()

    def token_changed(self, integration: str) -> None:
        """A reload brought another access token."""
        kept = [sample for sample in self._tokens_changed if sample.labels != (integration,)]
        self._tokens_changed = [*kept, Sample((integration,), time.time())]

    def records(self) -> int:
        """Records that wait, as of the last look at the spool."""
        return sum(lane.queued for lane in self._stats.lanes) if self._stats is not None else 0

    async def refresh(self) -> None:
        """Ask the spool, if there is one."""
        if self.spool is not None:
            async with asyncio.timeout(_PATIENCE_S):
                try:
                    self._stats = await self.spool.stats()
                except SpoolUnavailable:
                    self._answers = False
                else:
                    self._answers = True

    def oldest_age_s(self) -> float:
        """Age of the record that waits longest, as of the last look; 0 = none."""
        return max((sample.value for sample in self._oldest()), default=0.0)

    def fill(self) -> float | None:
        """Share of ``spool.max_bytes`` in use; None while the spool was never seen."""
        return self._stats.used_bytes / self._stats.max_bytes if self._stats is not None else None

    def available(self) -> bool:
        """Whether events can be made durable."""
        return self._answers and self._stats is not None and self._stats.writable

    def _fates(self) -> list[Sample]:
        sums: Counter[tuple[str, str, str]] = Counter()
        for (lane, outcome, reason), n in self._stats.totals.items() if self._stats else ():
            sums[Lane.parse(lane).integration, outcome, reason] += n
        return [Sample(key, n) for key, n in sums.items()]

    def _by_integration(self, read: Callable[[LaneStats], int]) -> Callable[[], list[Sample]]:
        def samples() -> list[Sample]:
            sums = dict.fromkeys(self._live.current.integrations, 0)
            for lane in self._stats.lanes if self._stats else ():
                name = Lane.parse(lane.lane).integration
                sums[name] = sums.get(name, 0) + read(lane)
            return [Sample((name,), number) for name, number in sums.items()]

        return samples

    def _oldest(self) -> list[Sample]:
        ages = dict.fromkeys(self._live.current.integrations, 0.0)
        now = time.time()
        for lane in self._stats.lanes if self._stats else ():
            name = Lane.parse(lane.lane).integration
            if lane.oldest_accepted_at:
                ages[name] = max(ages.get(name, 0.0), now - lane.oldest_accepted_at)
        return [Sample((name,), age) for name, age in ages.items()]

    def _one(self, read: Callable[[SpoolStats], int]) -> Callable[[], Iterator[Sample]]:
        def samples() -> Iterator[Sample]:
            if self._stats is not None:
                yield Sample((), read(self._stats))

        return samples

    def _test_codes(self) -> list[Sample]:
        return [Sample((each.id,), bool(each.test_code)) for each in self._live.current.integrations.values()]

    def _edge(self) -> list[Sample]:
        return [Sample((what,), number) for what, number in self._listener.counts().items()]
