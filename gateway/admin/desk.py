"""What the management listener works with (pure): everything is put on the desk by the composition root.

Law: a part that is not there is None, and the resource that needs it says so; no resource reaches around the desk.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from gateway.admin.access import Access
from gateway.admin.changes import Changes
from gateway.admin.replays import Replays
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import Live
from gateway.mapping.compile import Program
from gateway.spool.base import Spool
from gateway.telemetry.history import History
from gateway.telemetry.metrics import Metrics


class Preview(NamedTuple):
    """What a sealed event is mapped to now: the data item (None if it would not be sent), what a person should know, and why it is not sent."""

    payload: dict[str, Any] | None
    findings: tuple[str, ...] = ()
    refusal: str = ""


class Erased(NamedTuple):
    """What an erasure has met."""

    removed: dict[str, int]
    """Queued and dead events, by what they were found by."""
    under_way: int
    """Events that had been handed out for delivery: removed when they come back, unless they are delivered before that."""


@dataclass(slots=True)
class Desk:
    """One per listener."""

    access: Access
    spool: Callable[[], Spool | None]
    """The spool, None while it is not open."""
    live: Live
    metrics: Metrics
    now: Callable[[], float]
    preview: Callable[[str, dict[str, Any]], Preview | None]
    """(integration, sealed event) → what it would be now; None if there is no such integration."""
    tried: Callable[[Program, dict[str, Any]], Preview]
    """(a mapping, sealed event) → what it would be by it."""
    changes: Changes | None = None
    """The way to change the catalogue; None where everything is declared in the configuration file."""
    erase: Callable[[str, str], Awaitable[Erased]] | None = None
    """(``email``, ``external_id`` or ``anonymous_id``, value) → what was met."""
    test_send: Callable[[IntegrationSettings, str], Awaitable[dict[str, Any]]] | None = None
    """(integration, test event code) → what was sent and what TikTok answered."""
    lanes: Callable[[], list[dict[str, Any]]] = list
    """Delivery lanes: integration, test_event_code, state, since, next_try, code, message, cure. How much waits in them the spool knows."""
    about: Callable[[], dict[str, Any]] = dict
    """The gateway itself, without secrets."""
    snippet: Callable[[PipelineSettings], dict[str, Any]] = lambda _pipeline: {}
    """What to paste for a pipeline."""
    endpoint: str = ""
    """Where events are delivered to."""
    words: Callable[[str], str] = str
    """What stands behind one of TikTok's codes."""
    history: History | None = None
    alerts: Callable[[], Awaitable[list[dict[str, Any]]]] | None = None
    """What is wrong now: id, severity, title, cure, link, since."""
    replays: Replays = field(default_factory=Replays)
