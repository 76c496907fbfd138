"""Sealed events and programs for the tests of mapping."""

from typing import Any

from gateway.catalog.model import IntegrationSettings
from gateway.mapping.compile import Mapped, Program

USER = {
    "email": "a" * 64,
    "external_id": "b" * 64,
    "ip": "8.8.8.8",
    "user_agent": "Mozilla/5.0",
    "ttp": "2NbVBtlA8nqwZQ8aJvWq3yJ0uRz",
}
PAGE = {
    "url": "https://shop.example.com/thanks?x=1#top",
    "referrer": "https://www.example.org/?q=2",
    "title": "Thanks",
    "path": "/thanks",
}
TIME = 1_750_000_000


def sealed(name: str = "Order Completed", properties: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A sealed event as the spool gives it back."""
    event: dict[str, Any] = {
        "v": 1,
        "wire": "signal",
        "type": "page" if name == "page" else "track",
        "name": name,
        "event_id": "e-1",
        "time": TIME,
        "received": TIME + 0.5,
        "pipeline": "shop",
        "user": dict(USER),
        "page": dict(PAGE),
        "properties": properties or {},
        "consent": {"granted": ["marketing"], "source": "event"},
    }
    return event | fields


def program(**settings: Any) -> Program:
    """What the catalogue compiles for an integration with these settings, written as in the file."""
    entry = IntegrationSettings.model_validate({"id": "tiktok", "pixel_code": "C4ABCDEF1234567890AB", **settings})
    return Program(
        preset=entry.preset,
        events=entry.events,
        global_=entry.global_,
        defaults=entry.defaults,
        default_action=entry.default_action,
        send=entry.send,
        limited_data_use=entry.limited_data_use,
    )


def mapped(event: dict[str, Any], **settings: Any) -> Mapped:
    """The event's data item; fails if there is none."""
    found = program(**settings).apply(event)
    assert isinstance(found, Mapped), found
    return found


def item(event: dict[str, Any], **settings: Any) -> dict[str, Any]:
    """The same without the findings."""
    return mapped(event, **settings).item


def properties(given: dict[str, Any], name: str = "Order Completed", **settings: Any) -> dict[str, Any]:
    """TikTok's properties of an event with these."""
    return item(sealed(name, given), **settings).get("properties", {})
