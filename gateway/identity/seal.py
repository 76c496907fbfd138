"""Sealing: a raw event and what the edge knows of its visitor become a sealed event (pure).

Law: this is the last place that sees raw identity. Everything TikTok wants hashed is hashed here, everything else that looks personal is
redacted, and mappings that target ``user.*`` run here because only here their source has a value. No cache is keyed by raw personal data: what identity came to is remembered
for a while under a keyed hash of it, because a visitor sends several events and the parsing of a telephone number is dear. A sealed event can always be serialised.
"""

import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, cast

from gateway.event import fields
from gateway.event.model import Event
from gateway.identity import browser_id, click_id, normalise, redact
from gateway.identity.digests import Digests
from gateway.identity.sealed import VERSION, SealedEvent, SealedUser

_EARLIEST_S: Final = 946_684_800  # 2000-01-01: older clocks are unset ones
_SKEW_S: Final = 60  # a reading this far ahead is rounding and transit, not a wrong clock
_LOCALE: Final = re.compile(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9]{2,8}){0,3}")
_HASHED: Final = normalise.HASHED
_HOST: Final = re.compile(r"[A-Za-z0-9._\-]{1,255}(?::[0-9]{1,5})?|\[[0-9A-Fa-f:.]{2,45}\](?::[0-9]{1,5})?")
_WEB: Final = ("https://", "http://")
_MIN_PHONE = 7
_MIN_NAME, _MIN_NAME_WITHOUT_CAPITALS = 6, 3
"""Letters of first and last name together: shorter ones would be found where nobody is meant."""
_MAX_NAME = 60
"""Longer ones are digests, or nobody's."""
_BETWEEN_NAMES = (" ", "+", "%20", "-", ".", "_")
MAX_VALUES: Final = 10
"""Values kept of a field given as a list."""
_new_sha256: Final = hashlib.sha256
_OWNER: Final = hashlib.blake2b(digest_size=16, person=b"ttgw-owner")
"""Copied for each owner: a copy costs half of what reading the parameters does."""


@dataclass(slots=True, init=False)
class Visitor:
    """What the request says about who sent it; strings are empty where it says nothing."""

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
    _clicked: tuple[str, str] = ("", "")

    # Written out: a generated initialiser stays interpreted in the compiled build.
    def __init__(
        self,
        ip: str = "",
        user_agent: str = "",
        ttp: str = "",
        cookies: Mapping[str, str] | None = None,
        anonymous_id: str = "",
        referer: str = "",
        host: str = "",
        scheme: str = "https",
    ) -> None:
        self.ip = ip
        self.user_agent = user_agent
        self.ttp = ttp
        self.cookies = cookies
        self.anonymous_id = anonymous_id
        self.referer = referer
        self.host = host
        self.scheme = scheme
        self._clicked = ("", "")

    def click(self, url: str) -> str:
        """The click id in ``url``, ``''`` if none. The last one is remembered: a request's events mostly share their page."""
        if url != self._clicked[0]:
            self._clicked = url, click_id.in_url(url)
        return self._clicked[1]


class UserRule(NamedTuple):
    """A mapping whose target is a user field, run on the raw event."""

    target: str
    """TikTok's field name without ``user.``."""
    source: str
    """Dotted path into the raw event: ``properties.customer.mail``, ``traits.phone``, ``userId``; a number picks from a list."""
    default: str = ""
    transform: Callable[[Any], Any] | None = None
    """What is done to the value before it is normalised; one that raises gives no value."""


def sha256(text: str) -> str:
    """Lower-case hexadecimal SHA-256 of UTF-8."""
    return _new_sha256(_utf8(text)).hexdigest()


def owner(anonymous_id: str) -> str:
    """The key under which a visitor's records can be purged: a hash of the anonymous id, empty for none."""
    if not anonymous_id:
        return ""
    hashed = _OWNER.copy()
    hashed.update(_utf8(anonymous_id))
    return hashed.hexdigest()


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # half a surrogate pair, which no JSON that we read can hold
        return text.encode("utf-8", "replace")


class Sealer:
    """Seals the events of one pipeline."""

    def __init__(self, region: str, secret: bytes, remembered: int = 32_768) -> None:
        """``region`` reads telephone numbers without a country code; ``secret`` (random bytes) keys the memory of so many identity values."""
        self._region = region
        self._digests = Digests(secret, remembered)
        self._granted: list[str] = []
        self._source = ""
        self._consent: dict[str, Any] = {"granted": self._granted, "source": self._source}

    def seal(
        self, event: Event, visitor: Visitor, *, pipeline: str, granted: list[str], consent_source: str, gpc: bool, received: float, event_id: str,
    ) -> SealedEvent:  # fmt: skip
        """The sealed form of ``event``. ``received`` is Unix seconds, ``event_id`` the id to use where the event has none."""
        findings: list[str] = []
        user: dict[str, Any] = {}
        known: tuple[str, ...] = ()
        for field, raw in event.identity.items():
            if digest := self._one(field, raw) if type(raw) is str else self.field(field, raw):
                user[field] = digest
                if field == "phone" and (type(raw) is not str or raw[:1] != "+"):
                    known = _spellings(raw)
            elif field in normalise.HASHED or field in normalise.PLAIN:
                findings.append(f"user.{field}: blank, a placeholder or not valid; omitted")
        if "external_id" not in user and (digest := self._fallback_id(event, visitor)):
            user["external_id"] = digest
        if "last_name" in user and "first_name" in user:
            known += _full_names(event.identity["first_name"], event.identity["last_name"])
        page = event.page
        url, clicked = page.get("url", ""), ""
        if not url.startswith(_WEB):
            clicked = click_id.in_url(url)
            page = page.copy()
            url = self._page_url(page, visitor, findings)
        if (
            ttclid := visitor.click(url)
            or clicked
            or click_id.resolve("", event.ttclid, page.get("referrer") or visitor.referer, visitor.cookies or {}, visitor.host)
        ):
            user["ttclid"] = ttclid
        ttp = visitor.ttp or event.ttp
        if ttp and browser_id.valid(ttp):
            user["ttp"] = ttp
        if visitor.ip:
            user["ip"] = visitor.ip
        if agent := visitor.user_agent:
            user["user_agent"] = (
                agent
                if agent.isascii() and not ("@" in agent or "+" in agent or "%" in agent)
                else redact.text(agent, grouped=False)
            )
        if event.locale and _is_locale(event.locale):
            user["locale"] = event.locale
        name, properties, context, given = event.name, event.properties, event.context, event.event_id or event_id
        if not redact.untouched(name, given, page, properties, context, known):
            name = redact.text(name, known)
            page = redact.page(page, known)
            properties, context = redact.properties(properties, known), redact.properties(context, known)
            if not redact.identifier_is_clean(given):
                given = sha256(given)[:32]
        sealed: SealedEvent = {
            "v": VERSION,
            "wire": event.wire,
            "type": event.type,
            "name": name,
            "event_id": given,
            "time": self._time(event, received, findings),
            "received": received,
            "pipeline": pipeline,
            "user": cast("SealedUser", user),
            "page": page,
            "properties": properties,
            "consent": self._decided(granted, consent_source),
        }
        if event.traits and (kept := redact.traits(event.traits, known)):
            sealed["traits"] = kept
        if context:
            sealed["context"] = context
        if gpc:
            sealed["gpc"] = True
        if event.limited_data_use is not None:
            sealed["limited_data_use"] = event.limited_data_use
        if findings:
            sealed["findings"] = findings
        return sealed

    def _decided(self, granted: list[str], source: str) -> dict[str, Any]:
        """The record of a decision, not to be changed: events with the same signals share their decision, which mostly is the last event's."""
        if granted is not self._granted or source != self._source:
            self._granted, self._source = granted, source
            self._consent = {"granted": granted, "source": source}
        return self._consent

    def owner(self, anonymous_id: str) -> str:
        """As :func:`owner`, remembered like the rest of an identity."""
        if not anonymous_id:
            return ""
        key = self._digests.key("owner", anonymous_id)
        known = self._digests.get(key)
        if known is None:
            known = owner(anonymous_id)
            self._digests.keep(key, known)
        return known

    def overlay(self, event: Event, rules: tuple[UserRule, ...]) -> dict[str, Any]:
        """The user fields that an integration's own mappings give, normalised and hashed like the others."""
        user: dict[str, Any] = {}
        for rule in rules:
            raw = _lookup(event, rule.source) if rule.source else None
            if raw is not None and rule.transform is not None:
                try:
                    raw = rule.transform(raw)
                except Exception:  # noqa: BLE001 - a mapping's fault leaves out its field, never the event
                    raw = None
            if raw is None or raw == "":
                raw = rule.default
            if raw and (value := self.field(rule.target, raw)):
                user[rule.target] = value
        return user

    def field(self, field: str, raw: Any) -> str | list[str]:
        """One user field, normalised and (where TikTok wants it) hashed; ``''`` if nothing usable is left."""
        if type(raw) is not list:
            return self._one(field, raw)
        values = list(dict.fromkeys(value for item in raw[:MAX_VALUES] if (value := self._one(field, item))))
        return values if len(values) > 1 and field in normalise.LISTS else values[0] if values else ""

    def _one(self, field: str, raw: Any) -> str:
        text = raw.strip() if type(raw) is str else fields.text(raw)
        if not text:
            return ""
        if field not in _HASHED:
            return self._plain(field, text)
        digests = self._digests
        key = digests.key(field, text)
        known = digests.get(key)
        if known is None:
            known = self._hashed(field, text)
            digests.keep(key, known)
        return known

    def _hashed(self, field: str, text: str) -> str:
        if len(text) == 64 and normalise.is_digest(text):
            return normalise.digest(text)
        if normalise.is_nothing(text, normalise.PLACEHOLDERS if field in normalise.NAMED else normalise.NO_IDS):
            return ""
        normal = _HASHED[field](text, self._region)
        return sha256(normal) if normal else ""

    def _plain(self, field: str, text: str) -> str:
        if normaliser := normalise.PLAIN.get(field):
            return "" if normalise.is_nothing(text, normalise.PLACEHOLDERS) else normaliser(text, self._region)[:100]
        check = _CHECKED.get(field)
        return text if check is not None and check(text) else ""

    def _fallback_id(self, event: Event, visitor: Visitor) -> str:
        return (
            (self._one("external_id", event.user_id) if event.user_id else "")
            or (self._one("external_id", event.anonymous_id) if event.anonymous_id else "")
            or (self._one("external_id", visitor.anonymous_id) if visitor.anonymous_id else "")
        )

    @staticmethod
    def _page_url(page: dict[str, str], visitor: Visitor, findings: list[str]) -> str:
        """Put another in place of a URL that is none of a web page; it may be none."""
        given = page.pop("url", "").strip()
        if given[:8].lower().startswith(_WEB):
            page["url"] = given
            return given
        why = "page.url: not the address of a web page" if given else "page.url: not given"
        if visitor.referer.startswith(_WEB):
            page["url"] = visitor.referer
            if given:
                findings.append(f"{why}; the Referer is used")
        elif visitor.host and _HOST.fullmatch(visitor.host):
            page["url"] = f"https://{visitor.host}/"
            findings.append(f"{why}; the site's root is used")
        else:
            findings.append(f"{why}, and nothing to derive it from")
        return page.get("url", "")

    @staticmethod
    def _time(event: Event, received: float, findings: list[str]) -> int:
        if event.timestamp is None:
            return int(received)
        # The sender's clock may be wrong, but the distance between its two readings is right.
        moment = min(event.timestamp, received) if event.sent_at is None else event.timestamp + (received - event.sent_at)
        if not _EARLIEST_S <= moment <= received + _SKEW_S:
            findings.append("event_time: not plausible; the time of receipt is used")
            return int(received)
        return int(min(moment, received))


def _spellings(raw: Any) -> tuple[str, ...]:
    """Telephone numbers as the sender wrote them, to be found wherever else it wrote them; hashed ones need no looking for."""
    values = raw if type(raw) is list else [raw]
    texts = (fields.text(value).strip() for value in values[:MAX_VALUES])
    return tuple(text.lower() for text in texts if _MIN_PHONE <= len(text) <= 40)


def _full_names(first: Any, last: Any) -> tuple[str, ...]:
    """First and last name as one would write them in a greeting, a link or a list; either alone may be any word, and stays."""
    if type(first) is not str or type(last) is not str:
        return ()
    first, last = first.strip().lower(), last.strip().lower()
    if max(len(first), len(last)) > _MAX_NAME:
        return ()
    if first.islower() and last.islower():
        if len(first) + len(last) < _MIN_NAME or min(len(first), len(last)) < 2:
            return ()
        names = [f"{last}, {first}"]
    elif len(first) + len(last) < _MIN_NAME_WITHOUT_CAPITALS or first.isdigit() or last.isdigit():
        return ()
    else:
        names = [last + first, first + last]
    for between in _BETWEEN_NAMES:
        names += (first + between + last, last + between + first)
    return tuple(names)


def _is_locale(text: str) -> bool:
    # Nearly every one: told at a tenth of the cost of a match, which decides about the others.
    if (len(text) == 2 or (len(text) == 5 and ord(text[2]) == ord("-") and _two_letters(text, 3))) and _two_letters(text, 0):
        return True
    return _LOCALE.fullmatch(text) is not None


def _two_letters(text: str, at: int) -> bool:
    return ord("a") <= (ord(text[at]) | 32) <= ord("z") and ord("a") <= (ord(text[at + 1]) | 32) <= ord("z")


def _is_ip(text: str) -> bool:
    return 3 <= len(text) <= 45 and _IP.fullmatch(text) is not None


_IP: Final = re.compile(r"[0-9]{1,3}(?:\.[0-9]{1,3}){3}|[0-9A-Fa-f:]*:[0-9A-Fa-f:.]*")
_CHECKED: dict[str, Callable[[str], object]] = {
    "ttclid": click_id.valid,
    "ttp": browser_id.valid,
    "locale": _is_locale,
    "ip": _is_ip,
    "user_agent": lambda text: len(text) <= 1024 and text.isascii() and "@" not in text and "%40" not in text,
}
"""User fields that are sent as they are, with what they must look like; a field that is in none of the tables is not sent."""


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
        elif type(value) is list and part.isascii() and part.isdigit() and int(part) < len(value):
            value = value[int(part)]
        else:
            return None
    return value if type(value) in {str, int, float, list} else None
