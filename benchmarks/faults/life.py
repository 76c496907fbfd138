"""One gateway with everything it needs, which can be ended and started again on the same state (io)."""

import asyncio
import re
import shutil
import sys
import time
import urllib.request
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import apsw

from benchmarks.ports import free_port

_CONFIG = """\
version: 1
edge: {{listen: "127.0.0.1:{edge}"{upstream}}}
ops: {{listen: "127.0.0.1:{ops}"}}
spool: {{path: "{state}/spool", max_bytes: {max_bytes}{spool}}}
delivery: {{endpoint: "http://127.0.0.1:{tiktok}/open_api/v1.3/event/track/", linger: 50ms{delivery}}}
drain: {{delay: 0s, grace: 20s}}
pipelines:
  - {{id: shop, key: dk_faults, integrations: [tiktok], default_region: GB, rate_limit: 10000000}}
integrations:
  - {{id: tiktok, pixel_code: C4ABCDEF1234567890AB, access_token: faults}}
"""
_FATE = re.compile(r'^ttgateway_spool_fates\{integration="[^"]*",outcome="([^"]+)",reason="[^"]*"\} (\S+)$', re.MULTILINE)
_QUEUED = re.compile(r"^ttgateway_spool_records\{[^}]*\} (\S+)$", re.MULTILINE)
_REQUESTS = re.compile(r"^ttgateway_delivery_requests_total\{[^}]*\} (\S+)$", re.MULTILINE)


@dataclass(slots=True)
class Life:
    """One gateway on ``state``."""

    state: Path
    tiktok: int
    upstream: int = 0
    max_bytes: str = "4GiB"
    delivery: str = ""
    """More of the section."""
    engine: str = ""
    """More of the section ``spool``."""
    role: str = "all"
    edge: int = field(default_factory=free_port)
    ops: int = field(default_factory=free_port)
    process: asyncio.subprocess.Process | None = None

    @property
    def spool(self) -> Path:
        """The spool's directory."""
        return self.state / "spool"

    @property
    def log(self) -> Path:
        """Its log, over all lives."""
        return self.state / "gateway.log"

    async def start(self, patience_s: float = 90.0) -> float:
        """Start it; the seconds until it was ready. RuntimeError with the log's end if it does not become so."""
        upstream = f', upstream: "http://127.0.0.1:{self.upstream}"' if self.upstream else ""
        config = self.state / "gateway.yaml"
        config.write_text(
            _CONFIG.format(
                edge=self.edge,
                ops=self.ops,
                state=self.state,
                tiktok=self.tiktok,
                upstream=upstream,
                max_bytes=self.max_bytes,
                spool=f", {self.engine}" if self.engine else "",
                delivery=f", {self.delivery}" if self.delivery else "",
            )
        )
        begin = time.monotonic()
        with self.log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "run", "-c", str(config), "--role", self.role, stdout=log, stderr=log
            )
        while time.monotonic() - begin < patience_s and self.process.returncode is None:
            try:
                if await asyncio.to_thread(self._get, "/readyz"):
                    return time.monotonic() - begin
            except OSError:
                await asyncio.sleep(0.02)
        raise RuntimeError(f"not ready after {patience_s} s:\n{self.log.read_text()[-3000:]}")

    async def kill(self) -> None:
        """End it as the kernel would."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()

    def _get(self, path: str) -> str:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ops}{path}", timeout=5) as answer:
            text: str = answer.read().decode()
            return text

    async def metrics(self) -> str:
        """The metrics as text."""
        return await asyncio.to_thread(self._get, "/metrics")

    def rss_mib(self) -> float:
        """Resident memory."""
        assert self.process is not None
        for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) / 1024
        return 0.0


def missing(metrics: str) -> int:
    """Accepted records that the metrics show in no fate and in no queue: 0, at any moment."""
    fates: Counter[str] = Counter()
    for outcome, n in _FATE.findall(metrics):
        fates[outcome] += int(float(n))
    accepted = fates.pop("accepted", 0)
    return accepted - fates.total() - queued(metrics)


def queued(metrics: str) -> int:
    """Records that wait, leased ones included."""
    return sum(int(float(n)) for n in _QUEUED.findall(metrics))


def requests(metrics: str) -> int:
    """Requests to TikTok so far."""
    return sum(int(float(n)) for n in _REQUESTS.findall(metrics))


def missing_in_files(spool: Path, aside: Path) -> int:
    """The same from a copy of a dead gateway's files, whose integrity is checked on the way. RuntimeError if that is broken."""
    shutil.rmtree(aside, ignore_errors=True)
    aside.mkdir()
    for name in ("spool.db", "spool.db-wal"):
        if (spool / name).exists():
            shutil.copy(spool / name, aside / name)
    connection = apsw.Connection(str(aside / "spool.db"))
    try:
        if (found := connection.execute("PRAGMA integrity_check").fetchall()) != [("ok",)]:
            raise RuntimeError(f"integrity check: {found[:3]}")
        (totals,) = one(
            connection, "SELECT coalesce(sum(CASE outcome WHEN 'accepted' THEN n ELSE -n END), 0) FROM total WHERE lane <> ''"
        )
        (stored,) = one(connection, "SELECT coalesce(sum(count), 0) FROM segment")
        (letters,) = one(connection, "SELECT count(*) FROM dead")
        (dead,) = one(connection, "SELECT coalesce(sum(n), 0) FROM total WHERE outcome = 'dead'")
        gone = sum(int(mask).bit_count() for (mask,) in connection.execute("SELECT mask FROM gone"))
    finally:
        connection.close()
    return abs(totals - stored + gone) + abs(letters - dead)


def one(connection: apsw.Connection, sql: str) -> tuple[int, ...]:
    """The only row of a query."""
    row = connection.execute(sql).fetchone()
    assert row is not None
    return tuple(int(value) for value in row)
