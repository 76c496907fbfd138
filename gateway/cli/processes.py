"""The parts of the demo as child processes (io).

Law: every part is the real command in a process of its own; its output is prefixed with its name; when one ends unasked, all end; the gateway is stopped first, so
that what it holds can still be delivered.
"""

import contextlib
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.client import HTTPConnection, HTTPException
from typing import Self

import click

_START_S = 15.0
_STOP_S = 15.0


def free_port(wanted: int = 0) -> int:
    """``wanted`` if it is free on loopback, else any free one."""
    for port in (wanted, 0):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", port))
            return int(probe.getsockname()[1])
    raise OSError("no free port")


def is_free(port: int) -> bool:
    """Whether a listener can have ``port`` on loopback."""
    return free_port(port) == port


@dataclass(slots=True)
class Part:
    """One child."""

    name: str
    process: "subprocess.Popen[str]"
    port: int
    path: str


@dataclass(slots=True)
class Parts:
    """All children and whether the end was asked for."""

    environment: Mapping[str, str]
    ending: threading.Event = field(default_factory=threading.Event)
    _parts: list[Part] = field(default_factory=list)
    _readers: list[threading.Thread] = field(default_factory=list)

    def __enter__(self) -> Self:
        for name in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(name, lambda *_: self.ending.set())
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self, name: str, arguments: list[str], port: int, path: str) -> None:
        """Run ``ttgateway <arguments>``; it is up when ``GET path`` on ``port`` answers 200."""
        # a session of its own: Ctrl-C in the terminal reaches only this process, which ends the parts in their order
        process = subprocess.Popen(  # noqa: S603 - our own interpreter and command
            [sys.executable, "-m", "gateway", *arguments],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
            env=dict(self.environment),
        )
        self._parts.append(Part(name, process, port, path))
        reader = threading.Thread(target=_relay, args=(name, process), daemon=True)
        reader.start()
        self._readers.append(reader)

    def wait_ready(self) -> bool:
        """Until every part answers; False if one ended, the end was asked for or it takes too long."""
        deadline = time.monotonic() + _START_S
        for part in self._parts:
            while not _answers(part):
                if part.process.poll() is not None or time.monotonic() > deadline or self.ending.wait(0.05):
                    return False
        return True

    def wait_ended(self) -> str:
        """Until the end is asked for ('' then) or a part ended by itself (its name)."""
        while not self.ending.wait(0.2):
            for part in self._parts:
                if part.process.poll() is not None:
                    return part.name
        return ""

    def stop(self) -> None:
        """Stop all, last started first."""
        for part in reversed(self._parts):
            if part.process.poll() is None:
                part.process.terminate()
                try:
                    part.process.wait(_STOP_S)
                except subprocess.TimeoutExpired:
                    part.process.kill()
                    part.process.wait()
        for reader in self._readers:
            reader.join(1.0)
        self._parts.clear()


def _answers(part: Part) -> bool:
    connection = HTTPConnection("127.0.0.1", part.port, timeout=1.0)
    try:
        connection.request("GET", part.path)
        return connection.getresponse().status == 200
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def _relay(name: str, process: "subprocess.Popen[str]") -> None:
    for line in process.stdout or ():
        click.echo(f"{name:>7} | {line.rstrip()}")
