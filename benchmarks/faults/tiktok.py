"""TikTok's side: ``python -m benchmarks.faults.tiktok [row …] [--events 50] [--times 3]`` (io).

A whole gateway against a peer that answers a number of requests in each of the ways of the threat list and then behaves. End state of
every row: all events arrived, none died, nothing is unaccounted for, memory and the token stayed where they are.
"""

import argparse
import asyncio
import gzip
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import orjson

from benchmarks.faults.kill import event
from benchmarks.faults.life import Life, missing, queued
from benchmarks.ports import free_port

_PATIENCE_S = 40.0
_TIMEOUT_S = 3.0
_TURNS = 5
"""Of the loop, until whoever was accepted last is being answered."""
_AGENT = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/142.0.0.0 Safari/537.36"
_OK = b'{"code":0,"message":"OK","request_id":"0","data":{}}'
_MIB = 1 << 20

Row = Callable[["Peer", asyncio.StreamWriter, bytes], Awaitable[None]]


def _answer(status: str, body: bytes, *lines: str) -> bytes:
    head = "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *lines))
    return head.encode() + b"\r\n" + body


def _says(status: str, body: bytes, *lines: str) -> Row:
    async def row(_peer: "Peer", writer: asyncio.StreamWriter, _body: bytes) -> None:
        writer.write(_answer(status, body, *lines))
        await writer.drain()

    return row


async def _reset_in_the_middle(_peer: "Peer", writer: asyncio.StreamWriter, _body: bytes) -> None:
    writer.write(_answer("200 OK", _OK)[:-20])
    await writer.drain()
    writer.transport.abort()


async def _silence(_peer: "Peer", _writer: asyncio.StreamWriter, _body: bytes) -> None:
    await asyncio.sleep(_TIMEOUT_S + 0.5)


async def _after_processing(peer: "Peer", _writer: asyncio.StreamWriter, body: bytes) -> None:
    peer.take(body)
    await asyncio.sleep(_TIMEOUT_S + 0.5)


async def _byte_by_byte(_peer: "Peer", writer: asyncio.StreamWriter, _body: bytes) -> None:
    for byte in _answer("200 OK", _OK):
        writer.write(bytes([byte]))
        await writer.drain()
        await asyncio.sleep(0.1)


async def _redirect(peer: "Peer", writer: asyncio.StreamWriter, _body: bytes) -> None:
    writer.write(_answer("307 Temporary Redirect", b"", f"Location: http://127.0.0.1:{peer.elsewhere}/"))
    await writer.drain()


async def _endless(peer: "Peer", writer: asyncio.StreamWriter, _body: bytes) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 104857600\r\n\r\n")
    for _ in range(1600):
        writer.write(b"x" * 65536)
        await writer.drain()
        peer.answered_bytes += 65536


_BOMB = gzip.compress(bytes(64 * _MIB))

ROWS: dict[str, Row] = {
    "429": _says("429 Too Many Requests", b""),
    "429-retry-after": _says("429 Too Many Requests", b"", "Retry-After: 1"),
    "500": _says("500 Internal Server Error", b"oops"),
    "503-html": _says("503 Service Unavailable", b"<html>busy</html>", "Content-Type: text/html"),
    "401-html": _says("401 Unauthorized", b"<html>who?</html>", "Content-Type: text/html"),
    "403": _says("403 Forbidden", b""),
    "404": _says("404 Not Found", b""),
    "html-with-200": _says("200 OK", b"<html>please wait</html>", "Content-Type: text/html"),
    "broken-json": _says("200 OK", b'{"code":0,"mess'),
    "code-50000-with-200": _says("200 OK", b'{"code":50000,"message":"internal"}'),
    "code-40100": _says("200 OK", b'{"code":40100,"message":"Too many requests"}'),
    "token-revoked": _says("401 Unauthorized", b'{"code":40105,"message":"Access token is incorrect or has been revoked"}'),
    "json-without-a-code": _says("200 OK", b"null"),
    "reset-in-the-middle": _reset_in_the_middle,
    "silence": _silence,
    "timeout-after-processing": _after_processing,
    "byte-by-byte": _byte_by_byte,
    "redirect": _redirect,
    "gzip-bomb": _says("200 OK", _BOMB, "Content-Encoding: gzip"),
    "100-mb-answer": _endless,
}


@dataclass(slots=True)
class Peer:
    """Stands for TikTok on one port; misbehaves ``left`` times."""

    port: int
    row: Row
    left: int
    elsewhere: int = field(default_factory=free_port)
    arrived: dict[str, int] = field(default_factory=dict)
    requests: int = 0
    answered_bytes: int = 0
    followed: int = 0
    """Requests that came where a redirect pointed to."""
    servers: list[asyncio.Server] = field(default_factory=list)
    open: dict[asyncio.Task[Any], asyncio.StreamWriter] = field(default_factory=dict)
    """Who answers on which connection."""

    async def serve(self) -> None:
        """Listen."""
        self.servers.append(await asyncio.start_server(self._connected, "127.0.0.1", self.port, limit=16 * _MIB))
        self.servers.append(await asyncio.start_server(self._strayed, "127.0.0.1", self.elsewhere))

    async def end(self) -> None:
        """Stop listening and end every connection, also where an answer is still being made: a loop that ends would leave them open."""
        for server in self.servers:
            server.close()
        for _ in range(_TURNS):
            await asyncio.sleep(0)
        while self.open:
            answering, writer = self.open.popitem()
            answering.cancel()
            writer.transport.abort()
            await asyncio.gather(answering, return_exceptions=True)
            with suppress(OSError):
                await writer.wait_closed()

    def take(self, body: bytes) -> None:
        """Process a batch."""
        for item in orjson.loads(body)["data"]:
            self.arrived[item["event_id"]] = self.arrived.get(item["event_id"], 0) + 1

    @contextmanager
    def _answering(self, writer: asyncio.StreamWriter) -> Iterator[None]:
        task = asyncio.current_task()
        assert task is not None
        self.open[task] = writer
        try:
            yield
        finally:
            writer.close()
            self.open.pop(task, None)

    async def _strayed(self, _reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._answering(writer):
            self.followed += 1

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with self._answering(writer), suppress(OSError, asyncio.IncompleteReadError):
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = int(head.partition(b"content-length:")[2].split(b"\r\n", 1)[0])
                body = await reader.readexactly(length)
                self.requests += 1
                if self.left:
                    self.left -= 1
                    await self.row(self, writer, body)
                    continue
                self.take(body)
                writer.write(_answer("200 OK", _OK))
                await writer.drain()


@dataclass(frozen=True, slots=True)
class Found:
    """How one row ended."""

    words: str
    fault: str


async def run(folder: Path, name: str, events: int, times: int) -> Found:
    """One row: ``times`` bad answers to the requests that carry ``events`` events."""
    peer = Peer(free_port(), ROWS[name], times)
    await peer.serve()
    life = Life(folder, peer.port, delivery=f"timeout: {_TIMEOUT_S}s, suspend_probe: 1s, in_flight: 2")
    try:
        await life.start()
        before = life.rss_mib()
        begin = time.monotonic()
        sent = {f"order-{n}" for n in range(events)}
        async with aiohttp.ClientSession() as session:
            for event_id in sorted(sent):
                url = f"http://127.0.0.1:{life.edge}/gw/e"
                async with session.post(url, json=event(event_id), headers={"User-Agent": _AGENT}) as answer:
                    if answer.status != 200:
                        return Found("", f"collecting was answered {answer.status}")
        most, unaccounted = before, 0
        while True:
            text = await life.metrics()
            unaccounted += abs(missing(text))
            most = max(most, life.rss_mib())
            if (sent <= peer.arrived.keys() and not queued(text)) or time.monotonic() > begin + _PATIENCE_S:
                break
            await asyncio.sleep(0.1)
        seconds = time.monotonic() - begin
    finally:
        await life.kill()
        await peer.end()
    repeated = sum(n > 1 for n in peer.arrived.values())
    words = f"{len(peer.arrived)} arrived after {seconds:.1f} s and {peer.requests} requests, {repeated} twice, memory +{most - before:.0f} MiB"
    faults = {
        "events are lost or wait for ever": bool(sent - peer.arrived.keys()) or queued(text) > 0,
        "strangers arrived": bool(peer.arrived.keys() - sent),
        "an event died": 'outcome="dead"' in text,
        "records are unaccounted for": unaccounted > 0,
        "the redirect was followed": peer.followed > 0,
        "sent twice without a reason": repeated > 0 and name != "timeout-after-processing",
        "the peer's faults were not met": peer.left > 0,
        "memory grew with the answer": most - before > 48,
        "too much of an answer was read": peer.answered_bytes > times * 16 * _MIB,
    }
    return Found(words, "; ".join(fault for fault, there in faults.items() if there))


async def _all(names: list[str], events: int, times: int) -> bool:
    sound = True
    for name in names or ROWS:
        with tempfile.TemporaryDirectory(prefix="ttgateway-tiktok-") as folder:
            found = await run(Path(folder), name, events, times)
        print(f"{name}: {found.words}{f': {found.fault}' if found.fault else ''}", flush=True)
        sound = sound and not found.fault
    return sound


def main() -> None:
    """Print a line for each row; exit 1 if one did not end as it must."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.tiktok", description="TikTok's side.")
    parser.add_argument("rows", nargs="*", metavar="row", help=f"of {', '.join(ROWS)}; all by default")
    parser.add_argument("--events", type=int, default=50)
    parser.add_argument("--times", "--rounds", type=int, default=3)
    args = parser.parse_args()
    if unknown := [name for name in args.rows if name not in ROWS]:
        parser.error(f"unknown: {', '.join(unknown)}")
    sys.exit(0 if asyncio.run(_all(args.rows, args.events, args.times)) else 1)


if __name__ == "__main__":
    main()
