"""Leaders lost, deliverers and brokers killed: short forms of ``benchmarks.faults.cluster`` and ``benchmarks.faults.broker``."""

import asyncio
from pathlib import Path

import pytest

from benchmarks.faults import broker, cluster
from benchmarks.faults.servers import Cluster, Server
from benchmarks.faults.visitors import Seen
from gateway.errors import SpoolUnavailable
from gateway.spool.base import NewRecord
from gateway.spool.jetstream.spool import JetStreamSpool
from gateway.spool.settings import SpoolSettings


@pytest.mark.timeout(180)
async def test_a_lost_leader_is_not_noticed(tmp_path: Path) -> None:
    """Three servers, three replicas; the one that leads the queue is killed and comes back."""
    found = await cluster.run(tmp_path, rate=60, kills=1, away_s=0, before_s=0.5, election_s=3.0)
    assert found.kept(timings=False), found
    assert [phase.name for phase in found.phases] == ["undisturbed", "leader 1 killed"]
    assert found.phases[1].seen.results == {"200": found.phases[1].seen.sent}


@pytest.mark.timeout(400)
async def test_nothing_acknowledged_is_lost(tmp_path: Path) -> None:
    """Edges, deliverers and the broker, killed in random order."""
    found, lost, _ = await broker.run(tmp_path, rounds=4, rate=200, seed=5)
    assert not lost
    assert not found.receiver.differing
    assert found.kills.total() == 4
    assert len(found.acknowledged) > 100


@pytest.mark.timeout(180)
async def test_a_start_among_servers_that_cannot_choose_collects(tmp_path: Path) -> None:
    """One of three is there: it answers, and can keep nothing. That passes; what does not is said."""
    servers = Cluster(tmp_path / "nats")
    settings = SpoolSettings.model_validate(
        {"kind": "jetstream", "url": servers.servers[0].url, "path": str(tmp_path / "pod"), "replicas": 3, "max_bytes": "8MiB"}
    )
    await servers.start()
    try:
        for server in servers.servers[1:]:
            await server.kill()
        spool = await JetStreamSpool.open(settings)
        await spool.put([NewRecord("a", "", 1.0, b"1")])
        assert spool._intake.away
        await asyncio.gather(*(server.start() for server in servers.servers[1:]))
        async with asyncio.timeout(60):
            while not (records := await spool.lease("a", 1, 1000, 1)):
                pass
        assert [record.payload for record in records] == [b"1"]
        await spool.close()
    finally:
        await servers.kill()
    alone = Server(tmp_path / "alone")
    await alone.start()
    try:
        with pytest.raises(SpoolUnavailable, match="replicas > 1"):
            await JetStreamSpool.open(settings.model_copy(update={"url": alone.url}))
    finally:
        await alone.kill()


def test_the_run_notices_what_is_broken() -> None:
    """A script that cannot fail proves nothing."""
    fine = cluster.Figures([cluster.Phase("leader 1 killed", Seen(1, latencies_s=[0.2]))], sent=1)
    assert fine.kept(timings=True)
    assert not cluster.Figures().kept(timings=False)
    assert not cluster.Figures([cluster.Phase("all away", Seen(1, failed=[0]))], sent=1).kept(timings=False)
    assert not cluster.Figures([cluster.Phase("leader 1 killed", Seen(1, latencies_s=[0.3]))], sent=1).kept(timings=True)
    for fault in ("lost", "strangers", "unaccounted"):
        assert not cluster.Figures(sent=1, **{fault: 1}).kept(timings=False)  # type: ignore[arg-type]
