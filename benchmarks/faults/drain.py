"""SIGTERM under load: ``python -m benchmarks.faults.drain [--times 20] [--rate 200]`` (io).

Two gateways share a port. One after the other is ended with SIGTERM and started again while visitors that never repeat a request
keep coming: pages, posts, slow answers. No request may fail.
"""

import argparse
import asyncio
import sys
import time

import uvloop

from benchmarks.faults.app import App, Connection
from benchmarks.faults.gateways import gateways
from benchmarks.faults.visitors import Seen, Visitors

_BODY = b"x" * 2000


def request(number: int) -> bytes:
    """Two thirds pages, the rest posts and slow answers."""
    if number % 3 == 2:
        return b"POST /order/%d HTTP/1.1\r\nHost: shop.example\r\nContent-Length: %d\r\n\r\n%b" % (number, len(_BODY), _BODY)
    return b"GET %b%d HTTP/1.1\r\nHost: shop.example\r\n\r\n" % (b"/slow" if number % 20 == 0 else b"/page", number)


async def run(times: int, rate: float, *, delay_s: float = 1.0) -> tuple[Seen, list[float]]:
    """What the visitors saw, and how long each end took in seconds."""
    app = App()
    server = await asyncio.get_running_loop().create_server(lambda: Connection(app), "127.0.0.1", 0)
    upstream = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    took: list[float] = []
    async with gateways("first", "second", upstream=upstream, drain=f"delay: {delay_s}s, grace: 20s") as pair:
        visitors = Visitors(pair[0].port, request)
        enough = asyncio.Event()
        visiting = asyncio.create_task(visitors.visit(rate, enough))
        await asyncio.sleep(0.5)
        for number in range(times):
            ended = pair[number % 2]
            begin = time.monotonic()
            code = await ended.stop()
            took.append(time.monotonic() - begin)
            if code:
                raise RuntimeError(f"exit code {code}:\n{ended.log.read_text()[-2000:]}")
            await ended.start()
        enough.set()
        seen = await visiting
    server.close()
    return seen, took


def main() -> None:
    """Print the figures; exit 1 if a request failed."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.faults.drain", description="SIGTERM under load.")
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--rate", type=float, default=200)
    args = parser.parse_args()
    seen, took = uvloop.run(run(args.times, args.rate))
    print(
        f"{args.times} SIGTERMs at {args.rate:.0f} requests/s: {seen.sent} requests, {len(seen.failed)} failed {dict(seen.results)}, "
        f"{seen.reconnects} connections, p99 {seen.percentile_ms(0.99):.1f} ms, an end took {min(took):.1f} to {max(took):.1f} s"
    )
    sys.exit(1 if seen.failed else 0)


if __name__ == "__main__":
    main()
