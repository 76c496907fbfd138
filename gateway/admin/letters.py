"""Dead letters as people look at them (pure but for the spool that is passed in).

Law: nothing of a person leaves whole: hashes of identity are shortened, addresses truncated. A list is read in slices, so that a million of them cost memory for one slice.
"""

import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from typing import Any, NamedTuple

import orjson

from gateway.admin.desk import Preview
from gateway.lane import Lane
from gateway.outcome import WORDS, Reason
from gateway.spool.base import ANSWERED, DeadLetter, Spool, Try

SLICE = 200
_HASH_CHARS = 64
_SHOWN_CHARS = 8
_DEDUPLICATED_S = 48 * 3600.0
_NO_ANSWER = frozenset({Reason.TIMEOUT, Reason.CONNECTION, Reason.BROKEN_ANSWER})
_CURES = {
    Reason.BATCH_TOO_LARGE: "Have the mapping leave out what makes it large, such as contents or long texts, and replay the event.",
    Reason.INVALID_EVENT: "Fix the mapping that the message speaks of and replay the event.",
    Reason.UNDECODABLE: "It can be sent no more; export it if somebody is to look at it, then drop it.",
    Reason.INTEGRATION_REMOVED: "Set up an integration of the same id and replay the event, or drop it.",
}
_HASHED = frozenset({"email", "phone", "external_id", "first_name", "last_name", "zip_code"})


class Wanted(NamedTuple):
    """Which dead letters; empty = any. Times are Unix seconds of death."""

    integration: str = ""
    reason: str = ""
    q: str = ""
    since: float = 0.0
    until: float = 0.0

    def fits(self, letter: DeadLetter) -> bool:
        """Whether ``letter`` is one of them; ``q`` is looked for in the stored event and in TikTok's words."""
        return (
            (not self.integration or Lane.parse(letter.lane).integration == self.integration)
            and (not self.reason or letter.reason == self.reason)
            and (not self.since or letter.died_at >= self.since)
            and (not self.until or letter.died_at < self.until)
            and (not self.q or self.q.lower().encode() in letter.payload.lower() or self.q.lower() in letter.answer.lower())
        )


async def each(spool: Spool, wanted: Wanted, after: int = -1) -> AsyncIterator[DeadLetter]:
    """All that fit, by ascending id, beginning behind ``after``."""
    while letters := await spool.dead_list(None, after, SLICE):
        after = letters[-1].id
        for letter in letters:
            if wanted.fits(letter):
                yield letter


async def one(spool: Spool, id_: int) -> DeadLetter | None:
    """The dead letter ``id_``."""
    found = await spool.dead_list(None, id_ - 1, 1)
    return found[0] if found and found[0].id == id_ else None


def doubtful(letter: DeadLetter, now: float) -> bool:
    """It may have been delivered – what became of its last try is not known – and so long ago that TikTok would count it again."""
    if letter.tries:
        last = letter.tries[-1]
        return unanswered(last) and now - last.at > _DEDUPLICATED_S
    # From before tries were kept.
    return letter.reason == Reason.INTEGRATION_REMOVED and letter.attempts > 0 and now - letter.accepted_at > _DEDUPLICATED_S


def unanswered(each: Try) -> bool:
    """TikTok did not say what became of it: no answer, or one of somebody between."""
    return each.reason in _NO_ANSWER or each.code.startswith("http_5")


def sealed(letter: DeadLetter) -> dict[str, Any] | None:
    """The stored event; None if it cannot be read."""
    with suppress(orjson.JSONDecodeError):
        found = orjson.loads(letter.payload)
        if isinstance(found, dict):
            return found
    return None


def row(letter: DeadLetter, preview: Preview | None) -> dict[str, Any]:
    """One line of a list."""
    event = sealed(letter) or {}
    lane = Lane.parse(letter.lane)
    return {
        "id": str(letter.id),
        "integration": lane.integration,
        "test_event_code": lane.test_code,
        "name": event.get("name", ""),
        "event": (preview.payload or {}).get("event", "") if preview else "",
        "event_id": event.get("event_id", ""),
        "pipeline": event.get("pipeline", ""),
        "at": letter.accepted_at,
        "accepted_at": letter.accepted_at,
        "died_at": letter.died_at,
        "attempts": letter.attempts,
        "outcome": "dead",
        "reason": letter.reason,
        "words": words(letter.reason),
        "answer": letter.answer,
    }


def shown(letter: DeadLetter, preview: Preview | None, about: Callable[[str], str]) -> dict[str, Any]:
    """All that is known of one; ``about`` tells what stands behind one of TikTok's codes."""
    event = sealed(letter)
    code, message = _answer(letter)
    consent = (event or {}).get("consent", {})
    return {
        "row": row(letter, preview),
        "received": shortened(event) if event else None,
        "consent": {"decision": "granted", "source": consent.get("source", ""), "categories": consent.get("granted", [])},
        "mapped": shortened(preview.payload) if preview and preview.payload else None,
        "findings": list(preview.findings) if preview else [],
        "refusal": preview.refusal if preview else "the integration does not exist any more",
        "request": None,
        "answer": {"code": code, "message": message},
        "tries": [
            {"at": each.at, "reason": each.reason, "code": each.code, "words": words(each.reason), "known": not unanswered(each)}
            for each in letter.tries
        ],
        "cure": _cure(letter, about(code) if code else ""),
    }


def _answer(letter: DeadLetter) -> tuple[str, str]:
    """TikTok's code, empty if it is not TikTok that spoke, and the words."""
    code, colon, message = letter.answer.partition(": ")
    return (code, message) if colon and letter.reason in ANSWERED else ("", letter.answer)


def _cure(letter: DeadLetter, told: str) -> str:
    """What to do about it: what is known of the code, else of the reason."""
    with suppress(ValueError):
        own = _CURES.get(Reason(letter.reason), "")
        return own if not told or told == words(letter.reason) else f"{told} {own}".rstrip()
    return told


def words(reason: str) -> str:
    """The sentence for a reason."""
    with suppress(ValueError):
        return WORDS.get(Reason(reason), "")
    return ""


def shortened(event: dict[str, Any]) -> dict[str, Any]:
    """A sealed event or a data item without what could find its person: hashes cut to eight characters, addresses to their network."""
    user = event.get("user")
    if not isinstance(user, dict):
        return event
    return {**event, "user": {field: _shortened(field, value) for field, value in user.items()}}


def _shortened(field: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_shortened(field, inner) for inner in value]
    if not isinstance(value, str):
        return value
    if field == "ip":
        return truncated(value)
    if field in _HASHED or len(value) == _HASH_CHARS:
        return f"{value[:_SHOWN_CHARS]}…"
    return value


def truncated(address: str) -> str:
    """An address's network: /24, or /48 of IPv6."""
    try:
        bits = 24 if ipaddress.ip_address(address).version == 4 else 48
        return str(ipaddress.ip_network(f"{address}/{bits}", strict=False))
    except ValueError:
        return ""
