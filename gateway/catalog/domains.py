"""The hosts of a pipeline, and the cookie domain of each (io: the public suffix list is read from its package, once, when the first host is compiled).

Law: a cookie's domain comes from what the configuration names and never from a request; an address, a public suffix or a bare name gives none, and the cookie is
host-only. An exact entry beats a wildcard, a longer wildcard a shorter one.
"""

from collections.abc import Iterable
from functools import lru_cache

from publicsuffixlist import PublicSuffixList


class Domains:
    """A pipeline's ``domains``, compiled."""

    __slots__ = ("_exact", "_wild", "any_host")

    def __init__(self, entries: Iterable[str]) -> None:
        """``entries`` are lower-case host names, or ``*.`` and a host name for all below it."""
        listed = list(entries)
        self.any_host = not listed
        """No entry: every host belongs to the pipeline."""
        self._exact = {entry: registrable(entry) for entry in listed if not entry.startswith("*.")}
        below = sorted((entry[1:] for entry in listed if entry.startswith("*.")), key=len, reverse=True)
        self._wild = tuple((suffix, registrable(suffix[1:])) for suffix in below)

    def rank(self, host: str) -> int:
        """How closely ``host`` (lower case, without port) is named: 0 = not at all, exact above any wildcard, longer wildcards above shorter."""
        if host in self._exact:
            return 1000
        return next((len(suffix) for suffix, _ in self._wild if _is_below(host, suffix)), 0)

    def cookie_domain(self, host: str) -> str:
        """Registrable domain of the entry that names ``host``, ``''`` for a host-only cookie."""
        found = self._exact.get(host)
        if found is not None:
            return found
        return next((domain for suffix, domain in self._wild if _is_below(host, suffix)), "")


def _is_below(host: str, suffix: str) -> bool:
    return len(host) > len(suffix) and host.endswith(suffix)


def registrable(host: str) -> str:
    """The domain somebody can register: ``example.co.uk`` of ``shop.example.co.uk``; ``''`` for addresses, public suffixes and bare names."""
    if "." not in host or host.rpartition(".")[2].isdigit():
        return ""
    return _suffixes().privatesuffix(host) or ""


@lru_cache(1)
def _suffixes() -> PublicSuffixList:
    return PublicSuffixList()
