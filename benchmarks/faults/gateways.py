"""Gateways as processes, for runs that signal, starve or crowd them (io).

Law: the real command with a real configuration; every process is ended on the way out, whatever happened.
"""

import asyncio
import contextlib
import os
import resource
import signal
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.ports import free_port

_CONFIG = """\
version: 1
edge: {{listen: "127.0.0.1:{port}", reuse_port: true, upstream: "{upstream}", {edge}}}
ops: {{listen: "127.0.0.1:{ops}"}}
spool: {{path: "{spool}", max_bytes: 64MiB}}
drain: {{{drain}}}
"""
_START_S = 60.0


@dataclass(slots=True)
class Gateway:
    """One gateway; may be started again after it ended."""

    name: str
    port: int
    upstream: str
    state: Path
    edge: str = "prefix: /gw"
    drain: str = "delay: 1s, grace: 20s"
    files: int = 0
    """The process's limit of open files; 0 = as inherited."""
    core: int | None = None
    """The processor it is pinned to, if any."""
    ops: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def log(self) -> Path:
        """Its log."""
        return self.state / f"{self.name}.log"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    async def start(self) -> None:
        """Start it and wait until it is ready; RuntimeError with the log's end if it does not become so."""
        config = self.state / f"{self.name}.yaml"
        config.write_text(
            _CONFIG.format(
                port=self.port,
                upstream=self.upstream,
                edge=self.edge,
                ops=self.ops,
                spool=self.state / self.name,
                drain=self.drain,
            )
        )
        limit: Callable[[], None] | None = None
        if self.files:
            files = self.files

            def limit() -> None:
                resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))

        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "run", "-c", str(config), stdout=log, stderr=log, preexec_fn=limit
            )
        if self.core is not None:
            os.sched_setaffinity(self.process.pid, {self.core})  # before it has threads, which inherit it
        deadline = time.monotonic() + _START_S
        while time.monotonic() < deadline and self.process.returncode is None:
            if await asyncio.to_thread(_ready, self.ops):
                return
            await asyncio.sleep(0.05)
        raise RuntimeError(f"{self.name} did not become ready:\n{self.log.read_text()[-2000:]}")

    async def stop(self, how: signal.Signals = signal.SIGTERM) -> int:
        """Signal it and wait for its exit code."""
        assert self.process is not None
        if self.process.returncode is None:
            self.process.send_signal(how)
        return await self.process.wait()

    def metrics(self) -> dict[str, float]:
        """The edge's own counts, from /metrics."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ops}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        found = {}
        for line in lines:
            if line.startswith("ttgateway_edge{"):
                name, _, value = line.partition("} ")
                found[name.split('"')[1]] = float(value)
        return found

    def alive(self) -> bool:
        """Whether ``/livez`` answers."""
        return _answers(self.ops, "livez")

    def files_open(self) -> int:
        """Descriptors that the process has open."""
        return len(os.listdir(f"/proc/{self.pid}/fd"))  # noqa: PTH208 - names only, thousands of them

    def kill(self) -> None:
        """End it at once."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()


def _ready(port: int) -> bool:
    return _answers(port, "readyz")


def _answers(port: int, path: str) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/{path}", timeout=1) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False


@asynccontextmanager
async def gateways(*names: str, upstream: str, port: int = 0, **more: object) -> AsyncIterator[list[Gateway]]:
    """Gateways that share one port, running."""
    with tempfile.TemporaryDirectory(prefix="ttgateway-faults-") as folder:
        shared = port or free_port()
        made = [Gateway(name, shared, upstream, Path(folder), **more) for name in names]  # type: ignore[arg-type]
        try:
            for each in made:
                await each.start()
            yield made
        finally:
            for each in made:
                each.kill()
                if each.process is not None:
                    with contextlib.suppress(ProcessLookupError):
                        await each.process.wait()
