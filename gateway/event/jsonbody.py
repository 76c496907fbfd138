"""JSON from outside (pure): decoded once, bounded in depth.

Law: orjson decodes far deeper than it encodes, so what is accepted here must be shallow enough to be written again; anything else is
:class:`BadInput`, never another exception.
"""

from typing import Any, Final

import orjson

from gateway.errors import BadInput
from gateway.outcome import Reason

MAX_DEPTH: Final = 32
_BOM: Final = b"\xef\xbb\xbf"
_loads: Final = orjson.loads
_BACKSLASH: Final = 0x5C
_DELETE: Final = 0x7F
_NO_MARKS: Final = bytes(set(range(256)) - set(b'{}[]"'))


def load(body: bytes) -> Any:
    """The decoded document. Raises BadInput ``invalid_json`` or ``too_deep``; a byte order mark is tolerated."""
    if body.startswith(_BOM):
        body = body[3:]
    try:
        document = _loads(body)
    except orjson.JSONDecodeError as error:
        if not body.strip():
            raise BadInput(
                Reason.INVALID_JSON, 'the body is empty; send one event, an array of events or {"batch": [...]}'
            ) from None
        raise BadInput(Reason.INVALID_JSON, f"not valid JSON: {error.msg} (line {error.lineno}, column {error.colno})") from None
    # Counting brackets is cheaper than walking, and nearly every body has fewer than the limit. Deleting finds them by memchr: a quarter of count()'s time.
    if (
        2 * len(body) - len(body.replace(b"{", b"")) - len(body.replace(b"[", b"")) > MAX_DEPTH
        and not _shallow(body)
        and _too_deep(document)
    ):
        raise BadInput(Reason.TOO_DEEP, f"nested deeper than {MAX_DEPTH} levels")
    return document


def is_clean(body: bytes) -> bool:
    """Whether no string of this JSON holds a control character: but for DEL it would have to be escaped. False = one may."""
    return _BACKSLASH not in body and _DELETE not in body


def _shallow(body: bytes) -> bool:
    """Certainly not too deep; False = walk it. A batch's brackets are many and cancel out within a few rounds, at a tenth of a walk's cost.

    Without backslashes quotes strictly open and close. If removing neighbouring pairs once leaves none, no bracket stood within a string, and what is left is the
    document's own nesting. A round removes at most two levels of it.
    """
    if b"\\" in body:
        return False
    marks = body.translate(None, _NO_MARKS).replace(b'""', b"")
    for _ in range(MAX_DEPTH // 2):
        if not marks:
            return True
        marks = marks.replace(b"{}", b"").replace(b"[]", b"")
    return not marks


def _too_deep(document: Any) -> bool:
    level = [document]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            if type(value) is dict:
                below += [inner for inner in value.values() if type(inner) in {dict, list}]
            elif type(value) is list:
                below += [inner for inner in value if type(inner) in {dict, list}]
        if not below:
            return False
        level = below
    return True
