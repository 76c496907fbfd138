"""Erasure: everything of one person that still waits here (io: HTTP only)."""

from pydantic import Field, model_validator

from gateway.admin.errors import Refused
from gateway.admin.operation import Call, Input, Operations, Output

operations = Operations()


class Person(Input):
    """Exactly one of them."""

    email: str = Field("", max_length=320)
    """E-mail address, or its SHA-256."""
    external_id: str = Field("", max_length=256)
    """The site's id of the customer, or its SHA-256."""
    anonymous_id: str = Field("", max_length=256)
    """The visitor's anonymous id, as in the ``_dfid`` cookie."""

    @model_validator(mode="after")
    def _one(self) -> "Person":
        if sum(map(bool, (self.email, self.external_id, self.anonymous_id))) != 1:
            raise ValueError("name exactly one of email, external_id and anonymous_id")
        return self


class Erased(Output):
    """What was met. What TikTok has received already must be erased there."""

    removed: dict[str, int]
    """Queued and dead events that were removed, by what they were found by."""
    under_way: int
    """Events that had been handed out for delivery: none is sent any more whose request was not under way, and they are removed when they come back."""


@operations.post("erase", "Remove a person's queued and dead events", body=Person, answer=Erased, refusals=("unavailable",))
async def erase(call: Call) -> Erased:
    """How many were removed. What TikTok has already must be erased there."""
    if call.desk.erase is None:
        raise Refused("unavailable", "the spool is not open; the log says why", retry_after_s=5)
    kind, value = next((name, text) for name, text in call.body.model_dump().items() if text)
    found = await call.desk.erase(kind, value)
    return Erased(removed=found.removed, under_way=found.under_way)
