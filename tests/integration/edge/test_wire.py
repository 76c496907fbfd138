"""Requests below the prefix: answered in order, gathered within limits, given up when slow – whatever the pieces they come in."""

import asyncio
import json

import pytest
from collect_desk import Desk
from edge_wire import OK, edge, replies, site

H = b"Host: shop.example\r\n"


def post(path: bytes, body: bytes, extra: bytes = b"") -> bytes:
    return b"POST %b HTTP/1.1\r\n%b%bContent-Length: %d\r\n\r\n%b" % (path, H, extra, len(body), body)


async def test_an_answer_carries_date_and_length_and_keeps_the_connection() -> None:
    async with edge() as running:
        wire = await running.connect()
        for n in range(3):
            await wire.send(post(b"/gw/e?x=1", b"x" * n))
            head, body = await wire.answer()
            assert head.startswith(b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nDate: ")
            assert b"Connection" not in head
            assert body == b"/gw/e:%d" % n
        head, body, client = running.collector.calls[-1]
        assert (head.method, head.path, head.query, head.target, tuple(head.version)) == (
            "POST", "/gw/e", "x=1", b"/gw/e?x=1", (1, 1),
        )  # fmt: skip
        assert head.headers["hOsT"] == "shop.example"
        assert body == b"xx"
        assert (client.ip, client.public_ip, client.scheme, client.host) == ("127.0.0.1", "", "http", "shop.example")
        assert running.metrics.seen == [("collect", 200)] * 3


async def test_204_has_no_length_and_head_no_body() -> None:
    async with edge() as running:
        wire = await running.connect()
        await wire.send(b"GET /gw/none HTTP/1.1\r\n" + H + b"\r\nHEAD /gw/e HTTP/1.1\r\n" + H + b"\r\n")
        assert b"Content-Length" not in await wire.head()
        assert b"\r\nContent-Length: 7\r\n" in await wire.head()
        await wire.send(post(b"/gw/e", b""))
        assert (await wire.answer())[1] == b"/gw/e:0"


async def test_pipelined_requests_wait_for_the_commit_before_them() -> None:
    async with edge() as running:
        wire = await running.connect()
        await wire.send(post(b"/gw/later", b"1") + post(b"/gw/e", b"22") + post(b"/gw/later", b"333"))
        await running.settled(lambda: len(running.collector.commits) == 1)
        assert len(running.collector.calls) == 1
        running.collector.commits[0].set_result(None)
        assert (await wire.answer())[1] == b"/gw/later:1"
        assert (await wire.answer())[1] == b"/gw/e:2"
        await running.settled(lambda: len(running.collector.commits) == 2)
        running.collector.commits[1].set_exception(OSError("disk"))
        head, body = await wire.answer()
        assert head.startswith(b"HTTP/1.1 503 ")
        assert body == b"OSError"


async def test_a_cancelled_commit_is_a_failure() -> None:
    async with edge() as running:
        wire = await running.connect()
        await wire.send(post(b"/gw/later", b""))
        await running.settled(lambda: len(running.collector.commits) == 1)
        running.collector.commits[0].cancel()
        assert (await wire.answer())[1] == b"CancelledError"


async def test_a_commit_after_the_client_has_gone_is_harmless() -> None:
    async with edge() as running:
        wire = await running.connect()
        await wire.send(post(b"/gw/later", b""))
        await running.settled(lambda: len(running.collector.commits) == 1)
        wire.close()
        await running.settled(lambda: running.listener.counts()["connections"] == 0)
        running.collector.commits[0].set_result(None)
        await asyncio.sleep(0)


async def test_a_crash_of_the_collector_costs_one_request() -> None:
    async with edge() as running:
        wire = await running.connect()
        await wire.send(post(b"/gw/crash", b"") + post(b"/gw/e", b""))
        assert (await wire.answer())[0].startswith(b"HTTP/1.1 500 ")
        assert (await wire.answer())[1] == b"/gw/e:0"


@pytest.mark.parametrize("size", [1, 7, 1000])
async def test_requests_in_pieces(size: int) -> None:
    """Bodies by length and by chunks, cut anywhere."""
    chunked = (
        b"POST /gw/c HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n"
    )
    request = post(b"/gw/e", b"x" * 3000) + chunked + b"GET /gw/px HTTP/1.1\r\n" + H + b"\r\n"
    async with edge() as running:
        wire = await running.connect()
        for at in range(0, len(request), size):
            wire.writer.write(request[at : at + size])
            await asyncio.sleep(0)
        assert (await wire.answer())[1] == b"/gw/e:3000"
        assert (await wire.answer())[1] == b"/gw/c:11"
        assert (await wire.answer())[1] == b"/gw/px:0"
        assert running.collector.calls[1][1] == b"hello world"


async def test_expect_100_continue_is_answered_by_us() -> None:
    async with edge() as running:
        wire = await running.connect()
        await wire.send(b"POST /gw/e HTTP/1.1\r\n" + H + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        assert await wire.head() == b"HTTP/1.1 100 Continue\r\n\r\n"
        await wire.send(b"hi")
        assert (await wire.answer())[1] == b"/gw/e:2"


async def test_bodies_beyond_the_limit_are_413_announced_or_not() -> None:
    async with edge() as running:
        wire = await running.connect()
        await wire.send(b"POST /gw/e HTTP/1.1\r\n" + H + b"Content-Length: 1048577\r\n\r\nx")
        head, body = await wire.answer()
        assert head.startswith(b"HTTP/1.1 413 ")
        assert body == b"/gw/e too large"
        wire = await running.connect()
        await wire.send(b"POST /gw/e HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n")
        piece = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        for _ in range(20):
            wire.writer.write(piece)
        head, body = await wire.answer()
        assert head.startswith(b"HTTP/1.1 413 ")
        assert b"\r\nConnection: close\r\n" in head
        assert body == b"/gw/e too large"
        wire = await running.connect()
        await wire.send(post(b"/gw/e", b"x" * (1 << 20)))
        assert (await wire.answer())[1] == b"/gw/e:1048576"
        assert len(running.collector.calls) == 1


async def test_a_body_beyond_the_limit_is_told_as_every_error_is_and_counted() -> None:
    desk = Desk()
    large = b"POST %b HTTP/1.1\r\n" + H + b"Origin: https://h\r\nContent-Length: 3000000\r\n\r\n"
    async with edge(collector=desk.collector) as running:
        for path, counted in ((b"/gw/e", 1), (b"/gw/v1/events", 2), (b"/gw/nothing", 2), (b"/gw/open_api/v1.3/event/track/", 3)):
            wire = await running.connect()
            await wire.send(large % path)
            head, body = await wire.answer()
            assert head.startswith(b"HTTP/1.1 413 ")
            answer = json.loads(body)
            if b"open_api" in path:
                assert (answer["code"], answer["message"]) == (40002, "a body may have at most 1 MiB, inflated")
            else:
                error = {"reason": "too_large", "message": "a body may have at most 1 MiB, inflated"}
                assert answer == {"success": False, "error": error}
            assert desk.outcomes() == {("", "", "rejected", "too_large"): counted}
        wire = await running.connect()
        await wire.send(b"POST /gw/e HTTP/1.1\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n")
        for _ in range(17):
            wire.writer.write(b"10000\r\n" + b"x" * 65536 + b"\r\n")
        assert json.loads((await wire.answer())[1])["error"]["reason"] == "too_large"
        assert desk.outcomes() == {("", "", "rejected", "too_large"): 4}


async def test_the_wire_s_own_answers_have_the_shape_of_collect_s() -> None:
    async with edge() as running:
        for target, reason in ((b"/gw", "not_found"), (b"/elsewhere", "not_found"), (b"/gw/crash", "internal")):
            wire = await running.connect()
            await wire.send(b"GET %b HTTP/1.1\r\n" % target + H + b"\r\n")
            answer = json.loads((await wire.answer())[1])
            assert (answer["success"], answer["error"]["reason"]) == (False, reason)
            assert answer["error"]["message"]


async def test_a_refused_upload_still_sees_its_answer() -> None:
    """The rest is read and thrown away, so that no reset overtakes the 413."""
    async with edge() as running:
        wire = await running.connect()
        wire.writer.write(b"POST /gw/e HTTP/1.1\r\n" + H + b"Content-Length: 3000000\r\n\r\n" + b"x" * 3_000_000)
        assert (await wire.rest()).startswith(b"HTTP/1.1 413 ")


async def test_a_slow_head_is_408() -> None:
    async with edge(limits={"header_timeout": 0.2}) as running:
        wire = await running.connect()
        await wire.send(b"GET /gw/e HT")
        answer = await wire.rest()
        assert answer.startswith(b"HTTP/1.1 408 ")
        assert b"\r\nConnection: close\r\n" in answer


async def test_a_slow_body_is_408_also_if_it_drips() -> None:
    async with edge(limits={"body_progress": 0.2}) as running:
        wire = await running.connect()
        await wire.send(b"POST /gw/e HTTP/1.1\r\n" + H + b"Content-Length: 10000\r\n\r\n")

        async def drip() -> None:
            while True:
                wire.writer.write(b"x")
                await asyncio.sleep(0.02)

        dripping = asyncio.create_task(drip())
        try:
            assert (await wire.head()).startswith(b"HTTP/1.1 408 ")
        finally:
            dripping.cancel()


async def test_a_slow_upload_to_the_app_is_408() -> None:
    async with site(replies(OK), limits={"body_progress": 0.2}) as (running, origin):
        wire = await running.connect()
        await wire.send(b"POST / HTTP/1.1\r\n" + H + b"Content-Length: 10\r\n\r\nx")
        assert (await wire.rest()).startswith(b"HTTP/1.1 408 ")
        assert await origin.connections[0].until_gone() in {b"x", b""}


async def test_silent_and_idle_connections_are_closed_without_a_word() -> None:
    async with edge(limits={"idle_timeout": 1.0}) as running:
        silent, idle = await running.connect(), await running.connect()
        await idle.send(post(b"/gw/e", b""))
        await idle.answer()
        assert await silent.rest() == b""
        assert await idle.rest() == b""


async def test_a_reader_that_takes_nothing_is_given_up() -> None:
    """It also stops being served: its next requests wait unread."""
    async with edge(limits={"body_progress": 0.3}) as running:
        wire = await running.connect()
        wire.reader._transport.pause_reading()  # type: ignore[attr-defined]
        wire.writer.write(post(b"/gw/e", b"") * 200_000)
        await running.settled(lambda: running.listener.counts()["connections"] == 0)
        assert 0 < len(running.collector.calls) < 200_000


async def test_connections_beyond_the_cap_are_turned_away_with_a_word_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    async with edge(limits={"max_connections": 2, "header_timeout": 0.4}) as running:  # a sweep every 100 ms, and time to ask
        first, second = await running.connect(), await running.connect()
        await running.settled(lambda: running.listener.counts()["connections"] == 2)
        third = await running.connect()
        assert (await third.rest()).startswith(b"HTTP/1.1 503 ")
        await first.send(post(b"/gw/e", b""))
        assert (await first.answer())[1] == b"/gw/e:0"
        await running.settled(lambda: "max_connections" in caplog.text)
        assert running.listener.counts()["rejected"] == 1
        second.close()


async def test_forwarded_clients_are_resolved_per_request_on_one_connection() -> None:
    async with edge() as running:
        wire = await running.connect()
        for address in (b"203.0.114.7", b"203.0.114.8"):
            await wire.send(post(b"/gw/e", b"", b"X-Forwarded-For: 9.9.9.9, %b\r\nX-Forwarded-Proto: https\r\n" % address))
            await wire.answer()
        assert [call[2].public_ip for call in running.collector.calls] == ["203.0.114.7", "203.0.114.8"]
        assert running.collector.calls[0][2].scheme == "https"


async def test_an_absolute_target_finds_the_prefix() -> None:
    async with edge() as running:
        wire = await running.connect()
        await wire.send(b"GET http://shop.example/gw/px?k=1 HTTP/1.1\r\n" + H + b"\r\n")
        assert (await wire.answer())[1] == b"/gw/px:0"
        assert running.collector.calls[0][0].query == "k=1"
