"""P3: pass-through, CPU per request beside nginx ``proxy_pass`` and a straightforward aiohttp proxy, 1 kB and 32 kB."""

import shutil
import statistics

from benchmarks.account import Measured
from benchmarks.drive import drive
from benchmarks.figure import Context, Figure
from benchmarks.load.requests import get_request
from benchmarks.machine import load_core
from benchmarks.stack import stack

_LIMITS = {"1k": (2.5, 1.5), "32k": (1.5, 1.1)}


def run(context: Context) -> Measured:
    """Two figures, judged by the ratio to nginx in the same run; without nginx there is no figure."""
    if not (shutil.which("nginx") or shutil.which("/usr/sbin/nginx")):
        context.say("P3 skipped: nginx is not installed (apt-get install nginx)")
        return [], None
    figures = []
    seconds = context.seconds(5)
    with stack(context.folder / "proxy") as parts:
        origin = parts.baseline("origin", core=load_core())
        sandbox = parts.sandbox()
        gateway = parts.gateway(sandbox.port, upstream=f"http://127.0.0.1:{origin.port}")
        nginx = parts.nginx(origin.port)
        plain = parts.baseline("aiohttp_proxy", f"http://127.0.0.1:{origin.port}")
        for size, (floor, goal) in _LIMITS.items():
            ours: list[float] = []
            theirs: list[float] = []
            ratios: list[float] = []
            straightforward: list[float] = []
            for index in range(context.repeats):
                context.say(f"P3 {size} run {index + 1}/{context.repeats}: nginx, gateway, aiohttp proxy, {seconds:.0f} s each")
                make = get_request("127.0.0.1", f"/{size}")
                theirs.append(drive(nginx.port, make, nginx.pid, seconds=seconds).cpu_us)
                ours.append(drive(gateway.port, make, gateway.pid, seconds=seconds).cpu_us)
                straightforward.append(drive(plain.port, make, plain.pid, seconds=seconds).cpu_us)
                ratios.append(ours[-1] / theirs[-1])
            figures.append(
                Figure(
                    f"P3/{size}",
                    f"pass-through of {size}: CPU ÷ nginx proxy_pass",
                    "CPU-µs/request",
                    ours,
                    floor,
                    goal,
                    False,
                    baseline=statistics.median(theirs),
                    ratio=statistics.median(ratios),
                    notes={"straightforward_aiohttp_proxy_cpu_us": round(statistics.median(straightforward), 1)},
                )
            )
    return figures, None
