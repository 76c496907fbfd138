"""The ``consent`` section (pure)."""

from typing import Literal

from gateway.settings import Field, Settings

DEFAULT_ONETRUST_GROUPS: dict[str, list[str]] = {
    "C0001": ["necessary"],
    "C0002": ["analytics"],
    "C0003": ["functional"],
    "C0004": ["marketing", "advertising"],
}


class CustomCookie(Settings):
    """A consent cookie of the site's own."""

    name: str = Field(min_length=1, max_length=128)
    """The cookie's name."""
    values: dict[str, list[str]] = Field(default_factory=dict)
    """Cookie value → granted categories, e.g. ``{all: [marketing, analytics], none: []}``; categories that only other values grant count as denied. Empty: the
    value itself is read, either a comma-separated list of granted categories (those of marketing, advertising, analytics and functional that are not on
    it count as denied) or a JSON object of category → true/false."""


class ConsentSettings(Settings):
    """Which consent signals are read and what holds without one."""

    default: Literal["deny", "grant"] = "deny"
    """What holds when no signal says anything. ``grant`` is for sites that need no consent; an explicit denial still wins."""
    honour_gpc: bool = True
    """Treat ``Sec-GPC: 1`` (Global Privacy Control) as a denial of marketing and advertising. Off: it is only recorded, and an integration with
    ``limited_data_use: gpc`` still marks such events."""
    cookies: list[Literal["onetrust", "cookiebot", "tcf"]] = ["onetrust", "cookiebot"]
    """CMP cookies to read: ``onetrust`` (OptanonConsent), ``cookiebot`` (CookieConsent), ``tcf`` (euconsent-v2: purposes 1, 3 and 4 together grant
    marketing)."""
    onetrust_groups: dict[str, list[str]] = Field(default_factory=lambda: dict(DEFAULT_ONETRUST_GROUPS))
    """OneTrust group id → categories. Change it where the site renamed its groups; groups that are not listed say nothing."""
    cookie: CustomCookie | None = None
    """A cookie of your own banner, read besides the CMPs'."""
    consent_mode_cookie: str = Field("", max_length=128)
    """Name of a cookie that holds Google's consent mode as ``G1<ad><analytics>``, e.g. ``G110``. Empty: only the events' own consent mode is read."""
