"""Purposes granted by an IAB TCF v2 consent string (pure).

Law: only the core segment's purpose consents are read; a string that is not TCF v2 is no signal. Source: IAB TCF v2 core segment layout: version in
bits 0–5, purpose consents in bits 152–175, most significant bit first.
"""

import base64
import binascii
import re

_VERSION = 2
_VERSION_BITS = 6
_PURPOSES_AT = 152
_PURPOSES = 24
_NEEDED = (1, 3, 4)
"""Storage, building an advertising profile, selecting personalised advertising."""
_CORE = re.compile(r"[A-Za-z0-9_-]{30,4096}")


def purposes(value: str) -> frozenset[int] | None:
    """Numbers of the purposes consented to; None if the string cannot be read."""
    core = value.partition(".")[0]
    if not _CORE.fullmatch(core):
        return None
    try:
        raw = base64.urlsafe_b64decode(core + "=" * (-len(core) % 4))
    except (binascii.Error, ValueError):
        return None
    if len(raw) * 8 < _PURPOSES_AT + _PURPOSES or _bits(raw, 0, _VERSION_BITS) != _VERSION:
        return None
    return frozenset(number for number in range(1, _PURPOSES + 1) if _bits(raw, _PURPOSES_AT + number - 1, 1))


def marketing(value: str) -> bool | None:
    """Whether purposes 1, 3 and 4 are all granted; None if the string cannot be read."""
    granted = purposes(value)
    return None if granted is None else granted.issuperset(_NEEDED)


def _bits(raw: bytes, at: int, count: int) -> int:
    return int.from_bytes(raw, "big") >> (len(raw) * 8 - at - count) & ((1 << count) - 1)
