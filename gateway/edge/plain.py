"""A plain request to our own endpoints, read in one go (pure).

Law: what is read here, aiohttp's parser reads to the same request, at nearly twice the cost; what is not plain is None and the parser's to judge, so that nothing is
refused here. Plain is a POST in HTTP/1.1 to a path of ordinary characters, all of it there and nothing behind it: visible ASCII, each field once and with a value, none
that frames the message but one Content-Length. Change together with ``protocol.py``; a test holds both readers against each other.
"""

import re
from typing import Final

import orjson
from multidict import CIMultiDict, CIMultiDictProxy, istr

from gateway.edge.head import Head

_LINE: Final = re.compile(r"POST ((?:/[A-Za-z0-9_.~-]+)+/?) HTTP/1\.1")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_HEAD_ENDS: Final = b"\r\n\r\n"
_FRAMING: Final = frozenset({"expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"})
_OLD_WEBSOCKET: Final = "sec-websocket-"
_CONNECTION: Final = istr("connection")
_HOST: Final = istr("host")
_LENGTH: Final = istr("content-length")
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
        end = data.find(_HEAD_ENDS)
        if end < 0 or end + 4 > self._most_bytes:
            return None
        text = data[:end].decode("latin-1")
        lines = text.split("\r\n")
        path = self._paths.get(lines[0]) or self._path(lines[0])
        count = len(lines) - 1
        if not path or count > self._most_fields or not _visible(text, count):
            return None
        names = self._names
        fields: dict[str, str] = {}
        for line in lines[1:]:
            written, _, value = line.partition(": ")
            name = names.get(written) or self._name(written)
            value = value.strip()
            if not name or not value:
                return None
            fields[name] = value
        length = fields.get(_LENGTH, "")
        if (
            len(fields) != count
            or _HOST not in fields
            or not length.isdigit()
            or len(length) > _LENGTH_DIGITS
            or int(length) != len(data) - end - 4
            or fields.get(_CONNECTION, "keep-alive") != "keep-alive"
        ):
            return None
        head = Head("POST", path.encode("ascii"), path, "", CIMultiDictProxy(CIMultiDict(fields)), (), _VERSION)
        return head, data[end + 4 :]

    def _path(self, line: str) -> str:
        """The path of a plain request line, else empty."""
        match = _LINE.fullmatch(line)
        if match is None or len(line) > _MAX_LINE:
            return ""
        if len(self._paths) >= _MEMO:
            self._paths.clear()
        path = self._paths[line] = match[1]
        return path

    def _name(self, name: str) -> str:
        """By what a field is looked up; empty if it is not plain."""
        lower = name.lower()
        if not _NAME.fullmatch(name) or lower in _FRAMING or lower.startswith(_OLD_WEBSOCKET):
            return ""
        if len(self._names) >= _MEMO:
            self._names.clear()
        found = self._names[name] = istr(lower)
        return found


def _visible(head: str, ends: int) -> bool:
    """Whether ``head`` is visible ASCII and spaces but for so many ends of lines."""
    # orjson looks for what it must escape many characters at a time: each makes its text longer, and an end of a line by two. So does what is not ASCII.
    longer = len(_dumps(head)) - len(head) - 2
    if '"' in head:
        longer -= head.count('"')
    if "\\" in head:
        longer -= head.count("\\")
    return longer == 2 * ends and "\x7f" not in head
