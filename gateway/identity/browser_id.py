"""TikTok's first-party browser id, the cookie ``_ttp`` (pure).

Law: opaque – whatever TikTok's own pixel wrote is forwarded as it is; only what cannot be a cookie of that kind is treated as absent. Seen: UUIDs, 27 characters of
``[A-Za-z0-9_-]``, KSUIDs, ULIDs with ``_``, each also with a ``.tt.N`` suffix. Ours has the shape seen from 2023 on, the 27 characters.
"""

import base64
import re
from typing import Final

_SHAPE: Final = re.compile(r"[A-Za-z0-9._~-]{8,256}")
_LEAST: Final = 8
_MOST: Final = 256
ENTROPY_BYTES: Final = 21
"""Random bytes that one id takes."""


def valid(value: str) -> bool:
    """It can be a ``_ttp`` and may be sent and set again."""
    # Nearly every one: told at half the cost of a match, which decides about the others.
    if (value.isalnum() or value.replace("-", "").replace("_", "").isalnum()) and value.isascii():
        return _LEAST <= len(value) <= _MOST
    return _SHAPE.fullmatch(value) is not None


def make(entropy: bytes) -> str:
    """A new id from :data:`ENTROPY_BYTES` random bytes."""
    return base64.urlsafe_b64encode(entropy).decode()[:27]
