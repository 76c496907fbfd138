"""Pipelines and integrations as they are in force, and what they can be made of (io: HTTP only).

Law: secrets are told as "there is one". What is declared in the configuration file is changed there.
"""

from typing import Any

import yaml
from aiohttp import web
from pydantic import BaseModel, Field, SecretStr

from gateway.admin.errors import missing
from gateway.admin.operation import Call, Input, Operations
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import Integration, Pipeline
from gateway.mapping import tiktok
from gateway.mapping.presets import PRESETS
from gateway.mapping.transforms import TRANSFORMS
from gateway.outcome import WORDS

operations = Operations()

_SECRETS = frozenset({"access_token", "secret"})
_VENDORS = (
    {
        "vendor": "tiktok-events-api",
        "title": "TikTok Events API",
        "summary": "Server-side events for a TikTok pixel, with presets for four industries.",
        "presets": list(PRESETS),
    },
    {
        "vendor": "tiktok",
        "title": "TikTok (older entry)",
        "summary": "The same without the B2B / SaaS preset.",
        "presets": [name for name in PRESETS if name != "b2b_saas"],
    },
)


class Test(Input):
    """A test event."""

    test_event_code: str = Field(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9_-]+$")
    """From the pixel's Test events tab."""


class Previewed(Input):
    """An event to be mapped."""

    event: dict[str, Any] | None = None
    """A sealed event as shown by ``live/{id}``."""
    record: str = Field("", pattern=r"^\d{0,18}$")
    """Id of a row of the live feed, instead."""


@operations.get("catalogue", "What integrations can be made of: vendors, presets, fields, transforms, reasons")
async def catalogue(_call: Call) -> dict[str, Any]:
    """The same for everybody."""
    return {
        "vendors": _VENDORS,
        "presets": {
            name: {"title": preset.title, "rows": [{"source": source, "event": event} for source, event in preset.events.items()]}
            for name, preset in PRESETS.items()
        },
        "fields": {"integration": _fields(IntegrationSettings), "pipeline": _fields(PipelineSettings)},
        "transforms": [
            {"name": name, "help": (function.__doc__ or "").partition("\n")[0]} for name, function in sorted(TRANSFORMS.items())
        ],
        "targets": sorted(f"user.{field}" for field in tiktok.USER_FIELDS),
        "events": sorted({event for preset in PRESETS.values() for event in preset.events.values()}),
        "reasons": {reason.value: sentence for reason, sentence in WORDS.items() if reason},
        "consent_categories": ["marketing", "advertising", "analytics", "functional"],
    }


@operations.get("integrations", "Integrations in force")
async def integrations(call: Call) -> dict[str, Any]:
    """Without secrets."""
    states = await _depths(call)
    return {"items": [_integration(call, each, states) for each in call.desk.live.current.integrations.values()], "next": None}


@operations.get("integrations/{id}", "One integration", refusals=("not_found",))
async def integration(call: Call) -> dict[str, Any]:
    """Without secrets."""
    return _integration(call, _find(call), await _depths(call))


@operations.get(
    "integrations/{id}/yaml",
    "One integration as it stands in a configuration file",
    refusals=("not_found",),
    media_type="text/plain",
)
async def as_yaml(call: Call) -> web.Response:
    """To be copied; the token is a placeholder."""
    document = _plain(_find(call).settings)
    document["access_token"] = "${file:/run/secrets/gateway/tiktok-token}"  # noqa: S105 - a reference, not a token
    return web.Response(text=yaml.safe_dump([document], sort_keys=False, allow_unicode=True), content_type="text/plain")


@operations.post(
    "integrations/{id}/test", "Send one test event and tell TikTok's answer", body=Test, refusals=("not_found", "unavailable")
)
async def test(call: Call) -> dict[str, Any]:
    """Only ever with a test event code."""
    found = _find(call)
    if call.desk.test_send is None:
        raise missing("way to send a test event here")
    return await call.desk.test_send(found.settings, call.body.test_event_code)


@operations.get("integrations/{id}/verify", "The manual's four steps as a checklist", refusals=("not_found",))
async def verify(call: Call) -> dict[str, Any]:
    """What has been done, as far as can be seen from here."""
    found = _find(call)
    feed = call.desk.metrics.feed
    rows = feed.recent(500, lambda row: row.integration == found.id) if feed else []
    came = next((row for row in rows if row.outcome != "filtered"), None)
    delivered = next((row for row in rows if row.outcome == "delivered"), None)
    return {
        "steps": [
            {
                "id": "code_set",
                "done": bool(found.test_code),
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
                "done": not found.test_code,
                "detail": "While a code is set, events are not in reports.",
                "at": None,
            },
        ]
    }


@operations.get("integrations/{id}/mappings", "The preset's table with this integration's overrides", refusals=("not_found",))
async def mappings(call: Call) -> dict[str, Any]:
    """Rows, and what applies to all or to none of them."""
    found = _find(call)
    settings = found.settings
    table = PRESETS[settings.preset].events
    names = [*table, *(name for name in settings.events if name not in table)]
    rows = []
    for name in names:
        override = settings.events.get(name)
        event = found.program.target("signal", "page" if name == "page" else "track", name)
        rows.append(
            {
                "source": name,
                "preset_event": table.get(name, ""),
                "override": override and _plain(override),
                "event": event,
                "enabled": bool(event),
                "seen": 0,
            }
        )
    return {
        "preset": settings.preset,
        "rows": rows,
        "global": _plain(settings.global_),
        "defaults": _plain(settings.defaults),
        "default_action": settings.default_action,
        "sources": [],
    }


@operations.post(
    "integrations/{id}/mappings/preview", "What an event becomes", role="viewer", body=Previewed, refusals=("not_found",)
)
async def previewed(call: Call) -> dict[str, Any]:
    """Under the mapping in force."""
    from gateway.admin import letters

    found, event = _find(call), call.body.event
    feed = call.desk.metrics.feed
    if event is None:
        import orjson

        row = feed.row(call.body.record) if feed else None
        if row is None or not row.payload:
            raise missing("event of that id in the live feed")
        event = orjson.loads(row.payload)
    preview = call.desk.preview(found.id, event)
    payload = letters.shortened(preview.payload) if preview and preview.payload else None
    return {
        "payload": payload,
        "current": payload,
        "findings": list(preview.findings) if preview else [],
        "refusal": preview.refusal if preview else "",
    }


@operations.get("pipelines", "Pipelines in force")
async def pipelines(call: Call) -> dict[str, Any]:
    """Without secrets."""
    return {"items": [_pipeline(call, each) for each in call.desk.live.current.pipelines], "next": None}


@operations.get("pipelines/{id}", "One pipeline", refusals=("not_found",))
async def pipeline(call: Call) -> dict[str, Any]:
    """Without secrets."""
    found = next((each for each in call.desk.live.current.pipelines if each.id == call.named("id")), None)
    if found is None:
        raise missing("pipeline of that id")
    return _pipeline(call, found)


@operations.get("settings", "The gateway itself: version, faults, what can be changed")
async def settings(call: Call) -> dict[str, Any]:
    """Without secrets."""
    return call.desk.about()


@operations.get("revisions", "Changes made here")
async def revisions(_call: Call) -> dict[str, Any]:
    """None: what is in force is declared in the configuration file."""
    return {"items": [], "next": None}


def _find(call: Call) -> Integration:
    found = call.desk.live.current.integrations.get(call.named("id"))
    if found is None:
        raise missing("integration of that id")
    return found


async def _depths(call: Call) -> dict[str, tuple[int, int]]:
    spool = call.desk.spool()
    depths: dict[str, tuple[int, int]] = {}
    for lane in (await spool.stats()).lanes if spool else ():
        name = lane.lane.partition("|")[0]
        queued, dead = depths.get(name, (0, 0))
        depths[name] = queued + lane.queued, dead + lane.dead
    return depths


def _integration(call: Call, found: Integration, depths: dict[str, tuple[int, int]]) -> dict[str, Any]:
    queued, dead = depths.get(found.id, (0, 0))
    lanes = [lane for lane in call.desk.lanes() if lane["integration"] == found.id]
    return {
        **_plain(found.settings),
        "declared": True,
        "has_token": bool(found.access_token),
        "etag": "",
        "pipelines": [each.id for each in call.desk.live.current.pipelines if found.id in each.settings.integrations],
        "lane": lanes[0] if lanes else None,
        "queued": queued,
        "dead": dead,
        "test_code_until": None,
    }


def _pipeline(call: Call, found: Pipeline) -> dict[str, Any]:
    return {
        **_plain(found.settings),
        "declared": True,
        "etag": "",
        "has_secret": bool(found.secret),
        **call.desk.snippet(found.settings),
    }


def _plain(model: BaseModel) -> dict[str, Any]:
    """A model as JSON without its secrets."""
    return {
        name: value
        for name, value in model.model_dump(mode="json", by_alias=True, exclude=set(_SECRETS)).items()
        if name not in _SECRETS
    }


def _fields(model: type[BaseModel]) -> list[dict[str, Any]]:
    schema = model.model_json_schema(by_alias=True)
    made = []
    for name, part in schema["properties"].items():
        required = name in schema.get("required", ()) or name == "access_token"
        made.append(
            {
                "name": name,
                "type": part.get("type", ""),
                "required": required,
                "help": part.get("description", ""),
                "default": _default(part),
                "enum": part.get("enum", []),
            }
        )
    return made


def _default(part: dict[str, Any]) -> Any:
    default = part.get("default")
    return None if isinstance(default, SecretStr) else default
