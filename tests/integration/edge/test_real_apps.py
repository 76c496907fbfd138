"""The servers that people run, behind the gateway: they read every request as the gateway does, or the gateway refuses it."""

import asyncio
import contextlib
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from edge_wire import Edge, edge
from ports import free_port
from smuggling import READ, REFUSED

HERE = Path(__file__).resolve().parents[2] / "doubles"
CANARY = b"GET /canary HTTP/1.1\r\nHost: shop.example\r\nConnection: close\r\n\r\n"
MODULE = [sys.executable, "-m"]
NGINX = """\
daemon off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 64; }}
http {{ access_log off; client_body_temp_path {folder}/b; proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f;
  uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; underscores_in_headers on; location / {{ proxy_pass http://127.0.0.1:{behind}; proxy_http_version 1.1; }} }} }}
"""


@dataclass
class Running:
    port: int
    processes: list[subprocess.Popen[bytes]]


def start(command: list[str], port: int) -> subprocess.Popen[bytes]:
    process = subprocess.Popen(command, cwd=HERE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return process
        time.sleep(0.02)
    process.kill()
    raise RuntimeError(f"{command} does not listen")


def _aiohttp(_folder: Path) -> Running:
    port = free_port()
    return Running(port, [start([sys.executable, "real_apps.py", "aiohttp", str(port)], port)])


def _uvicorn(_folder: Path) -> Running:
    port = free_port()
    return Running(port, [start([*MODULE, "uvicorn", "real_apps:asgi", "--port", str(port), "--lifespan", "off"], port)])


def _gunicorn(_folder: Path) -> Running:
    port = free_port()
    options = [
        "--bind",
        f"127.0.0.1:{port}",
        "--worker-class",
        "gthread",
        "--threads",
        "4",
        "--keep-alive",
        "5",
        "--no-control-socket",
    ]
    return Running(port, [start([*MODULE, "gunicorn", "real_apps:wsgi", *options], port)])


def _node(_folder: Path) -> Running:
    port = free_port()
    return Running(port, [start(["node", "node_app.js", str(port)], port)])


def _nginx(folder: Path) -> Running:
    """In front of aiohttp's server, to which it says anew what it has read."""
    behind, port = _aiohttp(folder), free_port()
    config = folder / "nginx.conf"
    config.write_text(NGINX.format(folder=folder, port=port, behind=behind.port))
    command = [shutil.which("nginx") or "/usr/sbin/nginx", "-p", str(folder), "-c", str(config)]
    return Running(port, [start(command, port), *behind.processes])


STARTERS: dict[str, Callable[[Path], Running]] = {
    "aiohttp": _aiohttp,
    "uvicorn": _uvicorn,
    "gunicorn": _gunicorn,
    "node": _node,
    "nginx": _nginx,
}
MARKS = {"node": pytest.mark.node, "nginx": pytest.mark.nginx}


@pytest.fixture(scope="module", params=[pytest.param(name, marks=MARKS.get(name, ())) for name in STARTERS])
def app(request: pytest.FixtureRequest) -> Iterator[Running]:
    with tempfile.TemporaryDirectory(prefix="ttgateway-app-") as folder:
        running = STARTERS[request.param](Path(folder))
        yield running
        for process in running.processes:
            process.terminate()
            process.wait(10)


def answers(data: bytes) -> list[tuple[int, bytes]]:
    """Status and body of each final answer."""
    found = []
    while data:
        head, mark, data = data.partition(b"\r\n\r\n")
        assert mark, data
        status = int(head[9:12])
        if status < 200:
            continue
        length = re.search(rb"(?im)^content-length: *(\d+)", head)
        if length is None and re.search(rb"(?im)^transfer-encoding: chunked", head):
            body, _, data = data.partition(b"\r\n0\r\n\r\n")
            body = body.partition(b"\r\n")[2]
        else:
            size = int(length[1]) if length else len(data)
            body, data = data[:size], data[size:]
        found.append((status, body))
    return found


async def asked(running: Edge) -> int:
    """How many requests the app has counted, this one included."""
    ((status, body),) = answers(await running.ask(CANARY))
    assert status == 200, body
    number, method, path, _ = body.decode().split(" ")
    assert (method, path) == ("GET", "/canary")
    return int(number)


async def test_what_the_gateway_refuses_never_reaches_the_app(app: Running) -> None:
    async with edge(f"http://127.0.0.1:{app.port}") as running:
        before = await asked(running)
        for name, payload in REFUSED.items():
            found = answers(await running.ask(payload + CANARY))
            assert [status for status, _ in found] == [400], name
        assert await asked(running) == before + 1


@pytest.mark.parametrize("pieces", [False, True], ids=["at once", "in pieces"])
async def test_what_passes_is_read_alike(app: Running, pieces: bool) -> None:
    """The app counts as many requests as the gateway, with the bodies that the gateway read – or refuses the request itself."""
    async with edge(f"http://127.0.0.1:{app.port}") as running:
        before = await asked(running)
        for name, (payload, meant) in READ.items():
            wire = await running.connect()
            stream = payload + CANARY
            step = 7 if pieces else len(stream)
            for at in range(0, len(stream), step):
                wire.writer.write(stream[at : at + step])
                await asyncio.sleep(0)
            found = answers(await wire.rest())
            assert found, name
            if found[0][0] in {400, 405, 501}:
                before = await asked(running)  # the app refused; whatever it then closed or kept, the next client is served
                continue
            assert [status for status, _ in found] == [200] * (len(meant) + 1), name
            said = [body.decode().split(" ") for _, body in found]
            assert [(method, bytes.fromhex(body)) for _, method, _, body in said] == [*meant, ("GET", b"")], name
            assert said[-1][2] == "/canary", name
            assert [int(each[0]) for each in said] == list(range(before + 1, before + 2 + len(meant))), name
            before += 1 + len(meant)
