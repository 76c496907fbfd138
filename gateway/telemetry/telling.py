"""What pods tell each other for people to see (pure): rows of the feed and counters, as they are sent.

Law: what comes in is another process's word: whatever does not have the right shape is nothing. Counters are told as they stand, so that a word that was lost costs nothing once the
next has come.
"""

from collections import Counter
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.telemetry.feed import Row
from gateway.telemetry.history import Key

_MAX_BYTES = 16 << 10
"""Of an event; a larger one is told without its content."""
_TEXTS = ("uid", "pipeline", "integration", "name", "outcome", "reason", "consent", "code", "answer", "cure")
_NEEDED = ("wire", "type", "name", "event_id")
_STATES = ("active", "backing_off", "paused", "suspended")
"""The worse comes later."""
_LANE_TEXTS = ("integration", "test_event_code", "state", "code", "message", "cure")
_MAX_KEYS = 5000
_MAX_PODS = 2000
_MOST = 1 << 53
SILENT_S = 20.0
"""A pod that has said nothing for so long is not there any more."""


def row_told(row: Row) -> bytes:
    """A row for others."""
    texts: dict[str, Any] = {name: getattr(row, name) for name in _TEXTS}
    told = {
        "payload": _text(row.payload),
        "sent": _text(row.sent),
        "at": row.at,
        "attempts": row.attempts,
        "event_id": row.key[1],
        "lane": row.lane,
    }
    return orjson.dumps(texts | told)


def row_heard(words: bytes) -> Row | None:
    """The inverse; None if it is none."""
    try:
        found = orjson.loads(words)
        texts = {name: found[name] for name in (*_TEXTS, "payload", "sent", "event_id")}
        texts["lane"] = found.get("lane", "")  # pods of an earlier version do not tell it
        if not all(isinstance(text, str) for text in texts.values()) or not texts["uid"]:
            return None
        event_id = texts.pop("event_id")
        payload, sent = texts.pop("payload"), texts.pop("sent")
        row = Row(
            id="",
            at=float(found["at"]),
            attempts=_number(found["attempts"]),
            payload=_event(payload, _NEEDED),
            sent=_event(sent, ()),
            **texts,
        )
    except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
        return None
    row.key = row.integration, event_id
    return row


def _number(value: Any) -> int:
    number = int(value)
    if not 0 <= number <= _MOST:
        raise ValueError("no count")
    return number


def _text(document: bytes) -> str:
    return document.decode("utf-8", "replace") if len(document) <= _MAX_BYTES else ""


def _event(text: str, needed: tuple[str, ...]) -> bytes:
    if not text:
        return b""
    found = orjson.loads(text)
    return text.encode() if isinstance(found, dict) and all(isinstance(found.get(name), str) for name in needed) else b""


class Bulletin:
    """What one process says of itself, from time to time."""

    def __init__(self, pod: str, started_at: float) -> None:
        self._head = {"pod": pod, "started": started_at}
        self._last: dict[Key, int] = {}

    def written(self, counts: Mapping[Key, int], lanes: list[dict[str, Any]], *, whole: bool) -> bytes:
        """Counters that have changed since the last one, or all of them; lanes as they are."""
        news = [[*key, n] for key, n in counts.items() if whole or self._last.get(key) != n]
        self._last = dict(counts)
        return orjson.dumps({**self._head, "whole": whole, "counts": news, "lanes": lanes})


class Others:
    """What other processes have said of themselves."""

    def __init__(self, since: float) -> None:
        self._since = since
        self._known: dict[str, dict[Key, int]] = {}
        self._heard: dict[str, float] = {}
        self._lanes: dict[str, list[dict[str, Any]]] = {}
        self.counts: Counter[Key] = Counter()
        """What they have counted since this process listens, all together."""

    @property
    def pods(self) -> int:
        """How many there are."""
        return len(self._heard)

    def hear(self, words: bytes, now: float) -> None:
        """One bulletin. What was counted before this process began belongs to others' history."""
        try:
            found = orjson.loads(words)
            pod, started, whole = found["pod"], float(found["started"]), bool(found["whole"])
            counts = {(str(kind), str(name)): _number(n) for kind, name, n in found["counts"][:_MAX_KEYS]}
            lanes = [each for each in found["lanes"][:_MAX_KEYS] if _is_lane(each)]
        except (orjson.JSONDecodeError, KeyError, TypeError, ValueError, OverflowError):
            return
        if not isinstance(pod, str) or (pod not in self._known and len(self._known) >= _MAX_PODS):
            return
        self._heard[pod], self._lanes[pod] = now, lanes
        known = self._known.get(pod)
        if known is None:
            if started < self._since and not whole:
                return  # what is not told may be of before
            known = self._known[pod] = {} if started >= self._since else dict(counts)
        for key, n in counts.items():
            if n > (before := known.get(key, 0)):
                self.counts[key] += n - before
            known[key] = n

    def forget(self, now: float) -> None:
        """Those that have fallen silent; what they counted stays counted."""
        for pod in [pod for pod, at in self._heard.items() if now - at > SILENT_S]:
            del self._heard[pod], self._lanes[pod]
            self._known.pop(pod, None)

    def lanes(self, own: list[dict[str, Any]]) -> list[dict[str, Any]]:
        """All deliverers' lanes, each once: where they do not agree, the worse."""
        found: dict[tuple[str, str], dict[str, Any]] = {}
        for lane in [*own, *(lane for lanes in self._lanes.values() for lane in lanes)]:
            key = lane["integration"], lane["test_event_code"]
            if key not in found or _STATES.index(lane["state"]) > _STATES.index(found[key]["state"]):
                found[key] = lane
        return [found[key] for key in sorted(found)]


def _is_lane(lane: Any) -> bool:
    return (
        isinstance(lane, dict)
        and all(isinstance(lane.get(name), str) for name in _LANE_TEXTS)
        and lane["state"] in _STATES
        and all(isinstance(lane.get(name), int | float) for name in ("since", "next_try"))
    )
