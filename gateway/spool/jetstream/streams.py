"""What must exist on the broker (io): created where it is missing, verified where it is there.

Law: a stream that differs in what the guarantee rests on is refused in words and never changed; size, replicas and the duplicate window follow the settings.
"""

from typing import Any

from gateway.errors import GatewayError, SpoolUnavailable
from gateway.outcome import Reason
from gateway.spool.base import MAX_MARKS
from gateway.spool.jetstream.names import Names, consumer, lane_tokens
from gateway.spool.jetstream.wire import BrokerAway, Refused, Wire
from gateway.spool.jetstream.withdrawals import KEPT_S
from gateway.spool.settings import SpoolSettings

_NS = 1_000_000_000
_MAX_PURGES = 100_000
_IN_USE, _NO_STREAM = 10058, 10059
_PASSING = frozenset({10004, 10005, 10007, 10008, 10009, 10118, 10119})
"""Servers are missing, or are choosing a leader."""
_FIXED = (
    "subjects",
    "retention",
    "discard",
    "storage",
    "allow_direct",
    "allow_msg_counter",
    "allow_msg_ttl",
    "max_msgs_per_subject",
)
_OLDEST = (2, 12)
"""Counters and reading in batches came with it."""


def check_version(version: str) -> None:
    """SpoolUnavailable for a broker that is too old."""
    numbers = tuple(int(part) for part in version.lstrip("v").split("-")[0].split(".")[:2] if part.isdigit())
    if numbers < _OLDEST:
        raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, f"the broker is nats-server {version}; 2.12 or newer is needed")


def wanted(names: Names, settings: SpoolSettings) -> list[dict[str, Any]]:
    """The streams as they have to be."""
    window = int(settings.duplicate_window * _NS)
    common = {"storage": "file", "num_replicas": settings.replicas, "allow_direct": True}
    records = {**common, "discard": "new", "max_bytes": settings.max_bytes, "duplicate_window": window}
    return [
        {**records, "name": names.queue, "subjects": [f"{names.queue}.*.*.*"], "retention": "workqueue"},
        {**records, "name": names.later, "subjects": [f"{names.later}.*.*.*"], "retention": "workqueue"},
        {**records, "name": names.dead, "subjects": [f"{names.dead}.*.*.*"], "retention": "limits"},
        {**common, "name": names.totals, "subjects": [f"{names.totals}.*.*.*.*"], "retention": "limits", "discard": "old",
         "allow_msg_counter": True, "max_msgs_per_subject": 1},
        {**common, "name": names.marks, "subjects": [f"{names.marks}.*"], "retention": "limits", "discard": "old",
         "allow_msg_ttl": True, "max_msgs_per_subject": 1, "max_msgs": MAX_MARKS},
        {**common, "name": names.purges, "subjects": [f"{names.purges}.*.*"], "retention": "limits", "discard": "old", "max_msgs_per_subject": 1,
         "max_msgs": _MAX_PURGES, "max_age": KEPT_S * _NS},
    ]  # fmt: skip


async def prepare(wire: Wire, names: Names, settings: SpoolSettings) -> None:
    """Create or verify all streams. SpoolUnavailable says which differs in what, BrokerAway that nobody answered. Where all is as it should be nothing but a look is needed."""
    for stream in wanted(names, settings):
        name = stream["name"]
        try:
            there = (await wire.api(f"STREAM.INFO.{name}"))["config"]
        except Refused as refused:
            if refused.code != _NO_STREAM:
                raise _unusable(f"stream {name}: ", refused) from None
            await _create(wire, stream)
        else:
            await _adopt(wire, stream, there)


async def _create(wire: Wire, stream: dict[str, Any]) -> None:
    name = stream["name"]
    try:
        await wire.api(f"STREAM.CREATE.{name}", stream, 5.0)
    except Refused as refused:
        if refused.code != _IN_USE:  # else another pod was quicker, with other settings: its own look finds out
            raise _unusable(f"stream {name}: ", refused) from None


async def _adopt(wire: Wire, stream: dict[str, Any], there: dict[str, Any]) -> None:
    name = stream["name"]
    for key in _FIXED:
        default = -1 if key == "max_msgs_per_subject" else False
        if there.get(key, default) != stream.get(key, default):
            raise SpoolUnavailable(
                Reason.SPOOL_UNAVAILABLE,
                f"stream {name} exists with {key} {there.get(key)}, {stream.get(key, default)} is needed: name another with spool.stream",
            )
    if all(there.get(key) == value for key, value in stream.items()):
        return
    try:
        await wire.api(f"STREAM.UPDATE.{name}", {**there, **stream}, 5.0)
    except Refused as refused:
        raise _unusable(f"stream {name} cannot follow the settings: ", refused) from None


def _unusable(what: str, refused: Refused) -> GatewayError:
    """What passes by itself is a broker that is away: events are kept on this disk meanwhile, where an unusable one would have them refused."""
    if refused.code in _PASSING:
        return BrokerAway(what + refused.words)
    return SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, what + refused.words)


async def ensure_lane(wire: Wire, names: Names, settings: SpoolSettings, lane: str) -> None:
    """Both consumers of ``lane``; Refused or BrokerAway."""
    name = consumer(lane)
    for stream, pending in ((names.queue, settings.max_ack_pending), (names.later, -1)):
        config = {
            "durable_name": name,
            "filter_subject": f"{stream}.{lane_tokens(lane)}.*",
            "ack_policy": "explicit",
            "ack_wait": int(settings.ack_wait * _NS),
            "max_ack_pending": pending,
            "max_deliver": -1,
            "deliver_policy": "all",
        }
        await wire.api(f"CONSUMER.DURABLE.CREATE.{stream}.{name}", {"stream_name": stream, "config": config})
