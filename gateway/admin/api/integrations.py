"""Integrations: what is in force, and every change of it (io: HTTP and the catalogue).

Law: what is declared in the configuration file is changed there. Every change names the state it was made from by ``If-Match``.
"""

from typing import Any

import yaml
from aiohttp import web
from pydantic import Field

from gateway.admin import answers, shown
from gateway.admin.changes import Changes
from gateway.admin.errors import Refused, missing, refused
from gateway.admin.operation import Call, Input, Operations
from gateway.catalog.model import ID, IntegrationSettings
from gateway.errors import Problem

operations = Operations()

CHANGE = ("read_only", "not_found", "etag_needed", "changed_meanwhile", "unavailable")
"""What a change may be refused with."""


class IntegrationInput(IntegrationSettings):
    """An integration as it is to be. Without an access token the one there is stays."""

    pipelines: list[str] = []
    """Ids of the pipelines it runs on."""
    test_code_until: float | None = None
    """Unix seconds at which the test event code is taken out; unset = an hour after it was set (``catalog.test_code_lifetime``)."""


class Copy(Input):
    """A copy."""

    id: str = Field(pattern=ID)
    """Its id."""
    name: str = Field("", max_length=200)
    """Its name."""


class Switch(Input):
    """On or off."""

    enabled: bool
    """False: nothing new is accepted for it, and its queue pauses."""


class Test(Input):
    """A test event."""

    test_event_code: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    """From the pixel's Test events tab."""


@operations.get("integrations", "Integrations in force", answer=answers.Integrations)
async def integrations(call: Call) -> dict[str, Any]:
    """Without secrets."""
    depths = await shown.depths(call.desk)
    return {"items": [shown.integration(call.desk, each, depths) for each in shown.integrations(call.desk)], "next": None}


@operations.get("integrations/{id}", "One integration, with its ETag", refusals=("not_found",), answer=answers.Integration)
async def integration(call: Call) -> web.Response:
    """Without secrets."""
    return await _told(call, call.named("id"))


@operations.post(
    "integrations",
    "Add an integration",
    body=IntegrationInput,
    status=201,
    refusals=("read_only", "unavailable"),
    answer=answers.Integration,
)
async def create(call: Call) -> web.Response:
    """In force when it is answered."""
    body: IntegrationInput = call.body
    await changes(call).create(
        call.who.name, "integrations", shown.entry(body, *_APART), secret=shown.secret(body.access_token), pipelines=body.pipelines, until=body.test_code_until
    )  # fmt: skip
    return await _told(call, body.id, 201)


@operations.put("integrations/{id}", "Change an integration", body=IntegrationInput, refusals=CHANGE, answer=answers.Integration)
async def replace(call: Call) -> web.Response:
    """The whole of it; its token stays if none is given."""
    body: IntegrationInput = call.body
    if body.id != call.named("id"):
        raise refused([Problem("id", "an id cannot be changed", "duplicate the integration and remove this one")])
    await changes(call).replace(
        call.who.name, etag_of(call), "integrations", shown.entry(body, *_APART), secret=shown.secret(body.access_token), pipelines=body.pipelines, until=body.test_code_until
    )  # fmt: skip
    return await _told(call, body.id)


@operations.delete("integrations/{id}", "Remove an integration; its queue becomes dead letters", status=204, refusals=CHANGE)
async def remove(call: Call) -> None:
    """A pipeline of the configuration file that names it keeps it from being removed."""
    await changes(call).remove(call.who.name, etag_of(call), "integrations", call.named("id"))


@operations.post(
    "integrations/{id}/enabled", "Enable or disable an integration", body=Switch, refusals=CHANGE, answer=answers.Integration
)
async def switch(call: Call) -> web.Response:
    """Nothing is lost either way."""
    id_, enabled = call.named("id"), call.body.enabled
    await changes(call).update(
        call.who.name,
        etag_of(call),
        id_,
        {"enabled": None if enabled else False},
        f"{'Enabled' if enabled else 'Disabled'} {id_}",
    )
    return await _told(call, id_)


@operations.post(
    "integrations/{id}/duplicate",
    "Copy an integration, also one that the configuration file declares",
    body=Copy,
    status=201,
    refusals=("not_found", "read_only", "unavailable"),
    answer=answers.Integration,
)
async def duplicate(call: Call) -> web.Response:
    """The copy has no token, runs on no pipeline and is disabled, so that nothing is sent twice."""
    entry = shown.entry(integration_of(call), "test_event_code") | {"id": call.body.id, "name": call.body.name, "enabled": False}
    await changes(call).create(call.who.name, "integrations", entry, secret="", pipelines=(), until=None)
    return await _told(call, call.body.id, 201)


@operations.get(
    "integrations/{id}/yaml",
    "One integration as it stands in a configuration file",
    refusals=("not_found",),
    media_type="text/plain",
)
async def as_yaml(call: Call) -> web.Response:
    """To be copied; the token is a placeholder."""
    document = shown.plain(integration_of(call))
    document["access_token"] = "${file:/run/secrets/gateway/tiktok-token}"  # noqa: S105 - a reference, not a token
    return web.Response(text=yaml.safe_dump([document], sort_keys=False, allow_unicode=True), content_type="text/plain")


@operations.post(
    "integrations/{id}/test",
    "Send one test event and tell TikTok's answer",
    body=Test,
    refusals=("not_found", "unavailable"),
    answer=answers.Tried,
)
async def test(call: Call) -> dict[str, Any]:
    """Only ever with a test event code."""
    found = integration_of(call)
    if call.desk.test_send is None:
        raise missing("way to send a test event here")
    return await call.desk.test_send(found, call.body.test_event_code)


@operations.get(
    "integrations/{id}/verify", "The manual's four steps as a checklist", refusals=("not_found",), answer=answers.Verification
)
async def verify(call: Call) -> dict[str, Any]:
    """What has been done, as far as can be seen from here."""
    found = integration_of(call)
    feed = call.desk.metrics.feed
    rows = feed.recent(500, lambda row: row.integration == found.id) if feed else []
    came = next((row for row in rows if row.outcome != "filtered"), None)
    delivered = next((row for row in rows if row.outcome == "delivered"), None)
    return {
        "steps": [
            {
                "id": "code_set",
                "done": bool(found.test_event_code),
                "detail": "A test event code keeps test events out of reports.",
                "at": None,
            },
            {
                "id": "event_triggered",
                "done": came is not None,
                "detail": came.name if came else "Visit a page of the site, with consent.",
                "at": came and came.at,
            },
            {
                "id": "delivered",
                "done": delivered is not None,
                "detail": "TikTok answered 0." if delivered else "",
                "at": delivered and delivered.at,
            },
            {
                "id": "code_cleared",
                "done": not found.test_event_code,
                "detail": "While a code is set, events are not in reports.",
                "at": None,
            },
        ]
    }


_APART = ("pipelines", "test_code_until")


def changes(call: Call) -> Changes:
    """The way to change anything; 409 if there is none."""
    if call.desk.changes is None:
        raise Refused(
            "read_only", "what is in force is declared in the configuration file; set catalog.path to make entries here"
        )
    return call.desk.changes


def etag_of(call: Call) -> str:
    """The state that the caller looked at."""
    return call.request.headers.get("If-Match", "").removeprefix("W/")


def tagged(body: Any, etag: str, status: int = 200) -> web.Response:
    """An answer with its state's ETag."""
    response = web.json_response(body, status=status)
    if etag:
        response.headers["ETag"] = etag
    return response


def integration_of(call: Call) -> IntegrationSettings:
    """The one of the path."""
    found = next((each for each in shown.integrations(call.desk) if each.id == call.named("id")), None)
    if found is None:
        raise missing("integration of that id")
    return found


async def _told(call: Call, id_: str, status: int = 200) -> web.Response:
    found = next((each for each in shown.integrations(call.desk) if each.id == id_), None)
    if found is None:
        raise missing("integration of that id")
    told = shown.integration(call.desk, found, await shown.depths(call.desk))
    return tagged(told, told["etag"], status)
