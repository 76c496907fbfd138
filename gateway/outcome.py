"""The closed set of fates and reasons (pure).

Law: every pair of event and integration gets exactly one edge outcome, and every accepted record ends in exactly one
final outcome. Metrics, logs, the live feed and the API derive from these two enums; nobody invents strings elsewhere.
A new reason is added here, with the sentence a user reads, or it does not exist.
"""

from enum import StrEnum


class Outcome(StrEnum):
    """What became of an event for one integration. The first four and a repeated event_id are decided at the edge, the others later."""

    # The text's own hash: a member is its text, and an enumeration's is computed anew, in Python, for every count.
    __hash__ = str.__hash__

    ACCEPTED = "accepted"
    """Durable: the request was answered 2xx after the commit."""
    FILTERED = "filtered"
    """Left out by a rule: consent, bots, a disabled or broken integration, no mapping. At the edge or at delivery."""
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
    """Removed by an operator: from the dead letters, or moved to another spool."""
    QUARANTINED = "quarantined"
    """Set aside with a damaged spool file."""


class Reason(StrEnum):
    """Why. Stable codes: dashboards and alerts are built on them."""

    __hash__ = str.__hash__

    NONE = ""

    # consent
    CONSENT_MISSING = "consent_missing"
    CONSENT_DENIED = "consent_denied"
    GPC = "gpc"

    # filtered by configuration
    BOT = "bot"
    NO_INTEGRATION = "no_integration"
    INTEGRATION_DISABLED = "integration_disabled"
    INTEGRATION_BROKEN = "integration_broken"
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
    REPEATED = "repeated"
    DUPLICATE = "duplicate"
    DUPLICATE_ORDER = "duplicate_order"
    WITHDRAWN = "withdrawn"
    ERASED = "erased"
    OPERATOR = "operator"
    MOVED = "moved"
    INTEGRATION_REMOVED = "integration_removed"
    CORRUPT_SPOOL = "corrupt_spool"


WORDS: dict[Reason, str] = {
    Reason.NONE: "",
    Reason.CONSENT_MISSING: "No consent signal grants what the integration needs, and consent.default is deny.",
    Reason.CONSENT_DENIED: "Consent to what the integration needs was denied.",
    Reason.GPC: "The browser sends Global Privacy Control, which denies marketing and advertising.",
    Reason.BOT: "The user agent names a crawler, a monitor or a script; the pipeline's bots setting drops those.",
    Reason.NO_INTEGRATION: "The pipeline has no integration.",
    Reason.INTEGRATION_DISABLED: "The integration is disabled.",
    Reason.INTEGRATION_BROKEN: "The integration's configuration has a problem or is missing; ttgateway check and the log say which.",
    Reason.UNKNOWN_PIXEL: "No integration of the pipeline has the pixel code that the event names.",
    Reason.UNMAPPED: "Neither the preset nor an override names this event, and default_action is drop.",
    Reason.EVENT_DISABLED: "An override of the integration disables this event.",
    Reason.AUTOMATIC_EVENT: "An automatic action of the browser pixel, not a conversion.",
    Reason.INVALID_JSON: "The body is not JSON.",
    Reason.TOO_DEEP: "The body is nested too deeply.",
    Reason.TOO_LARGE: "The body is too large.",
    Reason.TOO_MANY_EVENTS: "Too many events in one request.",
    Reason.WRONG_SHAPE: "The body or event does not have the expected shape.",
    Reason.MISSING_NAME: "The event has no name.",
    Reason.INVALID_NAME: "The event's name cannot be used.",
    Reason.INVALID_TIME: "The event's time cannot be used.",
    Reason.INVALID_ENCODING: "The body's encoding is not understood.",
    Reason.UNKNOWN_KEY: "No pipeline has this key.",
    Reason.UNKNOWN_PIPELINE: "Neither a key nor the host names one of the pipelines.",
    Reason.ORIGIN_NOT_ALLOWED: "Pages of this origin may not send events here.",
    Reason.BAD_SIGNATURE: "The signature does not fit the body and the pipeline's secret.",
    Reason.STALE_TIMESTAMP: "The signed timestamp is too far from now.",
    Reason.BAD_TOKEN: "The token is neither the integration's nor the pipeline's secret.",
    Reason.CONSENT_REQUIRED: "A server-side event must state consent.",
    Reason.RATE_LIMITED: "More events in this second than the limit allows.",
    Reason.SPOOL_FULL: "The spool has reached max_bytes.",
    Reason.SPOOL_UNAVAILABLE: "Events cannot be made durable right now.",
    Reason.DRAINING: "The gateway is ending.",
    Reason.TIKTOK_REJECTED: "TikTok refused the event.",
    Reason.TIKTOK_AUTH: "TikTok refused the credentials or the pixel.",
    Reason.TIKTOK_THROTTLED: "TikTok asked to slow down.",
    Reason.TIKTOK_UNAVAILABLE: "TikTok had a fault of its own.",
    Reason.TIMEOUT: "TikTok did not answer in time.",
    Reason.CONNECTION: "The connection to TikTok failed.",
    Reason.BROKEN_ANSWER: "What answered was not TikTok's JSON.",
    Reason.BATCH_TOO_LARGE: "The event alone is larger than TikTok takes.",
    Reason.INVALID_EVENT: "The event cannot be turned into a data item.",
    Reason.UNDECODABLE: "The stored event cannot be read.",
    Reason.TOO_OLD: "Older than the age limit.",
    Reason.REPEATED: "The same event with the same event_id was accepted for this integration within the last 48 hours.",
    Reason.DUPLICATE: "TikTok had it already.",
    Reason.DUPLICATE_ORDER: "The order had been sent already.",
    Reason.WITHDRAWN: "The visitor withdrew consent.",
    Reason.ERASED: "The visitor asked for erasure.",
    Reason.OPERATOR: "An operator removed it.",
    Reason.MOVED: "Moved to another spool, where it is accounted for from then on.",
    Reason.INTEGRATION_REMOVED: "The integration was removed.",
    Reason.CORRUPT_SPOOL: "The spool's file was damaged.",
}
"""What a user reads for each reason."""
