"""Keeps the history and looks for what is wrong (io: a timer, a file).

Law: nothing here is done per event; a fault costs charts and alerts, never an event.
"""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gateway.app.gauges import Gauges
from gateway.catalog.runtime import Live
from gateway.telemetry import tasks
from gateway.telemetry.alerts import QUIET_S, RATES_S, Alert, Situation, alerts
from gateway.telemetry.history import DAY_S, MINUTE_S, History, Key, Reading
from gateway.telemetry.history_file import HistoryFile
from gateway.telemetry.metrics import Metrics, Sample

FILE = "history.ndjson"
_SLACK_S = 0.05
"""Past the full minute, so that a timer that is early does not end the minute before."""


class Watch:
    """One per gateway."""

    def __init__(
        self, metrics: Metrics, gauges: Gauges, live: Live, lanes: Callable[[], list[dict[str, Any]]], folder: Path
    ) -> None:
        self.elsewhere: Callable[[], Mapping[Key, int]] = dict
        """What other processes have counted, where their figures are shown here too."""
        self._metrics = metrics
        self._gauges = gauges
        self._live = live
        self._lanes = lanes
        self._file = HistoryFile(folder / FILE)
        self._since: dict[str, float] = {}
        self._began = time.monotonic()
        self._keeping: asyncio.Task[None] | None = None
        self.history = History(time.time, self._read)
        labels = ("alert", "integration", "severity")
        metrics.provide("alert", "1 for each thing that the management UI shows as wrong.", labels, self._samples)

    def start(self) -> None:
        """Begin."""
        self._keeping = tasks.keep(self._keep, "keep the history")

    async def close(self) -> None:
        """End, and keep the minute that was not over."""
        if self._keeping is not None:
            await tasks.cancel(self._keeping)
            self._keeping = None
            await asyncio.to_thread(self._file.append, self.history.sample())

    async def alerts(self) -> list[dict[str, Any]]:
        """What is wrong now: id, severity, title, cure, link, since (Unix s)."""
        await self._gauges.refresh()
        found = self._alerts()
        return [
            {"id": each.id, "severity": each.severity, "title": each.title, "cure": each.cure, "link": each.link, "since": self._since[each.id]} for each in found
        ]  # fmt: skip

    async def _keep(self) -> None:
        self.history.restore(await asyncio.to_thread(self._file.read))
        while True:
            await asyncio.sleep(MINUTE_S - time.time() % MINUTE_S + _SLACK_S)
            await self._gauges.refresh()
            await asyncio.to_thread(self._file.append, self.history.sample())
            self._alerts()

    def _read(self) -> Reading:
        counts = self.counts()
        counts.update(self.elsewhere())
        return Reading(counts, self._gauges.records(), self._gauges.oldest_age_s())

    def counts(self) -> Counter[Key]:
        """What this process has counted since it began."""
        metrics = self._metrics
        counts: Counter[Key] = Counter()
        for (pipeline, _), n in metrics.received_by_wire().items():
            counts["received", ""] += n
            counts["pipeline", pipeline] += n
        for (_, _, outcome, reason), n in metrics.outcomes().items():
            counts[str(outcome), str(reason)] += n
        for (_, code), n in metrics.codes().items():
            counts["code", code] += n
        for bucket, n in enumerate(metrics.lags()):
            counts["lag", str(bucket)] = n
        for field, n in metrics.match.items():
            counts["match", field] = n
        return counts

    def _alerts(self) -> list[Alert]:
        integrations = self._live.current.integrations.values()
        found = alerts(
            Situation(
                lately=self.history.counts(QUIET_S),
                hour=self.history.counts(RATES_S),
                day=self.history.counts(DAY_S),
                lanes=self._lanes(),
                spool_fill=self._gauges.fill(),
                spool_writable=self._gauges.available(),
                test_codes=[each.id for each in integrations if each.test_code],
                names={each.id: each.settings.name for each in integrations},
                listened_s=time.monotonic() - self._began,
            )
        )
        now = time.time()
        self._since = {each.id: self._since.get(each.id, now) for each in found}
        return found

    def _samples(self) -> list[Sample]:
        return [Sample((each.name, each.subject, each.severity), 1) for each in self._alerts()]
