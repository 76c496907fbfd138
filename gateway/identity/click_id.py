"""TikTok's click id, ``ttclid`` (pure).

Law: the newest click wins, so the page's own URL comes first, then what the event says, the referrer if it is the same site, then cookies. A click id is
taken whole or not at all: a truncated one matches nothing.
"""

import re
from collections.abc import Mapping
from urllib.parse import unquote, urlsplit

_SHAPE = re.compile(r"[A-Za-z0-9._~-]{1,2048}")
_IN_URL = re.compile(r"[?&;]ttclid=([^&#;]*)")
COOKIES = ("ttclid", "tiktok_ttclid", "_ttclid")
"""In the order in which they are believed."""


def valid(value: str) -> bool:
    """It can be a click id."""
    return _SHAPE.fullmatch(value) is not None


def in_url(url: str) -> str:
    """The ``ttclid`` parameter of a URL or request target, ``''`` if none or unusable."""
    if "ttclid=" not in url:
        return ""
    match = _IN_URL.search(url)
    if not match:
        return ""
    found = unquote(match[1]) if "%" in match[1] else match[1]
    return found if valid(found) else ""


def resolve(page_url: str, event_ttclid: str, referrer: str, cookies: Mapping[str, str], host: str) -> str:
    """The click id by the order above; ``host`` is the request's, for the same-site test of the referrer."""
    if found := in_url(page_url):
        return found
    if event_ttclid and valid(event_ttclid):
        return event_ttclid
    if "ttclid=" in referrer and host:
        try:
            same = (urlsplit(referrer).hostname or "") == host.rpartition(":")[0].lower() or urlsplit(
                referrer
            ).netloc.lower() == host.lower()
        except ValueError:
            same = False
        if same and (found := in_url(referrer)):
            return found
    for name in COOKIES:
        value = cookies.get(name)
        if value and valid(value):
            return value
    return ""
