"""How entries of the catalogue are told (pure but for the desk that is passed in).

Law: secrets are told as "there is one". An entry made here that is broken is told as it stands, with what is wrong: it could not be mended otherwise.
"""

from typing import Any, TypeVar

from pydantic import BaseModel, SecretStr, ValidationError

from gateway.admin.desk import Desk
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.store import SECRETS, Entry
from gateway.errors import SpoolUnavailable
from gateway.lane import Lane

HOUR_S = 3600.0
LATELY = 100
"""Events of a pipeline that are looked at for a consent signal."""

_Model = TypeVar("_Model", bound=BaseModel)
Depths = dict[str, tuple[int, int]]
"""Integration → (waiting, dead)."""


async def depths(desk: Desk) -> Depths:
    """Of all integrations; empty while the spool does not answer."""
    found: Depths = {}
    spool = desk.spool()
    try:
        lanes = (await spool.stats()).lanes if spool else []
    except SpoolUnavailable:
        return found
    for lane in lanes:
        name = Lane.parse(lane.lane).integration
        queued, dead = found.get(name, (0, 0))
        found[name] = queued + lane.queued, dead + lane.dead
    return found


def integrations(desk: Desk) -> list[IntegrationSettings]:
    """Those in force, then those made here that are broken."""
    found = [each.settings for each in desk.live.current.integrations.values()]
    return [
        *found,
        *(_lenient(IntegrationSettings, entry) for entry in _broken(desk, "integrations", {each.id for each in found})),
    ]


def pipelines(desk: Desk) -> list[PipelineSettings]:
    """The same of pipelines."""
    found = [each.settings for each in desk.live.current.pipelines]
    return [*found, *(_lenient(PipelineSettings, entry) for entry in _broken(desk, "pipelines", {each.id for each in found}))]


def integration(desk: Desk, settings: IntegrationSettings, depth: Depths) -> dict[str, Any]:
    """One integration with its state."""
    id_ = settings.id
    queued, dead = depth.get(id_, (0, 0))
    changes = desk.changes
    return {
        **plain(settings),
        "declared": changes is None or changes.etag("integrations", id_) == "",
        "has_token": settings.access_token is not None,
        "etag": changes.etag("integrations", id_) if changes else "",
        "fault": _fault(desk, id_),
        "pipelines": [each.id for each in pipelines(desk) if id_ in each.integrations],
        "lane": next((lane for lane in desk.lanes() if lane["integration"] == id_), None),
        "queued": queued,
        "dead": dead,
        "last_delivered_at": last_delivered_at(desk, id_),
        "test_code_until": changes.head.test_codes.get(id_) if changes and settings.test_event_code else None,
    }


def last_delivered_at(desk: Desk, integration: str) -> float | None:
    """When the newest delivered event of those that the feed keeps came in; None = it keeps none."""
    feed = desk.metrics.feed
    delivered = feed.recent(1, lambda row: row.integration == integration and row.outcome == "delivered") if feed else []
    return delivered[0].at if delivered else None


def _fault(desk: Desk, id_: str) -> str:
    catalogue = desk.live.current
    if id_ not in catalogue.integrations:
        return "its configuration has a problem, and it is off; the log says which"
    if f"integrations.{id_}.access_token" in catalogue.off:
        return "its access token cannot be read, and its events wait for it; the log says why"
    return ""


def pipeline(desk: Desk, settings: PipelineSettings) -> dict[str, Any]:
    """One pipeline with what to paste and what came lately."""
    id_ = settings.id
    changes, feed = desk.changes, desk.metrics.feed
    rows = feed.recent(LATELY, lambda row: row.pipeline == id_) if feed else []
    told: dict[str, Any] = {
        **plain(settings),
        "declared": changes is None or changes.etag("pipelines", id_) == "",
        "etag": changes.etag("pipelines", id_) if changes else "",
        "has_secret": settings.secret is not None,
        "fault": "" if any(each.id == id_ for each in desk.live.current.pipelines) else "its configuration has a problem, and it is off; the log says which",
        "without_consent_signal_of_last_100": sum(row.reason == "consent_missing" or row.consent == "default" for row in rows),
        "granted_by_default_of_last_100": sum(row.consent == "default" and row.outcome != "filtered" for row in rows),
        "events_looked_at": len(rows),
        **desk.snippet(settings),
    }  # fmt: skip
    if desk.history is not None:
        told["received_1h"] = desk.history.counts(HOUR_S)["pipeline", id_]
    return told


def plain(model: BaseModel) -> dict[str, Any]:
    """A model as JSON without its secrets."""
    secrets = set(SECRETS.values())
    return {
        name: value
        for name, value in model.model_dump(mode="json", by_alias=True, exclude=secrets).items()
        if name not in secrets
    }


def entry(model: BaseModel, *apart: str) -> Entry:
    """A model as the catalogue keeps it: what differs from the defaults, without its secrets and without ``apart``."""
    return model.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude={*SECRETS.values(), *apart})


def secret(value: SecretStr | None) -> str:
    """A secret that came in; empty = none."""
    return value.get_secret_value().strip() if value is not None else ""


def _broken(desk: Desk, kind: str, sound: set[str]) -> list[Entry]:
    if desk.changes is None:
        return []
    return [
        each
        for each in desk.changes.head.entries(kind)
        if each.get("id") not in sound and not desk.changes.declared(kind, str(each.get("id")))
    ]


def _lenient(model: type[_Model], entry: Entry) -> _Model:
    told = {name: value for name, value in entry.items() if name not in SECRETS.values()}
    try:
        return model.model_validate(told)
    except ValidationError:
        known = {field.alias or name: name for name, field in model.model_fields.items()}
        sound = {known[name]: value for name, value in told.items() if name in {"id", "name", "key", "pixel_code"}}
        return model.model_construct(**{"id": "", "key": "", "pixel_code": "", **sound})
