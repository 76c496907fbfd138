"""Pipelines: what is in force, and every change of it (io: HTTP and the catalogue)."""

from typing import Any

from aiohttp import web

from gateway.admin import answers, shown
from gateway.admin.api.integrations import CHANGE, changes, etag_of, tagged
from gateway.admin.errors import missing, refused
from gateway.admin.operation import Call, Operations
from gateway.catalog.model import PipelineSettings
from gateway.errors import Problem

operations = Operations()


@operations.get("pipelines", "Pipelines in force", answer=answers.Pipelines)
async def pipelines(call: Call) -> dict[str, Any]:
    """Without secrets."""
    return {"items": [shown.pipeline(call.desk, each) for each in shown.pipelines(call.desk)], "next": None}


@operations.get(
    "pipelines/{id}", "One pipeline with the tag to paste, and its ETag", refusals=("not_found",), answer=answers.Pipeline
)
async def pipeline(call: Call) -> web.Response:
    """Without secrets."""
    return _told(call, call.named("id"))


@operations.post(
    "pipelines",
    "Add a pipeline",
    body=PipelineSettings,
    status=201,
    refusals=("read_only", "unavailable"),
    answer=answers.Pipeline,
)
async def create(call: Call) -> web.Response:
    """In force when it is answered."""
    body: PipelineSettings = call.body
    secret = shown.secret(body.secret)
    await changes(call).create(call.who.name, "pipelines", shown.entry(body), secret=secret, pipelines=(), until=None)
    return _told(call, body.id, 201)


@operations.put("pipelines/{id}", "Change a pipeline", body=PipelineSettings, refusals=CHANGE, answer=answers.Pipeline)
async def replace(call: Call) -> web.Response:
    """The whole of it; its secret stays if none is given."""
    body: PipelineSettings = call.body
    if body.id != call.named("id"):
        raise refused([Problem("id", "an id cannot be changed", "duplicate the pipeline and remove this one")])
    secret = shown.secret(body.secret)
    await changes(call).replace(
        call.who.name, etag_of(call), "pipelines", shown.entry(body), secret=secret, pipelines=(), until=None
    )
    return _told(call, body.id)


@operations.delete(
    "pipelines/{id}", "Remove a pipeline; requests with its key are answered 401 from then on", status=204, refusals=CHANGE
)
async def remove(call: Call) -> None:
    """What was accepted already is delivered."""
    await changes(call).remove(call.who.name, etag_of(call), "pipelines", call.named("id"))


def _told(call: Call, id_: str, status: int = 200) -> web.Response:
    found = next((each for each in shown.pipelines(call.desk) if each.id == id_), None)
    if found is None:
        raise missing("pipeline of that id")
    told = shown.pipeline(call.desk, found)
    return tagged(told, told["etag"], status)
