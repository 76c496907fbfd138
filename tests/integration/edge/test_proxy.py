"""Pass-through changes nothing but what the design declares: bytes in, bytes out, at once, both ways."""

import asyncio
from pathlib import Path

import pytest
from edge_wire import OK, Origin, Seen, edge, replies, site

H = b"Host: shop.example\r\n"


def lines(head: bytes) -> list[bytes]:
    return head.split(b"\r\n")[1:-2]


TARGETS = [
    b"/a/../b",
    b"/%2e%2e/x",
    b"/%41%27",
    b"/x?",
    b"/x?a=b?c&d=%20+e",
    b"//evil.example/x",
    b"/a//b/./c/",
    b"/a;p=1,2!$'()*",
    b'/quote"<>|{}\\^`',
    b"/x#fragment",
    b"/gwx",
    b"/GW/e",
    b"/%67w/e",
    b"http://shop.example/absolute?x",
]


@pytest.mark.parametrize("target", TARGETS)
async def test_the_app_receives_the_targets_very_bytes(target: bytes) -> None:
    async with site(replies(OK)) as (running, origin):
        wire = await running.connect()
        await wire.send(b"GET %b HTTP/1.1\r\n%b\r\n" % (target, H))
        await wire.answer()
        assert origin.heads[0].startswith(b"GET %b HTTP/1.1\r\n" % target)


async def test_options_star() -> None:
    async with site(replies(OK)) as (running, origin):
        wire = await running.connect()
        await wire.send(b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n")
        await wire.answer()
        assert origin.heads[0].startswith(b"OPTIONS * HTTP/1.1\r\n")


async def test_request_fields_keep_bytes_case_order_and_duplicates_and_only_forwarding_is_added() -> None:
    fields = (
        b"hOsT: shop.example\r\nX-b: 2\r\nX-A: 1\r\nx-b: 3\r\nX-Latin: caf\xe9\r\nX-Empty:\r\nX-Colon: a:b: c\r\n"
        b"Cookie: a=1\r\nCookie: b=2\r\nAccept-Encoding: gzip\r\n"
    )
    async with site(replies(OK)) as (running, origin):
        wire = await running.connect()
        await wire.send(b"GET / HTTP/1.1\r\n" + fields + b"\r\n")
        await wire.answer()
        sent = fields.replace(b"X-Empty:\r\n", b"X-Empty: \r\n")
        added = b"X-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example\r\n"
        assert origin.heads == [b"GET / HTTP/1.1\r\n" + sent + added + b"\r\n"]


async def test_hop_by_hop_fields_end_here() -> None:
    hop = (
        b"Connection: keep-alive, X-Mine\r\nX-Mine: 1\r\nKeep-Alive: 5\r\nProxy-Connection: keep-alive\r\nTE: trailers\r\n"
        b"Trailer: X\r\nUpgrade: h2c\r\nHTTP2-Settings: AAA\r\n"
    )
    answer = b"HTTP/1.1 200 OK\r\nConnection: X-His\r\nX-His: 1\r\nKeep-Alive: 5\r\nUpgrade: h2c\r\nX-End: 1\r\nContent-Length: 0\r\n\r\n"
    async with site(replies(answer)) as (running, origin):
        wire = await running.connect()
        await wire.send(b"GET / HTTP/1.1\r\n" + H + hop + b"\r\n")
        assert lines(await wire.head()) == [b"X-End: 1", b"Content-Length: 0"]
        assert [line.partition(b":")[0] for line in lines(origin.heads[0])] == [
            b"Host",
            b"HTTP2-Settings",
            b"X-Forwarded-For",
            b"X-Forwarded-Proto",
            b"X-Forwarded-Host",
        ]


async def test_a_trusted_proxys_forwarding_fields_are_kept_and_appended_to() -> None:
    fields = (
        b"X-Forwarded-For: 203.0.114.9\r\nx-forwarded-for: 10.0.0.1\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: www.example\r\n"
        b"Forwarded: for=203.0.114.9\r\n"
    )
    async with site(replies(OK)) as (running, origin):
        wire = await running.connect()
        await wire.send(b"GET / HTTP/1.1\r\n" + H + fields + b"\r\n")
        await wire.answer()
        assert lines(origin.heads[0])[1:] == [
            b"X-Forwarded-For: 203.0.114.9",
            b"x-forwarded-for: 10.0.0.1, 127.0.0.1",
            b"X-Forwarded-Proto: https",
            b"X-Forwarded-Host: www.example",
            b'Forwarded: for=203.0.114.9, for=127.0.0.1;host="www.example";proto=https',
        ]


async def test_anybody_elses_forwarding_fields_are_replaced() -> None:
    fields = (
        b"X-Forwarded-For: 1.1.1.1\r\nX-Forwarded-For: 2.2.2.2\r\nX-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\n"
        b"Forwarded: for=1.1.1.1\r\n"
    )
    async with site(replies(OK), client_ip={"trusted_proxies": []}) as (running, origin):
        wire = await running.connect()
        await wire.send(b"GET / HTTP/1.1\r\n" + H + fields + b"\r\n")
        await wire.answer()
        assert lines(origin.heads[0])[1:] == [
            b"X-Forwarded-For: 127.0.0.1",
            b"X-Forwarded-Proto: http",
            b"X-Forwarded-Host: shop.example",
            b'Forwarded: for=127.0.0.1;host="shop.example";proto=http',
        ]


async def test_response_bytes_come_back_as_they_were() -> None:
    answer = (
        b"HTTP/1.1 299 Strange Brew\r\nseRVer: x\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\nX-Latin: caf\xe9\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 4\r\n\r\n\x1f\x8b\x00\xff"
    )
    async with site(replies(answer)) as (running, _origin):
        wire = await running.connect()
        await wire.send(b"GET / HTTP/1.1\r\n" + H + b"\r\n")
        assert await wire.exactly(len(answer)) == answer
        assert running.metrics.seen == [("proxy", 299)]


async def test_uploads_are_not_inflated() -> None:
    body = b"\x1f\x8b\x08\x00not really gzip"
    async with site(replies(OK)) as (running, origin):

        async def play(seen: Seen) -> None:
            await seen.head()
            assert await seen.reader.readexactly(len(body)) == body
            await seen.send(OK)

        origin.play = play
        wire = await running.connect()
        await wire.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        assert (await wire.answer())[1] == b"ok"


async def test_chunked_uploads_are_framed_anew_and_trailers_dropped() -> None:
    async def play(seen: Seen) -> None:
        head = await seen.head()
        assert head.endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert head.lower().count(b"transfer-encoding") == 1
        assert await seen.reader.readexactly(15) == b"5\r\nhello\r\n0\r\n\r\n"
        await seen.send(OK)

    async with site(play) as (running, _origin):
        wire = await running.connect()
        await wire.send(
            b"POST / HTTP/1.1\r\nTRANSFER-ENCODING: Chunked\r\n"
            + H
            + b"\r\n2;ext=1\r\nhe\r\n3\r\nllo\r\n0\r\nX-Trailer: 1\r\n\r\n"
        )
        assert (await wire.answer())[1] == b"ok"


async def test_chunked_answers_stream_piece_by_piece() -> None:
    """Each event leaves the gateway before the app has sent the next."""
    go = asyncio.Event()

    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(
            b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\n\r\n9\r\ndata: 1\n\n\r\n"
        )
        await go.wait()
        await seen.send(b"9\r\ndata: 2\n\n\r\n0\r\n\r\n")

    async with site(play) as (running, _origin):
        wire = await running.connect()
        await wire.send(b"GET /events HTTP/1.1\r\n" + H + b"\r\n")
        assert (await wire.head()).endswith(b"\r\nTransfer-Encoding: chunked\r\n\r\n")
        assert await wire.exactly(14) == b"9\r\ndata: 1\n\n\r\n"
        go.set()
        assert await wire.exactly(19) == b"9\r\ndata: 2\n\n\r\n0\r\n\r\n"
        await wire.send(b"GET /gw/next HTTP/1.1\r\n" + H + b"\r\n")
        assert (await wire.answer())[1] == b"/gw/next:0"


async def test_answers_until_close_become_chunks_for_http_1_1_and_a_close_for_1_0() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(b"HTTP/1.0 200 OK\r\n\r\nhello")

    async with site(play) as (running, _origin):
        wire = await running.connect()
        await wire.send(b"GET / HTTP/1.1\r\n" + H + b"\r\n")
        await wire.head()
        assert await wire.exactly(15) == b"5\r\nhello\r\n0\r\n\r\n"
        assert (await running.ask(b"GET / HTTP/1.0\r\n" + H + b"\r\n")) == b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello"


async def test_http_1_0_clients() -> None:
    async with site(replies(OK)) as (running, origin):
        assert (await running.ask(b"GET / HTTP/1.0\r\n\r\n")).endswith(b"Connection: close\r\n\r\nok")
        assert origin.heads[0].startswith(b"GET / HTTP/1.0\r\n")
        wire = await running.connect()
        for _ in range(2):
            await wire.send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n" + H + b"\r\n")
            assert b"\r\nConnection: keep-alive\r\n" in (await wire.answer())[0]


@pytest.mark.parametrize(
    ("method", "answer"),
    [
        (b"HEAD", b"HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n"),
        (b"HEAD", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (b"GET", b"HTTP/1.1 204 No Content\r\nX: y\r\n\r\n"),
        (b"GET", b'HTTP/1.1 304 Not Modified\r\nETag: "a"\r\nContent-Length: 99\r\n\r\n'),
        (b"GET", b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
    ],
)
async def test_answers_without_a_body_leave_both_connections_usable(method: bytes, answer: bytes) -> None:
    async with site(replies(answer)) as (running, origin):
        wire = await running.connect()
        for _ in range(3):
            await wire.send(method + b" / HTTP/1.1\r\n" + H + b"\r\n")
            assert await wire.exactly(len(answer)) == answer
        assert len(origin.connections) == 1


async def test_early_hints_and_continue_are_passed_on() -> None:
    async def play(seen: Seen) -> None:
        assert b"\r\nExpect: 100-continue\r\n" in await seen.head()
        await seen.send(b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n")
        await seen.send(b"HTTP/1.1 100 Continue\r\n\r\n")
        assert await seen.reader.readexactly(2) == b"hi"
        await seen.send(OK)

    async with site(play) as (running, _origin):
        wire = await running.connect()
        await wire.send(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + H + b"\r\n")
        assert await wire.head() == b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\n\r\n"
        assert await wire.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(b"hi")
        assert await wire.exactly(len(OK)) == OK


async def test_the_app_may_decline_a_body_that_waits_for_its_word() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\n\r\n")
        await seen.until_gone()

    async with site(play) as (running, _origin):
        answer = await running.ask(b"POST / HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 2\r\n" + H + b"\r\n")
        assert answer == b"HTTP/1.1 417 Expectation Failed\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


async def test_an_end_of_sending_after_a_complete_request_is_no_disconnect() -> None:
    async with site(replies(OK)) as (running, _origin):
        wire = await running.connect()
        await wire.send(b"GET / HTTP/1.1\r\n" + H + b"\r\n")
        wire.end()
        assert (await wire.rest()).endswith(b"\r\n\r\nok")


async def test_connections_to_the_app_are_reused() -> None:
    async with site(replies(OK)) as (running, origin):
        for _ in range(5):
            await running.ask(b"GET / HTTP/1.1\r\nConnection: close\r\n" + H + b"\r\n")
        assert len(origin.connections) == 1
        assert running.listener.counts()["upstream_connections"] == 1


async def test_pipelined_requests_are_answered_in_order() -> None:
    async def play(seen: Seen) -> None:
        while True:
            path = (await seen.head()).split(b" ")[1]
            await seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async with site(play) as (running, _origin):
        paths = [b"/%d" % n if n % 3 else b"/gw/%d" % n for n in range(50)]
        wire = await running.connect()
        await wire.send(b"".join(b"GET %b HTTP/1.1\r\n%b\r\n" % (path, H) for path in paths))
        for path in paths:
            assert (await wire.answer())[1].startswith(path)


async def test_unix_socket_upstream(tmp_path: Path) -> None:
    origin = Origin(replies(OK))
    address = await origin.start(str(tmp_path / "app.sock"))
    async with edge(address) as running:
        assert (await running.ask(b"GET / HTTP/1.1\r\nConnection: close\r\n" + H + b"\r\n")).endswith(b"ok")
    await origin.stop()


COOKIES = (b"_ttp=abc; Path=/",)
NAVIGATION = b"GET /page HTTP/1.1\r\nSec-Fetch-Dest: document\r\n" + H + b"\r\n"


async def test_navigations_get_cookies_and_are_marked_private() -> None:
    async with site(replies(b"HTTP/1.1 200 OK\r\nSet-Cookie: own=1\r\nContent-Length: 2\r\n\r\nok")) as (running, _origin):
        running.collector.cookies = COOKIES
        wire = await running.connect()
        await wire.send(NAVIGATION)
        head, _ = await wire.answer()
        assert lines(head) == [
            b"Set-Cookie: own=1",
            b"Content-Length: 2",
            b"Set-Cookie: _ttp=abc; Path=/",
            b"Cache-Control: private",
        ]


@pytest.mark.parametrize(
    ("request_bytes", "answer"),
    [
        (NAVIGATION, b"HTTP/1.1 200 OK\r\nCache-Control: max-age=60\r\nContent-Length: 0\r\n\r\n"),
        (NAVIGATION, b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"),
        (b"GET /a.js HTTP/1.1\r\nSec-Fetch-Dest: script\r\n" + H + b"\r\n", OK),
        (b"GET / HTTP/1.1\r\nAccept: text/html\r\nSec-Purpose: prefetch\r\n" + H + b"\r\n", OK),
        (b"POST / HTTP/1.1\r\nAccept: text/html\r\nContent-Length: 0\r\n" + H + b"\r\n", OK),
    ],
)
async def test_other_answers_get_no_cookie(request_bytes: bytes, answer: bytes) -> None:
    async with site(replies(answer)) as (running, _origin):
        running.collector.cookies = COOKIES
        wire = await running.connect()
        await wire.send(request_bytes)
        assert await wire.exactly(len(answer)) == answer


async def test_requests_that_came_before_the_clients_end_are_all_answered() -> None:
    """A script that writes its requests, ends its side and reads: nothing it asked for is dropped."""

    async def play(seen: Seen) -> None:
        while True:
            path = (await seen.head()).split(b" ")[1]
            await asyncio.sleep(0.02)
            await seen.send(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%b" % (len(path), path))

    async with site(play) as (running, _origin):
        wire = await running.connect()
        await wire.send(b"".join(b"GET /%d HTTP/1.1\r\n%b\r\n" % (n, H) for n in range(5)))
        wire.end()
        assert [(await wire.answer())[1] for _ in range(5)] == [b"/0", b"/1", b"/2", b"/3", b"/4"]
        assert await wire.rest() == b""


async def test_request_ids_and_trace_context_reach_the_app_as_they_came() -> None:
    fields = (
        b"X-Request-Id: 7f1c\r\ntraceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n"
        b"tracestate: a=1,b=2\r\nX-Correlation-ID: x y\r\n"
    )
    answer = b"HTTP/1.1 200 OK\r\nX-Request-Id: 7f1c\r\ntraceresponse: 00-1-2-03\r\nContent-Length: 0\r\n\r\n"
    async with site(replies(answer)) as (running, origin):
        wire = await running.connect()
        await wire.send(b"GET / HTTP/1.1\r\n" + H + fields + b"\r\n")
        assert await wire.exactly(len(answer)) == answer
        assert fields in origin.heads[0]
        await wire.send(b"GET / HTTP/1.1\r\n" + H + b"\r\n")
        await wire.answer()
        assert b"trace" not in origin.heads[1].lower()
        assert b"request-id" not in origin.heads[1].lower()


@pytest.mark.parametrize("rest", [b"POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\nx", b"GET /b HT"])
async def test_a_request_that_the_clients_end_cut_off_ends_the_connection(rest: bytes) -> None:
    async with site(replies(OK)) as (running, _origin):
        wire = await running.connect()
        await wire.send(b"GET /a HTTP/1.1\r\n" + H + b"\r\n" + rest)
        wire.end()
        assert await wire.rest() == OK
