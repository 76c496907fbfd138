"""TikTok's click id, ``ttclid`` (pure).

Law: the newest click wins, so the page's own URL comes first, then what the event says, the referrer if it is the same site, then cookies. A click id is
taken whole or not at all: a truncated one matches nothing. An unfilled macro (``__CLICKID__``) is none.
"""

import re
from collections.abc import Mapping
from typing import Final
from urllib.parse import unquote

_SHAPE: Final = re.compile(r"(?!__[A-Z_]{1,60}__\Z)[A-Za-z0-9._~-]{1,2048}")
_MOST: Final = 2048
_IN_URL: Final = re.compile(r"[?&;]ttclid=([^&#;]*)")
_HOST: Final = re.compile(r"https?://(?:[^/?#@]*@)?([^/?#@:]*)", re.IGNORECASE)
COOKIES: Final = ("ttclid", "tiktok_ttclid", "_ttclid")
"""In the order in which they are believed."""


def valid(value: str) -> bool:
    """It can be a click id."""
    # Nearly every one: told at half the cost of a match, which decides about the others.
    plain = value.replace(".", "")
    if (plain.isalnum() or plain.replace("_", "").replace("-", "").isalnum()) and value.isascii() and value[0] != "_":
        return len(value) <= _MOST
    return _SHAPE.fullmatch(value) is not None


def in_url(url: str) -> str:
    """The first usable ``ttclid`` parameter of a URL or request target, ``''`` if none."""
    at = url.find("ttclid=")
    if at < 0:
        return ""
    if at and url[at - 1] in "?&" and valid(found := url[at + 7 :].partition("&")[0]):
        return found
    for match in _IN_URL.finditer(url):
        found = unquote(match[1]) if "%" in match[1] else match[1]
        if valid(found):
            return found
    return ""


def resolve(page_url: str, event_ttclid: str, referrer: str, cookies: Mapping[str, str], host: str) -> str:
    """The click id by the order above; ``host`` is the request's (a port is ignored), for the same-site test of the referrer."""
    if found := in_url(page_url):
        return found
    if event_ttclid and valid(event_ttclid):
        return event_ttclid
    if "ttclid=" in referrer and host and _same_host(referrer, host) and (found := in_url(referrer)):
        return found
    if cookies:
        for name in COOKIES:
            value = cookies.get(name)
            if value and valid(value):
                return value
    return ""


def _same_host(url: str, host: str) -> bool:
    match = _HOST.match(url)
    return match is not None and match[1].lower() == host.lower().partition(":")[0] != ""
