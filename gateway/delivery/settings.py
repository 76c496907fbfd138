"""The ``delivery`` section (pure)."""

from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator

from gateway.settings import Bytes, Duration, Field, Settings

ENDPOINT = "https://business-api.tiktok.com/open_api/v1.3/event/track/"


def _endpoint(text: str) -> str:
    try:
        parts = urlsplit(text)
        sound = parts.scheme in {"http", "https"} and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        sound = False
    if not sound or not text.isprintable() or " " in text:
        raise ValueError("expected an http:// or https:// address")
    return text


class DeliverySettings(Settings):
    """How events travel to TikTok."""

    endpoint: Annotated[str, AfterValidator(_endpoint)] = ENDPOINT
    """Where batches are posted. Only in the configuration file, never in the UI: tokens go there."""
    max_batch: int = Field(1000, ge=1, le=1000)
    """Events per request; TikTok allows 1,000."""
    max_batch_bytes: Bytes = Field(4 << 20, ge=1 << 16, le=64 << 20)
    """Bytes of stored events per request. TikTok documents no limit; this keeps a request sendable in seconds."""
    linger: Duration = Field(0.2, le=60)
    """How long a batch that is not full waits for more events."""
    in_flight: int = Field(8, ge=1, le=64)
    """Requests under way at the same time, per lane."""
    max_age: Duration = Field(28 * 86400.0, gt=0)
    """Events older than this are not sent any more (outcome ``expired``): TikTok attributes at most 28 days back."""
    timeout: Duration = Field(10.0, gt=0)
    """For one request, connection included. A timed-out batch is sent again with the same event ids."""
    rate_limit: int = Field(1000, ge=1)
    """Requests a second over all lanes; TikTok allows 1,000 per developer app."""
    suspend_probe: Duration = Field(60.0, gt=0)
    """How often a suspended lane tries one request. New credentials resume it at once."""
