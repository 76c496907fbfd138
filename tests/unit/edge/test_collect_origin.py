"""Who may send events from where, and what CORS says about it."""

import pytest
from collect_desk import PIPELINE, Desk, event

from gateway.edge.origin import host_only

pytestmark = pytest.mark.usefixtures("both_readers")

SHOP = "https://shop.example.com"
ANYWHERE = {**PIPELINE, "domains": []}
OPENED = ["https://partner.example.org", "http://localhost:5173"]


async def test_the_very_same_origin_needs_no_cors() -> None:
    reply = await Desk().post("v1/t", event(), Origin=SHOP, Sec_Fetch_Site="same-origin")
    assert reply.status == 200
    assert reply.all("Access-Control-Allow-Origin") == []


@pytest.mark.parametrize(
    ("origin", "host", "fetch_site"),
    [
        ("https://www.example.com", "shop.example.com", ""),  # same site by the pipeline's registrable domain
        ("https://example.com", "shop.example.com", "same-site"),
        ("https://shop.example.com", "collect.example.com", "same-site"),  # the page's host is listed, the endpoint's is not
        ("https://shop.example.com:8443", "shop.example.com", "same-site"),
        ("https://SHOP.example.com", "collect.example.com", ""),
        ("https://partner.example.org", "shop.example.com", "cross-site"),  # edge.allowed_origins
        ("http://localhost:5173", "shop.example.com", "cross-site"),
    ],
)
async def test_origins_that_may_are_named_with_credentials(origin: str, host: str, fetch_site: str) -> None:
    desk = Desk(allowed_origins=OPENED)
    reply = await desk.post("v1/t", event(), Origin=origin, Host=host, Sec_Fetch_Site=fetch_site)
    assert reply.status == 200
    assert reply.one("Access-Control-Allow-Origin") == origin
    assert reply.one("Access-Control-Allow-Credentials") == "true"
    assert reply.one("Vary") == "Origin"
    assert desk.fates() == {("accepted", ""): 1}


@pytest.mark.parametrize(
    ("origin", "host", "fetch_site"),
    [
        ("https://evil.example.org", "shop.example.com", "cross-site"),
        ("https://evilexample.com", "shop.example.com", ""),
        ("https://shop.example.com.evil.org", "shop.example.com", ""),
        ("https://partner.example.org:444", "shop.example.com", ""),
        ("http://partner.example.org", "shop.example.com", ""),
        ("https://evil.example.org", "evil.example.org", "same-origin"),  # the host is none of the pipeline's
        ("null", "shop.example.com", ""),
        ("file://", "shop.example.com", ""),
        ("https://", "shop.example.com", ""),
        ("https://[", "shop.example.com", ""),
        ("https://é.example.com", "shop.example.com", "same-site"),
        ("https://www.example.com/path", "shop.example.com", "same-site"),
        ("https://www.example.com x", "shop.example.com", "same-site"),
        ("https://www.example.com\r\nX: y", "shop.example.com", "same-site"),
        ("chrome-extension://abc", "shop.example.com", ""),
        ("x" * 5000, "shop.example.com", ""),
    ],
)
async def test_origins_that_may_not(origin: str, host: str, fetch_site: str) -> None:
    desk = Desk(allowed_origins=["https://partner.example.org"])
    reply = await desk.post("e", [event(), event()], Origin=origin, Host=host, Sec_Fetch_Site=fetch_site)
    assert (reply.status, reply.reason) == (403, "origin_not_allowed")
    assert reply.all("Access-Control-Allow-Origin") == reply.all("Set-Cookie") == []
    assert desk.outcomes() == {("shop", "", "rejected", "origin_not_allowed"): 2}
    assert await desk.sealed() == []


@pytest.mark.parametrize(
    ("host", "fetch_site", "status"),
    [
        ("shop.example.com", "", 200),  # an e-mail program, an old browser
        ("shop.example.com:8443", "same-origin", 200),
        ("collect.example.com", "same-site", 200),
        ("shop.example.com", "cross-site", 403),  # another site's page shows our image
        ("evil.example.org", "", 403),  # a host that was pointed at us
        ("127.0.0.1:8080", "none", 403),
        ("", "", 403),
    ],
)
async def test_without_an_origin_host_and_fetch_site_decide(host: str, fetch_site: str, status: int) -> None:
    desk = Desk()
    reply = await desk.send("GET", "px?ev=x&consent=1", Host=host, Sec_Fetch_Site=fetch_site)
    assert reply.status == status


async def test_a_wildcard_serves_what_is_below_it() -> None:
    desk = Desk(pipelines=[{**PIPELINE, "domains": ["*.example.com"]}], host="de.example.com")
    assert (await desk.post("v1/t", event(), Origin="https://fr.example.com")).one(
        "Access-Control-Allow-Origin"
    ) == "https://fr.example.com"
    assert (await desk.post("v1/t", event(), Host="example.com")).status == 200
    assert (await desk.post("v1/t", event(), Host="de.example.com.evil.org")).status == 403


async def test_any_host_means_pages_of_that_host() -> None:
    desk = Desk(pipelines=[ANYWHERE], host="10.1.2.3:8080")
    assert (await desk.post("v1/t", event(), Origin="http://10.1.2.3:8080")).all("Access-Control-Allow-Origin") == []
    assert (await desk.post("v1/t", event(), Origin="http://10.1.2.3:3000")).one(
        "Access-Control-Allow-Origin"
    ) == "http://10.1.2.3:3000"
    assert (await desk.post("v1/t", event(), Origin="https://evil.example.org", Sec_Fetch_Site="cross-site")).status == 403
    # A proxy that does not pass the host on: the browser's own word that it is the same site.
    assert (await desk.post("v1/t", event(), Origin="https://shop.example.com", Sec_Fetch_Site="same-origin")).status == 200


@pytest.mark.parametrize("path", ["v1/t", "e", "v1/c", "api/v2/pixel", "px"])
async def test_preflights(path: str) -> None:
    desk = Desk(allowed_origins=OPENED)
    reply = await desk.send("OPTIONS", path, Origin="https://partner.example.org", Access_Control_Request_Method="POST")
    assert (reply.status, reply.body) == (204, b"")
    assert reply.one("Access-Control-Allow-Origin") == "https://partner.example.org"
    assert reply.one("Access-Control-Allow-Credentials") == "true"
    assert "content-type" in reply.one("Access-Control-Allow-Headers")
    assert "POST" in reply.one("Access-Control-Allow-Methods")
    refused = await desk.send("OPTIONS", path, Origin="https://evil.example.org")
    assert (refused.status, refused.all("Access-Control-Allow-Origin")) == (403, [])
    assert desk.outcomes() == {}


async def test_options_without_an_origin_names_the_methods() -> None:
    reply = await Desk().send("OPTIONS", "v1/t")
    assert (reply.status, reply.one("Allow")) == (204, "POST, OPTIONS")


async def test_a_preflight_is_answered_for_whichever_pipeline_takes_the_origin() -> None:
    second = {**PIPELINE, "id": "blog", "key": "dk_blog", "domains": ["blog.example.net"]}
    desk = Desk(pipelines=[PIPELINE, second])
    assert (await desk.send("OPTIONS", "v1/t", Origin="https://blog.example.net")).status == 204


@pytest.mark.parametrize("body", [b"{", b"5", b'{"event":"x","writeKey":"none"}'])
async def test_a_page_that_may_can_read_its_errors(body: bytes) -> None:
    reply = await Desk().send("POST", "e", body, Origin="https://www.example.com")
    assert reply.status in {400, 401}
    assert reply.one("Access-Control-Allow-Origin") == "https://www.example.com"
    reply = await Desk().send("POST", "e", body, Origin="https://evil.example.org")
    assert reply.all("Access-Control-Allow-Origin") == []


async def test_refusals_for_now_can_be_read_as_well() -> None:
    desk = Desk(spool=None)
    reply = await desk.post("v1/t", event(), Origin="https://www.example.com")
    assert (reply.status, reply.one("Access-Control-Allow-Origin")) == (503, "https://www.example.com")
    assert reply.one("Access-Control-Expose-Headers") == "Retry-After"


async def test_what_is_remembered_about_origins_is_bounded() -> None:
    desk = Desk(pipelines=[{**PIPELINE, "rate_limit": 10_000_000}])
    for number in range(9000):
        await desk.post("e", [], Origin=f"https://a{number}.example.com")
    assert len(desk.collector._origins._known) <= 8192


@pytest.mark.parametrize(
    ("host", "only"),
    [("Shop.Example.com:8080", "shop.example.com"), ("[::1]:80", "[::1]"), ("", ""), ("a", "a"), ("x" * 500, "x" * 500)],
)
def test_hosts_without_their_port(host: str, only: str) -> None:
    assert host_only(host) == only
