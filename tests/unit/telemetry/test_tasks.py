"""Tasks: named, referenced, supervised."""

import asyncio

import pytest

from gateway.telemetry import tasks


async def test_a_crash_is_logged_counted_and_handed_on(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[BaseException] = []

    async def fails() -> None:
        raise RuntimeError("boom")

    before = tasks.crashes.get("fails", 0)
    task = tasks.spawn(fails(), "fails", seen.append)
    with pytest.raises(RuntimeError):
        await task
    await asyncio.sleep(0)
    assert [str(error) for error in seen] == ["boom"]
    assert tasks.crashes["fails"] == before + 1
    assert "boom" in caplog.text


async def test_a_task_is_referenced_until_it_ends() -> None:
    gate = asyncio.Event()

    async def waits() -> None:
        await gate.wait()

    task = tasks.spawn(waits(), "waits")
    assert "waits" in tasks.running()
    gate.set()
    await task
    await asyncio.sleep(0)
    assert "waits" not in tasks.running()


async def test_keep_restarts_until_a_normal_return(monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    yield_once = asyncio.sleep

    async def sleep(seconds: float) -> None:
        pauses.append(seconds)
        await yield_once(0)

    monkeypatch.setattr(tasks.asyncio, "sleep", sleep)
    runs = 0

    async def run() -> None:
        nonlocal runs
        runs += 1
        if runs < 8:
            raise OSError("again")

    await tasks.keep(run, "kept")
    assert runs == 8
    assert pauses == [1, 2, 4, 8, 16, 30, 30]


async def test_cancelled_is_not_a_crash() -> None:
    async def waits() -> None:
        await asyncio.Event().wait()

    task = tasks.spawn(waits(), "cancelled")
    await asyncio.sleep(0)
    await tasks.cancel(task, None)
    assert task.cancelled()
    assert "cancelled" not in tasks.crashes
