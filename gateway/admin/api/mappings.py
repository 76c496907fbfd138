"""Field mappings of an integration: the preset's table, overrides, and what an event becomes (io: HTTP and the catalogue)."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import orjson
from aiohttp import web
from pydantic import Field

from gateway.admin import answers, letters, shown
from gateway.admin.api.integrations import CHANGE, changes, etag_of, integration_of, tagged
from gateway.admin.errors import missing
from gateway.admin.operation import Call, Input, Operations
from gateway.catalog.model import IntegrationSettings
from gateway.mapping.compile import Program
from gateway.mapping.described import described, namesakes
from gateway.mapping.names import canonical
from gateway.mapping.presets import PRESETS
from gateway.mapping.settings import Defaults, EventOverride, GlobalMappings

operations = Operations()

_LOOKED_AT = 200
"""Newest events whose fields are offered."""
_MAX_SOURCES = 300
_MAX_DEPTH = 5
_MAX_EXAMPLE = 60
_ROOMS = ("properties", "page", "context", "traits")
"""Of a sealed event: what a mapping may read. Identity is not offered: its raw value is gone."""


class MappingsInput(Input):
    """All overrides of an integration."""

    events: dict[str, EventOverride] = {}
    """By event name in any spelling."""
    global_: GlobalMappings = Field(GlobalMappings(), alias="global")
    """For every event."""
    defaults: Defaults = Defaults()
    """For events that no row names."""


class Previewed(Input):
    """An event to be mapped, and the mapping to try; without one the mapping in force."""

    event: dict[str, Any] | None = None
    """A sealed event as shown by ``live/{id}``."""
    record: str = Field("", pattern=r"^\d{0,18}$")
    """Id of a row of the live feed, instead."""
    events: dict[str, EventOverride] | None = None
    """As in ``PUT mappings``."""
    global_: GlobalMappings | None = Field(None, alias="global")
    """As in ``PUT mappings``."""
    defaults: Defaults | None = None
    """As in ``PUT mappings``."""
    default_action: str | None = Field(None, pattern="^(drop|passthrough)$")
    """As in the integration."""


@operations.get(
    "integrations/{id}/mappings",
    "The preset's table with this integration's overrides",
    refusals=("not_found",),
    answer=answers.Mappings,
)
async def mappings(call: Call) -> web.Response:
    """Rows, what applies to all or to none of them, and the fields of events that were really seen."""
    return _told(call)


@operations.put(
    "integrations/{id}/mappings", "Change the overrides", body=MappingsInput, refusals=CHANGE, answer=answers.Mappings
)
async def replace(call: Call) -> web.Response:
    """All of them; what waits in the queue goes by it as well."""
    id_ = call.named("id")
    made = call.body.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    values = {name: made.get(name) for name in ("events", "global", "defaults")}
    await changes(call).update(call.who.name, etag_of(call), id_, values, f"Changed mappings of {id_}")
    return _told(call)


@operations.post(
    "integrations/{id}/mappings/preview",
    "What an event becomes",
    role="viewer",
    body=Previewed,
    refusals=("not_found",),
    answer=answers.Preview,
)
async def previewed(call: Call) -> dict[str, Any]:
    """``payload`` under the mapping that is tried, ``current`` under the one in force."""
    found, event = integration_of(call), call.body.event
    feed = call.desk.metrics.feed
    if event is None:
        row = feed.row(call.body.record) if feed else None
        if row is None or not row.payload:
            raise missing("event of that id in the live feed")
        event = orjson.loads(row.payload)
    current = call.desk.preview(found.id, event)
    tried = call.desk.tried(_program(found, call.body), event)
    return {
        "payload": tried.payload and letters.shortened(tried.payload),
        "current": current and current.payload and letters.shortened(current.payload),
        "findings": list(tried.findings),
        "refusal": tried.refusal,
    }


def _program(settings: IntegrationSettings, draft: Previewed) -> Program:
    return Program(
        preset=settings.preset,
        events=settings.events if draft.events is None else draft.events,
        global_=draft.global_ or settings.global_,
        defaults=draft.defaults or settings.defaults,
        default_action=draft.default_action or settings.default_action,
        send=settings.send,
        limited_data_use=settings.limited_data_use,
    )


def _told(call: Call) -> web.Response:
    settings = integration_of(call)
    table = PRESETS[settings.preset].events
    seen, sources = _seen(call, settings.id)
    own = {canonical(name): name for name in settings.events}
    rows = []
    for name in [*table, *(name for key, name in own.items() if key not in {canonical(row) for row in table})]:
        key = own.get(canonical(name))
        override = settings.events[key] if key is not None else None
        target = (override and override.vendor_event_name) or table.get(name, name)
        rows.append(
            {
                "source": name,
                "preset_event": table.get(name, ""),
                "override": override and shown.plain(override),
                "override_key": key,
                "event": target if override is None or override.enabled else "",
                "enabled": override is None or override.enabled,
                "seen": seen[canonical(name)],
            }
        )
    etag = call.desk.changes.etag("integrations", settings.id) if call.desk.changes else ""
    body = {
        "preset": settings.preset,
        "rows": rows,
        "global": shown.plain(settings.global_),
        "defaults": shown.plain(settings.defaults),
        "default_action": settings.default_action,
        "sources": sources,
        "fields": [field._asdict() for field in described(settings.preset)],
        "namesakes": [f"properties.{name}" for name in namesakes(settings.preset)],
        "etag": etag,
    }
    return tagged(body, etag)


def _seen(call: Call, integration: str) -> tuple[Counter[str], list[dict[str, Any]]]:
    """(event name → how often, fields with an example and how often) in the newest events of the feed."""
    names: Counter[str] = Counter()
    counts: Counter[str] = Counter()
    examples: dict[str, str] = {}
    feed = call.desk.metrics.feed
    for row in feed.recent(_LOOKED_AT, lambda row: row.integration == integration and bool(row.payload)) if feed else ():
        names[canonical(row.name)] += 1
        event = orjson.loads(row.payload)
        for room in _ROOMS:
            for path, value in _leaves(room, event.get(room), 0):
                counts[path] += 1
                if value != "":
                    examples.setdefault(path, str(value)[:_MAX_EXAMPLE])
    return names, [{"path": path, "example": examples.get(path, ""), "seen": n} for path, n in counts.most_common(_MAX_SOURCES)]


def _leaves(path: str, value: Any, depth: int) -> Iterator[tuple[str, Any]]:
    if depth > _MAX_DEPTH:
        return
    match value:
        case dict():
            for name, inner in value.items():
                yield from _leaves(f"{path}.{name}", inner, depth + 1)
        case list():
            if value:
                yield from _leaves(f"{path}[]", value[0], depth + 1)
        case None:
            return
        case _:
            yield path, value
