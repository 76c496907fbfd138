"""TikTok's rules for a data item, checked before it is sent (pure).

Law: a finding names a path and never a value. Only what no delivery can mend is fatal: an unusable name or time. What TikTok refuses, what it silently ignores and what
costs matching or reporting are all findings; the words say which.
"""

import re
from collections.abc import Iterator
from ipaddress import ip_address
from typing import Any, NamedTuple

from gateway.mapping import tiktok
from gateway.mapping.names import TIKTOK_NAMES, TIKTOK_SPELLINGS, canonical

_EARLIEST_S, _LATEST_S = 946_684_800, 4_102_444_800  # 2000 and 2100
_DIGEST = re.compile(r"[0-9a-f]{64}")
_MATCHING = ("email", "phone", "external_id", "ttclid", "ttp")
_WITH_VALUE = frozenset({"Purchase", "CompletePayment", "Subscribe", "StartTrial"})
_CATALOGUE_TYPES = frozenset({"hotel", "flight", "destination", "vehicle"})
_CATALOGUE_EVENTS = frozenset({"ViewContent", "Search", "InitiateCheckout", "Purchase"})
_NUMBER_TYPES = frozenset({int, float})


class Finding(NamedTuple):
    """One thing TikTok would refuse, ignore or miss."""

    path: str
    message: str
    fatal: bool = False

    def __str__(self) -> str:
        return f"{self.path}: {self.message}"


def check(item: dict[str, Any]) -> list[Finding]:
    """What is wrong with ``item``, most serious first."""
    findings = [*_event(item), *_page(item.get("page")), *_user(item.get("user"))]
    properties = item.get("properties", {})
    if type(properties) is dict:
        findings += _properties(properties)
        findings += _recommended(str(item.get("event")), properties)
    else:
        findings.append(Finding("properties", "TikTok refuses what is not an object"))
    return sorted(findings, key=lambda finding: not finding.fatal)


def _event(item: dict[str, Any]) -> Iterator[Finding]:
    event, time, event_id = item.get("event"), item.get("event_time"), item.get("event_id")
    if type(event) is not str or not event.strip() or len(event) > tiktok.MAX_EVENT_NAME:
        yield Finding("event", "a name of at most 100 characters is required", fatal=True)
    elif event in tiktok.LEGACY_EVENTS:
        yield Finding("event", f"{event} was renamed {tiktok.LEGACY_EVENTS[event]} in 2025; TikTok still takes the old name")
    elif event in tiktok.RETIRING_EVENTS:
        better = tiktok.RETIRING_EVENTS[event]
        yield Finding("event", f"{event} ends in 2027" + (f"; use {better}" if better else ""))
    elif event not in TIKTOK_SPELLINGS:
        meant = TIKTOK_NAMES.get(canonical(event))
        yield Finding(
            "event",
            f"a custom event, for reporting only; TikTok spells its own {meant}"
            if meant
            else "a custom event, for reporting only",
        )
    if type(time) is not int or not _EARLIEST_S <= time < _LATEST_S:
        yield Finding("event_time", "whole Unix seconds of this century are required", fatal=True)
    if type(event_id) is not str:
        yield Finding(
            "event_id",
            "TikTok refuses what is not a text; without one it cannot tell duplicates"
            if event_id is not None
            else "missing; TikTok cannot tell duplicates",
        )
    elif not event_id:
        yield Finding("event_id", "empty; TikTok cannot tell duplicates")
    if type(item.get("limited_data_use", False)) is not bool:
        yield Finding("limited_data_use", "TikTok refuses what is not true or false")


def _page(page: Any) -> Iterator[Finding]:
    url = page.get("url") if type(page) is dict else None
    if type(url) is not str or not url:
        yield Finding("page.url", "required for web events; TikTok may refuse the event")
    elif not url.startswith(("https://", "http://")):
        yield Finding("page.url", "not the address of a web page")


def _user(user: Any) -> Iterator[Finding]:
    if type(user) is not dict:
        yield Finding("user", "nothing to match the visitor by")
        return
    for field, value in user.items():
        if field not in tiktok.USER_FIELDS:
            better = tiktok.MISNAMED_USER_FIELDS.get(field)
            yield Finding(f"user.{field[:64]}", "TikTok ignores this field" + (f"; it is called {better}" if better else ""))
            continue
        values = value if type(value) is list else [value]
        if not values or not all(type(entry) is str and entry for entry in values):
            yield Finding(f"user.{field}", "TikTok refuses what is not a text")
        elif field in tiktok.HASHED_USER_FIELDS and not all(_DIGEST.fullmatch(entry) for entry in values):
            yield Finding(f"user.{field}", "not a lower-case SHA-256; it matches nobody")
    ip, ttclid = user.get("ip"), user.get("ttclid")
    if type(ip) is str and ip and not _is_public(ip):
        yield Finding("user.ip", "not a public address")
    if type(ttclid) is str and len(ttclid) > tiktok.MAX_TTCLID:
        yield Finding("user.ttclid", f"longer than the {tiktok.MAX_TTCLID} characters that TikTok documents; sent whole")
    if not any(user.get(field) for field in _MATCHING):
        yield Finding(
            "user", "nothing but address and user agent to match the visitor by" if user else "nothing to match the visitor by"
        )


def _is_public(ip: str) -> bool:
    try:
        return ip_address(ip).is_global
    except ValueError:
        return False


def _is_number(value: Any) -> bool:
    return type(value) in _NUMBER_TYPES and abs(value) < 1e15  # NaN compares false


def _properties(properties: dict[str, Any]) -> Iterator[Finding]:
    for field, value in properties.items():
        if field in _TEXT_FIELDS and type(value) is not str:
            yield Finding(f"properties.{field}", "TikTok refuses what is not a text")
        elif field in _NUMBER_FIELDS and not _is_number(value):
            yield Finding(f"properties.{field}", "TikTok refuses what is not a number")
        elif field in _WHOLE_FIELDS and type(value) is not int:
            yield Finding(f"properties.{field}", "TikTok refuses what is not a whole number")
        elif field in tiktok.STRING_LISTS and not (type(value) is list and all(type(entry) is str for entry in value)):
            yield Finding(f"properties.{field}", "TikTok refuses what is not a list of texts")
        elif field in tiktok.ENUMS and value not in tiktok.ENUMS[field]:
            yield Finding(f"properties.{field}", f"not one of {', '.join(tiktok.ENUMS[field])}")
    if type(code := properties.get("currency")) is str and code not in tiktok.CURRENCIES:
        yield Finding("properties.currency", "not a currency TikTok knows")
    contents = properties.get("contents", [])
    if type(contents) is not list:
        yield Finding("properties.contents", "TikTok refuses what is not a list")
        return
    for at, content in enumerate(contents):
        if type(content) is not dict:
            yield Finding(f"properties.contents.{at}", "TikTok refuses what is not an object")
            continue
        if not content.get("content_id"):
            yield Finding(f"properties.contents.{at}.content_id", "none given; the product cannot be found in a catalogue")
        for field, value in content.items():
            if field in tiktok.CONTENT_STRINGS and type(value) is not str:
                yield Finding(f"properties.contents.{at}.{field}", "TikTok refuses what is not a text")
            elif field == "price" and not _is_number(value):
                yield Finding(f"properties.contents.{at}.price", "TikTok refuses what is not a number")
            elif field == "quantity" and type(value) is not int:
                yield Finding(f"properties.contents.{at}.quantity", "TikTok refuses what is not a whole number")


def _recommended(event: str, properties: dict[str, Any]) -> Iterator[Finding]:
    if properties.get("value") and "currency" not in properties:
        yield Finding("properties.currency", "missing beside a value; TikTok cannot use the value")
    if event in _WITH_VALUE and "value" not in properties:
        yield Finding("properties.value", f"missing; {event} cannot be reported or bid on by value")
    if event == "Search" and "search_string" not in properties:
        yield Finding("properties.search_string", "missing")
    if (
        event in _CATALOGUE_EVENTS
        and str(properties.get("content_type")) in _CATALOGUE_TYPES
        and not properties.get("content_ids")
    ):
        yield Finding("properties.content_ids", "missing; catalogue ads match by it")


_TEXT_FIELDS = tiktok.STRINGS | {"search_string", "query", "currency"}
_NUMBER_FIELDS = tiktok.NUMBERS | {"value"}
_WHOLE_FIELDS = tiktok.INTEGERS | {"num_items"}
