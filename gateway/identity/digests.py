"""What identity values came to, remembered for a while (pure).

Law: two tables take turns. The young one is entered until it is full; then it becomes the old one, the old one is forgotten and an empty one begins, so that memory is bounded and
what is asked for again stays. Keys are 62 bits of a hash keyed by this process: from what is kept here nobody gets back to a value, and that one is taken for
another has a chance of one in a quadrillion.
"""

from typing import Final

_KEY: Final = (1 << 62) - 1  # what the compiled build computes with without an object for each number


class Digests:
    """A bounded memory of digests; an empty one stands for a value that gives none."""

    def __init__(self, secret: bytes, most: int) -> None:
        """``secret`` keys the hashes; at most so many digests are kept."""
        self._secret = secret.decode("latin-1")
        self._most = most // 2
        self._young: dict[int, str] = {}
        self._old: dict[int, str] = {}

    def __len__(self) -> int:
        return len(self._young) + len(self._old)

    def key(self, field: str, text: str) -> int:
        """Under what the digest of ``text`` as ``field`` is kept."""
        return hash(f"{self._secret}{field} {text}") & _KEY

    def get(self, key: int) -> str | None:
        """The digest, None if it is not known (any more)."""
        known = self._young.get(key)
        if known is None:
            known = self._old.get(key)
            if known is not None:
                self.keep(key, known)
        return known

    def keep(self, key: int, digest: str) -> None:
        """Remember ``digest``."""
        if len(self._young) >= self._most:
            self._old, self._young = self._young, {}
        self._young[key] = digest
