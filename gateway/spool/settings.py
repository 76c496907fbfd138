"""The spool's settings (pure)."""

from typing import Literal

from gateway.settings import Bytes, Duration, Field, Settings


class SpoolSettings(Settings):
    """Where accepted records wait until they are delivered."""

    kind: Literal["sqlite"] = "sqlite"
    """The engine. ``sqlite`` keeps the records in files below ``path`` and needs nothing else."""
    path: str = "/var/lib/ttgateway"
    """The directory of the spool's files, owned by one process at a time. What is in it survives a restart if the volume does."""
    max_bytes: Bytes = Field(default=1 << 30, ge=1 << 18)
    """How much disk the spool may use (pages in use and write-ahead log). When it is full, collect answers 503 until there is room."""
    dead_max_age: Duration = 14 * 86400.0
    """How long dead letters are kept for replay, counted from the day they died; older ones are removed as ``expired``."""
