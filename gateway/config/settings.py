"""The whole configuration, put together from the components' own settings (pure).

Law: a section's meaning belongs to its component; here are only the names, and the sections whose component is elsewhere.
"""

from typing import Literal

from gateway.admin.settings import AdminSettings
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.consent.settings import ConsentSettings
from gateway.delivery.settings import DeliverySettings
from gateway.edge.settings import CookieSettings, DrainSettings, EdgeSettings
from gateway.settings import Duration, Settings
from gateway.spool.settings import SpoolSettings
from gateway.telemetry.ops import OpsSettings


class CatalogSettings(Settings):
    """The ``catalog`` section: where entries made in the UI are kept."""

    path: str | None = None
    """A directory that survives restarts. Unset or read-only: the UI shows and does not change."""
    test_code_lifetime: Duration = 3600.0
    """How long a test event code that is set in the UI stays, 0 = until somebody removes it. While it is set, events are not in TikTok's reports."""


class GatewaySettings(Settings):
    """A configuration file."""

    version: Literal[1] = 1
    """The shape of this file."""
    edge: EdgeSettings = EdgeSettings()
    """The listener that faces the visitors."""
    ops: OpsSettings = OpsSettings()
    """The listener for probes and metrics."""
    admin: AdminSettings | None = None
    """The management UI; left out: none."""
    spool: SpoolSettings = SpoolSettings()
    """Where accepted records wait until they are delivered."""
    catalog: CatalogSettings = CatalogSettings()
    """Where entries made in the UI are kept."""
    consent: ConsentSettings = ConsentSettings()
    """Which consent signals are read and what holds without one."""
    cookies: CookieSettings = CookieSettings()
    """The first-party cookies that the gateway sets, with consent only."""
    delivery: DeliverySettings = DeliverySettings()
    """How records are sent to TikTok."""
    drain: DrainSettings = DrainSettings()
    """How the gateway ends."""
    pipelines: list[PipelineSettings] = []
    """Sites and apps that send events."""
    integrations: list[IntegrationSettings] = []
    """TikTok pixels that events are delivered to."""


FATAL_SECTIONS = frozenset({"edge", "ops"})
"""Without these nothing can be served; every other fault only switches its own part off."""
ENTRY_LISTS = ("pipelines", "integrations")
"""Validated entry by entry, so that one broken entry does not spoil its neighbours."""
