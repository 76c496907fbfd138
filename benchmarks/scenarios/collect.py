"""P1, P2 and P9: collecting, made durable, mapped and delivered, beside bare aiohttp in the same run."""

import statistics
import time

from benchmarks.drive import Driven, drive
from benchmarks.figure import Context, Figure
from benchmarks.load.requests import collect_request
from benchmarks.stack import sandbox_stats, stack, wait_delivered


def _delivered(port: int, driven: Driven, batch: int, before: int) -> tuple[int, int, float]:
    """(lost, duplicated, seconds until everything was delivered) after one run."""
    begin = time.perf_counter()
    expected = before + (driven.result.ok + driven.result.warm_ok) * batch
    stats = wait_delivered(port, expected)
    return expected - stats["unique"], stats["duplicates"], time.perf_counter() - begin


def run(context: Context) -> list[Figure]:
    """One event per request against bare aiohttp; batches of ten; every event accounted for at the sandbox."""
    single: list[Driven] = []
    bare: list[Driven] = []
    batched: list[Driven] = []
    ratios: list[float] = []
    lost = duplicated = 0
    tails: list[float] = []
    seconds = context.seconds(8)
    with stack(context.folder / "collect") as parts:
        sandbox = parts.sandbox()
        gateway = parts.gateway(sandbox.port)
        baseline = parts.baseline("bare_aiohttp")
        for index in range(context.repeats):
            context.say(f"P1 run {index + 1}/{context.repeats}: bare aiohttp, then the gateway, {seconds:.0f} s each")
            make = collect_request("127.0.0.1", "/gw/e", f"b{index}")
            bare.append(drive(baseline.port, make, baseline.pid, seconds=seconds))
            before = sandbox_stats(sandbox.port)["unique"]
            driven = drive(gateway.port, collect_request("127.0.0.1", "/gw/e", f"s{index}"), gateway.pid, seconds=seconds)
            missing, twice, tail = _delivered(sandbox.port, driven, 1, before)
            lost, duplicated = lost + missing, max(duplicated, twice)
            tails.append(tail)
            single.append(driven)
            ratios.append(driven.result.rate / bare[-1].result.rate)
        for index in range(context.repeats):
            context.say(f"P2 run {index + 1}/{context.repeats}: batches of ten, {seconds:.0f} s")
            before = sandbox_stats(sandbox.port)["unique"]
            make = collect_request("127.0.0.1", "/gw/e", f"t{index}", batch=10)
            driven = drive(gateway.port, make, gateway.pid, seconds=seconds, connections=32)
            missing, twice, tail = _delivered(sandbox.port, driven, 10, before)
            lost, duplicated = lost + missing, max(duplicated, twice)
            # End to end: the clock stops when the last event has arrived at TikTok's stand-in.
            driven.result.seconds += max(0.0, tail)
            batched.append(driven)
    refused = sum(sum(n for s, n in d.result.statuses.items() if not 200 <= s < 300) for d in single + batched)
    return [
        Figure(
            "P1",
            "collect, one event a request, delivered: requests/s ÷ bare aiohttp",
            "requests/s",
            [d.result.rate for d in single],
            0.75,
            1.0,
            True,
            baseline=statistics.median(d.result.rate for d in bare),
            ratio=statistics.median(ratios),
            notes={
                "cpu_us_per_request": round(statistics.median(d.cpu_us for d in single), 1),
                "cpu_us_per_request_bare": round(statistics.median(d.cpu_us for d in bare), 1),
                "seconds_until_delivered_after_load": [round(t, 2) for t in tails],
                "not_2xx": refused,
            },
        ),
        Figure(
            "P2", "collect in batches of ten, end to end", "events/s", [d.result.rate * 10 for d in batched], 25_000, 40_000, True
        ),
        Figure(
            "P9",
            "events lost + duplicated, by event_id at the sandbox",
            "events",
            [float(abs(lost) + duplicated)],
            0,
            0,
            False,
            notes={"lost": lost, "duplicated": duplicated},
        ),
    ]
