"""The SQLite spool against a simple model: any sequence of calls, closings and crashes keeps every record's one fate.

Each run takes 20 sequences of up to 25 steps. The long form, at least 10,000 steps: ``SPOOL_MODEL_EXAMPLES=150 SPOOL_MODEL_STEPS=100 python -m pytest -n 0 -o timeout=0 -s
tests/unit/spool/test_model.py``; it says how many were taken.
"""

import asyncio
import os
import shutil
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import apsw
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from gateway.outcome import Outcome, Reason
from gateway.spool import sqlite, window
from gateway.spool.base import Death, Done, NewRecord, Record, Retry, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

STEPS = int(os.environ.get("SPOOL_MODEL_STEPS", "25"))
EXAMPLES = int(os.environ.get("SPOOL_MODEL_EXAMPLES", "20"))
LANES = ("a", "b", "c|T")
OWNERS = ("", "o", "p", "q")
FAR = 3600.0


taken: Counter[str] = Counter()
"""Sequences and steps of this run."""


class Spools(RuleBasedStateMachine):
    """``queued`` and ``dead`` map payloads to (lane, owner); ``leased`` maps record ids to records; payloads are unique."""

    @initialize(held=st.sampled_from([0, 60_000, 16 << 20]), read=st.sampled_from([1, 100_000]))
    def start(self, held: int, read: int) -> None:
        # With little memory, records take the way through the file.
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(window, "HELD_BYTES", held)
        self.patch.setattr(sqlite, "READ_BYTES", read)
        self.loop = asyncio.new_event_loop()
        self.directory = Path(tempfile.mkdtemp(prefix="spool-model-"))
        self.number = 0
        self.generation = 0
        self.queued: dict[bytes, tuple[str, str]] = {}
        self.postponed: set[bytes] = set()
        self.dead: dict[bytes, tuple[str, str]] = {}
        self.leased: dict[int, Record] = {}
        self.doomed: set[bytes] = set()
        self.totals: Counter[tuple[str, str]] = Counter()
        self.open()
        taken["sequences"] += 1
        taken["steps"] -= 1  # the look at the beginning

    def run(self, coroutine):  # type: ignore[no-untyped-def]
        return self.loop.run_until_complete(asyncio.wait_for(coroutine, 20))

    def open(self) -> None:
        path = str(self.directory / str(self.generation))
        self.spool = self.run(SqliteSpool.open(SpoolSettings(path=path)))

    @rule(sizes=st.lists(st.sampled_from([0, 1, 900, 40_000]), min_size=1, max_size=90), data=st.data())
    def put(self, sizes: list[int], data: st.DataObject) -> None:
        lane = data.draw(st.sampled_from(LANES))
        mixed = data.draw(st.booleans())
        owner = data.draw(st.sampled_from(OWNERS))
        records = []
        for size in sizes:
            self.number += 1
            at = LANES[self.number % 3] if mixed else lane
            who = OWNERS[self.number % 4] if mixed else owner
            records.append(NewRecord(at, who, float(self.number), b"%d:" % self.number + b"x" * size))

        async def put() -> None:
            await self.spool.put(records)

        self.run(put())
        for record in records:
            self.queued[record.payload] = (record.lane, record.owner)
            self.totals[record.lane, "accepted"] += 1

    @rule(lane=st.sampled_from(LANES), count=st.sampled_from([1, 2, 40, 63, 64, 500]), size=st.sampled_from([1, 5000, 10**8]))
    def lease(self, lane: str, count: int, size: int) -> None:
        records = self.run(self.spool.lease(lane, count, size, 0))
        free = [p for p, (at, _) in self.queued.items() if at == lane and p not in self.postponed and p not in self.held]
        assert len(records) <= count
        assert len(records) <= 1 or sum(len(record.payload) for record in records) <= size
        assert bool(records) == bool(free)
        if size == 10**8:
            assert len(records) == min(count, len(free))
        for record in records:
            assert record.payload in free
            assert (record.lane, record.owner) == self.queued[record.payload]
            self.leased[record.id] = record
        assert len({record.payload for record in records}) == len(records)

    @property
    def held(self) -> set[bytes]:
        return {record.payload for record in self.leased.values()}

    def some(self, data: st.DataObject) -> list[Record]:
        records = list(self.leased.values())
        start = data.draw(st.integers(0, len(records) - 1))
        return records[start : start + data.draw(st.sampled_from([1, 3, 70, 1000]))]

    @precondition(lambda self: self.leased)
    @rule(data=st.data())
    def settle(self, data: st.DataObject) -> None:
        records = self.some(data)
        kinds = data.draw(st.sampled_from(["delivered", "retry", "later", "dead", "mixed"]))
        settlement = Settlement([], [], [])
        for number, record in enumerate(records):
            kind = ["delivered", "retry", "later", "dead"][number % 4] if kinds == "mixed" else kinds
            self.leased.pop(record.id)
            lane, owner = self.queued[record.payload]
            purged = record.payload in self.doomed
            self.doomed.discard(record.payload)
            if kind == "delivered":
                settlement.done.append(Done(record.id, Outcome.DELIVERED))
                fate = "delivered"
            elif kind == "dead":
                settlement.dead.append(Death(record.id, Reason.TIKTOK_REJECTED, "no"))
                fate = "purged" if purged else "dead"
            else:
                settlement.retry.append(Retry(record.id, time.time() + (FAR if kind == "later" else -1), Reason.TIMEOUT))
                fate = "purged" if purged else ""
            if not fate:
                if kind == "later":
                    self.postponed.add(record.payload)
                continue
            del self.queued[record.payload]
            self.totals[lane, fate] += 1
            if fate == "dead":
                self.dead[record.payload] = (lane, owner)
        self.run(self.spool.settle(settlement))

    @precondition(lambda self: self.leased)
    @rule(data=st.data())
    def release(self, data: st.DataObject) -> None:
        records = self.some(data)
        self.run(self.spool.release([record.id for record in records]))
        for record in records:
            self.leased.pop(record.id)
            if record.payload in self.doomed:
                self.doomed.discard(record.payload)
                lane, _ = self.queued.pop(record.payload)
                self.totals[lane, "purged"] += 1

    @rule(owner=st.sampled_from(OWNERS))
    def purge(self, owner: str) -> None:
        mine = {payload for payload, (_, who) in self.queued.items() if who == owner and owner}
        held = mine & self.held
        fresh = held - self.doomed
        self.doomed |= held
        buried = {payload for payload, (_, who) in self.dead.items() if who == owner and owner}
        assert self.run(self.spool.purge(owner, Reason.ERASED)) == (len(mine - held) + len(buried), len(fresh))
        for payload in mine - held:
            lane, _ = self.queued.pop(payload)
            self.postponed.discard(payload)
            self.totals[lane, "purged"] += 1
        for payload in buried:
            lane, _ = self.dead.pop(payload)
            self.totals[lane, "purged"] += 1
            self.totals[lane, "dead"] -= 1

    @rule(lane=st.sampled_from(LANES))
    def bury(self, lane: str) -> None:
        held = self.held
        gone = {p: fate for p, fate in self.queued.items() if fate[0] == lane and p not in held}
        assert self.run(self.spool.bury_lane(lane, Reason.INTEGRATION_REMOVED)) == len(gone)
        for payload, fate in gone.items():
            del self.queued[payload]
            self.postponed.discard(payload)
            self.dead[payload] = fate
            self.totals[lane, "dead"] += 1

    @precondition(lambda self: self.dead)
    @rule(replay=st.booleans(), count=st.sampled_from([1, 5, 100]))
    def raise_dead(self, replay: bool, count: int) -> None:
        letters = self.run(self.spool.dead_list(None, 0, count))
        ids = [letter.id for letter in letters]
        call = self.spool.dead_replay if replay else self.spool.dead_drop
        assert self.run(call(ids)) == len(letters)
        for letter in letters:
            fate = self.dead.pop(letter.payload)
            self.totals[fate[0], "dead"] -= 1
            if replay:
                self.queued[letter.payload] = fate
            else:
                self.totals[fate[0], "dropped"] += 1

    @rule(crash=st.booleans())
    def reopen(self, crash: bool) -> None:
        if crash:
            # What a killed process leaves behind: the files as they are, the log not checkpointed.
            left = self.directory / str(self.generation)
            shutil.copytree(left, self.directory / str(self.generation + 1))
            self.run(self.spool.close())
            shutil.rmtree(left)
            self.generation += 1
        else:
            self.run(self.spool.close())
        # What was leased is handed out again, a purge that waited for it is forgotten with it.
        self.leased.clear()
        self.doomed.clear()
        self.open()

    @invariant()
    def conserved(self) -> None:
        taken["steps"] += 1
        doomed = self.spool.doomed(list(self.leased.values()))
        assert {self.leased[id_].payload for id_ in doomed} == self.doomed
        stats = self.run(self.spool.stats())
        totals: Counter[tuple[str, str]] = Counter()
        for (lane, outcome, _), n in stats.totals.items():
            totals[lane, outcome] += n
        assert +totals == +self.totals
        queued = Counter(lane for lane, _ in self.queued.values())
        dead = Counter(lane for lane, _ in self.dead.values())
        assert {lane.lane: lane.queued for lane in stats.lanes if lane.queued} == dict(queued)
        assert {lane.lane: lane.dead for lane in stats.lanes if lane.dead} == dict(dead)
        assert sum(lane.leased for lane in stats.lanes) == len(self.leased)

    def teardown(self) -> None:
        if not hasattr(self, "spool"):
            return
        self.run(self.spool.close())
        check_database(self.directory / str(self.generation) / "spool.db", len(self.queued), len(self.dead))
        self.loop.close()
        self.patch.undo()
        shutil.rmtree(self.directory)


def check_database(path: Path, queued: int, dead: int) -> None:
    """The tables themselves agree with the totals."""
    connection = apsw.Connection(str(path), flags=apsw.SQLITE_OPEN_READONLY)
    assert connection.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    (stored,) = connection.execute("SELECT coalesce(sum(count), 0) FROM segment").fetchone()
    masks = [mask for (mask,) in connection.execute("SELECT mask FROM gone")]
    assert stored - sum(mask.bit_count() for mask in masks) == queued
    assert connection.execute("SELECT count(*) FROM gone WHERE segment NOT IN (SELECT id FROM segment)").fetchone() == (0,)
    assert connection.execute("SELECT count(*) FROM dead").fetchone() == (dead,)
    connection.close()


Spools.TestCase.settings = settings(
    max_examples=EXAMPLES,
    stateful_step_count=STEPS,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
    print_blob=True,
)


class TestSpools(Spools.TestCase):  # type: ignore[name-defined,misc]
    @classmethod
    def tearDownClass(cls) -> None:
        sys.stdout.write(f"\n{taken['sequences']} sequences, {taken['steps']} steps\n")
