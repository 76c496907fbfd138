"""The spool's settings (pure)."""

from typing import Literal, Self

from pydantic import model_validator

from gateway.settings import Bytes, Duration, Field, Settings


class SpoolSettings(Settings):
    """Where accepted records wait until they are delivered."""

    kind: Literal["sqlite", "jetstream"] = "sqlite"
    """The engine. ``sqlite`` keeps the records in files below ``path`` and needs nothing else; ``jetstream`` keeps them on a NATS server that many pods share."""
    path: str = "/var/lib/ttgateway"
    """The directory of the spool's files, owned by one process at a time. What is in it survives a restart if the volume does. With ``jetstream`` it holds what is accepted while the broker is away."""
    max_bytes: Bytes = Field(default=1 << 30, ge=1 << 18)
    """How much disk the spool may use (pages in use and write-ahead log). When it is full, collect answers 503 until there is room. With ``jetstream`` the size of each of the broker's record streams instead."""
    dead_max_age: Duration = 14 * 86400.0
    """How long dead letters are kept for replay, counted from the day they died; older ones are removed as ``expired``."""
    local_max_bytes: Bytes = Field(default=1 << 30, ge=1 << 18)
    """``jetstream`` only: how much of the pod's own disk below ``path`` may be used while the broker is away, and never more than ``max_bytes``; when it is full, collect answers 503. Keep the volume at twice that: Kubernetes evicts a pod whose emptyDir grows over its sizeLimit."""
    url: str = ""
    """``jetstream`` only: the NATS server, several separated by commas, as in ``nats://nats:4222`` or ``tls://…``."""
    stream: str = Field(default="ttgw", pattern=r"^[A-Za-z0-9-]{1,64}$")
    """``jetstream`` only: the name of the queue's stream and of its subjects; the streams beside it are called after it."""
    credentials: str = ""
    """``jetstream`` only: the path of a NATS ``.creds`` file, read at start. Without it the user and password in ``url`` are used, if there are any."""
    tls_ca: str = ""
    """``jetstream`` only: the path of the authority that signed the server's certificate, if it is not one that the system knows. With it, or with ``tls://`` in ``url``, a server that does not speak TLS is not told anything."""
    replicas: int = Field(default=1, ge=1, le=5)
    """``jetstream`` only: how many servers keep each record. 3 survives the loss of one."""
    publish_timeout: Duration = 0.15
    """``jetstream`` only: how long an event waits for the broker before it is kept below ``path`` instead and forwarded later."""
    ack_wait: Duration = Field(default=30.0, ge=1.0)
    """``jetstream`` only: after how long without a sign of life a deliverer's records go to another one."""
    duplicate_window: Duration = Field(default=120.0, ge=1.0)
    """``jetstream`` only: how long the broker recognises a record that is published a second time after a missing answer."""
    max_ack_pending: int = Field(default=64_000, ge=1)
    """``jetstream`` only: how many records of one lane may be in the deliverers' hands; at least 4 × ``delivery.max_batch`` × ``in_flight`` × deliverers."""

    @property
    def disk_bytes(self) -> int:
        """What may be used below ``path``."""
        return self.max_bytes if self.kind == "sqlite" else min(self.local_max_bytes, self.max_bytes)

    @model_validator(mode="after")
    def _fits_its_kind(self) -> Self:
        if self.kind == "jetstream" and not self.url:
            raise ValueError("kind jetstream needs url, as in nats://nats:4222")
        if self.kind == "sqlite" and self.url:
            raise ValueError("url is for kind jetstream")
        return self
