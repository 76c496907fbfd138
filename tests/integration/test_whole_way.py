"""Whatever comes in on whichever wire: what is accepted maps to an item that TikTok would take, with nothing it would silently ignore, and with no trace of who it was.

The judges share no code with what they judge: the simulator's validation, and the marks that were planted.
"""

import asyncio
import hashlib
import hmac
from typing import Any
from urllib.parse import quote

import orjson
from collect_desk import INTEGRATION, NOW, PIPELINE, Desk
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.mapping.compile import Mapped, Program, Unmapped
from gateway.mapping.presets import PRESETS
from gateway.sandbox import validate

EMAIL, PHONE, SECRET = "Alice.Liddell@wonderland.example", "+447911123456", "s3cret"
MARKS = [mark.encode() for mark in ("alice.liddell", "wonderland", "447911123456")]
PIPE = {**PIPELINE, "secret": SECRET, "rate_limit": 10_000_000, "server_consent": "asserted", "integrations": list(PRESETS)}
INTEGRATIONS = [{**INTEGRATION, "id": name, "preset": name, "default_action": "passthrough"} for name in PRESETS]

PERSONAL = st.sampled_from(
    [
        EMAIL,
        PHONE,
        f"mail {EMAIL} or call {PHONE}!",
        f"https://shop.example.com/?email={EMAIL}&tel={PHONE}#{EMAIL}",
        quote(EMAIL),
        f"?a={quote(quote(EMAIL))}",
        [EMAIL, PHONE],
    ]
)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=8)
    | st.sampled_from(["12.50", "1,5", "EUR", "product", "42", "a" * 9000, "2026-11-23T13:00:00Z", "127.0.0.1", "8.8.8.8", "__CLICKID__", "null", "a" * 64])
)  # fmt: skip
VALUES = PERSONAL | st.recursive(
    SCALARS,
    lambda inner: st.lists(inner | PERSONAL, max_size=3) | st.dictionaries(st.text(max_size=6), inner | PERSONAL, max_size=3),
    max_leaves=5,
)
ANY_KEY = st.text(max_size=6)
NAMES = (
    st.sampled_from([name for preset in PRESETS.values() for name in preset.events] + ["purchase", "Purchase", "Wheel Spun"])
    | VALUES
)


def objects(*keys: str, values: st.SearchStrategy[Any] = VALUES) -> st.SearchStrategy[Any]:
    """An object with some of these keys and perhaps others – or something else in its place, once in a while."""
    return (
        st.dictionaries(st.sampled_from(keys) | ANY_KEY, values, max_size=7)
        | st.dictionaries(st.sampled_from(keys), values, max_size=5)
        | VALUES
    )


LINES = st.lists(
    objects("product_id", "content_id", "sku", "price", "quantity", "name", "brand", "category", "content_type"), max_size=3
)
PROPERTIES = objects(
    "value", "revenue", "total", "currency", "contents", "products", "items", "content_ids", "content_type", "query", "search_string", "order_id", "num_items", "email",
    "phone", "comment", "url", "ttclid", "event_id", "description", "status", "checkin_date", "city", "make", "price", "quantity", "product_id",
    values=VALUES | LINES,
)  # fmt: skip
PEOPLE = objects(
    "email",
    "phone",
    "phone_number",
    "external_id",
    "first_name",
    "last_name",
    "city",
    "zip",
    "country",
    "ttp",
    "ttclid",
    "ip",
    "user_agent",
    "locale",
    "note",
)
PAGES = objects("url", "referrer", "title", "path", "search")
CONTEXT = objects(
    "page", "user", "traits", "ip", "userAgent", "locale", "ttclid", "ttp", "campaign", "device", values=VALUES | PAGES | PEOPLE
)
REST = st.fixed_dictionaries({}, optional={
    "properties": PROPERTIES, "traits": PEOPLE, "user": PEOPLE, "context": CONTEXT, "userId": VALUES, "anonymousId": VALUES, "messageId": VALUES, "timestamp": VALUES,
    "event_time": VALUES, "event_id": VALUES, "page": PAGES, "limited_data_use": VALUES, "sentAt": VALUES,
})  # fmt: skip
SIGNALS = st.builds(
    lambda name, type_, rest: rest | {"event": name} | type_,
    NAMES,
    st.sampled_from([{}, {"type": "page"}, {"type": "identify"}, {"type": "track"}]),
    REST,
)
NATIVES = st.builds(
    lambda name, rest, page: rest | {"event": name, "event_time": int(NOW), "page": page},
    st.sampled_from(["Purchase", "Pageview", "Odd"]),
    REST,
    PAGES,
)


async def _send(desk: Desk, wire: str, document: Any) -> None:
    body = orjson.dumps(document)
    if wire == "signed":
        stamp = str(int(NOW))
        digest = hmac.new(SECRET.encode(), stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
        await desk.post("v1/events", body, X_Timestamp=stamp, X_Signature=f"sha256={digest}")
    elif wire == "native":
        whole = {"event_source": "web", "event_source_id": INTEGRATION["pixel_code"], "data": [document]}
        await desk.post("open_api/v1.3/event/track/", whole, Access_Token=SECRET)
    elif wire == "pixel":
        user, page = document.get("user"), document.get("page")
        context = document.get("context") if isinstance(document.get("context"), dict) else {}
        await desk.post("api/v2/pixel", {**document, "context": {**context, "user": user, "page": page}})
    else:
        await desk.post(
            "e", body, Referer=f"https://shop.example.com/?mail={EMAIL}", Cookie=f"ttclid={EMAIL}; _dfid={EMAIL}; _ttp={EMAIL}"
        )


def _judge(program: Program, payload: bytes) -> None:
    low = payload.lower()
    assert [mark for mark in MARKS if mark in low] == [], payload
    found = program.apply(orjson.loads(payload))
    if isinstance(found, Unmapped):
        return
    assert isinstance(found, Mapped)
    item = orjson.loads(orjson.dumps(found.item))
    body = {"event_source": "web", "event_source_id": "C1", "data": [item]}
    validate.request(body)
    ignored = [
        finding
        for finding in validate.findings(body, item)
        if "ignored" in finding or "hash" in finding or "SHA" in finding or "user.ip" in finding
    ]
    assert ignored == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(["signal", "signed", "pixel", "native"]), st.data())
def test_the_whole_way_of_anything(wire: str, data: st.DataObject):
    document = data.draw(NATIVES if wire == "native" else SIGNALS)

    async def run() -> None:
        desk = Desk(pipelines=[PIPE], integrations=INTEGRATIONS, consent={"default": "grant"})
        await _send(desk, wire, document)
        assert desk.spool is not None
        for id_, integration in desk.live.current.integrations.items():
            for record in await desk.spool.lease(id_, 10, 1 << 30, 0.0):
                _judge(integration.program, record.payload)

    asyncio.run(run())
