"""One declaration per operation of the API (pure): it routes the request, checks it and describes it.

Law: what is not declared does not exist; the OpenAPI document is made of the same declarations and models that requests are validated by.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Literal

from aiohttp import web
from pydantic import BaseModel, ConfigDict

from gateway.admin.access import Who
from gateway.admin.desk import Desk

PREFIX = "/api/v1/"
Method = Literal["GET", "POST", "PUT", "DELETE"]


class Input(BaseModel):
    """Base of what requests carry: unknown keys are errors."""

    model_config = ConfigDict(extra="forbid", use_attribute_docstrings=True, hide_input_in_errors=True)


class Output(BaseModel):
    """Base of what answers carry."""

    model_config = ConfigDict(use_attribute_docstrings=True)


@dataclass(slots=True)
class Call:
    """One request that passed: who asks, and what was validated."""

    desk: Desk
    who: Who
    request: web.Request
    query: Any = None
    body: Any = None

    def named(self, name: str) -> str:
        """A part of the path."""
        return self.request.match_info[name]


Handler = Callable[[Call], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Operation:
    """``handler`` gives a model, a JSON value, None (204) or a ready response."""

    method: Method
    path: str
    """Below ``/api/v1/``, parts in braces."""
    summary: str
    handler: Handler
    role: Literal["public", "viewer", "editor"] = "viewer"
    query: type[BaseModel] | None = None
    body: type[BaseModel] | None = None
    answer: type[BaseModel] | None = None
    refusals: tuple[str, ...] = ()
    """Codes beyond those that every operation may be refused with."""
    media_type: str = "application/json"
    status: int = 200


class Operations(list[Operation]):
    """A resource's operations, gathered by decorators."""

    def get(self, path: str, summary: str, **more: Any) -> Callable[[Handler], Handler]:
        """Declare a GET."""
        return self._declare("GET", path, summary, more)

    def post(self, path: str, summary: str, **more: Any) -> Callable[[Handler], Handler]:
        """Declare a POST; editors only unless said otherwise."""
        return self._declare("POST", path, summary, {"role": "editor", **more})

    def put(self, path: str, summary: str, **more: Any) -> Callable[[Handler], Handler]:
        """Declare a PUT; editors only."""
        return self._declare("PUT", path, summary, {"role": "editor", **more})

    def delete(self, path: str, summary: str, **more: Any) -> Callable[[Handler], Handler]:
        """Declare a DELETE; editors only unless said otherwise."""
        return self._declare("DELETE", path, summary, {"role": "editor", **more})

    def _declare(self, method: Method, path: str, summary: str, more: dict[str, Any]) -> Callable[[Handler], Handler]:
        def declare(handler: Handler) -> Handler:
            self.append(Operation(method, path, summary, handler, **more))
            return handler

        return declare
