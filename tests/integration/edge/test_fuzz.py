"""Whatever bytes come, in whatever pieces: the listener answers or closes, never crashes, never hangs, and serves the next."""

import asyncio
import contextlib
import logging

import pytest
import uvloop
from edge_wire import OK, edge, replies, site
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

PIECES = [
    b"GET ", b"POST ", b"HEAD ", b"/", b"/gw/e", b"/gw/later", b"/a?b", b" HTTP/1.1\r\n", b" HTTP/1.0\r\n", b"\r\n", b"\n", b"\r\n\r\n",
    b"Host: a\r\n", b"Host: a b\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n", b"Connection: upgrade\r\n", b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n", b"Expect: 100-continue\r\n",
    b"3\r\nabc\r\n", b"0\r\n\r\n", b"abc", b"\x00", b"\xff", b":", b" ", b"X: y\r\n", b"X-Forwarded-For: 1.2.3.4, x\r\n",
]  # fmt: skip
COMPLETE = [
    b"GET /x HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST /gw/e HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc",
    b"POST /y HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"POST /gw/e HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
]
STREAM = st.lists(st.sampled_from(PIECES + COMPLETE) | st.binary(max_size=20), max_size=25).map(b"".join)
SETTINGS = settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))


async def _throw(data: bytes, cuts: list[int], *, upstream: bool) -> None:
    context = site(replies(OK)) if upstream else edge()
    async with context as made:
        running = made[0] if upstream else made  # type: ignore[index]
        wire = await running.connect()
        for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True):
            wire.writer.write(data[start:end])
            await asyncio.sleep(0)
        wire.end()
        for _ in range(3):
            await asyncio.sleep(0)
        for commit in running.collector.commits:
            commit.done() or commit.set_result(None)
        with contextlib.suppress(ConnectionError):
            await wire.rest()
        await running.settled(lambda: running.listener.counts()["connections"] == 0)
        after = await running.connect()
        await after.send(COMPLETE[1])
        assert (await after.answer())[1] == b"/gw/e:3"


@pytest.mark.parametrize("upstream", [False, True], ids=["collect", "pass-through"])
def test_any_bytes_in_any_pieces(upstream: bool, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.ERROR)

    @SETTINGS
    @given(data=STREAM, cuts=st.lists(st.integers(0, 400), max_size=5))
    def run(data: bytes, cuts: list[int]) -> None:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            failures: list[object] = []
            runner.get_loop().set_exception_handler(lambda _loop, context: failures.append(context))
            runner.run(_throw(data, sorted(min(cut, len(data)) for cut in cuts), upstream=upstream))
            assert failures == []

    run()
    assert not [record for record in caplog.records if record.exc_info and record.name.startswith("gateway")]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 64])
def test_pieces_make_no_difference(size: int) -> None:
    """The same stream of good requests gives the same answers however it is cut."""
    stream = b"".join(COMPLETE * 5)

    async def answers() -> list[bytes]:
        async with site(replies(OK)) as (running, origin):
            origin.play = _reads_everything
            wire = await running.connect()

            async def send() -> None:
                for at in range(0, len(stream), size):
                    wire.writer.write(stream[at : at + size])
                    await asyncio.sleep(0)

            sending = asyncio.create_task(send())
            bodies = [(await wire.answer())[1] for _ in range(20)]
            await sending
            return bodies

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        assert runner.run(answers()) == [b"ok", b"/gw/e:3", b"ok", b"/gw/e:3"] * 5


async def _reads_everything(seen) -> None:  # type: ignore[no-untyped-def]
    while True:
        head = await seen.head()
        if b"chunked" in head:
            await seen.reader.readuntil(b"0\r\n\r\n")
        await seen.send(OK)
