"""The gate: signals in, decision out (pure).

Law: any explicit denial beats any grant; GPC denies marketing and advertising; no signal means the default; all categories of an integration must
be granted; ``marketing`` falls back to ``advertising`` only where nothing was said about marketing itself.
"""

from collections.abc import Iterable, Mapping

from gateway.consent.settings import ConsentSettings
from gateway.consent.signals import RequestSignals, consent_mode, merge
from gateway.outcome import Reason

_GPC_DENIES = {"marketing": False, "advertising": False}
_MEMO = 256
"""Combinations of an event's own signals remembered per request signals."""
_FALLBACK = {"marketing": "advertising"}


class Decision:
    """What one event may be used for. Shared between events with the same signals: treat as frozen."""

    __slots__ = ("_by_required", "_categories", "_default", "gpc", "granted", "source")

    def __init__(self, categories: Mapping[str, bool], source: str, *, gpc: bool, default: bool) -> None:
        self._categories = categories
        self._default = default
        self._by_required: dict[tuple[str, ...], Reason] = {}
        self.gpc = gpc
        self.source = source
        """Who spoke: ``event``, ``onetrust``, ``cookiebot``, ``tcf``, ``cookie``, ``consent_mode``, ``gpc``, joined by ``+``, or ``default``."""
        self.granted = sorted(category for category, granted in categories.items() if granted)

    def explicitly_denied(self, category: str) -> bool:
        """Somebody said no (as opposed to nobody saying anything)."""
        said = self._said(category)
        return said is False

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
        missing = False
        for category in required:
            said = self._said(category)
            if said is False:
                return Reason.GPC if self.gpc and category in _GPC_DENIES else Reason.CONSENT_DENIED
            if said is None and not self._default:
                missing = True
        return Reason.CONSENT_MISSING if missing else Reason.NONE


class Gate:
    """Decides for one configuration; equal signals share one decision."""

    def __init__(self, settings: ConsentSettings) -> None:
        self._default = settings.default == "grant"
        self._none = RequestSignals({}, "", False)

    def decide(self, event_consent: dict[str, bool] | None, mode: str, request: RequestSignals | None) -> Decision:
        """The decision for an event with these signals; ``request`` is None for server-side senders."""
        if request is None:
            request = self._none
        key = (*event_consent.items(), mode) if event_consent else mode
        memo = request.decisions
        found: Decision | None = memo.get(key)
        if found is None:
            if len(memo) >= _MEMO:
                memo.clear()
            found = memo[key] = self._decide(event_consent, mode, request)
        return found

    def _decide(self, event_consent: dict[str, bool] | None, mode: str, request: RequestSignals) -> Decision:
        merged: dict[str, bool] = {}
        sources = []
        for source, categories in (
            ("event", event_consent or {}),
            (request.source, request.categories),
            ("consent_mode", consent_mode(mode) if mode else {}),
            ("gpc", _GPC_DENIES if request.gpc else {}),
        ):
            if categories:
                merge(merged, categories)
                sources.append(source)
        return Decision(merged, "+".join(sources) or "default", gpc=request.gpc, default=self._default)
