"""What TikTok's messages say (pure).

Law: a message may echo what was sent. Nothing quoted, no address, number, token or hash of it is shown, logged or stored; what a message *means* (a place in the
batch, the pixel, a quota) is read only from the words outside of quotes, because what stands inside them was written by a visitor.
"""

import re

from gateway.identity import redact

_LONGEST_READ = 1000
_LONGEST_SHOWN = 400

# An apostrophe inside a word opens nothing and closes nothing; a quote that is never closed hides the rest.
_QUOTED = re.compile(r"(?<!\w)(['\"`]).*?(?:\1(?!\w)|$)|[‘’‚“”„«].*?(?:[’”“»]|$)", re.DOTALL)
_ECHO = re.compile(r"\b(got|given|received|input)(\s*[:=]\s*).+", re.IGNORECASE | re.DOTALL)
_URL = re.compile(r"https?://\S+", re.IGNORECASE)
_SECRET = re.compile(r"(?<![\w-])(?=[\w-]*\d)[\w-]{32,}")
_IP = re.compile(r"\b\d{1,3}(?:\.\d{1,3}){3}\b|(?<![\w:])[0-9a-f]{0,4}(?::[0-9a-f]{0,4}){2,7}(?![\w:])", re.IGNORECASE)

_PLACE = re.compile(r"\b(?:Batch|data)[.\[](\d{1,4})(?!\d)", re.IGNORECASE)
_PER_MINUTE = re.compile(r"\bper[ -]?minute\b|\bqpm\b|/min\b", re.IGNORECASE)
_PER_DAY = re.compile(r"\bper[ -]?day\b|\bqpd\b|/day\b|\bdaily\b", re.IGNORECASE)
_ROOT = re.compile(r"event_source_id|pixel[_ ]?code|\bpixel\b|\bevent_source\b|test_event_code|partner_name", re.IGNORECASE)
_DIGITS = re.compile(r"\d+")


def shown(message: object) -> str:
    """TikTok's words as a person may read them; ``''`` if there are none."""
    if not isinstance(message, str):
        return ""
    words = "".join(character if character.isprintable() else " " for character in message[:_LONGEST_READ])
    words = _ECHO.sub(r"\1\2…", _URL.sub("https://…", _QUOTED.sub("'…'", words)))
    return _IP.sub("…", _SECRET.sub("…", redact.text(words))).strip()[:_LONGEST_SHOWN]


def place(message: str) -> int | None:
    """The bad event's place in the batch, if the message names one."""
    found = _PLACE.search(_unquoted(message))
    return int(found[1]) if found else None


def names_root(message: str) -> bool:
    """Whether the message blames the pixel or another field of the request itself, and no event of it."""
    return place(message) is None and _ROOT.search(_unquoted(message)) is not None


def names_minute_quota(message: str) -> bool:
    """Whether the message speaks of a quota per minute."""
    return _PER_MINUTE.search(_unquoted(message)) is not None


def names_day_quota(message: str) -> bool:
    """Whether the message speaks of a quota per day."""
    return _PER_DAY.search(_unquoted(message)) is not None


def shape(message: str) -> str:
    """The message without what differs from event to event: tells one cause from many."""
    return _DIGITS.sub("#", message)[:200]


def _unquoted(message: str) -> str:
    return _QUOTED.sub("", message[:_LONGEST_READ])
