"""The same exchange straight and through the gateway, byte by byte: ``python -m benchmarks.faults.differential [--cases 5000]`` (io).

Law: what the gateway may change is written down here a second time, from the README's table and not from its code; every other
byte that the app or the client sees must be the same. Bodies are compared decoded, together with the way they were framed.
"""

import argparse
import asyncio
import gzip
import random
import sys
import time
from collections import Counter
from dataclasses import dataclass, field

import uvloop

from benchmarks.faults import wire

_PATIENCE_S = 10.0
Lines = list[bytes]

_METHODS = (b"GET", b"POST", b"PUT", b"HEAD", b"OPTIONS", b"DELETE", b"PATCH", b"PROPFIND", b"REPORT", b"TRACE")
_TARGETS = (
    b"/", b"/a/../b", b"/%2e%2e/x", b"/%41%27%zz", b"/x?", b"/x?a=b?c&d=%20+e", b"//evil.example/x", b"/a//b/./c/", b"/a;p=1,2!$'()*",
    b'/quote"<>|{}\\^`', b"/gwx", b"/GW/e", b"/%67w/e", b"http://shop.example/absolute?x", b"*", b"/" + b"l" * 8000, b"/?q=" + b"v" * 3000, b"/gw%2fe",
)  # fmt: skip
_FIELDS = (
    b"Accept: */*", b"aCCept: text/html;q=0.9", b"Accept-Encoding: gzip, br", b"User-Agent: x (y; z) \xe9", b"Cookie: a=1; b=2", b"Cookie: c=3",
    b"COOKIE: " + b"c" * 20000, b"X-B: 2", b"x-b: 3", b"X-Empty:", b"X-Colon: a:b: c", b"X-Latin: caf\xe9", b"X-Utf: \xc3\xa9\xf0\x9f\x98\x80", b"X-Tab: a\tb",
    b"Authorization: Bearer x.y.z", b"Referer: https://shop.example/?q=a b", b"Origin: null", b"If-None-Match: W/\"x\"", b"Range: bytes=0-1",
    b"X-Request-Id: 7f1c", b"traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01", b"tracestate: a=1,b=2", b"b3: 0",
    b"Content-Encoding: gzip", b"Content-Language: en", b"DNT: 1", b"Sec-Fetch-Dest: document", b"Sec-Fetch-Mode: navigate", b"Via: 1.1 cdn",
    b"X-Real-IP: 203.0.114.9", b"my_field: 1", b"Upgrade-Insecure-Requests: 1", b"Priority: u=1, i", b"X!#$%&'*+-.^`|~: t", b"Max-Forwards: 3",
)  # fmt: skip
_HOP = (
    b"Connection: keep-alive",
    b"Keep-Alive: timeout=5",
    b"Proxy-Connection: keep-alive",
    b"TE: trailers",
    b"Trailer: X-T",
    b"Connection: x-mine",
)
_FORWARDING = (
    b"X-Forwarded-For: 203.0.114.9",
    b"x-forwarded-for: 10.0.0.1, 10.0.0.2",
    b"X-Forwarded-Proto: https",
    b"X-Forwarded-Host: www.example",
)
_STATUSES = (
    b"200 OK", b"200 OK", b"200 OK", b"201 Made", b"206 Partial Content", b"299 Strange Brew", b"301 Moved", b"302 Found", b"400 Bad", b"401 No",
    b"404 Not Found", b"418 I'm a teapot", b"429 Slow", b"500 \xc3\xa9rreur", b"503 Later", b"599 ", b"204 No Content", b"304 Not Modified",
)  # fmt: skip
_ANSWER_FIELDS = (
    b"Content-Type: text/html; charset=utf-8", b"content-type: application/octet-stream", b"Server: shop/1", b"seRVer: x", b"Date: Thu, 01 Jan 1970 00:00:00 GMT",
    b"Set-Cookie: a=1; Path=/; HttpOnly", b"Set-Cookie: b=2; Domain=shop.example", b"SET-COOKIE: c=\xe9", b"Cache-Control: max-age=60", b"Cache-Control: no-store",
    b'ETag: "x"', b"Vary: Cookie", b"Location: /a/../b?%41", b"X-Empty:", b"X-Latin: caf\xe9", b"Content-Encoding: gzip", b"Link: </a.css>; rel=preload",
    b"Strict-Transport-Security: max-age=1", b"WWW-Authenticate: Basic realm=x", b"X-Long: " + b"y" * 30000, b"Age: 3", b"Alt-Svc: h3=\":443\"",
    b"X-Request-Id: 7f1c", b"Accept-Ranges: bytes", b"Content-Range: bytes 0-1/10", b"Content-Security-Policy: default-src 'self'",
)  # fmt: skip
_ANSWER_HOP = (
    b"Connection: keep-alive",
    b"Keep-Alive: timeout=5, max=100",
    b"Connection: x-his",
    b"Upgrade: h2c",
    b"Trailer: X-T",
)
_HOP_NAMES = frozenset(
    b"connection keep-alive proxy-connection proxy-authenticate proxy-authorization te trailer transfer-encoding upgrade".split()
)


@dataclass(slots=True)
class Exchanged:
    """One way's result: what the app received and what the client received."""

    request: bytes
    answer: bytes


@dataclass(slots=True)
class Case:
    """What the client sends and the app answers."""

    request: bytes
    answer: bytes
    closes: bool
    """The app ends the connection behind its answer."""


def _chunks(rng: random.Random, body: bytes) -> bytes:
    coded = b""
    while body:
        size = rng.randint(1, len(body))
        coded += b"%x%b\r\n%b\r\n" % (size, rng.choice((b"", b"", b";e=1")), body[:size])
        body = body[size:]
    return coded + b"0\r\n" + rng.choice((b"", b"", b"X-T: 1\r\n")) + b"\r\n"


def _body(rng: random.Random) -> bytes:
    body = rng.randbytes(rng.choice((0, 1, 2, 100, 5000, 70_000, 300_000)))
    return gzip.compress(body) if rng.random() < 0.2 else body


def make(rng: random.Random) -> Case:
    """A well-formed request and a well-formed answer to it."""
    method = rng.choice(_METHODS)
    target = b"*" if method == b"OPTIONS" and rng.random() < 0.3 else rng.choice([each for each in _TARGETS if each != b"*"])
    lines = [rng.choice((b"Host: shop.example", b"hOsT: shop.example")), *rng.sample(_FIELDS, rng.randint(0, 12))]
    if rng.random() < 0.4:
        lines += rng.sample(_HOP, rng.randint(1, 2))
        lines += [b"X-Mine: 1"] * (b"Connection: x-mine" in lines)
    if rng.random() < 0.3:
        lines += rng.sample(_FORWARDING, rng.randint(1, 3))
    body = b""
    if method not in {b"HEAD", b"TRACE"} and rng.random() < 0.6:
        body = _body(rng)
        if rng.random() < 0.5:
            lines.append(rng.choice((b"Content-Length: %d", b"content-length:%d", b"Content-Length:  %d ")) % len(body))
        else:
            lines.append(rng.choice((b"Transfer-Encoding: chunked", b"transfer-encoding: Chunked")))
            body = _chunks(rng, body)
    rng.shuffle(lines)
    request = b"\r\n".join((b"%b %b HTTP/1.1" % (method, target), *lines)) + b"\r\n\r\n" + body
    answer, closes = _answer(rng, method)
    return Case(request, answer, closes)


def _answer(rng: random.Random, method: bytes) -> tuple[bytes, bool]:
    interim = b"HTTP/1.1 103 Early Hints\r\nLink: </a.css>\r\nX-Early:\xe9\r\n\r\n" * (rng.random() < 0.1)
    status = rng.choice(_STATUSES)
    lines = rng.sample(_ANSWER_FIELDS, rng.randint(0, 8))
    if rng.random() < 0.4:
        lines += rng.sample(_ANSWER_HOP, rng.randint(1, 2))
        lines += [b"X-His: 1"] * (b"Connection: x-his" in lines)
    closes, old = rng.random() < 0.2, rng.random() < 0.1
    body = _body(rng)
    if closes and not old:
        lines.append(b"Connection: close")
    if status.startswith(b"204"):
        body = b""
    elif status.startswith(b"304"):
        lines += [b"Content-Length: %d" % len(body)] * (rng.random() < 0.5)
        body = b""
    elif rng.random() < 0.5 or (old and not closes):
        lines.append(rng.choice((b"Content-Length: %d", b"content-length:%d")) % len(body))
    elif rng.random() < 0.7 and not old:
        lines.append(b"Transfer-Encoding: chunked")
        body = _chunks(rng, body)
    elif method == b"HEAD":
        pass
    else:
        closes = True
    if method == b"HEAD":
        body = b""
    rng.shuffle(lines)
    closes = closes or old
    return interim + b"\r\n".join((b"HTTP/1.%d %b" % (not old, status), *lines)) + b"\r\n\r\n" + body, closes


# -- reading


def _split(message: bytes) -> tuple[bytes, Lines, bytes]:
    head, _, body = message.partition(b"\r\n\r\n")
    first, *lines = head.split(b"\r\n")
    return first, lines, body


def _name(line: bytes) -> bytes:
    return line.partition(b":")[0].lower()


def _value(lines: Lines, name: bytes) -> bytes | None:
    return next((line.partition(b":")[2].strip() for line in lines if _name(line) == name), None)


def dechunk(coded: bytes) -> bytes | None:
    """The body inside; None if it is not complete, or more than one."""
    body = b""
    while True:
        size, mark, coded = coded.partition(b"\r\n")
        if not mark:
            return None
        length = int(size.partition(b";")[0], 16)
        if not length:
            while not coded.startswith(b"\r\n"):
                _, mark, coded = coded.partition(b"\r\n")
                if not mark:
                    return None
            return body if coded == b"\r\n" else None
        if coded[length : length + 2] != b"\r\n":
            return None
        body += coded[:length]
        coded = coded[length + 2 :]


# -- what is declared


def _without_hop(lines: Lines) -> Lines:
    """Hop-by-hop fields and those that Connection names end here; white space around values is the parser's."""
    named = {
        token.strip().lower() for line in lines if _name(line) == b"connection" for token in line.partition(b":")[2].split(b",")
    }
    named -= {b"keep-alive", b"close", b"upgrade"}
    kept = [line for line in lines if _name(line) not in _HOP_NAMES and _name(line) not in named]
    return [b"%b: %b" % (line.partition(b":")[0], line.partition(b":")[2].strip(b" \t")) for line in kept]


def declared_request(first: bytes, lines: Lines) -> bytes:
    """What the app sees of a request's head that came from 127.0.0.1, which is trusted."""
    kept = _without_hop(lines)
    seen: dict[bytes, int] = {_name(line): at for at, line in enumerate(kept)}
    for name, told in (
        (b"X-Forwarded-For", b"127.0.0.1"),
        (b"X-Forwarded-Proto", b"http"),
        (b"X-Forwarded-Host", b"shop.example"),
    ):
        at = seen.get(name.lower())
        if at is None:
            kept.append(b"%b: %b" % (name, told))
        elif name == b"X-Forwarded-For":
            kept[at] += b", " + told
    if _value(lines, b"transfer-encoding") is not None:
        kept.append(b"Transfer-Encoding: chunked")
    return b"\r\n".join((first, *kept))


def declared_answer(first: bytes, lines: Lines, method: bytes) -> bytes:
    """What the client sees of an answer's head."""
    kept = _without_hop(lines)
    status = first[9:12]
    if status == b"204":
        kept = [line for line in kept if _name(line) != b"content-length"]
    bodied = status not in {b"204", b"304"} and method != b"HEAD" and _value(lines, b"content-length") is None
    if status not in {b"204", b"304"} and (bodied or _value(lines, b"transfer-encoding") is not None):
        kept.append(b"Transfer-Encoding: chunked")
    return b"\r\n".join((b"HTTP/1.1 " + first[9:], *kept))


def compare(case: Case, straight: Exchanged, through: Exchanged) -> str:
    """What differs beyond the declared; '' if nothing does."""
    if straight.request != case.request or straight.answer != case.answer:
        return "the straight way is not what was meant"
    first, lines, body = _split(straight.request)
    got_first, got_lines, got_body = _split(through.request)
    got, want = b"\r\n".join((got_first, *got_lines)), declared_request(first, lines)
    if got != want:
        return f"the app saw {got[:1500]!r}\n    instead of {want[:1500]!r}"
    if _value(lines, b"transfer-encoding") is not None:
        body, got_body = dechunk(body) or b"", dechunk(got_body) if got_body else b""  # type: ignore[assignment]
    if body != got_body:
        return "the app saw another body"
    method = first.partition(b" ")[0]
    said, received = straight.answer, through.answer
    while said.startswith(b"HTTP/1.1 103"):
        first, lines, said = _split(said)
        got_first, got_lines, received = _split(received)
        if [got_first, *got_lines] != [first, *_without_hop(lines)]:
            return f"early hints became {got_first!r} {got_lines!r}"
    first, lines, body = _split(said)
    got_first, got_lines, got_body = _split(received)
    got, want = b"\r\n".join((got_first, *got_lines)), declared_answer(first, lines, method)
    if got != want:
        return f"the client saw {got[:1500]!r}\n    instead of {want[:1500]!r}"
    if body and _value(lines, b"transfer-encoding") is not None:
        body = dechunk(body) or b""
    if got_body and _value(got_lines, b"transfer-encoding") is not None:
        decoded = dechunk(got_body)
        if decoded is None:
            return "the client saw broken chunks"
        got_body = decoded
    return "" if body == got_body else "the client saw another body"


# -- both ways


@dataclass(slots=True)
class Outcome:
    """What a run saw."""

    cases: int = 0
    kinds: Counter[str] = field(default_factory=Counter)
    differences: list[str] = field(default_factory=list)


def _complete(method: bytes, received: bytearray) -> bool:
    data = bytes(received)
    while data.startswith(b"HTTP/1.1 1") and b"\r\n\r\n" in data:
        data = data.partition(b"\r\n\r\n")[2]
    if b"\r\n\r\n" not in data:
        return False
    first, lines, body = _split(data)
    if first[9:12] in {b"204", b"304"} or method == b"HEAD":
        return True
    length = _value(lines, b"content-length")
    if length is not None:
        return len(body) >= int(length)
    return _value(lines, b"transfer-encoding") is not None and body.endswith(b"0\r\n\r\n") and dechunk(body) is not None


async def _exchange(edge: wire.Edge, case: Case, port: int, rng: random.Random) -> Exchanged:
    """Send and receive one way, on a connection of its own; the request goes out in a few pieces."""
    caller = await edge.call(port)
    cut = rng.randint(0, len(case.request))
    caller.transport.write(case.request[:cut])
    await asyncio.sleep(0)
    caller.transport.write(case.request[cut:])
    method = case.request.partition(b" ")[0]
    straight = port == edge.app.port
    async with asyncio.timeout(_PATIENCE_S):
        if straight and case.closes:
            await caller.closed
        elif straight:
            await caller.until(lambda got: len(got) >= len(case.answer))
        else:
            await caller.until(lambda got: _complete(method, got))
    caller.transport.abort()
    request = bytes(edge.app.connections[-1].raw)
    received = bytes(caller.received)
    await edge.at_rest()
    return Exchanged(request, received)


async def run(cases: int, seed: int) -> Outcome:
    """Compare so many exchanges."""
    outcome = Outcome()
    async with wire.edge() as edge:
        for number in range(seed, seed + cases):
            rng = random.Random(number)
            case = make(rng)
            edge.app.answer = lambda _asked, case=case: (case.answer, case.closes)  # type: ignore[misc]
            way = "straight"
            try:
                straight = await _exchange(edge, case, edge.app.port, rng)
                way = "through the gateway"
                through = await _exchange(edge, case, edge.listener.port, rng)
                problem = compare(case, straight, through)
            except TimeoutError:
                problem = f"no complete answer {way}"
                await edge.at_rest()
            except IndexError:
                problem = f"the app was never reached {way}"
                await edge.at_rest()
            if problem:
                outcome.differences.append(
                    f"seed {number}: {problem}\n    request {case.request[:700]!r}\n    answer {case.answer[:700]!r}"
                )
                if len(outcome.differences) >= 10:
                    break
            outcome.cases += 1
            outcome.kinds[case.request.partition(b" ")[0].decode()] += 1
            if edge.crashes:
                outcome.differences.append(f"seed {number}: crash {edge.crashes.pop()}")
    return outcome


def main() -> None:
    """Print the count and every difference; exit 1 if there is one."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults.differential", description="Straight and through the gateway, compared."
    )
    parser.add_argument("--cases", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    begin = time.monotonic()
    outcome = uvloop.run(run(args.cases, args.seed))
    for difference in outcome.differences:
        print(difference)
    print(
        f"{outcome.cases} exchanges in {time.monotonic() - begin:.0f} s {dict(outcome.kinds)}: {len(outcome.differences)} undeclared differences"
    )
    sys.exit(1 if outcome.differences else 0)


if __name__ == "__main__":
    main()
