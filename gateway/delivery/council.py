"""Deliverers that share lanes agree (io: through a bucket of the engine they share): how a lane stands, who probes, how many they are.

Law: one of them learns, all know; of a suspended or open lane one probes, the others wait for what he finds. While the bucket is away each goes by its own state, and says so. A
word that comes late costs a request, never an event.
"""

import asyncio
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import suppress

from gateway.catalog.model import IntegrationSettings
from gateway.delivery.accord import SUSPENDED, WELL, Accord, digest, read
from gateway.delivery.standing import Standing
from gateway.spool.jetstream.names import lane_tokens
from gateway.telemetry.metrics import Metrics, Sample
from gateway.telemetry.tasks import cancel, keep, spawn
from gateway.together import Bucket, BucketAway, Entry, Together

_log = logging.getLogger(__name__)

BUCKET = "lanes"
_LOOK_S = 2.0
"""At the latest after this long a deliverer knows what the others say; as a rule at once."""
_BEAT_S, _ALIVE_S = 5.0, 15.0
_TROUBLE_S, _WELL_S = 86400.0, 3600.0
"""How long a word is kept that nobody takes back."""
_SAME_S = 1.0
_SLACK_S = 5.0
"""Beyond the request's time-out, before a probe of which nothing was heard is another's."""
_PATIENCE_S = 1.0
_TRIES = 3


class Seat:
    """One lane's place: what this deliverer finds goes out, what others find comes in."""

    def __init__(
        self, council: "Council", lane: str, standing: Standing, settings: Callable[[], IntegrationSettings | None]
    ) -> None:
        self._council = council
        self._key = f"lane.{lane_tokens(lane)}"
        self._standing = standing
        self._settings = settings
        self._revision = 0
        self._known = Accord()
        """What the bucket says, whoever wrote it."""
        self._turn = asyncio.Lock()
        self._speaking: asyncio.Task[None] | None = None
        self.on_change: Callable[[], None] = lambda: None
        """Called when others have changed how the lane stands."""

    @property
    def key(self) -> str:
        """In the bucket."""
        return self._key

    def speak(self) -> None:
        """Tell the others if they have to know. Never waits."""
        if self._news() is not None and (self._speaking is None or self._speaking.done()):
            self._speaking = spawn(self._speak(), "agree on lane")

    async def claim(self) -> bool:
        """Whether this one may probe now; one of all may. Without the bucket each may."""
        async with self._turn:
            accord = self._accord()
            if accord is None or accord.kind == WELL:
                return True
            patience = self._standing.probe_every_s if accord.kind == SUSPENDED else self._council.timeout_s + _SLACK_S
            return await self._write(accord._replace(next_at=time.time() + patience))

    def hear(self, entry: Entry | None) -> None:
        """What the bucket says now; None = nothing."""
        if entry is None:
            self._revision, self._known = 0, Accord()
            return
        if entry.revision <= self._revision:
            return  # an older word on its way, or our own
        self._revision = entry.revision
        accord = read(entry.value)
        if accord is None:
            return
        self._known = accord
        settings = self._settings()
        if settings is None or accord.settings != digest(settings):
            return
        self._standing.adopt(accord, settings, time.monotonic(), time.time())
        self.on_change()

    def _accord(self) -> Accord | None:
        settings = self._settings()
        if settings is None:
            return None
        return self._standing.accord(time.monotonic(), time.time())._replace(settings=digest(settings))

    def _news(self) -> Accord | None:
        """What the others do not know yet."""
        mine, known = self._accord(), self._known
        if mine is None:
            return None
        if mine.kind == WELL:
            return mine if known.kind != WELL and known.settings == mine.settings else None
        same = (mine.kind, mine.settings, mine.code) == (known.kind, known.settings, known.code)
        return None if same and mine.next_at <= known.next_at + _SAME_S else mine

    async def _speak(self) -> None:
        async with self._turn:
            for _ in range(_TRIES):
                news = self._news()
                if news is None or await self._write(news):
                    return

    async def _write(self, accord: Accord) -> bool:
        """False: somebody else came first, and is heard."""
        council = self._council
        try:
            revision = await council.bucket.put(
                self._key, accord.written(), self._revision, _TROUBLE_S if accord.kind != WELL else _WELL_S
            )
            if revision is not None:
                self._revision, self._known = revision, accord
                council.said()
                return True
            entry = await council.bucket.entry(self._key)
            self._revision = 0  # whatever it is now, it holds
            self.hear(entry)
        except BucketAway as away:
            council.away(str(away))
            return True
        return False


class Council:
    """All lanes of one deliverer."""

    def __init__(self, together: Together, timeout_s: float, metrics: Metrics, share: Callable[[int], None]) -> None:
        self._together = together
        self.bucket: Bucket = together.bucket(BUCKET)
        self.timeout_s = timeout_s
        self._share = share
        self._seats: dict[str, Seat] = {}
        self._found: dict[str, Entry] = {}
        self._me = f"pod.{together.pod}"
        self._news = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._away = False
        self.pods = 1
        """Deliverers that live, this one included."""
        metrics.provide(
            "delivery_pods", "Deliverers that share the lanes; delivery.rate_limit is divided among them.", (), self._samples
        )

    async def start(self) -> None:
        """Join; returns once it is known what the others say, or that they cannot be asked now."""
        self._together.hear(BUCKET, lambda _words: self._news.set())
        with suppress(TimeoutError, BucketAway):
            async with asyncio.timeout(_PATIENCE_S):
                await self._beat_once()
                await self._look_once()
        self._tasks = [keep(self._beat, "tell that it lives"), keep(self._look, "hear deliverers")]

    async def close(self) -> None:
        """Leave: the others divide the rate among themselves at once."""
        await cancel(*self._tasks)
        if self._tasks:
            with suppress(BucketAway, TimeoutError):
                async with asyncio.timeout(_PATIENCE_S):
                    await self.bucket.remove(self._me)
                    self.said()

    def seat(self, lane: str, standing: Standing, settings: Callable[[], IntegrationSettings | None]) -> Seat:
        """A place for ``lane``."""
        seat = Seat(self, lane, standing, settings)
        self._seats[seat.key] = seat
        seat.hear(self._found.get(seat.key))
        return seat

    def leave(self, seat: Seat) -> None:
        """The lane has ended."""
        if self._seats.get(seat.key) is seat:
            del self._seats[seat.key]

    def said(self) -> None:
        """Something was written: the others need not wait for their next look."""
        self._together.say(BUCKET, b"")

    def away(self, why: str) -> None:
        """The bucket did not answer."""
        if not self._away:
            self._away = True
            _log.warning("deliverers cannot agree; each goes by its own state until they can", extra={"problem": why})

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(_BEAT_S)
            await self._beat_once()

    async def _beat_once(self) -> None:
        try:
            await self.bucket.put(self._me, b"", ttl_s=_ALIVE_S)
        except BucketAway as away:
            self.away(str(away))
        self.said()

    async def _look(self) -> None:
        while True:
            self._news.clear()
            try:
                await self._look_once()
            except BucketAway as away:
                self.away(str(away))
            with suppress(TimeoutError):
                async with asyncio.timeout(_LOOK_S):
                    await self._news.wait()

    async def _look_once(self) -> None:
        pods = await self.bucket.keys("pod")
        found = self._found = {entry.key: entry for entry in await self.bucket.entries("lane")}
        if self._away:
            self._away = False
            _log.info("deliverers agree again")
            for seat in self._seats.values():
                seat.speak()
        # A deliverer whose own beat has not arrived yet is one more.
        self.pods = len({*pods, self._me})
        self._share(self.pods)
        for key, seat in list(self._seats.items()):
            seat.hear(found.get(key))

    def _samples(self) -> Iterator[Sample]:
        yield Sample((), self.pods)
