"""The wire's own answers: what is said when a request cannot be understood, is too large or too slow, or the app is away (pure).

Law: together with ``answer.py`` the only place of this room that picks statuses. Faults quote nothing of the request. What collect's callers may see has
the shape of collect's errors.
"""

from enum import Enum

from gateway.edge.answer import NOT_FOUND, Answer, json_answer

_PLAIN = b"Content-Type: text/plain; charset=utf-8\r\nCache-Control: no-store\r\n"
_HTML = b"Content-Type: text/html; charset=utf-8\r\nCache-Control: no-store\r\n"


class Fault(Enum):
    """Why the wire answers by itself."""

    MALFORMED = "malformed"
    """Not HTTP, or HTTP that could be read in two ways."""
    NOT_FOUND = "not_found"
    """The bare prefix, or anything outside it while no upstream is configured."""
    TOO_SLOW = "too_slow"
    HEAD_TOO_LARGE = "head_too_large"
    CROWDED = "crowded"
    """More connections than allowed."""
    STARVED = "starved"
    """No descriptor is left for a connection to the app."""
    CRASHED = "crashed"
    """A defect of ours."""
    APP_AWAY = "app_away"
    """The app refused, reset or garbled."""
    APP_SLOW = "app_slow"
    """The app did not connect or begin in time."""


FAULTS: dict[Fault, Answer] = {
    Fault.MALFORMED: Answer(400, _PLAIN, b"400 bad request\n"),
    Fault.NOT_FOUND: NOT_FOUND,
    Fault.TOO_SLOW: Answer(408, _PLAIN, b"408 the request took too long\n"),
    Fault.HEAD_TOO_LARGE: Answer(431, _PLAIN, b"431 the request's head is too large\n"),
    Fault.CROWDED: Answer(503, _PLAIN + b"Retry-After: 1\r\n", b"503 too many connections\n"),
    Fault.STARVED: Answer(503, _PLAIN + b"Retry-After: 1\r\n", b"503 too many requests at once\n"),
    Fault.CRASHED: json_answer(
        500, {"success": False, "error": {"reason": "internal", "message": "a defect of the gateway's; see its log"}}
    ),
    Fault.APP_AWAY: Answer(502, _PLAIN, b"502 the site cannot be reached right now\n"),
    Fault.APP_SLOW: Answer(504, _PLAIN, b"504 the site takes too long to answer\n"),
}


def error_page(fault: Fault, html: bytes) -> Answer:
    """The answer for ``fault`` with the operator's own page as its body."""
    return Answer(FAULTS[fault].status, _HTML, html)
