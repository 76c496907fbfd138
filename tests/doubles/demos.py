"""The demo as a newcomer starts it, for tests: one after the other, whichever test processes they are of.

Two that start at once would find the same ports free.
"""

import asyncio
import fcntl
import os
import sys
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from whole import PATIENCE_S

ROOT = Path(__file__).resolve().parents[2]


@asynccontextmanager
async def demo(folder: Path, *arguments: str) -> AsyncIterator[tuple[asyncio.subprocess.Process, str]]:
    """A running demo and what it printed; whatever happens, it is ended so that it ends its parts. Started in ``folder``, where it keeps its catalogue."""
    environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PYTHONPATH": str(ROOT)}
    process = None
    try:
        async with _alone():
            process = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "gateway", "demo", *arguments,
                cwd=folder, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT,
            )  # fmt: skip
            assert process.stdout is not None
            text = ""
            async with asyncio.timeout(PATIENCE_S):
                while "Ctrl-C" not in text:
                    line = await process.stdout.readline()
                    assert line, text
                    text += line.decode()
        yield process, text
    finally:
        if process is not None and process.returncode is None:
            process.terminate()
            await process.communicate()


@asynccontextmanager
async def _alone() -> AsyncIterator[None]:
    """No other test of this machine is in here. The lock goes with the file."""
    with (Path(tempfile.gettempdir()) / f"ttgateway-tests-{os.getuid()}.lock").open("w") as file:
        async with asyncio.timeout(PATIENCE_S):
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    await asyncio.sleep(0.05)
                else:
                    break
        yield
