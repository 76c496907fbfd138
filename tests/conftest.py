"""Shared fixtures: a blocked event loop fails the test, and missing system tools are named at the end."""

import os
import shutil
from collections.abc import Iterator

import pytest
from blockbuster import BlockBuster, blockbuster_ctx

from gateway.event import fields

_TOOLS = {
    "browser": ("chromium", "apt-get install chromium"),
    "node": ("node", "apt-get install nodejs"),
    "nginx": ("nginx", "apt-get install nginx"),
    "bwrap": ("bwrap", "apt-get install bubblewrap"),
}


@pytest.fixture(autouse=True)
def blocked_loop_fails() -> Iterator[BlockBuster]:
    """Any blocking call that gateway code makes on the event loop raises BlockingError."""
    with blockbuster_ctx("gateway") as buster:
        yield buster


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests whose tool is missing are skipped with the cure – in CI they run and fail instead. What the compiled build seals can be reached only in the interpreted one."""
    if not fields.__file__.endswith(".py"):
        for item in items:
            if item.get_closest_marker("interpreted"):
                item.add_marker(pytest.mark.skip(reason="replaces or looks into what the compiled build seals"))
    for marker, (tool, cure) in _TOOLS.items():
        if shutil.which(tool) or os.environ.get("CI"):
            continue
        for item in items:
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=_wanting(tool, cure)))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which missing package disabled which tests; their reports are here also where other processes ran them."""
    skipped = [str(report.longrepr) for report in terminalreporter.getreports("skipped")]
    for marker, (tool, cure) in _TOOLS.items():
        if count := sum(_wanting(tool, cure) in why for why in skipped):
            terminalreporter.write_line(f"{count} {marker} tests did not run: {tool} is not installed ({cure})", yellow=True)


def _wanting(tool: str, cure: str) -> str:
    return f"{tool} is not installed: {cure}"
