"""Beside a stand-in for TikTok's own pixel: both get every call once, with one event_id; the pixel's queue is left to it."""

import pytest
from playwright.async_api import BrowserContext, Page
from visiting import PIXEL, Site, running

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]

STUB = f"""
window.TiktokAnalyticsObject = 'ttq';
var stub = window.ttq = window.ttq || [];
stub.methods = ['page', 'track', 'identify', 'on', 'off', 'once', 'ready', 'holdConsent', 'revokeConsent', 'grantConsent', 'enableCookie', 'disableCookie'];
stub.setAndDefer = (target, method) => {{ target[method] = (...given) => {{ target.push([method, ...given]); }}; }};
stub.methods.forEach((method) => stub.setAndDefer(stub, method));
stub._i = {{}};
stub.instance = (code) => {{ const one = stub._i[code] = stub._i[code] || []; stub.methods.forEach((method) => stub.setAndDefer(one, method)); return one; }};
stub.load = (code) => {{ stub._i[code] = []; }};
stub.load('{PIXEL}');
stub.page();
stub.track('ViewContent', {{value: 1, currency: 'EUR'}});
stub.track('AddToCart', {{value: 2, currency: 'EUR'}}, {{event_id: 'own-' + location.pathname}});
"""
"""What its users paste, in our words: a queue with the pixel's functions, and some calls."""
LIBRARY = """() => {
  // The library comes: it plays the queue through the page's handle, and puts its own functions in place of the stub's.
  window.pixelGot = [];
  const stub = window.ttq, queued = stub.splice(0, stub.length);
  ['page', 'track', 'identify'].forEach((method) => { stub[method] = (...given) => { pixelGot.push([method, ...given]); return 'from the pixel'; }; });
  queued.forEach(([method, ...given]) => { if (stub[method]) stub[method](...given); });
  document.cookie = '_ttp=pixels-own-browser-id-00001; path=/';
}"""


async def opened(visitor: BrowserContext, shop_site: Site, path: str) -> Page:
    page = await visitor.new_page()
    await page.goto(shop_site.http + path)
    await running(page)
    return page


@pytest.mark.parametrize("attributes", ["", 'data-mode="beside"'])
async def test_both_get_every_call_with_one_id(visitor: BrowserContext, shop_site: Site, attributes: str) -> None:
    """Queued before us, called while the stub stands, and called when the library has come."""
    path = shop_site.page(f'data-consent="granted" {attributes}', before=STUB)
    page = await opened(visitor, shop_site, path)
    assert await page.evaluate("ttq.debug === undefined && Array.isArray(ttq) && ttq.length") == 3, "its queue is not consumed"
    await page.evaluate("ttq.track('Search', {query: 'tents'})")
    await page.evaluate(LIBRARY)
    assert await page.evaluate("ttq.track('Contact', {}, {event_id: 'late-' + location.pathname})") == "from the pixel"
    await page.evaluate("ttq.track('Lead')")
    events = await shop_site.arrived(path, "Pageview", "ViewContent", "AddToCart", "Search", "Contact", "Lead")
    assert len(events) == 6
    got = await page.evaluate("pixelGot")
    assert [call[1] if call[0] == "track" else call[0] for call in got] == [
        "page",
        "ViewContent",
        "AddToCart",
        "Search",
        "Contact",
        "Lead",
    ]
    ids = {event["event"]: event["event_id"] for event in events}
    assert {call[1]: call[3]["event_id"] for call in got if call[0] == "track"} == {
        name: ids[name] for name in ids if name != "Pageview"
    }
    assert got[0][2]["event_id"] == ids["Pageview"]
    assert ids["AddToCart"] == f"own-{path}"
    assert ids["Contact"] == f"late-{path}"


async def test_the_browser_id_is_the_pixels(visitor: BrowserContext, shop_site: Site) -> None:
    """Its cookie gets a moment to come before the gateway would make one: here as soon as the client script runs, by the page's own clock."""
    comes = f"const comes = setInterval(() => {{ if (window._df && _df.gw) {{ clearInterval(comes); ({LIBRARY})(); }} }}, 10);"
    path = shop_site.page('data-consent="granted"', before=STUB + comes)
    await opened(visitor, shop_site, path)
    (event, *_) = await shop_site.arrived(path, "ViewContent")
    assert event["user"]["ttp"] == "pixels-own-browser-id-00001"


async def test_a_pixel_that_never_comes(visitor: BrowserContext, shop_site: Site) -> None:
    """Blocked: our events go on their way all the same, after the moment it was given."""
    path = shop_site.page('data-consent="granted"', before=STUB)
    await opened(visitor, shop_site, path)
    await shop_site.arrived(path, "Pageview", "ViewContent", "AddToCart")


async def test_instances_and_identity_are_shared_too(visitor: BrowserContext, shop_site: Site) -> None:
    path = shop_site.page('data-consent="granted"', before=STUB + f"ttq.instance('{PIXEL}').track('Contact', {{}});")
    page = await opened(visitor, shop_site, path)
    await page.evaluate(
        f"ttq.identify({{email: 'alice_abc@gmail.com'}}); ttq.instance('{PIXEL}').track('Lead', {{}}); ttq.instance('OTHERCODE').track('Download', {{}})"
    )
    events = await shop_site.arrived(path, "Contact", "Lead")
    assert [len(event["user"].get("email", "")) for event in events if event["event"] in {"Contact", "Lead"}] == [0, 64]
    assert await page.evaluate("ttq.filter(([method]) => method === 'identify').length") == 1
    assert "Download" not in {event["event"] for event in await shop_site.events(path)}


async def test_a_pixel_that_replaces_its_global(visitor: BrowserContext, shop_site: Site) -> None:
    """And one that a tag manager brings later: the tag says so, and both get what is called."""
    path = shop_site.page('data-consent="granted" data-mode="beside" data-page="off"')
    page = await opened(visitor, shop_site, path)
    assert await page.evaluate("window.ttq === undefined")
    await page.evaluate("window.got = []; window.ttq = {track: (...given) => got.push(given)}; ttq.track('Contact', {})")
    (event,) = await shop_site.arrived(path, "Contact")
    assert event["event_id"] == (await page.evaluate("got"))[0][2]["event_id"]


async def test_a_pixel_whose_script_is_on_the_page(visitor: BrowserContext, shop_site: Site) -> None:
    """Without a queue to tell by, its script tells."""
    path = shop_site.page(
        'data-consent="granted" data-page="off"',
        head='<script async src="/i18n/pixel/events.js?sdkid=X"></script>',
        before="document.cookie = '_ttp=pixels-own-browser-id-00002; path=/'; window.got = []; window.ttq = {track: (...given) => got.push(given)}",
    )
    page = await opened(visitor, shop_site, path)
    await page.evaluate("ttq.track('Contact', {})")
    (event,) = await shop_site.arrived(path, "Contact")
    assert event["event_id"] == (await page.evaluate("got"))[0][2]["event_id"]


async def test_somebody_elses_wrapper_around_ours(visitor: BrowserContext, shop_site: Site) -> None:
    """Tag managers wrap functions too: no endless loop, and each event once on either side."""
    path = shop_site.page('data-consent="granted"', before=STUB)
    page = await opened(visitor, shop_site, path)
    await page.evaluate(LIBRARY)
    await page.evaluate(
        "const before = ttq.track; ttq.track = (...given) => { window.theirs = (window.theirs || 0) + 1; return before(...given); }; ttq.track('Contact', {})"
    )
    assert await page.evaluate("[theirs, pixelGot.filter(([, name]) => name === 'Contact').length]") == [1, 1]
    assert len(await shop_site.arrived(path, "Pageview", "ViewContent", "AddToCart", "Contact")) == 4


async def test_in_its_place(visitor: BrowserContext, shop_site: Site) -> None:
    """Told to replace it, the script empties the queue and is the handle."""
    path = shop_site.page('data-consent="granted" data-mode="replace"', before=STUB)
    page = await opened(visitor, shop_site, path)
    assert await page.evaluate("Array.isArray(ttq)") is False
    await shop_site.arrived(path, "Pageview", "ViewContent", "AddToCart")
