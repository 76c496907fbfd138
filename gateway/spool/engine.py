"""The engine that the settings name (io).

Law: what an engine needs beyond the default install is imported only where it is named.
"""

from gateway.errors import SpoolUnavailable
from gateway.outcome import Reason
from gateway.spool.base import Spool
from gateway.spool.settings import SpoolSettings
from gateway.spool.sqlite import SqliteSpool
from gateway.telemetry.metrics import Metrics
from gateway.together import Together


async def open_spool(settings: SpoolSettings, *, metrics: Metrics | None = None, role: str = "all") -> Spool:
    """Open or create the spool, as a process of ``role``. SpoolLocked, SpoolTooNew or SpoolUnavailable if it cannot be used."""
    if settings.kind == "sqlite":
        return await SqliteSpool.open(settings, metrics=metrics)
    try:
        from gateway.spool.jetstream.spool import JetStreamSpool
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] != "nats":
            raise
        raise SpoolUnavailable(
            Reason.SPOOL_UNAVAILABLE, "kind jetstream needs a package that is not installed: pip install 'ttgateway[jetstream]'"
        ) from None
    return await JetStreamSpool.open(settings, metrics=metrics, role=role)


def together_of(spool: Spool) -> Together | None:
    """What the engine offers to processes that share it; None where the spool belongs to one."""
    found: Together | None = getattr(spool, "together", None)
    return found
