"""Consent signals of a request: CMP cookies and Global Privacy Control (pure).

Law: a signal is category → granted; several are merged so that a denial beats a grant. What cannot be read is no signal. Reading a
cookie is memoised by its value: a visitor sends the same one with every request.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

import orjson

from gateway.consent import tcf
from gateway.consent.settings import ConsentSettings, CustomCookie

_COOKIEBOT_FLAG = re.compile(r"['\"]?(necessary|preferences|statistics|marketing)['\"]?\s*:\s*(true|false)", re.IGNORECASE)
_COOKIEBOT_CATEGORIES = {
    "necessary": ("necessary",), "preferences": ("functional",), "statistics": ("analytics",), "marketing": ("marketing", "advertising"),
}  # fmt: skip
_MAX_COOKIE = 8192
_MEMO = 4096
_CONSENT_MODE = re.compile(r"G1([01-])([01-])")


@dataclass(slots=True, eq=False)
class RequestSignals:
    """What a request says before its events are read. Shared between requests with the same cookies: treat as frozen."""

    categories: Mapping[str, bool]
    """Merged CMP signals; empty = none."""
    source: str
    """The cookies that spoke, joined by ``+``; empty = none."""
    gpc: bool
    decisions: dict[object, Any] = field(default_factory=dict)
    """Where the gate remembers what it decided together with an event's own signals; goes when these signals go."""


def merge(into: dict[str, bool], more: Mapping[str, bool]) -> None:
    """Add signals; a denial stays, whoever said it."""
    for category, granted in more.items():
        into[category] = granted and into.get(category, True)


def onetrust(value: str, groups: Mapping[str, list[str]]) -> dict[str, bool]:
    """``OptanonConsent``: an URL-encoded query string with ``groups=C0001:1,C0004:0``."""
    # Some banners encode the whole value once more; parse_qs decodes the fields themselves.
    text = unquote(value) if "groups%3" in value else value
    found = parse_qs(text, max_num_fields=200).get("groups", [""])[0] if text.count("&") < 200 else ""
    result: dict[str, bool] = {}
    for part in found.split(","):
        group, _, state = part.partition(":")
        if state in {"0", "1"}:
            for category in groups.get(group, ()):
                # Two groups may stand for one category: both must be granted.
                merge(result, {category: state == "1"})
    return result


def cookiebot(value: str) -> dict[str, bool]:
    """``CookieConsent``: the text of a JavaScript object, sometimes URL-encoded; ``-1`` stands for "outside the regulated region"."""
    text = unquote(value)
    if text == "-1":
        return {category: True for categories in _COOKIEBOT_CATEGORIES.values() for category in categories}
    return {
        category: state.lower() == "true"
        for flag, state in _COOKIEBOT_FLAG.findall(text)
        for category in _COOKIEBOT_CATEGORIES[flag.lower()]
    }


def tcf_cookie(value: str) -> dict[str, bool]:
    """``euconsent-v2``: marketing is granted with purposes 1, 3 and 4."""
    granted = tcf.marketing(value)
    return {} if granted is None else {"marketing": granted, "advertising": granted}


def custom(value: str, cookie: CustomCookie) -> dict[str, bool]:
    """A site's own cookie, by its table of values, as a JSON object or as a list of granted categories."""
    text = unquote(value).strip()
    if cookie.values:
        if text not in cookie.values:
            return {}
        known = {category for categories in cookie.values.values() for category in categories}
        granted = cookie.values[text]
        return {category: category in granted for category in known}
    if text.startswith("{"):
        try:
            document: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {}
        return (
            {name.lower(): granted for name, granted in document.items() if isinstance(granted, bool)}
            if isinstance(document, dict)
            else {}
        )
    return {name.strip().lower(): True for name in text.split(",")[:50] if re.fullmatch(r"[A-Za-z_-]{1,40}", name.strip())}


def consent_mode(value: str) -> dict[str, bool]:
    """Google consent mode's ``G1<ad><analytics>``, e.g. ``G110``; ``-`` = not said."""
    if not (match := _CONSENT_MODE.match(value)):
        return {}
    result = {}
    if match[1] != "-":
        result["marketing"] = result["advertising"] = match[1] == "1"
    if match[2] != "-":
        result["analytics"] = match[2] == "1"
    return result


class RequestReader:
    """Reads a request's signals as one configuration wants them."""

    def __init__(self, settings: ConsentSettings) -> None:
        self.honour_gpc = settings.honour_gpc
        groups = settings.onetrust_groups
        readers: dict[str, tuple[str, Callable[[str], dict[str, bool]]]] = {}
        known: dict[str, tuple[str, Callable[[str], dict[str, bool]]]] = {
            "onetrust": ("OptanonConsent", lambda value: onetrust(value, groups)),
            "cookiebot": ("CookieConsent", cookiebot),
            "tcf": ("euconsent-v2", tcf_cookie),
        }
        for kind in settings.cookies:
            name, read = known[kind]
            readers[name] = (kind, read)
        if cookie := settings.cookie:
            readers[cookie.name] = ("cookie", lambda value: custom(value, cookie))
        self._readers = readers
        self.cookie_names = frozenset(readers)
        # Emptied when full: a lookup is on every request's way, an LRU cache's would cost more than reading most cookies.
        self._memo: dict[tuple[object, ...], RequestSignals] = {}
        self._names = tuple(readers)

    def read(self, cookies: Mapping[str, str], sec_gpc: str | None) -> RequestSignals:
        """Signals of the cookies named in :attr:`cookie_names` and of the ``Sec-GPC`` header."""
        gpc = self.honour_gpc and sec_gpc is not None and sec_gpc.strip() == "1"
        key = (gpc, *map(cookies.get, self._names))
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            found = self._memo[key] = self._read(cookies, gpc)
        return found

    def _read(self, cookies: Mapping[str, str], gpc: bool) -> RequestSignals:
        merged: dict[str, bool] = {}
        spoke = []
        for name, (kind, read) in self._readers.items():
            value = cookies.get(name)
            if value and len(value) <= _MAX_COOKIE and (categories := read(value)):
                merge(merged, categories)
                spoke.append(kind)
        return RequestSignals(merged, "+".join(spoke), gpc)
