"""The catalogue compiled for the data path, and the one reference that a reload swaps.

Law: everything here is immutable once compiled; start-up and reload build a new :class:`Catalogue` and assign :attr:`Live.current`. Readers take the reference
once per request or batch.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from gateway.catalog.domains import Domains
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.errors import BadInput, SpoolUnavailable
from gateway.identity.seal import Sealer
from gateway.lane import Lane
from gateway.mapping.compile import Program
from gateway.outcome import Reason


@dataclass(frozen=True, slots=True)
class Integration:
    """One compiled integration."""

    settings: IntegrationSettings
    program: Program
    id: str
    pixel_code: str
    access_token: str
    """Empty = none; deliveries wait."""
    test_code: str
    lane: str
    """:attr:`gateway.lane.Lane.key` of what is accepted now."""
    consent: tuple[str, ...]
    enabled: bool
    once: bool
    """Orders are looked for, and each is sent once."""


@dataclass(frozen=True, slots=True)
class Pipeline:
    """One compiled pipeline."""

    settings: PipelineSettings
    id: str
    integrations: tuple[Integration, ...]
    sealer: Sealer
    secret: bytes
    """Empty = server-side requests are not accepted."""
    bots: str
    domains: Domains
    required: tuple[tuple[str, ...], ...] = field(default=())
    """The distinct consent requirements of its integrations."""
    broken: tuple[str, ...] = field(default=())
    """Integrations that it names and that are not there: what they miss is counted."""

    def serves(self, host: str) -> bool:
        """Whether pages of ``host`` (lower case, without port) belong to it."""
        return self.domains.any_host or self.domains.rank(host) > 0

    def cookie_domain(self, host: str) -> str:
        """Registrable domain of the matching domain entry, ``''`` for a host-only cookie; never derived from ``host`` itself."""
        return self.domains.cookie_domain(host)


class Catalogue:
    """All pipelines and integrations of one configuration."""

    def __init__(self, pipelines: Sequence[Pipeline], integrations: Sequence[Integration], off: Collection[str] = ()) -> None:
        """``off`` names declared entries (``pipelines.<id>``, ``integrations.<id>``) that are missing here: their configuration is broken; and parts of
        entries (``integrations.<id>.access_token``) that are missing in them."""
        self.pipelines = tuple(pipelines)
        self.integrations = {integration.id: integration for integration in integrations}
        self._by_key = {pipeline.settings.key: pipeline for pipeline in pipelines}
        self._lacks_pipelines = any(name.startswith("pipelines") for name in off)
        anywhere = [pipeline for pipeline in pipelines if pipeline.domains.any_host]
        self._named = [pipeline for pipeline in pipelines if not pipeline.domains.any_host]
        self._only = pipelines[0] if len(pipelines) == 1 and not self._lacks_pipelines else None
        # one that is off might be the one that names the host
        self._elsewhere = anywhere[0] if len(anywhere) == 1 and not self._lacks_pipelines else None
        self.off = frozenset(off)
        """While it is not empty, a lane without an integration may belong to one that is off: its queue waits."""

    def pipeline(self, key: str, host: str) -> Pipeline:
        """By key, else by host (lower case, without port): the one that names it most closely, or the only one for any host; else the only one there is. Raises
        BadInput ``unknown_key`` or ``unknown_pipeline``, or SpoolUnavailable if the one that is looked for may be off."""
        if key:
            found = self._by_key.get(key)
            if found is None:
                self._may_be_off()
                raise BadInput(
                    Reason.UNKNOWN_KEY, "no pipeline has this key; check the tag's data-key or the Authorization header"
                )
            return found
        if self._only is not None:
            return self._only
        best, closest = self._elsewhere, 0
        for pipeline in self._named:
            if (rank := pipeline.domains.rank(host)) > closest:
                best, closest = pipeline, rank
        if best is not None:
            return best
        self._may_be_off()
        raise BadInput(
            Reason.UNKNOWN_PIPELINE, "several pipelines exist and neither a key nor the host names one; send the pipeline's key"
        )

    def _may_be_off(self) -> None:
        if self._lacks_pipelines:
            raise SpoolUnavailable(Reason.SPOOL_UNAVAILABLE, "a part of the configuration has problems; see the log", 30)

    def lanes(self) -> list[str]:
        """Lanes that enabled integrations fill now."""
        return [integration.lane for integration in self.integrations.values() if integration.enabled]


EMPTY = Catalogue((), ())


class Live:
    """Holds the catalogue in force; a reload assigns :attr:`current` and calls the listeners."""

    def __init__(self, current: Catalogue = EMPTY) -> None:
        self.current = current
        self.listeners: list[Callable[[], None]] = []

    def swap(self, catalogue: Catalogue) -> None:
        """Put ``catalogue`` in force and tell the listeners."""
        self.current = catalogue
        for listener in self.listeners:
            listener()


def compile_catalogue(
    pipelines: Sequence[PipelineSettings],
    integrations: Sequence[IntegrationSettings],
    identity_key: bytes,
    off: Collection[str] = (),
) -> Catalogue:
    """Compile entries that passed :func:`gateway.catalog.model.validate`; unknown references are the pipeline's ``broken``."""
    compiled = [_integration(settings) for settings in integrations]
    by_id = {integration.id: integration for integration in compiled}
    sealers: dict[str, Sealer] = {}
    result = []
    for settings in pipelines:
        region = settings.default_region
        if region not in sealers:
            sealers[region] = Sealer(region, identity_key)
        # named twice, it still gets each event once
        references = tuple(dict.fromkeys(settings.integrations))
        own = tuple(by_id[reference] for reference in references if reference in by_id)
        result.append(
            Pipeline(
                settings=settings,
                id=settings.id,
                integrations=own,
                sealer=sealers[region],
                secret=settings.secret.get_secret_value().encode() if settings.secret else b"",
                bots=settings.bots,
                domains=Domains(settings.domains),
                required=tuple(dict.fromkeys(integration.consent for integration in own)),
                broken=tuple(reference for reference in references if reference not in by_id),
            )
        )
    return Catalogue(result, compiled, off)


def _integration(settings: IntegrationSettings) -> Integration:
    code = settings.test_event_code or ""
    return Integration(
        settings=settings,
        program=Program(
            preset=settings.preset,
            events=settings.events,
            global_=settings.global_,
            defaults=settings.defaults,
            default_action=settings.default_action,
            send=settings.send,
            limited_data_use=settings.limited_data_use,
        ),
        id=settings.id,
        pixel_code=settings.pixel_code,
        access_token=settings.access_token.get_secret_value().strip() if settings.access_token else "",
        test_code=code,
        lane=Lane(settings.id, code).key,
        consent=tuple(settings.consent),
        enabled=settings.enabled,
        once=settings.dedupe_purchases is not None,
    )
