"""The first-party endpoints: routes, bodies, pipelines, limits, durability."""

import asyncio
import base64
import gzip
from typing import Any

import orjson
import pytest
from collect_desk import BROWSER, INTEGRATION, NOW, PIPELINE, Desk, FailingCommits, event

from gateway.consent.settings import ConsentSettings
from gateway.errors import SpoolUnavailable
from gateway.event.fields import MAX_EVENTS
from gateway.mapping.prepared import Prepared
from gateway.outcome import Reason
from gateway.spool.memory import MemorySpool
from gateway.telemetry.feed import Feed

pytestmark = pytest.mark.usefixtures("both_readers")

SECOND = {**PIPELINE, "id": "blog", "key": "dk_blog", "domains": ["blog.example.net"], "integrations": ["tt"]}
GIF = b"GIF89a"


# -- routes


@pytest.mark.parametrize(("path", "type_"), [("v1/t", "track"), ("v1/p", "page"), ("v1/i", "identify"), ("v1/g", "group")])
async def test_single_events(path: str, type_: str) -> None:
    desk = Desk()
    reply = await desk.post(path, event())
    assert (reply.status, reply.body, reply.deferred) == (200, b'{"success":true}', True)
    assert reply.one("Content-Type") == "application/json"
    (sealed,) = await desk.sealed()
    assert sealed["type"] == type_
    assert desk.outcomes() == {("shop", "tt", "accepted", ""): 1}


@pytest.mark.parametrize("path", ["e", "v1/batch"])
@pytest.mark.parametrize("wrap", [lambda e: e, lambda e: [e], lambda e: {"batch": [e], "sentAt": "2026-11-23T14:00:00Z"}])
async def test_batches(path: str, wrap: Any) -> None:
    desk = Desk()
    reply = await desk.post(path, wrap(event()), Content_Type="text/plain;charset=UTF-8")
    assert (reply.status, reply.json) == (200, {"success": True, "accepted": 1, "filtered": 0, "rejected": []})
    assert len(await desk.sealed()) == 1


@pytest.mark.parametrize(
    "target",
    [
        "px?ev=Order+Completed&id=9&consent=granted",
        "v1/pixel/t?ev=x&consent=1",
        "v1/pixel/p?consent=1&url=https%3A%2F%2Fshop.example.com%2F",
    ],
)
async def test_images(target: str) -> None:
    desk = Desk()
    reply = await desk.send("GET", target)
    assert reply.status == 200
    assert reply.body.startswith(GIF)
    assert (reply.one("Content-Type"), reply.one("Cache-Control")) == ("image/gif", "no-store")
    assert len(await desk.sealed()) == 1


async def test_an_image_is_an_image_even_if_its_event_is_none() -> None:
    desk = Desk()
    reply = await desk.send("GET", "v1/pixel/t?k=dk_shop")
    assert (reply.status, reply.one("Content-Type")) == (200, "image/gif")
    assert desk.fates() == {("rejected", "missing_name"): 1}


@pytest.mark.parametrize("path", ["api/v2/pixel", "api/v2/pixel/act"])
async def test_the_pixels_wire(path: str) -> None:
    desk = Desk()
    hit = {"event": "AddToCart", "event_id": "e", "context": {"pixel": {"code": "C4ABC"}, **event()["context"]}, "properties": {}}
    reply = await desk.post(path, hit)
    assert (reply.status, reply.json["accepted"]) == (200, 1)
    message = base64.urlsafe_b64encode(orjson.dumps({**hit, "event_id": "f"})).decode().rstrip("=")
    reply = await desk.send("GET", f"{path}?analytics_message={message}")
    assert (reply.status, reply.json["accepted"]) == (200, 1)
    assert [sealed["wire"] for sealed in await desk.sealed()] == ["pixel", "pixel"]


async def test_automatic_actions_are_filtered_not_rejected() -> None:
    desk = Desk()
    reply = await desk.post("api/v2/pixel/act", {"event": "Metadata", "context": {}})
    assert reply.json == {"success": True, "accepted": 0, "filtered": 1, "rejected": []}
    assert desk.fates() == {("filtered", "automatic_event"): 1}


@pytest.mark.parametrize("path", ["api/v2/pixel/inter", "api/v2/pixel/perf", "api/v2/pixel/enrich_ipv6", "api/v2/monitor"])
async def test_the_pixels_bookkeeping_is_taken_and_ignored(path: str) -> None:
    desk = Desk()
    for method in ("GET", "POST"):
        assert (await desk.send(method, path, b"\xff not json")).status == 200
    assert desk.outcomes() == {}


@pytest.mark.parametrize("target", ["", "v1", "v1/x", "v1/t/", "V1/T", "../v1/t", "v1/%74", "e//", "open_api/v1.2/event/track/"])
async def test_unknown_paths(target: str) -> None:
    reply = await Desk().post(target, event())
    assert (reply.status, reply.reason) == (404, "not_found")


@pytest.mark.parametrize(
    ("method", "path", "allow"),
    [
        ("GET", "v1/t", "POST, OPTIONS"), ("PUT", "e", "POST, OPTIONS"), ("POST", "px", "GET, OPTIONS"), ("DELETE", "api/v2/pixel", "GET, POST, OPTIONS"),
        ("GET", "v1/c", "POST, OPTIONS"), ("GET", "v1/events", "POST, OPTIONS"), ("GET", "open_api/v1.3/event/track/", "POST, OPTIONS"),
    ],
)  # fmt: skip
async def test_other_methods(method: str, path: str, allow: str) -> None:
    reply = await Desk().send(method, path)
    assert (reply.status, reply.one("Allow"), reply.reason) == (405, allow, "method_not_allowed")


async def test_head_of_an_image_has_no_effect() -> None:
    desk = Desk()
    reply = await desk.send("HEAD", "px?ev=x&consent=1")
    assert (reply.status, reply.body) == (200, b"")
    assert desk.outcomes() == {}


# -- bodies


@pytest.mark.parametrize(
    ("body", "status", "reason"),
    [
        (b"", 400, "invalid_json"), (b"{", 400, "invalid_json"), (b"NaN", 400, "invalid_json"), (b'{"event":"\\ud800"}', 400, "invalid_json"),
        (b"\xff\xfe", 400, "invalid_json"), (b"5", 400, "wrong_shape"), (b'"x"', 400, "wrong_shape"), (b"null", 400, "wrong_shape"),
        (b"[" * 33 + b"]" * 33, 400, "too_deep"), (b"[" * 1100 + b"]" * 1100, 400, "invalid_json"), (b'{"a":' * 300 + b"1" + b"}" * 300, 400, "too_deep"),
        (b'{"type":[1]}', 400, "missing_name"), (b'{"event":""}', 400, "missing_name"), (b'{"event":5}', 400, "invalid_name"),
        (b'{"event":"x","timestamp":"soon"}', 400, "invalid_time"), (b'{"batch":{}}', 400, "wrong_shape"), (b"{}" * 3, 400, "invalid_json"),
        (b" " * (1 << 20) + b"{}", 413, "too_large"),
    ],
)  # fmt: skip
async def test_bad_bodies_have_a_reason(body: bytes, status: int, reason: str) -> None:
    desk = Desk()
    reply = await desk.send("POST", "v1/t", body)
    assert (reply.status, reply.reason) == (status, reason)
    assert reply.json["success"] is False
    assert reply.json["error"]["message"]
    assert desk.fates() == {("rejected", reason): 1}
    assert await desk.sealed() == []


@pytest.mark.parametrize(
    "body",
    [
        b'\xef\xbb\xbf{"event":"x"}', b'{"event":"x","event":"y"}', b'{"event":"x","properties":{"n":123456789012345678901234567890}}',
        b'{"event":"x","properties":{"n":18446744073709551615,"m":-9223372036854775808}}', b'{"event":"x","properties":{"s":"' + b"y" * 900_000 + b'"}}',
    ],
)  # fmt: skip
async def test_odd_bodies_are_stored_all_the_same(body: bytes) -> None:
    desk = Desk(consent={"default": "grant"})
    reply = await desk.send("POST", "v1/t", body)
    assert (reply.status, len(await desk.sealed())) == (200, 1)


async def test_a_huge_string_is_not_stored() -> None:
    desk = Desk(consent={"default": "grant"})
    await desk.post("v1/t", {"event": "x", "properties": {"s": "y" * 900_000, "kept": "z"}})
    (sealed,) = await desk.sealed()
    assert sealed["properties"] == {"s": "", "kept": "z"}


async def test_gzip() -> None:
    desk = Desk()
    for encoding in ("gzip", "x-gzip", " GZIP "):
        reply = await desk.send("POST", "e", gzip.compress(orjson.dumps(event())), Content_Encoding=encoding)
        assert (reply.status, reply.json["accepted"]) == (200, 1)
    assert (await desk.send("POST", "e", orjson.dumps(event()), Content_Encoding="identity")).status == 200


@pytest.mark.parametrize("path", ["e", "v1/events", "v1/c", "api/v2/pixel", "open_api/v1.3/event/track/"])
async def test_a_gzip_bomb_is_never_inflated(path: str) -> None:
    bomb = gzip.compress(b" " * (64 << 20), 9)
    assert len(bomb) < 1 << 17
    reply = await Desk().send("POST", path, bomb, Content_Encoding="gzip")
    assert reply.status == 413


@pytest.mark.parametrize("body", [b"", b"no gzip", gzip.compress(b'{"event":"x"}', mtime=0)[:-9], b"\x1f\x8b\x08"])
async def test_broken_gzip(body: bytes) -> None:
    reply = await Desk().send("POST", "e", body, Content_Encoding="gzip")
    assert (reply.status, reply.reason) == (400, "wrong_shape")


@pytest.mark.parametrize("encoding", ["br", "deflate", "zstd", "gzip, gzip", "gzip, identity", "x"])
async def test_other_encodings(encoding: str) -> None:
    reply = await Desk().send("POST", "e", b"{}", Content_Encoding=encoding)
    assert (reply.status, reply.reason) == (415, "invalid_encoding")


async def test_one_bad_event_does_not_spoil_its_neighbours() -> None:
    desk = Desk()
    reply = await desk.post(
        "e",
        [
            event(),
            5,
            {"event": ""},
            event(context={"consent": {"marketing": False}}),
            event(timestamp="soon"),
            event(messageId="m-2"),
        ],
    )
    assert reply.status == 200
    assert (reply.json["accepted"], reply.json["filtered"]) == (2, 1)
    assert [(r["index"], r["reason"]) for r in reply.json["rejected"]] == [
        (1, "wrong_shape"),
        (2, "missing_name"),
        (4, "invalid_time"),
    ]
    assert desk.fates() == {
        ("accepted", ""): 2, ("filtered", "consent_denied"): 1, ("rejected", "wrong_shape"): 1, ("rejected", "missing_name"): 1, ("rejected", "invalid_time"): 1,
    }  # fmt: skip


async def test_neighbours_on_a_single_endpoint_are_told_apart_too() -> None:
    desk = Desk()
    reply = await desk.post("v1/t", [event(), {"event": ""}])
    assert (reply.status, reply.json["accepted"], [r["index"] for r in reply.json["rejected"]]) == (200, 1, [1])


async def test_batch_sizes() -> None:
    desk = Desk(pipelines=[{**PIPELINE, "rate_limit": 100_000}])
    assert (await desk.post("e", [event()] * MAX_EVENTS)).json["accepted"] == MAX_EVENTS
    reply = await desk.post("e", [event()] * (MAX_EVENTS + 1))
    assert (reply.status, reply.reason) == (413, "too_many_events")
    assert (await desk.post("e", [])).json == {"success": True, "accepted": 0, "filtered": 0, "rejected": []}


async def test_an_event_without_an_id_gets_one() -> None:
    desk = Desk()
    await desk.post("e", [event(messageId=""), event(messageId=""), event(messageId=77)])
    ids = [sealed["event_id"] for sealed in await desk.sealed()]
    assert len(set(ids)) == 3
    assert all(type(id_) is str and id_ for id_ in ids)
    assert ids[2] == "77"


async def test_headers_that_are_no_utf8_cost_no_event() -> None:
    desk = Desk()
    odd = b"caf\xe9 \xff".decode("utf-8", "surrogateescape")
    reply = await desk.post(
        "v1/t",
        event(),
        User_Agent=BROWSER + odd,
        Referer="https://shop.example.com/" + odd,
        Cookie=f"_dfid={odd}; _ttp={odd}; ttclid={odd}",
    )
    assert reply.status == 200
    (sealed,) = await desk.sealed()
    assert sealed["user"]["user_agent"].startswith(BROWSER)
    assert "ttclid" not in sealed["user"]


# -- pipelines


@pytest.mark.parametrize(
    ("body", "headers"),
    [
        ({"writeKey": "dk_blog"}, {}), ({"pipelineKey": "dk_blog"}, {}), ({}, {"Authorization": "Bearer dk_blog"}), ({}, {"Authorization": "bearer  dk_blog "}),
        ({}, {"Host": "blog.example.net"}), ({}, {"Host": "BLOG.example.net:8443"}),
    ],
)  # fmt: skip
async def test_a_pipeline_is_found_by_key_or_host(body: dict[str, Any], headers: dict[str, str]) -> None:
    desk = Desk(pipelines=[PIPELINE, SECOND])
    reply = await desk.post("v1/t", event(**body), **{"Host": "blog.example.net", **headers})
    assert reply.status == 200
    assert desk.outcomes() == {("blog", "tt", "accepted", ""): 1}


async def test_a_key_in_a_query() -> None:
    desk = Desk(pipelines=[PIPELINE, SECOND])
    await desk.send("GET", "px?k=dk_blog&consent=1", Host="blog.example.net")
    assert desk.outcomes() == {("blog", "tt", "accepted", ""): 1}


@pytest.mark.parametrize("key", ["dk_none", "dk_sho", "dk_shop2", "é", "x" * 300])
async def test_an_unknown_key(key: str) -> None:
    desk = Desk()
    reply = await desk.post("v1/t", event(), Authorization=f"Bearer {key}")
    assert (reply.status, reply.reason) == (401, "unknown_key")
    reply = await desk.post("e", [event(writeKey=key[:200])] * 3)
    assert reply.status == 401
    assert desk.fates() == {("rejected", "unknown_key"): 4}


async def test_several_pipelines_and_no_sign_of_one() -> None:
    reply = await Desk(pipelines=[PIPELINE, SECOND], host="other.example.org").post("v1/t", event())
    assert (reply.status, reply.reason) == (400, "unknown_pipeline")


async def test_no_pipeline_is_a_fault_of_ours() -> None:
    desk = Desk(pipelines=[])
    for path in ("v1/t", "v1/events", "v1/c"):
        reply = await desk.post(path, {**event(), "consent": {"marketing": True}})
        assert (reply.status, reply.reason, reply.one("Retry-After")) == (503, "spool_unavailable", "30")
    reply = await desk.post(
        "open_api/v1.3/event/track/",
        {"event_source": "web", "event_source_id": "C4ABC", "data": [{"event": "x"}]},
        Access_Token="x",
    )
    assert (reply.status, reply.json["code"]) == (503, 50000)
    assert desk.fates() == {("refused", "spool_unavailable"): 4}


async def test_events_for_nobody() -> None:
    desk = Desk(pipelines=[{**PIPELINE, "integrations": []}])
    assert (await desk.post("e", [event()] * 2)).json["filtered"] == 2
    assert desk.outcomes() == {("shop", "", "filtered", "no_integration"): 2}


async def test_a_disabled_integration_gets_nothing() -> None:
    desk = Desk(integrations=[{**INTEGRATION, "enabled": False}])
    assert (await desk.post("v1/t", event())).status == 200
    assert desk.outcomes() == {("shop", "tt", "filtered", "integration_disabled"): 1}
    assert await desk.sealed() == []


async def test_what_a_broken_integration_misses_is_counted_told_and_shown() -> None:
    desk = Desk(pipelines=[{**PIPELINE, "integrations": ["tt", "broken"]}])
    feed = desk.metrics.feed = Feed(lambda: desk.now)
    named = event(context={**event()["context"], "pixel": {"code": "C4ABC"}})
    reply = await desk.post("e", [event(), event(messageId="m-2", context={}), {**named, "messageId": "m-3"}])
    assert reply.json == {"success": True, "accepted": 2, "filtered": 1, "rejected": [], "incomplete": 2}
    assert desk.outcomes() == {
        ("shop", "tt", "accepted", ""): 2,
        ("shop", "tt", "filtered", "consent_missing"): 1,
        ("shop", "broken", "filtered", "integration_broken"): 2,
    }
    rows = feed.recent(9, lambda row: row.integration == "broken")
    assert [(row.outcome, row.reason, row.name) for row in rows] == [("filtered", "integration_broken", "Order Completed")] * 2
    many = await desk.post("e", [event(messageId=f"many-{n}") for n in range(40)])
    assert many.json == {"success": True, "accepted": 40, "filtered": 0, "rejected": [], "incomplete": 40}


async def test_a_named_pixel_goes_to_its_integrations_only() -> None:
    desk = Desk(
        pipelines=[{**PIPELINE, "integrations": ["tt", "second"]}],
        integrations=[INTEGRATION, {**INTEGRATION, "id": "second", "pixel_code": "C4DEF"}],
    )
    named = event(context={**event()["context"], "pixel": {"code": "C4DEF"}})
    stray = event(context={**event()["context"], "pixel": {"code": "C4XYZ"}})
    assert (await desk.post("e", [named, stray, event(messageId="m-2")])).json == {
        "success": True,
        "accepted": 2,
        "filtered": 1,
        "rejected": [],
    }
    assert desk.outcomes() == {
        ("shop", "second", "accepted", ""): 2,
        ("shop", "tt", "accepted", ""): 1,
        ("shop", "", "filtered", "unknown_pixel"): 1,
    }


async def test_integrations_share_a_payload_unless_one_has_rules_of_its_own() -> None:
    own = {**INTEGRATION, "id": "own", "global": {"mappings": [{"source": "properties.customer_mail", "target": "user.email"}]}}
    desk = Desk(
        pipelines=[{**PIPELINE, "integrations": ["tt", "twin", "own"]}],
        integrations=[INTEGRATION, {**INTEGRATION, "id": "twin"}, own],
    )
    await desk.post("v1/t", event(properties={"customer_mail": "Alice@example.com"}))
    assert desk.spool is not None
    (shared,), (twin,), (special,) = [await desk.spool.lease(lane, 9, 1 << 20, 0.0) for lane in ("tt", "twin", "own")]
    assert shared.payload is twin.payload
    assert "email" not in orjson.loads(shared.payload)["user"]
    assert len(orjson.loads(special.payload)["user"]["email"]) == 64
    for record in (shared, special):
        assert b"alice@example.com" not in record.payload.lower()
        assert isinstance(record.beside, Prepared)
    assert orjson.loads(special.beside.data)["user"]["email"] == orjson.loads(special.payload)["user"]["email"]
    assert "email" not in orjson.loads(shared.beside.data)["user"]


async def test_nothing_is_prepared_that_would_not_be_used() -> None:
    once = {**INTEGRATION, "id": "once", "dedupe_purchases": "30d"}
    other = {**INTEGRATION, "id": "other", "preset": "travel"}
    desk = Desk(pipelines=[{**PIPELINE, "integrations": ["tt", "once", "other"]}], integrations=[INTEGRATION, once, other])
    await desk.post("v1/t", event(event="Product Added"))
    assert desk.spool is not None
    desk.spool.keeps = lambda lane: False  # type: ignore[method-assign]
    await desk.post("v1/t", event(event="Product Added", messageId="m-2"))
    found = {
        lane: [record.beside is not None for record in await desk.spool.lease(lane, 9, 1 << 20, 0.0)]
        for lane in ("tt", "once", "other")
    }
    assert found == {"tt": [True, False], "once": [False, False], "other": [False, False]}


async def test_records_go_to_the_lane_of_the_test_code() -> None:
    desk = Desk(integrations=[{**INTEGRATION, "test_event_code": "TEST1"}])
    await desk.post("v1/t", event())
    assert len(await desk.sealed("tt|TEST1")) == 1


# -- who the visitor is


async def test_the_address_is_the_connections_never_the_bodys() -> None:
    desk = Desk()
    lying = event(
        context={**event()["context"], "ip": "9.9.9.9", "userAgent": "Liar/1.0"}, user={"ip": "9.9.9.9", "user_agent": "Liar/2.0"}
    )
    await desk.post("v1/t", lying)
    (sealed,) = await desk.sealed()
    assert sealed["user"]["ip"] == "8.8.4.4"
    assert sealed["user"]["user_agent"] == BROWSER
    assert b"9.9.9.9" not in orjson.dumps(sealed)


async def test_a_private_address_is_not_sent() -> None:
    desk = Desk()
    client = desk.client()
    await desk.send("POST", "v1/t", event(), client=type(client)("10.0.0.1", "", "https", desk.host))
    (sealed,) = await desk.sealed()
    assert "ip" not in sealed["user"]


@pytest.mark.parametrize(("policy", "accepted", "flags"), [("drop", 0, None), ("flag", 1, ["bot"]), ("allow", 1, None)])
async def test_bots_by_policy(policy: str, accepted: int, flags: list[str] | None) -> None:
    desk = Desk(pipelines=[{**PIPELINE, "bots": policy}])
    reply = await desk.post("e", event(), User_Agent="Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)")
    assert (reply.status, reply.json["accepted"]) == (200, accepted)
    assert [sealed.get("flags") for sealed in await desk.sealed()] == [flags] * accepted
    assert desk.fates() == {("accepted", ""): 1} if accepted else {("filtered", "bot"): 1}


# -- limits


async def test_an_address_is_limited_before_its_pipeline() -> None:
    desk = Desk(pipelines=[{**PIPELINE, "rate_limit": 8}])
    one, other = desk.client("8.8.4.4"), desk.client("8.8.8.8")
    statuses = [(await desk.send("POST", "v1/t", event(), client=one)).status for _ in range(3)]
    assert statuses == [200, 200, 429]
    assert (await desk.send("POST", "v1/t", event(), client=other)).status == 200
    reply = await desk.send("POST", "v1/t", event(), client=one)
    assert (reply.status, reply.reason, reply.one("Retry-After")) == (429, "rate_limited", "1")
    desk.now += 1
    assert (await desk.send("POST", "v1/t", event(), client=one)).status == 200
    assert desk.fates() == {("accepted", ""): 1, ("deduplicated", "repeated"): 3, ("refused", "rate_limited"): 2}


async def test_a_pipeline_is_limited_over_all_addresses() -> None:
    desk = Desk(pipelines=[{**PIPELINE, "rate_limit": 8}])
    statuses = [(await desk.send("POST", "v1/t", event(), client=desk.client(f"8.8.4.{at}"))).status for at in range(10)]
    assert statuses == [200] * 8 + [429] * 2


async def test_batches_count_by_their_events() -> None:
    desk = Desk(pipelines=[{**PIPELINE, "rate_limit": 40}])
    assert (await desk.post("e", [event(messageId=f"m-{n}") for n in range(10)])).status == 200
    assert (await desk.post("e", [event()])).status == 429
    assert (await desk.send("GET", "px?consent=1")).status == 429
    assert (await desk.post("v1/c", {"consent": {"marketing": True}})).status == 429
    assert desk.fates() == {("accepted", ""): 10, ("refused", "rate_limited"): 3}


# -- durability


async def test_a_full_spool_is_503_with_retry_after() -> None:
    desk = Desk(spool=MemorySpool(max_bytes=10))
    reply = await desk.post("v1/t", event(), Origin="https://shop.example.com")
    assert (reply.status, reply.reason, reply.one("Retry-After"), reply.deferred) == (503, "spool_full", "30", False)
    assert reply.cookies == {}
    assert desk.fates() == {("refused", "spool_full"): 1}


async def test_no_spool_is_503() -> None:
    desk = Desk(spool=None)
    for path in ("v1/t", "e", "px?consent=1"):
        method = "GET" if path.startswith("px") else "POST"
        reply = await desk.send(method, path, event())
        assert (reply.status, reply.reason) == (503, "spool_unavailable")
        assert reply.one("Retry-After")
    assert desk.fates() == {("refused", "spool_unavailable"): 3}
    assert (await desk.post("v1/t", {"event": "unconsented"})).status == 200


@pytest.mark.parametrize(
    ("error", "reason", "retry_after"),
    [(SpoolUnavailable(Reason.SPOOL_FULL, "full", 30), "spool_full", "30"), (OSError("disk"), "spool_unavailable", "5")],
)
async def test_a_commit_that_fails_is_not_acknowledged(error: Exception, reason: str, retry_after: str) -> None:
    desk = Desk(spool=FailingCommits(error))
    reply = await desk.post("v1/p", event())
    assert (reply.status, reply.reason, reply.one("Retry-After"), reply.deferred) == (503, reason, retry_after, True)
    assert reply.cookies == {}
    assert desk.fates() == {("refused", reason): 1}


async def test_a_commit_that_is_cancelled_is_counted() -> None:
    class Cancelled(MemorySpool):
        def put(self, records: Any) -> "asyncio.Future[None]":
            future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
            future.cancel()
            return future

    desk = Desk(spool=Cancelled())
    head = desk.request("POST", "/gw/v1/t", {})
    answer = desk.collector.handle(head, orjson.dumps(event()), desk.client())
    assert answer.on_failure(asyncio.CancelledError()).status == 503  # type: ignore[union-attr]
    await asyncio.sleep(0)
    assert desk.fates() == {("refused", "spool_unavailable"): 1}


async def test_what_shares_a_commit_is_counted_once_each() -> None:
    class Grouping(MemorySpool):
        shared: "asyncio.Future[None] | None" = None

        def put(self, records: Any) -> "asyncio.Future[None]":
            super().put(records)
            self.shared = self.shared or asyncio.get_running_loop().create_future()
            return self.shared

    spool = Grouping()
    desk = Desk(spool=spool)
    for n in range(3):
        two = [event(messageId=f"{n}.1"), event(messageId=f"{n}.2")]
        desk.collector.handle(desk.request("POST", "/gw/e", {}), orjson.dumps(two), desk.client())
    assert desk.fates() == {}
    assert spool.shared is not None
    spool.shared.set_result(None)
    await asyncio.sleep(0)
    assert desk.fates() == {("accepted", ""): 6}


async def test_received_and_outcomes_are_rendered() -> None:
    desk = Desk()
    await desk.post("e", [event(), 5])
    text = desk.metrics.render().decode()
    assert 'ttgateway_events_received_total{pipeline="shop",wire="signal"} 1.0' in text
    assert 'ttgateway_events_outcome_total{integration="tt",outcome="accepted",pipeline="shop",reason=""} 1.0' in text
    assert 'wire=""' not in text


# -- reload


async def test_new_rules_hold_on_both_sides() -> None:
    desk = Desk(pipelines=[{**PIPELINE, "secret": "s3cret", "server_consent": "required"}])
    native = {
        "event_source": "web",
        "event_source_id": "C4ABC",
        "data": [{"event": "Purchase", "context": {"consent": {"analytics": True}}}],
    }
    assert (await desk.post("e", {"event": "x"})).json["accepted"] == 0
    assert "consent_missing" in (await desk.post("open_api/v1.3/event/track/", native, Access_Token="s3cret")).json["message"]
    desk.collector.reconfigure(ConsentSettings(default="grant"))
    assert (await desk.post("e", {"event": "x"})).json["accepted"] == 1
    assert (await desk.post("open_api/v1.3/event/track/", native, Access_Token="s3cret")).json["message"] == "OK"


async def test_a_new_catalogue_holds_at_once() -> None:
    desk = Desk()
    assert (await desk.post("v1/t", event(), Origin="https://shop.example.com")).status == 200
    desk.configure([{**PIPELINE, "domains": ["other.example.net"], "key": "dk_new"}], [INTEGRATION])
    assert (await desk.post("v1/t", event(), Origin="https://shop.example.com")).status == 403
    assert (await desk.post("v1/t", event(writeKey="dk_shop"))).status == 401


async def test_time_comes_from_the_injected_clock() -> None:
    desk = Desk()
    await desk.post("v1/t", event(timestamp=NOW - 20, sentAt=NOW - 10))
    (sealed,) = await desk.sealed()
    assert (sealed["received"], sealed["time"]) == (NOW, int(NOW - 10))
