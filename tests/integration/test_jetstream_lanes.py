"""Deliverers around one broker agree: on what is suspended, on who probes, on how much each may send."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from brokering import Broker, be_patient
from delivering import SHOP, Delivering
from ports import free_port
from whole import PATIENCE_S

from gateway.delivery.accord import read
from gateway.sandbox import tiktok
from gateway.spool.jetstream.spool import JetStreamSpool
from gateway.together import BucketAway


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Broker]:
    broker = Broker(tmp_path_factory.mktemp("broker"))
    broker.start()
    yield broker
    broker.stop()


class Pods:
    """As many deliverers as a test wants."""

    def __init__(self, broker: Broker, folder: Path, session: aiohttp.ClientSession, port: int, stream: str) -> None:
        self.broker, self.folder, self.session, self.port, self.stream = broker, folder, session, port, stream
        self.all: list[Delivering] = []

    async def one(self, **settings: Any) -> Delivering:
        spool = await JetStreamSpool.open(self.broker.settings(self.folder / f"pod-{len(self.all)}", self.stream))
        pod = Delivering(spool, self.session, self.port, **settings)
        self.all.append(pod)
        return pod

    async def end(self, pod: Delivering) -> None:
        self.all.remove(pod)
        await pod.worker.stop(1.0)
        await pod.spool.close()


@pytest.fixture
async def pods(broker: Broker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Pods]:
    be_patient(monkeypatch)
    port = free_port()
    sandbox = await tiktok.serve("127.0.0.1", port)
    async with aiohttp.ClientSession() as session:
        pods = Pods(broker, tmp_path, session, port, f"lanes-{port}")
        yield pods
        for pod in list(pods.all):
            await pods.end(pod)
    await sandbox.cleanup()


async def test_what_one_finds_suspends_all_and_a_new_token_frees_all(pods: Pods) -> None:
    one, other = await pods.one(), await pods.one()
    for pod in (one, other):
        pod.integrate(SHOP | {"access_token": "revoked"})
    await one.worker.start()
    await one.put_ids("order-1")
    found = await one.in_state("suspended")
    await other.worker.start()
    taken = await other.in_state("suspended")
    assert (taken.code, taken.message, taken.cure) == (found.code, found.message, found.cure)
    assert await other.requests() == 0, "it need not find out by itself"
    for pod in (other, one):
        pod.integrate(SHOP)
    await one.in_state("active")
    await other.in_state("active")
    await one.until(lambda: _received(one, ["order-1"]))


async def _received(pod: Delivering, ids: list[str]) -> bool:
    return sorted(await pod.received_ids()) == ids


async def test_one_probes_for_all_and_its_success_frees_all(pods: Pods) -> None:
    """A suspension that ends at TikTok's side: the token is the same."""
    all_ = [await pods.one(suspend_probe=0.4) for _ in range(3)]
    await all_[0].faults(code=40105)
    for pod in all_:
        await pod.worker.start()
    await all_[0].put_ids(*(f"order-{number}" for number in range(6)))
    for pod in all_:
        await pod.in_state("suspended")
    bucket = all_[0].spool.together.bucket("lanes")  # type: ignore[attr-defined]
    first = await bucket.entry("lane.shop._")
    before, begun = sum([await pod.requests() for pod in all_]), time.monotonic()
    await asyncio.sleep(2.0)

    async def probes() -> int:
        return sum([await pod.requests() for pod in all_]) - before

    requests = await all_[0].until(probes)
    took_s = time.monotonic() - begun
    last = await bucket.entry("lane.shop._")
    # Each probe was claimed: one write, sometimes followed by what it found. Three deliverers by themselves would have made three times as many.
    # One may have been claimed before the first look and made after it.
    assert requests <= last.revision - first.revision + 1
    assert requests <= took_s / 0.4 + 2
    await all_[0].faults()
    for pod in all_:
        await pod.in_state("active")
    await all_[0].until(lambda: _received(all_[0], [f"order-{number}" for number in range(6)]))


async def test_an_open_circuit_is_open_for_all(pods: Pods) -> None:
    one, other = await pods.one(), await pods.one()
    await one.faults(http_status=503, retry_after=2)
    await one.worker.start()
    await one.put_ids("order-1")
    await one.in_state("backing_off")
    await other.worker.start()
    await other.in_state("backing_off")
    assert await other.requests() == 0
    await one.faults()
    await one.until(lambda: _received(one, ["order-1"]))
    await one.in_state("active")
    await other.in_state("active")


async def test_the_rate_is_divided_among_those_who_live(pods: Pods) -> None:
    one, other = await pods.one(rate_limit=100), await pods.one(rate_limit=100)
    await one.worker.start()
    assert _pods(one) == 1
    assert one.worker._client._interval_s == pytest.approx(0.01)
    await other.worker.start()
    await one.until(lambda: _are(one, 2))
    assert _pods(other) == 2
    for pod in (one, other):
        assert pod.worker._client._interval_s == pytest.approx(0.02)
    await pods.end(other)
    await one.until(lambda: _are(one, 1))
    assert one.worker._client._interval_s == pytest.approx(0.01)


def _pods(pod: Delivering) -> int:
    line = next(line for line in pod.metrics.render().decode().splitlines() if line.startswith("ttgateway_delivery_pods "))
    return int(float(line.split()[1]))


async def _are(pod: Delivering, n: int) -> bool:
    return _pods(pod) == n


async def test_a_deliverer_that_was_killed_is_counted_no_longer(pods: Pods) -> None:
    one = await pods.one()
    await one.worker.start()
    bucket = one.spool.together.bucket("lanes")  # type: ignore[attr-defined]
    await bucket.put("pod.killed", b"", ttl_s=5.0)
    await other_word(one)
    await one.until(lambda: _are(one, 2))
    await one.until(lambda: _are(one, 1))


async def other_word(pod: Delivering) -> None:
    """As if another deliverer had said that there is something new."""
    pod.worker._council._news.set()  # type: ignore[union-attr]


async def test_what_the_broker_keeps_of_a_lane_tells_no_token(pods: Pods) -> None:
    one = await pods.one()
    await one.faults(code=40105)
    await one.worker.start()
    await one.put_ids("order-1")
    await one.in_state("suspended")
    bucket = one.spool.together.bucket("lanes")  # type: ignore[attr-defined]

    async def written() -> Any:
        return await bucket.entry("lane.shop._")

    entry = await one.until(written)
    accord = read(entry.value)
    assert accord is not None
    assert accord.code == "40105"
    assert SHOP["access_token"].encode() not in entry.value


async def test_the_broker_away_and_back(tmp_path: Path, caplog: pytest.LogCaptureFixture, request: pytest.FixtureRequest) -> None:
    """Each goes by its own state, says so once, and they agree again."""
    broker = Broker(tmp_path / "broker")
    request.addfinalizer(broker.stop)
    broker.start()
    spool = await JetStreamSpool.open(broker.settings(tmp_path / "pod", "away"))
    port = free_port()
    sandbox = await tiktok.serve("127.0.0.1", port)
    async with aiohttp.ClientSession() as session:
        pod = Delivering(spool, session, port)
        await pod.worker.start()
        await pod.put_ids("order-1")
        await pod.until(lambda: _received(pod, ["order-1"]))
        broker.kill()
        await pod.until(lambda: _said(caplog, "deliverers cannot agree; each goes by its own state until they can"))
        with pytest.raises(BucketAway):
            await spool.together.bucket("lanes").put("x", b"")
        broker.start()
        await pod.until(lambda: _said(caplog, "deliverers agree again"), 30)
        await pod.put_ids("order-2")
        await pod.until(lambda: _received(pod, ["order-1", "order-2"]), PATIENCE_S)
        await pod.worker.stop(1.0)
        await spool.close()
    await sandbox.cleanup()
    broker.stop()


async def _said(caplog: pytest.LogCaptureFixture, words: str) -> bool:
    caplog.set_level("INFO")
    return words in caplog.messages
