"""A plain request to our own endpoints, read in one go (pure).

Law: what is read here, aiohttp's parser reads to the same request, at nearly twice the cost; what is not plain is None and the parser's to judge, so that nothing is
refused here. Plain is a POST in HTTP/1.1 to a path of ordinary characters, all of it there and nothing behind it: visible ASCII, each field once and with a value, none
that frames the message but one Content-Length. Of fields that nobody here looks at the head keeps none. Change together with ``protocol.py``; a test holds both readers
against each other.
"""

import re
from typing import Final

import orjson

from gateway.edge.head import Head

_LINE: Final = re.compile(r"POST ((?:/[A-Za-z0-9_.~-]+)+/?) HTTP/1\.1")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_CR: Final = 13
_LF: Final = 10
_SPACE: Final = 32
_FRAMING: Final = frozenset({"expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"})
UNREAD: Final = frozenset({
    "accept", "accept-encoding", "accept-language", "cache-control", "dnt", "pragma", "priority", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
    "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-user",
})  # fmt: skip
"""Half of what a browser sends. A field that a POST to an endpoint of ours may be asked for, or that must not come twice (as Content-Type), is none of these."""
_OLD_WEBSOCKET: Final = "sec-websocket-"
_CONNECTION: Final = "connection"
_HOST: Final = "host"
_LENGTH: Final = "content-length"
_LENGTH_DIGITS: Final = 7
_VERSION: Final = (1, 1)
_MEMO: Final = 512
_MAX_LINE: Final = 128
_dumps: Final = orjson.dumps


class PlainReader:
    """Reads what is plain for one listener. What it remembers is bounded, and no more than paths of ours and names of fields."""

    def __init__(self, prefix: str, most_bytes: int, most_fields: int) -> None:
        """``prefix`` of our endpoints, with its last slash; a head has at most so many bytes and fields."""
        self._start = f"POST {prefix}".encode()
        self._most_bytes = most_bytes
        self._most_fields = most_fields
        self._paths: dict[str, str] = {}
        self._names: dict[str, str] = {}

    def read(self, data: bytes) -> tuple[Head, bytes] | None:
        """Head and body of the request that ``data`` is, if it is plain. The head's ``raw_headers`` stay empty: they are for the app."""
        if not data.startswith(self._start):
            return None
        # Latin-1 makes one character of each byte: places are the same in both, and a character is found in a text at the least cost.
        text = data.decode("latin-1")
        last = min(len(data), self._most_bytes) - 2
        end = text.find("\r")
        if not 0 < end <= last or data[end + 1] != _LF:
            return None
        line = text[:end]
        path = self._paths.get(line) or self._path(line)
        names = self._names
        fields: dict[str, str] = {}
        lines, kept = 1, 0
        begin = end + 2
        while begin < last and data[begin] != _CR:
            colon = text.find(":", begin)
            end = text.find("\r", colon)
            if colon < 0 or not colon + 2 < end <= last or data[colon + 1] != _SPACE or data[end + 1] != _LF:
                return None
            written = text[begin:colon]
            name = names.get(written)
            if name is None:
                name = self._name(written)
                if name is None:
                    return None
            if name:
                value = text[colon + 2 : end].strip()
                if not value:
                    return None
                fields[name] = value
                kept += 1
            lines += 1
            begin = end + 2
        length = fields.get(_LENGTH, "")
        body = begin + 2
        if (
            not path
            or begin > last
            or data[begin] != _CR
            or data[begin + 1] != _LF
            or not _visible(text[:begin], lines)
            or len(fields) != kept
            or lines - 1 > self._most_fields
            or _HOST not in fields
            or not length.isdigit()
            or len(length) > _LENGTH_DIGITS
            or int(length) != len(data) - body
            or fields.get(_CONNECTION, "keep-alive") != "keep-alive"
        ):
            return None
        return Head("POST", path.encode("ascii"), path, "", fields, (), _VERSION), data[body:]

    def _path(self, line: str) -> str:
        """The path of a plain request line, else empty."""
        match = _LINE.fullmatch(line)
        if match is None or len(line) > _MAX_LINE:
            return ""
        if len(self._paths) >= _MEMO:
            self._paths.clear()
        path = self._paths[line] = match[1]
        return path

    def _name(self, name: str) -> str | None:
        """By what a field is looked up, '' if it is not; None if it is not plain."""
        lower = name.lower()
        if not _NAME.fullmatch(name) or lower in _FRAMING or lower.startswith(_OLD_WEBSOCKET):
            return None
        if len(self._names) >= _MEMO:
            self._names.clear()
        found = self._names[name] = "" if lower in UNREAD else lower
        return found


def _visible(head: str, ends: int) -> bool:
    """Whether ``head`` is visible ASCII and spaces but for so many ends of lines."""
    # orjson looks for what it must escape many characters at a time: each makes its text longer, and an end of a line by two. So does what is not ASCII.
    longer = len(_dumps(head)) - len(head) - 2
    if longer > 2 * ends:
        longer -= head.count('"') + head.count("\\")
    return longer == 2 * ends and "\x7f" not in head
