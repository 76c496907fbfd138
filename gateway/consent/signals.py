"""Consent signals of a request: CMP cookies and Global Privacy Control (pure).

Law: a signal is category → granted; several are merged so that a denial beats a grant. What cannot be read is no signal. Reading cookies is remembered under
their hash, for a visitor sends the same ones with every request, and they may hold more than consent.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final
from urllib.parse import unquote, unquote_plus

import orjson

from gateway.consent import tcf
from gateway.consent.settings import ConsentSettings, CustomCookie
from gateway.event import fields

_COOKIEBOT_FLAG = re.compile(
    r"(?<![A-Za-z_])(necessary|preferences|statistics|marketing)['\"]?\s{0,9}:\s{0,9}(true|false)", re.IGNORECASE
)
_COOKIEBOT_CATEGORIES = {
    "necessary": ("necessary",), "preferences": ("functional",), "statistics": ("analytics",), "marketing": ("marketing", "advertising"),
}  # fmt: skip
_COOKIEBOT_WHOLE = {"-1": True, "0": False}
"""Whole values: outside the regulated region (nothing was asked, all is used), and everything declined."""
_CHOICES = frozenset({"marketing", "advertising", "analytics", "functional"})
_CATEGORY = re.compile(r"[a-z][a-z0-9_ \-]{0,39}")
_MAX_CATEGORIES = 32
_MAX_COOKIE = 8192
_MEMO: Final = 2048
_CONSENT_MODE = re.compile(r"G1([01-])([01-])")

Reader = Callable[[str], dict[str, bool]]


@dataclass(slots=True, eq=False)
class RequestSignals:
    """What a request says before its events are read. Shared between requests with the same cookies: treat as frozen."""

    categories: Mapping[str, bool]
    """Merged CMP signals; empty = none."""
    source: str
    """The cookies that spoke, joined by ``+``; empty = none."""
    gpc: bool
    """``Sec-GPC: 1`` was sent; whether it denies is the gate's business."""
    key: str = field(init=False, default="")
    """Tells apart what leads to different decisions."""

    def __post_init__(self) -> None:
        said = ",".join(f"{category}={granted:d}" for category, granted in sorted(self.categories.items()))
        self.key = f"{self.source};{said};{self.gpc:d}"


def categories_of(settings: ConsentSettings) -> frozenset[str]:
    """The categories that a request's signals may speak of; an event itself may state others."""
    lists = [*settings.onetrust_groups.values(), *(settings.cookie.values.values() if settings.cookie else ())]
    return _CHOICES.union({"necessary"}, *lists)


def merge(into: dict[str, bool], more: Mapping[str, bool]) -> None:
    """Add signals; a denial stays, whoever said it."""
    for category, granted in more.items():
        into[category] = granted and into.get(category, True)


def wellformed(categories: Mapping[str, bool]) -> dict[str, bool]:
    """Without what can be no category's name: names are stored with the event and shown."""
    return {name: granted for name, granted in list(categories.items())[:_MAX_CATEGORIES] if _CATEGORY.fullmatch(name)}


def onetrust(value: str, groups: Mapping[str, list[str]]) -> dict[str, bool]:
    """``OptanonConsent``: a query string with ``groups=C0001:1,C0004:0``, its fields URL-encoded or the whole of it once more.

    Fields are told apart before they are decoded: ``landingPath`` holds an address that whoever made the link chose.
    """
    if "&" not in value and "%" in value:
        value = unquote(value)
    result: dict[str, bool] = {}
    for part in value.split("&"):
        name, _, raw = part.partition("=")
        if name.strip() != "groups":
            continue
        for entry in unquote_plus(raw).split(","):
            group, _, state = entry.strip().partition(":")
            if state in {"0", "1"}:
                for category in groups.get(group, ()):
                    # Two groups may stand for one category: both must be granted.
                    merge(result, {category: state == "1"})
    return result


def cookiebot(value: str) -> dict[str, bool]:
    """``CookieConsent``: the text of a JavaScript object (not JSON), sometimes URL-encoded; or ``-1`` or ``0``."""
    text = unquote(value).strip().strip("'\"")
    result: dict[str, bool] = {}
    whole = _COOKIEBOT_WHOLE.get(text)
    if whole is not None:
        for flag, categories in _COOKIEBOT_CATEGORIES.items():
            merge(result, dict.fromkeys(categories, whole or flag == "necessary"))
        return result
    for flag, state in _COOKIEBOT_FLAG.findall(text):
        merge(result, dict.fromkeys(_COOKIEBOT_CATEGORIES[flag.lower()], state.lower() == "true"))
    return result


def tcf_cookie(value: str) -> dict[str, bool]:
    """``euconsent-v2``: marketing is granted with purposes 1, 3 and 4."""
    granted = tcf.marketing(value)
    return {} if granted is None else {"marketing": granted, "advertising": granted}


def custom(value: str, cookie: CustomCookie) -> dict[str, bool]:
    """A site's own cookie, by its table of values, as a JSON object or as a list of granted categories."""
    text = unquote(value).strip()
    if cookie.values:
        granted = cookie.values.get(text)
        if granted is None:
            return {}
        return {category: category in granted for categories in cookie.values.values() for category in categories}
    if text.startswith("{"):
        try:
            document: Any = orjson.loads(text)
        except orjson.JSONDecodeError:
            return {}
        return wellformed(fields.consent(document) or {})
    listed = {name for part in text.split(",")[:_MAX_CATEGORIES] if _CATEGORY.fullmatch(name := part.strip().lower())}
    if not listed & (_CHOICES | {"necessary"}):
        return {}
    # A list of what is granted says of the rest that it is not; marketing and advertising may be two words for one thing.
    absent = _CHOICES - listed - ({"marketing", "advertising"} if listed & {"marketing", "advertising"} else set())
    return dict.fromkeys(listed, True) | dict.fromkeys(absent, False)


def consent_mode(value: str) -> dict[str, bool]:
    """Google consent mode's ``G1<ad><analytics>``, e.g. ``G110``; ``-`` = not said."""
    match = _CONSENT_MODE.match(value)
    if match is None:
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
        known: dict[str, tuple[str, Reader]] = {
            "onetrust": ("OptanonConsent", partial(onetrust, groups=settings.onetrust_groups)),
            "cookiebot": ("CookieConsent", cookiebot),
            "tcf": ("euconsent-v2", tcf_cookie),
        }
        readers: list[tuple[str, str, Reader]] = [
            (known[kind][0], kind, known[kind][1]) for kind in dict.fromkeys(settings.cookies)
        ]
        if cookie := settings.cookie:
            readers.append((cookie.name, "cookie", partial(custom, cookie=cookie)))
        if settings.consent_mode_cookie:
            readers.append((settings.consent_mode_cookie, "consent_mode", consent_mode))
        self._readers = tuple(readers)
        self._names = tuple(name for name, _, _ in readers)
        self.cookie_names = frozenset(self._names)
        self._silent = {gpc: RequestSignals({}, "", gpc) for gpc in (False, True)}
        # Emptied when full: a lookup is on every request's way, and an LRU cache's costs more than reading most cookies.
        self._memo: dict[int, RequestSignals] = {}

    def read(self, cookies: dict[str, str], sec_gpc: str | None) -> RequestSignals:
        """Signals of the cookies named in :attr:`cookie_names` and of the ``Sec-GPC`` header."""
        gpc = sec_gpc is not None and sec_gpc.strip() == "1"
        values, spoke = ["gpc" if gpc else ""], False
        for name in self._names:
            value = cookies.get(name, "")
            values.append(value)
            spoke = spoke or value != ""
        if not spoke:
            return self._silent[gpc]
        # Salted by this process: nobody outside can make two visitors' cookies collide.
        key = hash(tuple(values))
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            found = self._memo[key] = self._read(values[1:], gpc)
        return found

    def _read(self, values: list[str], gpc: bool) -> RequestSignals:
        merged: dict[str, bool] = {}
        spoke = []
        for value, (_, kind, read) in zip(values, self._readers, strict=True):
            if value and len(value) <= _MAX_COOKIE and (categories := read(value)):
                merge(merged, categories)
                spoke.append(kind)
        return RequestSignals(merged, "+".join(spoke), gpc)
