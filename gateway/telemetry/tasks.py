"""The one place where background tasks are made (io).

Law: every task has a name, is referenced until it ends, and its crash is logged and counted; a task that must not die is
restarted with a growing pause by ``keep``.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, TypeVar

_log = logging.getLogger(__name__)
_running: set[asyncio.Task[Any]] = set()
_MAX_PAUSE_S = 30.0
_Result = TypeVar("_Result")
_HEALTHY_S = 60.0
"""A task that ran this long had recovered: its next crash starts with a short pause again."""

crashes: dict[str, int] = {}
"""Task name → crashes since start; rendered as a metric."""


def spawn(
    coroutine: Coroutine[Any, Any, Any], name: str, on_crash: Callable[[BaseException], None] | None = None
) -> asyncio.Task[Any]:
    """Run ``coroutine`` as a named task of the running loop; a crash is logged, counted and handed to ``on_crash``."""
    task = asyncio.get_running_loop().create_task(coroutine, name=name)
    _running.add(task)

    def ended(task: asyncio.Task[Any]) -> None:
        _running.discard(task)
        if task.cancelled() or (error := task.exception()) is None:
            return
        crashes[name] = crashes.get(name, 0) + 1
        _log.error("task crashed", extra={"task": name}, exc_info=error)
        if on_crash:
            on_crash(error)

    task.add_done_callback(ended)
    return task


def keep(run: Callable[[], Awaitable[None]], name: str) -> asyncio.Task[Any]:
    """Run ``run`` again and again whenever it crashes, pausing 1, 2, 4 … 30 s; a normal return ends it."""

    async def supervised() -> None:
        pause = 1.0
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            try:
                await run()
            except asyncio.CancelledError:
                raise
            except Exception:  # noqa: BLE001 - supervision: whatever it was, the service goes on and says so
                crashes[name] = crashes.get(name, 0) + 1
                if loop.time() - begun > _HEALTHY_S:
                    pause = 1.0
                _log.exception("task crashed, restarting", extra={"task": name, "pause_s": pause})
                await asyncio.sleep(pause)
                pause = min(pause * 2, _MAX_PAUSE_S)
            else:
                return

    return spawn(supervised(), name)


def from_thread(work: Coroutine[Any, Any, _Result], loop: asyncio.AbstractEventLoop, timeout_s: float) -> _Result:
    """Run ``work`` on ``loop`` from another thread, which waits; TimeoutError ends the work too."""
    running = asyncio.run_coroutine_threadsafe(work, loop)
    try:
        return running.result(timeout_s)
    except TimeoutError:
        running.cancel()
        raise


async def cancel(*tasks: asyncio.Task[Any] | None) -> None:
    """Cancel tasks and wait until they have ended."""
    alive = [task for task in tasks if task is not None and not task.done()]
    for task in alive:
        task.cancel()
    if alive:
        await asyncio.gather(*alive, return_exceptions=True)


def running() -> list[str]:
    """Names of the tasks that are alive, for diagnosis and leak tests."""
    return sorted(task.get_name() for task in _running)
