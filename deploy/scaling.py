"""How many pods, brokers and dollars so many events a second take: ``python deploy/scaling.py [--help]`` (io).

Law: computed from the CPU per event that was measured in one run of one build (``scaling.json``) and from TikTok's
quotas; all else is an argument whose default is an assumption. ``--write`` puts the table into README.md, ``--check`` says whether it is there and exits 1 if not.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from math import ceil
from pathlib import Path

ROOT = Path(__file__).parent
README = ROOT / "README.md"
BEGIN, END = "<!-- made by deploy/scaling.py -->\n", "<!-- end -->\n"
RATES = (1_000, 3_000, 10_000, 30_000, 100_000, 300_000, 1_000_000)
# TikTok, per developer app: 86.4 million requests a day are the same 1,000 a second; 600,000 a minute bind later.
QUOTA_REQUESTS_PER_S, EVENTS_PER_REQUEST = 1_000, 1_000
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Measured:
    """CPU microseconds and bytes of one event."""

    edge_us: float
    deliver_us: float
    broker_us: float
    """Published, fetched and acknowledged, at each server that keeps it."""
    alone_us: float
    """Collected and delivered by one gateway with SQLite."""
    event_bytes: int
    stored_bytes: int


@dataclass(frozen=True, slots=True)
class Assumed:
    """What nobody measured here."""

    load: float = 0.6
    """Share of a core that is used at most: bursts, a pod that is gone, rolling updates."""
    replicas: int = 3
    broker_cores: int = 8
    linger_s: float = 0.2
    outage_hours: float = 1.0
    vcpu_hour: float = 0.04
    """Dollars, its memory included."""
    ssd_gib_month: float = 0.10
    zone_gib: float = 0.01
    egress_gib: float = 0.08


@dataclass(frozen=True, slots=True)
class Plan:
    """What one rate takes."""

    rate: int
    alone_cores: float
    edges: int
    deliverers: int
    requests_per_s: float
    apps: int
    streams: int
    brokers: int
    write_mb_per_s: float
    outage_gib: float
    dollars_per_million: float


def measured() -> Measured:
    """From the file."""
    roles = json.loads((ROOT / "scaling.json").read_text(encoding="utf-8"))
    return Measured(
        roles["edge_us"],
        roles["deliver_us"],
        roles["broker_publish_us"] + roles["broker_consume_us"],
        roles["alone_us"],
        roles["event_bytes"],
        roles["stored_bytes"],
    )


def plan(rate: int, cost: Measured, assumed: Assumed) -> Plan:
    """One row. A process uses one core; two of each, so that one may go."""
    room_us = 1e6 * assumed.load
    edges, deliverers = (max(2, ceil(rate * each / room_us)) for each in (cost.edge_us, cost.deliver_us))
    # Each deliverer sends after the linger at the latest; full requests are sent at once.
    requests = max(rate / EVENTS_PER_REQUEST, min(rate, deliverers / assumed.linger_s))
    # One leader takes a stream's events one after the other.
    streams = ceil(rate * cost.broker_us / room_us)
    busy = rate * cost.broker_us * assumed.replicas / room_us
    brokers = assumed.replicas * max(1, ceil(busy / assumed.broker_cores / assumed.replicas))
    outage_gib = rate * 3600 * assumed.outage_hours * cost.stored_bytes * assumed.replicas / _GIB
    # To the leader, to the others, to the deliverer; two of three zones are other ones.
    crossing_gib = rate * cost.event_bytes * (assumed.replicas + 1) * 2 / 3 / _GIB
    dollars_per_s = (
        (edges + deliverers + brokers * assumed.broker_cores) * assumed.vcpu_hour / 3600
        + outage_gib * assumed.ssd_gib_month / (730 * 3600)
        + crossing_gib * assumed.zone_gib
        + rate * cost.event_bytes / _GIB * assumed.egress_gib
    )
    return Plan(
        rate,
        rate * cost.alone_us / room_us,
        edges,
        deliverers,
        requests,
        ceil(requests / (QUOTA_REQUESTS_PER_S * 0.8)),
        streams,
        brokers,
        rate * cost.stored_bytes * assumed.replicas / 1e6,
        outage_gib,
        dollars_per_s / rate * 1e6,
    )


def table(cost: Measured, assumed: Assumed) -> str:
    """For deploy/README."""
    lines = [
        (
            f"| events/s | one machine's cores | edge pods | deliver pods | requests/s to TikTok | developer apps | streams | brokers of {assumed.broker_cores} cores | their disks write | "
            f"{assumed.outage_hours:g} h without TikTok | $ per million |"
        ),
        "|---" * 11 + "|",
    ]
    for rate in RATES:
        row = plan(rate, cost, assumed)
        lines.append(
            f"| {rate:,} | {row.alone_cores:.1f} | {row.edges:,} | {row.deliverers:,} | {row.requests_per_s:,.0f} | {row.apps} | {row.streams} | {row.brokers} | "
            f"{row.write_mb_per_s:,.0f} MB/s | {row.outage_gib:,.0f} GiB | {row.dollars_per_million:.2f} |"
        )
    lines += [
        "",
        (
            f"Measured, CPU per event: edge {cost.edge_us:g} µs, deliverer {cost.deliver_us:g} µs, broker {cost.broker_us:g} µs at each replica, one gateway with SQLite {cost.alone_us:g} µs. "
            f"Assumed: cores {assumed.load:.0%} busy, {assumed.replicas} replicas, "
            f"each of which costs what one alone did, linger {assumed.linger_s:g} s, 80 % of TikTok's quota; ${assumed.vcpu_hour:.2f} a core and hour, ${assumed.ssd_gib_month:.2f} a GiB of disk and month, "
            f"${assumed.zone_gib:.2f} a GiB between zones, ${assumed.egress_gib:.2f} to TikTok."
        ),
    ]
    return "\n".join(lines) + "\n"


def arguments(given: list[str] | None = None) -> tuple[argparse.Namespace, Assumed]:
    """Prices and patience from the command line."""
    parser = argparse.ArgumentParser(
        prog="python deploy/scaling.py", description="Pods, brokers and cost from 1,000 to 1,000,000 events a second."
    )
    parser.add_argument("--write", action="store_true", help="put the table into deploy/README.md")
    parser.add_argument("--check", action="store_true", help="exit 1 if deploy/README.md shows another one")
    plain = Assumed()
    names = {
        "load": "share of a core used", "replicas": "of each record", "broker_cores": "per server", "linger_s": "delivery.linger", "outage_hours": "to keep on disk",
        "vcpu_hour": "dollars", "ssd_gib_month": "dollars", "zone_gib": "dollars", "egress_gib": "dollars",
    }  # fmt: skip
    for name, meaning in names.items():
        default = getattr(plain, name)
        parser.add_argument(
            f"--{name.replace('_', '-')}", type=type(default), default=default, help=f"{meaning} (assumed: {default})"
        )
    args = parser.parse_args(given)
    assumed = Assumed(**{name: getattr(args, name) for name in names})
    if not 0 < assumed.load <= 1 or not 1 <= assumed.replicas <= 5 or assumed.broker_cores < 1 or assumed.linger_s <= 0:
        parser.error("load is above 0 and at most 1, replicas 1 to 5, broker-cores and linger-s above 0")
    if min(assumed.outage_hours, assumed.vcpu_hour, assumed.ssd_gib_month, assumed.zone_gib, assumed.egress_gib) < 0:
        parser.error("hours and prices are not negative")
    return args, assumed


def main() -> int:
    """Print, write or compare."""
    args, assumed = arguments()
    made = table(measured(), assumed)
    if not args.write and not args.check:
        sys.stdout.write(made)
        return 0
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    shown, _, after = rest.partition(END)
    if args.check:
        return int(shown != made)
    README.write_text(before + BEGIN + made + END + after, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
