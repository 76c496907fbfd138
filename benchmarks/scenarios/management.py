"""UI: what the management listener costs – nothing while nobody looks, little while three people watch the live feed."""

import contextlib
import http.client
import statistics
import threading
from collections.abc import Iterator

from benchmarks.account import Account, Measured
from benchmarks.drive import Driven, drive
from benchmarks.figure import Context, Figure
from benchmarks.load.requests import collect_request
from benchmarks.stack import ADMIN_TOKEN, Part, settled_stats, stack

_RATE = 2000.0
_VIEWERS = 3


@contextlib.contextmanager
def _viewers(port: int) -> Iterator[list[int]]:
    """Live feeds that are read until the block ends; the list holds how many bytes came over each."""
    read = [0] * _VIEWERS
    connections = [http.client.HTTPConnection("127.0.0.1", port, timeout=30) for _ in read]

    def watch(number: int, answer: http.client.HTTPResponse) -> None:
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException, AttributeError):
            while part := answer.read1(1 << 16):
                read[number] += len(part)

    threads = []
    for number, connection in enumerate(connections):
        connection.request("GET", "/api/v1/live", headers={"Authorization": f"Bearer {ADMIN_TOKEN}"})
        answer = connection.getresponse()
        if answer.status != 200:
            raise RuntimeError(f"the live feed answered {answer.status}: {answer.read(500)!r}")
        threads.append(threading.Thread(target=watch, args=(number, answer), daemon=True))
        threads[-1].start()
    try:
        yield read
    finally:
        for connection in connections:
            if connection.sock is not None:
                connection.sock.shutdown(2)
            connection.close()
        for thread in threads:
            thread.join(5)


def run(context: Context) -> Measured:
    """The rate of collecting with the UI closed ÷ without it, alternating; the CPU per event with three viewers ÷ with none, at 2,000 events/s."""
    seconds = context.seconds(6)
    repeats = 2 * context.repeats
    without: list[float] = []
    closed: list[float] = []
    alone: list[Driven] = []
    watched: list[Driven] = []
    told: list[int] = []
    account = Account()
    with stack(context.folder / "management") as parts:
        sandbox = parts.sandbox()
        plain = parts.gateway(sandbox.port, name="plain")
        managed = parts.gateway(sandbox.port, name="managed", admin=True)

        def collect(gateway: Part, run: str, rate: float = 0.0) -> Driven:
            make = collect_request("127.0.0.1", "/gw/e", run)
            driven = drive(gateway.port, make, gateway.pid, seconds=seconds, rate=rate, warm_up_s=0.3)
            account.sent(driven.result)
            return driven

        for index in range(repeats):
            context.say(
                f"UI run {index + 1}/{repeats}: without and with the listener, then at {_RATE:.0f}/s with 0 and {_VIEWERS} viewers"
            )
            # the order changes, so that a machine that warms up or slows down favours neither
            for gateway in (plain, managed) if index % 2 else (managed, plain):
                rate = collect(gateway, f"{gateway.name[0]}{index}").result.rate
                (without if gateway is plain else closed).append(rate)
            alone.append(collect(managed, f"a{index}", _RATE))
            with _viewers(parts.admin_port("managed")) as read:
                watched.append(collect(managed, f"w{index}", _RATE))
                told.append(min(read))
        account.settle(settled_stats(sandbox.port, account.acknowledged))
    ratios = [one / other for one, other in zip(closed, without, strict=True)]
    costs = [one.cpu_us / other.cpu_us for one, other in zip(watched, alone, strict=True)]
    return [
        Figure(
            "UI/closed",
            "collect with the management listener and nobody looking ÷ without it",
            "requests/s",
            closed,
            0.98,
            1.0,
            True,
            baseline=statistics.median(without),
            ratio=statistics.median(ratios),
            notes={"ratios": [round(ratio, 3) for ratio in ratios]},
        ),
        Figure(
            "UI/viewed",
            f"CPU per event at {_RATE:.0f} events/s with {_VIEWERS} live viewers ÷ with none",
            "µs",
            [one.cpu_us for one in watched],
            1.10,
            1.02,
            False,
            baseline=statistics.median(one.cpu_us for one in alone),
            ratio=statistics.median(costs),
            notes={
                "ratios": [round(cost, 3) for cost in costs],
                "answered_per_s": [round(one.result.rate) for one in watched],
                "answered_per_s_alone": [round(one.result.rate) for one in alone],
                "least_bytes_seen_by_a_viewer": told,
            },
        ),
    ], account
