"""Whatever bytes come, in whatever pieces: the listener answers or closes, never crashes, never hangs, and serves the next."""

import asyncio
import contextlib
import logging
import re

import pytest
import uvloop
from edge_wire import OK, Collecting, Counting, edge, replies, site
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.edge.context import Context
from gateway.edge.plain import UNREAD, PlainReader
from gateway.edge.protocol import EdgeProtocol
from gateway.edge.settings import EdgeSettings

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


class _Written:
    """A transport that keeps what is written."""

    def __init__(self) -> None:
        self.data = b""
        self.closed = False

    def get_extra_info(self, name: str) -> object:
        return ("127.0.0.1", 1) if name == "peername" else None

    def write(self, data: bytes) -> None:
        self.data += data

    def close(self) -> None:
        self.closed = True

    abort = write_eof = pause_reading = resume_reading = close

    def can_write_eof(self) -> bool:
        return True

    def is_closing(self) -> bool:
        return self.closed

    def get_write_buffer_size(self) -> int:
        return 0


async def _replay(segments: list[bytes], *, plain: bool) -> tuple[bytes, bool, list[object]]:
    """What is written and collected if ``segments`` come one after the other, each worked off before the next."""
    collector, transport = Collecting(), _Written()
    context = Context(EdgeSettings(), collector, Counting(), None, asyncio.get_running_loop())
    if not plain:
        context.plain = PlainReader("/nowhere/", 1024, 16)
    connection = EdgeProtocol(context)
    connection.connection_made(transport)  # type: ignore[arg-type]
    for segment in segments:
        if not transport.closed:
            connection.data_received(segment)
        for _ in range(8):
            await asyncio.sleep(0)
    at_work = connection.at_work
    connection.connection_lost(None)
    seen: list[object] = [
        (
            head.method,
            head.target,
            {name.lower(): value for name, value in head.headers.items() if name.lower() not in UNREAD},
            head.version,
            body,
        )
        for head, body, _ in collector.calls
    ]
    return transport.data, at_work, seen


WHOLE = [
    *COMPLETE[:3],
    b"POST /gw/e HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n",
    b"POST /gw/e HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 0\r\n\r\n",
    b"GET /x HTTP/1.1\r\nHost: a\r\nX:y\r\nY:z\r\n\r\n",
    b"GET /gw/e HTTP/1.0\r\nConnection: keep-alive\r\n\r\n",
    b"POST /gw/e HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\n\r\n\r\n"[:-1],
]
TAIL = st.sampled_from([b"", b"", b"\r\n", b"P", b"GET", b"hello", *WHOLE])
CUT = st.tuples(st.sampled_from(WHOLE), TAIL).flatmap(
    lambda pair: st.integers(0, len(pair[0])).map(lambda at: [pair[0][:at], pair[0][at:] + pair[1]])
)
SEGMENTS = st.lists(st.sampled_from([[whole] for whole in WHOLE] + [[COMPLETE[1]]] * 8) | CUT, max_size=8).map(
    lambda parts: [segment for part in parts for segment in part if segment]
)


@SETTINGS
@given(segments=SEGMENTS)
def test_the_way_past_the_parser_makes_no_difference(segments: list[bytes]) -> None:
    with asyncio.Runner() as runner:
        past, through = (runner.run(_replay(segments, plain=plain)) for plain in (True, False))
    assert past == through


def test_what_follows_a_head_that_ends_where_two_pieces_meet_is_answered() -> None:
    first, second = b"GET /gw/e HTTP/1.1\r\nHost: a\r\n\r\n", COMPLETE[0]
    with asyncio.Runner() as runner:
        written, _, _ = runner.run(_replay([first[:-2], first[-2:] + second, COMPLETE[1]], plain=True))
    assert re.findall(rb"HTTP/1.1 (\d+)", written) == [b"200", b"404", b"200"]
