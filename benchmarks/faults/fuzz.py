"""Raw bytes in random fragments against the edge: ``python -m benchmarks.faults.fuzz [--seconds 600] [--seed N]`` (io).

Law: whatever comes, the listener answers or closes – no crash, no hang – and the app reads what it gets as the gateway meant it.
Three readings of every stream must agree: the gateway's, that of h11 behind it, and that of h11 in its place, as far as that goes
without an objection. After each stream another client must get its own answer over the same pool. A failing case prints its seed.
"""

import argparse
import asyncio
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import h11
import uvloop

from benchmarks.faults import wire

_HANG_S = 10.0
_METHODS = (b"GET", b"GET", b"POST", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"PROPFIND")
_TARGETS = (
    b"/", b"/a", b"/a?b=c&d", b"/gw/e", b"/gw/v1/t?x", b"/gw", b"/gwx", b"/%2e%2e/%41", b"//x", b"/a/../b", b"http://a/abs", b"*",
    b"/'\"<>|{}^`\\", b"/" + b"p" * 300,
)  # fmt: skip
_FIELDS = (
    b"Accept: */*", b"Accept: text/html", b"Cookie: a=1; b=2", b"cookie: c=3", b"Connection: keep-alive", b"Connection: close",
    b"Connection: x-a, keep-alive", b"X-A: 1", b"x-a: 2", b"X-Empty:", b"X-8: \xe9\xff", b"TE: trailers", b"Trailer: X-T",
    b"X-Forwarded-For: 1.2.3.4, 10.0.0.1", b"Forwarded: for=1.2.3.4", b"X-Forwarded-Proto: https", b"Content-Type: text/plain",
    b"Content-Encoding: gzip", b"Sec-Fetch-Dest: document", b"Keep-Alive: timeout=5", b"X-Long: " + b"y" * 2000,
    b"Upgrade: h2c", b"User-Agent: \tx\t y ",
)  # fmt: skip
_NASTY = (
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\n\n", b"\x00", b"\x0b", b"\x7f", b"\xff", b" ", b"\t", b":", b",", b";", b"Transfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding : chunked\r\n", b"Transfer_Encoding: chunked\r\n", b"transfer-encoding:\tchunked\r\n",
    b"Transfer-Encoding: chunked, identity\r\n", b"Content-Length: 3\r\n", b"Content-Length: 0\r\n", b"Content-Length: +3\r\n",
    b"Content-Length: 3, 3\r\n", b"Content-Length: 0003\r\n", b"content_length: 5\r\n", b"Host: b\r\n", b"Host: a, b\r\n", b"0\r\n\r\n", b"3\r\nabc\r\n",
    b"3;x=y\r\nabc\r\n", b"0x3\r\nabc\r\n", b"ffffffffffffffff\r\n", b"00000000000000003\r\nabc\r\n", b" HTTP/1.0", b" HTTP/1.1", b" HTTP/2.0",
    b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Connection: host\r\n", b"Connection: content-length\r\n", b"Expect: 100-continue\r\n",
    b"Expect: odd\r\n", b"X: y\r\n z\r\n", b"GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n", b"\x16\x03\x01", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
)  # fmt: skip


def _chunked(rng: random.Random, body: bytes) -> bytes:
    pieces = []
    while body:
        size = rng.randint(1, len(body))
        extension = rng.choice((b"", b"", b"", b";x", b";a=b", b';q="z"'))
        written = (b"%x", b"%X", b"0%x", b"000%x")[rng.randrange(4)] % size
        pieces.append(written + extension + b"\r\n" + body[:size] + b"\r\n")
        body = body[size:]
    return b"".join(pieces) + b"0\r\n" + rng.choice((b"", b"", b"X-T: 1\r\n")) + b"\r\n"


def _request(rng: random.Random) -> bytes:
    """A request that is well-formed, mostly."""
    lines = [b"%b %b HTTP/1.%d" % (rng.choice(_METHODS), rng.choice(_TARGETS), rng.random() < 0.93), b"Host: a"]
    lines += rng.sample(_FIELDS, rng.randint(0, 4))
    body = rng.randbytes(rng.choice((0, 1, 3, 20, 200, 5000))) if rng.random() < 0.5 else b""
    match rng.randrange(6):
        case 0 | 1:
            lines.append(b"Content-Length: %d" % len(body))
        case 2 | 3:
            lines.append(rng.choice((b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked")))
            body = _chunked(rng, body)
        case 4:
            lines += [b"Connection: Upgrade", b"Upgrade: websocket"]
            body = b"" if rng.random() < 0.5 else body
        case _:
            body = b""
    if rng.random() < 0.1:
        lines.append(b"Expect: 100-continue")
    if rng.random() < 0.3:
        rng.shuffle(lines[1:])
    return b"\r\n".join(lines) + b"\r\n\r\n" + body


def _mutated(rng: random.Random, data: bytes) -> bytes:
    for _ in range(rng.randint(1, 4)):
        at = rng.randint(0, len(data))
        match rng.randrange(7):
            case 0 | 1:
                data = data[:at] + rng.choice(_NASTY) + data[at:]
            case 2:
                # where fields are, which is where it hurts
                ends = [index + 2 for index in range(len(data) - 1) if data[index : index + 2] == b"\r\n"][:12]
                at = rng.choice(ends) if ends else at
                data = data[:at] + rng.choice(_NASTY) + data[at:]
            case 3:
                data = data[:at] + data[at + rng.randint(1, 8) :]
            case 4 if data:
                at = rng.randrange(len(data))
                data = data[:at] + bytes([rng.randrange(256)]) + data[at + 1 :]
            case 5:
                end = min(len(data), at + rng.randint(1, 60))
                data = data[:end] + data[at:end] + data[end:]
            case _:
                data = data[:at] + rng.randbytes(rng.randint(1, 12)) + data[at:]
    return data


def stream(rng: random.Random) -> bytes:
    """What one client sends."""
    kind = rng.random()
    if kind < 0.02:
        return rng.randbytes(rng.randint(0, 400))
    requests = [_request(rng) for _ in range(rng.choice((1, 1, 1, 2, 2, 3, 5)))]
    if kind < 0.25:
        return b"".join(requests)
    at = rng.randrange(len(requests))
    requests[at] = _mutated(rng, requests[at])
    return b"".join(requests)


def fragments(rng: random.Random, data: bytes) -> list[bytes]:
    """The stream, cut anywhere."""
    if rng.random() < 0.05:
        return [data[at : at + 1] for at in range(min(len(data), 300))] + [data[300:]]
    cuts = sorted(rng.randint(0, len(data)) for _ in range(rng.choice((0, 0, 1, 2, 3, 8))))
    return [data[start:end] for start, end in zip([0, *cuts], [*cuts, len(data)], strict=True)]


@dataclass(slots=True)
class Tally:
    """What a run saw."""

    streams: int = 0
    passed: int = 0
    refused: int = 0
    answers: Counter[int] = field(default_factory=Counter)
    lenient: dict[str, bytes] = field(default_factory=dict)
    """What we read and h11 objects to: objection → an example."""
    failures: list[str] = field(default_factory=list)


async def _send(caller: wire.Caller, pieces: list[bytes], rng: random.Random) -> None:
    for piece in pieces:
        if caller.transport.is_closing():
            return
        caller.transport.write(piece)
        for _ in range(rng.choice((0, 1, 1, 2, 4))):
            await asyncio.sleep(0)
    if not caller.transport.is_closing():
        caller.transport.write_eof()


async def one(edge: wire.Edge, seed: int, tally: Tally) -> None:
    """One stream and the client after it; whatever is wrong is noted in ``tally.failures``."""
    rng = random.Random(seed)
    data = stream(rng)
    edge.app.switches = rng.random() < 0.5
    caller = await edge.call()
    problem = ""
    try:
        async with asyncio.timeout(_HANG_S):
            await _send(caller, fragments(rng, data), rng)
            await caller.closed
            after = await edge.call()
            canary = wire.Asked(b"GET", b"/canary-%d" % seed)
            after.transport.write(b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % canary.target)
            await after.until(lambda got: got.endswith(canary.digest()))
            if not after.received.endswith(canary.digest()):
                problem = f"the next client got {bytes(after.received)!r}"
            after.transport.abort()
    except TimeoutError:
        problem = f"hang; the client has {bytes(caller.received[-200:])!r}"
        caller.transport.abort()
    problem = problem or _judge(edge, data, tally)
    if edge.crashes:
        problem = f"crash: {edge.crashes.pop()}"
    if problem:
        tally.failures.append(f"seed {seed}: {problem}\n    stream {data[:1500]!r}")
    tally.streams += 1
    status = bytes(caller.received[9:12])
    tally.answers[int(status) if status.isdigit() else 0] += 1  # 0: no answer
    await edge.at_rest()


def _judge(edge: wire.Edge, data: bytes, tally: Tally) -> str:
    """Compare the three readings."""
    if edge.app.objections():
        return f"the app cannot read what it got: {edge.app.objections()}"
    ours = [asked for asked in edge.passed if not asked.target.startswith(b"/canary-")]
    seen = [asked for asked in edge.app.asked if not asked.target.startswith(b"/canary-")]
    meant = iter([asked for asked in ours if asked.complete])
    for asked in seen:  # an answer that nobody waits for any more may have kept one of ours from being read, never added one
        if not any(asked == ours_next for ours_next in meant):
            return f"the app read {asked}, which the gateway did not mean"
    second = wire.Framing()
    second.feed(data)
    tally.passed += len(ours)
    # the bare prefix is answered 404 without being passed on
    requests = [asked for asked in second.requests if asked.target.partition(b"?")[0] != b"/gw"]
    for number, asked in enumerate(ours):
        theirs = requests[number] if number < len(requests) else None
        if theirs is None and second.ended and second.http10:
            return ""
        if theirs is None or (asked.complete and not theirs.complete):
            if second.objection:
                tally.lenient.setdefault(second.objection, data)
                return ""
            return f"the gateway read {asked}, h11 {theirs}"
        if (asked.method, asked.target) != (theirs.method, theirs.target) or (asked.complete and asked.body != theirs.body):
            return f"the gateway read {asked}, h11 {theirs}"
    return ""


# -- the app's side

_APP_FIELDS = (
    b"Content-Type: text/html", b"Set-Cookie: a=1", b"Set-Cookie: b=2", b"Cache-Control: no-store", b"Connection: close", b"Connection: keep-alive",
    b"Server: x", b"X-8: \xe9", b"Keep-Alive: timeout=2", b"X-Empty:", b"Upgrade: h2c", b"Trailer: X", b"Date: y",
)  # fmt: skip


def _answer(rng: random.Random) -> bytes:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: <x>\r\n\r\n" * (rng.random() < 0.1)
    status = rng.choice(
        (b"200 OK", b"200 OK", b"404 Not Found", b"302 Found", b"204 No Content", b"304 Not Modified", b"500 \xc3\xa9", b"200 ")
    )
    lines = [b"HTTP/1.%d %b" % (rng.random() < 0.9, status), *rng.sample(_APP_FIELDS, rng.randint(0, 4))]
    body = rng.randbytes(rng.choice((0, 1, 10, 3000)))
    match rng.randrange(4):
        case 0 | 1:
            lines.append(b"Content-Length: %d" % len(body))
        case 2:
            lines.append(b"Transfer-Encoding: chunked")
            body = _chunked(rng, body)
        case _:
            pass
    return interim + b"\r\n".join(lines) + b"\r\n\r\n" + body


def _read(data: bytes, method: bytes) -> tuple[int, bytes] | None:
    """h11's reading of an answer that ended with its connection: status and body, None if it is no complete answer."""
    connection = h11.Connection(h11.CLIENT, max_incomplete_event_size=wire.MAX_HEAD_BYTES)
    connection.send(h11.Request(method=method, target="/", headers=[("Host", "a")]))
    connection.send(h11.EndOfMessage())
    status, body = 0, b""
    try:
        connection.receive_data(data)
        fed = False
        while True:
            match connection.next_event():
                case h11.Response(status_code=status):
                    pass
                case h11.Data(data=piece):
                    body += bytes(piece)
                case h11.EndOfMessage():
                    return status, body
                case h11.NEED_DATA if not fed:
                    connection.receive_data(b"")
                    fed = True
                case h11.InformationalResponse():
                    pass
                case _:
                    return None
    except h11.RemoteProtocolError:
        return None


async def one_answer(edge: wire.Edge, seed: int, tally: Tally) -> None:
    """One answer of the app, perhaps broken; what the client can take for complete must be what the app meant."""
    rng = random.Random(seed)
    said = _answer(rng)
    if rng.random() < 0.75:
        said = _mutated(rng, said)
    method = rng.choice((b"GET", b"GET", b"GET", b"HEAD"))
    told = 0

    def answer(_asked: wire.Asked) -> tuple[bytes, bool]:
        nonlocal told
        told += 1
        return said, True

    edge.app.answer = answer
    caller = await edge.call()
    problem = ""
    try:
        async with asyncio.timeout(_HANG_S):
            caller.transport.write(method + b" / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n")
            await caller.closed
    except TimeoutError:
        problem = "hang"
        caller.transport.abort()
    received = bytes(caller.received)
    got, meant = _read(received, method), _read(said, method)
    tally.answers[got[0] if got else 0] += 1
    if not problem and got is not None and got[0] not in {502, 504} and got != meant:
        if meant is not None:
            problem = f"the app meant {meant!r}, the client read {got!r}"
        else:
            tally.lenient.setdefault(f"answer {got[0]}", said)
    if not received:
        problem = problem or "no answer at all"
    if told > 1:
        problem = problem or f"asked {told} times"
    if edge.crashes:
        problem = f"crash: {edge.crashes.pop()}"
    if problem:
        tally.failures.append(f"seed {seed}: {problem}\n    app said {said!r}\n    client got {received!r}")
    tally.streams += 1
    await edge.at_rest()


async def run(seconds: float, seed: int, *, cases: int = 0, side: str = "both") -> Tally:
    """Fuzz for so long, or so many cases."""
    tally = Tally()
    deadline = time.monotonic() + seconds
    async with wire.edge() as edge:
        plain = edge.app.answer
        while (tally.streams < cases) if cases else (time.monotonic() < deadline):
            if side == "app" or (side == "both" and seed % 4 == 0):
                await one_answer(edge, seed, tally)
                edge.app.answer = plain
            else:
                await one(edge, seed, tally)
            seed += 1
            if len(tally.failures) >= 20:
                break
        tally.refused = edge.listener.counts()["refused"]
    return tally


def main() -> None:
    """Print the count and every failure; exit 1 if there is one."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults.fuzz", description="Raw bytes in random fragments against the edge."
    )
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--cases", type=int, default=0, help="so many cases instead of --seconds")
    parser.add_argument("--side", choices=("client", "app", "both"), default="both")
    args = parser.parse_args()
    begin, spent = time.monotonic(), time.process_time()
    tally = uvloop.run(run(args.seconds, args.seed, cases=args.cases, side=args.side))
    for failure in tally.failures:
        print(failure)
    for objection, example in tally.lenient.items():
        print(f"read by us, objected to by h11 ({objection[:80]}): {example[:160]!r}")
    print(
        f"{tally.streams} streams from seed {args.seed} in {time.monotonic() - begin:.0f} s ({time.process_time() - spent:.0f} CPU-s): "
        f"{tally.passed} requests passed on or collected, {tally.refused} refused, first answers {dict(sorted(tally.answers.items()))}, "
        f"{len(tally.failures)} failures"
    )
    sys.exit(1 if tally.failures else 0)


if __name__ == "__main__":
    main()
