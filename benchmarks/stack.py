"""Starts what a scenario needs – gateway, TikTok sandbox, origin, baselines – as pinned processes on free ports (io).

Law: every part is the real product or the real peer, started by its own command line; everything is stopped on exit.
"""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.ports import free_port

_CONFIG = """\
version: 1
edge:
  listen: 127.0.0.1:{edge}
  {upstream}
  prefix: /gw
  client_ip: {{trusted_proxies: [loopback], header: X-Forwarded-For}}
ops: {{listen: 127.0.0.1:{ops}}}
spool: {{kind: sqlite, path: {state}/spool, max_bytes: 4GiB}}
consent: {{default: deny}}
delivery: {{endpoint: "http://127.0.0.1:{tiktok}/open_api/v1.3/event/track/"}}
pipelines:
  - {{id: shop, key: dk_bench, domains: [], integrations: [tiktok], default_region: GB, rate_limit: 1000000, bots: drop}}
integrations:
  - {{id: tiktok, vendor: tiktok-events-api, name: TikTok, preset: retail, pixel_code: C4ABCDEF1234567890AB, access_token: bench, consent: [marketing]}}
"""

_ADMIN = "admin: {{listen: 127.0.0.1:{port}, tokens: [{{name: bench, role: viewer, token: {token}}}]}}\n"
ADMIN_TOKEN = "viewer-token-of-the-benchmark"


INTERPRETER = [sys.executable]
"""What runs gateway and sandbox: this interpreter with the tree's own sources, or another one with an installed build (``--python``)."""


def use(python: str) -> None:
    """Measure the build that is installed for ``python``; -P keeps this tree's sources out of its way."""
    INTERPRETER[:] = [python, "-P"]


def build() -> str:
    """``compiled`` or ``interpreted``: what :data:`INTERPRETER` runs."""
    script = "import gateway.event.fields as m; print('interpreted' if m.__file__.endswith('.py') else 'compiled')"
    return subprocess.run([*INTERPRETER, "-c", script], check=True, capture_output=True, text=True).stdout.strip()


def get(url: str, timeout_s: float = 5.0) -> bytes:
    """The body of a loopback URL."""
    with urllib.request.urlopen(url, timeout=timeout_s) as answer:
        return bytes(answer.read())


@dataclass(slots=True)
class Part:
    """One started process."""

    name: str
    process: subprocess.Popen[bytes]
    port: int

    @property
    def pid(self) -> int:
        """Its process id."""
        return self.process.pid

    def stop(self, how: signal.Signals = signal.SIGTERM, timeout_s: float = 60.0) -> None:
        """Send a signal and wait; SIGKILL if it does not go."""
        if self.process.poll() is None:
            self.process.send_signal(how)
            try:
                self.process.wait(timeout_s)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


@dataclass(slots=True)
class Stack:
    """The parts of one scenario and where they write."""

    state: Path
    parts: list[Part] = field(default_factory=list)

    def start(self, name: str, command: list[str], port: int, *, core: int) -> Part:
        """Start ``command`` on ``core`` and wait until ``port`` accepts."""
        log = (self.state / f"{name}.log").open("ab")
        process = subprocess.Popen(command, stdout=log, stderr=log, stdin=subprocess.DEVNULL, start_new_session=True)
        os.sched_setaffinity(process.pid, {core})  # before it has threads, which inherit it
        part = Part(name, process, port)
        self.parts.append(part)
        self.wait_for_port(part)
        return part

    def wait_for_port(self, part: Part, timeout_s: float = 20.0) -> None:
        """Until the part accepts connections; RuntimeError with its log's end if it does not."""
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", part.port), 0.2):
                return
            if part.process.poll() is not None:
                break
            time.sleep(0.01)
        tail = (self.state / f"{part.name}.log").read_text(errors="replace")[-2000:]
        raise RuntimeError(f"{part.name} did not start listening on {part.port}:\n{tail}")

    def sandbox(self) -> Part:
        """TikTok's stand-in in its fast mode, on the load core."""
        port = free_port()
        command = [*INTERPRETER, "-m", "gateway", "sandbox", "--listen", f"127.0.0.1:{port}", "--fast"]
        return self.start("sandbox", command, port, core=machine.load_core())

    def gateway(
        self,
        tiktok_port: int,
        *,
        upstream: str = "",
        name: str = "gateway",
        admin: bool = False,
        interpreter: list[str] | None = None,
    ) -> Part:
        """The gateway on the server core; its ops port is :meth:`ops_port`, and :meth:`admin_port` where ``admin`` asks for it.

        ``interpreter`` runs it instead of :data:`INTERPRETER`.
        """
        edge, ops = free_port(), free_port()
        config = self.state / f"{name}.yaml"
        line = f"upstream: {upstream}" if upstream else "# no upstream"
        text = _CONFIG.format(edge=edge, ops=ops, state=self.state / f"{name}.state", tiktok=tiktok_port, upstream=line)
        if admin:
            port = free_port()
            text += _ADMIN.format(port=port, token=ADMIN_TOKEN)
            (self.state / f"{name}.admin").write_text(str(port))
        config.write_text(text)
        (self.state / f"{name}.ops").write_text(str(ops))
        command = [*(interpreter or INTERPRETER), "-m", "gateway", "run", "-c", str(config)]
        return self.start(name, command, edge, core=machine.server_core())

    def ops_port(self, name: str = "gateway") -> int:
        """The ops listener's port of a gateway started here."""
        return int((self.state / f"{name}.ops").read_text())

    def admin_port(self, name: str) -> int:
        """The management listener's port of a gateway started here with one."""
        return int((self.state / f"{name}.admin").read_text())

    def baseline(self, module: str, *arguments: str, core: int | None = None) -> Part:
        """A baseline of ``benchmarks.baselines`` by its module name."""
        port = free_port()
        command = [sys.executable, "-m", f"benchmarks.baselines.{module}", str(port), *arguments]
        return self.start(module, command, port, core=machine.server_core() if core is None else core)

    def nginx(self, upstream_port: int) -> Part:
        """nginx ``proxy_pass`` with keep-alive upstream connections, one worker on the server core."""
        port = free_port()
        prefix = self.state / "nginx"
        prefix.mkdir(exist_ok=True)
        (prefix / "nginx.conf").write_text(
            f"daemon off; worker_processes 1; pid {prefix}/pid; error_log {prefix}/error.log;\n"
            "events { worker_connections 4096; }\n"
            f"http {{ access_log off; client_body_temp_path {prefix}/b; proxy_temp_path {prefix}/p; fastcgi_temp_path {prefix}/f;\n"
            f"  uwsgi_temp_path {prefix}/u; scgi_temp_path {prefix}/s; keepalive_requests 1000000;\n"
            f"  upstream app {{ server 127.0.0.1:{upstream_port}; keepalive 128; keepalive_requests 1000000; }}\n"
            f"  server {{ listen 127.0.0.1:{port}; location / {{ proxy_pass http://app; proxy_http_version 1.1; proxy_set_header Connection ''; "
            "proxy_set_header Host $host; proxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for; } }\n}\n"
        )
        return self.start(
            "nginx", ["nginx", "-p", str(prefix), "-c", str(prefix / "nginx.conf")], port, core=machine.server_core()
        )

    def close(self) -> None:
        """Stop everything, last started first."""
        for part in reversed(self.parts):
            part.stop(timeout_s=10.0)
        self.parts.clear()


@contextlib.contextmanager
def stack(state: Path) -> Iterator[Stack]:
    """A stack that is gone at the end of the block, however it ends."""
    state.mkdir(parents=True, exist_ok=True)
    parts = Stack(state)
    try:
        yield parts
    finally:
        parts.close()


def sandbox_stats(port: int) -> dict[str, Any]:
    """The sandbox's counts (requests, events, accepted, unique, duplicates)."""
    stats: dict[str, Any] = json.loads(get(f"http://127.0.0.1:{port}/sandbox/stats"))
    return stats


def settled_stats(port: int, unique: int) -> dict[str, Any]:
    """The sandbox's counts once everything has arrived, and a second later: a repetition comes after its first."""
    wait_delivered(port, unique)
    time.sleep(1)
    return sandbox_stats(port)


def wait_delivered(port: int, unique: int, timeout_s: float = 60.0) -> dict[str, Any]:
    """Wait until the sandbox has seen ``unique`` different events, or nothing more has come for five seconds."""
    deadline = time.monotonic() + timeout_s
    last, last_at = -1, time.monotonic()
    while True:
        stats = sandbox_stats(port)
        now = time.monotonic()
        if stats["unique"] != last:
            last, last_at = stats["unique"], now
        if stats["unique"] >= unique or now > deadline or now - last_at > 5:
            return stats
        time.sleep(0.05)
