"""What deliverers agree on about a lane (pure): as it is written for others to read.

Law: whatever cannot be read says nothing. A word counts only for who sends with the same settings, token included: another token is another question. Times are Unix seconds.
"""

from hashlib import sha256
from typing import NamedTuple

import orjson

from gateway.catalog.model import IntegrationSettings

SUSPENDED, OPEN, WELL = "suspended", "open", ""
_WORDS = 2000


class Accord(NamedTuple):
    """How a lane stands with TikTok."""

    kind: str = WELL
    """:data:`SUSPENDED`, :data:`OPEN` (its circuit) or :data:`WELL`."""
    settings: str = ""
    """:func:`digest` of what it was found with."""
    next_at: float = 0.0
    """When the next probe may go out: nobody sends before."""
    reason: str = ""
    code: str = ""
    message: str = ""
    cure: str = ""
    pauses: int = 0
    throttles: int = 0
    throttled_at: float = 0.0
    """Since when TikTok has answered nothing but 40100; 0 = it has not."""

    def written(self) -> bytes:
        """For the bucket."""
        return orjson.dumps(self._asdict())


def read(value: bytes) -> Accord | None:
    """The inverse; None if it is none."""
    try:
        found = orjson.loads(value)
        texts = {name: str(found[name])[:_WORDS] for name in ("kind", "settings", "reason", "code", "message", "cure")}
        accord = Accord(
            **texts,
            next_at=float(found["next_at"]),
            pauses=max(0, int(found["pauses"])),
            throttles=max(0, int(found["throttles"])),
            throttled_at=float(found["throttled_at"]),
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        return None
    return accord if accord.kind in {SUSPENDED, OPEN, WELL} else None


def digest(settings: IntegrationSettings) -> str:
    """Tells settings apart without telling the token."""
    token = settings.access_token.get_secret_value() if settings.access_token else ""
    return sha256(settings.model_dump_json().encode() + sha256(token.encode()).digest()).hexdigest()[:16]
