"""TikTok's answers judged by a table (pure).

Law: the body's code comes first, the HTTP status only where there is no JSON: errors come with 200, 400 and 401 alike. A code that is not in the table is
judged by its range; a number outside TikTok's ranges is somebody else's JSON, and code 0 counts only with a 2xx status. What is shown of TikTok's words is redacted
(:mod:`gateway.delivery.words`).
Sources: TikTok's SDK error table and endpoint page; Signal's manual where it reads a code differently.
"""

from collections.abc import Mapping
from datetime import UTC
from email.utils import parsedate_to_datetime
from enum import StrEnum
from typing import NamedTuple

import orjson

from gateway.delivery import words
from gateway.outcome import WORDS, Reason

QUOTA_PAUSE_S = 300.0
MAX_RETRY_AFTER_S = 3600.0
_DAY_S = 86400.0


class Action(StrEnum):
    """What is to be done with a batch."""

    DELIVERED = "delivered"
    RETRY = "retry"
    SUSPEND = "suspend"
    BAD_EVENT = "bad_event"
    SPLIT = "split"


class Verdict(NamedTuple):
    """A judged answer."""

    action: Action
    reason: Reason
    code: str
    """For metrics and people: TikTok's code, ``http_<status>`` or the kind of failure."""
    message: str
    """TikTok's words, redacted."""
    cure: str = ""
    """What a person should do, where there is something to do."""
    retry_after_s: float | None = None
    culprit: int | None = None
    """The bad event's place in the batch, where TikTok names it."""
    throttled: bool = False
    day_quota: bool = False
    """TikTok's quota for the day is used up; it begins anew at 00:00 UTC."""

    @property
    def label(self) -> str:
        """The code for metrics: one of a bounded set, whoever answers."""
        return self.code if not self.code.isdigit() or int(self.code) in TABLE else f"{self.code[:2]}xxx"


class _Row(NamedTuple):
    action: Action
    reason: Reason
    cure: str
    source: str


_TOKEN = "Regenerate the access token: Ads Manager → Assets → Events → Web Events → the pixel → Settings → Events API → Generate access token."  # noqa: S105
_PIXEL = "Check the pixel code, and that the token was generated for this pixel."
_THROTTLE = (
    "TikTok's SDK reads 40100 as too many requests, Signal's manual as an authorisation problem. Events are kept and tried again; if this lasts, "
    "lower the rate – or regenerate the token."
)
_DAY_QUOTA = (
    "TikTok's quota for the day is used up; it begins anew at 00:00 UTC. Events are kept and tried once an hour until then; if this happens every day, ask TikTok for "
    "a higher quota."
)
_PAYLOAD = (
    "TikTok's SDK reads 40002 as an invalid field (the message names it), Signal's manual as an invalid pixel code. Fix the field's mapping and replay the "
    "event – or check the pixel code."
)
_APP = "The token's developer app is not allowed to do this; generate the token in Events Manager with an account that manages the pixel."
_GONE = "TikTok refuses the endpoint or its version; update the gateway or check delivery.endpoint."

_SDK, _PAGE, _SEEN = "TikTok SDK error table", "TikTok endpoint page", "seen by other connectors"


def _retry(reason: Reason, source: str, cure: str = "") -> _Row:
    return _Row(Action.RETRY, reason, cure, source)


def _suspend(cure: str, source: str) -> _Row:
    return _Row(Action.SUSPEND, Reason.TIKTOK_AUTH, cure, source)


def _bad(cure: str, source: str) -> _Row:
    return _Row(Action.BAD_EVENT, Reason.TIKTOK_REJECTED, cure, source)


TABLE: dict[int, _Row] = {
    0: _Row(Action.DELIVERED, Reason.NONE, "", _PAGE),
    20001: _Row(
        Action.DELIVERED, Reason.NONE, "TikTok accepted the batch in part; look for missing events in Events Manager.", _SDK
    ),
    40050: _Row(Action.DELIVERED, Reason.DUPLICATE, "", _SDK),
    40100: _retry(Reason.TIKTOK_THROTTLED, _SDK + "; Signal manual", _THROTTLE),
    40016: _retry(Reason.TIKTOK_THROTTLED, _SDK),
    40132: _retry(Reason.TIKTOK_THROTTLED, _SDK),
    40133: _retry(Reason.TIKTOK_THROTTLED, _SEEN),
    40202: _retry(Reason.TIKTOK_UNAVAILABLE, _SDK),
    50000: _retry(Reason.TIKTOK_UNAVAILABLE, _SDK),
    50002: _retry(Reason.TIKTOK_UNAVAILABLE, _SDK),
    51000: _retry(Reason.TIKTOK_UNAVAILABLE, _SDK),
    51010: _retry(Reason.TIKTOK_UNAVAILABLE, _SDK),
    51012: _retry(Reason.TIKTOK_UNAVAILABLE, _SDK),
    52000: _retry(Reason.TIKTOK_UNAVAILABLE, _SDK),
    53103: _retry(Reason.TIKTOK_UNAVAILABLE, _SDK),
    60001: _retry(Reason.TIKTOK_UNAVAILABLE, _SDK),
    61000: _retry(Reason.TIKTOK_THROTTLED, _SDK),
    40001: _suspend(f"The token has no permission on this pixel. {_PIXEL} {_TOKEN}", _SDK + "; Signal manual"),
    40003: _suspend(_APP, _SDK),
    40006: _suspend(_GONE, _SDK),
    40007: _suspend(_PIXEL, _SDK),
    40051: _suspend(_GONE, _SDK),
    40063: _suspend("TikTok does not know the partner name; the gateway sends none – check what stands between.", _SDK),
    40101: _suspend(_APP, _SDK),
    40102: _suspend(f"The access token has expired. {_TOKEN}", _SDK),
    40103: _suspend(f"The token has expired. {_TOKEN}", _SDK),
    40104: _suspend(f"The access token is empty. {_TOKEN}", _SDK),
    40105: _suspend(f"The access token is incorrect or was revoked. {_TOKEN}", _SDK),
    40106: _suspend(_APP, _SDK),
    40107: _suspend(_TOKEN, _SDK),
    40110: _suspend(_TOKEN, _SDK),
    40113: _suspend(_APP, _SDK),
    40117: _suspend(_APP, _SDK),
    40118: _suspend(_APP, _SDK),
    40125: _suspend(_APP, _SDK),
    40130: _suspend(_APP, _SDK),
    40300: _suspend(_PIXEL, _SDK),
    40301: _suspend(_APP, _SDK),
    40309: _suspend(_TOKEN, _SDK),
    40400: _suspend(_GONE, _SDK),
    40700: _suspend(_GONE, _SDK),
    40900: _suspend(_TOKEN, _SDK),
    41000: _suspend("TikTok has blocked this account or app; contact TikTok's support.", _SDK),
    41001: _suspend(_GONE, _SDK),
    41002: _suspend(_GONE, _SDK),
    40002: _bad(_PAYLOAD, _SDK + "; Signal manual"),
    40000: _bad("TikTok found a parameter invalid; the message names it.", _SDK),
    40062: _bad("TikTok saw identity that was not hashed; check the mapping of user.* fields.", _SDK),
    40061: _Row(Action.SPLIT, Reason.BATCH_TOO_LARGE, "", _SDK),
}
"""TikTok's code → what happens; ranges for the rest are in :func:`_row`."""

_SUSPEND_RANGES = ((40101, 40130), (40300, 40900), (41000, 41002))
_RETRY_RANGES = ((50000, 53999), (60000, 61999))
_TIKTOKS = range(20000, 70000)
"""Where TikTok's codes lie, 0 aside."""
_SUSPEND_STATUSES = frozenset({401, 403, 404})

_FAILURES = {
    Reason.TIMEOUT: "no answer in time; TikTok may have processed the batch, it is sent again with the same ids",
    Reason.CONNECTION: "the connection failed",
}


def judge(status: int, headers: Mapping[str, str], body: bytes, now: float) -> Verdict:
    """The verdict on an answer; ``headers`` are looked up case-insensitively by the caller's mapping, ``now`` is Unix seconds."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        document = None
    pause = retry_after(headers.get("Retry-After", ""), now)
    code = document.get("code") if isinstance(document, dict) else None
    if type(code) is int and (code in _TIKTOKS or (code == 0 and 200 <= status < 300)):
        message = document.get("message") if isinstance(document, dict) else None
        return _by_code(code, message if isinstance(message, str) else "", pause, now)
    return _by_status(status, pause)


def failure(kind: Reason, detail: str = "", cure: str = "") -> Verdict:
    """The verdict where no answer came: ``timeout`` or ``connection``, with what is known of it."""
    sentence = _FAILURES.get(kind, kind.value)
    return Verdict(Action.RETRY, kind, kind.value, f"{sentence}: {detail}" if detail else sentence, cure)


def about(label: str) -> str:
    """What stands behind a code, for people: of :attr:`Verdict.label` and the kinds of failure."""
    if label.isdigit():
        row = _row(int(label))
        return row.cure or (WORDS[row.reason] if row.reason else "Accepted.")
    if label.startswith("http_") and label[5:].isdigit():
        verdict = _by_status(int(label[5:]), None)
        return verdict.cure or f"{WORDS[verdict.reason]} (HTTP {label[5:]} without TikTok's JSON)"
    if label == unusable_token().code:
        return unusable_token().cure
    return next((WORDS[reason] for reason in _FAILURES if label == reason.value), "")


def unusable_token() -> Verdict:
    """The verdict on a token that cannot stand in a header: nothing was sent."""
    cure = f"The access token holds characters that no token has (a space, a line break, quotes). {_TOKEN}"
    return Verdict(Action.SUSPEND, Reason.TIKTOK_AUTH, "bad_token", "the access token cannot be sent", cure)


def retry_after(value: str, now: float) -> float | None:
    """Seconds to wait from a Retry-After header (seconds or a date), bounded to an hour; None if there is none."""
    text = value.strip()
    if text.isascii() and text.isdigit():
        return min(float(text), MAX_RETRY_AFTER_S)
    try:
        date = parsedate_to_datetime(text)
        # "-0000" gives a date without a zone; it means UTC, not the zone of this machine.
        at = (date if date.tzinfo else date.replace(tzinfo=UTC)).timestamp()
    except (ValueError, TypeError, OverflowError):
        return None
    return min(max(0.0, at - now), MAX_RETRY_AFTER_S)


def _row(code: int) -> _Row:
    if row := TABLE.get(code):
        return row
    if any(low <= code <= high for low, high in _RETRY_RANGES):
        return _retry(Reason.TIKTOK_UNAVAILABLE, "range of TikTok's server errors")
    if any(low <= code <= high for low, high in _SUSPEND_RANGES):
        return _suspend(f"{_APP} {_TOKEN}", "range of TikTok's permission errors")
    if 40000 <= code < 50000:
        return _bad("TikTok does not document this code; the message may help.", "range of TikTok's client errors")
    return _retry(Reason.BROKEN_ANSWER, "undocumented")


def _by_code(code: int, message: str, pause: float | None, now: float) -> Verdict:
    row = _row(code)
    action, reason, cure = row.action, row.reason, row.cure
    index = None
    if action is Action.BAD_EVENT:
        if words.names_root(message):
            # Still "rejected", not "auth": what was sent was refused, though not for an event's sake.
            action, reason, cure = Action.SUSPEND, Reason.TIKTOK_REJECTED, f"{_PIXEL} {_PAYLOAD}"
        else:
            index = words.place(message)
    throttled = reason is Reason.TIKTOK_THROTTLED
    if throttled and words.names_minute_quota(message):
        pause = max(pause or 0.0, QUOTA_PAUSE_S)
    day_quota = throttled and words.names_day_quota(message)
    if day_quota:
        # Until 00:00 UTC, but a knock an hour: the wording may mean something else, and quotas are raised.
        pause, cure = max(pause or 0.0, min(_DAY_S - now % _DAY_S, MAX_RETRY_AFTER_S)), _DAY_QUOTA
    return Verdict(action, reason, str(code), words.shown(message), cure, pause, index, throttled, day_quota)


def _by_status(status: int, pause: float | None) -> Verdict:
    code = f"http_{status}"
    without = f"HTTP {status} without TikTok's JSON"
    if status == 429:
        return Verdict(Action.RETRY, Reason.TIKTOK_THROTTLED, code, "too many requests", "", pause, None, True)
    if status == 413:
        return Verdict(Action.SPLIT, Reason.BATCH_TOO_LARGE, code, "the request was too large")
    if status in _SUSPEND_STATUSES or 300 <= status < 400:
        cure = f"Something between the gateway and TikTok answered, or the endpoint is wrong: check delivery.endpoint and proxies. {_TOKEN}"
        return Verdict(Action.SUSPEND, Reason.TIKTOK_AUTH, code, without, cure)
    if status >= 500:
        return Verdict(Action.RETRY, Reason.TIKTOK_UNAVAILABLE, code, without, "", pause)
    return Verdict(Action.RETRY, Reason.BROKEN_ANSWER, code, f"{without}: not taken for success", "", pause)
