"""What a request says before its body (pure).

Law: values are as they came over the wire. ``target`` and ``raw_headers`` are the very bytes; ``path`` and ``query`` are the
undecoded text of the target, split at the first ``?``. Not frozen: one is made per request on the hot path.
"""

from multidict import CIMultiDict, CIMultiDictProxy

Fields = dict[str, str] | CIMultiDict[str] | CIMultiDictProxy[str]
"""Header fields by name. A dictionary holds each once, by its name in lower case: a tenth of a multidict's work."""


class Head:
    """Request line and header fields. Bytes of these beyond UTF-8 appear as surrogates."""

    __slots__ = ("headers", "method", "path", "query", "raw_headers", "target", "version")

    def __init__(
        self,
        method: str,
        target: bytes,
        path: str,
        query: str,
        headers: Fields,
        raw_headers: tuple[tuple[bytes, bytes], ...],
        version: tuple[int, int],
    ) -> None:
        self.method = method
        self.target = target
        """The request target's very bytes (ASCII; others are refused before)."""
        self.path = path
        """Undecoded, from the first ``/`` up to the ``?``; without scheme and authority also for absolute-form targets."""
        self.query = query
        """Undecoded, without the ``?``; '' if there is none."""
        self.headers = headers
        self.raw_headers = raw_headers
        """For the app: empty if a request that is not for it was read without aiohttp's parser."""
        self.version = version

    def field(self, name: str) -> str:
        """The first value of the field whose name in lower case is ``name``; '' if there is none."""
        fields = self.headers
        if isinstance(fields, dict):
            return fields.get(name, "")
        return fields.get(name, "")

    def __repr__(self) -> str:
        return f"<Head {self.method} {self.path}>"
