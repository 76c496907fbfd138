"""Bodies as they came over the wire (pure): inflated, bounded.

Law: never more than :data:`MAX_BODY` bytes are made of a body, whatever it claims to hold.
"""

import zlib

from gateway.edge.head import Head
from gateway.errors import BadInput
from gateway.outcome import Reason

MAX_BODY = 1 << 20
"""Bytes of a body, inflated."""
_GZIP = frozenset({"gzip", "x-gzip"})
TOO_LARGE = "a body may have at most 1 MiB, inflated"


def inflate(head: Head, body: bytes) -> bytes:
    """The body itself, or what its gzip holds. Raises BadInput ``too_large``, ``invalid_encoding`` or ``wrong_shape``."""
    encoding = head.field("content-encoding")
    if encoding and (named := encoding.strip().lower()) not in {"", "identity"}:
        if named not in _GZIP:
            raise BadInput(Reason.INVALID_ENCODING, "Content-Encoding: only gzip is understood")
        inflater = zlib.decompressobj(16 + zlib.MAX_WBITS)
        try:
            body = inflater.decompress(body, MAX_BODY + 1)
        except zlib.error:
            raise BadInput(Reason.WRONG_SHAPE, "Content-Encoding says gzip, but the body is not") from None
        if len(body) <= MAX_BODY and not inflater.eof:
            raise BadInput(Reason.WRONG_SHAPE, "the gzip body is cut off")
    if len(body) > MAX_BODY:
        raise BadInput(Reason.TOO_LARGE, TOO_LARGE)
    return body
