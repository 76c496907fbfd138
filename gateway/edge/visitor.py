"""What a browser's request says about its visitor, and the cookies it gets back (pure).

Law: cookies are set only with marketing consent and expired only on an explicit denial; "unknown" touches nothing. The Host header never becomes a cookie's
domain. A value is written back only if its shape was checked.
"""

from collections.abc import Callable, Collection
from typing import Final

from gateway.catalog.runtime import Pipeline
from gateway.consent.gate import Decision
from gateway.edge import cookies
from gateway.edge.address import Client
from gateway.edge.origin import host_only
from gateway.edge.settings import CookieSettings
from gateway.identity import browser_id, click_id
from gateway.identity.seal import Visitor
from gateway.outcome import Reason

TTP: Final = "_ttp"
DFID: Final = "_dfid"
TTCLID: Final = "ttclid"
OWN_COOKIES = frozenset({TTP, DFID, *click_id.COOKIES})
_LONGEST_ID: Final = 128
_DFID_BYTES: Final = 16
_MAX_USER_AGENT: Final = 1024
_MAX_URL: Final = 8192
Entropy = Callable[[int], bytes]
"""n → n random bytes."""
Purge = Callable[[str, Reason], None]
"""Removes an owner's records in the background."""


class VisitorCookies:
    """Makes the visitor of a request and the Set-Cookie lines of its answer."""

    def __init__(self, settings: CookieSettings, entropy: Entropy) -> None:
        self._settings = settings
        self._entropy = entropy

    def visitor(self, jar: dict[str, str], client: Client, user_agent: str, referer: str) -> Visitor:
        """What the cookies and the connection say; ids that are not usable are as good as absent."""
        ttp, anonymous = jar.get(TTP, ""), jar.get(DFID, "")
        return Visitor(
            client.public_ip,
            _clean(user_agent)[:_MAX_USER_AGENT],
            ttp if ttp and browser_id.valid(ttp) else "",
            jar,
            anonymous if anonymous and _usable(anonymous) else "",
            # Without its query rather than cut: half a click id matches nothing.
            _clean(referer if len(referer) <= _MAX_URL else referer.partition("?")[0][:_MAX_URL]),
            _clean(client.host),
            client.scheme,
        )

    def make_ids(self, visitor: Visitor, anonymous_id: str, ttp: str = "") -> None:
        """Give a consenting visitor the ids it lacks, before its event is sealed; ``anonymous_id`` and ``ttp`` are what the event says they are."""
        if not visitor.ttp:
            if ttp and browser_id.valid(ttp):
                visitor.ttp = ttp
            elif self._settings.make_ttp:
                visitor.ttp = browser_id.make(self._entropy(browser_id.ENTROPY_BYTES))
        if not visitor.anonymous_id:
            usable = anonymous_id and _usable(anonymous_id)
            visitor.anonymous_id = anonymous_id if usable else self._entropy(_DFID_BYTES).hex()

    def lines(
        self, jar: dict[str, str], visitor: Visitor, pipeline: Pipeline, decision: Decision, ttclid: str, *, refresh: bool
    ) -> bytes:
        """Set-Cookie lines of the answer. ``ttclid`` is a new click id or empty; ``refresh`` renews what is there already."""
        if decision.denies_marketing:
            return self.expired(pipeline, visitor, jar)
        if not decision.allows_marketing:
            return b""
        new_ttp = visitor.ttp and visitor.ttp != jar.get(TTP)
        new_anonymous = visitor.anonymous_id and visitor.anonymous_id != jar.get(DFID)
        new_click = ttclid and ttclid != jar.get(TTCLID)
        if not (new_ttp or new_anonymous or new_click or refresh):
            return b""
        domain = self._domain(pipeline, visitor)
        secure = visitor.scheme == "https"
        age = int(self._settings.ttp_max_age)
        lines = b""
        if visitor.ttp and (new_ttp or refresh):
            # TikTok's own pixel reads it, so it is not HttpOnly.
            lines += cookies.set_line(TTP, visitor.ttp, max_age_s=age, domain=domain, secure=secure)
        if visitor.anonymous_id and (new_anonymous or refresh):
            lines += cookies.set_line(DFID, visitor.anonymous_id, max_age_s=age, domain=domain, secure=secure, http_only=True)
        if new_click:
            lines += cookies.set_line(TTCLID, ttclid, max_age_s=int(self._settings.ttclid_max_age), domain=domain, secure=secure)
        return lines

    def expired(self, pipeline: Pipeline, visitor: Visitor, only: Collection[str] = (TTP, TTCLID, DFID)) -> bytes:
        """Lines that remove our cookies, or those of them in ``only``."""
        domain = self._domain(pipeline, visitor)
        secure = visitor.scheme == "https"
        return b"".join(cookies.expire_lines(name, domain=domain, secure=secure) for name in (TTP, TTCLID, DFID) if name in only)

    def _domain(self, pipeline: Pipeline, visitor: Visitor) -> str:
        return pipeline.cookie_domain(host_only(visitor.host)) if self._settings.domain == "auto" else ""


def _usable(anonymous_id: str) -> bool:
    # Of the characters and the least length of a browser id.
    return len(anonymous_id) <= _LONGEST_ID and browser_id.valid(anonymous_id)


def _clean(value: str) -> str:
    """Bytes that are no UTF-8 arrive as surrogates, which nothing can store: they become question marks."""
    return value if value.isascii() else value.encode("utf-8", "replace").decode()
