"""A plain request to our own endpoints, read in one go (pure).

Law: what is read here, aiohttp's parser reads to the same request, at several times the cost; what is not plain is None and the parser's to judge, so that nothing is
refused here. Plain is a POST in HTTP/1.1 to a path of ordinary characters, all of it there and nothing behind it: visible ASCII, each field once and with a value, none
that frames the message but one Content-Length. Of fields that nobody here looks at the head keeps none. Change together with ``protocol.py``; a test holds both readers
against each other.

Heads are much alike: what stands between the values that differ from request to request is the same for all visitors with one kind of browser, so it is read once, and
from then on recognised as a whole, at the cost of one comparison. Nothing else is remembered, and no value that says anything about a visitor is part of it.
"""

import re
from typing import Final

import orjson

from gateway.edge.head import Head

_LINE: Final = re.compile(r"POST ((?:/[A-Za-z0-9_.~-]+)+/?) HTTP/1\.1")
_NAME: Final = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,63}")
_FRAMING: Final = frozenset({"expect", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade"})
UNREAD: Final = frozenset({
    "accept", "accept-encoding", "accept-language", "cache-control", "dnt", "pragma", "priority", "sec-ch-ua", "sec-ch-ua-mobile", "sec-ch-ua-platform",
    "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-user",
})  # fmt: skip
"""Half of what a browser sends. A field that a POST to an endpoint of ours may be asked for, or that must not come twice (as Content-Type), is none of these."""
_ALIKE: Final = frozenset({
    "accept", "accept-encoding", "cache-control", "connection", "content-type", "dnt", "host", "origin", "pragma", "priority", "sec-ch-ua-mobile",
    "sec-ch-ua-platform", "sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site", "sec-fetch-user", "sec-gpc",
})  # fmt: skip
"""Fields that have a few values for all visitors of a site, and say nothing about one of them. A personal one, as an address or a cookie, is never one of these."""
_OLD_WEBSOCKET: Final = "sec-websocket-"
_CONNECTION: Final = "connection"
_HOST: Final = "host"
_LENGTH: Final = "content-length"
_LENGTH_DIGITS: Final = 7
_VERSION: Final = (1, 1)
_MEMO: Final = 1024
"""Marks and stretches that are remembered, before all are forgotten."""
_MAX_LINE: Final = 128
_MAX_STRETCH: Final = 512
_STRETCHES: Final = 6
"""Remembered behind one mark: more would have to be compared in vain where none fits."""
_DELETE: Final = "\x7f"
_dumps: Final = orjson.dumps


class _Mark:
    """What a stretch begins behind: a request line, or the value of a field that differs from request to request."""

    __slots__ = ("alike", "name", "stretches")

    def __init__(self, name: str, alike: bool = False) -> None:
        self.name = name
        """Of a field: by what it is looked up, '' if it is not. Of a request line: the path."""
        self.alike = alike
        """The field differs so little that its line is a part of a stretch."""
        self.stretches: list[_Stretch] = []
        """Those that were seen, the more frequent ones first by and by."""

    def stretch(self, text: str, at: int) -> "_Stretch | None":
        """The one that stands at ``at``, if it was seen before."""
        stretches = self.stretches
        for place in range(len(stretches)):
            stretch = stretches[place]
            if text[at : at + stretch.size] == stretch.text:
                if place:
                    stretches[place - 1], stretches[place] = stretch, stretches[place - 1]
                return stretch
        return None


class _Stretch:
    """Lines that are alike, with the end of the line before them, up to where the next value that differs begins, or to the head's end."""

    __slots__ = ("before", "count", "names", "size", "text", "values")

    def __init__(self, text: str, count: int, names: list[str], values: list[str], before: _Mark | None) -> None:
        self.text = text
        self.size = len(text)
        self.count = count
        """Of the fields that begin in it."""
        self.names = names
        self.values = values
        """Of those that are whole in it and looked up."""
        self.before = before
        """Whose value follows; None at the head's end."""


class PlainReader:
    """Reads what is plain for one listener. What it remembers is bounded."""

    def __init__(self, prefix: str, most_bytes: int, most_fields: int) -> None:
        """``prefix`` of our endpoints, with its last slash; a head has at most so many bytes and fields."""
        self._start = f"POST {prefix}".encode()
        self._most_bytes = most_bytes
        self._most_fields = most_fields
        self._requests: dict[str, _Mark] = {}
        self._fields: dict[str, _Mark] = {}
        self._remembered = 0

    def read(self, data: bytes) -> tuple[Head, bytes] | None:
        """Head and body of the request that ``data`` is, if it is plain. The head's ``raw_headers`` stay empty: they are for the app."""
        if not data.startswith(self._start):
            return None
        # Latin-1 makes one character of each byte: places are the same in both, and a character is found in a text at the least cost.
        text = data.decode("latin-1")
        end = text.find("\r")
        if end < 0:
            return None
        line = text[:end]
        mark = self._requests.get(line) or self._request(line)
        if mark is None:
            return None
        path = mark.name
        fields: dict[str, str] = {}
        differing: list[str] = []
        count = kept = 0
        while True:
            stretch = mark.stretch(text, end) or self._read_on(mark, text, end)
            if stretch is None:
                return None
            names, values = stretch.names, stretch.values
            for place in range(len(names)):
                fields[names[place]] = values[place]
            kept += len(names)
            count += stretch.count
            begin = end + stretch.size
            before = stretch.before
            if before is None:
                break
            mark = before
            end = text.find("\r", begin)
            if end <= begin:
                return None
            value = text[begin:end]
            if mark.name:
                differing.append(value)
                value = value.strip()
                if not value:
                    return None
                fields[mark.name] = value
                kept += 1
            else:
                differing.append(value.replace('"', "'"))  # a browser's brands stand in quotes, which would be escaped below
        length = fields.get(_LENGTH, "")
        if (
            begin > self._most_bytes
            or count > self._most_fields
            or not _visible(differing)
            or _DELETE in text
            or len(fields) != kept
            or _HOST not in fields
            or not length.isdigit()
            or len(length) > _LENGTH_DIGITS
            or int(length) != len(data) - begin
            or fields.get(_CONNECTION, "keep-alive") != "keep-alive"
        ):
            return None
        return Head("POST", path.encode("ascii"), path, "", fields, (), _VERSION), data[begin:]

    def _read_on(self, mark: _Mark, text: str, at: int) -> _Stretch | None:
        """The stretch at ``at``, behind ``mark``; None if it is not plain."""
        names: list[str] = []
        values: list[str] = []
        alike: list[str] = []
        count, end = 0, at
        before: _Mark | None = None
        while before is None:
            begin = end + 2
            if text[end:begin] != "\r\n":
                return None
            if text[begin : begin + 2] == "\r\n":
                begin += 2
                break
            colon = text.find(":", begin)
            if colon < 0 or text[colon + 1 : colon + 2] != " ":
                return None
            written = text[begin:colon]
            field = self._fields.get(written) or self._field(written)
            if field is None:
                return None
            count += 1
            begin = colon + 2
            if not field.alike:
                before = field
                break
            end = text.find("\r", begin)
            if end <= begin:
                return None
            value = text[begin:end]
            alike.append(value)
            if field.name:
                value = value.strip()
                if not value:
                    return None
                names.append(field.name)
                values.append(value)
        if not _visible(alike):
            return None
        stretch = _Stretch(text[at:begin], count, names, values, before)
        if stretch.size <= _MAX_STRETCH:
            self._make_room()
            if len(mark.stretches) >= _STRETCHES:
                mark.stretches.pop()
            mark.stretches.append(stretch)
        return stretch

    def _request(self, line: str) -> _Mark | None:
        """The mark of a request line, None if that is not plain."""
        match = _LINE.fullmatch(line)
        if match is None or len(line) > _MAX_LINE:
            return None
        self._make_room()
        mark = self._requests[line] = _Mark(match[1])
        return mark

    def _field(self, name: str) -> _Mark | None:
        """The mark of a field by its name as written, None if that is not plain."""
        lower = name.lower()
        if not _NAME.fullmatch(name) or lower in _FRAMING or lower.startswith(_OLD_WEBSOCKET):
            return None
        self._make_room()
        mark = self._fields[name] = _Mark("" if lower in UNREAD else lower, lower in _ALIKE)
        return mark

    def _make_room(self) -> None:
        """One more is about to be remembered."""
        self._remembered += 1
        if self._remembered <= _MEMO:
            return
        self._remembered = 1
        for mark in (*self._requests.values(), *self._fields.values()):
            mark.stretches.clear()  # marks and stretches hold each other
        self._requests.clear()
        self._fields.clear()


def _visible(values: list[str]) -> bool:
    """Whether all of them are visible ASCII and spaces (but for the one that deletes)."""
    # orjson looks for what it must escape many characters at a time: each makes its text longer. So does what is not ASCII.
    longer = len(_dumps(values)) - 3 * len(values) - 1
    for value in values:
        longer -= len(value)
    if longer <= 0 or not values:
        return True
    text = "".join(values)
    return longer == text.count('"') + text.count("\\")
