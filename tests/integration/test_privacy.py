"""No raw e-mail, telephone number or name leaves the request: not in the spool, not in logs or metrics, not to TikTok."""

import base64
import hashlib
import hmac
import json
import re
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from whole import CONFIG, PIXEL, Whole, whole

EMAIL = "alice.liddell@wonderland.example"
PHONE = "+447911123456"
NAME = "Liddell-Pleasance"
RAW = [EMAIL, quote(EMAIL), "alice.liddell", PHONE, PHONE[1:], "07911123456", "07911 123456", NAME]
SECRETS = ["access-token-1", "pipeline-secret-1"]

FIRST = "Alicia"
TRAITS = {
    "email": EMAIL,
    "phone": "07911 123456",
    "firstName": FIRST,
    "lastName": NAME,
    "address": {"city": "Oxford", "lastName": NAME},
    "note": EMAIL,
}
PROPERTIES = {
    "value": 12.5,
    "currency": "EUR",
    "email": EMAIL,
    "phone": PHONE,
    "customer": {"email": EMAIL, "phone": PHONE, "last_name": NAME, "contacts": [{"mail": EMAIL}, f"call {PHONE}"]},
    "comment": f"please write to {EMAIL} or call +44 7911 123456",
    "products": [{"product_id": "42", "name": f"Gift for {EMAIL}", "price": 12.5, "quantity": 1}],
}
PAGE = {
    "url": f"https://shop.example/thanks?email={quote(EMAIL)}&tel={quote(PHONE)}&name={NAME}&ttclid=click-12345678#{EMAIL}",
    "referrer": f"https://shop.example/login?user={EMAIL}",
    "title": f"Thank you, {EMAIL}",
    "search": f"?email={EMAIL}",
    "path": f"/thanks/{EMAIL}",
}


# Where the event says who its visitor is, the full name is known and goes wherever it is written.
NAMED = PROPERTIES | {
    "comment": f"{PROPERTIES['comment']}, for {FIRST} {NAME}",
    "description": f"{NAME}, {FIRST}".upper(),
    "content_name": f"Gift for {FIRST} {NAME}",
    "products": [{"product_id": "42", "name": f"{FIRST.lower()} {NAME.lower()}'s gift", "price": 12.5, "quantity": 1}],
}
NAMED_PAGE = PAGE | {"title": f"Thank you, {FIRST} {NAME} ({EMAIL})", "path": f"/thanks/{FIRST}%20{NAME}"}


def signal_event(event_id: str) -> dict[str, Any]:
    """A Signal event with personal data wherever a site might put it."""
    return {
        "type": "track",
        "event": "Order Completed",
        "messageId": event_id,
        "userId": EMAIL,
        "anonymousId": f"anonymous-{EMAIL}",
        "traits": TRAITS,
        "properties": NAMED,
        "context": {
            "page": NAMED_PAGE,
            "traits": TRAITS,
            "campaign": {"name": f"for {EMAIL}", "term": PHONE},
            "device": {"owner": EMAIL},
            "consent": {"marketing": True},
        },
    }


@pytest.fixture
async def around(tmp_path: Path) -> AsyncIterator[Whole]:
    """A gateway whose records stay in the spool, because TikTok is away."""
    async with whole(tmp_path) as surroundings:
        surroundings.write(CONFIG, **{"grace: 10s": "grace: 500ms"})
        await surroundings.start()
        await surroundings.faults(code=50000)
        yield surroundings


async def _send_everything(around: Whole) -> int:
    """Every wire format, and input that is refused; how many records must be in the spool."""
    cookies = f"_ttp={EMAIL}; _dfid={EMAIL}; ttclid={EMAIL}; email={EMAIL}"
    answers = [
        await around.post(signal_event("signal-1"), Cookie=cookies, Referer=PAGE["referrer"]),
        await around.post(signal_event("signal-2") | {"type": "identify", "event": None}, "/gw/v1/i"),
        await around.post({"batch": [signal_event("signal-3"), {"event": EMAIL, "type": PHONE}]}, "/gw/v1/batch"),
    ]
    pixel = {
        "event": "CompletePayment",
        "event_id": "pixel-1",
        "context": {"user": {"email": hashlib.sha256(EMAIL.encode()).hexdigest()}, "page": PAGE, "pixel": {"code": PIXEL}},
        "properties": PROPERTIES,
    }
    native = {
        "event_source": "web",
        "event_source_id": PIXEL,
        "data": [
            {
                "event": "Purchase",
                "event_time": int(time.time()),
                "event_id": "native-1",
                "user": {
                    "email": EMAIL,
                    "phone": PHONE,
                    "external_id": EMAIL,
                    "first_name": FIRST,
                    "last_name": NAME,
                    "note": EMAIL,
                },
                "properties": NAMED,
                "page": {"url": PAGE["url"], "referrer": PAGE["referrer"]},
            }
        ],
    }
    body = json.dumps(signal_event("signed-1")).encode()
    stamp = str(int(time.time()))
    signature = hmac.new(b"pipeline-secret-1", stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    answers += [
        await around.post(pixel, "/gw/api/v2/pixel", Cookie="OptanonConsent=groups%3DC0004%3A1"),
        await around.post(native, "/gw/open_api/v1.3/event/track/", Access_Token="access-token-1", X_Consent="marketing"),
        await around.post(body, "/gw/v1/events", X_Timestamp=stamp, X_Signature=f"sha256={signature}"),
    ]
    assert [status for status, _, _ in answers] == [200] * len(answers), answers
    image = f"/gw/px?ev=Order+Completed&url={quote(PAGE['url'])}&uid={quote(EMAIL)}&p.email={quote(EMAIL)}&p.note={quote(PHONE)}"
    message = base64.urlsafe_b64encode(json.dumps(pixel | {"event_id": "pixel-2"}).encode()).decode()
    browser = {"User-Agent": "Mozilla/5.0 Chrome/126", "Cookie": "OptanonConsent=groups%3DC0004%3A1"}
    for path in (image, f"/gw/api/v2/pixel?analytics_message={quote(message)}"):
        async with around.session.get(f"http://127.0.0.1:{around.edge}{path}", headers=browser) as answer:
            assert answer.status == 200
    # what is refused may be logged; what passes through may fail
    for rubbish in (
        b'{"event": "' + EMAIL.encode(),
        json.dumps([{"event": {"email": EMAIL}}]).encode(),
        json.dumps(EMAIL).encode(),
    ):
        await around.post(rubbish)
    await around.post(signal_event("no-such-key") | {"writeKey": f"key-{EMAIL}"})
    await around.get(f"/gw/{quote(EMAIL)}?email={EMAIL}")
    await around.get(f"/account?email={EMAIL}")
    return sum(body.get("accepted", 0) for _, body, _ in answers) + 2


def _leaks(content: bytes, raw: list[str]) -> list[str]:
    text = content.decode("utf-8", "replace").lower()
    return [found for found in raw if found.lower() in text]


async def test_no_raw_identity_outlives_the_request(around: Whole) -> None:
    at_least = await _send_everything(around)
    metrics = await around.metrics()
    spooled = re.search(r'ttgateway_spool_records{integration="tiktok-shop"} (\S+)', metrics)
    assert spooled is not None
    assert float(spooled[1]) >= at_least
    around.send(signal.SIGTERM)
    await around.ended()
    files = {path.name: path.read_bytes() for path in (around.state / "spool").rglob("*") if path.is_file()}
    assert any(b"Order Completed" in content for content in files.values()), "the spool holds nothing to be searched"
    places = files | {"log": around.log_file.read_bytes(), "metrics": metrics.encode()}
    assert {name: leaks for name, content in places.items() if (leaks := _leaks(content, RAW + SECRETS))} == {}


async def test_tiktok_gets_hashes_only(around: Whole) -> None:
    await around.faults()
    await _send_everything(around)

    async def all_delivered() -> bool:
        metrics = await around.metrics()
        return 'ttgateway_spool_records{integration="tiktok-shop"} 0.0' in metrics

    await around.until(all_delivered)
    received = await around.received()
    assert {entry["event"]["event_id"] for entry in received} >= {
        "signal-1",
        "signal-3",
        "pixel-1",
        "pixel-2",
        "native-1",
        "signed-1",
    }
    assert _leaks(json.dumps(received, ensure_ascii=False).encode(), RAW + SECRETS) == []
    (purchase,) = [entry["event"] for entry in received if entry["event"]["event_id"] == "signal-1"]
    assert purchase["user"]["email"] == hashlib.sha256(EMAIL.encode()).hexdigest()
    assert purchase["user"]["phone"] == hashlib.sha256(PHONE.encode()).hexdigest()


async def test_a_refused_event_does_not_echo_into_dead_letters_or_logs(around: Whole) -> None:
    """TikTok's message may quote what was sent."""
    await around.faults(code=40002)
    await around.post(signal_event("refused"))

    async def buried() -> bool:
        return "dead letter" in around.log_file.read_text() or "suspended" in around.log_file.read_text()

    await around.until(buried)
    await around.kill()
    files = [path.read_bytes() for path in (around.state / "spool").rglob("*") if path.is_file()]
    assert [
        _leaks(content, RAW + SECRETS) for content in [*files, around.log_file.read_bytes()] if _leaks(content, RAW + SECRETS)
    ] == []
