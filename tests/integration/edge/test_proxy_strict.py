"""What could be read in two ways is refused with 400 and the end of the connection; the app never sees a byte of it."""

import pytest
from edge_wire import OK, Seen, replies, site
from smuggling import GARBLED, REFUSED

H = b"Host: shop.example\r\n"
CHUNKED = H + b"Transfer-Encoding: chunked\r\n\r\n"


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


@pytest.mark.parametrize("method", [b"GET", b"POST"])
@pytest.mark.parametrize("answer", GARBLED.values(), ids=GARBLED.keys())
async def test_ambiguous_answers_become_a_502_and_nothing_of_them_leaves(answer: bytes, method: bytes) -> None:
    async def play(seen: Seen) -> None:
        await seen.head()
        await seen.send(answer)
        await seen.until_gone()

    async with site(play) as (edge, _origin):
        wire = await edge.connect()
        await wire.send(method + b" / HTTP/1.1\r\n" + H + b"\r\n")
        head = await wire.head()
        assert head.startswith(b"HTTP/1.1 502 ")
        assert head.lower().count(b"content-length") == 1
        assert not any(word in head.lower() for word in (b" :", b"transfer-encoding", b"x-hop", b"cache-control : public"))


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


@pytest.mark.parametrize("fields", [b"Connection: close, cf-connecting-ip\r\n", b"CF_Connecting_IP: 6.6.6.6\r\n"])
async def test_the_configured_address_header_can_neither_be_removed_nor_imitated(fields: bytes) -> None:
    request = b"GET / HTTP/1.1\r\n" + H + b"CF-Connecting-IP: 203.0.113.9\r\n%b\r\n"
    async with site(replies(OK), client_ip={"header": "CF-Connecting-IP"}) as (edge, origin):
        assert (await edge.ask(request % fields)).startswith(b"HTTP/1.1 400 ")
        assert origin.heads == []
        await edge.ask(request % b"Connection: close\r\n")
        assert b"\r\nCF-Connecting-IP: 203.0.113.9\r\n" in origin.heads[0]


async def test_a_request_without_a_host_field_never_reaches_the_app_as_http_1_1() -> None:
    """A trusted proxy's X-Forwarded-Host does not stand in for it."""
    async with site(replies(OK)) as (edge, origin):
        await edge.ask(b"GET /a HTTP/1.0\r\nX-Forwarded-Host: shop.example\r\n\r\n")
        assert origin.heads[0].startswith(b"GET /a HTTP/1.0\r\n")
        await edge.ask(b"GET /a HTTP/1.0\r\n" + H + b"\r\n")
        assert origin.heads[1].startswith(b"GET /a HTTP/1.1\r\n")
