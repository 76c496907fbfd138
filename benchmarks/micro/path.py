"""What each step of the data path costs alone, in µs per event: ``python -m benchmarks.micro.path``. Sums are not the whole: caches are warm here.

First the benchmarks' own event, then the events of tests/vectors in each wire format.
"""

import asyncio
import os
import time
import timeit
from collections.abc import Callable
from dataclasses import dataclass

import orjson
from multidict import CIMultiDict

from benchmarks.load.requests import collect_request
from benchmarks.micro import vectors
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import Live, compile_catalogue
from gateway.consent.gate import Gate
from gateway.consent.settings import ConsentSettings
from gateway.consent.signals import RequestReader, RequestSignals
from gateway.edge import cookies
from gateway.edge.address import Client
from gateway.edge.collect import Collector
from gateway.edge.head import Head
from gateway.edge.settings import CookieSettings
from gateway.event import jsonbody, signal
from gateway.event.model import Event
from gateway.identity.seal import Sealer, Visitor
from gateway.identity.sealed import SealedEvent
from gateway.mapping.compile import Program
from gateway.mapping.prepared import prepare
from gateway.spool.base import NewRecord
from gateway.telemetry.metrics import Metrics


class _Sink:
    """Takes records and never commits: the spool has a benchmark of its own."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._future: asyncio.Future[None] = loop.create_future()
        self.records: list[NewRecord] = []

    def put(self, records: list[NewRecord]) -> "asyncio.Future[None]":
        self.records = records
        return self._future

    def keeps(self, _lane: str) -> bool:
        return True


def best_us(step: Callable[[], object], events: int, number: int, repeat: int = 5) -> float:
    """The least time of ``step``, per event."""
    return min(timeit.repeat(step, number=number, repeat=repeat)) / number / events * 1e6


@dataclass(slots=True)
class Way:
    """The steps over one wire format's vectors."""

    read: Callable[[], list[Event]]
    gate: Callable[[], object]
    seal: Callable[[], list[SealedEvent]]
    map: Callable[[], object]


def way(found: vectors.Format, gate: Gate, request: RequestSignals, sealer: Sealer, visitor: Visitor, program: Program) -> Way:
    """Each step takes what the one before it gives, and does all vectors at a time."""

    def read() -> list[Event]:
        return [event for body in found.bodies for event in found.read(body).events]

    def seal() -> list[SealedEvent]:
        return [
            sealer.seal(
                event,
                visitor,
                pipeline="shop",
                granted=["marketing"],
                consent_source="event",
                gpc=False,
                received=1.8e9,
                event_id="made",
            )
            for event in events
        ]

    events = read()
    sealed = [orjson.loads(orjson.dumps(each)) for each in seal()]
    return Way(
        read,
        lambda: [gate.decide(event.consent, event.consent_mode, request) for event in events],
        seal,
        lambda: [program.apply(each) for each in sealed],
    )


def main() -> None:
    """Print both tables."""
    loop = asyncio.new_event_loop()
    catalogue = compile_catalogue(
        [PipelineSettings(id="shop", key="dk_bench", integrations=["tiktok"], default_region="GB", rate_limit=10_000_000)],
        [IntegrationSettings(id="tiktok", pixel_code="C4ABCDEF1234567890AB")],
        os.urandom(16),
    )
    collector = Collector(
        live=Live(catalogue), prefix="/gw", consent=ConsentSettings(), cookie_settings=CookieSettings(), allowed_origins=[],
        metrics=Metrics(), now=time.time, entropy=os.urandom, purge=lambda _owner, _reason: None,
    )  # fmt: skip
    sink = _Sink(loop)
    collector.spool = sink  # type: ignore[assignment]
    raw_head, body = collect_request("127.0.0.1", "/gw/e", "micro")(1).split(b"\r\n\r\n", 1)
    lines = (line.decode().partition(": ") for line in raw_head.split(b"\r\n")[1:])
    fields: CIMultiDict[str] = CIMultiDict((name, value) for name, _, value in lines)
    head = Head("POST", b"/gw/e", "/gw/e", "", fields, (), (1, 1))
    client = Client("203.0.114.7", "203.0.114.7", "http", "127.0.0.1")
    collector.handle(head, body, client)
    settings = ConsentSettings()
    gate, reader = Gate(settings), RequestReader(settings)
    jar = cookies.read(fields["Cookie"], reader.cookie_names)
    event = signal.parse(jsonbody.load(body), None).events[0]
    visitor = Visitor(client.public_ip, fields["User-Agent"], "2NbVBtlA8nqwZQ8aJvWq3yJ0uRz", jar, "7f1c2a54", "", client.host)
    seal = catalogue.pipelines[0].sealer.seal
    sealed = seal(
        event,
        visitor,
        pipeline="shop",
        granted=["marketing"],
        consent_source="event",
        gpc=False,
        received=time.time(),
        event_id="",
    )
    payload = sink.records[0].payload
    stored = orjson.loads(payload)
    program = catalogue.integrations["tiktok"].program
    apply = program.apply
    stranger = Sealer("GB", os.urandom(16), 2).seal  # which remembers nobody
    steps: dict[str, Callable[[], object]] = {
        "parse: JSON": lambda: jsonbody.load(body),
        "parse: JSON and canonical event": lambda: signal.parse(jsonbody.load(body), None),
        "gate: cookies, signals, decision": lambda: gate.decide(
            event.consent, event.consent_mode, reader.read(cookies.read(fields["Cookie"], reader.cookie_names), None)
        ),
        "seal": lambda: seal(
            event, visitor, pipeline="shop", granted=["marketing"], consent_source="event", gpc=False, received=0.0, event_id=""
        ),
        "seal: a visitor's first event": lambda: stranger(
            event, visitor, pipeline="shop", granted=["marketing"], consent_source="event", gpc=False, received=0.0, event_id=""
        ),
        "map ahead": lambda: prepare(program, sealed),
        "payload: write": lambda: orjson.dumps(sealed),
        "payload: read": lambda: orjson.loads(payload),
        "map": lambda: apply(stored),
        "collect: all of it up to the spool": lambda: collector.handle(head, body, client),
    }
    print(f"request of {len(raw_head) + len(body) + 4} bytes, event of {len(body)}, payload of {len(payload)}")
    for name, step in steps.items():
        print(f"{name:36} {best_us(step, 1, 5_000):7.2f} µs")
    print(f"\n{'vectors, µs an event':36} {'events':>7} {'parse':>7} {'gate':>7} {'seal':>7} {'map':>7}")
    request = reader.read(jar, None)
    for wire, found in vectors.formats().items():
        steps_of = way(found, gate, request, catalogue.pipelines[0].sealer, visitor, program)
        count = len(steps_of.read())
        times = [best_us(step, count, 10_000 // count) for step in (steps_of.read, steps_of.gate, steps_of.seal, steps_of.map)]
        print(f"{wire:36} {count:7} {' '.join(f'{each:7.2f}' for each in times)}")


if __name__ == "__main__":
    main()
