"""P4: open-loop latency at half of the maximum rate – collect with its fsync, and what pass-through adds, also while events are collected."""

import subprocess
import sys

from benchmarks.drive import drive
from benchmarks.figure import Context, Figure
from benchmarks.load.requests import collect_request, get_request
from benchmarks.machine import load_core
from benchmarks.stack import stack


def run(context: Context) -> list[Figure]:
    """p99 of collect in ms, and p99 through the gateway minus p99 straight to the origin, both at half load."""
    collect: list[float] = []
    added: list[float] = []
    busy: list[float] = []
    spread: list[dict[str, float]] = []
    seconds = context.seconds(8)
    with stack(context.folder / "latency") as parts:
        origin = parts.baseline("origin", core=load_core())
        sandbox = parts.sandbox()
        gateway = parts.gateway(sandbox.port, upstream=f"http://127.0.0.1:{origin.port}")
        context.say("P4: finding the maximum rates")
        top = drive(gateway.port, collect_request("127.0.0.1", "/gw/e", "max"), gateway.pid, seconds=3).result.rate
        page = get_request("127.0.0.1", "/1k")
        page_top = drive(gateway.port, page, gateway.pid, seconds=2).result.rate
        for index in range(context.repeats):
            context.say(
                f"P4 run {index + 1}/{context.repeats}: open loop at {top / 2:.0f} events/s and {page_top / 2:.0f} pages/s"
            )
            make = collect_request("127.0.0.1", "/gw/e", f"l{index}")
            percentiles = drive(
                gateway.port, make, gateway.pid, seconds=seconds, rate=top / 2, warm_up_s=0
            ).result.percentiles_ms()
            collect.append(percentiles["p99"])
            spread.append({name: round(value, 2) for name, value in percentiles.items()})
            straight = drive(origin.port, page, origin.pid, seconds=seconds / 2, rate=page_top / 2).result.percentiles_ms()
            through = drive(gateway.port, page, gateway.pid, seconds=seconds / 2, rate=page_top / 2).result.percentiles_ms()
            added.append(through["p99"] - straight["p99"])
            # both at a quarter: together they are half of what the process can do
            command = [sys.executable, "-m", "benchmarks.load", "--url", f"http://127.0.0.1:{gateway.port}/gw/e"]
            command += ["--rate", f"{top / 4:.0f}", "--duration", f"{seconds / 2 + 1:.0f}"]
            with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as collecting:
                through = drive(gateway.port, page, gateway.pid, seconds=seconds / 2, rate=page_top / 4).result.percentiles_ms()
                collecting.wait()
            busy.append(through["p99"] - straight["p99"])
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
            notes={"pages": round(page_top / 4), "events": round(top / 4)},
        ),
    ]
