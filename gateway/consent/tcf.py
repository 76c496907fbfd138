"""Purposes granted by an IAB TCF v2 consent string (pure).

Law: only the core segment's purpose consents are read; a string that is not TCF v2 is no signal. Source: IAB TCF v2 core segment layout: version in
bits 0–5, purpose consents in bits 152–175.
"""

import base64
import binascii

_VERSION = 2
_PURPOSES_AT = 152
_NEEDED = (1, 3, 4)
"""Storage, building an advertising profile, selecting personalised advertising."""


def marketing(value: str) -> bool | None:
    """Whether purposes 1, 3 and 4 are granted; None if the string cannot be read."""
    core = value.partition(".")[0]
    if not 20 <= len(core) <= 4096:
        return None
    try:
        raw = base64.urlsafe_b64decode(core + "=" * (-len(core) % 4))
    except (binascii.Error, ValueError):
        return None
    if len(raw) * 8 < _PURPOSES_AT + 24 or raw[0] >> 2 != _VERSION:
        return None
    return all(raw[(at := _PURPOSES_AT + purpose - 1) >> 3] >> (7 - (at & 7)) & 1 for purpose in _NEEDED)
