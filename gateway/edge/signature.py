"""Signed server-side requests (pure).

Law: ``X-Signature: sha256=<hex HMAC-SHA256 of "timestamp.body">`` with the pipeline's secret, compared in constant time, and a timestamp within
:data:`WINDOW_S` of now: an older request may be a replay.
"""

import hashlib
import hmac

from gateway.errors import BadInput
from gateway.outcome import Reason

WINDOW_S = 300


def verify(timestamp: str, signature: str, body: bytes, secret: bytes, now: float) -> None:
    """Raises BadInput ``bad_signature`` or ``stale_timestamp`` unless the request is genuine and recent."""
    if not secret:
        raise BadInput(Reason.BAD_SIGNATURE, "this pipeline has no secret; set pipelines[].secret to accept signed requests")
    if not timestamp.isascii() or not timestamp.isdigit() or len(timestamp) > 12:
        raise BadInput(Reason.BAD_SIGNATURE, "X-Timestamp must be Unix seconds")
    method, _, given = signature.partition("=")
    expected = hmac.new(secret, timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    if method != "sha256" or not hmac.compare_digest(given.lower().encode("utf-8", "replace"), expected.encode()):
        raise BadInput(Reason.BAD_SIGNATURE, 'X-Signature must be "sha256=" and the hex HMAC-SHA256 of "<X-Timestamp>.<body>"')
    if abs(now - int(timestamp)) > WINDOW_S:
        raise BadInput(Reason.STALE_TIMESTAMP, f"X-Timestamp is more than {WINDOW_S} s off; check the sender's clock")
