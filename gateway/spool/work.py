"""What waits for the writer's next transaction (pure)."""

import asyncio
from collections.abc import Callable
from typing import Any

from gateway.spool.base import NewRecord
from gateway.spool.transaction import Transaction


class Group:
    """Records waiting for one commit."""

    __slots__ = ("future", "records", "size")

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future
        self.records: list[NewRecord] = []
        self.size = 0


class Job:
    """Other work for the writer's transaction. ``lasting`` jobs are kept through a failure of the disk."""

    __slots__ = ("future", "lasting", "result", "run")

    def __init__(self, run: Callable[[Transaction], Any], future: asyncio.Future[Any] | None, *, lasting: bool) -> None:
        self.run = run
        self.future = future
        self.lasting = lasting
        self.result: Any = None
