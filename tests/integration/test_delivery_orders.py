"""``dedupe_purchases``: each order once, however often its thank-you page is visited – and never lost for another try's sake."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from delivering import SHOP, Delivering, delivering, sealed

from gateway.delivery import orders
from gateway.errors import SpoolUnavailable
from gateway.outcome import Outcome, Reason
from gateway.spool.base import Mark, Settlement
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool

ONCE = {**SHOP, "dedupe_purchases": "30d"}
WITH_CODE: Any = {**ONCE, "test_event_code": "TEST1"}


def order(event_id: str, order_id: Any = "1001", **changes: Any) -> bytes:
    return sealed(event_id, properties={"value": 9.5, "currency": "EUR", "order_id": order_id}, **changes)


@pytest.fixture
async def shop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Delivering]:
    monkeypatch.setattr("gateway.delivery.shipment.WAIT_S", 0.05)
    async with delivering(tmp_path) as around:
        around.integrate(ONCE)
        await around.worker.start()
        yield around


async def test_a_page_visited_again_is_deduplicated_and_counted(shop: Delivering) -> None:
    await shop.put(order("first"))
    await shop.settled(delivered=1)
    await shop.put(order("again"), order("other", "1002"), sealed("no order"))
    await shop.settled(delivered=3, deduplicated=1)
    assert set(await shop.received_ids()) == {"first", "other", "no order"}
    assert (await shop.counted(4))[Outcome.DEDUPLICATED, Reason.DUPLICATE_ORDER] == 1


async def test_within_one_batch_the_second_waits_for_the_first(shop: Delivering) -> None:
    await shop.put(order("first"), order("again"), order("and again"))
    await shop.settled(delivered=1, deduplicated=2)
    assert await shop.received_ids() == ["first"]


async def test_if_the_first_dies_the_second_goes_out(shop: Delivering) -> None:
    await shop.put(order("refused", page={}), order("good"))
    await shop.settled(dead=1, delivered=1)
    assert await shop.received_ids() == ["good"]


async def test_while_tiktok_fails_nothing_is_lost_and_then_it_goes_out_once(shop: Delivering) -> None:
    await shop.faults(code=50000, count=3)
    await shop.put(order("first"))
    await shop.put(order("again"))
    await shop.settled(delivered=1, deduplicated=1)
    assert len(await shop.received_ids()) == 1


async def test_other_events_of_the_order_and_other_lanes_are_not_held_back(shop: Delivering) -> None:
    await shop.put(order("first"), order("cart", name="Product Added"))
    await shop.settled(delivered=2)
    shop.integrate(WITH_CODE)
    await shop.put(order("tested"), lane="shop|TEST1")
    await shop.settled("shop|TEST1", delivered=1)


async def test_without_the_setting_only_the_event_id_tells(shop: Delivering) -> None:
    shop.integrate(SHOP)
    await shop.put(order("first"))
    await shop.settled(delivered=1)
    await shop.put(order("again"))
    await shop.settled(delivered=2)


async def test_a_replayed_dead_letter_is_sent_unless_its_order_was(shop: Delivering) -> None:
    await shop.put(order("refused", page={}))
    await shop.settled(dead=1)
    (letter,) = await shop.dead()
    await shop.put(order("later"))
    await shop.settled(dead=1, delivered=1)
    await shop.spool.dead_replay([letter.id])
    await shop.settled(delivered=1, deduplicated=1)


async def test_orders_are_remembered_over_restarts_and_forgotten_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = SpoolSettings(path=str(tmp_path))
    spool = await SqliteSpool.open(settings)
    await spool.close()
    async with delivering(tmp_path) as around:
        around.integrate(ONCE)
        await around.worker.start()
        await around.put(order("first"))
        await around.settled(delivered=1)
    async with delivering(tmp_path) as around:
        around.integrate(ONCE)
        await around.worker.start()
        await around.put(order("after the restart"))
        await around.settled(delivered=1, deduplicated=1)
    real = orders.order_key("shop", {"event": "Purchase", "properties": {"order_id": "1001"}})
    spool = await SqliteSpool.open(settings)
    assert await spool.marked([real, 7]) == {real}
    monkeypatch.setattr("gateway.spool.sqlite.time", type("Clock", (), {"time": staticmethod(lambda: 4e9)}))
    assert await spool.marked([real]) == set()
    await spool.close()


async def test_a_closed_spool_remembers_nothing_for_anybody(tmp_path: Path) -> None:
    spool = await SqliteSpool.open(SpoolSettings(path=str(tmp_path)))
    await spool.close()
    with pytest.raises(SpoolUnavailable):
        await spool.marked([1])
    with pytest.raises(SpoolUnavailable):
        await spool.settle(Settlement(marks=[Mark(1, 2.0, "shop")]))
