"""P4: open-loop latency at half of the maximum rate – collect with its fsync, and what pass-through adds, also while events are collected.

Law: what pass-through adds is measured against the way straight to the origin under the same load on the same cores. While events are collected, their generator and
the sandbox share the origin's core: both ways feel them alike, and they yield to it (``nice``), so that it is the gateway's waiting that is seen.
"""

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Iterator

from benchmarks.account import Account, Measured
from benchmarks.drive import Driven, drive
from benchmarks.figure import Context, Figure
from benchmarks.load.generator import Result
from benchmarks.load.requests import collect_request, get_request
from benchmarks.machine import load_core
from benchmarks.stack import Part, sandbox_stats, settled_stats, stack

YIELDING = 19
"""The niceness of what only makes the load beside the one that is measured."""


def run(context: Context) -> Measured:
    """p99 of collect in ms, and p99 through the gateway minus p99 straight to the origin, both at half load."""
    collect: list[float] = []
    added: list[float] = []
    busy: list[float] = []
    spread: list[dict[str, float]] = []
    ways: list[dict[str, float]] = []
    collected: list[int] = []
    seconds = context.seconds(8)
    account = Account()
    with stack(context.folder / "latency") as parts:
        origin = parts.baseline("origin", core=load_core())
        sandbox = parts.sandbox()
        gateway = parts.gateway(sandbox.port, upstream=f"http://127.0.0.1:{origin.port}")

        def events(name: str, seconds: float, rate: float = 0.0, warm_up_s: float = 0.0) -> Driven:
            make = collect_request("127.0.0.1", "/gw/e", name)
            driven = drive(gateway.port, make, gateway.pid, seconds=seconds, rate=rate, warm_up_s=warm_up_s)
            account.sent(driven.result)
            return driven

        context.say("P4: finding the maximum rates")
        top = events("max", 3, warm_up_s=0.5).result.rate
        page = get_request("127.0.0.1", "/1k")
        page_top = drive(gateway.port, page, gateway.pid, seconds=2).result.rate
        for index in range(context.repeats):
            context.say(
                f"P4 run {index + 1}/{context.repeats}: open loop at {top / 2:.0f} events/s and {page_top / 2:.0f} pages/s"
            )
            percentiles = events(f"l{index}", seconds, top / 2).result.percentiles_ms()
            collect.append(percentiles["p99"])
            spread.append({name: round(value, 2) for name, value in percentiles.items()})
            straight = drive(origin.port, page, origin.pid, seconds=seconds / 2, rate=page_top / 2).result.percentiles_ms()
            through = drive(gateway.port, page, gateway.pid, seconds=seconds / 2, rate=page_top / 2).result.percentiles_ms()
            added.append(through["p99"] - straight["p99"])
        os.setpriority(os.PRIO_PROCESS, sandbox.pid, YIELDING)
        for index in range(context.repeats):
            # both at a quarter: together they are half of what the process can do
            context.say(f"P4 run {index + 1}/{context.repeats}: {page_top / 4:.0f} pages/s beside {top / 4:.0f} events/s")
            arrived = sandbox_stats(sandbox.port)["events"]
            with _collecting(gateway, top / 4, seconds / 2 + 1, account):
                straight = drive(origin.port, page, origin.pid, seconds=seconds / 2, rate=page_top / 4).result.percentiles_ms()
            with _collecting(gateway, top / 4, seconds / 2 + 1, account):
                through = drive(gateway.port, page, gateway.pid, seconds=seconds / 2, rate=page_top / 4).result.percentiles_ms()
            collected.append(round((sandbox_stats(sandbox.port)["events"] - arrived) / (seconds + 2)))
            busy.append(through["p99"] - straight["p99"])
            ways.append({"straight_p99": round(straight["p99"], 2), "through_p99": round(through["p99"], 2)})
        account.settle(settled_stats(sandbox.port, account.acknowledged))
    return [
        Figure(
            "P4/collect",
            "collect at half load, p99",
            "ms",
            collect,
            10,
            5,
            False,
            notes={"rate": round(top / 2), "percentiles_ms": spread},
        ),
        Figure(
            "P4/proxy", "added by pass-through at half load, p99", "ms", added, 2, 1, False, notes={"rate": round(page_top / 2)}
        ),
        Figure(
            "P4/proxy-busy",
            "added by pass-through while events are collected, p99",
            "ms",
            busy,
            2,
            1,
            False,
            notes={"pages": round(page_top / 4), "events": round(top / 4), "collected_a_second": collected, "ms": ways},
        ),
    ], account


@contextlib.contextmanager
def _collecting(gateway: Part, rate: float, seconds: float, account: Account) -> Iterator[None]:
    """Events at ``rate`` for ``seconds``, from a process of their own; the block's end waits for theirs and puts them to ``account``."""
    command = [sys.executable, "-m", "benchmarks.load", "--url", f"http://127.0.0.1:{gateway.port}/gw/e"]
    command += ["--rate", f"{rate:.0f}", "--duration", f"{seconds:.0f}", "--json"]
    with subprocess.Popen(
        ["nice", "-n", str(YIELDING), *command], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as generator:
        yield
        said, _ = generator.communicate()
    found = json.loads(said)
    account.sent(Result(sent=found["sent"], statuses={int(status): count for status, count in found["statuses"].items()}))
