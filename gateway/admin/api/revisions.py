"""Revisions: what was changed here, by whom, and the way back (io: HTTP and the catalogue)."""

from typing import Any

from pydantic import Field

from gateway.admin import answers
from gateway.admin.api.integrations import changes
from gateway.admin.errors import missing
from gateway.admin.operation import Call, Input, Operations

operations = Operations()


class Page(Input):
    """A page of the list."""

    limit: int = Field(30, ge=1, le=100)
    """Revisions."""
    cursor: int | None = Field(None, ge=1)
    """``next`` of the page before."""


class Nothing(Input):
    """No fields."""


@operations.get("revisions", "Changes made here, newest first", query=Page, answer=answers.Revisions)
async def revisions(call: Call) -> dict[str, Any]:
    """Empty where everything is declared in the configuration file."""
    if (made := call.desk.changes) is None:
        return {"items": [], "next": None}
    found, further = await made.revisions(call.query.cursor, call.query.limit)
    items = [
        {
            "id": each.number,
            "at": each.at,
            "actor": each.actor,
            "summary": each.summary,
            "current": each.number == made.head.number,
        }
        for each in found
    ]
    return {"items": items, "next": further}


@operations.get("revisions/{id}/diff", "What a revision changed", refusals=("not_found",), answer=answers.Difference)
async def difference(call: Call) -> dict[str, Any]:
    """Entry by entry; secrets by their version only."""
    if call.desk.changes is None:
        raise missing("revision of that number")
    return {"files": await call.desk.changes.difference(_number(call))}


@operations.post(
    "revisions/{id}/rollback",
    "Make the catalogue what it was right after a revision",
    body=Nothing,
    refusals=("not_found", "read_only", "unavailable"),
    answer=answers.RolledBack,
)
async def roll_back(call: Call) -> dict[str, Any]:
    """A revision itself; access tokens stay the current ones."""
    made = changes(call)
    await made.roll_back(call.who.name, _number(call))
    return {"id": made.head.number}


def _number(call: Call) -> int:
    given = call.named("id")
    if not given.isdecimal() or len(given) > 9:
        raise missing("revision of that number")
    return int(given)
