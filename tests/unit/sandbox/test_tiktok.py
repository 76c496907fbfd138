"""The simulator over HTTP: TikTok's envelope and codes, what arrived, faults, and that nothing a sender does is a fault of its own."""

import asyncio
import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

import aiohttp
import orjson
import pytest
from aiohttp.test_utils import TestClient
from hypothesis import given
from hypothesis import strategies as st

from gateway.sandbox import tiktok, validate

Client = TestClient[Any, Any]
Opener = Callable[..., Awaitable[Client]]
HASH = "848a77149b8ab81b3f0d0ae3b0e7a4c2bd5b5ed5f9b2fd6a9c0b1a9d4f7e3c21"
TOKEN = {"Access-Token": "token", "Content-Type": "application/json"}


def event(event_id: str = "1", **more: Any) -> dict[str, Any]:
    return {
        "event": "Purchase", "event_time": 1_795_000_000, "event_id": event_id, "user": {"email": HASH}, "page": {"url": "https://shop.example.com/"},
        "properties": {"value": 9.5, "currency": "EUR"}, **more,
    }  # fmt: skip


def body(*events: Any, **more: Any) -> dict[str, Any]:
    return {"event_source": "web", "event_source_id": "C1", "data": list(events) or [event()], **more}


@pytest.fixture
async def sandbox(aiohttp_client: Opener) -> Client:
    return await aiohttp_client(tiktok.create_app())


async def track(client: Client, document: Any, headers: dict[str, str] = TOKEN) -> tuple[int, dict[str, Any]]:
    raw = document if isinstance(document, bytes) else orjson.dumps(document)
    async with client.post(tiktok.PATH, data=raw, headers=headers) as answer:
        assert answer.content_type == "application/json"
        return answer.status, await answer.json()


async def get(client: Client, path: str) -> Any:
    async with client.get(path) as answer:
        assert answer.status == 200, (path, answer.status)
        return await answer.json()


async def faults(client: Client, **given: Any) -> Any:
    async with client.put("/sandbox/faults", json=given) as answer:
        assert answer.status == 200, await answer.text()
        return await answer.json()


# -- the documented endpoint


async def test_a_good_request_gets_tiktoks_envelope(sandbox: Client):
    status, answer = await track(sandbox, body())
    assert status == 200
    assert (answer["code"], answer["message"], answer["data"]) == (0, "OK", {})
    assert answer["request_id"]
    (entry,) = (await get(sandbox, "/sandbox/events"))["events"]
    assert entry == {
        "seq": 1,
        "event_source_id": "C1",
        "test_event_code": None,
        "event": event(),
        "accepted": True,
        "code": 0,
        "findings": [],
    }


async def test_it_keeps_the_item_as_received_and_says_what_tiktok_ignores(sandbox: Client):
    sent = event(user={"phone_number": HASH, "ttp": "t"}, properties={"odd": {"deep": [1, None]}})
    status, answer = await track(sandbox, body(sent, test_event_code="TEST1"))
    assert (status, answer["code"]) == (200, 0)
    (entry,) = (await get(sandbox, "/sandbox/events"))["events"]
    assert entry["event"] == sent
    assert entry["test_event_code"] == "TEST1"
    assert entry["findings"] == ["user.phone_number: ignored by TikTok; the field is called phone"]


@pytest.mark.parametrize(("document", "headers", "status", "code", "message"), [
    (body(), {}, 401, 40104, "Access token"),
    (body(), {"Access-Token": ""}, 401, 40104, "Access token"),
    (body(), {"Access-Token": "revoked"}, 401, 40105, "Access token"),
    (body(event_source_id="BADPIXEL"), TOKEN, 200, 40001, "pixel"),
    (b"{", TOKEN, 200, 40002, "JSON"),
    (b"", TOKEN, 200, 40002, "JSON"),
    (b"\xff\xfe", TOKEN, 200, 40002, "JSON"),
    ([], TOKEN, 200, 40002, "JSON object"),
    ("text", TOKEN, 200, 40002, "JSON object"),
    (body(partner_name="me"), TOKEN, 200, 40063, "partner"),
    (body(*[event()] * 1001), TOKEN, 200, 40002, "maximum length 1000"),
    (body(event(), event(event_id=7)), TOKEN, 200, 40002, "Batch.1.event_id: Not a valid string"),
    (body(event(), {**event(), "properties": {"contents": [{"content_id": 5}]}}), TOKEN, 200, 40002, "Batch.1.properties.contents.0.content_id"),
])  # fmt: skip
async def test_what_is_refused(sandbox: Client, document: Any, headers: dict[str, str], status: int, code: int, message: str):
    found, answer = await track(sandbox, document, headers)
    assert (found, answer["code"]) == (status, code)
    assert message in answer["message"]
    stats = await get(sandbox, "/sandbox/stats")
    assert stats["accepted"] == stats["unique"] == 0
    assert not any(entry["accepted"] for entry in (await get(sandbox, "/sandbox/events"))["events"])


async def test_one_bad_event_fails_its_neighbours_and_all_are_shown_as_refused(sandbox: Client):
    await track(sandbox, body(event("a"), event("b", event_time="now"), event("c")))
    entries = (await get(sandbox, "/sandbox/events"))["events"]
    assert [entry["event"]["event_id"] for entry in entries] == ["a", "b", "c"]
    assert {(entry["accepted"], entry["code"]) for entry in entries} == {(False, 40002)}
    assert {tuple(entry["findings"]) for entry in entries} == {("Batch.1.event_time: Not a valid integer",)}


async def test_a_bearer_prefix_is_not_tiktoks_header(sandbox: Client):
    status, answer = await track(sandbox, body(), {"Authorization": "Bearer token"})
    assert (status, answer["code"]) == (401, 40104)


async def test_a_token_with_bearer_before_it_is_not_the_token(sandbox: Client):
    status, answer = await track(sandbox, body(), TOKEN | {"Access-Token": "Bearer token"})
    assert (status, answer["code"]) == (401, 40105)


async def test_another_content_type_is_a_finding(sandbox: Client):
    assert (await track(sandbox, body(), TOKEN | {"Content-Type": "text/plain"}))[1]["code"] == 0
    (entry,) = (await get(sandbox, "/sandbox/events"))["events"]
    assert entry["findings"] == ["Content-Type: not application/json"]


async def test_an_old_and_a_future_event_are_findings(sandbox: Client):
    now = int(time.time())
    await track(
        sandbox, body(event("1", event_time=now - 29 * 86400), event("2", event_time=now + 3600), event("3", event_time=now))
    )
    found = [entry["findings"] for entry in (await get(sandbox, "/sandbox/events"))["events"]]
    assert found == [["event_time: older than 28 days, the longest attribution window"], ["event_time: in the future"], []]


@pytest.mark.parametrize(
    ("method", "path"),
    [("POST", tiktok.PATH.rstrip("/")), ("GET", tiktok.PATH), ("POST", "/open_api/v1.2/pixel/track/"), ("POST", "/open_api/")],
)
async def test_the_endpoint_is_one_path_that_ends_in_a_slash(sandbox: Client, method: str, path: str):
    async with sandbox.request(method, path, json=body(), headers=TOKEN) as answer:
        assert answer.status == 404
        assert (await answer.json())["code"] == 40400


# -- looking at it


async def test_stats_count_by_pixel_event_and_event_id(sandbox: Client):
    await track(sandbox, body(event("1"), event("2"), event("1")))
    await track(sandbox, body(event("1")))
    await track(sandbox, body(event("1"), event_source_id="C2"))
    await track(sandbox, body(event("1", event="Lead")))
    await track(sandbox, body(event("9", page=None)))
    assert await get(sandbox, "/sandbox/stats") == {"requests": 5, "events": 7, "accepted": 6, "unique": 4, "duplicates": 2}


@pytest.mark.parametrize(("since", "expected"), [
    ("", [1, 2, 3]), ("?since=0", [1, 2, 3]), ("?since=2", [3]), ("?since=3", []), ("?since=-1", [1, 2, 3]), ("?since=x", [1, 2, 3]),
    ("?since=%C2%B2", [1, 2, 3]), ("?since=" + "9" * 5000, []),
])  # fmt: skip
async def test_events_since(sandbox: Client, since: str, expected: list[int]):
    await track(sandbox, body(event("1"), event("2"), event("3")))
    found = [entry["seq"] for entry in (await get(sandbox, f"/sandbox/events{since}"))["events"]]
    assert found == expected


@pytest.mark.parametrize(("query", "expected"), [
    ("limit=2", [2, 3]), ("since=1&limit=1", [3]), ("limit=0", []), ("limit=9", [1, 2, 3]), ("limit=x", [1, 2, 3]), ("limit=-1", [1, 2, 3]),
])  # fmt: skip
async def test_the_newest_events_and_the_last_number(sandbox: Client, query: str, expected: list[int]):
    assert (await get(sandbox, "/sandbox/events"))["last"] == 0
    await track(sandbox, body(event("1"), event("2"), event("3")))
    document = await get(sandbox, f"/sandbox/events?{query}")
    assert [entry["seq"] for entry in document["events"]] == expected
    assert document["last"] == 3


async def test_clearing(sandbox: Client):
    await track(sandbox, body())
    async with sandbox.delete("/sandbox/events") as answer:
        assert answer.status == 204
    assert (await get(sandbox, "/sandbox/events"))["events"] == []
    assert set((await get(sandbox, "/sandbox/stats")).values()) == {0}


@pytest.mark.parametrize(("path", "kind"), [
    ("/sandbox/", "text/html"), ("/sandbox", "text/html"), ("/", "text/html"), ("/sandbox/static/sandbox.js", "text/javascript"),
    ("/sandbox/static/sandbox.css", "text/css"),
])  # fmt: skip
async def test_the_page_and_its_parts(sandbox: Client, path: str, kind: str):
    async with sandbox.get(path) as answer:
        assert (answer.status, answer.content_type) == (200, kind)
        text = await answer.text()
    if kind == "text/html":
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "<script>" not in text
        assert "style=" not in text


@pytest.mark.parametrize("path", ["/sandbox/static/sandbox.html", "/sandbox/static/validate.py", "/sandbox/static/a", "/other"])
async def test_nothing_else_is_served(sandbox: Client, path: str):
    async with sandbox.get(path) as answer:
        assert answer.status == 404


async def test_the_pages_script_writes_text_only(sandbox: Client):
    async with sandbox.get("/sandbox/static/sandbox.js") as answer:
        script = await answer.text()
    for way in ("innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "DOMParser"):
        assert way not in script


# -- faults


@pytest.mark.parametrize(("given", "status", "kind", "headers", "code"), [
    ({"code": 40100}, 200, "application/json", {}, 40100),
    ({"code": 0}, 200, "application/json", {}, 0),
    ({"code": 50000, "http_status": 500, "retry_after": 2.5, "message": "busy"}, 500, "application/json", {"Retry-After": "2.5"}, 50000),
    ({"http_status": 429, "retry_after": 7}, 429, "text/plain", {"Retry-After": "7"}, None),
    ({"http_status": 503}, 503, "text/plain", {}, None),
    ({"html": True}, 200, "text/html", {}, None),
    ({"html": True, "http_status": 502}, 502, "text/html", {}, None),
])  # fmt: skip
async def test_each_answer_on_demand(
    sandbox: Client, given: dict[str, Any], status: int, kind: str, headers: dict[str, str], code: int | None
):
    await faults(sandbox, **given)
    async with sandbox.post(tiktok.PATH, json=body(), headers=TOKEN) as answer:
        assert (answer.status, answer.content_type) == (status, kind)
        assert {name: answer.headers.get(name) for name in headers} == headers
        if code is not None:
            document = await answer.json()
            assert (document["code"], document["message"]) == (code, given.get("message", "fault injected" if code else "OK"))
    assert (await get(sandbox, "/sandbox/stats"))["events"] == 0
    assert await faults(sandbox) == {}
    assert (await track(sandbox, body()))[1]["code"] == 0


async def test_a_reset_after_processing_has_taken_the_events_in(sandbox: Client):
    await faults(sandbox, reset=True, after_processing=True, count=1)
    with pytest.raises(aiohttp.ClientError):
        await track(sandbox, body())
    assert (await get(sandbox, "/sandbox/stats"))["accepted"] == 1
    assert (await track(sandbox, body()))[1]["code"] == 0
    assert (await get(sandbox, "/sandbox/stats"))["duplicates"] == 1


async def test_a_hang_never_answers(sandbox: Client):
    await faults(sandbox, hang=True, count=1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(track(sandbox, body()), 0.05)
    assert await get(sandbox, "/sandbox/faults") == {"hang": True, "count": 1, "left": 0}
    assert (await track(sandbox, body()))[1]["code"] == 0


@pytest.mark.parametrize(("after_processing", "taken"), [(True, 1), (False, 0)])
async def test_who_gives_up_waiting_has_been_served_only_after_processing(after_processing: bool, taken: int):
    runner = await tiktok.serve("127.0.0.1", 0)
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}", headers=TOKEN) as session:
        async with session.put("/sandbox/faults", json={"latency_ms": 60_000, "after_processing": after_processing}) as answer:
            assert answer.status == 200
        with pytest.raises(TimeoutError):
            await session.post(tiktok.PATH, json=body(), timeout=aiohttp.ClientTimeout(0.2))
        async with session.get("/sandbox/stats") as answer:
            assert (await answer.json())["accepted"] == taken
    await runner.cleanup()


async def test_a_hanging_request_ends_with_its_sender():
    runner = await tiktok.serve("127.0.0.1", 0)
    others = asyncio.all_tasks()
    async with aiohttp.ClientSession(f"http://127.0.0.1:{runner.addresses[0][1]}", headers=TOKEN) as session:
        async with session.put("/sandbox/faults", json={"hang": True}) as answer:
            assert answer.status == 200
        with pytest.raises(TimeoutError):
            await session.post(tiktok.PATH, json=body(), timeout=aiohttp.ClientTimeout(0.1))
    ending = asyncio.all_tasks() - others - {asyncio.current_task()}
    await asyncio.wait_for(asyncio.gather(*ending, return_exceptions=True), 5)
    await runner.cleanup()


async def test_latency_alone_delays_and_then_works(sandbox: Client):
    await faults(sandbox, latency_ms=30)
    begun = time.monotonic()
    assert (await track(sandbox, body()))[1]["code"] == 0
    assert time.monotonic() - begun >= 0.03


@pytest.mark.parametrize("given", [b"[]", b"{", b'{"html":3}', b'{"what":1}', b'{"rate":2}', b"\xff"])
async def test_no_such_fault(sandbox: Client, given: bytes):
    async with sandbox.put("/sandbox/faults", data=given) as answer:
        assert answer.status == 400
        assert (await answer.json())["error"]
    assert await get(sandbox, "/sandbox/faults") == {}


# -- fast


async def test_fast_keeps_counts_only(aiohttp_client: Opener):
    fast = await aiohttp_client(tiktok.create_app(fast=True))
    for _ in range(2):
        assert (await track(fast, body(event("1"), event("2")), {}))[1]["code"] == 0
    assert (await get(fast, "/sandbox/events"))["events"] == []
    assert await get(fast, "/sandbox/stats") == {"requests": 2, "events": 4, "accepted": 4, "unique": 2, "duplicates": 2}


@pytest.mark.parametrize("raw", [b"", b"{", b"[]", b'{"event_source_id":"C1"}'])
async def test_fast_leaves_the_collector_as_it_was(aiohttp_client: Opener, raw: bytes):
    fast = await aiohttp_client(tiktok.create_app(fast=True))
    assert gc.isenabled()
    await track(fast, body())
    assert (await track(fast, raw))[1]["code"] == 40002
    assert gc.isenabled()


# -- anything at all

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = ["event", "event_time", "event_id", "user", "page", "properties", "limited_data_use", "test_event_code"]
ITEMS = st.builds(lambda changes: event() | changes, st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=3))
USERS = st.builds(
    lambda user: event(user=user),
    st.dictionaries(
        st.sampled_from(["email", "phone", "ip", "ttp", "x"]), st.text() | st.lists(st.text(), max_size=2), max_size=4
    ),
)
PROPERTIES = st.builds(
    lambda properties: event(properties=properties),
    st.dictionaries(
        st.sampled_from(["value", "currency", "contents", "content_type", "content_ids", "num_items", "x"]), JSON, max_size=4
    ),
)
BODIES = (
    JSON
    | st.builds(
        lambda changes: body() | changes,
        st.dictionaries(
            st.sampled_from(["event_source", "event_source_id", "data", "test_event_code", "partner_name", "x"]), JSON, max_size=3
        ),
    )
    | st.builds(lambda items: body(*items), st.lists(ITEMS | USERS | PROPERTIES | JSON, min_size=1, max_size=3))
)


@given(BODIES)
def test_any_request_is_taken_or_refused(document: Any):
    try:
        items = validate.request(document)
    except validate.Refused as raised:
        refused, items = raised, []
    else:
        refused = None
    assert refused is None or (refused.code in {40002, 40063} and refused.message)
    for item in items:
        assert all(type(finding) is str for finding in validate.findings(document, item))


@pytest.mark.parametrize("depth", [200, *range(245, 256), 600, 1000])
async def test_deep_nesting_does_not_poison_the_list(sandbox: Client, depth: int):
    raw = orjson.dumps(body(event(properties={"x": "HERE"}))).replace(b'"HERE"', b"[" * depth + b"]" * depth)
    await track(sandbox, raw)
    await track(sandbox, body(event("after")))
    entries = (await get(sandbox, "/sandbox/events"))["events"]
    assert entries[-1]["event"]["event_id"] == "after"


@pytest.mark.parametrize(
    "document", [b"[]", b"7", b"{}", b'{"event_source_id":[],"data":7}', b'{"event_source_id":"C","data":[1,{"event":{}}]}']
)
@pytest.mark.parametrize("fast", [False, True])
async def test_no_document_is_a_fault_of_the_simulators(aiohttp_client: Opener, document: bytes, fast: bool):
    client = await aiohttp_client(tiktok.create_app(fast=fast))
    status, answer = await track(client, document)
    assert (status, answer["code"]) == (200, 40002)
