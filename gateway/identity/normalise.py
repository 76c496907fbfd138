"""Identity fields to the exact text that TikTok hashes (pure).

Law: the same person gives the same text whatever the spelling, and normalising twice changes nothing; what is blank, a placeholder or implausible gives ``''``
and is omitted. Sources: TikTok's advanced-matching rules; E.164 by Google's libphonenumber metadata.
"""

import hashlib
import re
import unicodedata
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

import phonenumbers

if TYPE_CHECKING:
    from mypy_extensions import i64  # a machine's integer in the compiled build; the name is not needed when it runs

PLACEHOLDERS: Final = frozenset({
    "", "null", "(null)", "none", "nil", "undefined", "unknown", "n/a", "#n/a", "anonymous", "(not set)", "not set", "(none)", "not available", "not provided",
    "[object object]", "-", "--", "?", "0", "-1", "false", "true", "empty", "guest", "visitor", "[redacted]", "redacted",
})  # fmt: skip
"""What tag managers and templates send in place of nothing; never a person."""
NO_IDS: Final = PLACEHOLDERS | {"na", "nan", "test", "user", "default", "xxx"}
"""The same for ids, addresses and numbers, where ``na`` is nobody (among names and countries it is somebody's)."""
_LONGEST: Final = max(map(len, NO_IDS))
_TEMPLATE: Final = re.compile(r"\{\{.*|\$\{.*|<%.*|%%.*|__[A-Z_]+__")
"""A template that nobody filled in, e.g. ``{{email}}``."""
_ZEROS: Final = "0-. +()"
"""``00000000-0000-0000-0000-000000000000`` and its like."""
_NOTHING: Final = {hashlib.sha256(word.encode()).hexdigest() for word in NO_IDS}
"""Digests of nothing: what a script sends that hashes before it looks."""

_HEX64: Final = re.compile(r"[0-9a-fA-F]{64}")
_EMAIL: Final = re.compile(r"[^@\s<>()\[\],;:\"\\]+@[^@\s<>()\[\],;:\"\\.]+(?:\.[^@\s<>()\[\],;:\"\\.]+)+")
_US_ZIP = re.compile(r"([0-9]{5})(?:[ \-]?[0-9]{4})?")
_NO_PLACE = frozenset("@\uff20\ufe6b%:")
"""Characters of addresses, encoded ones and URLs; no place is written with one."""
_INVISIBLE = dict.fromkeys(map(ord, "\u200b\u200c\u200d\u200e\u200f\u2060\ufeff\u00ad"))
_MAX_EMAIL: Final = 254
_MAX_E164: Final = 16  # + and 15 digits


def is_digest(value: str) -> bool:
    """64 hexadecimal characters: already hashed."""
    return len(value) == 64 and _HEX64.fullmatch(value) is not None


def is_nothing(value: str, placeholders: frozenset[str] = NO_IDS) -> bool:
    """A trimmed value that stands for no value."""
    if len(value) > 1 and ord(value[0]) == ord("+") and ord("1") <= ord(value[1]) <= ord("9"):
        return False  # nearly every telephone number: nothing below is written so
    # Most ids end in a digit, and no placeholder of more than two characters does.
    digit = len(value) > 2 and ord("0") <= ord(value[-1]) <= ord("9")
    if len(value) <= _LONGEST and not digit and value.lower() in placeholders:
        return True
    first = value[0]
    if first != "0" and first.isalnum():
        return False
    return (first != ")" and not value.strip(_ZEROS)) or (first in "{$<%_" and _TEMPLATE.fullmatch(value) is not None)


def digest(value: str) -> str:
    """A value that came hashed, lower-cased; ``''`` for the hash of a placeholder."""
    low = value.lower()
    return "" if low in _NOTHING else low


def trim(value: str) -> str:
    """Without surrounding white space, and without the invisible characters that copying brings along."""
    return value.strip() if value.isascii() else value.translate(_INVISIBLE).strip()


def email(value: str, _region: str = "") -> str:
    """Trimmed, lower-case; ``''`` unless it is one mailbox at a host with a dot. Sub-addresses (``+tag``) and dots are kept: TikTok hashes what was typed."""
    found = value.strip().lower()
    if len(found) <= _MAX_EMAIL and _is_usual(found):
        return found
    if not _EMAIL.fullmatch(found):
        found = trim(found).replace("%40", "@").removeprefix("mailto:")
        if not _EMAIL.fullmatch(found):
            return ""
    return found if found.isascii() and len(found) <= _MAX_EMAIL else _visible(found)


def _is_usual(found: str) -> bool:
    """Letters, digits and ``._-+`` with one ``@`` and a dot after it: nearly every mailbox, told at a third of the cost of a match, which decides about the others."""
    at: i64 = 0
    edge: i64 = 0
    here: i64
    for here in range(len(found)):
        code: i64 = ord(found[here])
        if ord("a") <= code <= ord("z") or ord("0") <= code <= ord("9"):
            continue
        if code == ord("@") or (code == ord(".") and at):
            # The host has one part at least before and after each dot of it.
            if here == 0 or (at and (code == ord("@") or here == edge + 1)):
                return False
            edge = here
            if at == 0:
                at = here
        elif code not in (ord("."), ord("_"), ord("-"), ord("+")):
            return False
    return 0 < at < edge < len(found) - 1


def _visible(found: str) -> str:
    found = trim(found)
    return found if len(found) <= _MAX_EMAIL and _EMAIL.fullmatch(found) else ""


def phone(value: str, region: str = "") -> str:
    """E.164 with ``+``; numbers without a country code are read in ``region`` (ISO 3166 alpha-2).

    A number must be *possible* (right length for its country, area code included), not proven to be assigned: numbering plans change faster than metadata, and TikTok
    matches digests, not plans. ``00`` stands for ``+``. Without ``+`` and region the number cannot be placed and is omitted: guessing that its first
    digits are a country code would give somebody else's digest.
    """
    text = trim(value).removeprefix("tel:")
    if not 5 <= len(text) <= 40:
        return ""
    if text.startswith("00"):
        text = "+" + text[2:]
    try:
        parsed = phonenumbers.parse(text, region or None)
    except phonenumbers.NumberParseException:
        return ""
    if phonenumbers.is_possible_number_with_reason(parsed) != phonenumbers.ValidationResult.IS_POSSIBLE:
        return ""
    found = str(phonenumbers.format_number(parsed, phonenumbers.PhoneNumberFormat.E164))
    return found if len(found) <= _MAX_E164 else ""


def external_id(value: str, _region: str = "") -> str:
    """Trimmed, case kept."""
    return value.strip()


def person_name(value: str, _region: str = "") -> str:
    """Lower-case letters and digits of any script, composed (NFC); punctuation and symbols removed, single spaces between words."""
    return " ".join("".join(c for c in _folded(value) if c == " " or unicodedata.category(c)[0] in "LNM").split())


def zip_code(value: str, _region: str = "") -> str:
    """Lower-case without spaces and punctuation; a US ZIP+4 is cut to its five digits."""
    text = trim(value).lower()
    if match := _US_ZIP.fullmatch(text):
        return match[1]
    return "".join(c for c in text if c.isalnum())


def place(value: str, _region: str = "") -> str:
    """City, state or country: lower-case, no spaces or punctuation; sent unhashed, so what holds an address or a number is no place."""
    if not _NO_PLACE.isdisjoint(value) or sum(map(str.isdigit, value)) > 4:
        return ""
    return person_name(value).replace(" ", "")


def _folded(value: str) -> str:
    text = " ".join(trim(value).lower().split())
    return text if text.isascii() else unicodedata.normalize("NFC", text)


Normaliser = Callable[[str, str], str]

HASHED: Final[dict[str, Normaliser]] = {
    "email": email, "phone": phone, "external_id": external_id, "first_name": person_name, "last_name": person_name, "zip_code": zip_code,
}  # fmt: skip
"""Fields that TikTok wants as SHA-256, with what is hashed."""
PLAIN: Final[dict[str, Normaliser]] = {"city": place, "state": place, "country": place}
"""Fields that TikTok wants readable."""
LISTS: Final = frozenset({"email", "phone", "external_id"})
"""Fields that may have several values."""
NAMED: Final = frozenset({"first_name", "last_name", "city", "state", "country"})
"""Fields in which ``na`` may be meant."""
