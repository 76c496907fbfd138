"""The requests that are sent: the 940-byte pixel-like event with cookies that all figures refer to, single or in batches.

Law: only the event_id changes from request to request (fixed width), so that rendering one costs a few slices.
"""

import json
from collections.abc import Callable

COOKIES = (
    "_ga=GA1.1.1234567890.1697783008; _ttp=2NbVBtlA8nqwZQ8aJvWq3yJ0uRz; ttclid=E.C.P.CrQBd5qRz; "
    "OptanonConsent=isGpcEnabled=0&datestamp=Mon+Nov+23+2026&version=202405.1.0&groups=C0001%3A1%2CC0002%3A1%2CC0003%3A1%2CC0004%3A1; "
    "_dfid=7f1c2a54-6a1e-4a6e-9e0e-5b1d7c0a9f11"
)
USER_AGENT = "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36"
ID_WIDTH = 20


def event(event_id: str) -> dict[str, object]:
    """One Signal event of a shop's visitor, personal data included."""
    return {
        "type": "track",
        "event": "Product Added",
        "messageId": event_id,
        "userId": "user_123",
        "anonymousId": "7f1c2a54-6a1e-4a6e-9e0e-5b1d7c0a9f11",
        "timestamp": "2026-11-23T12:00:00.123Z",
        "sentAt": "2026-11-23T12:00:00.323Z",
        "traits": {"email": "alice_abc@gmail.com", "phone": "+12133734253"},
        "properties": {
            "currency": "EUR",
            "value": "99.95",
            "products": [
                {"product_id": 1234, "name": "Trail shoe", "category": "Shoes", "brand": "Acme", "price": 99.95, "quantity": 1}
            ],
        },
        "context": {
            "page": {
                "url": "https://shop.example.com/products/trail-shoe?utm_source=tiktok&ttclid=E.C.P.CrQBd5qRz",
                "referrer": "https://www.tiktok.com/",
                "title": "Trail shoe",
            },
            "locale": "en-GB",
            "library": {"name": "_df", "version": "1.4.0"},
            "consent": {"marketing": True, "analytics": True},
        },
    }


def event_id(run: str, number: int) -> str:
    """Fixed-width id, unique per run and number."""
    return f"{run[:8]:_<8}{number:012x}"


def collect_request(host: str, path: str, run: str, *, batch: int = 1, headers: tuple[str, ...] = ()) -> Callable[[int], bytes]:
    """A renderer of POST requests with ``batch`` events each; event n of request i has the id ``event_id(run, i*batch+n)``."""
    marks = [f"{'@' * (ID_WIDTH - 4)}{n:04d}" for n in range(batch)]
    events = [event(mark) for mark in marks]
    body = json.dumps(events[0] if batch == 1 else {"batch": events}, separators=(",", ":")).encode()
    head = (
        f"POST {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nContent-Type: text/plain;charset=UTF-8\r\n"
        f"Accept: */*\r\nAccept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\nOrigin: http://{host}\r\n"
        f"Referer: http://{host}/products/trail-shoe\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Mode: no-cors\r\nSec-Fetch-Dest: empty\r\n"
        f"X-Forwarded-For: 203.0.114.7\r\nCookie: {COOKIES}\r\n"
        + "".join(f"{line}\r\n" for line in headers)
        + f"Content-Length: {len(body)}\r\n\r\n"
    ).encode()
    pieces: list[bytes] = []
    rest = head + body
    for mark in marks:
        before, rest = rest.split(mark.encode(), 1)
        pieces.append(before)
    prefix = run[:8].ljust(8, "_").encode()

    def render(number: int) -> bytes:
        if batch == 1:
            return b"%b%b%012x%b" % (pieces[0], prefix, number, rest)
        first = number * batch
        return b"".join(b"%b%b%012x" % (piece, prefix, first + n) for n, piece in enumerate(pieces)) + rest

    return render


def get_request(host: str, path: str) -> Callable[[int], bytes]:
    """A renderer of one GET of an ordinary page, as a browser sends it."""
    request = (
        f"GET {path} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: {USER_AGENT}\r\nAccept: text/html,*/*;q=0.8\r\n"
        f"Accept-Language: en-GB,en;q=0.9\r\nAccept-Encoding: gzip, deflate, br\r\nCookie: {COOKIES}\r\n\r\n"
    ).encode()
    return lambda _number: request
