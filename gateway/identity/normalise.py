"""Identity fields to the exact text that TikTok hashes (pure).

Law: the same person gives the same text whatever the spelling; what is blank, a placeholder or implausible gives ``''`` and is omitted. Sources: TikTok's
advanced-matching rules; E.164 by Google's libphonenumber metadata.
"""

import re
import unicodedata
from collections.abc import Callable

import phonenumbers

PLACEHOLDERS = frozenset({
    "null", "none", "nil", "undefined", "unknown", "n/a", "na", "nan", "anonymous", "(not set)", "not set", "[object object]", "-", "0", "false",
    "true", "empty", "guest",
})  # fmt: skip
"""What tag managers and templates send in place of nothing; never a person."""
LONGEST_PLACEHOLDER = max(map(len, PLACEHOLDERS))

_HEX64 = re.compile(r"[0-9a-fA-F]{64}")
_EMAIL = re.compile(r"[^@\s]+@[^@\s]+")
_NOT_DIGIT = re.compile(r"\D+")
_US_ZIP = re.compile(r"\d{5}(-?\d{4})?")
_E164_DIGITS = range(7, 16)


def is_digest(value: str) -> bool:
    """64 hexadecimal characters: already hashed."""
    return len(value) == 64 and _HEX64.fullmatch(value) is not None


def email(value: str, _region: str = "") -> str:
    """Trimmed, lower-case; ``''`` unless there is one ``@`` with something on both sides."""
    found = value.strip().lower()
    return found if 3 <= len(found) <= 320 and _EMAIL.fullmatch(found) else ""


def phone(value: str, region: str = "") -> str:
    """E.164 with ``+``; numbers without a country code are read in ``region`` (ISO 3166 alpha-2).

    A number must be *possible* (right length for its country), not proven to be assigned: numbering plans change faster than metadata, and TikTok
    matches digests, not plans. ``00`` stands for ``+``. Without ``+`` and region the number cannot be placed and is omitted.
    """
    text = value.strip()
    if not 5 <= len(text) <= 40:
        return ""
    if text.startswith("00"):
        text = "+" + text[2:]
    try:
        parsed = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return ""
    if not phonenumbers.is_possible_number(parsed):
        return ""
    found = phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164)
    return found if len(found) - 1 in _E164_DIGITS else ""


def external_id(value: str, _region: str = "") -> str:
    """Trimmed, case kept."""
    return value.strip()


def person_name(value: str, _region: str = "") -> str:
    """Lower-case letters and digits of any script; spaces and punctuation removed."""
    return "".join(character for character in value.strip().lower() if unicodedata.category(character)[0] in "LNM")


def zip_code(value: str, _region: str = "") -> str:
    """Lower-case without spaces and dashes; a US ZIP+4 is cut to its five digits."""
    text = value.strip().lower()
    if _US_ZIP.fullmatch(text):
        return text[:5]
    return text.replace(" ", "").replace("-", "")


def place(value: str, _region: str = "") -> str:
    """City, state or country: lower-case, no spaces or punctuation; sent unhashed."""
    return person_name(value)


Normaliser = Callable[[str, str], str]

HASHED: dict[str, Normaliser] = {
    "email": email, "phone": phone, "external_id": external_id, "first_name": person_name, "last_name": person_name, "zip_code": zip_code,
}  # fmt: skip
"""Fields that TikTok wants as SHA-256, with what is hashed."""
PLAIN: dict[str, Normaliser] = {"city": place, "state": place, "country": place}
"""Fields that TikTok wants readable."""
