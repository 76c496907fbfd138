"""The pipeline is total: every event has exactly one outcome for every integration, and nothing a sender does is a 5xx."""

import asyncio
import time
from collections import Counter
from pathlib import Path
from typing import Any

import orjson
import pytest
from collect_desk import BROWSER, INTEGRATION, PIPELINE, Desk, Reply
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.spool.memory import MemorySpool

VECTORS = Path(__file__).parents[2] / "vectors"
WIDE = {**PIPELINE, "rate_limit": 10_000_000, "secret": "s3cret", "integrations": ["tt", "own", "open", "off", "broken"]}
INTEGRATIONS = [
    INTEGRATION,
    {
        **INTEGRATION,
        "id": "own",
        "pixel_code": "C4DEF",
        "global": {"mappings": [{"source": "properties.mail", "target": "user.email"}]},
    },
    {**INTEGRATION, "id": "open", "consent": []},
    {**INTEGRATION, "id": "off", "enabled": False},
]

CONTEXTS = st.fixed_dictionaries(
    {},
    optional={
        "consent": st.dictionaries(st.sampled_from(["marketing", "analytics", "advertising"]), st.booleans(), max_size=2),
        "pixel": st.sampled_from([{"code": "C4ABC"}, {"code": "C4DEF"}, {"codes": "C4ABC|C4DEF"}, {"code": "C4XYZ"}, {}]),
        "gcs": st.sampled_from(["G111", "G100", "?"]),
        "page": st.fixed_dictionaries({"url": st.sampled_from(["https://shop.example.com/?ttclid=c", "x", ""])}),
    },
)
EVENTS = st.fixed_dictionaries(
    {"event": st.sampled_from(["Order Completed", "page", "x", "", None, 5])},
    optional={
        "type": st.sampled_from(["track", "page", "identify", "group", "?", [1]]), "timestamp": st.sampled_from(["2026-11-23T13:59:00Z", "soon", 1, 0]),
        "context": CONTEXTS, "properties": st.sampled_from([{"mail": "a@example.com"}, {"value": "1"}, {}, 5]), "anonymousId": st.text(max_size=4),
    },
)  # fmt: skip
ITEMS = st.lists(EVENTS | st.integers(0, 9) | st.none(), max_size=6)
AGENTS = st.sampled_from([BROWSER, "Googlebot/2.1", ""])
COOKIES = st.sampled_from(
    ["", "CookieConsent={marketing:true}", "CookieConsent={marketing:false}", "_ttp=" + "t" * 27 + "; _dfid=" + "d" * 32]
)


def targets(item: dict[str, Any]) -> int:
    """How many integrations an event is meant for; at least one outcome says that it is for none."""
    context = item.get("context")
    pixel = context.get("pixel") if isinstance(context, dict) else None
    code = (pixel or {}).get("codes") or (pixel or {}).get("code")
    if not code:
        return len(WIDE["integrations"])
    codes = code.split("|")
    return max(1, sum(entry["pixel_code"] in codes for entry in INTEGRATIONS))


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    ITEMS,
    AGENTS,
    COOKIES,
    st.sampled_from(["drop", "flag", "allow"]),
    st.sampled_from(["deny", "grant"]),
    st.sampled_from(["ok", "full", "none"]),
)
def test_events_in_are_outcomes_out(items: list[Any], agent: str, cookie: str, bots: str, default: str, spool: str) -> None:
    async def run() -> None:
        desk = Desk(pipelines=[{**WIDE, "bots": bots}], integrations=INTEGRATIONS, consent={"default": default})
        desk.collector.spool = {"ok": desk.spool, "full": MemorySpool(max_bytes=0), "none": None}[spool]
        reply = await desk.post("e", items, User_Agent=agent, Cookie=cookie)
        outcomes = desk.outcomes()
        stored = sum([len(await desk.sealed(lane)) for lane in ("tt", "own", "open", "off")])
        assert stored == sum(count for (_, _, outcome, _), count in outcomes.items() if outcome == "accepted")
        assert reply.status in ({200, 503} if spool != "ok" else {200})
        rejected = sum(
            count for (_, integration, outcome, _), count in outcomes.items() if outcome == "rejected" and not integration
        )
        if reply.status == 200:
            document = reply.json
            assert document["accepted"] + document["filtered"] + len(document["rejected"]) == len(items)
            assert len(document["rejected"]) == rejected
            bad = {entry["index"] for entry in document["rejected"]}
            expected = rejected + sum(targets(item) for at, item in enumerate(items) if at not in bad)
            assert sum(outcomes.values()) == expected
        else:
            assert stored == 0
            refused = sum(count for (_, _, outcome, _), count in outcomes.items() if outcome == "refused")
            assert refused > 0
        per_pair = Counter(dict.fromkeys(("tt", "own", "open", "off"), 0))
        for (_, integration, _, _), count in outcomes.items():
            if integration:
                per_pair[integration] += count
        assert all(count <= len(items) - rejected for count in per_pair.values())

    asyncio.run(run())


ENDPOINTS = [
    "v1/t", "v1/p", "v1/i", "v1/g", "v1/c", "v1/batch", "v1/events", "e", "api/v2/pixel", "api/v2/pixel/act", "open_api/v1.3/event/track/",
]  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False) | st.text(st.characters(exclude_categories=["Cs"]), max_size=12),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from([
        "event", "type", "batch", "data", "context", "properties", "traits", "user", "page", "pixel", "consent", "ad", "event_source_id", "writeKey", "timestamp",
    ]), inner, max_size=6),
    max_leaves=25,
)  # fmt: skip
HEADER = st.text(st.characters(exclude_characters="\r\n\x00", max_codepoint=0x2FF), max_size=40)


def sound(reply: Reply) -> None:
    assert 200 <= reply.status < 500
    if reply.status == 429:
        assert reply.one("Retry-After")
    if reply.status >= 400:
        assert reply.json


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.sampled_from(ENDPOINTS), JSON.map(orjson.dumps) | st.binary(max_size=60), st.dictionaries(
    st.sampled_from(["Cookie", "Origin", "Referer", "User_Agent", "Authorization", "X_Consent", "X_Timestamp", "X_Signature", "Access_Token", "Sec_GPC", "Content_Encoding", "Host"]),
    HEADER, max_size=4,
))  # fmt: skip
def test_no_request_is_a_fault_of_ours(path: str, body: bytes, headers: dict[str, str]) -> None:
    async def run() -> None:
        desk = Desk(pipelines=[{**WIDE, "domains": []}], integrations=INTEGRATIONS, consent={"default": "grant"})
        sound(await desk.send("POST", path, body, **headers))  # type: ignore[arg-type]

    asyncio.run(run())


@settings(max_examples=150, deadline=None)
@given(
    st.sampled_from(["px", "v1/pixel/t", "v1/pixel/p", "api/v2/pixel", "api/v2/pixel/act"]),
    st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=120),
)
def test_no_query_is_a_fault_of_ours(path: str, query: str) -> None:
    async def run() -> None:
        desk = Desk(pipelines=[WIDE], integrations=INTEGRATIONS, consent={"default": "grant"})
        sound(await desk.send("GET", f"{path}?{query}"))
        sound(await desk.send("GET", f"{path}?analytics_message={query}"))

    asyncio.run(run())


def vectors() -> list[Any]:
    found: list[Any] = []
    for path in sorted(VECTORS.glob("*.json")):
        document = orjson.loads(path.read_bytes())
        for record in document if isinstance(document, list) else [document]:
            shapes = [record, record.get("input"), record.get("expected")]
            for shape in shapes:
                if isinstance(shape, dict):
                    found += [
                        shape,
                        *(
                            shape.get(key)
                            for key in ("event", "payload", "body", "data_item")
                            if isinstance(shape.get(key), dict)
                        ),
                    ]
    return found


@pytest.mark.parametrize("path", ENDPOINTS)
async def test_other_tools_events_on_every_endpoint(path: str) -> None:
    documents = vectors()
    assert len(documents) > 100
    desk = Desk(pipelines=[WIDE], integrations=INTEGRATIONS, consent={"default": "grant"})
    for document in documents:
        sound(await desk.post(path, document, Access_Token="s3cret", X_Consent="marketing"))


async def test_other_tools_events_are_not_lost() -> None:
    """What has a name in any collector's spelling is accepted."""
    desk = Desk(
        pipelines=[WIDE], integrations=[{**entry, "enabled": True} for entry in INTEGRATIONS], consent={"default": "grant"}
    )
    named = [
        document
        for document in vectors()
        if isinstance(document.get("event"), str) and document["event"] and "messages" not in document
    ]
    assert len(named) > 20
    for document in named:
        reply = await desk.post("e", document)
        assert (reply.status, reply.json["accepted"]) == (200, 1), document


async def test_other_tools_native_bodies_are_taken_whole() -> None:
    pixels = sorted(
        {
            document["event_source_id"]
            for document in vectors()
            if isinstance(document.get("data"), list) and "event_source_id" in document
        }
    )
    entries = [{**INTEGRATION, "id": f"i{at}", "pixel_code": pixel} for at, pixel in enumerate(pixels)]
    desk = Desk(pipelines=[{**WIDE, "integrations": [entry["id"] for entry in entries]}], integrations=entries)
    taken = 0
    for document in vectors():
        if isinstance(document.get("data"), list) and "event_source_id" in document:
            reply = await desk.post("open_api/v1.3/event/track/", document, Access_Token="s3cret", X_Consent="marketing")
            assert (reply.status, reply.json["code"]) == (200, 0)
            taken += 1
    assert taken == 8


HEAVY: dict[str, Any] = {
    "brackets": b"[" * 500_000,
    "flat arrays": b"[" + b"[]," * 300_000 + b"[]]",
    "at signs": orjson.dumps({"event": "x", "properties": {"s": "@" * 1_000_000}}),
    "almost addresses": orjson.dumps({"event": "x", "properties": {f"k{at}": "a." * 4000 + "@" for at in range(120)}}),
    "almost telephones": orjson.dumps({"event": "x", "properties": {f"k{at}": "0123 " * 1600 for at in range(120)}}),
    "many keys": orjson.dumps({"event": "x", "properties": {f"k{at}": at for at in range(70_000)}}),
    "wide and nested": orjson.dumps({"event": "x", "properties": {"a": [{"b": [{"c": 1}] * 10}] * 5000}}),
    "crowded consent": orjson.dumps({"event": "x", "context": {"consent": {f"c{at}": True for at in range(60_000)}}}),
    "identities": orjson.dumps({"event": "x", "traits": {"email": ["a@b.c"] * 150_000, "phone": ["+44 20 7946 0000"] * 10_000}}),
    "pixel codes": orjson.dumps({"event": "x", "context": {"pixel": {"codes": "|" * 1_000_000}}}),
    "a long time": orjson.dumps({"event": "x", "timestamp": "1" * 1_000_000}),
    "a long number": b'{"event":"x","properties":{"n":' + b"1" * 1_000_000 + b"}}",
}


@pytest.mark.parametrize("name", HEAVY)
async def test_no_body_holds_the_loop_for_a_second(name: str) -> None:
    """Seconds of CPU, so that a busy machine fails nobody; all of these take a quarter of it at most."""
    desk = Desk(pipelines=[{**WIDE, "bots": "allow"}], integrations=INTEGRATIONS, consent={"default": "grant"})
    for path in ("e", "api/v2/pixel", "v1/c"):
        began = time.process_time()
        sound(await desk.send("POST", path, HEAVY[name]))
        assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    "headers",
    [
        {"Cookie": "a=1;" * 16_000}, {"Cookie": "_ttp=" + "x" * 60_000}, {"Cookie": "OptanonConsent=" + "groups=," * 600}, {"User_Agent": "a" * 60_000},
        {"Referer": "https://x/?" + "ttclid=%" * 7500}, {"Origin": "https://" + "a." * 30_000}, {"Authorization": "Bearer " + "x" * 60_000},
    ],
)  # fmt: skip
async def test_no_header_holds_the_loop(headers: dict[str, str]) -> None:
    desk = Desk(pipelines=[WIDE], integrations=INTEGRATIONS, consent={"default": "grant"})
    began = time.process_time()
    sound(await desk.post("e", {"event": "x"}, **headers))
    assert time.process_time() - began < 0.5
