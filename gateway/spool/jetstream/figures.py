"""How much there is (io): asked of the broker, for all pods together.

Law: called while nothing of this process is under way, so that depths and totals are of one moment; other pods go on meanwhile.
"""

from dataclasses import replace
from typing import Any

from gateway.spool.base import LaneStats, SpoolStats
from gateway.spool.jetstream.holding import Holdings
from gateway.spool.jetstream.names import Names, lane_of
from gateway.spool.jetstream.totals import Totals
from gateway.spool.jetstream.wire import Wire

_PAY_S = 0.5


class Figures:
    """The broker's depths, sizes and totals."""

    def __init__(self, wire: Wire, names: Names, holdings: Holdings, totals: Totals, max_bytes: int) -> None:
        self._wire = wire
        self._names = names
        self._holdings = holdings
        self._totals = totals
        self._max_bytes = max_bytes

    async def look(self, local: SpoolStats) -> SpoolStats:
        """The broker's figures and those of this disk. BrokerAway, Refused."""
        await self._totals.pay(_PAY_S)
        found: dict[str, LaneStats] = {lane.lane: replace(lane, leased=0, dead=0) for lane in local.lanes}
        used_bytes = 0
        for stream in (self._names.queue, self._names.later):
            for each in await self.consumers(stream):
                lane = lane_of(each["config"]["filter_subject"])
                n = each["num_pending"] + each["num_ack_pending"]
                if not n:
                    continue
                stats = found.setdefault(lane, LaneStats(lane, 0, 0, 0, 0.0))
                stats.queued += n
                # What waits for its time is out at the broker too, in nobody's hands.
                mine = sum(h.leased and h.stream == stream and h.record.lane == lane for h in self._holdings.by_id.values())
                idle = sum(not h.leased and h.stream == stream and h.record.lane == lane for h in self._holdings.by_id.values())
                stats.leased += mine if stream == self._names.later else max(mine, each["num_ack_pending"] - idle)
                for first in await self._wire.scan(stream, each["config"]["filter_subject"], each["ack_floor"]["stream_seq"], 1):
                    at = float(first.headers.get("Ttgw-At", 0))
                    stats.oldest_accepted_at = min(stats.oldest_accepted_at or at, at)
            used_bytes += (await self._wire.api(f"STREAM.INFO.{stream}"))["state"]["bytes"]
        state = (await self._wire.api(f"STREAM.INFO.{self._names.dead}", {"subjects_filter": ">"}))["state"]
        for subject, n in (state.get("subjects") or {}).items():
            lane = lane_of(subject)
            found.setdefault(lane, LaneStats(lane, 0, 0, 0, 0.0)).dead += n
        return SpoolStats(
            lanes=[found[lane] for lane in sorted(found)],
            used_bytes=used_bytes + state["bytes"],
            max_bytes=self._max_bytes,
            writable=True,
            totals=await self._totals.read(),
        )

    async def consumers(self, stream: str) -> list[dict[str, Any]]:
        """What the broker knows of each lane in ``stream``."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self._wire.api(f"CONSUMER.LIST.{stream}", {"offset": len(found)})
            found += page["consumers"] or []
            if len(found) >= page["total"] or not page["consumers"]:
                return [each for each in found if each["name"].startswith("lane~")]
