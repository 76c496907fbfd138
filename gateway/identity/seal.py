"""Sealing: a raw event and what the edge knows of its visitor become a sealed event (pure).

Law: this is the last place that sees raw identity. Everything TikTok wants hashed is hashed here, everything else that looks personal is
redacted, and mappings that target ``user.*`` run here because only here their source has a value. No cache is keyed by raw personal data: telephone numbers, whose
parsing is dear, are remembered under a keyed hash.
"""

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from cachetools import LRUCache

from gateway.event.model import Event
from gateway.identity import browser_id, click_id, normalise, redact
from gateway.identity.sealed import VERSION, SealedEvent

_EARLIEST_S = 946_684_800  # 2000-01-01: older clocks are unset ones
_TITLE_FIELDS = ("title", "path", "search")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_KNOWN_LOCALES = 1024
_locales: set[str] = set()
MAX_VALUES = 10
"""Values kept of a field given as a list."""


@dataclass(slots=True)
class Visitor:
    """What the request says about who sent it; strings are empty where it says nothing. ``ttp`` has been checked."""

    ip: str = ""
    """A public address, or empty."""
    user_agent: str = ""
    ttp: str = ""
    """The ``_ttp`` to send: read, or made for this visitor."""
    cookies: Mapping[str, str] | None = None
    """Click-id cookies."""
    anonymous_id: str = ""
    referer: str = ""
    host: str = ""
    scheme: str = "https"


class UserRule(NamedTuple):
    """A mapping whose target is a user field, run on the raw event."""

    target: str
    """TikTok's field name without ``user.``."""
    source: str
    """Dotted path into the raw event: ``properties.customer.mail``, ``traits.phone``, ``userId``."""
    default: str = ""


def sha256(text: str) -> str:
    """Lower-case hexadecimal SHA-256 of UTF-8."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def owner(anonymous_id: str) -> str:
    """The key under which a visitor's records can be purged: a hash of the anonymous id, empty for none."""
    return (
        hashlib.blake2b(anonymous_id.encode("utf-8", "replace"), digest_size=16, person=b"ttgw-owner").hexdigest()
        if anonymous_id
        else ""
    )


class Sealer:
    """Seals the events of one pipeline."""

    def __init__(self, region: str, phone_key: bytes, phone_cache_size: int = 65_536) -> None:
        """``region`` reads telephone numbers without a country code; ``phone_key`` (≤ 64 random bytes) keys the cache of parsed ones."""
        self._region = region
        self._phone_key = phone_key
        self._phones: LRUCache[bytes, str] = LRUCache(phone_cache_size)

    def seal(
        self, event: Event, visitor: Visitor, *, pipeline: str, granted: list[str], consent_source: str, gpc: bool, received: float, event_id: str,
    ) -> SealedEvent:  # fmt: skip
        """The sealed form of ``event``. ``received`` is Unix seconds, ``event_id`` the id to use where the event has none."""
        findings: list[str] = []
        user: dict[str, Any] = {}
        for field, raw in event.identity.items():
            if digest := self._one(field, raw) if type(raw) is str else self.field(field, raw):
                user[field] = digest
            else:
                findings.append(f"user.{field}: blank, a placeholder or not valid; omitted")
        if "external_id" not in user:
            fallback = event.user_id or event.anonymous_id or visitor.anonymous_id
            if fallback and (digest := self._one("external_id", fallback)):
                user["external_id"] = digest
        page_url = event.page.get("url") or visitor.referer
        if not page_url:
            page_url = f"{visitor.scheme}://{visitor.host}/" if visitor.host else ""
            findings.append("page.url: not given; the site's root is used")
        referrer = event.page.get("referrer", "")
        if ttclid := click_id.resolve(page_url, event.ttclid, referrer or visitor.referer, visitor.cookies or {}, visitor.host):
            user["ttclid"] = ttclid
        if visitor.ttp:
            user["ttp"] = visitor.ttp
        elif event.ttp and browser_id.valid(event.ttp):
            user["ttp"] = event.ttp
        if visitor.ip:
            user["ip"] = visitor.ip
        if visitor.user_agent:
            user["user_agent"] = visitor.user_agent
        if event.locale and _is_locale(event.locale):
            user["locale"] = event.locale
        page = {"url": redact.url(page_url)}
        if referrer:
            page["referrer"] = redact.url(referrer)
        for field in _TITLE_FIELDS:
            if value := event.page.get(field):
                page[field] = redact.url(value) if field == "search" else redact.text(value)
        given = event.event_id or event_id
        sealed: SealedEvent = {
            "v": VERSION,
            "wire": event.wire.value,
            "type": event.type,
            "name": redact.name(event.name),
            "event_id": given if redact.identifier_is_clean(given) else sha256(given)[:32],
            "time": self._time(event, received, findings),
            "received": received,
            "pipeline": pipeline,
            "user": user,  # type: ignore[typeddict-item]
            "page": page,
            "properties": redact.properties(event.properties),
            "consent": {"granted": granted, "source": consent_source},
        }
        if event.traits and (kept := redact.traits(event.traits)):
            sealed["traits"] = kept
        if event.context:
            sealed["context"] = redact.properties(event.context)
        if gpc:
            sealed["gpc"] = True
        if event.limited_data_use is not None:
            sealed["limited_data_use"] = event.limited_data_use
        if findings:
            sealed["findings"] = findings
        return sealed

    def overlay(self, event: Event, rules: tuple[UserRule, ...]) -> dict[str, Any]:
        """The user fields that an integration's own mappings give, normalised and hashed like the others."""
        user: dict[str, Any] = {}
        for rule in rules:
            raw = _lookup(event, rule.source) if rule.source else None
            if raw is None or raw == "":
                raw = rule.default
            if raw and (value := self.field(rule.target, raw)):
                user[rule.target] = value
        return user

    def field(self, field: str, raw: Any) -> str | list[str]:
        """One user field, normalised and (where TikTok wants it) hashed; ``''`` if nothing usable is left."""
        if type(raw) is list:
            values = list(dict.fromkeys(value for item in raw[:MAX_VALUES] if (value := self._one(field, item))))
            return values if len(values) > 1 else values[0] if values else ""
        return self._one(field, raw)

    def _one(self, field: str, raw: Any) -> str:
        text = raw.strip() if type(raw) is str else str(raw) if type(raw) in {int, float} else ""
        if not text or (len(text) <= normalise.LONGEST_PLACEHOLDER and text.lower() in normalise.PLACEHOLDERS):
            return ""
        if (normaliser := normalise.HASHED.get(field)) is not None:
            if normalise.is_digest(text):
                return text.lower()
            normal = self._phone(text) if field == "phone" else normaliser(text, self._region)
            return sha256(normal) if normal else ""
        if (normaliser := normalise.PLAIN.get(field)) is not None:
            return normaliser(text, self._region)[:100]
        if field == "ttclid":
            return text if click_id.valid(text) else ""
        if field == "ttp":
            return text if browser_id.valid(text) else ""
        return redact.text(text)[:1024]

    def _phone(self, text: str) -> str:
        key = hashlib.blake2b(text.encode("utf-8", "replace"), key=self._phone_key, digest_size=16).digest()
        known = self._phones.get(key)
        if known is None:
            known = self._phones[key] = normalise.phone(text, self._region)
        return known

    @staticmethod
    def _time(event: Event, received: float, findings: list[str]) -> int:
        if event.timestamp is None:
            return int(received)
        # The sender's clock may be wrong, but the distance between its two readings is right.
        moment = min(event.timestamp, received) if event.sent_at is None else event.timestamp + (received - event.sent_at)
        if moment > received + 60 or moment < _EARLIEST_S:
            findings.append("event_time: not plausible; the time of receipt is used")
            return int(received)
        return int(min(moment, received))


def _is_locale(value: str) -> bool:
    """BCP 47 by its shape; the few that exist are remembered."""
    if value in _locales:
        return True
    if _LOCALE.fullmatch(value) is None:
        return False
    if len(_locales) >= _KNOWN_LOCALES:
        _locales.clear()
    _locales.add(value)
    return True


def _lookup(event: Event, path: str) -> Any:
    head, _, rest = path.partition(".")
    roots: dict[str, Any] = {
        "properties": event.properties, "traits": event.traits, "context": event.context, "page": event.page, "user": event.identity,
        "userId": event.user_id, "user_id": event.user_id, "anonymousId": event.anonymous_id, "anonymous_id": event.anonymous_id,
    }  # fmt: skip
    value = roots.get(head)
    for part in rest.split(".") if rest else ():
        if type(value) is dict:
            value = value.get(part)
        elif type(value) is list and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value if type(value) in {str, int, float, list} else None
