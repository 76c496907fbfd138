"""What the sizes bound."""

import pytest

from gateway.spool.settings import SpoolSettings

GIB = 1 << 30


@pytest.mark.parametrize(
    ("more", "disk_bytes"),
    [
        ({"max_bytes": "100GiB"}, 100 * GIB),
        ({"kind": "jetstream", "url": "nats://x", "max_bytes": "100GiB"}, GIB),
        ({"kind": "jetstream", "url": "nats://x", "max_bytes": "8MiB"}, 8 << 20),
        ({"kind": "jetstream", "url": "nats://x", "max_bytes": "100GiB", "local_max_bytes": "3GiB"}, 3 * GIB),
        ({"kind": "jetstream", "url": "nats://x", "max_bytes": "1GiB", "local_max_bytes": "3GiB"}, GIB),
    ],
)
def test_a_pod_s_own_disk_is_not_sized_like_the_broker(more: dict[str, str], disk_bytes: int) -> None:
    assert SpoolSettings.model_validate(more).disk_bytes == disk_bytes
