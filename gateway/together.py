"""What processes that share an engine agree on and tell each other: the interface (pure).

Law: a bucket keeps small things under keys; whoever writes names the state that he saw, and is told if somebody else came first. What is said beside it is best effort: it may
be lost, it is never waited for, and nothing but people's view rests on it.
"""

from collections.abc import Callable
from typing import NamedTuple, Protocol

from gateway.errors import GatewayError


class BucketAway(GatewayError):
    """Nobody answers, or not in time: each process goes by what it knows."""


class Entry(NamedTuple):
    """What a key holds. ``revision`` grows with each write to the bucket."""

    key: str
    value: bytes
    revision: int


class Bucket(Protocol):
    """Keys and values that all processes see. Everything raises BucketAway. A bucket that does not exist is empty; the first write makes it."""

    async def entries(self, prefix: str) -> list[Entry]:
        """All whose key begins with ``prefix`` (whole parts of a dotted key)."""
        ...

    async def keys(self, prefix: str) -> list[str]:
        """The same without the values."""
        ...

    async def entry(self, key: str) -> Entry | None:
        """One; on a cluster it may be a moment old."""
        ...

    async def put(self, key: str, value: bytes, after: int | None = None, ttl_s: float = 0.0) -> int | None:
        """Write; the new revision, or None if the key's latest write is not ``after`` (0 = there must be none; None = whatever it is). ``ttl_s`` 0 = for ever."""
        ...

    async def remove(self, key: str) -> None:
        """As if it had never been."""
        ...

    async def bounds(self) -> tuple[int, int]:
        """The oldest and the newest revision that are kept, (0, 0) while there is none; never older than a write that has returned."""
        ...

    async def at(self, revision: int) -> Entry | None:
        """What was written then, if it is kept."""
        ...


class Together(Protocol):
    """What an engine that is shared offers beside its spool."""

    pod: str
    """Tells this process from the others."""

    def bucket(self, name: str, history: int = 1) -> Bucket:
        """The bucket of that name, keeping so many writes of each key."""
        ...

    def say(self, topic: str, words: bytes) -> None:
        """Tell all other processes, if there is a connection; what cannot be sent at once is dropped."""
        ...

    def hear(self, topic: str, told: Callable[[bytes], None]) -> None:
        """Have ``told`` called with what other processes say, from now on."""
        ...
