"""Consent, in a real browser: nothing leaves the page and nothing is kept in it before it is given; banners as they announce themselves; withdrawal."""

import asyncio
import hashlib
import json

import pytest
from playwright.async_api import BrowserContext, Page, Request, Route
from visiting import KEY, Site, cookies, eventually, running

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
QUIET_MS = 1200
"""A page looks for consent once a second while something waits."""


class Visit:
    """A page and what it asked of the gateway, the script itself left out."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.asked: list[str] = []
        page.on("request", self._asked)

    def _asked(self, request: Request) -> None:
        path = request.url.partition("/gw/")[2]
        if path and path != "s.js":
            self.asked.append(path)

    async def quiet(self) -> bool:
        """Whether nothing was sent and nothing kept, even after the time in which consent would have been noticed."""
        await self.page.evaluate(f"new Promise((done) => setTimeout(done, {QUIET_MS}))")
        kept = await self.page.evaluate("sessionStorage.length + localStorage.length")
        ours = {cookie["name"] for cookie in await self.page.context.cookies()} & {"_ttp", "_dfid", "ttclid"}
        return not self.asked and not kept and not ours


async def opened(visitor: BrowserContext, url: str) -> Visit:
    visit = Visit(await visitor.new_page())
    await visit.page.goto(url)
    await running(visit.page)
    return visit


async def test_before_consent_there_is_only_memory(visitor: BrowserContext, shop_site: Site) -> None:
    """Events from before arrive once it is given, and the pages left before that are forgotten."""
    path = shop_site.page()
    visit = await opened(visitor, shop_site.http + path + "?ttclid=E.C.P.consent-01")
    await visit.page.evaluate(
        "ttq.identify({email: 'alice_abc@gmail.com'}); for (let n = 0; n < 15; n++) ttq.track('Contact', {}, {event_id: own('n' + n)})"
    )
    assert await visit.quiet()
    await visit.page.goto(shop_site.http + path + "second")
    assert await visit.quiet()
    await visit.page.evaluate("ttq.grantConsent()")
    (event,) = await shop_site.arrived(path, "Pageview")
    assert event["page"]["url"] == shop_site.http + path + "second"


async def test_held_granted_revoked(visitor: BrowserContext, shop_site: Site) -> None:
    """Held: not even a banner's grant sends. Revoked: what waits is gone, the cookies end and the gateway is told."""
    path = shop_site.page('data-page="off"')
    visit = await opened(visitor, shop_site.http + path)
    await visit.page.evaluate(
        "document.cookie = 'OptanonConsent=groups=C0001%3A1%2CC0004%3A1; path=/'; ttq.holdConsent(); ttq.track('Contact', {}, {event_id: own('held')})"
    )
    assert await visit.quiet()
    await visit.page.evaluate("ttq.grantConsent()")
    await shop_site.arrived(path, "Contact")
    await cookies(visitor, "_ttp", "_dfid")
    await visit.page.evaluate(
        "document.dispatchEvent(new Event('visibilitychange')); window.dispatchEvent(new Event('pagehide'))"
    )
    assert await visit.page.evaluate("sessionStorage.length") == 1
    async with visit.page.expect_response("**/gw/v1/c") as told:
        await visit.page.evaluate("ttq.track('Contact', {}, {event_id: own('gone')}); ttq.revokeConsent()")
    answer = await told.value
    assert answer.status == 204
    sent = json.loads(answer.request.post_data or "")
    assert (sent["consent"]["marketing"], sent["writeKey"]) == (False, KEY)
    assert not {cookie["name"] for cookie in await visitor.cookies()} & {"_ttp", "_dfid", "ttclid"}
    assert await visit.page.evaluate("[sessionStorage.length, ttq.debug().waiting]") == [0, 0]
    visit.asked.clear()
    await visit.page.evaluate("ttq.track('Contact', {}, {event_id: own('after')})")
    assert await visit.quiet()
    await visit.page.evaluate("ttq.grantConsent(); ttq.track('Contact', {}, {event_id: own('again')})")
    events = await eventually(lambda: shop_site.events(path), lambda found: len(found) == 2)
    assert [event["event_id"].partition("-")[2] for event in events] == ["held", "again"]


GRANTS = {
    "onetrust": "document.cookie = 'OptanonConsent=groups=C0001%3A1%2CC0004%3A1; path=/'",
    "onetrust, encoded once more": "document.cookie = 'OptanonConsent=' + encodeURIComponent('isGpcEnabled=0&groups=C0001:1,C0004:1') + '; path=/'",
    "onetrust, live": "window.OnetrustActiveGroups = ',C0001,C0004,'; dispatchEvent(new Event('OneTrustGroupsUpdated'))",
    "cookiebot": "document.cookie = \"CookieConsent={stamp:'x'%2Cnecessary:true%2Cstatistics:false%2Cmarketing:true}; path=/\"",
    "cookiebot, elsewhere": "document.cookie = 'CookieConsent=-1; path=/'",
    "cookiebot, live": "window.Cookiebot = {hasResponse: true, consent: {marketing: true, statistics: true}}; dispatchEvent(new Event('CookiebotOnAccept'))",
    "tcf": "window.__tcfapi = (command, version, heard) => heard({eventStatus: 'tcloaded', gdprApplies: true, purpose: {consents: {1: true, 3: true, 4: true}}}, true)",
    "consent mode": "window.dataLayer = []; (function () { dataLayer.push(arguments); })('consent', 'update', {ad_storage: 'granted'})",
}
REFUSALS = {
    "onetrust": "document.cookie = 'OptanonConsent=groups=C0001%3A1%2CC0004%3A0; path=/'; document.cookie = 'OptanonAlertBoxClosed=x; path=/'",
    "onetrust, by a link": "document.cookie = 'OptanonConsent=landingPath=https%3A%2F%2Fx%2F%3Fa%26groups%3DC0004%3A1&groups=C0001%3A1%2CC0004%3A0; path=/'",
    "onetrust, not answered": "window.OnetrustActiveGroups = ',C0001,'; dispatchEvent(new Event('OneTrustGroupsUpdated'))",
    "cookiebot": 'document.cookie = "CookieConsent={necessary:true%2Cmarketing:false}; path=/"',
    "cookiebot, all declined": "document.cookie = 'CookieConsent=0; path=/'",
    "cookiebot, not answered": "window.Cookiebot = {hasResponse: false, consent: {marketing: true}}; dispatchEvent(new Event('CookiebotOnAccept'))",
    "tcf without purpose 4": "window.__tcfapi = (command, version, heard) => heard({eventStatus: 'tcloaded', purpose: {consents: {1: true, 3: true}}}, true)",
    "tcf without purpose 1": "window.__tcfapi = (command, version, heard) => heard({eventStatus: 'tcloaded', purpose: {consents: {3: true, 4: true}}}, true)",
    "tcf without purpose 3": "window.__tcfapi = (command, version, heard) => heard({eventStatus: 'tcloaded', purpose: {consents: {1: true, 4: true}}}, true)",
    "tcf, not answered": "window.__tcfapi = (command, version, heard) => heard({eventStatus: 'cmpuishown', purpose: {consents: {1: true, 3: true, 4: true}}}, true)",
    "consent mode": "window.dataLayer = [['consent', 'update', {ad_storage: 'denied'}]]",
    "consent mode, default": "window.dataLayer = [['consent', 'default', {ad_storage: 'granted'}]]",
    "denial beats grant": "document.cookie = 'CookieConsent=0; path=/'; ttq.grantConsent()",
}


@pytest.mark.parametrize("banner", GRANTS)
async def test_a_banner_that_grants(visitor: BrowserContext, shop_site: Site, banner: str) -> None:
    """Noticed at once or within a second, without a new page."""
    path = shop_site.page()
    visit = await opened(visitor, shop_site.http + path)
    assert visit.asked == []
    await visit.page.evaluate(f"() => {{ {GRANTS[banner]} }}")
    await shop_site.arrived(path, "Pageview")


async def test_banners_that_refuse_or_were_not_answered(visitor: BrowserContext, shop_site: Site) -> None:
    """Nothing is sent and nothing is kept; side by side, because each takes its time, and apart from each other where cookies say it."""
    browser = visitor.browser
    assert browser
    contexts: list[BrowserContext] = []

    async def was_quiet(script: str) -> bool:
        context = visitor
        if "document.cookie" in script:
            context = await browser.new_context()
            contexts.append(context)
        visit = await opened(context, shop_site.http + shop_site.page())
        await visit.page.evaluate(f"() => {{ {script} }}")
        return await visit.quiet()

    quiet = await asyncio.gather(*(was_quiet(script) for script in REFUSALS.values()))
    assert [banner for banner, was in zip(REFUSALS, quiet, strict=True) if not was] == []
    await asyncio.gather(*(context.close() for context in contexts))


WITHDRAWALS = {
    "onetrust": (
        "window.OnetrustActiveGroups = ',C0001,C0004,'; dispatchEvent(new Event('OneTrustGroupsUpdated'))",
        "document.cookie = 'OptanonAlertBoxClosed=x; path=/'; window.OnetrustActiveGroups = ',C0001,'; dispatchEvent(new Event('OneTrustGroupsUpdated'))",
    ),
    "cookiebot": (
        "window.Cookiebot = {hasResponse: true, consent: {marketing: true}}; dispatchEvent(new Event('CookiebotOnAccept'))",
        "Cookiebot.consent = {marketing: false}; dispatchEvent(new Event('CookiebotOnDecline'))",
    ),
    "tcf": (
        "window.__tcfapi = (command, version, heard) => { window.heard = (four) => heard({eventStatus: 'useractioncomplete', purpose: {consents: {1: true, 3: true, 4: four}}}, true); window.heard(true); }",
        "heard(false)",
    ),
    "consent mode, which tells nobody": (
        "window.dataLayer = [['consent', 'update', {ad_storage: 'granted'}]]",
        "dataLayer.push(['consent', 'update', {ad_storage: 'denied'}]); ttq.track('Contact')",
    ),
}


async def test_banners_that_take_it_back(visitor: BrowserContext, shop_site: Site) -> None:
    """The gateway is told and the cookies end, without a new page; side by side, because each takes its time."""
    browser = visitor.browser
    assert browser

    async def withdrawn(grant: str, refusal: str) -> set[str]:
        context = await browser.new_context()
        path = shop_site.page()
        visit = await opened(context, shop_site.http + path)
        await visit.page.evaluate(f"() => {{ {grant} }}")
        await shop_site.arrived(path, "Pageview")
        await cookies(context, "_ttp", "_dfid")
        async with visit.page.expect_response("**/gw/v1/c") as told:
            await visit.page.evaluate(f"() => {{ {refusal} }}")
        assert (await told.value).status == 204
        left = {cookie["name"] for cookie in await context.cookies()} & {"_ttp", "_dfid", "ttclid"}
        await context.close()
        return left

    assert await asyncio.gather(*(withdrawn(*scripts) for scripts in WITHDRAWALS.values())) == [set()] * len(WITHDRAWALS)


async def test_withdrawn_while_a_request_is_under_way(visitor: BrowserContext, shop_site: Site) -> None:
    """Its late answer makes the cookies anew, so the gateway is told again."""
    path = shop_site.page('data-page="off"')
    visit = await opened(visitor, shop_site.http + path)
    under_way, first = asyncio.Event(), asyncio.Event()

    async def hold(route: Route) -> None:
        under_way.set()
        await first.wait()
        await route.continue_()

    await visit.page.route("**/gw/e", hold)
    await visit.page.evaluate("ttq.grantConsent(); ttq.track('Contact')")
    await under_way.wait()
    async with visit.page.expect_response("**/gw/v1/c"):
        await visit.page.evaluate("ttq.revokeConsent()")
    async with visit.page.expect_response("**/gw/v1/c") as again, visit.page.expect_response("**/gw/e") as late:
        first.set()
    assert "set-cookie" in await (await late.value).all_headers()
    assert (await again.value).status == 204
    assert not {cookie["name"] for cookie in await visitor.cookies()} & {"_ttp", "_dfid", "ttclid"}
    assert visit.asked == ["e", "v1/c", "v1/c"]


async def test_global_privacy_control(visitor: BrowserContext, shop_site: Site) -> None:
    """Denies whatever else grants; a site that may ignore it says so in its tag."""
    await visitor.add_init_script("Object.defineProperty(navigator, 'globalPrivacyControl', {value: true})")
    visit = await opened(visitor, shop_site.http + shop_site.page('data-consent="granted"'))
    assert await visit.quiet()
    path = shop_site.page('data-consent="granted" data-gpc="off"')
    await opened(visitor, shop_site.http + path)
    await shop_site.arrived(path, "Pageview")


async def test_the_edge_decides_again(visitor: BrowserContext, shop_site: Site) -> None:
    """A tag that overrules Global Privacy Control does not overrule the gateway, which honours the request's header."""
    await visitor.set_extra_http_headers({"Sec-GPC": "1"})
    path = shop_site.page('data-consent="granted" data-gpc="off" data-page="off"')
    visit = await opened(visitor, shop_site.http + path)
    async with visit.page.expect_request("**/gw/e") as request:
        answered = await visit.page.evaluate(
            "new Promise((done) => { ttq.on('sent', ({status, answer}) => done([status, answer.accepted, answer.filtered])); ttq.track('Contact'); })"
        )
    assert json.loads((await request.value).post_data or "")["batch"][0]["context"]["consent"] == {
        "marketing": True,
        "analytics": True,
    }
    assert answered == [200, 0, 1]
    assert not {cookie["name"] for cookie in await visitor.cookies()} & {"_ttp", "_dfid", "ttclid"}


async def test_a_tag_that_starts_denied(visitor: BrowserContext, shop_site: Site) -> None:
    path = shop_site.page('data-consent="denied"')
    visit = await opened(visitor, shop_site.http + path)
    assert await visit.quiet()
    await visit.page.evaluate("ttq.grantConsent(); ttq.track('Contact')")
    assert [event["event"] for event in await shop_site.arrived(path, "Contact")] == ["Contact"], (
        "what was done while it was denied is forgotten"
    )


async def test_identity_and_click_last_for_the_session(visitor: BrowserContext, shop_site: Site) -> None:
    """On the next page: hashed only, and only with consent."""
    path = shop_site.page('data-consent="granted"')
    visit = await opened(visitor, shop_site.http + path + "?ttclid=E.C.P.session-01")
    await visit.page.evaluate("ttq.identify({email: 'alice_abc@gmail.com', phone_number: '020 7946 0018', first_name: 'Alice'})")
    await shop_site.arrived(path, "Pageview")
    kept = await eventually(lambda: visit.page.evaluate("sessionStorage._ttgw || ''"), bool)
    assert json.loads(kept)["who"] == {"email": hashlib.sha256(b"alice_abc@gmail.com").hexdigest()}
    assert not any(raw in kept for raw in ("alice", "Alice", "7946"))
    await visitor.clear_cookies()
    await visit.page.goto(shop_site.http + path + "second")
    events = await shop_site.arrived(path, "Pageview", "Pageview")
    (second,) = [event for event in events if event["page"]["url"].endswith("second")]
    assert second["user"]["ttclid"] == "E.C.P.session-01"
    assert len(second["user"]["email"]) == 64
