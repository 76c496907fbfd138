"""Answers of the edge, and the one table that picks their statuses (pure).

Law: an answer is bytes that are ready to be sent; only Content-Length, Date and Connection are added by the protocol, which
knows the connection. No other file of this room names a status for a refusal. A shared answer is never changed by who sends it.

A refusal's body is ``{"success": false, "error": {"reason": <code of outcome.Reason>, "message": <what to do about it>}}``; native requests get
TikTok's envelope instead.
"""

import base64
from collections.abc import Callable, Sequence
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson

from gateway.errors import SpoolUnavailable
from gateway.event.model import Rejection
from gateway.outcome import Reason

if TYPE_CHECKING:
    import asyncio


class Answer:
    """A complete answer. ``headers``: ready lines, each ending in CRLF, without Content-Length, Date and Connection."""

    __slots__ = ("body", "headers", "status")

    def __init__(self, status: int, headers: bytes = b"", body: bytes = b"") -> None:
        self.status = status
        self.headers = headers
        self.body = body

    def __repr__(self) -> str:
        return f"<Answer {self.status} {len(self.body)} bytes>"


class Deferred:
    """An answer that holds once ``future`` is done; if it fails, ``on_failure`` makes the answer from the exception."""

    __slots__ = ("answer", "future", "on_failure")

    def __init__(self, future: "asyncio.Future[None]", answer: Answer, on_failure: Callable[[BaseException], Answer]) -> None:
        self.future = future
        self.answer = answer
        self.on_failure = on_failure


STATUS: dict[Reason, int] = {
    Reason.INVALID_JSON: 400,
    Reason.TOO_DEEP: 400,
    Reason.WRONG_SHAPE: 400,
    Reason.MISSING_NAME: 400,
    Reason.INVALID_NAME: 400,
    Reason.INVALID_TIME: 400,
    Reason.UNKNOWN_PIXEL: 400,
    Reason.INVALID_ENCODING: 415,
    Reason.TOO_MANY_EVENTS: 413,
    Reason.TOO_LARGE: 413,
    Reason.UNKNOWN_KEY: 401,
    Reason.UNKNOWN_PIPELINE: 400,
    Reason.BAD_SIGNATURE: 401,
    Reason.STALE_TIMESTAMP: 401,
    Reason.BAD_TOKEN: 401,
    Reason.ORIGIN_NOT_ALLOWED: 403,
    Reason.CONSENT_REQUIRED: 403,
    Reason.RATE_LIMITED: 429,
    Reason.SPOOL_FULL: 503,
    Reason.SPOOL_UNAVAILABLE: 503,
    Reason.DRAINING: 503,
}
"""Refusal → HTTP status. What is not listed is the caller's fault in general: 400."""

JSON = b"Content-Type: application/json\r\nCache-Control: no-store\r\n"
_GIF = base64.b64decode("R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7")
_GIF_HEADERS = b"Content-Type: image/gif\r\nCache-Control: no-store\r\n"
SUCCESS_BODY = b'{"success":true}'
_NOT_STORED = "the events could not be stored; try again"
_RETRY_AFTER_S = 5
_status_lines: Final[dict[int, bytes]] = {}

TIKTOK_CODES: dict[Reason, int] = {
    Reason.BAD_TOKEN: 40105,
    Reason.CONSENT_REQUIRED: 40001,
    Reason.UNKNOWN_PIXEL: 40001,
    Reason.RATE_LIMITED: 40100,
    Reason.SPOOL_FULL: 50000,
    Reason.SPOOL_UNAVAILABLE: 50000,
}
"""Refusal of a native request → code in TikTok's own envelope; what is not listed is 40002, a parameter error."""


def status_line(status: int) -> bytes:
    """The first line of an answer, with its line end."""
    line = _status_lines.get(status)
    if line is None:
        line = _status_lines[status] = b"HTTP/1.1 %d %b\r\n" % (status, HTTPStatus(status).phrase.encode())
    return line


def json_answer(status: int, document: Any, headers: bytes = b"") -> Answer:
    """An answer with a JSON body."""
    return Answer(status, JSON + headers, orjson.dumps(document))


def gif(headers: bytes = b"") -> Answer:
    """The 1×1 image."""
    return Answer(200, _GIF_HEADERS + headers, _GIF)


def refusal(reason: Reason, detail: str, headers: bytes = b"", retry_after_s: int = 0) -> Answer:
    """A JSON error whose status is the table's: ``{"success": false, "error": {"reason": …, "message": …}}``."""
    if retry_after_s:
        headers += b"Retry-After: %d\r\n" % retry_after_s
    return json_answer(STATUS.get(reason, 400), {"success": False, "error": {"reason": reason, "message": detail}}, headers)


def tally(accepted: int, filtered: int, rejected: Sequence[Rejection], headers: bytes = b"", incomplete: int = 0) -> Answer:
    """What became of a batch: 200, with each event that could not be used, and how many broken integrations of the pipeline have missed, if any."""
    if not rejected and not incomplete:
        if not filtered and not headers and accepted < len(_ALL_ACCEPTED):
            return _ALL_ACCEPTED[accepted]
        return _taken(accepted, filtered, headers)
    document: dict[str, Any] = {
        "success": True, "accepted": accepted, "filtered": filtered,
        "rejected": [{"index": r.at, "reason": r.reason, "message": r.detail} for r in rejected],
    }  # fmt: skip
    if incomplete:
        document["incomplete"] = incomplete
    return json_answer(200, document, headers)


def _taken(accepted: int, filtered: int, headers: bytes) -> Answer:
    return Answer(200, JSON + headers, b'{"success":true,"accepted":%d,"filtered":%d,"rejected":[]}' % (accepted, filtered))


def not_stored(error: BaseException, headers: bytes = b"") -> Answer:
    """The answer where the commit failed."""
    if isinstance(error, SpoolUnavailable):
        return refusal(error.reason, error.detail, headers, error.retry_after_s)
    return refusal(Reason.SPOOL_UNAVAILABLE, _NOT_STORED, headers, _RETRY_AFTER_S)


def envelope_not_stored(error: BaseException, request_id: str) -> Answer:
    """The same for native requests."""
    if isinstance(error, SpoolUnavailable):
        return envelope(error.reason, error.detail, request_id, error.retry_after_s)
    return envelope(Reason.SPOOL_UNAVAILABLE, _NOT_STORED, request_id, _RETRY_AFTER_S)


def not_allowed(methods: Sequence[str]) -> Answer:
    """405, with the methods that are."""
    allow = ", ".join(methods)
    document = {"success": False, "error": {"reason": "method_not_allowed", "message": f"use {allow}"}}
    return json_answer(405, document, f"Allow: {allow}\r\n".encode())


def envelope(reason: Reason, message: str, request_id: str, retry_after_s: int = 0) -> Answer:
    """TikTok's envelope for native requests; Reason.NONE is success."""
    code = TIKTOK_CODES.get(reason, 40002) if reason else 0
    headers = b"Retry-After: %d\r\n" % retry_after_s if retry_after_s else b""
    document = {"code": code, "message": message, "request_id": request_id, "data": {}}
    return json_answer(STATUS.get(reason, 400) if reason else 200, document, headers)


SUCCESS = Answer(200, JSON, SUCCESS_BODY)
_ALL_ACCEPTED: Final = [_taken(accepted, 0, b"") for accepted in range(17)]
"""What nearly all requests are answered, by their number of events."""
NOT_FOUND = json_answer(404, {"success": False, "error": {"reason": "not_found", "message": "no such first-party endpoint"}})
