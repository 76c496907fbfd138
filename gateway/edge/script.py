"""The client script on the wire: ``{prefix}/s.js`` and ``{prefix}/s.<hash>.js`` (pure but for the built files).

Law: every answer is made before the first request; a request only picks one. The address with the content's hash may be kept for ever; the short one, and the hash
of another version – asked for while a new version is being rolled out – are asked for again within minutes. Each encoding has an ETag of its own.
"""

import re

from gateway import snippet
from gateway.edge.answer import Answer
from gateway.edge.head import Head
from gateway.edge.settings import ScriptSettings

_SCRIPT = snippet.load()
"""Read when this is imported: a collector may be made while the loop runs."""
_IMMUTABLE = "public, max-age=31536000, immutable"
_SHORT_LIVED = "public, max-age=300"
_HASH = re.compile(r"[0-9a-f]{12}")
_REFUSED = re.compile(r"0(\.0{0,3})?")
_MAX_HEADER = 1024


class ClientScript:
    """Answers GET and HEAD below one prefix."""

    def __init__(self, prefix: str, settings: ScriptSettings) -> None:
        script = _SCRIPT
        self._stem = f"{prefix}/{settings.name}"
        self.path = f"{self._stem}.js"
        self.pinned_path = f"{self._stem}.{script.hash}.js"
        self._pinned = {encoding: _answers(script, encoding, _IMMUTABLE) for encoding in script.encodings}
        self._short = {encoding: _answers(script, encoding, _SHORT_LIVED) for encoding in script.encodings}

    def serves(self, path: str) -> bool:
        """Whether ``path`` is the script's, in this version or in another."""
        if path == self.path:
            return True
        stem = len(self._stem)
        return (
            path.startswith(self._stem)
            and path[stem : stem + 1] == "."
            and path.endswith(".js")
            and bool(_HASH.fullmatch(path[stem + 1 : -3]))
        )

    def answer(self, head: Head) -> Answer:
        """The script, or 304 where the browser has it already."""
        answers = self._pinned if head.path == self.pinned_path else self._short
        full, unchanged, tag = answers[_encoding(head.field("accept-encoding"))]
        known = head.field("if-none-match")
        return unchanged if known and _matches(known, tag) else full


def _answers(script: snippet.Script, encoding: str, cache: str) -> tuple[Answer, Answer, str]:
    tag = f'"{script.hash}-{encoding}"'
    shared = f"Cache-Control: {cache}\r\nETag: {tag}\r\nVary: Accept-Encoding\r\n"
    # Public and the same for everybody: pages of any origin may load it, also with an integrity digest or under COEP.
    full = f"{shared}Content-Type: text/javascript; charset=utf-8\r\nX-Content-Type-Options: nosniff\r\nAccess-Control-Allow-Origin: *\r\nCross-Origin-Resource-Policy: cross-origin\r\n"
    if encoding != "identity":
        full += f"Content-Encoding: {encoding}\r\n"
    return Answer(200, full.encode(), script.encodings[encoding]), Answer(304, shared.encode()), tag


def _encoding(accepted: str) -> str:
    """The best encoding that an Accept-Encoding names and does not refuse; only what is named, for ``*`` comes from no browser."""
    if not accepted or len(accepted) > _MAX_HEADER:
        return "identity"
    named = {}
    for part in accepted.lower().split(","):
        coding, _, parameters = part.partition(";")
        quality = parameters.strip().removeprefix("q=").strip()
        named[coding.strip()] = not _REFUSED.fullmatch(quality)
    return "br" if named.get("br") else "gzip" if named.get("gzip") else "identity"


def _matches(known: str, tag: str) -> bool:
    """Whether an If-None-Match names ``tag`` (compared weakly, as RFC 9110 wants it for GET)."""
    if len(known) > _MAX_HEADER:
        return False
    return known.strip() == "*" or tag in {each.strip().removeprefix("W/") for each in known.split(",")}
