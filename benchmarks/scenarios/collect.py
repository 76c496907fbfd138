"""P1 and P2: collecting, made durable, mapped and delivered, beside bare aiohttp in the same run; the interpreted build beside a compiled one."""

import statistics
import sys
import time
from typing import Any

from benchmarks import headroom
from benchmarks.account import Account, Measured
from benchmarks.drive import Driven, drive
from benchmarks.figure import Context, Figure
from benchmarks.load.requests import collect_request
from benchmarks.stack import Part, Stack, build, sandbox_stats, settled_stats, stack, wait_delivered

_BATCH = 10


class _Collecting:
    """Runs against one sandbox, which has to see every event of them."""

    def __init__(self, sandbox: Part) -> None:
        self.sandbox = sandbox
        self.account = Account()

    def run(self, gateway: Part, name: str, seconds: float, batch: int = 1) -> tuple[Driven, float]:
        """One closed loop, and the seconds until its last event had arrived."""
        make = collect_request("127.0.0.1", "/gw/e", name, batch=batch)
        before = sandbox_stats(self.sandbox.port)["unique"]
        connections = 64 if batch == 1 else 32
        driven = drive(gateway.port, make, gateway.pid, seconds=seconds, connections=connections, sandbox_pid=self.sandbox.pid)
        self.account.sent(driven.result, batch)
        begin = time.perf_counter()
        wait_delivered(self.sandbox.port, before + (driven.result.ok + driven.result.warm_ok) * batch)
        return driven, time.perf_counter() - begin

    def settle(self) -> Account:
        """The account after the last run."""
        self.account.settle(settled_stats(self.sandbox.port, self.account.acknowledged))
        return self.account


def run(context: Context) -> Measured:
    """One event per request against bare aiohttp; batches of ten, whose clock stops when the last event has arrived at TikTok's stand-in."""
    single: list[Driven] = []
    bare: list[Driven] = []
    batched: list[Driven] = []
    rates: list[float] = []
    tails: list[float] = []
    seconds = context.seconds(8)
    with stack(context.folder / "collect") as parts:
        sandbox = parts.sandbox()
        gateway = parts.gateway(sandbox.port)
        baseline = parts.baseline("bare_aiohttp")
        collecting = _Collecting(sandbox)
        for index in range(context.repeats):
            context.say(f"P1 run {index + 1}/{context.repeats}: bare aiohttp, then the gateway, {seconds:.0f} s each")
            make = collect_request("127.0.0.1", "/gw/e", f"b{index}")
            bare.append(drive(baseline.port, make, baseline.pid, seconds=seconds))
            driven, tail = collecting.run(gateway, f"s{index}", seconds)
            single.append(driven)
            tails.append(tail)
        for index in range(context.repeats):
            context.say(f"P2 run {index + 1}/{context.repeats}: batches of ten, {seconds:.0f} s")
            driven, tail = collecting.run(gateway, f"t{index}", seconds, _BATCH)
            rates.append(_end_to_end(driven, tail))
            batched.append(driven)
        bare_rate = statistics.median(d.result.rate for d in bare)
        alone, in_batches = _interpreted(context, parts, collecting, bare_rate) if build() == "compiled" else ({}, {})
        account = collecting.settle()
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
            baseline=bare_rate,
            ratio=statistics.median(ours.result.rate / theirs.result.rate for ours, theirs in zip(single, bare, strict=True)),
            notes={
                "cpu_us_per_request": round(statistics.median(d.cpu_us for d in single), 1),
                "cpu_us_per_request_bare": round(statistics.median(d.cpu_us for d in bare), 1),
                "seconds_until_delivered_after_load": [round(t, 2) for t in tails],
                "not_2xx": refused,
                "load_core": headroom.shares(single),
                "load_core_bare": headroom.shares(bare),
                **alone,
            },
        ),
        Figure(
            "P2",
            "collect in batches of ten, end to end",
            "events/s",
            rates,
            25_000,
            40_000,
            True,
            notes={"load_core": headroom.shares(batched), **in_batches},
        ),
    ], account


def _end_to_end(driven: Driven, tail_s: float) -> float:
    return driven.result.ok * _BATCH / (driven.result.seconds + tail_s)


def _interpreted(
    context: Context, parts: Stack, collecting: _Collecting, bare_rate: float
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The notes of P1 and P2 on what `make run` and a plain wheel give: one short run each of this tree's sources."""
    seconds = min(4.0, context.seconds(8))
    context.say(f"P1 and P2 of the interpreted build, {seconds:.0f} s each")
    plain = parts.gateway(collecting.sandbox.port, name="interpreted", interpreter=[sys.executable])
    single, _ = collecting.run(plain, "is", seconds)
    batched, tail = collecting.run(plain, "ib", seconds, _BATCH)
    plain.stop()
    return (
        {
            "interpreted": {
                "value": single.result.rate,
                "ratio": single.result.rate / bare_rate,
                "cpu_us": round(single.cpu_us, 1),
            }
        },
        {"interpreted": {"value": _end_to_end(batched, tail)}},
    )
