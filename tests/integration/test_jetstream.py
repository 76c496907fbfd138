"""The spool on a real NATS server that is killed, started again, full, strange, or shared."""

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import nats
import pytest
from brokering import Broker, be_patient
from ports import free_port

from gateway.errors import SpoolLocked, SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Death, Done, NewRecord, Record, Retry, Settlement, Spool
from gateway.spool.engine import open_spool
from gateway.spool.jetstream.spool import JetStreamSpool
from gateway.spool.jetstream.wire import Wire
from gateway.spool.settings import SpoolSettings
from gateway.telemetry.metrics import Metrics

MIB = 1 << 20


@pytest.fixture
def broker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Broker]:
    be_patient(monkeypatch)
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


@pytest.fixture
async def spool(broker: Broker, tmp_path: Path) -> AsyncIterator[JetStreamSpool]:
    opened = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw"))
    yield opened
    await opened.close()


def new(payload: str, lane: str = "a", owner: str = "") -> NewRecord:
    return NewRecord(lane, owner, time.time(), payload.encode())


async def everything(spool: Spool, n: int, lane: str = "a", within_s: float = 40) -> list[Record]:
    found: list[Record] = []
    async with asyncio.timeout(within_s):
        while len(found) < n:
            found += await spool.lease(lane, 1000, MIB, 1)
    return found


async def in_use(spool: JetStreamSpool) -> None:
    async with asyncio.timeout(40):
        while spool._intake.away:  # noqa: ASYNC110 - the breaker announces itself to nobody
            await asyncio.sleep(0.02)


def _text(metrics: Metrics) -> str:
    return metrics.render().decode()


def done(records: list[Record]) -> Settlement:
    return Settlement(done=[Done(record.id, Outcome.DELIVERED) for record in records])


# --- the broker goes


async def test_what_the_broker_has_survives_its_kill(spool: JetStreamSpool, broker: Broker) -> None:
    await spool.put([new(str(n)) for n in range(50)])
    broker.kill()
    broker.start()
    records = await everything(spool, 50)
    assert [record.payload for record in records] == [str(n).encode() for n in range(50)]
    await spool.settle(done(records))
    assert (await spool.stats()).totals["a", "delivered", ""] == 50


async def test_collecting_goes_on_while_the_broker_is_away_and_all_of_it_arrives_once(
    spool: JetStreamSpool, broker: Broker, tmp_path: Path
) -> None:
    await spool.put([new("before")])
    broker.kill()
    slowest_s = 0.0
    for n in range(40):
        begun = time.perf_counter()
        await spool.put([new(f"away {n}")])
        slowest_s = max(slowest_s, time.perf_counter() - begun)
    assert spool._intake.away
    assert slowest_s < 5  # 150 ms and this disk's commit, on a busy machine
    assert (await spool.stats()).writable
    assert sum(lane.queued for lane in (await spool._local.stats()).lanes) == 40
    broker.start()
    await in_use(spool)
    await spool.put([new("after")])
    records = await everything(spool, 42)
    assert sorted(record.payload.decode() for record in records) == sorted(["before", "after", *(f"away {n}" for n in range(40))])
    await spool.settle(done(records))
    assert await spool.lease("a", 10, MIB, 0.2) == []
    stats = await spool.stats()
    assert stats.totals["a", "accepted", ""] == stats.totals["a", "delivered", ""] == 42


async def test_this_disk_has_a_bound_of_its_own(broker: Broker, tmp_path: Path) -> None:
    """A broker's stream may be larger than any pod's volume."""
    spool = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw", local_max_bytes="1MiB"))
    broker.kill()
    puts = [asyncio.ensure_future(spool.put([new("x" * 50_000)])) for _ in range(5)]
    kept = len(await asyncio.gather(*puts))
    with pytest.raises(SpoolUnavailable) as refused:
        await spool.put([new("x" * 1_000_000)])
    assert refused.value.reason is Reason.SPOOL_FULL
    stats = await spool.stats()
    assert stats.max_bytes == 8 * MIB
    assert sum(each.stat().st_size for each in (tmp_path / "a").rglob("*") if each.is_file()) < 2 * MIB
    broker.start()
    await in_use(spool)
    assert len(await everything(spool, kept)) == kept
    await spool.close()


async def test_a_broker_that_says_nothing_costs_one_time_out(broker: Broker, tmp_path: Path) -> None:
    """Electing, or frozen: connected, but no answer. What it stored after all is not stored twice."""
    spool = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw", publish_timeout="1s"))
    broker.freeze()
    await spool.put([new("1")])
    assert spool._intake.away
    begun = time.perf_counter()
    for n in range(2, 12):
        await spool.put([new(str(n))])
    # The breaker is open: nobody but the first one waits for the broker. Ten time-outs would be ten seconds.
    assert time.perf_counter() - begun < 8
    broker.thaw()
    await in_use(spool)
    records = await everything(spool, 11)
    await spool.settle(done(records))
    assert sorted(int(record.payload) for record in records) == list(range(1, 12))
    assert await spool.lease("a", 10, MIB, 0.3) == []
    await spool.close()


async def test_a_start_without_the_broker_collects_and_forwards_later(tmp_path: Path) -> None:
    broker = Broker(tmp_path / "broker")
    metrics = Metrics()
    settings = broker.settings(tmp_path / "a", "ttgw")
    spool = await JetStreamSpool.open(settings, metrics=metrics)
    await spool.put([new("1"), new("2")])
    assert await spool.lanes() == ["a"]
    await spool.stats()
    rendered = _text(metrics)
    assert "ttgateway_spool_broker_away 1" in rendered
    assert "ttgateway_spool_local_records 2" in rendered
    await spool.close()
    again = await JetStreamSpool.open(settings, metrics=metrics)
    broker.start()
    await in_use(again)
    assert [record.payload for record in await everything(again, 2)] == [b"1", b"2"]
    await again.stats()
    assert "ttgateway_spool_broker_away 0" in _text(metrics)
    assert "ttgateway_spool_local_records 0" in _text(metrics)
    await again.close()
    broker.stop()


async def test_a_settlement_outlasts_the_brokers_absence(spool: JetStreamSpool, broker: Broker) -> None:
    await spool.put([new(str(n)) for n in range(3)])
    one, two, three = await everything(spool, 3)
    broker.kill()
    settlement = Settlement(
        done=[Done(one.id, Outcome.DELIVERED)],
        retry=[Retry(two.id, 0, Reason.TIMEOUT)],
        dead=[Death(three.id, Reason.TIKTOK_REJECTED, "40002:\r\nnö")],
    )
    settling = asyncio.ensure_future(spool.settle(settlement))
    await asyncio.sleep(0.3)
    assert not settling.done()
    broker.start()
    await asyncio.wait_for(settling, 30)
    (again,) = await everything(spool, 1)
    assert (again.payload, again.attempts) == (b"1", 1)
    (letter,) = await spool.dead_list(None, 0, 10)
    assert (letter.payload, letter.answer) == (b"2", "40002:\r\nnö")


async def test_a_purge_reaches_this_disk_at_once_and_the_broker_when_it_is_back(spool: JetStreamSpool, broker: Broker) -> None:
    await spool.put([new("mine at the broker", owner="o")])
    broker.kill()
    await spool.put([new("mine", owner="o"), new("yours", owner="p")])
    with pytest.raises(SpoolUnavailable):  # the caller is not told that all is gone
        await spool.purge("o", Reason.WITHDRAWN)
    broker.start()
    async with asyncio.timeout(40):
        while (await spool.stats()).totals.get(("a", "purged", "withdrawn")) != 2:  # noqa: ASYNC110 - figures
            await asyncio.sleep(0.02)
    assert [record.payload for record in await everything(spool, 1)] == [b"yours"]
    assert await spool.lease("a", 10, MIB, 0.1) == []


async def test_a_start_beside_a_broker_that_says_nothing_collects_at_once(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It takes connections, knows the client's name, and then answers no question: as while a leader is chosen."""
    monkeypatch.setattr("gateway.spool.jetstream.spool._OPEN_S", 0.2)
    real, asked = Wire.api, asyncio.Event()

    async def silent(self: Wire, call: str, body: dict[str, object] | None = None, timeout_s: float = 2.0) -> dict[str, object]:
        asked.set()
        await asyncio.sleep(3600)
        return await real(self, call, body, timeout_s)

    with monkeypatch.context() as patch:
        patch.setattr(Wire, "api", silent)
        async with asyncio.timeout(40):
            spool = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw"))
            await spool.put([new("1")])
    assert asked.is_set()
    assert spool._intake.away
    await spool.close()
    again = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw"))
    assert [record.payload for record in await everything(again, 1)] == [b"1"]
    await again.close()


# --- several pods


async def test_two_pods_share_a_lane_and_a_dead_one_hands_its_work_over(broker: Broker, tmp_path: Path) -> None:
    one = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw", ack_wait="4s"))
    two = await JetStreamSpool.open(broker.settings(tmp_path / "b", "ttgw", ack_wait="4s"))
    await one.put([new(str(n)) for n in range(100)])
    first: list[Record] = []
    async with asyncio.timeout(40):
        while len(first) < 60:  # a busy broker hands them out in parts
            first += await one.lease("a", 60 - len(first), MIB, 1)
    second = await everything(two, 40)
    assert (len(first), len(second)) == (60, 40)
    await two.settle(done(second))
    # Its process dies: no sign of life any more.
    await _cut(one)
    taken_over = await everything(two, 60)
    assert {record.payload for record in taken_over} == {record.payload for record in first}
    await two.settle(done(taken_over))
    assert (await two.stats()).totals["a", "delivered", ""] == 100
    await two.close()
    await one.close()


async def _cut(spool: JetStreamSpool) -> None:
    for task in spool._tasks:
        task.cancel()
    assert spool._wire._nc is not None
    await spool._wire._nc.close()


async def test_a_live_deliverer_keeps_what_it_has_beyond_the_ack_wait(broker: Broker, tmp_path: Path) -> None:
    one = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw", ack_wait="4s"))
    two = await JetStreamSpool.open(broker.settings(tmp_path / "b", "ttgw", ack_wait="4s"))
    await one.put([new("1")])
    (record,) = await one.lease("a", 10, MIB, 1)
    assert await two.lease("a", 10, MIB, 6) == []
    await one.settle(done([record]))
    await one.close()
    await two.close()


async def test_closing_gives_back_at_once(broker: Broker, tmp_path: Path) -> None:
    one = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw", ack_wait="1h"))
    two = await JetStreamSpool.open(broker.settings(tmp_path / "b", "ttgw", ack_wait="1h"))
    await one.put([new("1")])
    assert len(await one.lease("a", 10, MIB, 1)) == 1
    await one.close()
    assert [record.payload for record in await everything(two, 1)] == [b"1"]
    await two.close()


async def test_a_withdrawal_reaches_what_another_pod_has_in_hand(broker: Broker, tmp_path: Path) -> None:
    one = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw"))
    two = await JetStreamSpool.open(broker.settings(tmp_path / "b", "ttgw"))
    await one.put([new("mine", owner="o"), new("yours", owner="p")])
    records = await everything(one, 2)
    assert await two.purge("o", Reason.WITHDRAWN) == (1, 0)
    async with asyncio.timeout(40):
        while not any(held.doomed for held in one._holdings.by_place.values()):  # noqa: ASYNC110 - told over the broker
            await asyncio.sleep(0.01)
    await one.settle(Settlement(retry=[Retry(record.id, 0, Reason.TIMEOUT) for record in records]))
    assert [record.payload for record in await everything(one, 1)] == [b"yours"]
    await one.close()
    stats = await two.stats()
    assert stats.totals["a", "purged", "withdrawn"] == 1
    assert stats.totals["a", "accepted", ""] == 2
    await two.close()


async def test_the_disk_belongs_to_one_process(spool: JetStreamSpool, broker: Broker, tmp_path: Path) -> None:
    with pytest.raises(SpoolLocked):
        await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw"))


# --- the same event twice


def called(payload: str, key: str, lane: str = "a") -> NewRecord:
    return NewRecord(lane, "", time.time(), payload.encode(), key)


async def test_the_same_event_at_two_pods_is_kept_once(broker: Broker, tmp_path: Path) -> None:
    one = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw"))
    two = await JetStreamSpool.open(broker.settings(tmp_path / "b", "ttgw"))
    await one.put([called("1", "Purchase order-1"), called("2", "Purchase order-2")])
    await two.put([called("1", "Purchase order-1"), called("code", "Purchase order-1", lane="a|TEST1")])
    await two.put([called("another event", "AddToCart order-1"), called("no id", ""), called("no id", "")])
    records = await everything(two, 5)
    assert sorted(record.payload for record in records) == [b"1", b"2", b"another event", b"no id", b"no id"]
    assert [record.payload for record in await everything(two, 1, lane="a|TEST1")] == [b"code"]
    await two.settle(done(records))
    assert await one.lease("a", 10, MIB, 0.2) == []
    await one.put([called("1", "Purchase order-1")])  # also after the first was delivered
    assert await one.lease("a", 10, MIB, 0.2) == []
    await one.close()
    totals = (await two.stats()).totals
    assert (totals["a", "accepted", ""], totals["a", "delivered", ""], totals["a", "deduplicated", "repeated"]) == (7, 5, 2)
    await two.close()


async def test_what_a_pod_kept_while_the_broker_was_away_from_it_is_known_there(broker: Broker, tmp_path: Path) -> None:
    """The visitor repeated it at another pod meanwhile."""
    one = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw"))
    two = await JetStreamSpool.open(broker.settings(tmp_path / "b", "ttgw"))
    await two.put([called("1", "Purchase order-1")])
    one._intake.open_breaker("for the test")
    await one.put([called("1", "Purchase order-1"), called("2", "Purchase order-2")])
    await in_use(one)
    records = await everything(one, 2)
    assert sorted(record.payload for record in records) == [b"1", b"2"]
    await one.settle(done(records))
    assert await two.lease("a", 10, MIB, 0.2) == []
    await two.close()
    totals = (await one.stats()).totals
    assert (totals["a", "accepted", ""], totals["a", "delivered", ""], totals["a", "deduplicated", "repeated"]) == (3, 2, 1)
    await one.close()


async def test_what_was_published_without_an_answer_is_its_own_and_counted_once(broker: Broker, tmp_path: Path) -> None:
    spool = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw", publish_timeout="150ms"))
    await spool.put([called("0", "Purchase order-0")])
    broker.freeze()  # it will read the publication later
    await spool.put([called("1", "Purchase order-1")])
    broker.thaw()
    await in_use(spool)
    await spool.settle(done(await everything(spool, 2)))
    stats = await spool.stats()
    assert stats.totals["a", "accepted", ""] == stats.totals["a", "delivered", ""] == 2
    assert ("a", "deduplicated", "repeated") not in stats.totals
    await spool.close()


async def test_an_event_refused_for_want_of_room_may_come_again(broker: Broker, tmp_path: Path) -> None:
    """What fitted in stays: the broker would swallow its repetition even if it had been removed."""
    spool = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw", max_bytes="1MiB"))
    pair = [called("x" * 50_000, "small"), called("y" * 400_000, "large")]
    await spool.put([called("z" * 400_000, "first")])
    await spool.put([called("z" * 200_000, "second")])
    with pytest.raises(SpoolUnavailable) as refused:
        await spool.put(pair)
    assert refused.value.reason is Reason.SPOOL_FULL
    first = await everything(spool, 3)
    await spool.settle(done(first))
    await spool.put(pair)
    second = await everything(spool, 1)
    assert sorted(record.payload[:1] for record in (*first, *second)) == [b"x", b"y", b"z", b"z"]
    await spool.settle(done(second))
    stats = await spool.stats()
    assert (stats.totals["a", "accepted", ""], stats.totals["a", "delivered", ""]) == (5, 4)
    assert stats.totals["a", "deduplicated", "repeated"] == 1
    await spool.close()


async def test_a_look_at_the_figures_does_not_hold_up_collecting(
    broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A broker that says nothing: the look ends as soon as somebody waits behind it."""
    monkeypatch.setattr("gateway.spool.jetstream.spool._LOOK_S", 3600.0)
    monkeypatch.setattr("gateway.spool.jetstream.figures._PAY_S", 3600.0)
    monkeypatch.setattr("gateway.spool.jetstream.spool._PAY_S", 3600.0)
    spool = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw"))
    await spool.put([new("1")])
    before = await spool.stats()
    broker.freeze()
    looking = asyncio.ensure_future(spool.stats())
    while spool._gate._limit is None:  # noqa: ASYNC110 - it has begun
        await asyncio.sleep(0)
    async with asyncio.timeout(40), spool._gate.shared():
        pass
    assert (await looking).totals == before.totals
    broker.thaw()
    await spool.close()


# --- a broker that is not as it should be


async def test_a_full_stream_is_said_and_nothing_of_the_request_is_kept(broker: Broker, tmp_path: Path) -> None:
    spool = await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw", max_bytes="1MiB"))

    async def fill() -> None:
        for _ in range(30):
            await spool.put([new("x" * 50_000), new("y" * 50_000)])

    with pytest.raises(SpoolUnavailable) as refused:
        await fill()
    assert refused.value.reason is Reason.SPOOL_FULL
    assert not spool._intake.away
    stats = await spool.stats()
    assert stats.lanes[0].queued == stats.totals["a", "accepted", ""]
    records = await everything(spool, stats.lanes[0].queued)
    await spool.settle(done(records))
    await spool.put([new("again")])
    await spool.close()


async def test_a_record_that_no_broker_takes_is_refused(spool: JetStreamSpool) -> None:
    with pytest.raises(SpoolUnavailable, match="max_payload"):
        spool.put([new("x" * (1 << 20))])


async def test_a_strange_stream_of_the_same_name_is_left_alone(broker: Broker, tmp_path: Path) -> None:
    client = await nats.connect(broker.url)
    await client.jetstream().add_stream(name="ttgw", subjects=["ttgw.*.*.*"])
    with pytest.raises(SpoolUnavailable, match="retention limits, workqueue is needed"):
        await JetStreamSpool.open(broker.settings(tmp_path / "a", "ttgw"))
    info = await client.jetstream().stream_info("ttgw")
    assert info.config.retention == "limits"
    await client.close()


async def test_another_size_is_taken_over(spool: JetStreamSpool, broker: Broker, tmp_path: Path) -> None:
    other = await JetStreamSpool.open(broker.settings(tmp_path / "b", "ttgw", max_bytes="4MiB"))
    client = await nats.connect(broker.url)
    assert (await client.jetstream().stream_info("ttgw")).config.max_bytes == 4 * MIB
    await client.close()
    await other.close()


async def test_rubbish_from_the_broker_hurts_nobody(spool: JetStreamSpool, broker: Broker) -> None:
    client = await nats.connect(broker.url)
    for words in (b"", b"{", b"[]", json.dumps({"stream": "ttgw", "owner": "o", "up_to": 9, "reason": "made up"}).encode()):
        await client.publish("ttgw-control", words)
    await client.jetstream().publish("ttgw.a._._", b"1", headers={"Ttgw-At": "yesterday", "Ttgw-Due": "soon"})
    await client.close()
    await spool.put([new("2")])
    assert sorted(record.payload for record in await everything(spool, 2)) == [b"1", b"2"]


async def test_no_jetstream_over_there_is_a_broker_that_is_away(tmp_path: Path) -> None:
    port = free_port()
    program = str(Path(sys.executable).parent / "nats-server")
    plain = subprocess.Popen(  # noqa: ASYNC220 - returns at once
        [program, "-a", "127.0.0.1", "-p", str(port)], stderr=subprocess.DEVNULL
    )
    try:
        settings = SpoolSettings.model_validate({"kind": "jetstream", "url": f"nats://127.0.0.1:{port}", "path": str(tmp_path)})
        spool = await JetStreamSpool.open(settings)
        await spool.put([new("1")])
        assert spool._intake.away
        await spool.close()
    finally:
        plain.terminate()
        await asyncio.to_thread(plain.wait, 20)


# --- the default install


def test_without_the_extra_nothing_of_it_is_imported() -> None:
    program = "import sys, gateway.app.gateway, gateway.cli.management; sys.exit(any(name.split('.')[0] == 'nats' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


async def test_a_missing_package_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.startswith("gateway.spool.jetstream.")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "nats", None)
    settings = SpoolSettings.model_validate({"kind": "jetstream", "url": "nats://127.0.0.1:1", "path": str(tmp_path)})
    with pytest.raises(SpoolUnavailable, match="pip install"):
        await open_spool(settings)


@pytest.mark.parametrize(
    ("section", "words"),
    [({"kind": "jetstream"}, "needs url"), ({"url": "nats://x"}, "is for kind jetstream"), ({"kind": "kafka"}, "sqlite")],
)
def test_settings_that_do_not_fit_are_said(section: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SpoolSettings.model_validate(section)
