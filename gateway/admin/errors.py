"""Refusals of the management API, and their one shape (pure).

Law: statuses are chosen here. Every refusal is ``{"error": {"code", "message", "problems": [{"path", "message", "hint"}]}}`` with all problems at once; none quotes a secret.
"""

from collections.abc import Iterable
from typing import Any

import orjson
from pydantic import ValidationError

from gateway.errors import GatewayError, Problem
from gateway.wording import faults

STATUS = {
    "invalid": 422,
    "not_json": 400,
    "too_large": 413,
    "unauthenticated": 401,
    "forbidden": 403,
    "wrong_origin": 403,
    "wrong_host": 421,
    "not_found": 404,
    "conflict": 409,
    "changed_meanwhile": 412,
    "etag_needed": 428,
    "too_many_attempts": 429,
    "read_only": 409,
    "unavailable": 503,
    "crashed": 500,
}
"""Code → HTTP status."""


class Refused(GatewayError):
    """A request that is not carried out. ``message`` says what to do about it."""

    def __init__(self, code: str, message: str, problems: Iterable[Problem] = (), *, retry_after_s: int = 0) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.problems = list(problems)
        self.retry_after_s = retry_after_s

    @property
    def status(self) -> int:
        """The HTTP status."""
        return STATUS[self.code]

    def body(self) -> bytes:
        """The answer's body."""
        problems = [{"path": each.path, "message": each.message, "hint": each.hint} for each in self.problems]
        return orjson.dumps({"error": {"code": self.code, "message": self.message, "problems": problems}})


def invalid(error: ValidationError, data: Any) -> Refused:
    """All that a model found in ``data``, without the values it found it in."""
    return refused([Problem(".".join(map(str, fault.path)) or "(body)", fault.message) for fault in faults(error, data)])


def refused(problems: list[Problem]) -> Refused:
    """One refusal for all of them."""
    return Refused("invalid", f"{len(problems)} problem{'s' if len(problems) > 1 else ''}: {_first(problems)}", problems)


def _first(problems: list[Problem]) -> str:
    return f"{problems[0].path}: {problems[0].message}" if problems else ""


def missing(what: str) -> Refused:
    """404 with a word."""
    return Refused("not_found", f"there is no {what}")


def document(code: str) -> dict[str, Any]:
    """How the refusal is described in the API's document."""
    return {
        "description": code.replace("_", " "),
        "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
    }
