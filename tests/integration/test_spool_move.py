"""``ttgateway spool move``: what waits in files goes to a real broker, completely, once, and never from under a gateway."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from brokering import Broker, be_patient
from click.testing import CliRunner, Result
from ports import free_port

from gateway.cli import main
from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Death, Done, Mark, NewRecord, Retry, Settlement
from gateway.spool.jetstream.moving import Moving
from gateway.spool.jetstream.spool import JetStreamSpool
from gateway.spool.jetstream.wire import Answer, Message
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

MIB = 1 << 20


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    be_patient(monkeypatch)
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


def config(folder: Path, section: str) -> Path:
    path = folder / "gateway.yaml"
    path.write_text(f'version: 1\nedge: {{listen: "127.0.0.1:0"}}\nspool: {section}\npipelines: []\nintegrations: []\n')
    return path


def on_broker(broker: Broker, folder: Path, path: Path) -> Path:
    return config(folder, json.dumps({"kind": "jetstream", "url": broker.url, "path": str(path), "max_bytes": 8 * MIB}))


def move(path: Path, *more: object) -> Result:
    return CliRunner().invoke(main, ["spool", "move", "-c", str(path), *map(str, more)])


def new(payload: str, lane: str = "a", owner: str = "") -> NewRecord:
    return NewRecord(lane, owner, 1_700_000_000.0 + len(payload), payload.encode())


async def fill(folder: Path) -> None:
    """700 plain records, one that waits for its retry for a day, one of another lane, a dead letter, a delivered one, two marks."""
    spool = await SqliteSpool.open(SpoolSettings(path=str(folder)))
    await spool.put([new("late", owner="o"), new("dead"), new("delivered")])
    late, dead, delivered = await spool.lease("a", 10, MIB, 1)
    now = time.time()
    await spool.settle(
        Settlement(
            done=[Done(delivered.id, Outcome.DELIVERED)],
            retry=[Retry(late.id, now + 86400, Reason.TIMEOUT)],
            dead=[Death(dead.id, Reason.TIKTOK_REJECTED, "40002: nö")],
            marks=[Mark(-5, now + 3600, "a"), Mark(1 << 62, now + 3600, "a"), Mark(9, now - 5, "a")],
        )
    )
    await spool.put([new(f"{n}") for n in range(700)])
    await spool.put([new("coded", lane="a|TEST1")])
    await spool.close()


@pytest.fixture
async def files(tmp_path: Path) -> Path:
    folder = tmp_path / "files"
    await fill(folder)
    return folder


async def check_all_is_there(broker: Broker, folder: Path) -> None:
    spool = await JetStreamSpool.open(
        SpoolSettings.model_validate({"kind": "jetstream", "url": broker.url, "path": str(folder), "max_bytes": "8MiB"})
    )
    stats = await spool.stats()
    assert {lane.lane: (lane.queued, lane.dead) for lane in stats.lanes} == {"a": (701, 1), "a|TEST1": (1, 0)}
    assert (stats.totals["a", "accepted", ""], stats.totals["a", "dead", "tiktok_rejected"]) == (702, 1)
    found = {}
    while records := await spool.lease("a", 1000, MIB, 0.2):
        found.update({record.payload: record for record in records})
    assert found.keys() == {b"late", *(b"%d" % n for n in range(700))}
    assert (found[b"late"].attempts, found[b"late"].owner, found[b"late"].accepted_at) == (1, "o", 1_700_000_004.0)
    assert found[b"7"].attempts == 0
    (letter,) = await spool.dead_list(None, 0, 10)
    assert (letter.payload, letter.reason, letter.answer, letter.attempts) == (b"dead", "tiktok_rejected", "40002: nö", 1)
    assert time.time() - 600 < letter.died_at < time.time()
    assert await spool.marked([-5, 1 << 62, 9, 10]) == {-5, 1 << 62}
    await spool.close()


async def test_everything_moves_once(broker: Broker, files: Path, tmp_path: Path) -> None:
    path = on_broker(broker, tmp_path, files)
    result = await asyncio.to_thread(move, path)
    assert result.exit_code == 0, result.output
    assert "702 queued events, 1 dead letters, 2 remembered orders moved to ttgw; 0 left" in result.output
    await check_all_is_there(broker, tmp_path / "pod")
    old = await SqliteSpool.open(SpoolSettings(path=str(files)))
    stats = await old.stats()
    assert stats.totals["a", "dropped", "moved"] == 701
    assert (
        stats.totals["a", "accepted", ""]
        == 703
        == sum(n for (lane, outcome, _), n in stats.totals.items() if lane == "a" and outcome != "accepted")
    )
    await old.close()
    again = await asyncio.to_thread(move, path)
    assert again.exit_code == 0
    assert "0 queued events, 0 dead letters" in again.output


async def test_an_interrupted_move_is_gone_on_with(
    broker: Broker, files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Killed between the broker's acknowledgement and the files' own settlement: the worst moment."""
    settings = broker.settings(tmp_path / "pod", "ttgw")
    source = await SqliteSpool.open(SpoolSettings(path=str(files)))

    class Killed(Exception):
        pass

    async def killed(_settlement: Settlement) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(source, "settle", killed)
        with pytest.raises(Killed):
            await Moving(source, settings).run(lambda _: None)
    await source.close()
    source = await SqliteSpool.open(SpoolSettings(path=str(files)))
    told: list[int] = []
    moved = await Moving(source, settings).run(lambda so_far: told.append(so_far.queued))
    assert (moved.queued, moved.letters, moved.known) == (702, 1, 256)
    assert told == sorted(told)
    assert len(told) >= 4
    await source.close()
    spool = await JetStreamSpool.open(settings)
    assert {lane.lane: (lane.queued, lane.dead) for lane in (await spool.stats()).lanes} == {"a": (701, 1), "a|TEST1": (1, 0)}
    await spool.close()


async def test_what_was_withdrawn_meanwhile_stays_behind(broker: Broker, tmp_path: Path) -> None:
    """Its visitor withdrew at another pod, while the files lay there; and one while the move was under way."""
    source = await SqliteSpool.open(SpoolSettings(path=str(tmp_path / "files")))
    await source.put([new("dead", owner="gone"), new("dead too", owner="stays")])
    await source.settle(Settlement(dead=[Death(each.id, Reason.TIKTOK_REJECTED) for each in await source.lease("a", 2, MIB, 1)]))
    await source.put([new("1", owner="gone"), new("2", owner="stays"), new("3", owner="late")])
    settings = broker.settings(tmp_path / "pod", "ttgw")
    pod = await JetStreamSpool.open(settings)
    await pod.purge("gone", Reason.WITHDRAWN)
    moving = Moving(source, settings)
    ask, withdrawn = moving._wire.ask, False

    async def and_then(messages: Sequence[Message], timeout_s: float) -> list[Answer]:
        nonlocal withdrawn
        queued = any(message.payload == b"3" for message in messages)
        if queued and not withdrawn:
            withdrawn = True
            await pod.purge("late", Reason.WITHDRAWN)  # finds nothing at the broker yet
        return await ask(messages, timeout_s)

    moving._wire.ask = and_then  # type: ignore[method-assign]
    moved = await moving.run(lambda _: None)
    assert withdrawn
    assert (moved.queued, moved.letters, moved.withdrawn) == (2, 1, 3)
    assert (await source.stats()).totals["a", "purged", "withdrawn"] == 1
    await source.close()
    assert [record.payload for record in await pod.lease("a", 10, MIB, 1)] == [b"2"]
    assert [letter.payload for letter in await pod.dead_list(None, 0, 10)] == [b"dead too"]
    await pod.close()


async def test_a_full_broker_leaves_the_rest_where_it_was(broker: Broker, tmp_path: Path) -> None:
    source = await SqliteSpool.open(SpoolSettings(path=str(tmp_path / "files")))
    for n in range(40):
        await source.put([new(f"{n:<50000}")])
    settings = broker.settings(tmp_path / "pod", "ttgw", max_bytes="1MiB")
    moving = Moving(source, settings)
    with pytest.raises(SpoolUnavailable, match="maximum bytes"):
        await moving.run(lambda _: None)
    (left,) = (await source.stats()).lanes
    assert 0 < moving.moved.queued < 40
    assert moving.moved.queued + left.queued == 40
    assert left.leased == 0
    await source.close()
    spool = await JetStreamSpool.open(settings)
    (there,) = (await spool.stats()).lanes
    assert there.queued == moving.moved.queued == (await spool.stats()).totals["a", "accepted", ""]
    await spool.close()


async def test_not_while_a_gateway_runs_on_it(broker: Broker, files: Path, tmp_path: Path) -> None:
    path = config(tmp_path, json.dumps({"path": str(files)}))
    text = path.read_text().replace("pipelines", f'ops: {{listen: "127.0.0.1:{free_port()}"}}\npipelines')
    (tmp_path / "running.yaml").write_text(text)
    gateway = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [sys.executable, "-m", "gateway", "run", "-c", str(tmp_path / "running.yaml")], stderr=subprocess.PIPE
    )
    try:
        assert gateway.stderr is not None
        for line in gateway.stderr:
            if b'"ready"' in line:
                break
        else:
            pytest.fail("the gateway has ended")
        result = await asyncio.to_thread(move, on_broker(broker, tmp_path, files))
        assert result.exit_code == 1
        assert "end the gateway that runs on it first" in result.output
    finally:
        gateway.kill()
        gateway.communicate()
    result = await asyncio.to_thread(move, on_broker(broker, tmp_path, files))
    assert result.exit_code == 0, result.output


def test_what_cannot_be_moved_is_said(tmp_path: Path) -> None:
    sqlite = config(tmp_path, json.dumps({"path": str(tmp_path)}))
    assert "name the configuration with the broker" in move(sqlite).output
    nowhere = config(tmp_path, json.dumps({"kind": "jetstream", "url": f"nats://127.0.0.1:{free_port()}", "path": str(tmp_path)}))
    result = move(nowhere)
    assert (result.exit_code, "there is no SQLite spool in" in result.output) == (1, True)
    wrong = config(tmp_path, json.dumps({"kind": "jetstream"}))
    assert move(wrong).exit_code == 78


async def test_a_broker_that_is_not_there_is_said(files: Path, tmp_path: Path) -> None:
    nowhere = config(tmp_path, json.dumps({"kind": "jetstream", "url": f"nats://127.0.0.1:{free_port()}", "path": str(files)}))
    result = await asyncio.to_thread(move, nowhere)
    assert result.exit_code == 1
    assert "cannot connect" in result.output
    assert "run the command again" in result.output
    source = await SqliteSpool.open(SpoolSettings(path=str(files)))
    assert sum(lane.queued for lane in (await source.stats()).lanes) == 702
    await source.close()
