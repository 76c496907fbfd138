"""The connection ends well, however the broker went."""

from typing import Any

import pytest

from gateway.spool.jetstream.wire import Wire, inbox, options
from gateway.spool.settings import SpoolSettings


async def test_a_connection_that_was_lost_with_something_to_send_is_closed(
    on_broker: SpoolSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    """uvloop raises RuntimeError for a transport that is closed already: no reason for a background task to crash."""
    changes: list[bool] = []
    wire = Wire(options(on_broker, "all"), lambda: changes.append(True))
    await wire.connect()
    client: Any = wire._nc
    transport, writelines = client._transport, client._transport.writelines

    def closed(_lines: list[bytes]) -> None:
        transport.writelines = writelines
        raise RuntimeError("the handler is closed")

    await wire._nc.publish("somewhere", b"unsent")  # type: ignore[union-attr]
    monkeypatch.setattr(client, "_flush_pending", _nothing)
    monkeypatch.setattr(client, "flush", _nothing)
    transport.writelines = closed
    await wire.close()
    assert changes
    transport.close()
    await transport.wait_closed()


async def _nothing(*_: object, **__: object) -> None:
    """Sends nothing."""


def test_each_role_has_an_inbox_of_its_own(settings: SpoolSettings) -> None:
    roles = ("all", "edge", "deliver", "admin")
    names = {options(settings, role)["inbox_prefix"] for role in roles}
    assert names == {inbox("ttgw", role) for role in roles} == {f"_INBOX_ttgw_{role}" for role in roles}
