"""Answers of the edge, and the one table that picks their statuses (pure).

Law: an answer is bytes that are ready to be sent; only Content-Length, Date and Connection are added by the protocol, which
knows the connection. No other file of this room names a status for a refusal.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import asyncio


class Answer:
    """A complete answer. ``headers``: ready lines, each ending in CRLF, without Content-Length, Date and Connection."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: bytes = b"", body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<Answer {self.status} {len(self.body)} bytes>"


class Deferred:
    """An answer that holds once ``future`` is done; if it fails, ``on_failure`` makes the answer from the exception."""

    __slots__ = ("answer", "future", "on_failure")

    def __init__(self, future: "asyncio.Future[None]", answer: Answer, on_failure: Callable[[BaseException], Answer]) -> None:
        self.future = future
        self.answer = answer
        self.on_failure = on_failure
