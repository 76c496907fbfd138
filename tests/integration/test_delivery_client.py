"""The client against counterparts that misbehave in ways the sandbox cannot."""

import asyncio
import gzip
import json
import shutil
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web
from ports import free_port

from gateway.delivery.client import MAX_ANSWER, Client, Reply
from gateway.delivery.settings import DeliverySettings
from gateway.delivery.verdict import Action
from gateway.outcome import Reason
from gateway.telemetry.metrics import Metrics

TOKEN = "access-token-1"
OK = b'{"code":0,"message":"OK"}'
Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]


@asynccontextmanager
async def raw_server(answer: Answer) -> AsyncIterator[tuple[str, list[bytes]]]:
    """Reads one request a connection and leaves the answer to ``answer``; its address and the requests' heads."""
    heads: list[bytes] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        serving.add(task)
        try:
            head = await reader.readuntil(b"\r\n\r\n")
            heads.append(head)
            length = int(head.lower().partition(b"content-length:")[2].partition(b"\r\n")[0] or 0)
            await reader.readexactly(length)
            await answer(writer)
        except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()
            with suppress(OSError):
                await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"http://127.0.0.1:{port}/track/", heads
    finally:
        server.close()
        for task in serving:
            task.cancel()
        await asyncio.gather(*serving)


@asynccontextmanager
async def client(endpoint: str, **settings: object) -> AsyncIterator[Client]:
    made = Client(DeliverySettings.model_validate({"endpoint": endpoint, "timeout": 20.0} | settings), Metrics())
    try:
        yield made
    finally:
        await made.close()


async def post(answer: Answer, body: bytes = b"{}", **settings: object) -> Reply:
    """The verdict on what ``answer`` writes."""
    async with raw_server(answer) as (endpoint, _), client(endpoint, **settings) as made:
        return await made.post("shop", TOKEN, body)


def writes(*pieces: bytes) -> Answer:
    async def answer(writer: asyncio.StreamWriter) -> None:
        for piece in pieces:
            writer.write(piece)
            await writer.drain()

    return answer


def response(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


async def test_what_goes_out() -> None:
    async with raw_server(writes(response(OK))) as (endpoint, heads), client(endpoint) as made:
        reply = await made.post("shop", TOKEN, b'{"data":[]}')
        assert reply.verdict.action is Action.DELIVERED
    head = heads[0].decode()
    assert head.startswith("POST /track/ HTTP/1.1\r\n")
    names = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in head.splitlines()[1:] if line}
    assert names["access-token"] == TOKEN
    assert names["content-type"] == "application/json"
    assert names["accept-encoding"] == "identity"
    assert names["user-agent"].startswith("ttgateway/")
    assert "authorization" not in names
    assert "cookie" not in names


async def test_cookies_are_not_kept() -> None:
    answer = writes(response(OK, "200 OK", "Set-Cookie: a=b; Path=/", "Connection: close"))
    async with raw_server(answer) as (endpoint, heads), client(endpoint) as made:
        for _ in range(2):
            await made.post("shop", TOKEN, b"{}")
    assert len(heads) == 2
    assert b"cookie" not in heads[1].lower()


@pytest.mark.parametrize(
    "status", ["301 Moved", "302 Found", "303 See Other", "307 Temporary Redirect", "308 Permanent Redirect"]
)
async def test_a_redirect_is_not_followed_and_the_token_goes_nowhere(status: str) -> None:
    async with raw_server(writes(response(OK))) as (elsewhere, strangers):
        reply = await post(writes(response(b"", status, f"Location: {elsewhere}")))
        assert reply.verdict.action is Action.SUSPEND
        assert reply.verdict.code == f"http_{status[:3]}"
        assert strangers == []


async def test_an_endless_answer_is_cut_off() -> None:
    """100 MB announced: the client hangs up after the first MiB."""
    written = 0

    async def flood(writer: asyncio.StreamWriter) -> None:
        nonlocal written
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\n")
        while written < 100_000_000:
            writer.write(b"x" * 65536)
            written += 65536
            await writer.drain()

    reply = await post(flood, timeout=10.0)
    assert (reply.verdict.action, reply.verdict.reason) == (Action.RETRY, Reason.BROKEN_ANSWER)
    assert written < 32 * MAX_ANSWER


async def test_a_compressed_answer_is_not_inflated() -> None:
    bomb = gzip.compress(b'{"code":0,"message":"' + b" " * 50_000_000 + b'"}')
    reply = await post(writes(response(bomb, "200 OK", "Content-Encoding: gzip")))
    assert (reply.verdict.action, reply.verdict.reason) == (Action.RETRY, Reason.BROKEN_ANSWER)


async def test_one_byte_a_second_ends_with_the_timeout() -> None:
    async def drip(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n")
        while True:
            writer.write(b"x")
            await writer.drain()
            await asyncio.sleep(0.05)

    reply = await post(drip, timeout=0.4)
    assert (reply.verdict.action, reply.verdict.reason) == (Action.RETRY, Reason.TIMEOUT)
    assert 0.3 < reply.seconds < 15  # byte by byte it would be 50


async def test_silence_ends_with_the_timeout() -> None:
    async def silence(_: asyncio.StreamWriter) -> None:
        await asyncio.sleep(5)

    assert (await post(silence, timeout=0.2)).verdict.reason is Reason.TIMEOUT


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([], Reason.CONNECTION),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\n{"], Reason.CONNECTION),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{\"co"], Reason.CONNECTION),
        ([b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"], Reason.CONNECTION),
        ([b"220 smtp.example ESMTP\r\n"], Reason.CONNECTION),
        ([b"\x16\x03\x01\x00\xff" * 20], Reason.CONNECTION),
        ([b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000 + b"\r\n\r\n"], Reason.CONNECTION),
        ([response(b'{"code":0,"mess')], Reason.BROKEN_ANSWER),
        ([response(b"<html>please wait</html>", "200 OK", "Content-Type: text/html")], Reason.BROKEN_ANSWER),
        ([response(b"")], Reason.BROKEN_ANSWER),
    ],
    ids=["hung up", "cut short", "cut chunk", "bad chunk", "smtp", "tls", "huge header", "broken json", "html", "empty"],
)  # fmt: skip
async def test_broken_answers_are_retried(pieces: list[bytes], reason: Reason) -> None:
    reply = await post(writes(*pieces))
    assert (reply.verdict.action, reply.verdict.reason) == (Action.RETRY, reason)
    assert TOKEN not in str(reply)


async def test_a_reset_in_the_middle_of_the_answer_is_retried() -> None:
    async def cut(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
        await writer.drain()
        writer.transport.abort()

    assert (await post(cut)).verdict.reason is Reason.CONNECTION


async def test_nobody_listens() -> None:
    async with client(f"http://127.0.0.1:{free_port()}/") as made:
        verdict = (await made.post("shop", TOKEN, b"{}")).verdict
    assert (verdict.action, verdict.reason) == (Action.RETRY, Reason.CONNECTION)
    assert "refused or unreachable" in verdict.message
    assert verdict.cure


async def test_a_name_that_cannot_be_resolved(monkeypatch: pytest.MonkeyPatch) -> None:
    async def nobody_knows(*_: object, **__: object) -> None:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", nobody_knows)
    async with client("http://tiktok.invalid/") as made:
        verdict = (await made.post("shop", TOKEN, b"{}")).verdict
    assert (verdict.action, verdict.reason) == (Action.RETRY, Reason.CONNECTION)
    assert "cannot be resolved" in verdict.message
    assert "DNS" in verdict.cure


async def test_an_answer_without_tls_is_no_answer() -> None:
    got = bytearray()

    async def plain(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        got.extend(await reader.read(5))
        writer.write(response(OK))
        with suppress(OSError):
            got.extend(await reader.read())
        writer.close()

    server = await asyncio.start_server(plain, "127.0.0.1", 0)
    async with server, client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/") as made:
        verdict = (await made.post("shop", TOKEN, b"{}")).verdict
    assert (verdict.action, verdict.reason) == (Action.RETRY, Reason.CONNECTION)
    assert "TLS" in verdict.message
    assert verdict.cure
    assert TOKEN.encode() not in got  # nothing went out in the clear


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: apt-get install openssl")
async def test_a_certificate_that_nobody_vouches_for_is_refused(tmp_path: Path) -> None:
    made_it = await asyncio.create_subprocess_exec(
        *("openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"),
        *("-subj", "/CN=127.0.0.1", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", "key.pem", "-out", "cert.pem"),
        cwd=tmp_path,
        stderr=asyncio.subprocess.DEVNULL,
    )
    assert await made_it.wait() == 0
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    seen: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await reader.read(1000))
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    async with server, client(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}/") as made:
        verdict = (await made.post("shop", TOKEN, b"{}")).verdict
    assert (verdict.action, verdict.reason) == (Action.RETRY, Reason.CONNECTION)
    assert "certificate" in verdict.message
    assert seen == []


@pytest.mark.parametrize("token", ["", "two words", "line\nbreak", "line\r\nX-Injected: 1", "tök", "tab\t", "\x00"])
async def test_a_token_that_cannot_be_sent_is_not_sent(token: str) -> None:
    async with raw_server(writes(response(OK))) as (endpoint, heads), client(endpoint) as made:
        verdict = (await made.post("shop", token, b"{}")).verdict
        assert verdict.action is Action.SUSPEND
        assert heads == []


@pytest.mark.parametrize("size", [1000, 200_000, 4 << 20])
async def test_large_bodies_arrive_whole(size: int) -> None:
    seen: list[int] = []

    async def count(request: web.Request) -> web.Response:
        seen.append(len(await request.read()))
        assert request.content_length == size
        return web.Response(body=OK)

    app = web.Application(client_max_size=16 << 20)
    app.router.add_post("/", count)
    runner = web.AppRunner(app)
    await runner.setup()
    port = free_port()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with client(f"http://127.0.0.1:{port}/") as made:
            assert (await made.post("shop", TOKEN, b"x" * size)).verdict.action is Action.DELIVERED
    finally:
        await runner.cleanup()
    assert seen == [size]


async def test_retry_after_comes_through() -> None:
    reply = await post(writes(response(b"slow down", "429 Too Many", "retry-after: 17")))
    assert (reply.verdict.retry_after_s, reply.verdict.throttled) == (17.0, True)


async def test_requests_keep_their_rate() -> None:
    async with raw_server(writes(response(OK))) as (endpoint, heads), client(endpoint, rate_limit=20) as made:
        begin = time.monotonic()
        await asyncio.gather(*(made.post("shop", TOKEN, b"{}") for _ in range(9)))
        assert time.monotonic() - begin >= 8 / 20
    assert len(heads) == 9


async def test_connections_are_kept() -> None:
    peers: set[object] = set()
    port = free_port()

    async def answer(request: web.Request) -> web.Response:
        await request.read()
        assert request.transport is not None
        peers.add(request.transport.get_extra_info("peername"))
        return web.Response(body=json.dumps({"code": 0}).encode())

    app = web.Application()
    app.router.add_post("/", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        async with client(f"http://127.0.0.1:{port}/") as made:
            for _ in range(5):
                await made.post("shop", TOKEN, b"{}")
    finally:
        await runner.cleanup()
    assert len(peers) == 1


async def test_environment_proxies_are_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    async with raw_server(writes(response(OK))) as (proxy, strangers), raw_server(writes(response(OK))) as (endpoint, heads):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("HTTP_PROXY", proxy)
        async with client(endpoint) as made:
            await made.post("shop", TOKEN, b"{}")
        assert len(heads) == 1
        assert strangers == []
