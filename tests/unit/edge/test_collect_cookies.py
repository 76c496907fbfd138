"""Consent and cookies: nothing without consent, the right lines with it, nothing hostile in them."""

import re
from typing import Any

import pytest
from collect_desk import BROWSER, INTEGRATION, PIPELINE, Desk, event

from gateway.consent.settings import ConsentSettings
from gateway.edge import cookies
from gateway.identity.seal import owner
from gateway.outcome import Reason

pytestmark = pytest.mark.usefixtures("both_readers")

TTP = "2Fh0XkV0yq4fYq9cVwqzD3uQ5aB"
DFID = "5f1c3a8e8d5e4a529d1c3f8f3b9b6f10"
JAR = f"_ttp={TTP}; _dfid={DFID}; ttclid=old-click"
UNKNOWN: dict[str, Any] = {"type": "track", "event": "x"}
DENIED = event(context={"consent": {"marketing": False}})


# -- consent


@pytest.mark.parametrize(
    "body", [UNKNOWN, {"type": "page", "context": {"page": {"url": "https://shop.example.com/?ttclid=abc"}}}]
)
async def test_no_signal_and_deny_leaves_no_trace(body: dict[str, Any]) -> None:
    desk = Desk()
    reply = await desk.post("v1/t" if body["type"] == "track" else "v1/p", body, Cookie=JAR)
    assert (reply.status, reply.body) == (200, b'{"success":true}')
    assert reply.cookies == {}
    assert reply.deferred is False
    assert await desk.sealed() == []
    assert desk.fates() == {("filtered", "consent_missing"): 1}


@pytest.mark.parametrize(
    ("headers", "body", "fate"),
    [
        ({}, event(), ("accepted", "")),
        ({}, event(context={"consent": {"advertising": True}}), ("accepted", "")),
        ({}, event(context={"gcs": "G110"}), ("accepted", "")),
        ({"Cookie": "CookieConsent={marketing:true}"}, UNKNOWN, ("accepted", "")),
        ({"Cookie": "OptanonConsent=groups=C0001%3A1%2CC0004%3A1"}, UNKNOWN, ("accepted", "")),
        ({}, DENIED, ("filtered", "consent_denied")),
        ({}, event(context={"gcs": "G101"}), ("filtered", "consent_denied")),
        ({"Cookie": "OptanonConsent=groups=C0004%3A0"}, event(), ("filtered", "consent_denied")),
        ({"Sec_GPC": "1"}, event(), ("filtered", "gpc")),
        ({}, event(context={"consent": {"analytics": True}}), ("filtered", "consent_missing")),
    ],
)
async def test_signals(headers: dict[str, str], body: dict[str, Any], fate: tuple[str, str]) -> None:
    desk = Desk()
    reply = await desk.post("v1/t", body, **headers)
    assert reply.status == 200
    assert desk.fates() == {fate: 1}
    assert len(await desk.sealed()) == (fate[0] == "accepted")


async def test_an_integration_that_needs_no_consent_sets_no_cookies() -> None:
    desk = Desk(integrations=[{**INTEGRATION, "consent": []}])
    reply = await desk.post("v1/t", UNKNOWN)
    assert reply.cookies == {}
    (sealed,) = await desk.sealed()
    assert "ttp" not in sealed["user"]


# -- cookies that are set


@pytest.mark.parametrize("scheme", ["https", "http"])
async def test_a_new_visitor_gets_its_ids(scheme: str) -> None:
    desk = Desk()
    client = desk.client(scheme=scheme)
    url = "https://shop.example.com/?utm_source=tiktok&ttclid=E.C.P.new-click_1~x"
    reply = await desk.send("POST", "v1/t", event(context={**event()["context"], "page": {"url": url}}), client=client)
    secure = "; Secure" if scheme == "https" else ""
    (sealed,) = await desk.sealed()
    ttp, dfid = reply.cookies["_ttp"], reply.cookies["_dfid"]
    assert re.fullmatch(r"[A-Za-z0-9_-]{27}", sealed["user"]["ttp"])
    assert ttp == f"{sealed['user']['ttp']}; Path=/; Max-Age=34128000; Domain=example.com{secure}; SameSite=Lax"
    assert re.fullmatch(rf"[0-9a-f]{{32}}; Path=/; Max-Age=34128000; Domain=example\.com{secure}; HttpOnly; SameSite=Lax", dfid)
    assert reply.cookies["ttclid"] == f"E.C.P.new-click_1~x; Path=/; Max-Age=2592000; Domain=example.com{secure}; SameSite=Lax"
    assert sealed["user"]["ttclid"] == "E.C.P.new-click_1~x"


async def test_a_known_visitor_keeps_its_ids_and_is_told_nothing() -> None:
    desk = Desk()
    reply = await desk.post("v1/t", event(), Cookie=JAR)
    assert reply.cookies == {}
    (sealed,) = await desk.sealed()
    assert (sealed["user"]["ttp"], sealed["user"]["ttclid"]) == (TTP, "old-click")


async def test_a_page_view_refreshes_the_ids() -> None:
    reply = await Desk().post("v1/p", event(), Cookie=JAR)
    assert set(reply.cookies) == {"_ttp", "_dfid"}
    assert reply.cookies["_ttp"].startswith(f"{TTP}; ")
    assert reply.cookies["_dfid"].startswith(f"{DFID}; ")


async def test_a_newer_click_replaces_the_older() -> None:
    reply = await Desk().post("v1/t", event(context={**event()["context"], "ttclid": "new"}), Cookie=JAR)
    assert set(reply.cookies) == {"ttclid"}
    reply = await Desk().post("v1/t", event(context={**event()["context"], "ttclid": "old-click"}), Cookie=JAR)
    assert reply.cookies == {}


async def test_one_request_makes_one_set_of_ids() -> None:
    desk = Desk()
    reply = await desk.post("e", [event(), event(), event()])
    assert {sealed["user"]["ttp"] for sealed in await desk.sealed()} == {reply.cookies["_ttp"].partition(";")[0]}


async def test_the_pages_own_ids_are_taken_over() -> None:
    desk = Desk()
    reply = await desk.post("v1/t", event(anonymousId="page-made-id", context={**event()["context"], "ttp": TTP}))
    assert reply.cookies["_ttp"].startswith(TTP)
    assert reply.cookies["_dfid"].startswith("page-made-id;")


async def test_settings_of_cookies() -> None:
    desk = Desk(cookie_settings={"make_ttp": False, "domain": "host", "ttp_max_age": "10d", "ttclid_max_age": "1d"})
    reply = await desk.post("v1/t", event(context={**event()["context"], "ttclid": "c"}))
    assert "_ttp" not in reply.cookies
    assert "Max-Age=864000;" in reply.cookies["_dfid"]
    assert "Max-Age=86400;" in reply.cookies["ttclid"]
    assert not any("Domain" in line for line in reply.all("Set-Cookie"))


@pytest.mark.parametrize(
    ("domains", "host", "domain"),
    [
        (["shop.example.com"], "shop.example.com", "; Domain=example.com"), (["*.example.co.uk"], "a.b.example.co.uk", "; Domain=example.co.uk"),
        ([], "shop.example.com", ""), (["localhost"], "localhost", ""), (["shop.github.io"], "shop.github.io", "; Domain=shop.github.io"),
    ],
)  # fmt: skip
async def test_the_domain_follows_from_the_pipeline(domains: list[str], host: str, domain: str) -> None:
    desk = Desk(pipelines=[{**PIPELINE, "domains": domains}], host=host)
    found = (await desk.post("v1/t", event())).cookies["_dfid"]
    assert re.search(r"Max-Age=\d+(; Domain=[^;]+)?; Secure", found)
    assert ("Domain" in found) == bool(domain)
    assert domain in found


@pytest.mark.parametrize(
    "host", ["evil.example.org", "example.com; Domain=evil.org", "com", "a\r\nSet-Cookie: x=y", "shop.example.com.evil.org"]
)
async def test_the_host_header_never_becomes_a_domain(host: str) -> None:
    desk = Desk(pipelines=[{**PIPELINE, "domains": []}], host=host)
    reply = await desk.post("v1/t", event())
    assert not any("Domain" in line for line in reply.all("Set-Cookie"))
    desk = Desk(host=host)
    reply = await desk.post("v1/t", event(), Origin="https://shop.example.com")
    assert not any("evil" in line or "Domain=com" in line for line in reply.all("Set-Cookie"))


# -- hostile values

HOSTILE = [
    "a\r\nSet-Cookie: evil=1", "a; Domain=evil.org", 'a"b', "a b", "a,b", "é" * 10, "x" * 5000, "x" * 2049, "<script>", "%0d%0aX", "a\x00b", "a\\b", "a=b",
]  # fmt: skip


@pytest.mark.parametrize("value", HOSTILE)
async def test_a_hostile_click_id_is_none(value: str) -> None:
    desk = Desk()
    places: list[dict[str, Any]] = [
        {"context": {**event()["context"], "ttclid": value}},
        {"context": {**event()["context"], "ad": {"callback": value}}},
        {"context": {**event()["context"], "page": {"url": f"https://shop.example.com/?ttclid={value}"}}},
        {"properties": {"ttclid": value}},
    ]
    for place in places:
        reply = await desk.post("v1/t", event(**place))
        assert reply.status == 200
        line = reply.cookies.get("ttclid", "")
        # Of a URL's own text, what ends the parameter ends the value; nothing else is ever cut.
        assert re.fullmatch(
            r"([A-Za-z0-9._~-]{1,2048}; Path=/; Max-Age=2592000; Domain=example\.com; Secure; SameSite=Lax)?", line
        )
    if len(value) > 2048:
        assert all("ttclid" not in sealed["user"] for sealed in await desk.sealed())


@pytest.mark.parametrize("value", [*HOSTILE, "short", ""])
async def test_a_hostile_browser_id_is_replaced(value: str) -> None:
    for name in ("_ttp", "_dfid"):
        desk = Desk()
        reply = await desk.post("v1/t", event(), Cookie=f"{name}={value}")
        assert reply.status == 200
        made = reply.cookies[name].partition(";")[0]
        assert re.fullmatch(r"[A-Za-z0-9_-]{27,32}", made)
    desk = Desk()
    reply = await desk.post("v1/t", event(anonymousId=value, context={**event()["context"], "ttp": value}))
    assert re.fullmatch(r"[A-Za-z0-9_-]{27}", reply.cookies["_ttp"].partition(";")[0])
    assert re.fullmatch(r"[0-9a-f]{32}", reply.cookies["_dfid"].partition(";")[0])


async def test_a_referer_too_long_is_not_cut_within_its_click_id() -> None:
    desk = Desk()
    reply = await desk.post("v1/t", event(), Referer=f"https://shop.example.com/?{'x' * 8100}&ttclid={'c' * 200}")
    assert "ttclid" not in reply.cookies
    (sealed,) = await desk.sealed()
    assert "ttclid" not in sealed["user"]


# -- denial


async def test_a_denial_expires_what_the_visitor_has() -> None:
    reply = await Desk().post("v1/t", DENIED, Cookie=f"_ttp={TTP}; other=1")
    lines = reply.all("Set-Cookie")
    assert lines == [
        "_ttp=; Path=/; Max-Age=0; Secure; SameSite=Lax",
        "_ttp=; Path=/; Max-Age=0; Domain=example.com; Secure; SameSite=Lax",
    ]
    assert (await Desk().post("v1/t", DENIED)).cookies == {}


async def test_global_privacy_control_is_a_denial() -> None:
    reply = await Desk().post("v1/t", event(), Cookie=JAR, Sec_GPC="1")
    assert set(reply.cookies) == {"_ttp", "_dfid", "ttclid"}
    assert all("Max-Age=0" in line for line in reply.all("Set-Cookie"))


@pytest.mark.parametrize("order", [1, -1])
async def test_one_denial_in_a_batch_speaks_for_the_answer(order: int) -> None:
    desk = Desk()
    reply = await desk.post("e", [event(), DENIED, UNKNOWN][::order], Cookie=JAR)
    assert all("Max-Age=0" in line for line in reply.all("Set-Cookie"))
    assert desk.fates() == {("accepted", ""): 1, ("filtered", "consent_denied"): 1, ("filtered", "consent_missing"): 1}


@pytest.mark.parametrize("order", [1, -1])
async def test_a_grant_in_a_batch_is_louder_than_silence(order: int) -> None:
    reply = await Desk().post("e", [event(), UNKNOWN][::order])
    assert set(reply.cookies) == {"_ttp", "_dfid"}


# -- consent changes


async def test_withdrawal_removes_cookies_and_records() -> None:
    desk = Desk()
    await desk.post("v1/t", event(anonymousId="page-id-1"), Cookie=JAR)
    reply = await desk.post(
        "v1/c", {"consent": {"marketing": False}, "anonymousId": "page-id-1"}, Cookie=JAR, Origin="https://www.example.com"
    )
    assert (reply.status, reply.body) == (204, b"")
    assert reply.one("Access-Control-Allow-Origin") == "https://www.example.com"
    assert set(reply.cookies) == {"_ttp", "_dfid", "ttclid"}
    assert all("Max-Age=0" in line for line in reply.all("Set-Cookie"))
    assert set(desk.purged) == {(owner(DFID), Reason.WITHDRAWN), (owner("page-id-1"), Reason.WITHDRAWN)}
    assert desk.spool is not None
    assert sum([(await desk.spool.purge(who, reason)).removed for who, reason in desk.purged]) == 1


async def test_withdrawal_expires_cookies_that_did_not_come_along() -> None:
    desk = Desk()
    reply = await desk.post("v1/c", {"consent": {"marketing": False}})
    assert set(reply.cookies) == {"_ttp", "_dfid", "ttclid"}
    assert desk.purged == []


async def test_a_grant_sets_cookies_and_purges_nothing() -> None:
    desk = Desk()
    reply = await desk.post("v1/c", {"consent": {"marketing": True}}, Referer="https://shop.example.com/?ttclid=click")
    assert (reply.status, set(reply.cookies), desk.purged) == (204, {"_ttp", "_dfid", "ttclid"}, [])


async def test_a_change_about_something_else_touches_nothing() -> None:
    desk = Desk()
    reply = await desk.post("v1/c", {"consent": {"analytics": False}}, Cookie=JAR)
    assert (reply.status, reply.cookies, desk.purged) == (204, {}, [])


@pytest.mark.parametrize(
    ("body", "status"), [({}, 400), ([], 400), (b"{", 400), ({"consent": {"marketing": False}, "writeKey": "none"}, 401)]
)
async def test_bad_consent_changes(body: Any, status: int) -> None:
    assert (await Desk().post("v1/c", body)).status == status


async def test_a_foreign_page_cannot_withdraw() -> None:
    desk = Desk()
    reply = await desk.post("v1/c", {"consent": {"marketing": False}}, Cookie=JAR, Origin="https://evil.example.org")
    assert (reply.status, reply.cookies, desk.purged) == (403, {}, [])


# -- navigations

CONSENTED = "CookieConsent={marketing:true}"


def navigation(desk: Desk, target: str = "/", **headers: str) -> dict[str, str]:
    head = desk.request("GET", target, headers)
    values = desk.collector.navigation_cookies(head, desk.client())
    return dict(value.decode("ascii").split("=", 1) for value in values)  # type: ignore[misc]


def test_a_consented_navigation_gets_ids_and_its_click() -> None:
    found = navigation(Desk(), "/landing?a=1&ttclid=click&b", Cookie=CONSENTED)
    assert set(found) == {"_ttp", "_dfid", "ttclid"}
    assert found["ttclid"] == "click; Path=/; Max-Age=2592000; Domain=example.com; Secure; SameSite=Lax"


@pytest.mark.parametrize(
    ("target", "cookie", "names"),
    [
        ("/", "", set()), ("/?ttclid=click", "", set()), ("/", f"{CONSENTED}; _ttp={TTP}", set()), ("/?ttclid=click", f"{CONSENTED}; {JAR}", {"ttclid"}),
        ("/?ttclid=old-click", f"{CONSENTED}; {JAR}", set()), ("/?ttclid=a%0d%0ab", f"{CONSENTED}; {JAR}", set()), ("/?xttclid=c", f"{CONSENTED}; {JAR}", set()),
        ("/", CONSENTED, {"_ttp", "_dfid"}),
    ],
)  # fmt: skip
def test_navigations(target: str, cookie: str, names: set[str]) -> None:
    assert set(navigation(Desk(), target, Cookie=cookie)) == names


def test_navigations_elsewhere_get_nothing() -> None:
    assert navigation(Desk(host="other.example.org"), Cookie=CONSENTED) == {}
    assert navigation(Desk(pipelines=[]), Cookie=CONSENTED) == {}
    two = [PIPELINE, {**PIPELINE, "id": "b", "key": "b", "domains": ["b.example"]}]
    assert navigation(Desk(pipelines=two, host="other.example.org"), Cookie=CONSENTED) == {}
    assert set(navigation(Desk(pipelines=two), Cookie=CONSENTED)) == {"_ttp", "_dfid"}
    broken = Desk(host="other.example.org")
    broken.configure([], [], off=["pipelines.0"])
    assert navigation(broken, Cookie=CONSENTED) == {}


def test_navigations_follow_new_rules() -> None:
    desk = Desk()
    assert navigation(desk) == {}
    desk.collector.reconfigure(ConsentSettings(default="grant"))
    assert set(navigation(desk)) == {"_ttp", "_dfid"}


# -- the reader and the builder

NAMES = frozenset({"a", "_ttp"})


@pytest.mark.parametrize(
    ("header", "found"),
    [
        ("a=1; b=2; _ttp=3", {"a": "1", "_ttp": "3"}), ("a=1;_ttp=3", {"a": "1", "_ttp": "3"}), ("a=1; a=2", {"a": "1"}), ('a="q"', {"a": "q"}), ('a="', {"a": '"'}),
        ("a", {}), ("", {}), (";;;", {}), ("a=", {"a": ""}), ("a=b=c", {"a": "b=c"}), ("A=1", {}), (" a = 1 ", {"a": "1"}), ("a=" + "x" * 4097, {}),
        ("a=" + "x" * 4096, {"a": "x" * 4096}), ("a=" + "x" * 4097 + "; a=2", {"a": "2"}), ("x; a=1", {"a": "1"}), ("a; b=1", {}), ("a=1;", {"a": "1"}),
    ],
)  # fmt: skip
def test_reading(header: str, found: dict[str, str]) -> None:
    assert cookies.read(header, NAMES) == found


def test_building() -> None:
    line = cookies.set_line("n", "v", max_age_s=5, domain="example.com", secure=True, http_only=True)
    assert line == b"Set-Cookie: n=v; Path=/; Max-Age=5; Domain=example.com; Secure; HttpOnly; SameSite=Lax\r\n"
    assert (
        cookies.set_line("n", "v", max_age_s=5, domain="", secure=False)
        == b"Set-Cookie: n=v; Path=/; Max-Age=5; SameSite=Lax\r\n"
    )
    assert cookies.expire_lines("n", domain="", secure=False).count(b"Max-Age=0") == 1
    assert cookies.expire_lines("n", domain="e.com", secure=False).count(b"Max-Age=0") == 2


async def test_a_visitor_without_a_user_agent_is_a_bot() -> None:
    desk = Desk()
    await desk.post("v1/t", event(), User_Agent="")
    assert desk.fates() == {("filtered", "bot"): 1}
    await desk.post("v1/t", event(), User_Agent=BROWSER)
    assert desk.fates()["accepted", ""] == 1
