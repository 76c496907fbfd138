"""P5, P7 and P8: memory and start-up, empty and with a long queue, and the drain after an outage of TikTok."""

import signal
import time
import urllib.request

from benchmarks import machine
from benchmarks.drive import drive
from benchmarks.figure import Context, Figure
from benchmarks.load.requests import collect_request
from benchmarks.stack import Part, Stack, free_port, get, sandbox_stats, stack


def _start_s(parts: Stack, tiktok_port: int, name: str) -> tuple[Part, float]:
    """Start a gateway and the seconds until /readyz answers 200."""
    begin = time.perf_counter()
    gateway = parts.gateway(tiktok_port, name=name)
    while True:
        try:
            get(f"http://127.0.0.1:{parts.ops_port(name)}/readyz", 1)
            return gateway, time.perf_counter() - begin
        except OSError:
            time.sleep(0.005)


def run(context: Context) -> list[Figure]:
    """Fill the spool while TikTok cannot be reached, restart, then let it drain while events keep coming."""
    events = 60_000 if context.quick else 1_000_000
    starts: list[float] = []
    with stack(context.folder / "outage") as parts:
        nobody = free_port()
        for index in range(context.repeats):
            gateway, seconds = _start_s(parts, nobody, f"idle{index}")
            starts.append(seconds)
            if index < context.repeats - 1:
                gateway.stop(signal.SIGKILL)
        time.sleep(1)
        idle = machine.rss_mib(gateway.pid)
        context.say(f"P5: spooling {events:,} events with TikTok down")
        generated = 0
        number = 0
        while generated < events:
            make = collect_request("127.0.0.1", "/gw/e", f"o{number}", batch=50)
            driven = drive(gateway.port, make, gateway.pid, seconds=min(5.0, context.seconds(5)), connections=8, warm_up_s=0)
            if not driven.result.ok:
                raise RuntimeError(f"collecting failed: {driven.result.statuses}")
            generated += driven.result.ok * 50
            number += 1
            context.say(f"P5: {generated:,} spooled, {machine.rss_mib(gateway.pid):.0f} MiB")
        full = machine.rss_mib(gateway.pid)
        name = f"idle{context.repeats - 1}"
        gateway.stop(signal.SIGKILL)
        context.say(f"P8: starting with {generated:,} records")
        sandbox = parts.sandbox()
        request = urllib.request.Request(
            f"http://127.0.0.1:{sandbox.port}/sandbox/faults",
            data=b'{"latency_ms": 200}',
            method="PUT",
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=5).close()
        gateway, loaded_start = _start_s(parts, sandbox.port, name)
        context.say("P7: draining while collecting 500/s")
        first = sandbox_stats(sandbox.port)["unique"]
        begin = time.perf_counter()
        beside = drive(
            gateway.port,
            collect_request("127.0.0.1", "/gw/e", "beside"),
            gateway.pid,
            seconds=min(20.0, max(2.0, generated / 30_000)),
            rate=500,
            warm_up_s=0,
        )
        arrived = sandbox_stats(sandbox.port)["unique"] - first
        seconds = time.perf_counter() - begin
        while arrived < generated + beside.result.ok and time.perf_counter() - begin < 120:
            time.sleep(0.1)
            arrived = sandbox_stats(sandbox.port)["unique"] - first
            seconds = time.perf_counter() - begin
        drain = arrived / seconds
        lost = generated + beside.result.ok - arrived - first
    return [
        Figure("P5/idle", "memory, idle", "MiB", [idle], 90, 60, False),
        Figure("P5/spooled", f"memory with {generated:,} events spooled, TikTok down", "MiB", [full], 200, 120, False),
        Figure(
            "P7",
            "drain after an outage while collecting 500/s, TikTok answering after 200 ms",
            "events/s",
            [drain],
            10_000,
            25_000,
            True,
            notes={
                "events": generated,
                "seconds": round(seconds, 1),
                "lost": lost,
                "collect_p99_ms_beside": beside.result.percentiles_ms().get("p99"),
            },
        ),
        Figure("P8/empty", "start to ready, empty spool", "s", starts, 1.5, 0.7, False),
        Figure("P8/loaded", f"start to ready with {generated:,} records", "s", [loaded_start], 3.0, 1.0, False),
    ]
