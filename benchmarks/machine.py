"""The machine: pinning, CPU and memory of processes from /proc, its description, its fsync time (io)."""

import os
import platform
import sqlite3
import statistics
import subprocess
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

_TICK_S = 1 / os.sysconf("SC_CLK_TCK")
_CORES = sorted(os.sched_getaffinity(0))  # before this process is pinned itself


def cores() -> list[int]:
    """The processors this process may use."""
    return _CORES


def server_core() -> int:
    """The processor the measured server is pinned to."""
    return cores()[0]


def load_core() -> int:
    """The processor for everything else: generator, origin, TikTok's stand-in. The same one if there is no second."""
    return cores()[-1]


def cpu_s(pid: int) -> float:
    """User + system seconds of ``pid`` and its children that are still there, all threads."""
    total = 0.0
    for process in [pid, *_children(pid)]:
        try:
            fields = Path(f"/proc/{process}/stat").read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        total += (int(fields[11]) + int(fields[12])) * _TICK_S
    return total


def idle_s(core: int) -> float:
    """Seconds since the start that ``core`` had nothing to compute, whoever might have asked it to."""
    for line in Path("/proc/stat").read_text().splitlines():
        name, *fields = line.split()
        if name == f"cpu{core}":
            return (int(fields[3]) + int(fields[4])) * _TICK_S  # idle and waiting for a disk
    return 0.0


def _children(pid: int) -> list[int]:
    try:
        found = [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []
    return found + [grandchild for child in found for grandchild in _children(child)]


def rss_mib(pid: int) -> float:
    """Resident set of ``pid`` in MiB."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    return 0.0


def fsync_ms(folder: Path) -> float:
    """Median time of write + fdatasync of 4 KiB in ``folder``: a slow disk must not hide behind the figures."""
    times = []
    with tempfile.NamedTemporaryFile(dir=folder) as file:
        for _ in range(50):
            begin = time.perf_counter()
            os.pwrite(file.fileno(), b"x" * 4096, 0)
            os.fdatasync(file.fileno())
            times.append(time.perf_counter() - begin)
    return statistics.median(times) * 1e3


def describe(folder: Path) -> dict[str, object]:
    """What a reader needs to place the figures."""
    model = next(
        (
            line.split(":", 1)[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    nginx = (
        subprocess.run(["nginx", "-v"], capture_output=True, text=True, check=False).stderr.strip()
        if _has("nginx")
        else "not installed"
    )
    return {
        "cpu": model,
        "cores": len(cores()),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1),
        "kernel": platform.release(),
        "python": platform.python_version(),
        "aiohttp": version("aiohttp"),
        "uvloop": version("uvloop"),
        "orjson": version("orjson"),
        "apsw": version("apsw"),
        "sqlite_of_python": sqlite3.sqlite_version,
        "nginx": nginx.removeprefix("nginx version: "),
        "fsync_ms": round(fsync_ms(folder), 3),
    }


def _has(tool: str) -> bool:
    return any(Path(folder, tool).exists() for folder in [*os.environ["PATH"].split(":"), "/usr/sbin"])
