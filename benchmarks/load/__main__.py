"""``python -m benchmarks.load --url … --rate … --duration …``: load for your own deployment, accounted answer by answer."""

import argparse
import json
import sys
import uuid
from urllib.parse import urlsplit

import uvloop

from benchmarks.load.generator import Generator, Result
from benchmarks.load.requests import collect_request, get_request


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.load",
        description="Sends events (or page views with --get) to a gateway and reports rates, latencies and statuses.",
        epilog="Only aim it at a deployment of your own. Example: python -m benchmarks.load --url http://127.0.0.1:8080/gw/e --rate 500 --duration 30",
    )
    parser.add_argument("--url", required=True, help="http://host:port/path, e.g. http://127.0.0.1:8080/gw/e")
    parser.add_argument(
        "--rate", type=float, default=0, help="requests a second, open loop; 0 = closed loop, as fast as it goes (default)"
    )
    parser.add_argument("--duration", type=float, default=10, help="seconds (default 10, at most 3600)")
    parser.add_argument("--connections", type=int, default=64, help="keep-alive connections (default 64)")
    parser.add_argument("--batch", type=int, default=1, help="events per request (default 1)")
    parser.add_argument("--key", default="", help="pipeline key, sent as Authorization: Bearer")
    parser.add_argument("--get", action="store_true", help="send GET requests instead of events")
    parser.add_argument("--run", default=uuid.uuid4().hex[:8], help="prefix of the event ids (default random)")
    parser.add_argument("--json", action="store_true", help="print one JSON object")
    return parser.parse_args()


async def _run(args: argparse.Namespace) -> Result:
    url = urlsplit(args.url)
    if url.scheme != "http" or not url.hostname:
        sys.exit("--url must be http://host:port/path (put TLS in front of a test deployment out of the way)")
    path = (url.path or "/") + (f"?{url.query}" if url.query else "")
    host = url.netloc
    headers = (f"Authorization: Bearer {args.key}",) if args.key else ()
    make = get_request(host, path) if args.get else collect_request(host, path, args.run, batch=args.batch, headers=headers)
    generator = Generator(url.hostname, url.port or 80, make, connections=args.connections)
    await generator.connect()
    duration = min(args.duration, 3600.0)
    try:
        return await (generator.open_loop(args.rate, duration) if args.rate else generator.closed_loop(duration))
    finally:
        generator.close()


def main() -> None:
    """Run and print; exit 1 if any request was not answered 2xx."""
    args = _arguments()
    try:
        result = uvloop.run(_run(args))
    except OSError as error:
        sys.exit(f"cannot reach {args.url}: {error}")
    figures = {
        "run": args.run, "seconds": round(result.seconds, 3), "sent": result.sent, "ok": result.ok,
        "events": result.ok * (1 if args.get else args.batch), "requests_per_s": round(result.rate, 1),
        "statuses": {str(k): v for k, v in sorted(result.statuses.items())},
        "latency_ms": {k: round(v, 3) for k, v in result.percentiles_ms().items()},
    }  # fmt: skip
    if args.json:
        print(json.dumps(figures))
    else:
        for name, value in figures.items():
            print(f"{name:>15}  {value}")
    sys.exit(0 if result.ok == result.sent else 1)


if __name__ == "__main__":
    main()
