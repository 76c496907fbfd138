"""Every asynchronous test of the wire runs on both event loops: their transports differ in when they write, close and report."""

import asyncio
from collections.abc import Callable, Mapping

import uvloop


def pytest_asyncio_loop_factories() -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """The product runs on uvloop; asyncio's own loop is the fallback and the stricter critic."""
    return {"asyncio": asyncio.new_event_loop, "uvloop": uvloop.new_event_loop}
