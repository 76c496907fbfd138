"""The app is replaced under load: ``python -m benchmarks.faults.app_restart [--times 20] [--rate 300]`` (io).

A successor takes over the app's listening socket, then the old one finishes what runs and closes idle connections without a word;
besides, it closes every connection that was idle for 0.2 s, far less than the gateway expects. No GET may fail, no POST may be
read twice. A POST may fail if its connection was closed in the very moment of sending; how many did is printed.
"""

import argparse
import asyncio
import socket
import sys
import tempfile
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import uvloop

from benchmarks.faults.gateways import gateways
from benchmarks.faults.visitors import Seen, Visitors

KEEP_ALIVE_S = 0.2


def request(number: int) -> bytes:
    """Pages and posts by turns."""
    if number % 2:
        return b"POST /%d HTTP/1.1\r\nHost: shop.example\r\nContent-Length: 3\r\n\r\nabc" % number
    return b"GET /%d HTTP/1.1\r\nHost: shop.example\r\n\r\n" % number


@dataclass(slots=True)
class Restarted:
    """What a run saw."""

    seen: Seen
    failed_gets: int
    failed_posts: int
    twice: int
    """POSTs that the app read more than once."""
    lost: int
    """POSTs that were answered 200 and that no app has read."""


async def run(times: int, rate: float, *, pause_s: float = 1.0) -> Restarted:
    """Replace the app so many times."""
    with tempfile.TemporaryDirectory(prefix="ttgateway-app-") as folder, socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(1024)
        log = Path(folder) / "posts"

        async def start() -> asyncio.subprocess.Process:
            command = [
                sys.executable,
                "-m",
                "benchmarks.faults.app",
                str(listening.fileno()),
                "--log",
                str(log),
                "--keep-alive",
                str(KEEP_ALIVE_S),
            ]
            return await asyncio.create_subprocess_exec(*command, pass_fds=[listening.fileno()])

        app = await start()
        try:
            async with gateways("gateway", upstream=f"http://127.0.0.1:{listening.getsockname()[1]}") as (gateway,):
                visitors = Visitors(gateway.port, request)
                enough = asyncio.Event()
                visiting = asyncio.create_task(visitors.visit(rate, enough))
                for _ in range(times):
                    await asyncio.sleep(pause_s)
                    successor = await start()
                    await asyncio.sleep(0.3)
                    app.terminate()
                    await app.wait()
                    app = successor
                await asyncio.sleep(pause_s)
                enough.set()
                seen = await visiting
        finally:
            app.kill()
            await app.wait()
        read = Counter(log.read_bytes().split())
    failed = set(seen.failed)
    posts = {number for number in range(seen.sent) if number % 2}
    return Restarted(
        seen,
        failed_gets=len(failed - posts),
        failed_posts=len(failed & posts),
        twice=sum(count > 1 for count in read.values()),
        lost=sum(b"/%d" % number not in read for number in posts - failed),
    )


def main() -> None:
    """Print the figures; exit 1 if a promise was broken."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.faults.app_restart", description="The app is replaced under load."
    )
    parser.add_argument("--times", type=int, default=20)
    parser.add_argument("--rate", type=float, default=300)
    args = parser.parse_args()
    found = uvloop.run(run(args.times, args.rate))
    print(
        f"{args.times} restarts of the app at {args.rate:.0f} requests/s: {found.seen.sent} requests {dict(found.seen.results)}; "
        f"GETs failed {found.failed_gets}, POSTs failed {found.failed_posts}, read twice {found.twice}, answered but not read {found.lost}"
    )
    sys.exit(1 if found.failed_gets or found.twice or found.lost else 0)


if __name__ == "__main__":
    main()
