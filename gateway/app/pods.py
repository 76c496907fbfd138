"""What people see of all pods (io: talk between processes that share an engine): each tells while somebody asks, and whoever has a UI asks.

Law: best effort. Nothing here waits, is kept or is repeated; a pod without a UI follows its events only while one that has a UI asks for it. A word that is lost costs a row or a
moment's figures, never an event.
"""

import asyncio
import secrets
import time
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gateway.telemetry.feed import RATE, Feed, Row
from gateway.telemetry.history import Key
from gateway.telemetry.metrics import Metrics
from gateway.telemetry.tasks import cancel, keep
from gateway.telemetry.telling import SILENT_S, Bulletin, Others, row_heard, row_told
from gateway.together import Together

_ASK, _ROW, _FIGURES = "ask", "row", "figures"
_TELL_S = 2.0
_ASK_S = 5.0
_WHOLE_EVERY = 15


class Pods:
    """This process among the others."""

    def __init__(
        self,
        together: Together,
        metrics: Metrics,
        counts: Callable[[], Mapping[Key, int]],
        lanes: Callable[[], list[dict[str, Any]]],
        *,
        shows: bool,
    ) -> None:
        """``counts`` and ``lanes`` are this process's own; ``shows`` = it has a UI."""
        self._together = together
        self._metrics = metrics
        self._counts = counts
        self._lanes = lanes
        self._shows = shows
        self._run = secrets.token_hex(4)
        self._asked_until = 0.0
        self._made: Feed | None = None
        self._told = 0
        self._bulletin = Bulletin(together.pod, time.time())
        self._tasks: list[asyncio.Task[None]] = []
        self.others = Others(time.time())

    def start(self) -> None:
        """Listen, and tell or ask when it is time."""
        self._together.hear(_ASK, self._asked)
        self._together.hear(_ROW, self._row)
        if self._shows:
            self._together.hear(_FIGURES, self._figures)
            self._tasks.append(keep(self._ask, "ask other pods"))
        self._tasks.append(keep(self._tell, "tell of this pod"))

    async def close(self) -> None:
        """Say no more."""
        await cancel(*self._tasks)
        self._rest()

    # -- asking

    async def _ask(self) -> None:
        while True:
            self.others.forget(time.monotonic())
            self._together.say(_ASK, orjson.dumps({"rate": max(1, RATE // max(1, self.others.pods))}))
            await asyncio.sleep(_ASK_S)

    def _figures(self, words: bytes) -> None:
        before = self.others.counts["received", ""]
        self.others.hear(words, time.monotonic())
        if (feed := self._metrics.feed) is not None:
            feed.seen += self.others.counts["received", ""] - before

    def _row(self, words: bytes) -> None:
        if (feed := self._metrics.feed) is not None and (row := row_heard(words)) is not None:
            feed.merge(row)

    # -- telling

    def _asked(self, words: bytes) -> None:
        try:
            rate = int(orjson.loads(words)["rate"])
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
            return
        self._asked_until = time.monotonic() + SILENT_S
        if (feed := self._metrics.feed) is None:
            feed = self._made = self._metrics.feed = Feed(time.time)
        if feed is self._made:
            feed.rate = min(max(1, rate), RATE)
        feed.announce = self._announce

    def _announce(self, row: Row) -> None:
        feed = self._metrics.feed
        if feed is None:
            return
        if not row.uid:
            feed.named(row, f"{self._together.pod}-{self._run}-{row.id}")
        self._together.say(_ROW, row_told(row))

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(_TELL_S)
            if time.monotonic() > self._asked_until:
                self._rest()
                continue
            whole = self._told % _WHOLE_EVERY == 0
            self._told += 1
            self._together.say(_FIGURES, self._bulletin.written(self._counts(), self._lanes(), whole=whole))

    def _rest(self) -> None:
        """Nobody asks any more."""
        self._told = 0
        if (feed := self._metrics.feed) is None:
            return
        feed.announce = None
        if feed is self._made:
            self._metrics.feed = self._made = None
