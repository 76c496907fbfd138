"""From the page to the gateway, in a real browser: nothing lost when pages end, networks go and gateways refuse; nothing sent by a way that was not open."""

import asyncio
import json
from typing import Any

import pytest
from playwright.async_api import BrowserContext, Page, Request, Route
from visiting import Site, cookies, eventually, heard, running

pytestmark = [pytest.mark.browser, pytest.mark.asyncio(loop_scope="session")]
GRANTED = 'data-consent="granted" data-page="off"'
BATCH = 10
"""Events of a request at most, as in the client script."""
_BESIDE = 2
"""What is written down for a request beside its events: its envelope, and an event that did not fit any more."""


async def opened(visitor: BrowserContext, url: str) -> Page:
    """The page, once the client script runs in it."""
    page = await visitor.new_page()
    await page.goto(url)
    await running(page)
    return page


def ids(events: list[dict[str, Any]]) -> list[str]:
    """Without what makes them this page's own."""
    return [event["event_id"].partition("-")[2] or event["event_id"] for event in events]


async def test_the_page_and_tiktok_know_one_id(visitor: BrowserContext, shop_site: Site) -> None:
    """The page's own, or the one made in the browser."""
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    made = await page.evaluate(
        "() => { const ids = []; ttq.on('track', (e) => ids.push(e.messageId)); ttq.track('Contact'); ttq.track('Contact', {event_id: own('inner')}); ttq.track('Contact', {}, {event_id: own(7)}); return ids; }"
    )
    own = path.split("/")[2]
    assert made[1:] == [f"{own}-inner", f"{own}-7"]
    assert len(made[0]) == 32
    assert [event["event_id"] for event in await shop_site.arrived(path, *["Contact"] * 3)] == made


@pytest.mark.parametrize("consented_before", [True, False])
async def test_a_tab_that_ends_in_the_middle_of_a_batch(visitor: BrowserContext, shop_site: Site, consented_before: bool) -> None:
    """With a request under way and without: what waits goes out with the page, at most once."""
    path, other = shop_site.page(GRANTED), shop_site.raw("")
    page = await opened(visitor, shop_site.http + path)
    if consented_before:
        await page.evaluate("ttq.track('Contact', {}, {event_id: own('first')})")
        await shop_site.arrived(path, "Contact")
    await page.evaluate("for (let n = 0; n < 14; n++) ttq.track('Contact', {n}, {event_id: own('n' + n)})")
    await page.goto(shop_site.http + other)
    events = await shop_site.arrived(path, *["Contact"] * (14 + consented_before))
    assert sorted(ids(events)) == sorted([f"n{n}" for n in range(14)] + ["first"] * consented_before)


async def test_a_tab_that_is_left_and_seen_again(visitor: BrowserContext, shop_site: Site) -> None:
    """In the middle of a batch: what waits goes out as a beacon, and the page goes on in order."""
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    kinds: list[str] = []
    page.on("request", lambda request: kinds.append(request.resource_type))
    # In one go: a batch that nobody completes is sent after a second.
    await page.evaluate(
        """() => {
          const turn = (hidden) => { Object.defineProperty(document, 'hidden', {value: hidden, configurable: true}); document.dispatchEvent(new Event('visibilitychange')); };
          for (let n = 0; n < 3; n++) ttq.track('Contact', {}, {event_id: own('n' + n)});
          turn(true);
          ttq.track('Contact', {}, {event_id: own('n3')});
          turn(false);
        }"""
    )
    await shop_site.arrived(path, *["Contact"] * 3)
    await page.evaluate("for (let n = 4; n < 13; n++) ttq.track('Contact', {}, {event_id: own('n' + n)})")
    assert ids(await shop_site.arrived(path, *["Contact"] * 13)) == [f"n{n}" for n in range(13)]
    await heard(page, kinds, 2)
    assert (kinds[0], set(kinds[1:])) == ("ping", {"fetch"})


async def test_a_closed_tab(visitor: BrowserContext, shop_site: Site) -> None:
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    await page.evaluate("ttq.track('Contact')")
    await page.close()
    await shop_site.arrived(path, "Contact")


async def test_what_did_not_fit_a_beacon_goes_out_with_the_next_page(visitor: BrowserContext, shop_site: Site) -> None:
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    await page.evaluate("for (let n = 0; n < 30; n++) ttq.track('Contact', {text: 'x'.repeat(5000)}, {event_id: own('n' + n)})")
    await page.goto(shop_site.http + path + "next")
    events = await shop_site.arrived(path, *["Contact"] * 30)
    assert sorted(ids(events)) == sorted(f"n{n}" for n in range(30))


async def test_offline_and_back(visitor: BrowserContext, shop_site: Site) -> None:
    """Nothing is even tried while the browser says that it is offline; then all of it, in order."""
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await visitor.set_offline(True)
    await page.evaluate("for (let n = 0; n < 25; n++) ttq.track('Contact', {}, {event_id: own('n' + n)})")
    await page.evaluate("new Promise((done) => setTimeout(done, 300))")
    assert asked == []
    await visitor.set_offline(False)
    assert ids(await shop_site.arrived(path, *["Contact"] * 25)) == [f"n{n}" for n in range(25)]
    await heard(page, asked, 3)
    assert len(asked) == 3


async def test_a_gateway_that_answers_503(visitor: BrowserContext, shop_site: Site) -> None:
    """Tried again no sooner than it said, whatever the page does meanwhile; in order, once each."""
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    loop, refused = asyncio.get_running_loop(), list[float]()

    async def refuse(route: Route) -> None:
        refused.append(loop.time())
        if len(refused) > 2:
            await route.continue_()
        else:
            await route.fulfill(status=503, headers={"Retry-After": "1"}, body='{"success":false}')

    await page.route("**/gw/e", refuse)
    await page.evaluate("for (let n = 0; n < 12; n++) ttq.track('Contact', {}, {event_id: own('n' + n)})")
    await eventually(lambda: asyncio.sleep(0, refused), bool)
    await page.evaluate("for (let n = 12; n < 24; n++) ttq.track('Contact', {}, {event_id: own('n' + n)})")
    assert ids(await shop_site.arrived(path, *["Contact"] * 24)) == [f"n{n}" for n in range(24)]
    assert refused[1] - refused[0] > 0.9
    assert refused[2] - refused[1] > 0.9


async def test_a_gateway_that_is_being_replaced(visitor: BrowserContext, shop_site: Site) -> None:
    """Nobody listens for a moment: tried again the same way, in order, once each."""
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    kinds: list[str] = []

    async def refuse(route: Route) -> None:
        kinds.append(route.request.resource_type)
        await (route.continue_() if len(kinds) > 1 else route.abort("connectionrefused"))

    await page.route("**/gw/e", refuse)
    await page.evaluate("for (let n = 0; n < 12; n++) ttq.track('Contact', {}, {event_id: own('n' + n)})")
    assert ids(await shop_site.arrived(path, *["Contact"] * 12)) == [f"n{n}" for n in range(12)]
    assert kinds == ["fetch"] * 3


async def test_more_than_outlives_a_page(visitor: BrowserContext, shop_site: Site) -> None:
    """An event above 64 KiB of UTF-8, though not of characters, goes out at the first try, without keepalive."""
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    sizes: list[int] = []
    page.on("request", lambda request: sizes.append(len(request.post_data_buffer or b"")))
    failed: list[str] = []
    page.on("requestfailed", lambda request: failed.append(request.url))
    await page.evaluate(
        "['a', 'b'].forEach((id) => ttq.track('Contact', {text: 'ж'.repeat(id === 'a' ? 40000 : 10)}, {event_id: own(id)}))"
    )
    assert ids(await shop_site.arrived(path, "Contact", "Contact")) == ["a", "b"]
    await heard(page, sizes, 2)
    assert len(sizes) == 2
    assert sizes[0] > 65536 > sizes[1]
    assert failed == []


async def test_one_bad_event_does_not_spoil_its_neighbours(visitor: BrowserContext, shop_site: Site) -> None:
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    refused = await page.evaluate(
        """() => new Promise((done) => {
          let deep = {}; for (let n = 0; n < 40; n++) deep = {deep};
          ttq.on('error', ({status, events}) => done([status, events.length, events[0].messageId]));
          for (let n = 0; n < 6; n++) ttq.track('Contact', n === 3 ? deep : {}, {event_id: own('n' + n)});
        })"""
    )
    assert refused[:2] == [400, 1]
    assert refused[2].endswith("-n3")
    assert ids(await shop_site.arrived(path, *["Contact"] * 5)) == ["n0", "n1", "n2", "n4", "n5"]


async def test_a_blocked_request_is_not_retried_by_another_way(visitor: BrowserContext, shop_site: Site) -> None:
    """A content blocker stops the request: no beacon, no image, and the page goes on."""
    path, other = shop_site.page(GRANTED), shop_site.raw("")
    page = await opened(visitor, shop_site.http + path)
    asked: list[Request] = []

    async def block(route: Route) -> None:
        asked.append(route.request)
        await route.abort("blockedbyclient")

    await visitor.route("**/gw/**", block)
    await page.evaluate("ttq.track('Contact')")
    await eventually(lambda: asyncio.sleep(0, asked), bool)
    await page.wait_for_function("ttq.debug().waiting === 1")
    await page.goto(shop_site.http + other)
    assert {(request.resource_type, request.method) for request in asked} == {("fetch", "POST")}
    assert await shop_site.events(path) == []


async def test_the_first_answer_makes_the_cookies_once(visitor: BrowserContext, shop_site: Site) -> None:
    """One request at a time, each of at most ten events, so that every event carries the same ids."""
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    under_way, most, sizes, answered = 0, 0, list[int](), list[str]()

    def began(request: Request) -> None:
        nonlocal under_way, most
        if request.url.endswith("/gw/e"):
            under_way += 1
            most = max(most, under_way)
            sizes.append(len(json.loads(request.post_data or "")["batch"]))

    def ended(request: Request) -> None:
        nonlocal under_way
        if request.url.endswith("/gw/e"):
            under_way -= 1
            answered.append(request.url)

    page.on("request", began)
    page.on("requestfinished", ended)
    await page.evaluate("for (let n = 0; n < 35; n++) ttq.track('Contact', {}, {event_id: own('n' + n)})")
    events = await shop_site.arrived(path, *["Contact"] * 35)
    assert ids(events) == [f"n{n}" for n in range(35)]
    await heard(page, answered, 4)
    assert (most, max(sizes), sum(sizes), under_way) == (1, 10, 35, 0)
    assert len({(event["user"]["ttp"], event["user"]["external_id"]) for event in events}) == 1


async def test_no_more_than_two_thousand_wait(visitor: BrowserContext, shop_site: Site) -> None:
    """A page that nobody consents to for hours does not grow: the oldest are left out."""
    path = shop_site.page('data-page="off"')
    page = await opened(visitor, shop_site.http + path)
    waiting = await page.evaluate(
        "() => { for (let n = 0; n < 2500; n++) ttq.track('Contact', {}, {event_id: own('n' + n)}); return ttq.debug(false).waiting; }"
    )
    assert waiting == 2000
    async with page.expect_request("**/gw/e") as request:
        await page.evaluate("ttq.grantConsent()")
    sent = json.loads((await request.value).post_data or "")["batch"]
    assert [event["messageId"].partition("-")[2] for event in sent] == [f"n{n}" for n in range(500, 510)]
    await page.close(run_before_unload=False)


async def test_a_thousand_events_from_one_loop(visitor: BrowserContext, shop_site: Site, record_property: Any) -> None:
    """None lost, none twice. The loop only queues: what is written down for a request is that request's events, and only one is under way, so that the page has its turn
    before the next. How long its main thread was held is reported (by --junit-xml, and with -s): work is counted, for time is the machine's."""
    path = shop_site.page(GRANTED)
    page = await opened(visitor, shop_site.http + path)
    queued = await page.evaluate(
        """() => {
          window.long = [];
          new PerformanceObserver((list) => list.getEntries().forEach((entry) => long.push(entry.duration))).observe({type: 'longtask', buffered: true});
          window.written = 0;
          window.requests = [];
          const [stringify, send] = [JSON.stringify, fetch];
          let under_way = 0;
          JSON.stringify = (...given) => { written++; return stringify(...given); };
          window.fetch = (url, given) => {
            requests.push({written, events: JSON.parse(given.body).batch.length, under_way: ++under_way});
            written = 0;
            const done = () => { under_way--; };
            const answer = send(url, given);
            answer.then(done, done);
            return answer;
          };
          const start = performance.now();
          for (let n = 0; n < 1000; n++) ttq.track('ViewContent', {content_id: 'c' + n, value: n, currency: 'EUR'}, {event_id: own('n' + n)});
          window.looped = performance.now() - start;
          const queued = {written, requests: requests.length};
          written = 0;
          return queued;
        }"""
    )
    events = await shop_site.arrived(path, *["ViewContent"] * 1000)
    assert sorted(ids(events)) == sorted(f"n{n}" for n in range(1000))
    assert queued == {"written": 1000, "requests": 0}
    requests = await page.evaluate("requests")
    assert max(each["events"] for each in requests) <= BATCH
    assert [each for each in requests if each["written"] > each["events"] + _BESIDE or each["under_way"] > 1] == []
    looped, longest = await page.evaluate("[looped, Math.max(0, ...long)]")
    record_property("loop_ms", looped)
    record_property("longest_task_ms", longest)
    print(f"the loop took {looped:.0f} ms, the longest task {longest:.0f} ms (0: none above 50)")  # noqa: T201


async def test_a_prerendered_page_waits(visitor: BrowserContext, shop_site: Site) -> None:
    """Until the visitor comes to see it, nothing is sent; and only then it looks at what the page before it has kept for the session."""
    await visitor.add_init_script(
        "window.prerendering = true; Object.defineProperty(document, 'prerendering', {get: () => window.prerendering})"
    )
    path = shop_site.page('data-consent="granted"')
    page = await opened(visitor, shop_site.http + path)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    await page.evaluate("for (let n = 0; n < 20; n++) ttq.track('Contact'); new Promise((done) => setTimeout(done, 200))")
    assert asked == []
    await page.evaluate(
        """() => {
          dispatchEvent(new Event('OneTrustGroupsUpdated'));
          sessionStorage._ttgw = JSON.stringify({queue: [], who: {email: 'ab'.repeat(32)}, clickId: 'E.C.P.before'});
          window.prerendering = false;
          document.dispatchEvent(new Event('prerenderingchange'));
        }"""
    )
    events = await shop_site.arrived(path, "Pageview", *["Contact"] * 20)
    (view,) = [event for event in events if event["event"] == "Pageview"]
    assert (view["user"]["email"], view["user"]["ttclid"]) == ("ab" * 32, "E.C.P.before")


@pytest.mark.nginx
@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_cookies_are_the_servers(visitor: BrowserContext, shop_site: Site, scheme: str) -> None:
    """Set by the answer, not by script: Secure behind TLS, the browser id readable to TikTok's pixel, ours to nobody."""
    path = shop_site.page('data-consent="granted"')
    await opened(visitor, f"{getattr(shop_site, scheme)}{path}?ttclid=E.C.P.cookie-0001")
    (event,) = await shop_site.arrived(path, "Pageview")
    jar = await cookies(visitor, "_ttp", "_dfid", "ttclid")
    assert set(jar) == {"_ttp", "_dfid", "ttclid"}
    assert {name: cookie["secure"] for name, cookie in jar.items()} == dict.fromkeys(jar, scheme == "https")
    assert {name: cookie["httpOnly"] for name, cookie in jar.items()} == {"_ttp": False, "_dfid": True, "ttclid": False}
    assert {cookie["sameSite"] for cookie in jar.values()} == {"Lax"}
    assert {cookie["path"] for cookie in jar.values()} == {"/"}
    assert event["user"]["ttp"] == jar["_ttp"]["value"]
    assert event["user"]["ttclid"] == jar["ttclid"]["value"] == "E.C.P.cookie-0001"
    if scheme == "https":
        assert event["user"]["ip"] == "81.2.69.142"
