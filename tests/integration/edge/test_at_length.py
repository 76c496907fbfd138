"""Short forms of the long runs in benchmarks/faults: generated exchanges, generated garbage."""

import random

import pytest
import uvloop

from benchmarks.faults import differential, fuzz, wire


def test_generated_exchanges_are_the_same_straight_and_through_the_gateway() -> None:
    outcome = uvloop.run(differential.run(300, seed=7_000_000))
    assert outcome.differences == []
    assert outcome.cases == 300


@pytest.mark.parametrize("side", ["client", "app"])
def test_generated_garbage_is_read_alike_or_refused(side: str) -> None:
    tally = uvloop.run(fuzz.run(0, seed=8_000_000, cases=400, side=side))
    assert tally.failures == []
    assert tally.streams == 400
    assert len(tally.answers) > 2


@pytest.mark.parametrize(
    ("request_bytes", "answer", "seen"),
    [
        (b"X-A: 1\r\nX-B: 2", b"", "the app saw"),
        (b"X-B: 2\r\nX-A: 1\r\nX-New: 3", b"", "the app saw"),
        (b"X-B: 2\r\nX-a: 1", b"", "the app saw"),
        (b"", b"Server: x", "the client saw"),
        (b"", b"\r\n\r\nmore", "the client saw"),
    ],
)
def test_the_comparison_notices(request_bytes: bytes, answer: bytes, seen: str) -> None:
    """A difference in order, case, number or body, on either side, is found."""
    told = b"\r\nX-Forwarded-For: 127.0.0.1\r\nX-Forwarded-Proto: http\r\nX-Forwarded-Host: shop.example\r\n\r\n"
    request = b"GET / HTTP/1.1\r\nHost: shop.example\r\nX-B: 2\r\nX-A: 1\r\n\r\n"
    answered = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"
    case = differential.Case(request, answered, closes=False)
    straight = differential.Exchanged(request, answered)
    good = differential.Exchanged(request[:-4] + told, answered)
    assert differential.compare(case, straight, good) == ""
    bad = differential.Exchanged(
        request.replace(b"X-B: 2\r\nX-A: 1", request_bytes or b"X-B: 2\r\nX-A: 1")[:-4] + told,
        answered if not answer else answered[:-4] + (answer if answer.startswith(b"\r\n") else b"\r\n" + answer + b"\r\n\r\n"),
    )
    assert seen in differential.compare(case, straight, bad)


def test_the_second_reading_notices_what_is_hidden_in_a_body() -> None:
    framing = wire.Framing()
    framing.feed(b"POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabcGET /b HTTP/1.1\r\nHost: a\r\n\r\n")
    assert [(each.target, each.body, each.complete) for each in framing.requests] == [(b"/a", b"abc", True), (b"/b", b"", True)]


def test_a_stream_is_its_fragments() -> None:
    for seed in range(200):
        rng = random.Random(seed)
        stream = fuzz.stream(rng)
        assert b"".join(fuzz.fragments(rng, stream)) == stream
