"""NATS servers as processes: one alone, or several as a cluster (io).

Law: real servers on loopback with a configuration file of their own; each can be killed as the kernel would, and started again on what it had stored.
"""

import asyncio
import shutil
import socket
import sys
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import nats.errors
import orjson
from nats.aio.client import Client

from benchmarks.ports import free_port

_START_S = 20.0


@dataclass(slots=True)
class Server:
    """One server; what it stores is below ``folder``."""

    folder: Path
    port: int = field(default_factory=free_port)
    sync_interval: str = ""
    """``always`` = every acknowledgement is an fsync; empty = the server's default of two minutes."""
    name: str = ""
    cluster: list[int] = field(default_factory=list)
    """The ports by which the servers of a cluster know each other, this one's first."""
    more: str = ""
    """More of the configuration."""
    process: asyncio.subprocess.Process | None = None

    @property
    def url(self) -> str:
        """Where clients connect."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        """Its process id."""
        assert self.process is not None
        return self.process.pid

    def _configuration(self) -> str:
        sync = f", sync_interval: {self.sync_interval}" if self.sync_interval else ""
        text = f'listen: "127.0.0.1:{self.port}"\njetstream {{store_dir: "{self.folder}/store"{sync}}}\n{self.more}\n'
        if self.cluster:
            routes = ", ".join(f'"nats://127.0.0.1:{port}"' for port in self.cluster[1:])
            text += f'server_name: {self.name}\ncluster {{name: ttgateway, listen: "127.0.0.1:{self.cluster[0]}", routes: [{routes}]}}\n'
        return text

    async def start(self, core: int | None = None) -> None:
        """Start it; it listens when this returns, and may still be recovering or electing."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "server.conf"
        config.write_text(self._configuration())
        beside = Path(sys.executable).parent / "nats-server"
        program = str(beside) if beside.exists() else shutil.which("nats-server") or "nats-server"
        command = [program, "-c", str(config)] if core is None else ["taskset", "-c", str(core), program, "-c", str(config)]
        with (self.folder / "server.log").open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(*command, stdout=log, stderr=log)
        deadline = time.monotonic() + _START_S
        while not await asyncio.to_thread(self._listens):
            if self.process.returncode is not None or time.monotonic() > deadline:
                raise RuntimeError(f"nats-server does not listen:\n{(self.folder / 'server.log').read_text()[-2000:]}")
            await asyncio.sleep(0.02)

    def _listens(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                return connection.recv(4) == b"INFO"
        except OSError:
            return False

    async def kill(self) -> None:
        """End it as the kernel would."""
        if self.process is not None and self.process.returncode is None:
            self.process.kill()
            await self.process.wait()


class Cluster:
    """Three servers that replicate among themselves."""

    def __init__(self, folder: Path, *, sync_interval: str = "", size: int = 3) -> None:
        ports = [free_port() for _ in range(size)]
        self.servers = [
            Server(
                folder / f"n{n}",
                sync_interval=sync_interval,
                name=f"n{n}",
                cluster=[ports[n], *(port for port in ports if port != ports[n])],
            )
            for n in range(size)
        ]

    @property
    def url(self) -> str:
        """All of them, as ``spool.url`` wants it."""
        return ",".join(server.url for server in self.servers)

    async def start(self) -> None:
        """All of them, and a leader for what is to be created."""
        await asyncio.gather(*(server.start() for server in self.servers))
        await self.settled()

    async def ask(self, call: str) -> dict[str, object]:
        """The answer to one call of the broker's own interface; ``error`` in it, or an empty answer, while nobody leads."""
        client = Client()
        try:
            await client.connect(
                [server.url for server in self.servers], allow_reconnect=False, connect_timeout=1, error_cb=_quiet
            )
            answer: dict[str, object] = orjson.loads((await client.request(f"$JS.API.{call}", b"", timeout=2)).data)
            return answer
        except (OSError, TimeoutError, nats.errors.Error):
            return {}
        finally:
            with suppress(OSError, RuntimeError, TimeoutError, nats.errors.Error):
                await client.close()  # also what was connected and never greeted

    async def settled(self, stream: str = "", patience_s: float = 40.0) -> None:
        """There is a leader, and of ``stream`` every replica is up to date."""
        deadline = time.monotonic() + patience_s
        while time.monotonic() < deadline:
            found = await self.ask(f"STREAM.INFO.{stream}" if stream else "INFO")
            if found and "error" not in found and (not stream or _current(found)):
                return
            await asyncio.sleep(0.1)
        raise RuntimeError(f"no cluster after {patience_s} s: {found}")

    async def leader(self, stream: str) -> Server:
        """Who leads ``stream``."""
        await self.settled(stream)
        found = await self.ask(f"STREAM.INFO.{stream}")
        cluster = found.get("cluster")
        assert isinstance(cluster, dict)
        return next(server for server in self.servers if server.name == cluster["leader"])

    async def kill(self) -> None:
        """All of them, at once."""
        await asyncio.gather(*(server.kill() for server in self.servers))


async def _quiet(_error: Exception) -> None:
    """A server that is away is what these runs are about."""


def _current(info: dict[str, object]) -> bool:
    cluster = info.get("cluster")
    return (
        isinstance(cluster, dict)
        and bool(cluster.get("leader"))
        and all(each["current"] for each in cluster.get("replicas") or [])
    )
