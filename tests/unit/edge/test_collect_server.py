"""Server-side senders: signatures, tokens, consent stated with the call."""

import gzip
import hashlib
import hmac
from typing import Any

import orjson
import pytest
from collect_desk import INTEGRATION, NOW, PIPELINE, Desk, FailingCommits, Reply, event

from gateway.edge import signature
from gateway.errors import BadInput, SpoolUnavailable
from gateway.outcome import Reason
from gateway.spool.memory import MemorySpool

pytestmark = pytest.mark.usefixtures("both_readers")

SECRET = "s3cret"
SHOP = {**PIPELINE, "secret": SECRET}
NATIVE = "open_api/v1.3/event/track/"
ITEM: dict[str, Any] = {
    "event": "Purchase",
    "event_time": int(NOW) - 5,
    "event_id": "o-1",
    "page": {"url": "https://shop.example.com/"},
    "properties": {"value": 5, "currency": "EUR"},
}
CONSENTED_ITEM = {**ITEM, "context": {"consent": {"marketing": True}}}


def sign(body: bytes, timestamp: str, secret: str = SECRET) -> str:
    return "sha256=" + hmac.new(secret.encode(), timestamp.encode() + b"." + body, hashlib.sha256).hexdigest()


async def signed(desk: Desk, document: Any, *, at: float = 0, **headers: str) -> Reply:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    timestamp = headers.pop("X_Timestamp", str(int(desk.now + at)))
    given = headers.pop("X_Signature", sign(body, timestamp))
    sent = gzip.compress(body) if headers.get("Content_Encoding") == "gzip" else body
    return await desk.send("POST", "v1/events", sent, X_Timestamp=timestamp, X_Signature=given, **headers)


def native(*items: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"event_source": "web", "event_source_id": "C4ABC", "data": list(items), **more}


async def track(desk: Desk, document: Any, token: str = "tiktok-token", **headers: str) -> Reply:
    return await desk.post(NATIVE, document, Access_Token=token, **headers)


# -- v1/events


async def test_a_signed_event() -> None:
    desk = Desk(pipelines=[SHOP])
    server = event(
        context={**event()["context"], "ip": "8.8.8.8", "userAgent": "Visitor/1.0", "ttp": "t" * 27}, anonymousId="a-1"
    )
    reply = await signed(desk, [server, 5], User_Agent="curl/8", Cookie="_ttp=" + "c" * 27 + "; _dfid=" + "d" * 32)
    assert (reply.status, reply.deferred) == (200, True)
    assert (reply.json["accepted"], [r["index"] for r in reply.json["rejected"]]) == (1, [1])
    assert reply.cookies == {}
    (sealed,) = await desk.sealed()
    user = sealed["user"]
    assert (user["ip"], user["user_agent"], user["ttp"]) == ("8.8.8.8", "Visitor/1.0", "t" * 27)


async def test_nothing_of_the_connection_is_the_visitors() -> None:
    desk = Desk(pipelines=[SHOP])
    await signed(
        desk,
        event(),
        Cookie="_ttp=" + "c" * 27 + "; ttclid=click; _dfid=" + "d" * 32,
        Referer="https://shop.example.com/?ttclid=r",
    )
    (sealed,) = await desk.sealed()
    assert not {"ip", "user_agent", "ttp", "ttclid", "external_id"} & set(sealed["user"])


@pytest.mark.parametrize("ip", ["10.0.0.1", "127.0.0.1", "::1", "nonsense", "999.1.1.1", "fe80::1"])
async def test_an_address_that_is_not_public_is_left_out(ip: str) -> None:
    desk = Desk(pipelines=[SHOP])
    await signed(desk, event(context={**event()["context"], "ip": ip}))
    (sealed,) = await desk.sealed()
    assert "ip" not in sealed["user"]


@pytest.mark.parametrize(("at", "status"), [(-300, 200), (300, 200), (-301, 401), (301, 401), (-86400, 401), (86400, 401)])
async def test_the_replay_window(at: float, status: int) -> None:
    desk = Desk(pipelines=[SHOP])
    reply = await signed(desk, event(), at=at)
    assert reply.status == status
    if status == 401:
        assert reply.reason == "stale_timestamp"
        assert await desk.sealed() == []
        assert desk.fates() == {("rejected", "stale_timestamp"): 1}


@pytest.mark.parametrize(
    "headers",
    [
        {"X_Signature": ""}, {"X_Signature": "sha256="}, {"X_Signature": "sha256=" + "0" * 64}, {"X_Signature": "sha1=" + "0" * 40}, {"X_Signature": "é" * 64},
        {"X_Signature": "\udcff"}, {"X_Timestamp": ""}, {"X_Timestamp": "soon"}, {"X_Timestamp": "-5"}, {"X_Timestamp": "1e9"}, {"X_Timestamp": "9" * 30},
        {"X_Timestamp": "١٢٣"}, {"X_Timestamp": f"{NOW}"}, {"X_Timestamp": f" {int(NOW)}"},
    ],
)  # fmt: skip
async def test_bad_signatures(headers: dict[str, str]) -> None:
    desk = Desk(pipelines=[SHOP])
    reply = await signed(desk, event(), **headers)
    assert (reply.status, reply.reason) == (401, "bad_signature")
    assert await desk.sealed() == []


async def test_what_is_signed_cannot_be_changed() -> None:
    desk = Desk(pipelines=[SHOP])
    timestamp = str(int(NOW))
    good = sign(orjson.dumps(event()), timestamp)
    for body, at, secret in (
        (event("Other"), timestamp, good),
        (event(), str(int(NOW) + 1), good),
        (event(), timestamp, sign(orjson.dumps(event()), timestamp, "other")),
    ):
        reply = await signed(desk, body, X_Timestamp=at, X_Signature=secret)
        assert (reply.status, reply.reason) == (401, "bad_signature")
    upper = "sha256=" + good.removeprefix("sha256=").upper()
    assert (await signed(desk, event(), X_Timestamp=timestamp, X_Signature=upper)).status == 200


async def test_a_pipeline_without_a_secret_accepts_no_signature() -> None:
    desk = Desk()
    body = orjson.dumps(event())
    reply = await desk.send("POST", "v1/events", body, X_Timestamp=str(int(NOW)), X_Signature=sign(body, str(int(NOW)), ""))
    assert (reply.status, reply.reason) == (401, "bad_signature")
    assert "secret" in reply.json["error"]["message"]


async def test_signatures_are_compared_in_constant_time(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[tuple[bytes, bytes]] = []
    genuine = hmac.compare_digest

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return genuine(one, other)

    monkeypatch.setattr(signature.hmac, "compare_digest", compare)
    with pytest.raises(BadInput):
        signature.verify("1000", "sha256=ab", b"", b"secret", 1000.0)
    assert [(one, len(other)) for one, other in compared] == [(b"ab", 64)]


async def test_the_signature_covers_the_inflated_body() -> None:
    desk = Desk(pipelines=[SHOP])
    assert (await signed(desk, event(), Content_Encoding="gzip")).status == 200


async def test_the_key_of_a_signed_request() -> None:
    other = {**PIPELINE, "id": "blog", "key": "dk_blog", "domains": ["blog.example.net"], "secret": "other"}
    desk = Desk(pipelines=[other, SHOP], host="gateway.internal")
    assert (await signed(desk, event(), Authorization="Bearer dk_shop")).status == 200
    assert (await signed(desk, event(writeKey="dk_shop"))).status == 200
    assert (await signed(desk, {"writeKey": "dk_shop", "batch": [event()]})).status == 200
    assert (await signed(desk, event(writeKey="dk_blog"))).status == 401
    assert (await signed(desk, event(writeKey="none"))).reason == "unknown_key"
    assert (await signed(desk, event())).reason == "unknown_pipeline"
    assert (await signed(desk, b"{", Authorization="Bearer dk_shop")).reason == "invalid_json"


# -- consent

STATED = [
    ({}, None, "required", 403, 0),
    ({}, {"marketing": True}, "required", 200, 1),
    ({}, {"marketing": False}, "required", 200, 0),
    ({}, {"analytics": True}, "required", 200, 0),
    ({"X_Consent": "marketing,analytics"}, None, "required", 200, 1),
    ({"X_Consent": " Marketing "}, None, "required", 200, 1),
    ({"X_Consent": "analytics"}, None, "required", 200, 0),
    ({"X_Consent": ""}, None, "required", 200, 0),
    ({"X_Consent": "marketing"}, {"marketing": False}, "required", 200, 0),
    ({"X_Consent": "marketing"}, {"analytics": True}, "required", 200, 1),
    ({}, None, "asserted", 200, 1),
    ({}, {"marketing": False}, "asserted", 200, 0),
    ({}, {"analytics": False}, "asserted", 200, 1),
    ({"X_Consent": "analytics"}, None, "asserted", 200, 0),
]


@pytest.mark.parametrize(("headers", "said", "rule", "status", "accepted"), STATED)
async def test_consent_of_signed_events(headers: dict[str, str], said: Any, rule: str, status: int, accepted: int) -> None:
    desk = Desk(pipelines=[{**SHOP, "server_consent": rule}])
    reply = await signed(desk, event(context={"consent": said} if said else {}), **headers)
    assert reply.status == status
    assert len(await desk.sealed()) == accepted
    if status == 403:
        assert reply.reason == "consent_required"
        assert "X-Consent" in reply.json["error"]["message"]
        assert desk.fates() == {("rejected", "consent_required"): 1}


@pytest.mark.parametrize(("headers", "said", "rule", "status", "accepted"), STATED)
async def test_consent_of_native_events(headers: dict[str, str], said: Any, rule: str, status: int, accepted: int) -> None:
    desk = Desk(pipelines=[{**SHOP, "server_consent": rule}])
    reply = await track(desk, native({**ITEM, "context": {"consent": said} if said else {}}), **headers)
    assert reply.status == status
    assert (reply.json["code"] == 0) == (status == 200)
    assert len(await desk.sealed()) == accepted


@pytest.mark.parametrize(("header", "context", "accepted"), [
    ("analytics", {}, 0), ("", {}, 0), ("marketing", {}, 1), ("advertising", {}, 1), ("analytics", {"consent": {"marketing": True}}, 1),
    ("marketing", {"gcs": "G100"}, 0), ("marketing", {"gcs": "G111"}, 1), ("analytics", {"gcs": "G111"}, 0),
])  # fmt: skip
async def test_what_the_call_does_not_list_is_not_granted_by_default(header: str, context: dict[str, Any], accepted: int) -> None:
    desk = Desk(pipelines=[SHOP], consent={"default": "grant"})
    assert (await signed(desk, event(context=context), X_Consent=header)).json["accepted"] == accepted


async def test_an_assertion_does_not_outweigh_a_denial_by_consent_mode() -> None:
    desk = Desk(pipelines=[{**SHOP, "server_consent": "asserted"}])
    assert (await signed(desk, event(context={"gcs": "G100"}))).json["accepted"] == 0


async def test_browsers_signals_do_not_count_for_servers() -> None:
    desk = Desk(pipelines=[SHOP])
    reply = await signed(desk, event(), Sec_GPC="1", Cookie="CookieConsent={marketing:false}")
    assert reply.json["accepted"] == 1


@pytest.mark.parametrize("header", ["x" * 60_000, "," * 5000, "a" * 41, "\udcff\udcfe", "marketing\x00", "é"])
async def test_odd_consent_headers(header: str) -> None:
    desk = Desk(pipelines=[SHOP])
    reply = await signed(desk, event(context={}), X_Consent=header)
    assert (reply.status, reply.json["filtered"]) == (200, 1)


async def test_an_integration_that_needs_no_consent_needs_none_stated() -> None:
    desk = Desk(pipelines=[SHOP], integrations=[{**INTEGRATION, "consent": []}])
    assert (await signed(desk, event(context={}))).json["accepted"] == 1
    assert (await track(desk, native(ITEM))).json["code"] == 0
    assert len(await desk.sealed()) == 2


# -- the native body


async def test_a_native_event() -> None:
    desk = Desk(pipelines=[SHOP])
    user = {"email": "Alice_ABC@gmail.com", "ip": "8.8.8.8", "user_agent": "Visitor/1.0", "ttp": "t" * 27, "ttclid": "click"}
    reply = await track(
        desk, native({**CONSENTED_ITEM, "user": user, "limited_data_use": True}), Cookie="_ttp=" + "c" * 27, User_Agent="curl/8"
    )
    assert (reply.status, reply.deferred) == (200, True)
    assert {**reply.json, "request_id": ""} == {"code": 0, "message": "OK", "request_id": "", "data": {}}
    assert reply.json["request_id"]
    assert reply.cookies == {}
    (sealed,) = await desk.sealed()
    assert (sealed["wire"], sealed["name"], sealed["event_id"], sealed["limited_data_use"]) == ("native", "Purchase", "o-1", True)
    assert (sealed["user"]["ip"], sealed["user"]["user_agent"], sealed["user"]["ttp"], sealed["user"]["ttclid"]) == (
        "8.8.8.8",
        "Visitor/1.0",
        "t" * 27,
        "click",
    )
    assert sealed["user"]["email"].startswith("848a7714")


@pytest.mark.parametrize("token", ["tiktok-token", SECRET, f" {SECRET} "])
async def test_tokens_that_open(token: str) -> None:
    assert (await track(Desk(pipelines=[SHOP]), native(CONSENTED_ITEM), token)).json["code"] == 0


@pytest.mark.parametrize("token", ["", "none", "tiktok-toke", "tiktok-token2", "\udcff", "é", "x" * 50_000])
async def test_tokens_that_do_not(token: str) -> None:
    desk = Desk(pipelines=[SHOP])
    reply = await track(desk, native(CONSENTED_ITEM, CONSENTED_ITEM), token)
    assert (reply.status, reply.json["code"]) == (401, 40105)
    assert desk.fates() == {("rejected", "bad_token"): 2}
    assert await desk.sealed() == []


async def test_no_secret_and_no_token_open_nothing() -> None:
    desk = Desk(integrations=[{"id": "tt", "pixel_code": "C4ABC"}])
    assert (await track(desk, native(CONSENTED_ITEM), "")).status == 401


async def test_a_token_opens_its_own_pixel_only() -> None:
    second = {**INTEGRATION, "id": "second", "pixel_code": "C4DEF", "access_token": "second-token"}
    desk = Desk(pipelines=[{**SHOP, "integrations": ["tt", "second"]}], integrations=[INTEGRATION, second])
    assert (await track(desk, native(CONSENTED_ITEM), "second-token")).status == 401
    assert (await track(desk, native(CONSENTED_ITEM, event_source_id="C4DEF"), "second-token")).status == 200
    assert len(await desk.sealed("second")) == 1
    assert await desk.sealed("tt") == []


async def test_an_unknown_pixel_is_said_to_those_who_know_the_secret() -> None:
    desk = Desk(pipelines=[SHOP])
    reply = await track(desk, native(CONSENTED_ITEM, event_source_id="C4XYZ"), SECRET)
    assert (reply.status, reply.json["code"]) == (400, 40001)
    assert desk.outcomes() == {("", "", "rejected", "unknown_pixel"): 1}
    assert (await track(desk, native(CONSENTED_ITEM, event_source_id="C4XYZ"), "tiktok-token")).status == 401


async def test_the_bodys_test_code_is_part_of_the_lane() -> None:
    desk = Desk(pipelines=[SHOP])
    await track(desk, native(CONSENTED_ITEM, test_event_code="TEST9"))
    assert len(await desk.sealed("tt|TEST9")) == 1


async def test_ids_are_stable_over_a_senders_retries() -> None:
    desk = Desk(pipelines=[SHOP])
    bare = native({**CONSENTED_ITEM, "event_id": None}, {**CONSENTED_ITEM, "event_id": None})
    for _ in range(2):
        assert (await track(desk, bare)).json["message"] == "OK"
    ids = [sealed["event_id"] for sealed in await desk.sealed()]
    assert len(set(ids)) == len(ids) == 2
    assert desk.fates() == {("accepted", ""): 2, ("deduplicated", "repeated"): 2}


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"", 400, 40002), (b"{", 400, 40002), (b"[]", 400, 40002), (b"{}", 400, 40002), (b"[" * 40 + b"]" * 40, 400, 40002),
        (orjson.dumps(native()), 400, 40002), (orjson.dumps(native(*[ITEM] * 1001)), 413, 40002), (orjson.dumps(native(ITEM, {"event": ""})), 400, 40002),
        (orjson.dumps(native({**ITEM, "event_time": "soon"})), 400, 40002), (b" " * ((1 << 20) + 1), 413, 40002),
    ],
)  # fmt: skip
async def test_bad_bodies_get_tiktoks_envelope(body: bytes, status: int, code: int) -> None:
    desk = Desk(pipelines=[SHOP])
    reply = await desk.send("POST", NATIVE, body, Access_Token=SECRET)
    assert (reply.status, reply.json["code"]) == (status, code)
    assert set(reply.json) == {"code", "message", "request_id", "data"}
    assert sum(desk.outcomes().values()) >= 1


async def test_one_bad_event_refuses_the_whole_request_and_is_named() -> None:
    desk = Desk(pipelines=[SHOP])
    reply = await track(desk, native(CONSENTED_ITEM, {**CONSENTED_ITEM, "event": ""}))
    assert reply.json["message"].startswith("Batch.1:")
    assert await desk.sealed() == []
    assert desk.fates() == {("rejected", "missing_name"): 2}


async def test_a_disabled_integration_says_so() -> None:
    desk = Desk(pipelines=[SHOP], integrations=[{**INTEGRATION, "enabled": False}])
    reply = await track(desk, native(CONSENTED_ITEM))
    assert (reply.status, reply.json["code"]) == (200, 0)
    assert "integration_disabled" in reply.json["message"]


# -- limits and durability


async def test_servers_have_the_whole_rate_of_their_pipeline() -> None:
    desk = Desk(pipelines=[{**SHOP, "rate_limit": 8}])
    assert (await signed(desk, [event()] * 4)).status == 200
    assert (await track(desk, native(*[CONSENTED_ITEM] * 4))).status == 200
    reply = await signed(desk, event())
    assert (reply.status, reply.reason, reply.one("Retry-After")) == (429, "rate_limited", "1")
    reply = await track(desk, native(CONSENTED_ITEM))
    assert (reply.status, reply.json["code"], reply.one("Retry-After")) == (429, 40100, "1")
    assert desk.fates() == {("accepted", ""): 2, ("deduplicated", "repeated"): 6, ("refused", "rate_limited"): 2}


@pytest.mark.parametrize(
    "spool",
    [None, MemorySpool(max_bytes=1), FailingCommits(SpoolUnavailable(Reason.SPOOL_FULL, "full", 7)), FailingCommits(OSError())],
)
async def test_what_is_not_durable_is_not_acknowledged(spool: Any) -> None:
    desk = Desk(pipelines=[SHOP], spool=spool)
    for reply in (await signed(desk, event()), await track(desk, native(CONSENTED_ITEM))):
        assert reply.status == 503
        assert int(reply.one("Retry-After")) > 0
    assert reply.json["code"] == 50000
    assert sum(count for (outcome, _), count in desk.fates().items() if outcome == "refused") == 2
    assert sum(desk.fates().values()) == 2


async def test_a_part_that_is_off_is_not_the_senders_fault() -> None:
    desk = Desk(pipelines=[SHOP])
    desk.configure([SHOP], [INTEGRATION], off=["integrations.1"])
    reply = await track(desk, native(CONSENTED_ITEM), "token-of-the-broken-one")
    assert (reply.status, reply.json["code"]) == (503, 50000)
