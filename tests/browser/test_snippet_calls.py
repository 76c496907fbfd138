"""What a page may call, in a real browser: every function, navigation within a page, identity, and pages that are hard on a script."""

import hashlib
import json
import re
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Request
from visiting import KEY, PIXEL, Site, cookies, eventually, running

from gateway import snippet
from gateway.snippet.tag import DEFAULT_GLOBAL, tags

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
GRANTED = 'data-consent="granted"'
SCRIPT = snippet.load()
PASTED = tags(prefix="/gw", name="s", digest=SCRIPT.hash, integrity=SCRIPT.integrity, key=KEY, global_name=DEFAULT_GLOBAL)
"""What `ttgateway snippet` prints."""
STRICT = f"default-src 'none'; {'; '.join(PASTED.policy)} data:; base-uri 'none'; require-trusted-types-for 'script'"
"""Its lines, and ``data:`` for the pages' own icon."""

TYPES = snippet.types()
DECLARED = {
    name: set(re.findall(r"^  (\w+)[<(]", TYPES.partition(f"interface {handle} {{")[2].partition("\n}")[0], re.MULTILINE))
    for name, handle in (("ttq", "Ttq"), ("_df", "Df"))
}


def sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def opened(visitor: BrowserContext, url: str, problems: list[str] | None = None) -> Page:
    """The page, once the client script runs in it. Its complaints go to ``problems``."""
    page = await visitor.new_page()
    if problems is not None:
        page.on("pageerror", lambda error: problems.append(str(error)))
        page.on("console", lambda message: problems.append(message.text) if message.type in {"error", "warning"} else None)
    await page.goto(url)
    await running(page)
    return page


async def test_every_function(visitor: BrowserContext, shop_site: Site) -> None:
    """Each does what it says, and none of them makes the page complain."""
    path = shop_site.page(GRANTED)
    problems: list[str] = []
    page = await opened(visitor, shop_site.http + path, problems)
    called = await page.evaluate(
        """async (pixel) => {
          const said = [];
          const heard = (event) => said.push(event.event);
          ttq.on('track', heard);
          ttq.once('track', (event) => said.push('once ' + event.event));
          ttq.track('ViewContent', {content_id: 1, value: '99.95', currency: 'EUR'}, {event_id: 'view-1'});
          ttq.off('track', heard);
          ttq.track('MyOwnName', {a: 1});
          ttq.instance(pixel).track('AddToCart', {value: 1, currency: 'EUR'});
          ttq.page({category: 'shoes'});
          ttq.load('IGNORED');
          ttq.track();
          ttq.push(['track', 'Contact']);
          _df.page('Named page');
          _df.track('Order Completed', {order_id: 'o-1', value: 5, currency: 'EUR', products: [{product_id: '7', price: 5, quantity: 1}]}, {event_id: 'o-1'});
          _df.identify('user_123', {email: 'Alice_ABC@gmail.com '});
          _df.group('team-1', {plan: 'pro'});
          _df.track('Product Added', {value: 2, currency: 'EUR'});
          await new Promise((done) => ttq.ready(done));
          return {said, debug: ttq.debug(), quiet: ttq.debug(false).beside};
        }""",
        PIXEL,
    )
    assert called["said"] == ["ViewContent", "once ViewContent"]
    for name, declared in DECLARED.items():
        assert set(await page.evaluate(f"Object.keys({name})")) - {"gw"} == declared, "the types say what there is"
    assert called["debug"]["consent"] == {"marketing": True, "analytics": True}
    assert called["debug"]["beside"] is False
    events = await shop_site.arrived(
        path, "Pageview", "Pageview", "Pageview", "ViewContent", "MyOwnName", "AddToCart", "AddToCart", "Contact", "Purchase"
    )
    by_name = {event["event"]: event for event in events}
    assert by_name["ViewContent"]["event_id"] == "view-1"
    assert by_name["ViewContent"]["properties"]["value"] == 99.95
    assert by_name["Purchase"]["event_id"] == "o-1"
    assert "email" not in by_name["Purchase"]["user"], "it was made before identify"
    added = [event for event in events if event["event"] == "AddToCart"]
    (known,) = [event for event in added if "email" in event["user"]]
    assert known["user"]["email"] == sha256("alice_abc@gmail.com")
    assert known["user"]["external_id"] == sha256("user_123")
    assert {event["page"]["url"] for event in events} == {shop_site.http + path}
    assert [entry["findings"] for entry in await shop_site.entries(path) if entry["findings"]] == []
    assert problems == []


async def test_cookies_are_left_out_where_the_page_wants_it(visitor: BrowserContext, shop_site: Site) -> None:
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    await shop_site.arrived(path, "Pageview")
    await cookies(visitor, "_ttp")
    carried: list[bool] = []

    def contact(request: Request) -> bool:
        """The test may be told of the page view only now."""
        return request.url.endswith("/gw/e") and '"Contact"' in (request.post_data or "")

    for switch in ("disableCookie", "enableCookie"):
        async with page.expect_request(contact) as sent:
            await page.evaluate(f"ttq.{switch}(); ttq.track('Contact')")
        carried.append("cookie" in await (await sent.value).all_headers())
    assert carried == [False, True]


@pytest.mark.parametrize("queue", ["ttq", "_df"])
async def test_what_was_called_before_it_came_is_not_lost(visitor: BrowserContext, shop_site: Site, queue: str) -> None:
    name = {"ttq": "Contact", "_df": "Products Searched"}[queue]
    path = shop_site.page(
        GRANTED, before=f"window.{queue} = [['page', {{}}], ['track', '{name}', {{query: 'x'}}, {{event_id: 'early'}}]]"
    )
    await opened(visitor, shop_site.http + path)
    events = await shop_site.arrived(path, "Pageview")
    events = await eventually(lambda: shop_site.events(path), lambda found: len(found) == 2)
    assert {event["event_id"] for event in events if event["event"] != "Pageview"} == {"early"}


async def test_navigation_within_a_page(visitor: BrowserContext, shop_site: Site) -> None:
    """Every new address is a page view, with the address before it as referrer; the same address is none."""
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    steps = (
        "history.pushState({}, '', 'a')",
        "history.replaceState({}, '', 'b?x=1')",
        "history.back()",
        "location.hash = '#/route'",
    )
    for number, step in enumerate(steps, 2):
        await page.evaluate(step)
        await page.evaluate("history.replaceState({}, '', location.href)")
        await shop_site.arrived(path, *["Pageview"] * number)
    seen = [(event["page"]["url"], event["page"].get("referrer", "")) for event in await shop_site.events(path)]
    base = shop_site.http + path
    assert seen == [
        (base, ""),
        (base + "a", base),
        (base + "b?x=1", base + "a"),
        (base, base + "b?x=1"),
        (base + "#/route", base),
    ]


async def test_page_views_can_be_left_to_the_page(visitor: BrowserContext, shop_site: Site) -> None:
    path = shop_site.page(f'{GRANTED} data-page="off" data-spa="off"')
    page = await opened(visitor, shop_site.http + path)
    await page.evaluate("history.pushState({}, '', 'a')")
    await page.evaluate("new Promise((done) => setTimeout(done, 150))")
    await page.evaluate("ttq.track('Contact')")
    assert [event["event"] for event in await shop_site.arrived(path, "Contact")] == ["Contact"]


@pytest.mark.parametrize("tag", [PASTED.script, PASTED.pinned], ids=["short", "pinned"])
async def test_a_strict_page(visitor: BrowserContext, shop_site: Site, tag: str) -> None:
    """The printed policy, trusted types and the printed tags: nothing is violated, and events arrive."""
    path = shop_site.raw(tag.replace("<script ", f"<script {GRANTED} "), csp=STRICT)
    problems: list[str] = []
    await opened(visitor, shop_site.http + path, problems)
    await shop_site.arrived(path, "Pageview")
    assert problems == []


async def test_two_tags_are_one_script(visitor: BrowserContext, shop_site: Site) -> None:
    path = shop_site.page(GRANTED, head=f'<script async src="/gw/s.js?again" data-key="{KEY}" {GRANTED}></script>')
    page = await opened(visitor, shop_site.http + path)
    await page.wait_for_load_state("load")
    await page.evaluate("history.pushState({}, '', 'next'); ttq.track('Contact')")
    names = [event["event"] for event in await shop_site.arrived(path, "Contact", "Pageview", "Pageview")]
    assert sorted(names) == ["Contact", "Pageview", "Pageview"]


async def test_no_globals_but_the_two(visitor: BrowserContext, shop_site: Site) -> None:
    plain = await visitor.new_page()
    await plain.goto(shop_site.http + shop_site.raw(""))
    before = set(await plain.evaluate("Object.getOwnPropertyNames(window)"))
    path = shop_site.page(f'{GRANTED} data-global="mine" data-endpoint="/gw"')
    page = await opened(visitor, shop_site.http + path)
    after = set(await page.evaluate("Object.getOwnPropertyNames(window)"))
    assert after - before == {"mine", "_df"}
    await page.evaluate("mine.track('Contact')")
    await shop_site.arrived(path, "Pageview", "Contact")


BARE = {
    "storage": "Object.defineProperty(window, 'sessionStorage', {get() { throw new DOMException('no', 'SecurityError'); }})",
    "digests": "Object.defineProperty(crypto, 'subtle', {value: undefined})",
    "randomness": "Object.defineProperty(window, 'crypto', {value: undefined})",
    "beacons": "Object.defineProperty(navigator, 'sendBeacon', {value: undefined})",
    "abortion": "Object.defineProperty(window, 'AbortSignal', {value: undefined})",
    "cookies": "Object.defineProperty(document, 'cookie', {get() { throw new DOMException('no', 'SecurityError'); }})",
}


@pytest.mark.parametrize("missing", BARE)
async def test_a_browser_without(visitor: BrowserContext, shop_site: Site, missing: str) -> None:
    """What is missing or blocked is done without: the page notices nothing, the events arrive."""
    await visitor.add_init_script(BARE[missing])
    path, other = shop_site.page(GRANTED), shop_site.raw("")
    problems: list[str] = []
    page = await opened(visitor, shop_site.http + path, problems)
    await shop_site.arrived(path, "Pageview")
    await page.evaluate("ttq.identify({email: 'alice_abc@gmail.com'}); ttq.track('Contact')")
    await page.goto(shop_site.http + other)
    (event,) = [event for event in await shop_site.arrived(path, "Contact") if event["event"] == "Contact"]
    assert event["user"]["email"] == sha256("alice_abc@gmail.com")
    assert problems == []


async def test_a_beacon_that_throws(visitor: BrowserContext, shop_site: Site) -> None:
    """What it would have carried waits in the session for the next page."""
    await visitor.add_init_script("navigator.sendBeacon = () => { throw new Error('no'); }")
    path = shop_site.page(f'{GRANTED} data-page="off"')
    problems: list[str] = []
    page = await opened(visitor, shop_site.http + path, problems)
    await page.evaluate("ttq.track('Contact')")
    await page.goto(shop_site.http + path + "next")
    (event,) = await shop_site.arrived(path, "Contact")
    assert event["page"]["url"] == shop_site.http + path
    assert problems == []


@pytest.mark.parametrize("fetch", ["undefined", "() => { throw new Error('no'); }"], ids=["missing", "throwing"])
async def test_without_fetch_the_page_notices_nothing(visitor: BrowserContext, shop_site: Site, fetch: str) -> None:
    await visitor.add_init_script(f"window.fetch = {fetch}")
    problems: list[str] = []
    page = await opened(visitor, shop_site.http + shop_site.page(GRANTED), problems)
    waiting = await page.evaluate(
        "for (let n = 0; n < 20; n++) ttq.track('Contact'); new Promise((done) => setTimeout(() => done(ttq.debug().waiting), 100))"
    )
    assert waiting == 21
    assert problems == []


@pytest.mark.parametrize(
    ("given", "sent", "arrives"),
    [
        ({"email": " Alice_ABC@gmail.com "}, {"email": sha256("alice_abc@gmail.com")}, {"email": sha256("alice_abc@gmail.com")}),
        ({"email": sha256("x@y.z").upper()}, {"email": sha256("x@y.z").upper()}, {"email": sha256("x@y.z")}),
        ({"phone_number": "+1 213-373-4253"}, {"phone_number": sha256("+12133734253")}, {"phone": sha256("+12133734253")}),
        ({"phone_number": "020 7946 0018"}, {"phone_number": "020 7946 0018"}, {"phone": sha256("+442079460018")}),
        ({"phone_number": "+44 (0)20 7946 0018"}, {"phone_number": "+44 (0)20 7946 0018"}, {"phone": sha256("+442079460018")}),
        ({"sha256_email": sha256("a@b.c")}, {"sha256_email": sha256("a@b.c")}, {"email": sha256("a@b.c")}),
        ({"external_id": 123}, {"external_id": sha256("123")}, {"external_id": sha256("123")}),
        ({"email": "undefined"}, {"email": "undefined"}, {}),
        ({"email": None, "external_id": {"a": 1}}, {"email": None, "external_id": {"a": 1}}, {}),
    ],
)
async def test_who_the_visitor_is(
    visitor: BrowserContext, shop_site: Site, given: dict[str, Any], sent: dict[str, Any], arrives: dict[str, Any]
) -> None:
    """Hashed in the browser where that is certain to be right; else over TLS, and hashed at the edge."""
    path = shop_site.page(f'{GRANTED} data-page="off"')
    page = await opened(visitor, shop_site.http + path)
    async with page.expect_request("**/gw/e") as request:
        await page.evaluate("(who) => { ttq.identify(who); ttq.track('Contact'); }", given)
    body = json.loads((await request.value).post_data or "")
    assert body["batch"][0]["traits"] == sent
    (event,) = await shop_site.arrived(path, "Contact")
    if "external_id" not in arrives:
        event["user"].pop("external_id")  # the gateway's own id of the visitor
    assert {name: value for name, value in event["user"].items() if name in {"email", "phone", "external_id"}} == arrives


async def test_hostile_values_harm_nobody(visitor: BrowserContext, shop_site: Site) -> None:
    """What is no JSON is left out of its event; nothing throws."""
    path = shop_site.page(f'{GRANTED} data-page="off"')
    problems: list[str] = []
    page = await opened(visitor, shop_site.http + path, problems)
    await page.evaluate(
        """() => {
          const loop = {}; loop.self = loop;
          ttq.track('Contact', loop, {event_id: 'loop'});
          ttq.track('Contact', {n: 10n}, {event_id: 'big'});
          ttq.track('Contact', {toJSON() { throw new Error('no'); }}, {event_id: 'throws'});
          ttq.track({}, 'x'); ttq.track(5); ttq.track('Contact', 'text', 'text'); ttq.page(null, null);
          ttq.identify(); ttq.identify('x'); ttq.push(); ttq.push([]); ttq.push(['nothing']); ttq.on(); ttq.ready(); ttq.ready(() => { throw new Error('theirs'); });
          ttq.on('track', () => { throw new Error('theirs'); });
          ttq.track('Contact', {}, {event_id: 'last'});
        }"""
    )
    ids = {event["event_id"] for event in await shop_site.arrived(path, *["Contact"] * 5)}
    assert {"loop", "big", "throws", "last"} < ids
    assert problems == []


async def test_a_page_without_script(shared_browser: Any, shop_site: Site) -> None:
    """The image counts a page view where a consent cookie grants it."""
    context = await shared_browser.new_context(
        java_script_enabled=False, user_agent="Mozilla/5.0 (X11; Linux x86_64) Chrome/142.0.0.0"
    )
    try:
        value = "groups=C0001%3A1%2CC0004%3A1"
        await context.add_cookies([{"name": "OptanonConsent", "value": value, "url": shop_site.http}])
        path = shop_site.raw("", body=PASTED.noscript)
        page = await context.new_page()
        await page.goto(shop_site.http + path)
        (event,) = await shop_site.arrived(path, "Pageview")
        assert event["page"]["url"] == shop_site.http + path
    finally:
        await context.close()


async def test_the_browser_pixels_own_bodies(visitor: BrowserContext, shop_site: Site) -> None:
    """Shaped as the pixel's traffic is, posted from the page: they come out as its events."""
    path = shop_site.raw("")
    page = await visitor.new_page()
    await page.goto(shop_site.http + path)
    body = {
        "event": "CompletePayment", "event_id": "pixel-1", "message_id": "messageId-1-" + PIXEL, "timestamp": "2026-11-23T14:00:00.000Z", "is_onsite": False,
        "context": {
            "ad": {"ttclid": "E.C.P.wire-0001"}, "user": {"anonymous_id": "f3c1", "email": sha256("alice_abc@gmail.com"), "external_id": "user_123"},
            "pixel": {"code": PIXEL, "codes": PIXEL}, "page": {"url": shop_site.http + path, "referrer": "https://www.tiktok.com/"},
            "library": {"name": "pixel.js", "version": "2.2.1"}, "device": {"platform": "pc"}, "session_id": "s", "pageview_id": "p", "userAgent": "x", "index": 1,
            "consent": {"marketing": True},
        },
        "properties": {"contents": [{"content_id": 1077218, "quantity": 1, "price": "99.95"}], "value": "99.95", "currency": "EUR"},
    }  # fmt: skip
    now = "Object.assign(body, {timestamp: new Date().toISOString()})"
    send = f"(body) => fetch('/gw/api/v2/pixel', {{method: 'POST', body: JSON.stringify({now}), headers: {{'Content-Type': 'text/plain;charset=UTF-8'}}}}).then((answer) => answer.status)"
    assert await page.evaluate(send, body) == 200
    (event,) = await eventually(lambda: shop_site.events(path), bool)
    assert event["event"] == "CompletePayment"
    assert event["event_id"] == "pixel-1"
    assert event["user"]["email"] == sha256("alice_abc@gmail.com")
    assert event["user"]["external_id"] == sha256("user_123")
    assert event["user"]["ttclid"] == "E.C.P.wire-0001"
    assert "Chrome" in event["user"]["user_agent"], "the connection's, not the body's"
    assert event["properties"]["value"] == 99.95
    assert event["properties"]["contents"][0]["content_id"] == "1077218"
