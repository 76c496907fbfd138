"""Replays in progress (io: tasks): many dead letters queued again, slice by slice.

Law: one at a time; it can be watched and cancelled at any moment, and what was queued by then stays queued. Only the last few are remembered.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

from gateway.errors import SpoolUnavailable
from gateway.spool.base import DeadLetter, Spool
from gateway.telemetry import tasks

_log = logging.getLogger(__name__)

_SLICE = 100
_REMEMBERED = 20


@dataclass(slots=True)
class Replay:
    """One job. ``state``: running, done, cancelled or failed."""

    id: str
    count: int
    done: int = 0
    state: str = "running"
    message: str = ""
    task: asyncio.Task[None] | None = None

    def told(self) -> dict[str, Any]:
        """As the API shows it."""
        return {"id": self.id, "count": self.count, "done": self.done, "state": self.state, "message": self.message}


class Replays:
    """The jobs of one gateway."""

    def __init__(self) -> None:
        self.jobs: dict[str, Replay] = {}
        self._turn = asyncio.Lock()
        self._number = 0

    def start(self, spool: Spool, letters: AsyncIterator[DeadLetter], count: int, actor: str) -> Replay:
        """Queue ``letters`` again in the background; ``count`` is how many there are, for the progress."""
        self._number += 1
        job = self.jobs[str(self._number)] = Replay(str(self._number), count)
        while len(self.jobs) > _REMEMBERED:
            oldest = next(iter(self.jobs))
            if self.jobs[oldest].state == "running":
                break
            del self.jobs[oldest]
        _log.info("replay begun", extra={"records": count, "actor": actor})
        job.task = tasks.spawn(self._run(job, spool, letters), "replay dead letters")
        return job

    def cancel(self, id_: str) -> bool:
        """Stop a job; False if there is none of that id that runs."""
        job = self.jobs.get(id_)
        if job is None or job.task is None or job.state != "running":
            return False
        job.task.cancel()
        job.state, job.message = "cancelled", "cancelled; what was queued by then stays queued"
        return True

    async def _run(self, job: Replay, spool: Spool, letters: AsyncIterator[DeadLetter]) -> None:
        async with self._turn:
            try:
                ids: list[int] = []
                async for letter in letters:
                    ids.append(letter.id)
                    if len(ids) == _SLICE:
                        job.done += await spool.dead_replay(ids)
                        ids = []
                if ids:
                    job.done += await spool.dead_replay(ids)
                job.state = "done"
            except SpoolUnavailable as error:
                job.state, job.message = "failed", f"the spool is not available: {error.detail}"
        _log.info("replay ended", extra={"records": job.done, "state": job.state})
