"""One running gateway, put together from its parts (io).

Law: the site comes first. The edge listens whatever became of spool, catalogue or TikTok; what is missing is tried again in the background, and until it is
there collect answers 503. Start-up, main loop and shutdown are three methods; the shutdown may be asked for more than once and happens once.
"""

import asyncio
import gc
import logging
import secrets
import signal
import time
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any

from aiohttp import web

from gateway import __version__
from gateway.app.about import about
from gateway.app.changing import compile_sound, make_changes
from gateway.app.gauges import Gauges
from gateway.app.management import Management, make_desk, snippet_of, test_send
from gateway.app.pods import Pods
from gateway.app.watch import Watch
from gateway.catalog.runtime import EMPTY, Catalogue, Live
from gateway.catalog.shared import Commons, Pod
from gateway.config.load import Loaded, load
from gateway.config.watch import Watcher
from gateway.delivery.worker import Worker
from gateway.edge.collect import Collector
from gateway.edge.listener import Listener
from gateway.edge.settings import parse_listen
from gateway.errors import GatewayError, SpoolTooNew, SpoolUnavailable
from gateway.lane import Lane
from gateway.outcome import Reason
from gateway.spool.base import Spool
from gateway.spool.engine import open_spool, together_of
from gateway.telemetry import ops, tasks
from gateway.telemetry.metrics import Metrics

_log = logging.getLogger(__name__)

_SPOOL_PATIENCE_S = 2.0
"""Start-up waits this long for the spool before it serves the site without it: a start must not answer 503 for the blink that opening takes."""
_FILES_PATIENCE_S = 1.0
"""A volume that hangs must not keep the gateway from being ready."""
_SPOOL_RETRY_S = (1.0, 2.0, 5.0, 10.0)
_MAX_WITHDRAWN = 100_000
_MIN_FLUSH_S = 1.0
_GC_OLDER = (3, 100)
"""Young collections before the middle generation is looked at, and those before everything is."""
_APPLIED_BY_RELOAD = ("catalog", "consent", "pipelines", "integrations")


class Gateway:
    """One running gateway."""

    def __init__(self, path: Path, loaded: Loaded, role: str = "all") -> None:
        self._collects, self._delivers, self._manages = (role in {"all", part} for part in ("edge", "deliver", "admin"))
        self._role = role
        self._path = path
        self._loaded = loaded
        self._settings = loaded.settings
        """As started: what cannot change while it runs."""
        self._off_at_start = frozenset(loaded.off)
        self._identity_key = secrets.token_bytes(32)
        self.metrics = Metrics()
        self.live = Live()
        """What delivery goes by."""
        self._collecting = Live()
        """What the edge goes by: the same catalogue, or none while nobody knows the rules of consent."""
        self._collector = Collector(
            live=self._collecting,
            prefix=self._settings.edge.prefix,
            consent=self._settings.consent,
            cookie_settings=self._settings.cookies,
            allowed_origins=self._settings.edge.allowed_origins,
            metrics=self.metrics,
            now=time.time,
            entropy=secrets.token_bytes,
            purge=self._purge,
            script=self._settings.edge.script,
        )
        self._listener = Listener(self._settings.edge, self._collector, self.metrics)
        self._watcher = Watcher(lambda: self._loaded.files, self.reload)
        self._ops: web.AppRunner | None = None
        self._management: Management | None = None
        self._managing: asyncio.Task[None] | None = None
        self._spool: Spool | None = None
        self._commons: Commons | None = None
        self._pods: Pods | None = None
        self._following: asyncio.Task[None] | None = None
        self._worker: Worker | None = None
        self._opening: asyncio.Task[None] | None = None
        self._watching: asyncio.Task[None] | None = None
        self._ending = asyncio.Event()
        self._hurry = asyncio.Event()
        self._drained: asyncio.Task[None] | None = None
        self._started = time.time()
        self._spool_tried = asyncio.Event()
        self._reloading = asyncio.Lock()
        self._withdrawn: dict[str, Reason] = {}
        """Owners to be purged as soon as the spool is open."""
        self._gauges = Gauges(self.metrics, self.live, self._listener, shared=self._settings.spool.kind == "jetstream")
        self._watch = Watch(self.metrics, self._gauges, self.live, self._lanes, Path(self._settings.spool.path))

    # -- the three phases

    async def start_up(self) -> None:
        """Listen, then get the rest going. OSError if an address cannot be had."""
        self._install_signals()
        self._announce(self._loaded)
        self._put_in_force(self._compile_or_nothing())
        if "spool" not in self._loaded.off:
            self._opening = tasks.keep(self._open_spool, "open spool")
            with suppress(TimeoutError):
                async with asyncio.timeout(_SPOOL_PATIENCE_S):
                    await self._spool_tried.wait()
        if self._collects:
            await self._listener.start()
        # Before anybody can see it ready: a change of the files from then on is noticed.
        self._watching = tasks.keep(self._watcher.run, "watch configuration")
        with suppress(TimeoutError):
            async with asyncio.timeout(_FILES_PATIENCE_S):
                await self._watcher.watching.wait()
        await self._start_ops()
        self._watch.start()
        self._managing = tasks.spawn(self._start_management(), "start management")
        # What start-up made lives as long as the process: the collector need not look at it again. Nor does it find anything among connections,
        # whose cycles are broken as they end: looked at in smaller parts, ten thousand of them cost pauses of 2 ms instead of 5, and the
        # whole of them, 30 to 100 ms, seldom. A larger first threshold was measured to cost three times the p99 and to save nothing.
        gc.collect()
        gc.freeze()
        gc.set_threshold(gc.get_threshold()[0], *_GC_OLDER)
        _log.info("ready", extra={"version": __version__, "listen": self._settings.edge.listen, "ops": self._settings.ops.listen})

    async def main_loop(self) -> None:
        """Until a signal asks for the end."""
        await self._ending.wait()

    async def shut_down(self) -> None:
        """Drain, close what is open, say what remains."""
        await self.drain()
        await tasks.cancel(self._watching, self._opening, self._managing, self._following)
        if self._management is not None:
            await self._management.close()
        if self._pods is not None:
            await self._pods.close()
        await self._watch.close()
        if self._spool is not None:
            with suppress(SpoolUnavailable):
                await self._spool.close()
        if self._ops is not None:
            await self._ops.cleanup()
        _log.info("ended")

    # -- what others ask

    @property
    def ready(self) -> bool:
        """Listening, where the role has visitors, and not draining, and nothing else."""
        return (self._listener.listening or not self._collects) and self._drained is None

    async def drain(self) -> None:
        """Stop taking requests, finish what runs, flush the spool; joins a drain that is under way."""
        if self._drained is None:
            self._drained = tasks.spawn(self._drain(), "drain")
        await asyncio.shield(self._drained)

    async def reload(self) -> None:
        """Put the files' new content in force, or keep what is and say why."""
        async with self._reloading:
            await self._reload()

    async def _reload(self) -> None:
        loaded = await asyncio.get_running_loop().run_in_executor(None, partial(load, self._path, role=self._role))
        if loaded == self._loaded and self._gauges.reload_ok:
            return  # taken over already, by whoever made the change
        if loaded.problems and not self._no_worse(loaded):
            self._gauges.reload_ok = False
            # what the bad file names is watched too, so that mounting a missing secret mends it
            self._loaded.files = list(dict.fromkeys([*self._loaded.files, *loaded.files]))
            for problem in loaded.problems:
                _log.error("new configuration refused; the old one stays in force", extra={"problem": str(problem)})
            return
        try:
            catalogue = await asyncio.get_running_loop().run_in_executor(None, compile_sound, loaded, self._identity_key)
        except Exception:  # noqa: BLE001 - as at the start: a defect in a mapping costs nothing that works
            self._gauges.reload_ok = False
            _log.exception("new catalogue cannot be compiled; the old one stays in force")
            return
        self._loaded = loaded
        self._announce(loaded)
        if self._management is not None and (admin := loaded.settings.admin) is not None:
            self._management.desk.access.reconfigure(admin.tokens, admin.allowed_hosts)
        self._collector.reconfigure(loaded.settings.consent)
        self._put_in_force(catalogue)
        self._gauges.reload_ok = True
        await self._mend()
        waiting = [
            name
            for name in type(self._settings).model_fields
            if name not in _APPLIED_BY_RELOAD and getattr(self._settings, name) != getattr(loaded.settings, name)
        ]
        if waiting:
            _log.warning("these sections take effect at the next start", extra={"sections": waiting})
        _log.info("configuration reloaded")

    # -- inside

    def _no_worse(self, loaded: Loaded) -> bool:
        """Whether a configuration with problems is better than the one in force, or has only the problems that one has: the rest of it is sound."""
        old = self._loaded
        if loaded.fatal:
            return False
        known = {(each.path, each.message) for each in old.problems}
        only_known = all((each.path, each.message) in known for each in loaded.problems)
        return set(loaded.off) < set(old.off) or (set(loaded.off) <= set(old.off) and only_known)

    def _compile_or_nothing(self) -> Catalogue:
        try:
            return compile_sound(self._loaded, self._identity_key)
        except Exception:  # noqa: BLE001 - a defect in a mapping must not cost the site: it is served, collect answers 503
            _log.exception("the catalogue cannot be compiled; collect answers 503")
            return Catalogue((), (), {"pipelines", "integrations"})

    def _put_in_force(self, catalogue: Catalogue) -> None:
        before = self.live.current.integrations
        for id_, integration in catalogue.integrations.items():
            if id_ in before and before[id_].access_token != integration.access_token:
                self._gauges.token_changed(id_)
                _log.info("access token changed", extra={"integration": id_, "set": bool(integration.access_token)})
        self.live.swap(catalogue)
        blind = "consent" in self._loaded.off or "cookies" in self._off_at_start
        self._collecting.swap(EMPTY if blind else catalogue)
        self._gauges.in_force(len(self._loaded.problems))

    async def _mend(self) -> None:
        """Start what a fault in its section had kept from starting."""
        settings, off = self._loaded.settings, self._loaded.off
        if self._opening is None and "spool" not in off:
            self._settings = self._settings.model_copy(update={"spool": settings.spool})
            self._opening = tasks.keep(self._open_spool, "open spool")
        elif "delivery" in self._off_at_start and "delivery" not in off and self._worker is None:
            self._settings = self._settings.model_copy(update={"delivery": settings.delivery})
            await self._deliver()

    def _announce(self, loaded: Loaded) -> None:
        for problem in loaded.problems:
            _log.error("configuration problem; the site is served, the part is off", extra={"problem": str(problem)})
        for integration in loaded.settings.integrations:
            if integration.test_event_code:
                _log.warning("a test event code is set: events do not reach reports", extra={"integration": integration.id})

    async def _open_spool(self) -> None:
        said = ""
        pauses = iter(_SPOOL_RETRY_S)
        pause = 0.0
        while True:
            try:
                spool = await open_spool(self._settings.spool, metrics=self.metrics, role=self._role)
                break
            except GatewayError as error:
                if str(error) != said:
                    said = str(error)
                    cure = "update the gateway" if isinstance(error, SpoolTooNew) else "it is tried again"
                    _log.error("spool cannot be opened; collect answers 503", extra={"problem": said, "cure": cure})
                self._spool_tried.set()
                pause = next(pauses, pause)
                await asyncio.sleep(pause)
        await self._share_catalogue(spool)
        self._meet_pods(spool)
        self._spool = self._gauges.spool = self._collector.spool = spool
        while self._withdrawn:
            owner, reason = self._withdrawn.popitem()
            await _purge(spool, owner, reason)
        if said:
            _log.info("spool opened; collecting")
        if "delivery" not in self._loaded.off:
            await self._deliver()
        self._spool_tried.set()

    async def _share_catalogue(self, spool: Spool) -> None:
        """Before anything is collected or delivered by it: what is in force elsewhere is in force here."""
        together, folder = together_of(spool), self._loaded.settings.catalog.path
        if together is None or folder is None:
            return
        pod = Pod(self._role != "edge", self._manages, self._sound, self._shared_anew)
        self._commons = Commons(together, Path(folder), pod)
        with suppress(TimeoutError):
            async with asyncio.timeout(_SPOOL_PATIENCE_S):
                await self._commons.look()
        self._following = tasks.keep(self._commons.run, "follow the shared catalogue")

    def _meet_pods(self, spool: Spool) -> None:
        if (together := together_of(spool)) is None:
            return
        shows = self._manages and self._settings.admin is not None
        self._pods = pods = Pods(together, self.metrics, self._watch.counts, self._own_lanes, shows=shows)
        if shows:
            self._watch.elsewhere = lambda: pods.others.counts
        pods.start()

    async def _shared_anew(self) -> None:
        await self.reload()
        if self._management is not None and (changes := self._management.desk.changes) is not None:
            await changes.look()  # what people are shown next is what they would change

    def _sound(self, made: str) -> bool:
        loaded = load(self._path, made=made, role=self._role)
        for problem in loaded.problems:
            _log.debug("shared catalogue: %s", problem)
        return not loaded.problems or self._no_worse(loaded)

    async def _deliver(self) -> None:
        if self._spool is not None and self._delivers:
            self._worker = Worker(self._spool, self.live, self._settings.delivery, self.metrics, together_of(self._spool))
            await self._worker.start()

    async def _start_ops(self) -> None:
        hooks = ops.OpsHooks(ready=lambda: self.ready, drain=self.drain, refresh=self._gauges.refresh)
        self._ops = web.AppRunner(ops.create_app(self.metrics, hooks), access_log=None, shutdown_timeout=1.0)
        await self._ops.setup()
        host, port = parse_listen(self._settings.ops.listen)
        # never shared, even where the edge's port is: each instance is scraped by itself
        await web.TCPSite(self._ops, host or None, port).start()

    async def _start_management(self) -> None:
        if (admin := self._settings.admin) is not None and self._manages:
            desk = make_desk(admin, lambda: self._spool, self.live, self.metrics)
            desk.endpoint = self._settings.delivery.endpoint
            desk.test_send = lambda integration, code: test_send(self._loaded.settings, integration, code)
            desk.snippet = lambda pipeline: snippet_of(self._settings, pipeline)
            desk.lanes = self._lanes
            desk.about = lambda: about(self._path, self._loaded, self._settings, self._started)
            desk.changes = make_changes(self._path, lambda: self._loaded, self._apply, self._role, lambda: self._commons)
            self._management = Management(admin, desk)
            self._management.watch(self._watch)
            await self._management.start()
            # Its pages and templates came after the first time that everything was frozen, and would be looked at again and again while events come.
            gc.freeze()

    async def _apply(self) -> int:
        await self.reload()
        return self._loaded.revision

    def _lanes(self) -> list[dict[str, Any]]:
        """Of all deliverers."""
        return self._own_lanes() if self._pods is None else self._pods.others.lanes(self._own_lanes())

    def _own_lanes(self) -> list[dict[str, Any]]:
        states = self._worker.lane_states() if self._worker is not None else []
        return [
            {**dict(zip(("integration", "test_event_code"), Lane.parse(each.lane), strict=True)), "state": each.state.value, "since": each.since, "next_try": each.next_try,
             "code": each.code, "message": each.message, "cure": each.cure}
            for each in states
        ]  # fmt: skip

    async def _drain(self) -> None:
        drain = self._settings.drain
        _log.info("draining", extra={"delay_s": drain.delay, "grace_s": drain.grace})
        hurried = tasks.spawn(self._hurry.wait(), "second signal")
        loop = asyncio.get_running_loop()
        end = loop.time() + drain.delay + drain.grace
        # half of the grace for requests that run, at least the other half for the spool, which is flushed all the while
        closing = tasks.spawn(self._listener.drain(drain.delay, drain.grace / 2), "drain edge")
        await asyncio.wait([closing, hurried], return_when=asyncio.FIRST_COMPLETED)
        await tasks.cancel(closing)
        await self._listener.close()
        remaining = 0
        if self._worker is not None:
            grace = 0.0 if self._hurry.is_set() else max(_MIN_FLUSH_S, end - loop.time())
            stopping = tasks.spawn(self._worker.stop(grace), "flush spool")
            await asyncio.wait([stopping, hurried], return_when=asyncio.FIRST_COMPLETED)
            if not stopping.done():
                await tasks.cancel(stopping)
                await self._worker.stop(0.0)
            elif not stopping.cancelled() and stopping.exception() is None:
                remaining = stopping.result()
        await tasks.cancel(hurried)
        _log.info("drained", extra={"records_left": remaining})

    def _purge(self, owner: str, reason: Reason) -> None:
        if (spool := self._spool) is not None:
            tasks.spawn(_purge(spool, owner, reason), "purge")
        elif len(self._withdrawn) < _MAX_WITHDRAWN:
            # What waits in a spool that does not open yet must not be delivered once it does.
            self._withdrawn[owner] = reason

    def _install_signals(self) -> None:
        loop = asyncio.get_running_loop()
        for name in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(name, self._end)
        loop.add_signal_handler(signal.SIGHUP, self._watcher.poke)

    def _end(self) -> None:
        """The first signal ends in good order, the second at once."""
        if self._ending.is_set():
            self._hurry.set()
        self._ending.set()


async def _purge(spool: Spool, owner: str, reason: Reason) -> None:
    with suppress(SpoolUnavailable):
        purged = await spool.purge(owner, reason)
        if any(purged):
            _log.info("records purged", extra={"records": purged.removed, "under_way": purged.under_way, "reason": reason})
