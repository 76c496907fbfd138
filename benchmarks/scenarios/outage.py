"""P5, P7 and P8: memory and start-up, empty and with a long queue, and the drain after an outage of TikTok.

Law: the gateway is killed -9 here only while nobody listens where TikTok should be. No batch can have been under way to it, so that what arrives twice has no excuse: it counts.
"""

import signal
import time
import urllib.request

from benchmarks import headroom, machine
from benchmarks.account import Account, Measured
from benchmarks.drive import Driven, drive
from benchmarks.figure import Context, Figure
from benchmarks.load.requests import collect_request
from benchmarks.ports import free_port
from benchmarks.stack import Part, Stack, get, sandbox_stats, settled_stats, stack


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


def _fill(context: Context, gateway: Part, events: int, account: Account) -> None:
    """At least ``events`` in batches of fifty."""
    number = 0
    while account.acknowledged < events:
        make = collect_request("127.0.0.1", "/gw/e", f"o{number}", batch=50)
        driven = drive(gateway.port, make, gateway.pid, seconds=min(5.0, context.seconds(5)), connections=8, warm_up_s=0)
        if not driven.result.ok:
            raise RuntimeError(f"collecting failed: {driven.result.statuses}")
        account.sent(driven.result, 50)
        number += 1
        context.say(f"P5: {account.acknowledged:,} spooled, {machine.rss_mib(gateway.pid):.0f} MiB")


def _drain(gateway: Part, sandbox: Part, account: Account) -> tuple[float, float, Driven, dict[str, float]]:
    """(events that arrived, in how many seconds, what was collected beside it, shares of the load core)."""
    first = sandbox_stats(sandbox.port)["unique"]
    before, begin = _load_core_s(sandbox), time.perf_counter()
    beside = drive(
        gateway.port,
        collect_request("127.0.0.1", "/gw/e", "beside"),
        gateway.pid,
        seconds=min(20.0, max(2.0, account.acknowledged / 30_000)),
        rate=500,
        warm_up_s=0,
    )
    account.sent(beside.result)
    while True:
        unique = sandbox_stats(sandbox.port)["unique"]
        seconds = time.perf_counter() - begin
        if unique >= account.acknowledged or seconds > 120:
            break
        time.sleep(0.1)
    used = [(after - earlier) / seconds for after, earlier in zip(_load_core_s(sandbox), before, strict=True)]
    return unique - first, seconds, beside, headroom.share(*used)


def _load_core_s(sandbox: Part) -> list[float]:
    """Seconds of the load core so far: generator, sandbox, nobody."""
    return [time.process_time(), machine.cpu_s(sandbox.pid), machine.idle_s(machine.load_core())]


def run(context: Context) -> Measured:
    """Fill the spool while TikTok cannot be reached, restart, then let it drain while events keep coming."""
    events = 60_000 if context.quick else 1_000_000
    starts: list[float] = []
    idle: list[float] = []
    loaded: list[float] = []
    account = Account()
    with stack(context.folder / "outage") as parts:
        nobody = free_port()
        for index in range(context.repeats):
            name = f"idle{index}"
            gateway, seconds = _start_s(parts, nobody, name)
            starts.append(seconds)
            time.sleep(1)
            idle.append(machine.rss_mib(gateway.pid))
            if index < context.repeats - 1:
                gateway.stop(signal.SIGKILL)
        context.say(f"P5: spooling {events:,} events with TikTok down")
        _fill(context, gateway, events, account)
        spooled = account.acknowledged
        full = machine.rss_mib(gateway.pid)
        sandbox = parts.sandbox()
        request = urllib.request.Request(
            f"http://127.0.0.1:{sandbox.port}/sandbox/faults",
            data=b'{"latency_ms": 200}',
            method="PUT",
            headers={"Content-Type": "application/json"},
        )
        urllib.request.urlopen(request, timeout=5).close()
        for left in reversed(range(context.repeats)):
            gateway.stop(signal.SIGKILL)
            context.say(f"P8 run {context.repeats - left}/{context.repeats}: starting with {spooled:,} records")
            gateway, seconds = _start_s(parts, nobody if left else sandbox.port, name)
            loaded.append(seconds)
        context.say("P7: draining while collecting 500/s")
        arrived, seconds, beside, used = _drain(gateway, sandbox, account)
        account.settle(settled_stats(sandbox.port, account.acknowledged))
    size = {"events": spooled}
    return [
        Figure("P5/idle", "memory, idle", "MiB", idle, 90, 60, False),
        Figure(
            "P5/spooled", f"memory with {spooled:,} events spooled, TikTok down", "MiB", [full], 200, 120, False, notes=dict(size)
        ),
        Figure(
            "P7",
            "drain after an outage while collecting 500/s, TikTok answering after 200 ms",
            "events/s",
            [arrived / seconds],
            10_000,
            25_000,
            True,
            notes={
                **size,
                "seconds": round(seconds, 1),
                "collect_p99_ms_beside": beside.result.percentiles_ms().get("p99"),
                "load_core": used,
            },
        ),
        Figure("P8/empty", "start to ready, empty spool", "s", starts, 1.5, 0.7, False),
        Figure(
            "P8/loaded", f"start to ready with {spooled:,} records after kill -9", "s", loaded, 3.0, 1.0, False, notes=dict(size)
        ),
    ], account
