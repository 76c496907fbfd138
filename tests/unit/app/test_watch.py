"""What the watch tells the alerts of the process that it runs in."""

from pathlib import Path
from unittest.mock import Mock

import pytest

from gateway.app import watch
from gateway.app.gauges import Gauges
from gateway.app.watch import Watch
from gateway.catalog.runtime import Live
from gateway.edge.listener import Listener
from gateway.telemetry.alerts import QUIET_S
from gateway.telemetry.metrics import Metrics


async def test_silence_is_told_of_a_process_that_has_listened_for_long_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing can have come in before it began, whatever the history remembers of another one."""
    clock = Mock(return_value=1000.0)
    monkeypatch.setattr(watch.time, "monotonic", clock)
    metrics, live = Metrics(), Live()
    found = Watch(metrics, Gauges(metrics, live, Mock(spec=Listener), shared=False), live, list, tmp_path)

    async def named() -> list[str]:
        return [alert["id"] for alert in await found.alerts() if alert["id"] == "no_traffic"]

    clock.return_value += QUIET_S - 1
    assert await named() == []
    clock.return_value += 1
    assert await named() == ["no_traffic"]
    metrics.received("shop", "signal")
    assert await named() == []
