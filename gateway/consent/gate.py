"""The gate: signals in, decision out (pure).

Law: any explicit denial beats any grant; GPC denies marketing and advertising where it is honoured; no signal means the default; all categories of an
integration must be granted; ``marketing`` falls back to ``advertising`` only where nothing was said about marketing itself.
"""

from collections.abc import Iterable
from typing import Final

from gateway.consent.settings import ConsentSettings
from gateway.consent.signals import RequestSignals, consent_mode, merge, wellformed
from gateway.outcome import Reason

_GPC_DENIES: Final = {"marketing": False, "advertising": False}
_FALLBACK: Final = {"marketing": "advertising"}
_MEMO: Final = 4096
_MAX_REMEMBERED: Final = 256
"""Characters of an event's own category names up to which its decision is remembered."""
_MAX_MODE: Final = 16
"""The same for the consent mode that it states."""


class Decision:
    """What one event may be used for. Shared between events with the same signals: treat as frozen."""

    __slots__ = (
        "_by_gpc", "_by_required", "_categories", "_default", "allows_marketing", "denied", "denies_marketing", "gpc", "granted", "source",
    )  # fmt: skip

    def __init__(
        self, categories: dict[str, bool], source: str, *, gpc: bool, default: bool, by_gpc: frozenset[str] = frozenset()
    ) -> None:
        """``by_gpc`` are the categories that nothing but GPC denies."""
        self._categories = categories
        self._default = default
        self._by_gpc = by_gpc
        self._by_required: dict[tuple[str, ...], Reason] = {}
        self.gpc = gpc
        """``Sec-GPC: 1`` was sent, honoured or not."""
        self.source = source
        """Who spoke: ``event``, ``onetrust``, ``cookiebot``, ``tcf``, ``cookie``, ``consent_mode``, ``gpc``, joined by ``+``, or ``default``."""
        self.granted = sorted(category for category, granted in categories.items() if granted)
        """Categories that a signal grants and none denies."""
        self.denied = sorted(category for category, granted in categories.items() if not granted)
        """Categories that a signal denies."""
        self.allows_marketing = self.allows("marketing")
        self.denies_marketing = self.explicitly_denied("marketing")
        """Asked for the cookies of every request."""

    def explicitly_denied(self, category: str) -> bool:
        """Somebody said no (as opposed to nobody saying anything)."""
        return self._said(category) is False

    def allows(self, *categories: str) -> bool:
        """All of them are granted."""
        return not self.refusal(categories)

    def refusal(self, required: tuple[str, ...]) -> Reason:
        """Why an integration that needs ``required`` must not get the event; Reason.NONE = it may."""
        reason = self._by_required.get(required)
        if reason is None:
            reason = self._by_required[required] = self._refusal(required)
        return reason

    def _said(self, category: str) -> bool | None:
        said = self._categories.get(category)
        if said is None and (fallback := _FALLBACK.get(category)):
            return self._categories.get(fallback)
        return said

    def _refusal(self, required: Iterable[str]) -> Reason:
        missing = by_gpc = False
        for category in required:
            said = self._said(category)
            if said is False:
                if category not in self._by_gpc:
                    return Reason.CONSENT_DENIED
                by_gpc = True
            elif said is None and not self._default:
                missing = True
        return Reason.GPC if by_gpc else Reason.CONSENT_MISSING if missing else Reason.NONE


class _Latest:
    """The latest event with the same signals of its request."""

    __slots__ = ("consent", "decision", "mode")

    def __init__(self, consent: dict[str, bool] | None, mode: str, decision: Decision) -> None:
        self.consent = consent
        self.mode = mode
        self.decision = decision


class Gate:
    """Decides for one configuration; equal signals share one decision."""

    def __init__(self, settings: ConsentSettings) -> None:
        self._default = settings.default == "grant"
        self._honour_gpc = settings.honour_gpc
        self._none = RequestSignals({}, "", False)
        self._memo: dict[tuple[object, ...], Decision] = {}
        self._latest: dict[str, _Latest] = {}
        """By what the request says: a site's events mostly say the same, and comparing is cheaper than making a key of it."""

    def decide(self, event_consent: dict[str, bool] | None, mode: str, request: RequestSignals | None) -> Decision:
        """The decision for an event with these signals; ``request`` is None for server-side senders."""
        if request is None:
            request = self._none
        latest = self._latest.get(request.key)
        if latest is not None and latest.consent == event_consent and latest.mode == mode:
            return latest.decision
        if len(mode) > _MAX_MODE:
            return self._decide(event_consent, mode, request)
        key: tuple[object, ...]
        if event_consent:
            # Lists first: the compiled build makes them, and tuples of them, without asking an iterator.
            categories, granted = list(event_consent.keys()), list(event_consent.values())
            length = len(categories)
            for category in categories:
                length += len(category)
            if length > _MAX_REMEMBERED:
                return self._decide(event_consent, mode, request)
            key = (request.key, mode, tuple(categories), tuple(granted))
        else:
            key = (request.key, mode)
        found = self._memo.get(key)
        if found is None:
            if len(self._memo) >= _MEMO:
                self._memo.clear()
            found = self._memo[key] = self._decide(event_consent, mode, request)
        if latest is None and len(self._latest) >= _MEMO:
            self._latest.clear()
        self._latest[request.key] = _Latest(event_consent, mode, found)
        return found

    def _decide(self, event_consent: dict[str, bool] | None, mode: str, request: RequestSignals) -> Decision:
        merged: dict[str, bool] = {}
        sources = []
        for source, categories in (
            ("event", wellformed(event_consent) if event_consent else {}),
            (request.source, request.categories),
            ("consent_mode", consent_mode(mode) if mode else {}),
        ):
            if categories:
                merge(merged, categories)
                sources.append(source)
        by_gpc: frozenset[str] = frozenset()
        if request.gpc and self._honour_gpc:
            by_gpc = frozenset(category for category in _GPC_DENIES if merged.get(category) is not False)
            merge(merged, _GPC_DENIES)
            sources.append("gpc")
        return Decision(merged, "+".join(sources) or "default", gpc=request.gpc, default=self._default, by_gpc=by_gpc)
