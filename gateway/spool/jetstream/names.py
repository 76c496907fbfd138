"""Subjects, streams and consumers by name (pure).

Law: a lane and an owner are one token each, whatever they hold; two lanes never share a subject, because the broker refuses overlapping
consumers on a work queue. What is encoded here is stored: a change of it needs a migration.
"""

import re
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import unquote

from gateway.lane import Lane

_PLAIN = re.compile(r"[A-Za-z0-9-]+")


def token(text: str) -> str:
    """``text`` as one subject token; empty becomes ``_``, everything but letters, digits and ``-`` is written ``=XX``."""
    if not text:
        return "_"
    if _PLAIN.fullmatch(text):
        return text
    return "".join(chr(byte) if _PLAIN.fullmatch(chr(byte)) else f"={byte:02X}" for byte in text.encode())


def text(encoded: str) -> str:
    """The inverse of :func:`token`."""
    return "" if encoded == "_" else unquote(encoded.replace("=", "%"))


def lane_tokens(lane: str) -> str:
    """``integration.code`` of a lane's key."""
    return ".".join(map(token, Lane.parse(lane)))


def lane_of(subject: str) -> str:
    """The lane's key in any of our subjects."""
    _, integration, code, *_ = subject.split(".")
    return Lane(text(integration), text(code)).key


def owner_of(subject: str) -> str:
    """The owner in a record's subject."""
    return text(subject.split(".")[3])


def consumer(lane: str) -> str:
    """The durable consumer of a lane."""
    return "lane~" + "~".join(map(token, Lane.parse(lane)))


def message_id(lane: str, key: str) -> str:
    """``Nats-Msg-Id``: the same in every pod, and nothing that could be turned back into an event. 32 characters."""
    return blake2b(f"{lane}\n{key}".encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


@dataclass(frozen=True, slots=True)
class Names:
    """Everything that is called after ``spool.stream``."""

    queue: str

    @property
    def later(self) -> str:
        """Records that wait for a retry: delayed refusals would fill the queue's ``max_ack_pending`` and block its lane."""
        return f"{self.queue}-later"

    @property
    def dead(self) -> str:
        """Dead letters."""
        return f"{self.queue}-dead"

    @property
    def totals(self) -> str:
        """One counter per lane, outcome and reason."""
        return f"{self.queue}-totals"

    @property
    def marks(self) -> str:
        """What settlements ask to be remembered."""
        return f"{self.queue}-marks"

    @property
    def purges(self) -> str:
        """Who has withdrawn lately."""
        return f"{self.queue}-purges"

    @property
    def control(self) -> str:
        """What pods tell each other without keeping it."""
        return f"{self.queue}-control"

    def topic(self, name: str) -> str:
        """The same, by what it is about."""
        return f"{self.queue}-pods.{name}"

    def subject(self, stream: str, lane: str, owner: str) -> str:
        """Where a record of ``lane`` and ``owner`` goes in ``stream``."""
        return f"{stream}.{lane_tokens(lane)}.{token(owner)}"

    def total(self, lane: str, outcome: str, reason: str) -> str:
        """The counter's subject."""
        return f"{self.totals}.{lane_tokens(lane)}.{token(outcome)}.{token(reason)}"
