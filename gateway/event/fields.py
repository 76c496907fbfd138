"""Tables and coercions that the parsers share (pure).

Law: a field of the wrong type is as good as absent; only a name or a time that cannot be used spoils an event. Limits are in characters.
"""

import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from gateway.errors import BadInput
from gateway.outcome import Reason

if TYPE_CHECKING:
    from mypy_extensions import i64  # a machine's integer in the compiled build; the name is not needed when it runs

MAX_NAME: Final = 100
MAX_ID: Final = 256
MAX_TEXT: Final = 8192
MAX_EVENTS: Final = 500
MAX_USER_AGENT: Final = 1024
_LATEST_S: Final = 4_102_444_800.0  # 2100-01-01: what is later is no time of an event
_MILLISECONDS_FROM: Final = 100_000_000_000.0  # 1973 in milliseconds, the year 5138 in seconds
_CONTROL: Final = re.compile(r"[\x00-\x1f\x7f]")
_NUMBER: Final = re.compile(r"\d{1,7}(?:\.\d{1,9})?|\d{9,16}(?:\.\d{1,9})?", re.ASCII)
_NUMBERS: Final = frozenset({int, float})
_MAX_CATEGORIES: Final = 32
_MAX_CATEGORY: Final = 64
_ALWAYS_READ: Final = frozenset({"marketing", "advertising"})
_USUAL_CATEGORIES: Final = frozenset({
    "marketing", "advertising", "analytics", "statistics", "functional", "preferences", "personalization", "performance", "necessary", "essential",
    "ad_storage", "ad_user_data", "ad_personalization", "analytics_storage", "functionality_storage", "personalization_storage", "security_storage",
})  # fmt: skip
"""In lower case already, which to see costs a fifth of making them so."""

_SPELLINGS: dict[str, tuple[str, ...]] = {
    "email": ("email", "Email", "e_mail", "e-mail", "emailAddress", "email_address", "sha256_email", "hashed_email", "hashedEmail", "email_sha256", "em"),
    "phone": (
        "phone", "Phone", "phone_number", "phoneNumber", "telephone", "tel", "mobile", "mobilePhone", "mobile_phone",
        "sha256_phone_number", "hashed_phone", "hashedPhone", "phone_sha256", "ph",
    ),
    "external_id": ("external_id", "externalId", "sha256_external_id", "externalID"),
    "first_name": ("first_name", "firstName", "firstname", "given_name", "givenName", "sha256_first_name"),
    "last_name": ("last_name", "lastName", "lastname", "family_name", "familyName", "surname", "sha256_last_name"),
}  # fmt: skip
_PLACES: dict[str, tuple[str, ...]] = {
    "zip_code": ("zip_code", "zipCode", "zip", "postal_code", "postalCode", "postcode"),
    "city": ("city",),
    "state": ("state", "region", "province"),
    "country": ("country", "country_code", "countryCode"),
}

PERSON_KEYS: Final = {spelling: field for field, spellings in _SPELLINGS.items() for spelling in spellings}
"""Any spelling → TikTok's user field, wherever it occurs (properties included)."""
TRAIT_KEYS: Final = PERSON_KEYS | {spelling: field for field, spellings in _PLACES.items() for spelling in spellings}
"""The same with places, which in properties mean the trip or the vehicle and not the person."""


def text(value: Any, limit: int = MAX_TEXT) -> str:
    """A string as it is, a finite number or bool-free integer as digits, anything else (or too long) as ``''``."""
    if type(value) is str:
        return value if len(value) <= limit else ""
    if value is None:
        return ""
    kind = type(value)
    if kind is int:
        return str(value)
    if kind is float and value == value and abs(value) < 1e300:  # noqa: PLR0124 - NaN is the only value that is not itself
        found = str(int(value)) if value.is_integer() else repr(value)
        return found if len(found) <= limit else ""
    return ""


def identifier(value: Any, *, clean: bool = False) -> str:
    """An id: trimmed text of at most 256 characters without control characters, else ``''``. ``clean`` = it is known to hold none."""
    # Nearly every id is printable, and that test costs a tenth of a search; joiners and no-break spaces are not, and are allowed.
    if type(value) is str and len(value) <= MAX_ID and (clean or value.isalnum() or value.isprintable()):
        return value.strip()
    if value is None:
        return ""
    found = text(value, MAX_ID)
    return "" if _CONTROL.search(found) else found.strip()


def mapping(value: Any) -> dict[str, Any]:
    """The object itself, or an empty one in place of anything else."""
    return value if type(value) is dict else {}


def name(value: Any, *, clean: bool = False) -> str:
    """An event name; ``clean`` as in :func:`identifier`. Raises BadInput ``missing_name`` or ``invalid_name``."""
    if value is None:
        raise BadInput(Reason.MISSING_NAME, "the event has no name")
    if type(value) is not str:
        raise BadInput(Reason.INVALID_NAME, "the event's name must be a string")
    found = value.strip()
    if not found:
        raise BadInput(Reason.MISSING_NAME, "the event has no name")
    if len(found) > MAX_NAME or not (clean or found.isprintable() or not _CONTROL.search(found)):
        raise BadInput(Reason.INVALID_NAME, f"the event's name must have at most {MAX_NAME} characters and no control characters")
    return found


def time(value: Any) -> float | None:
    """Unix seconds from ISO 8601, seconds or milliseconds; None if absent. Raises BadInput ``invalid_time`` for anything else."""
    if not value and (value is None or value == ""):
        return None
    seconds = _seconds(value)
    if seconds is None:
        raise BadInput(
            Reason.INVALID_TIME, "the event's time is neither ISO 8601 nor Unix seconds or milliseconds of this century"
        )
    return seconds


def optional_time(value: Any) -> float | None:
    """The same for a time that an event can do without: unusable is as good as absent."""
    return _seconds(value) if value else None


def _seconds(value: Any) -> float | None:
    if type(value) is str:
        if len(value) == _FULL_LENGTH and (exact := _full(value)) > 0.0:
            return exact
        # Digits first: 1712121212000 is also a valid ISO 8601 time, of the year 1712. Eight digits are a date.
        if value[4:5] == "-" or not _NUMBER.fullmatch(value := value.strip()):
            try:
                moment = datetime.fromisoformat(value if value.endswith("Z") else value.strip())
                seconds = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).timestamp()
            except (ValueError, OverflowError):
                return None
            return seconds if 0 < seconds < _LATEST_S else None
    elif type(value) not in _NUMBERS:
        return None
    seconds = float(value)
    if seconds >= _MILLISECONDS_FROM:
        seconds /= 1000.0
    return seconds if 0 < seconds < _LATEST_S else None


_FULL_LENGTH: Final = len("2026-11-23T12:00:00.123Z")
_NO_DIGITS: Final = -10_000
_ZERO: Final = 48


def _full(value: str) -> float:
    """Unix seconds of a time in the one form that browsers write (``toISOString``), from 1970 to 2099; -1.0 for anything else and for 29 February.

    The very float that the general way gives, at a fifth of its cost: both divide the same whole number.
    """
    if not (
        ord(value[23]) == ord("Z")
        and ord(value[19]) == ord(".")
        and ord(value[16]) == ord(":")
        and ord(value[13]) == ord(":")
        and ord(value[10]) == ord("T")
        and ord(value[7]) == ord("-")
        and ord(value[4]) == ord("-")
    ):
        return -1.0
    year: i64 = 100 * _two(ord(value[0]), ord(value[1])) + _two(ord(value[2]), ord(value[3]))
    month: i64 = _two(ord(value[5]), ord(value[6]))
    day: i64 = _two(ord(value[8]), ord(value[9]))
    hour: i64 = _two(ord(value[11]), ord(value[12]))
    minute: i64 = _two(ord(value[14]), ord(value[15]))
    second: i64 = _two(ord(value[17]), ord(value[18]))
    thousandths: i64 = 10 * _two(ord(value[20]), ord(value[21])) + _two(ord("0"), ord(value[22]))
    if not (1970 <= year <= 2099 and 1 <= month <= 12 and 0 <= hour <= 23 and 0 <= minute <= 59 and 0 <= second <= 59):
        return -1.0
    # Long and short months take turns, from July to August apart.
    longest: i64 = 28
    if month != 2:
        longest = 30 + (month + month // 8) % 2
    if not (1 <= day <= longest and thousandths >= 0):
        return -1.0
    # Every fourth of these years is a leap year, 2000 included; (367 * month - 362) // 12 days lie before a month if February has 30.
    days: i64 = 365 * (year - 1970) + (year - 1969) // 4 + (367 * month - 362) // 12 + day - 1
    if month > 2:
        days -= 2
        if year % 4 == 0:
            days += 1
    seconds: i64 = ((days * 24 + hour) * 60 + minute) * 60 + second
    return float(seconds * 1000 + thousandths) / 1000.0


def _two(tens: "i64", ones: "i64") -> "i64":
    """The number that two characters write, :data:`_NO_DIGITS` if one is no digit of ASCII."""
    tens -= _ZERO
    ones -= _ZERO
    if 0 <= tens <= 9 and 0 <= ones <= 9:
        return 10 * tens + ones
    return _NO_DIGITS


_GRANTS: Final[dict[Any, bool]] = {
    True: True, False: False, "granted": True, "denied": False, "true": True, "false": False, "1": True, "0": False, "yes": True, "no": False,
    "allow": True, "deny": False, "on": True, "off": False,
}  # fmt: skip
"""Spellings of a decision; 1 and 0 equal True and False."""
_DECISIONS: Final = frozenset({bool, int, float, str})


def consent(value: Any) -> dict[str, bool] | None:
    """``{category: granted}`` from an object of booleans or granted/denied; None where it says nothing.

    Decisions are remembered by what is returned here, so it is bounded: about 32 categories of 64 characters.
    """
    if type(value) is not dict:
        return None
    source: dict[str, Any] = value
    if "categoryPreferences" in source and type(nested := source["categoryPreferences"]) is dict:
        source = nested
    found: dict[str, bool] = {}
    for category, given in source.items():
        if given is True or given is False:
            granted = given is True
        else:
            said = given.strip().lower() if type(given) is str else given
            if type(said) not in _DECISIONS or said not in _GRANTS:
                continue
            granted = _GRANTS[said]
        if len(category) <= _MAX_CATEGORY:
            key = category if category in _USUAL_CATEGORIES else category.lower()
            if len(found) < _MAX_CATEGORIES or key in _ALWAYS_READ:
                # Two spellings of one category: a denial beats a grant.
                if not granted:
                    found[key] = False
                elif key not in found:
                    found[key] = True
    return found or None


def identity(target: dict[str, Any], source: dict[str, Any], keys: dict[str, str]) -> None:
    """Copy what ``keys`` knows from ``source`` to ``target`` under TikTok's names; the first source of a field wins."""
    for key, value in source.items():
        field = keys.get(key)
        if field is not None and field not in target:
            if type(value) is list:
                values = [found for item in value[:10] if (found := text(item, MAX_ID * 2))]
                if values:
                    target[field] = values
            elif found := text(value, MAX_ID * 2):
                target[field] = found


_PAGE_FIELDS: Final = frozenset({"url", "referrer", "title", "path", "search"})


def page(source: Any) -> dict[str, str]:
    """url, referrer, title, path, search of an object, strings only. Mostly it holds nothing else and is returned itself: who changes it copies it first."""
    if type(source) is not dict:
        return {}
    given: dict[str, Any] = source
    unfit: list[str] | None = None
    for field, value in given.items():
        if field not in _PAGE_FIELDS or type(value) is not str or not value or len(value) > MAX_TEXT:
            if unfit is None:
                unfit = []
            unfit.append(field)
    if unfit is None:
        return given
    found = given.copy()
    for field in unfit:
        del found[field]
    return found


def pixel_codes(value: Any) -> tuple[str, ...]:
    """Pixel codes from ``{"code": …, "codes": "A|B"}``, a string or a list."""
    if type(value) is dict:
        joined = text(value.get("codes"), MAX_TEXT)
        return pixel_codes(joined or value.get("code"))
    if type(value) is str:
        return tuple(code for part in value.split("|")[:20] if (code := identifier(part)))
    if type(value) is list:
        return tuple(code for item in value[:20] if (code := identifier(item)))
    return ()
