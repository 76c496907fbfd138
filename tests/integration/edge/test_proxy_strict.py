"""What could be read in two ways is refused with 400 and the end of the connection; the app never sees a byte of it."""

import pytest
from edge_wire import OK, Seen, replies, site

H = b"Host: shop.example\r\n"
CHUNKED = H + b"Transfer-Encoding: chunked\r\n\r\n"

REFUSED = {
    "CL and TE": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE and CL": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n",
    "TE xchunked": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
    "TE identity": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: identity\r\n\r\n",
    "TE empty": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: \r\n\r\n",
    "TE gzip, chunked": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
    "TE chunked, identity": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n",
    "TE twice": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "TE vertical tab": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n",
    "TE space before colon": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
    "TE folded": b"POST / HTTP/1.1\r\n" + H + b"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
    "TE by underscore": b"POST / HTTP/1.1\r\n" + H + b"Transfer_Encoding: chunked\r\nContent-Length: 2\r\n\r\nok",
    "CL twice, same": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\nok",
    "CL twice, other": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 2\r\nContent-Length: 0\r\n\r\nok",
    "CL list": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 2, 2\r\n\r\nok",
    "CL signed": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: +2\r\n\r\nok",
    "CL negative": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: -1\r\n\r\n",
    "CL hexadecimal": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 0x2\r\n\r\nok",
    "CL empty": b"POST / HTTP/1.1\r\n" + H + b"Content-Length:\r\n\r\n",
    "CL overflow": b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 99999999999999999999\r\n\r\n",
    "CL by underscore": b"POST / HTTP/1.1\r\n" + H + b"Content_Length: 2\r\n\r\n",
    "bare LF everywhere": b"GET / HTTP/1.1\nHost: shop.example\n\n",
    "bare LF in the head": b"GET / HTTP/1.1\r\nHost: shop.example\nX: y\r\n\r\n",
    "bare LF at the end": b"GET / HTTP/1.1\r\n" + H + b"\n",
    "bare CR": b"GET / HTTP/1.1\r\nHost: shop.example\rX: y\r\n\r\n",
    "obs-fold": b"GET / HTTP/1.1\r\n" + H + b"X: y\r\n z\r\n\r\n",
    "obs-fold first": b"GET / HTTP/1.1\r\n X: y\r\n" + H + b"\r\n",
    "NUL": b"GET / HTTP/1.1\r\n" + H + b"X: y\x00z\r\n\r\n",
    "control character": b"GET / HTTP/1.1\r\n" + H + b"X: y\x01z\r\n\r\n",
    "space before colon": b"GET / HTTP/1.1\r\nHost : shop.example\r\n\r\n",
    "no colon": b"GET / HTTP/1.1\r\n" + H + b"nonsense\r\n\r\n",
    "empty name": b"GET / HTTP/1.1\r\n" + H + b": y\r\n\r\n",
    "odd name": b"GET / HTTP/1.1\r\n" + H + b"X(y: z\r\n\r\n",
    "Host missing": b"GET / HTTP/1.1\r\n\r\n",
    "Host empty": b"GET / HTTP/1.1\r\nHost:\r\n\r\n",
    "Host twice": b"GET / HTTP/1.1\r\n" + H + H + b"\r\n",
    "Host with space": b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n",
    "Host with user": b"GET / HTTP/1.1\r\nHost: x@y\r\n\r\n",
    "Host list": b"GET / HTTP/1.1\r\nHost: a, b\r\n\r\n",
    "Host with path": b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n",
    "Host with odd port": b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n",
    "Host 8-bit": b"GET / HTTP/1.1\r\nHost: sh\xc3\xb6p\r\n\r\n",
    "absolute target, other host": b"GET http://other.example/ HTTP/1.1\r\n" + H + b"\r\n",
    "absolute target, user": b"GET http://a@shop.example/ HTTP/1.1\r\n" + H + b"\r\n",
    "HTTP/2.0": b"GET / HTTP/2.0\r\n" + H + b"\r\n",
    "HTTP/1.2": b"GET / HTTP/1.2\r\n" + H + b"\r\n",
    "HTTP/0.9": b"GET / HTTP/0.9\r\n" + H + b"\r\n",
    "no version": b"GET /\r\n\r\n",
    "version in lower case": b"GET / http/1.1\r\n" + H + b"\r\n",
    "HTTP/2 preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "HTTP/1.0 and chunked": b"POST / HTTP/1.0\r\n" + CHUNKED + b"0\r\n\r\n",
    "chunk size 0x": b"POST / HTTP/1.1\r\n" + CHUNKED + b"0x2\r\nok\r\n0\r\n\r\n",
    "chunk size negative": b"POST / HTTP/1.1\r\n" + CHUNKED + b"-1\r\nok\r\n0\r\n\r\n",
    "chunk size overflow": b"POST / HTTP/1.1\r\n" + CHUNKED + b"fffffffffffffffff\r\nok\r\n0\r\n\r\n",
    "chunk size and space": b"POST / HTTP/1.1\r\n" + CHUNKED + b"2 \r\nok\r\n0\r\n\r\n",
    "chunk line by LF": b"POST / HTTP/1.1\r\n" + CHUNKED + b"2\nok\r\n0\r\n\r\n",
    "chunk data by LF": b"POST / HTTP/1.1\r\n" + CHUNKED + b"2\r\nok\n0\r\n\r\n",
    "chunk too long": b"POST / HTTP/1.1\r\n" + CHUNKED + b"2\r\nokk\r\n0\r\n\r\n",
    "chunk extension with LF": b"POST / HTTP/1.1\r\n" + CHUNKED + b"2;a\nb\r\nok\r\n0\r\n\r\n",
    "trailer with CL": b"POST / HTTP/1.1\r\n" + CHUNKED + b"2\r\nok\r\n0\r\nContent-Length: 9\r\n\r\n",
    "upgrade with body": b"POST / HTTP/1.1\r\n" + H + b"Connection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nok",
    "upgrade with chunks": b"POST / HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n" + CHUNKED + b"0\r\n\r\n",
    "upgrade with body to come": b"POST / HTTP/1.1\r\n" + H + b"Connection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n",
    "CONNECT": b"CONNECT shop.example:443 HTTP/1.1\r\n" + H + b"\r\n",
    "unknown method": b"FOO / HTTP/1.1\r\n" + H + b"\r\n",
    "method in lower case": b"get / HTTP/1.1\r\n" + H + b"\r\n",
    "8-bit target": b"GET /caf\xc3\xa9 HTTP/1.1\r\n" + H + b"\r\n",
    "control character in target": b"GET /\x01 HTTP/1.1\r\n" + H + b"\r\n",
    "relative target": b"GET x HTTP/1.1\r\n" + H + b"\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03",
    "Content-Type twice": b"GET / HTTP/1.1\r\n" + H + b"Content-Type: a/b\r\nContent-Type: c/d\r\n\r\n",
    "Connection: X-Forwarded-For": b"GET / HTTP/1.1\r\n" + H + b"Connection: close, X-Forwarded-For\r\n\r\n",
    "Connection: Host": b"GET / HTTP/1.1\r\n" + H + b"Connection: host\r\n\r\n",
    "Connection: Content-Length": b"POST / HTTP/1.1\r\n" + H + b"Connection: content-length\r\nContent-Length: 2\r\n\r\nok",
    "X_Forwarded_For": b"GET / HTTP/1.1\r\n" + H + b"X_Forwarded_For: 1.2.3.4\r\n\r\n",
    "X-Forwarded_Proto": b"GET / HTTP/1.1\r\n" + H + b"X-Forwarded_Proto: https\r\n\r\n",
}


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
async def test_ambiguous_requests_are_refused_and_the_connection_ends(request_bytes: bytes) -> None:
    """Also what is smuggled behind them is never read as a request."""
    async with site(replies(OK)) as (edge, origin):
        answer = await edge.ask(request_bytes + b"GET /smuggled HTTP/1.1\r\n" + H + b"\r\n")
        assert answer.startswith(b"HTTP/1.1 400 ")
        assert answer.count(b"HTTP/1.1 ") == 1
        assert b"\r\nConnection: close\r\n" in answer
        assert not any(b"smuggled" in head or head.endswith(b"ok") for head in origin.heads)
        assert edge.listener.counts()["refused"] == 1


@pytest.mark.parametrize("request_bytes", REFUSED.values(), ids=REFUSED.keys())
async def test_ambiguous_requests_reach_no_app(request_bytes: bytes) -> None:
    """At most a request whose body turned bad half-way has been begun; it is broken off, never completed."""
    async with site(replies(OK)) as (edge, origin):
        await edge.ask(request_bytes)
        assert origin.heads == []


async def test_a_bad_request_behind_a_good_one_does_not_spoil_it() -> None:
    async with site(replies(OK)) as (edge, origin):
        answer = await edge.ask(b"GET /good HTTP/1.1\r\n" + H + b"\r\nGARBAGE\r\n\r\n")
        assert answer.startswith(OK)
        assert answer[len(OK) :].startswith(b"HTTP/1.1 400 ")
        assert len(origin.heads) == 1


async def test_a_body_that_turns_bad_half_way_breaks_the_request_off() -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.gone.wait()

    async with site(play) as (edge, origin):
        wire = await edge.connect()
        await wire.send(b"POST /upload HTTP/1.1\r\n" + CHUNKED + b"2\r\nok\r\n")
        await edge.settled(lambda: bool(origin.heads))
        await wire.send(b"zz\r\n")
        assert (await wire.rest()).startswith(b"HTTP/1.1 400 ")
        assert await origin.connections[0].until_gone() == b"2\r\nok\r\n"


async def test_heads_beyond_the_limit_are_answered_431() -> None:
    async with site(replies(OK)) as (edge, origin):
        long = b"X: " + b"y" * 66000 + b"\r\n"
        many = b"".join(b"X-%d: y\r\n" % n for n in range(300))
        wide = b"".join(b"X-%d: %b\r\n" % (n, b"y" * 5000) for n in range(20))
        for fields in (long, many, wide):
            answer = await edge.ask(b"GET / HTTP/1.1\r\n" + H + fields + b"\r\n")
            assert answer.startswith(b"HTTP/1.1 431 "), fields[:20]
        assert origin.heads == []


async def test_heads_of_64_kib_and_250_fields_pass_both_ways() -> None:
    fields = b"Cookie: " + b"c" * 50000 + b"\r\n" + b"".join(b"X-%d: y\r\n" % n for n in range(250))
    async with site(replies(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + fields + b"\r\n")) as (edge, origin):
        wire = await edge.connect()
        await wire.send(b"GET / HTTP/1.1\r\n" + H + fields + b"\r\n")
        assert fields in await wire.head()
        assert fields in origin.heads[0]
