"""The shapes of what the API says of the gateway as a whole (pure): the overview, the catalogue, the settings. Companion of :mod:`gateway.admin.answers`, with the same law."""

from typing import Any, Literal

from pydantic import Field

from gateway.admin.answers import Lane
from gateway.admin.operation import Output


class Funnel(Output):
    """What became of what came in."""

    received: int
    """Events. All that follows counts an event once for each integration."""
    records: int
    """What the events came to: accepted, filtered or repeated."""
    accepted: int
    filtered: dict[str, int]
    """By reason."""
    queued: int
    """Waiting now."""
    delivered: int
    dead: int
    deduplicated: int
    refused: int
    rejected: int


class Lag(Output):
    """From acceptance to TikTok's answer (s); null without deliveries."""

    p50: float | None
    p95: float | None


class Depth(Output):
    """The spool as it is now."""

    used_bytes: int
    max_bytes: int
    records: int
    oldest_age_s: float


class Series(Output):
    """One value a step, oldest first; null where nothing is known."""

    at: list[float]
    """Unix seconds at which the step begins."""
    received: list[int]
    delivered: list[int]
    filtered: list[int]
    dead: list[int]
    lag_p50: list[float | None]
    lag_p95: list[float | None]
    spool_records: list[int | None]
    spool_oldest_age_s: list[float | None]


class Code(Output):
    """Requests that were answered with it."""

    code: str
    count: int
    words: str


class LaneDepth(Lane):
    """A lane and what waits in it."""

    queued: int
    oldest_accepted_at: float | None
    """Unix seconds; of what waits."""
    last_delivered_at: float | None
    """Unix seconds; of the integration's events that the feed keeps."""


class Alert(Output):
    """Something to act on."""

    id: str
    severity: Literal["warning", "critical"]
    title: str
    cure: str
    link: str
    """The page of the UI to look at."""
    since: float
    """Unix seconds."""


class Match(Output):
    """Of a sample of mapped events: how many there were, and how many carry what TikTok matches by."""

    events: int
    email: int
    phone: int
    external_id: int
    ttclid: int
    ttp: int
    ip: int
    user_agent: int


class Overview(Output):
    """The last minutes or hours."""

    window_s: float
    step_s: float
    """Of the series."""
    from_: float = Field(alias="from")
    """Unix seconds."""
    funnel: Funnel
    success_rate: float | None
    """Of 1; null if nothing was attempted."""
    lag: Lag
    spool: Depth
    series: Series
    codes: list[Code]
    match: Match
    lanes: list[LaneDepth]
    alerts: list[Alert]


class Vendor(Output):
    """One catalogue entry."""

    vendor: str
    title: str
    summary: str
    presets: list[str]


class PresetRow(Output):
    """One event of a preset."""

    source: str
    event: str


class Preset(Output):
    """An industry's table."""

    title: str
    rows: list[PresetRow]


class SettingField(Output):
    """One field of an entry."""

    name: str
    type: str
    required: bool
    help: str
    default: Any
    enum: list[Any]


class Fields(Output):
    """Of each kind of entry."""

    integration: list[SettingField]
    pipeline: list[SettingField]


class Transform(Output):
    """What a value can be put through."""

    name: str
    help: str


class Catalogue(Output):
    """What entries can be made of."""

    vendors: list[Vendor]
    presets: dict[str, Preset]
    fields_: Fields = Field(alias="fields")
    transforms: list[Transform]
    targets: list[str]
    events: list[str]
    """Names that TikTok knows."""
    reasons: dict[str, str]
    """Reason code → sentence."""
    consent_categories: list[str]


class Writable(Output):
    """Whether entries can be made here."""

    writable: bool
    path: str | None
    reason: str
    """Why not; empty = they can."""
    revision: int = 0


class Fault(Output):
    """A problem of the configuration in force."""

    path: str
    message: str
    hint: str


class Endpoint(Output):
    """Where events go."""

    endpoint: str


class Disk(Output):
    """The spool."""

    path: str
    max_bytes: int
    used_bytes: int = 0
    records: int = 0


class Gateway(Output):
    """The gateway itself, without secrets."""

    version: str
    started_at: float
    """Unix seconds."""
    config_path: str
    catalogue: Writable
    faults: list[Fault]
    delivery: Endpoint
    spool: Disk
    prefix: str
    consent_default: Literal["deny", "grant"]
    settings: dict[str, Any]
    """The effective configuration."""
    waiting: list[str]
    """Sections whose change takes effect at the next start."""
