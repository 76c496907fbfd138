"""The closed set of fates and reasons (pure).

Law: every pair of event and integration gets exactly one edge outcome, and every accepted record ends in exactly one
final outcome. Metrics, logs, the live feed and the API derive from these two enums; nobody invents strings elsewhere.
A new reason is added here, with the sentence a user reads, or it does not exist.
"""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of an event for one integration. The first four are decided at the edge, the others later."""

    ACCEPTED = "accepted"
    """Durable: the request was answered 2xx after the commit."""
    FILTERED = "filtered"
    """Left out by a rule: consent, bots, a disabled integration, no mapping. At the edge or at delivery."""
    REJECTED = "rejected"
    """Unusable input; the caller was told which event and why."""
    REFUSED = "refused"
    """Not made durable (full, unwritable, over the rate): the caller was told to come back."""
    DELIVERED = "delivered"
    """TikTok answered code 0 (or an equivalent) for it."""
    DEAD = "dead"
    """Kept as a dead letter with TikTok's or our reason, to be replayed or dropped by an operator."""
    EXPIRED = "expired"
    """Older than the age limit before it could be delivered."""
    DEDUPLICATED = "deduplicated"
    """The same integration, event and event_id had been accepted within the window."""
    PURGED = "purged"
    """Removed because its visitor withdrew consent or asked for erasure."""
    DROPPED = "dropped"
    """Removed from the dead letters by an operator."""
    QUARANTINED = "quarantined"
    """Set aside with a damaged spool file."""


class Reason(StrEnum):
    """Why. Stable codes: dashboards and alerts are built on them."""

    NONE = ""

    # consent
    CONSENT_MISSING = "consent_missing"
    CONSENT_DENIED = "consent_denied"
    GPC = "gpc"

    # filtered by configuration
    BOT = "bot"
    NO_INTEGRATION = "no_integration"
    INTEGRATION_DISABLED = "integration_disabled"
    UNKNOWN_PIXEL = "unknown_pixel"
    UNMAPPED = "unmapped"
    EVENT_DISABLED = "event_disabled"
    AUTOMATIC_EVENT = "automatic_event"

    # rejected input
    INVALID_JSON = "invalid_json"
    TOO_DEEP = "too_deep"
    TOO_LARGE = "too_large"
    TOO_MANY_EVENTS = "too_many_events"
    WRONG_SHAPE = "wrong_shape"
    MISSING_NAME = "missing_name"
    INVALID_NAME = "invalid_name"
    INVALID_TIME = "invalid_time"
    INVALID_ENCODING = "invalid_encoding"
    UNKNOWN_KEY = "unknown_key"
    UNKNOWN_PIPELINE = "unknown_pipeline"
    ORIGIN_NOT_ALLOWED = "origin_not_allowed"
    BAD_SIGNATURE = "bad_signature"
    STALE_TIMESTAMP = "stale_timestamp"
    BAD_TOKEN = "bad_token"  # noqa: S105 - a reason code, not a secret
    CONSENT_REQUIRED = "consent_required"

    # refused for now
    RATE_LIMITED = "rate_limited"
    SPOOL_FULL = "spool_full"
    SPOOL_UNAVAILABLE = "spool_unavailable"
    DRAINING = "draining"

    # delivery
    TIKTOK_REJECTED = "tiktok_rejected"
    TIKTOK_AUTH = "tiktok_auth"
    TIKTOK_THROTTLED = "tiktok_throttled"
    TIKTOK_UNAVAILABLE = "tiktok_unavailable"
    TIMEOUT = "timeout"
    CONNECTION = "connection"
    BROKEN_ANSWER = "broken_answer"
    BATCH_TOO_LARGE = "batch_too_large"
    INVALID_EVENT = "invalid_event"
    UNDECODABLE = "undecodable"
    TOO_OLD = "too_old"
    DUPLICATE = "duplicate"
    DUPLICATE_ORDER = "duplicate_order"
    WITHDRAWN = "withdrawn"
    ERASED = "erased"
    OPERATOR = "operator"
    INTEGRATION_REMOVED = "integration_removed"
    CORRUPT_SPOOL = "corrupt_spool"
