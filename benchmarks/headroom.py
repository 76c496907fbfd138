"""Whether the load side could be what limits a figure: the sandbox alone, and how much of the load core it and the generator take (io).

Law: the sandbox is loaded here as the gateway loads it at its fullest – requests of 1,000 items, each sealed and mapped by the gateway's own code, no event_id twice – while the
generator has the server's core, which nothing else uses then.
"""

import os
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import orjson

from benchmarks import machine
from benchmarks.drive import Driven, drive
from benchmarks.figure import Figure
from benchmarks.load.requests import ID_WIDTH, event
from benchmarks.stack import stack
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import compile_catalogue
from gateway.event import signal
from gateway.identity.seal import Visitor
from gateway.mapping.compile import Mapped
from gateway.sandbox.tiktok import PATH

ITEMS = 1000
"""Events in a request, as many as TikTok takes."""
_PIXEL = "C4ABCDEF1234567890AB"
_SECONDS = 2.0
_SCARCE = 0.05
"""A load core with less than this to spare may be what limits a run."""


def _item(event_id: str) -> bytes:
    """The item that the gateway sends for the benchmarks' event."""
    catalogue = compile_catalogue(
        [PipelineSettings(id="shop", key="dk_bench", integrations=["tiktok"], default_region="GB")],
        [IntegrationSettings(id="tiktok", pixel_code=_PIXEL)],
        b"k" * 16,
    )
    visitor = Visitor("203.0.114.7", "Mozilla/5.0 (Windows NT 10.0; Win64; x64)", "2NbVBtlA8nqwZQ8aJvWq3yJ0uRz")
    (parsed,) = signal.parse(event(event_id), None).events
    sealed = catalogue.pipelines[0].sealer.seal(
        parsed, visitor, pipeline="shop", granted=["marketing"], consent_source="event", gpc=False, received=1.8e9, event_id=""
    )
    found = catalogue.integrations["tiktok"].program.apply(orjson.loads(orjson.dumps(sealed)))
    if not isinstance(found, Mapped):
        raise TypeError(f"the benchmarks' event is not mapped: {found}")
    return orjson.dumps(found.item)


def requests() -> Callable[[int], bytes]:
    """A renderer of the gateway's requests to TikTok; only the event_ids differ."""
    mark = "@" * ID_WIDTH
    before, after = _item(mark).split(mark.encode())
    head = b'{"event_source":"web","event_source_id":"%b","data":[' % _PIXEL.encode()
    size = len(head) + ITEMS * (len(before) + ID_WIDTH + len(after) + 1) + 1
    start = (
        b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nAccess-Token: bench\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n"
        % (PATH.encode(), size)
    )

    def render(number: int) -> bytes:
        first = number * ITEMS
        return b"%b%b%b]}" % (start, head, b",".join([b"%b%020x%b" % (before, first + n, after) for n in range(ITEMS)]))

    return render


def alone(folder: Path) -> dict[str, float]:
    """The sandbox's fast mode by itself for two seconds, in events."""
    with stack(folder) as parts:
        sandbox = parts.sandbox()
        mine = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {machine.server_core()})
        try:
            driven = drive(sandbox.port, requests(), sandbox.pid, seconds=_SECONDS, connections=4)
        finally:
            os.sched_setaffinity(0, mine)
    return {
        "events_per_s": round(driven.result.rate * ITEMS),
        "cpu_us_per_event": round(driven.cpu_us / ITEMS, 2),
        "of_its_core": round(driven.cpu_s / driven.result.seconds, 2),
    }


def shares(runs: Sequence[Driven]) -> dict[str, float]:
    """Medians of the load core's time in these runs: by whom it was used, and what was free."""
    return share(*(statistics.median(part) for part in zip(*map(_parts, runs), strict=True)))


def share(generator: float, sandbox: float, free: float) -> dict[str, float]:
    """The same of one run."""
    return {"generator": round(generator, 3), "sandbox": round(sandbox, 3), "free": round(free, 3)}


def _parts(run: Driven) -> tuple[float, float, float]:
    return run.generator_share, run.sandbox_share, run.free_share


def lines(sandbox: dict[str, float], figures: list[Figure]) -> list[str]:
    """What stands beside the table."""
    rate = sandbox["events_per_s"]
    found = [
        f"sandbox alone: {rate:,.0f} events/s, {sandbox['cpu_us_per_event']} CPU-µs an event, with {sandbox['of_its_core']:.0%} of its core"
    ]
    for figure in figures:
        for key, suffix in (("load_core", ""), ("load_core_bare", "'s baseline")):
            if used := figure.notes.get(key):
                times = f"; the sandbox alone takes {rate / figure.value:.1f} times as many" if used["sandbox"] else ""
                doubt = "" if used["free"] >= _SCARCE else " – FULL: what is measured may be the load side"
                found.append(
                    f"load core in {figure.id}{suffix}: generator {used['generator']:.0%}, sandbox {used['sandbox']:.0%}, free {used['free']:.0%}{times}{doubt}"
                )
    return found
