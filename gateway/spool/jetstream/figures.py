"""How much there is (io): asked of the broker, for all pods together.

Law: called while nothing of this process is under way, so that depths and totals are of one moment; other pods go on meanwhile. A server acknowledges
a record before the lane's consumer counts it, so the consumers' figures are taken once they make up what the stream holds, or after :data:`_AGREE_S` as they are.
"""

import asyncio
from dataclasses import replace
from typing import Any

from gateway.spool.base import LaneStats, SpoolStats
from gateway.spool.jetstream.holding import Holdings
from gateway.spool.jetstream.names import Names, lane_of
from gateway.spool.jetstream.totals import Totals
from gateway.spool.jetstream.wire import Wire

_PAY_S = 0.5
_AGREE_S, _AGAIN_S = 0.04, 0.001
"""Less than the gate holds up who waits there (:mod:`gateway.spool.jetstream.gate`); consumers were seen 1 to 7 ms behind on a busy machine."""


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
            consumers, state = await self._agreed(stream)
            used_bytes += state["bytes"]
            for each in consumers:
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

    async def lanes(self) -> set[str]:
        """Those in which something waits."""
        return {
            lane_of(each["config"]["filter_subject"])
            for stream in (self._names.queue, self._names.later)
            for each in (await self._agreed(stream))[0]
            if each["num_pending"] + each["num_ack_pending"]
        }

    async def _agreed(self, stream: str) -> tuple[list[dict[str, Any]], dict[str, Any]]:
        """The lanes' consumers, with every record that the stream holds if that can be had soon, and the stream's state."""
        loop = asyncio.get_running_loop()
        until = loop.time() + _AGREE_S
        state = await self._state(stream)
        while True:
            consumers = await self.consumers(stream)
            known = sum(each["num_pending"] + each["num_ack_pending"] for each in consumers)
            # More than the stream holds is removed while another pod has it in hand; less for good if somebody took a consumer away.
            if known >= state["messages"] or loop.time() >= until:
                return consumers, state
            before, state = state, await self._state(stream)
            if (before["messages"], before["last_seq"]) != (state["messages"], state["last_seq"]):
                return consumers, state  # other pods are at work: no one moment is to be had
            await asyncio.sleep(_AGAIN_S)

    async def _state(self, stream: str) -> dict[str, Any]:
        state: dict[str, Any] = (await self._wire.api(f"STREAM.INFO.{stream}"))["state"]
        return state

    async def consumers(self, stream: str) -> list[dict[str, Any]]:
        """What the broker knows of each lane in ``stream``."""
        found: list[dict[str, Any]] = []
        while True:
            page = await self._wire.api(f"CONSUMER.LIST.{stream}", {"offset": len(found)})
            found += page["consumers"] or []
            if len(found) >= page["total"] or not page["consumers"]:
                return [each for each in found if each["name"].startswith("lane~")]
