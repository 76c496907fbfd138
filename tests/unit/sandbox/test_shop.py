"""The demo shop: every page renders, tells what happened on it in the way a site would, and escapes what visitors write."""

import re
from collections.abc import Awaitable, Callable
from html.parser import HTMLParser
from typing import Any

import orjson
import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient
from yarl import URL

from gateway.event.signal import parse
from gateway.sandbox.shop.app import create_shop
from gateway.sandbox.shop.products import PRODUCTS

Client = TestClient[Any, Any]
PERSON = {
    "email": "alice@example.com",
    "phone": "+44 20 7946 0018",
    "first_name": "Alice",
    "last_name": "",
    "city": "London",
    "zip_code": "N1",
}
HOSTILE = [
    "<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "' onmouseover='alert(1)", "</body><script>", "{{ 7 * 7 }}", "{% raw %}", "&lt;b&gt;", "\x00", "a\u2028b",
    "\U0001f600", "%s%n", "a" * 500, '{"event":"Purchase"}', "\\u003cscript\\u003e",
]  # fmt: skip


class Page(HTMLParser):
    """What a browser makes of a page."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.words = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words += data

    @property
    def event(self) -> dict[str, Any] | None:
        (told,) = (attributes["data-event"] for tag, attributes in self.tags if tag == "body")
        return orjson.loads(told) if told else None


@pytest.fixture
def made() -> web.Application:
    """It reads its templates and files when it is made, before any loop serves."""
    return create_shop("http://127.0.0.1:1/sandbox/", "dk_demo")


@pytest.fixture
async def shop(made: web.Application, aiohttp_client: Callable[..., Awaitable[Client]]) -> Client:
    return await aiohttp_client(made)


async def page(client: Client, path: str, *, status: int = 200, **query: str) -> Page:
    async with client.get(path, params=query) as answer:
        assert answer.status == status
        assert answer.content_type == "text/html"
        assert "unsafe" not in answer.headers["Content-Security-Policy"]
        return Page(await answer.text())


async def post(client: Client, path: str, **form: str) -> str:
    async with client.post(path, data=form, allow_redirects=False) as answer:
        assert answer.status == 303
        return answer.headers["Location"]


@pytest.mark.parametrize("path", ["/", "/?q=tent", "/cart", *(f"/product/{id_}" for id_ in PRODUCTS)])
async def test_pages_carry_what_the_strict_policy_needs(shop: Client, path: str):
    found = await page(shop, path)
    assert [tag for tag, attributes in found.tags if tag == "script" and not attributes.get("src")] == []
    assert not any(name.startswith("on") or name == "style" for _, attributes in found.tags for name in attributes)
    (client,) = (attributes for tag, attributes in found.tags if tag == "script" and "data-key" in attributes)
    assert (client["src"], client["data-key"]) == ("/gw/s.js", "dk_demo")
    assert [attributes["src"] for tag, attributes in found.tags if tag == "img"] == ["/gw/px?k=dk_demo&ev=page"]


@pytest.mark.parametrize("path", ["/product/999", "/thank-you", "/thank-you?order=TT-1", "/nothing", "/product/x"])
async def test_what_there_is_not(shop: Client, path: str):
    """A page of the shop, with the way back."""
    found = await page(shop, path, status=404)
    assert found.event is None
    assert "There is nothing here" in found.words


@pytest.mark.parametrize("path", ["/static/app.py", "/static/a..b", "/static/"])
async def test_nothing_else_is_served(shop: Client, path: str):
    async with shop.get(path) as answer:
        assert answer.status == 404


@pytest.mark.parametrize(("name", "kind"), [("shop.js", "text/javascript"), ("shop.css", "text/css")])
async def test_static_files(shop: Client, name: str, kind: str):
    async with shop.get(f"/static/{name}") as answer:
        assert (answer.status, answer.content_type) == (200, kind)


@pytest.mark.parametrize("query", HOSTILE)
async def test_a_hostile_search_is_text_and_nothing_else(shop: Client, query: str):
    harmless = await page(shop, "/", q="no such thing")
    found = await page(shop, "/", q=query)
    shown = query.strip()[:80]
    # the same elements and attributes as for a harmless search: nothing of it became markup
    assert [(tag, set(attributes)) for tag, attributes in found.tags] == [
        (tag, set(attributes)) for tag, attributes in harmless.tags
    ]
    assert found.event == {"event": "Products Searched", "properties": {"query": shown}}
    (field,) = (attributes for tag, attributes in found.tags if attributes.get("id") == "q")
    assert field["value"] == shown.replace("\x00", "\ufffd") or field["value"] == shown
    assert f"“{shown}”" in found.words


@pytest.mark.parametrize("raw", ["%FF", "%ED%A0%80", "%", "%00", "a%0d%0aSet-Cookie:x=1", "&q=b"])
async def test_a_search_in_no_known_encoding_renders(shop: Client, raw: str):
    async with shop.get(URL(f"/?q={raw}", encoded=True)) as answer:
        assert answer.status == 200
        assert "x" not in answer.cookies


@pytest.mark.parametrize(
    ("query", "ids"), [("TENT", ["103"]), ("camping", ["103", "105"]), ("  merino ", ["106"]), ("zzz", []), ("", list(PRODUCTS))]
)
async def test_search(shop: Client, query: str, ids: list[str]):
    found = await page(shop, "/", q=query)
    links = [attributes["href"] for tag, attributes in found.tags if tag == "a" and attributes.get("class") == "card"]
    assert links == [f"/product/{id_}" for id_ in ids]


async def test_the_whole_journey_tells_its_events(shop: Client):
    viewed = (await page(shop, "/product/101")).event
    cart = await post(shop, "/cart/add", id="101")
    added = (await page(shop, cart)).event
    await post(shop, "/cart/add", id="101")
    await post(shop, "/cart/add", id="105")
    started = (await page(shop, "/checkout")).event
    thanks = await post(shop, "/checkout", **PERSON)
    bought = (await page(shop, thanks)).event
    again = (await page(shop, thanks)).event
    events = [viewed, added, started, bought]
    assert [event and event["event"] for event in events] == [
        "Product Viewed",
        "Product Added",
        "Checkout Started",
        "Order Completed",
    ]
    assert bought is not None
    assert bought["properties"]["value"] == 2 * 119 + 24.9
    assert [(line["product_id"], line["quantity"]) for line in bought["properties"]["products"]] == [("101", 2), ("105", 1)]
    assert bought["traits"] == {name: value for name, value in PERSON.items() if value} | {"country": "GB"}
    assert bought == again  # seen again, it is the same event
    assert (await page(shop, "/cart")).event is None
    parsed = parse({"batch": events}, None)
    assert [event.name for event in parsed.events] == [event["event"] for event in events if event]


async def test_no_name_of_a_buyer_becomes_markup(shop: Client):
    await post(shop, "/cart/add", id="103")
    harmless = await page(shop, await post(shop, "/checkout", **PERSON))
    await post(shop, "/cart/add", id="103")
    found = await page(shop, await post(shop, "/checkout", **dict.fromkeys(PERSON, '"><script>x</script>')))
    assert [(tag, set(attributes)) for tag, attributes in found.tags] == [
        (tag, set(attributes)) for tag, attributes in harmless.tags
    ]
    assert found.event is not None
    assert found.event["traits"]["email"] == '"><script>x</script>'


async def test_the_cart(shop: Client):
    for _ in range(25):
        await post(shop, "/cart/add", id="102")
    started = (await page(shop, "/checkout")).event
    assert started is not None
    assert started["properties"]["products"][0]["quantity"] == 20
    assert await post(shop, "/cart/add", id="999") == "/"
    assert await post(shop, "/cart/remove", id="102") == "/cart"
    async with shop.get("/checkout", allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/cart")
    assert await post(shop, "/checkout", **PERSON) == "/cart"


@pytest.mark.parametrize(
    "cookie", ["x", "101:-1", "101:0", "999:5", "101:1." * 30, "101:1;102:1", "101:999", "١٠١:1", "101:1.", "<b>"]
)
async def test_a_rubbish_cart_is_an_empty_one(shop: Client, cookie: str):
    async with shop.get("/cart", headers={"Cookie": f"cart={cookie}".encode().decode("latin-1")}) as answer:
        assert answer.status == 200
        counts = re.findall(r"Cart (\d+)", Page(await answer.text()).words)
    assert counts == ["1" if cookie == "101:1;102:1" else "0"]


async def test_old_orders_are_forgotten(shop: Client):
    first = ""
    for number in range(501):
        shop.session.cookie_jar.clear()
        async with shop.post("/checkout", headers={"Cookie": "cart=101:1"}, allow_redirects=False) as answer:
            if not number:
                first = answer.headers["Location"]
    assert (await page(shop, answer.headers["Location"])).event is not None
    await page(shop, first, status=404)
