"""``make bench``: every scenario in one go, with progress, a table, latest.json and a picture."""

import argparse
import os
import shlex
import sys
import tempfile
import time
from pathlib import Path

from benchmarks import account, headroom, machine, report, stack
from benchmarks.account import Account
from benchmarks.figure import Context, Figure
from benchmarks.scenarios import backlog, collect, latency, management, outage, proxy

SCENARIOS = {
    "collect": collect,
    "proxy": proxy,
    "latency": latency,
    "backlog": backlog,
    "outage": outage,
    "management": management,
}


def repeat(arguments: list[str]) -> str:
    """The command that repeats this run from the repository's root: with this interpreter, for the packages are in its environment only."""
    return shlex.join([sys.executable, "-m", "benchmarks", *arguments])


def main() -> None:
    """Run the chosen scenarios; the exit code says only whether they ran."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description="The benchmark table of the README, measured here.")
    parser.add_argument(
        "--quick", action="store_true", help="one short run each, about two minutes, compared with the reference of such runs"
    )
    parser.add_argument("--only", action="append", choices=SCENARIOS, help="run only these (repeatable)")
    parser.add_argument("--folder", type=Path, help="scratch folder on the disk to be measured (default: a temporary one)")
    parser.add_argument(
        "--python", help="interpreter with an installed build of the gateway to measure (default: this tree's sources)"
    )
    parser.add_argument(
        "--keep",
        action="store_true",
        help="make this run the reference; a full one renews the README's table and picture as well",
    )
    args = parser.parse_args()
    if args.keep and args.only:
        parser.error("a reference is one whole run: --keep goes without --only")
    if args.python:
        stack.use(args.python)
    begin = time.monotonic()

    def say(text: str) -> None:
        print(f"[{time.monotonic() - begin:5.0f} s] {text}", file=sys.stderr, flush=True)

    os.sched_setaffinity(0, {machine.load_core()})
    figures: list[Figure] = []
    accounts: dict[str, Account] = {}
    with tempfile.TemporaryDirectory(prefix="ttgateway-bench-", dir=args.folder) as folder:
        described = machine.describe(Path(folder)) | {"build": stack.build()}
        context = Context(Path(folder), args.quick, say)
        say(
            f"{described['cpu']}, {described['cores']} cores, fsync {described['fsync_ms']} ms, {described['build']} build, server on core {machine.server_core()}, load on core {machine.load_core()}"
        )
        say("TikTok's stand-in alone")
        described["sandbox"] = sandbox = headroom.alone(context.folder / "headroom")
        for name in args.only or SCENARIOS:
            found, kept = SCENARIOS[name].run(context)
            figures += found
            if kept:
                accounts[name] = kept
    if accounts:
        figures.append(account.figure(accounts))
    figures.sort(key=lambda figure: figure.id)
    print(report.table(figures))
    print("\n".join(headroom.lines(sandbox, figures)))
    print(f"machine: {described}")
    print(f"repeat with, from the repository's root: {repeat(sys.argv[1:])}")
    report.write(figures, described, report.RESULTS / "latest.json", quick=args.quick)
    if drawn := report.picture(figures, report.RESULTS / "latest.svg"):
        say(f"wrote {report.RESULTS / 'latest.json'} and latest.svg")
    for line in report.compare(figures, described, report.reference(quick=args.quick)):
        print(line)
    if args.keep:
        say(f"kept as the reference: {', '.join(path.name for path in report.keep(quick=args.quick, drawn=drawn))}")


if __name__ == "__main__":
    main()
