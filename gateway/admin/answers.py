"""The shapes of the API's answers (pure): what the OpenAPI document says of them.

Law: an entry is told by the fields of its configuration's model, which stand nowhere twice. What an answer holds stands here, and nothing else does: the tests hold every answer
against the document.
"""

from typing import Any, Literal, TypeVar

from pydantic import BaseModel, Field, create_model

from gateway.admin.operation import Output
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.store import SECRETS
from gateway.mapping.settings import Defaults, EventOverride, GlobalMappings

_State = TypeVar("_State", bound=Output)


def _entry(name: str, settings: type[BaseModel], state: type[_State]) -> type[_State]:
    fields: dict[str, Any] = {
        field: (info.annotation, Field(alias=info.alias, description=info.description))
        for field, info in settings.model_fields.items()
        if field not in SECRETS.values()
    }
    return create_model(name, __base__=state, __doc__=state.__doc__, **fields)


# -- of events


class Row(Output):
    """One event for one integration."""

    id: str
    at: float
    """Unix seconds at which it came in."""
    pipeline: str
    integration: str
    name: str
    """As the site calls it."""
    event: str
    """As TikTok calls it; empty where no mapping sends it."""
    outcome: str
    """A fate, or ``retrying``."""
    reason: str
    attempts: int
    code: str
    """TikTok's code of the last answer, or what came in its place."""


class Recent(Output):
    """The newest rows, newest first."""

    items: list[Row]
    next: None


class Consent(Output):
    """What was decided about the visitor's consent."""

    decision: str
    source: str
    """Who spoke for the visitor."""
    categories: list[str]
    """What was granted."""
    needed: list[str] = []
    """What the integration needs."""


class Finding(Output):
    """Something that TikTok would not like."""

    path: str
    message: str
    severity: Literal["warning"]


class Request(Output):
    """The request to TikTok; what is secret or personal is a placeholder."""

    method: str
    url: str
    headers: dict[str, str]
    body: dict[str, Any]


class Answer(Output):
    """What TikTok said."""

    status: int | None = None
    code: str
    message: str
    body: Any = None


class Lane(Output):
    """One delivery queue."""

    integration: str
    test_event_code: str
    """Empty for the live one."""
    state: Literal["active", "backing_off", "suspended", "paused"]
    since: float
    """Unix seconds."""
    next_try: float
    """Unix seconds; 0 = as soon as there is something."""
    code: str
    message: str
    cure: str


class Event(Output):
    """All that is known of one event."""

    received: dict[str, Any] | None
    """The sealed event; null where nothing of it was kept."""
    consent: Consent
    mapped: dict[str, Any] | None
    """TikTok's data item."""
    refusal: str = ""
    """Why it is not mapped."""
    request: Request | None
    answer: Answer | None
    cure: str
    """What to do."""


class LiveEvent(Event):
    """An event of the live feed."""

    row: Row
    findings: list[Finding]
    integration_name: str
    """As people call it; the id where it has no name."""
    lane: Lane | None = None
    """The lane that it waits in, where that does not deliver."""


class DeadRow(Output):
    """One dead letter."""

    id: str
    at: float
    """Unix seconds at which it was accepted."""
    accepted_at: float
    """The same."""
    died_at: float
    """Unix seconds."""
    integration: str
    test_event_code: str
    pipeline: str
    name: str
    event: str
    """As TikTok calls it, as mapped now."""
    event_id: str
    attempts: int
    outcome: Literal["dead"]
    reason: str
    words: str
    """The reason as a sentence."""
    answer: str
    """What TikTok, or the gateway, said."""


class Try(Output):
    """One delivery that was tried."""

    at: float
    """Unix seconds at which its outcome was known."""
    reason: str
    code: str
    """TikTok's, or what stands in its place; empty where none came."""
    words: str
    """The reason as a sentence."""
    known: bool
    """Whether TikTok said what became of it."""


class DeadEvent(Event):
    """A dead letter, mapped and requested as it would be now."""

    row: DeadRow
    findings: list[str]
    tries: list[Try]
    """The last few, oldest first."""


class DeadPage(Output):
    """One page of dead letters, by ascending id."""

    items: list[DeadRow]
    next: str | None
    """Cursor of the next page, null at the end."""
    total: int | None
    """How many fit; null if more than 100,000 would have to be counted."""
    reasons: list[str]
    """Reasons that occur on this page."""


class Job(Output):
    """A replay."""

    id: str
    count: int
    done: int
    state: Literal["running", "done", "cancelled", "failed"]
    message: str


class Dropped(Output):
    """What was removed for good."""

    dropped: int


class _IntegrationState(Output):
    """An integration and its state, without its token."""

    declared: bool
    """It is changed in the configuration file only."""
    has_token: bool
    etag: str
    fault: str
    """Why it is off; empty = it is not."""
    pipelines: list[str]
    lane: Lane | None
    queued: int
    dead: int
    last_delivered_at: float | None
    """Unix seconds; of the events that the feed keeps."""
    test_code_until: float | None
    """Unix seconds at which the test event code is taken out."""


class _PipelineState(Output):
    """A pipeline and what came lately, without its secret."""

    declared: bool
    """It is changed in the configuration file only."""
    has_secret: bool
    etag: str
    fault: str
    """Why it is off; empty = it is not."""
    without_consent_signal_of_last_100: int
    granted_by_default_of_last_100: int
    """Of those without a signal: let through by ``consent.default``."""
    events_looked_at: int
    received_1h: int = 0
    """Events of the last hour."""
    snippet: str = ""
    """The tag to paste."""
    csp: str = ""
    noscript: str = ""


Integration = _entry("Integration", IntegrationSettings, _IntegrationState)
Pipeline = _entry("Pipeline", PipelineSettings, _PipelineState)


class Integrations(Output):
    """Those in force, then those that are broken."""

    items: list[Integration]  # type: ignore[valid-type]
    next: None


class Pipelines(Output):
    """Those in force, then those that are broken."""

    items: list[Pipeline]  # type: ignore[valid-type]
    next: None


class Sent(Output):
    """The test event."""

    event_id: str


class Tried(Output):
    """What became of a test event."""

    sent: Sent | None
    code: str
    message: str
    verdict: str
    cure: str
    seconds: float


class Step(Output):
    """One step of the manual."""

    id: Literal["code_set", "event_triggered", "delivered", "code_cleared"]
    done: bool
    detail: str
    at: float | None


class Verification(Output):
    """The manual's steps."""

    steps: list[Step]


class MappingRow(Output):
    """One event of the preset's table, or one beside it."""

    source: str
    preset_event: str
    override: EventOverride | None
    override_key: str | None
    """The event's name as the integration spells it."""
    event: str
    """What TikTok gets; empty = it is not sent."""
    enabled: bool
    seen: int
    """How many of the newest events have this name."""


class Source(Output):
    """A field of events that were really seen."""

    path: str
    example: str
    seen: int


class PresetField(Output):
    """Where the preset finds one of TikTok's fields."""

    target: str
    """As a field mapping names it."""
    sources: list[str]
    """Where it is looked for in an event, in this order."""
    note: str
    """What stands in where none of them has anything."""


class Mappings(Output):
    """The table with its overrides."""

    preset: str
    rows: list[MappingRow]
    global_: GlobalMappings = Field(alias="global")
    defaults: Defaults
    default_action: str
    sources: list[Source]
    fields_: list[PresetField] = Field(alias="fields")
    """The preset's own table."""
    namesakes: list[str]
    """Properties that TikTok gets under their own names."""
    etag: str


class Preview(Output):
    """What an event becomes."""

    payload: dict[str, Any] | None
    current: dict[str, Any] | None
    """The same under the mapping in force."""
    findings: list[str]
    refusal: str
    """Why it is not sent; empty = it is."""


class Revision(Output):
    """One change."""

    id: int
    at: float
    """Unix seconds."""
    actor: str
    summary: str
    current: bool


class Revisions(Output):
    """The newest first."""

    items: list[Revision]
    next: int | None


class Line(Output):
    """One line of a difference."""

    op: Literal["+", "-", " "]
    text: str


class File(Output):
    """One entry that was changed."""

    path: str
    lines: list[Line]


class Difference(Output):
    """What a revision changed."""

    files: list[File]


class RolledBack(Output):
    """The revision that it made."""

    id: int
