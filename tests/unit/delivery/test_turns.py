"""One piece of work per turn of the loop."""

import asyncio
from collections import Counter

from gateway.delivery.turns import Turns


async def test_no_two_slices_share_a_turn_of_the_loop_and_nobody_starves() -> None:
    turns, at, turn = Turns(), Counter[int](), 0
    order: list[int] = []
    over = asyncio.Event()

    async def clock() -> None:
        nonlocal turn
        while not over.is_set():
            turn += 1
            await asyncio.sleep(0)

    async def work(worker: int) -> None:
        for _ in range(5):
            await turns.take()
            at[turn] += 1
            order.append(worker)

    ticking = asyncio.create_task(clock())
    await asyncio.gather(*(work(worker) for worker in range(4)))
    over.set()
    await ticking
    assert set(at.values()) == {1}
    assert sorted(order[:4]) == [0, 1, 2, 3]


async def test_who_is_cancelled_while_waiting_takes_no_turn_away() -> None:
    turns = Turns()
    first, second = asyncio.create_task(turns.take()), asyncio.create_task(turns.take())
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.wait_for(second, 5)
    await asyncio.wait_for(turns.take(), 5)
    assert first.cancelled()
