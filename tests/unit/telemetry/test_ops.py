"""The ops listener: liveness, readiness, metrics and a drain for this machine only."""

import asyncio

import pytest
from aiohttp.test_utils import TestClient, TestServer
from pydantic import ValidationError

from gateway.telemetry.metrics import Metrics, Sample
from gateway.telemetry.ops import OpsHooks, OpsSettings, _is_loopback, create_app


class Gateway:
    """What the composition root would inject."""

    def __init__(self) -> None:
        self.is_ready = False
        self.begun = asyncio.Event()
        self.drained = asyncio.Event()
        self.drains = 0
        self.metrics = Metrics()
        self.refreshed = 0.0

    async def drain(self) -> None:
        self.drains += 1
        self.begun.set()
        await self.drained.wait()

    async def refresh(self) -> None:
        self.refreshed += 1

    def hooks(self) -> OpsHooks:
        return OpsHooks(lambda: self.is_ready, self.drain, self.refresh)


async def test_readiness_follows_the_gateway_and_liveness_does_not() -> None:
    gateway = Gateway()
    async with TestClient(TestServer(create_app(gateway.metrics, gateway.hooks()))) as client:
        assert (await client.get("/readyz")).status == 503
        assert (await client.get("/livez")).status == 200
        gateway.is_ready = True
        assert (await client.get("/readyz")).status == 200


async def test_a_scrape_refreshes_first() -> None:
    gateway = Gateway()
    gateway.metrics.provide("refreshed", "Times.", (), lambda: [Sample((), gateway.refreshed)])
    async with TestClient(TestServer(create_app(gateway.metrics, gateway.hooks()))) as client:
        answer = await client.get("/metrics")
        assert answer.headers["Content-Type"].startswith("text/plain")
        text = await answer.text()
    assert "ttgateway_refreshed 1.0" in text
    assert "ttgateway_build_info{version=" in text


async def test_a_failing_refresh_still_gives_metrics() -> None:
    async def fails() -> None:
        raise OSError("disk")

    gateway = Gateway()
    hooks = OpsHooks(lambda: True, gateway.drain, fails)
    async with TestClient(TestServer(create_app(gateway.metrics, hooks))) as client:
        assert (await client.get("/metrics")).status == 200


async def test_drain_answers_when_it_is_complete() -> None:
    gateway = Gateway()
    async with TestClient(TestServer(create_app(gateway.metrics, gateway.hooks()))) as client:
        asking = asyncio.get_running_loop().create_task(client.post("/drain"))
        await gateway.begun.wait()
        assert not asking.done()
        gateway.drained.set()
        assert (await asking).status == 200


async def test_a_page_in_a_local_browser_cannot_drain() -> None:
    gateway = Gateway()
    async with TestClient(TestServer(create_app(gateway.metrics, gateway.hooks()))) as client:
        assert (await client.post("/drain", headers={"Origin": "https://evil.example"})).status == 403
        assert (await client.get("/drain")).status == 405
    assert gateway.drains == 0


@pytest.mark.parametrize(
    ("peer", "expected"),
    [("127.0.0.1", True), ("::1", True), ("::ffff:127.0.0.1", True), ("10.0.0.1", False), ("fe80::1%eth0", False)],
)
def test_only_loopback_peers_may_drain(peer: str, expected: bool) -> None:
    assert _is_loopback(peer) is expected


def test_listen_needs_a_port() -> None:
    with pytest.raises(ValidationError):
        OpsSettings(listen="0.0.0.0")
