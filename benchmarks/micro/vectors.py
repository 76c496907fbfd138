"""The test vectors as each wire format carries them (io: reads tests/vectors).

Law: what the tests read is what is timed. Every event that has a name goes through Signal as it is; the pixel and the image have no vectors of other tools and get the same events in
their own shape; native bodies are those that tools send to TikTok.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import orjson

from gateway.event import image, jsonbody, native, pixel, signal
from gateway.event.model import Parsed, Wire

VECTORS = Path(__file__).parents[2] / "tests" / "vectors"
_BY_HTTP = ("posthog", "zaraz", "walkeros")


@dataclass(slots=True)
class Format:
    """One wire format's vectors, and how they are read."""

    bodies: list[bytes]
    read: Callable[[bytes], Parsed]


def formats() -> dict[Wire, Format]:
    """All of them."""
    named = list(_named())
    natives = [orjson.dumps(body) for body in _natives()]
    return {
        Wire.SIGNAL: Format([orjson.dumps(event) for event in named], lambda body: signal.parse(jsonbody.load(body), None)),
        Wire.PIXEL: Format(
            [orjson.dumps(_hit(event)) for event in named], lambda body: pixel.parse(jsonbody.load(body), act=False)
        ),
        Wire.IMAGE: Format([_query(event).encode() for event in named], lambda body: image.parse(body.decode(), "t")),
        Wire.NATIVE: Format(natives, lambda body: native.parse(jsonbody.load(body), body)),
    }


def _records() -> Iterator[dict[str, Any]]:
    for name in _BY_HTTP:
        yield from json.loads((VECTORS / f"{name}.json").read_text())


def _named() -> Iterator[dict[str, Any]]:
    """Events in Signal's shape: PostHog's person as traits, Zaraz's commerce and walkerOS's data as properties."""
    for record in _records():
        given = record["input"]
        if not isinstance(given, dict):
            continue
        event, payload = given.get("event"), given.get("payload", {})
        person = (given.get("person") or {}).get("properties", {})
        if isinstance(event, dict):
            name = event.get("event") or event.get("name")
            properties = event.get("properties") or event.get("data") or {}
        else:
            name, properties = event or given.get("name") or payload.get("name"), payload.get("ecommerce", {})
        if name and isinstance(name, str):
            yield {
                "type": "track", "event": name, "messageId": record["id"], "timestamp": "2026-11-23T12:00:00Z", "traits": person,
                "properties": properties, "context": {"page": {"url": "https://shop.example.com/"}, "consent": {"marketing": True}},
            }  # fmt: skip


def _hit(event: dict[str, Any]) -> dict[str, Any]:
    """As the pixel's script sends it: what identifies is hashed already."""
    return {
        "event": event["event"], "event_id": event["messageId"], "timestamp": event["timestamp"], "properties": event["properties"],
        "context": {**event["context"], "user": {"email": "a" * 64, "phone_number": "b" * 64}, "pixel": {"code": "C4ABCDEF1234567890AB"}},
    }  # fmt: skip


def _query(event: dict[str, Any]) -> str:
    """As an image's address: names and what is flat of the properties."""
    flat = {f"p.{key}": value for key, value in event["properties"].items() if isinstance(value, str | int | float)}
    return urlencode(
        {"ev": event["event"], "id": event["messageId"], "url": event["context"]["page"]["url"], "consent": "granted", **flat}
    )


def _natives() -> Iterator[dict[str, Any]]:
    for record in _records():
        for side in (record.get("input"), record.get("expected")):
            if isinstance(side, dict):
                for body in (side, side.get("body")):
                    if isinstance(body, dict) and isinstance(body.get("data"), list) and "event_source_id" in body:
                        yield body
