"""The demo shop's application (io).

Law: an ordinary site that knows nothing of TikTok: it serves pages, keeps a cart in a cookie, carries the gateway's client script, and describes what happened on a page
in ``data-event``, which its own script hands over. It works the same without a gateway in front. Strict CSP, no inline script or style, everything escaped.
"""

import re
import secrets
from collections import OrderedDict
from typing import Any

import orjson
from aiohttp import web
from jinja2 import Environment, PackageLoader, select_autoescape

from gateway import snippet
from gateway.sandbox.shop.products import PRODUCTS, Product
from gateway.snippet.tag import DEFAULT_GLOBAL, tags

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; base-uri 'none'; "
    "frame-ancestors 'none'"
)
_CART = re.compile(r"(?:\d{1,3}:\d{1,2})(?:\.\d{1,3}:\d{1,2}){0,19}")
_ORDERS = 500
_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}


class Shop:
    """Pages and the little state they need."""

    def __init__(self, sandbox_url: str, pipeline_key: str, prefix: str, visitor_ip: str) -> None:
        self._environment = Environment(
            loader=PackageLoader("gateway.sandbox.shop"),
            autoescape=select_autoescape(default=True),
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        # Compiled before the first request and never looked at again, so that no page touches a file while it is served.
        self._templates = {name: self._environment.get_template(name) for name in self._environment.list_templates(["html"])}
        script = snippet.load()
        pasted = tags(
            prefix=prefix, name="s", digest=script.hash, integrity=script.integrity, key=pipeline_key, global_name=DEFAULT_GLOBAL
        )
        self._shared = {"sandbox_url": sandbox_url, "pasted": pasted, "visitor_ip": visitor_ip}
        self._orders: OrderedDict[str, dict[str, Any]] = OrderedDict()
        self._static: dict[str, bytes] = {}

    def load_static(self) -> None:
        """Read the static files once."""
        from importlib.resources import files

        for entry in files("gateway.sandbox.shop").joinpath("static").iterdir():
            self._static[entry.name] = entry.read_bytes()

    # -- pages

    async def home(self, request: web.Request) -> web.Response:
        """All products, or those that match ``q``."""
        query = request.query.get("q", "").strip()[:80]
        found = [p for p in PRODUCTS.values() if query.lower() in f"{p.name} {p.category} {p.text}".lower()]
        event = {"event": "Products Searched", "properties": {"query": query}} if query else None
        return self._page(request, "home.html", event, products=found, query=query)

    async def product(self, request: web.Request) -> web.Response:
        """One product."""
        product = PRODUCTS.get(request.match_info["id"])
        if product is None:
            return self._page(request, "missing.html", None, status=404)
        event = {
            "event": "Product Viewed",
            "properties": {"currency": "EUR", "value": product.price, "products": [product.as_item(1)]},
        }
        return self._page(request, "product.html", event, product=product)

    async def cart(self, request: web.Request) -> web.Response:
        """The cart; right after adding, its page tells of it."""
        added = PRODUCTS.get(request.query.get("added", ""))
        event = None
        if added:
            event = {
                "event": "Product Added",
                "properties": {"currency": "EUR", "value": added.price, "products": [added.as_item(1)]},
            }
        return self._page(request, "cart.html", event, added=added)

    async def add(self, request: web.Request) -> web.Response:
        """Put a product into the cart."""
        product = PRODUCTS.get(str((await request.post()).get("id", "")))
        if product is None:
            raise web.HTTPSeeOther("/")
        cart = self._cart(request)
        cart[product.id] = min(cart.get(product.id, 0) + 1, 20)
        response = web.HTTPSeeOther(f"/cart?added={product.id}")
        self._keep(response, cart)
        raise response

    async def remove(self, request: web.Request) -> web.Response:
        """Take a product out of the cart."""
        cart = self._cart(request)
        cart.pop(str((await request.post()).get("id", "")), None)
        response = web.HTTPSeeOther("/cart")
        self._keep(response, cart)
        raise response

    async def checkout(self, request: web.Request) -> web.Response:
        """The order form."""
        if not self._cart(request):
            raise web.HTTPSeeOther("/cart")
        lines, total = self._lines(request)
        event = {
            "event": "Checkout Started",
            "properties": {"currency": "EUR", "value": total, "products": [p.as_item(n) for p, n in lines]},
        }
        return self._page(request, "checkout.html", event)

    async def order(self, request: web.Request) -> web.Response:
        """Place the order."""
        form = await request.post()
        lines, total = self._lines(request)
        if not lines:
            raise web.HTTPSeeOther("/cart")
        number = ""
        while not number or number in self._orders:
            number = f"TT-{secrets.randbelow(900_000) + 100_000}"
        person = {
            field: str(form.get(field, "")).strip()[:120]
            for field in ("email", "phone", "first_name", "last_name", "city", "zip_code")
        }
        self._orders[number] = {"lines": lines, "total": total, "person": person}
        while len(self._orders) > _ORDERS:
            self._orders.popitem(last=False)
        response = web.HTTPSeeOther(f"/thank-you?order={number}")
        self._keep(response, {})
        raise response

    async def thanks(self, request: web.Request) -> web.Response:
        """The thank-you page; opened again, it sends the same event_id."""
        number = request.query.get("order", "")
        order = self._orders.get(number)
        if order is None:
            return self._page(request, "missing.html", None, status=404)
        event = {
            "event": "Order Completed",
            "messageId": f"order-{number}",
            "traits": {**{k: v for k, v in order["person"].items() if v}, "country": "GB"},
            "properties": {
                "order_id": number,
                "currency": "EUR",
                "value": order["total"],
                "products": [p.as_item(n) for p, n in order["lines"]],
            },
        }
        return self._page(request, "thanks.html", event, number=number, order=order)

    async def missing(self, request: web.Request) -> web.Response:
        """Every other address."""
        return self._page(request, "missing.html", None, status=404)

    async def static(self, request: web.Request) -> web.Response:
        """A static file."""
        name = request.match_info["name"]
        body = self._static.get(name)
        kind = _TYPES.get(name.rpartition(".")[2])
        if body is None or kind is None:
            raise web.HTTPNotFound
        return web.Response(body=body, content_type=kind, charset="utf-8", headers={"Cache-Control": "max-age=300"})

    # -- what pages share

    def _page(
        self, request: web.Request, name: str, event: dict[str, Any] | None, *, status: int = 200, **values: Any
    ) -> web.Response:
        lines, total = self._lines(request)
        text = self._templates[name].render(
            **self._shared,
            **values,
            lines=lines,
            total=total,
            count=sum(n for _, n in lines),
            event=orjson.dumps(event).decode() if event else "",
        )
        headers = {
            "Content-Security-Policy": _CSP,
            "Referrer-Policy": "strict-origin-when-cross-origin",
            "Cache-Control": "private, no-cache",
        }
        return web.Response(text=text, content_type="text/html", status=status, headers=headers)

    @staticmethod
    def _cart(request: web.Request) -> dict[str, int]:
        value = request.cookies.get("cart", "")
        if not _CART.fullmatch(value):
            return {}
        pairs = (entry.split(":") for entry in value.split("."))
        return {id_: int(n) for id_, n in pairs if id_ in PRODUCTS and int(n) > 0}

    @staticmethod
    def _keep(response: web.StreamResponse, cart: dict[str, int]) -> None:
        response.set_cookie(
            "cart", ".".join(f"{id_}:{n}" for id_, n in cart.items()), max_age=86400, httponly=True, samesite="Lax"
        )

    def _lines(self, request: web.Request) -> tuple[list[tuple[Product, int]], float]:
        lines = [(PRODUCTS[id_], n) for id_, n in self._cart(request).items()]
        return lines, round(sum(product.price * n for product, n in lines), 2)


def create_shop(sandbox_url: str, pipeline_key: str, prefix: str = "/gw", visitor_ip: str = "") -> web.Application:
    """The shop. ``sandbox_url`` is linked from its panel; events go to ``prefix`` on whatever host the visitor uses. ``visitor_ip`` is a public address that
    its script sends as a load balancer would: on one machine every visitor has a loopback address, which is never passed on."""
    shop = Shop(sandbox_url, pipeline_key, prefix, visitor_ip)
    shop.load_static()
    app = web.Application()
    app.add_routes(
        [
            web.get("/", shop.home),
            web.get("/product/{id:[0-9]+}", shop.product),
            web.get("/cart", shop.cart),
            web.post("/cart/add", shop.add),
            web.post("/cart/remove", shop.remove),
            web.get("/checkout", shop.checkout),
            web.post("/checkout", shop.order),
            web.get("/thank-you", shop.thanks),
            web.get("/static/{name:[a-z.-]+}", shop.static),
            web.get("/{rest:.*}", shop.missing),
        ]
    )
    return app


async def serve(
    host: str, port: int, sandbox_url: str, pipeline_key: str, prefix: str = "/gw", visitor_ip: str = ""
) -> web.AppRunner:
    """Start the shop on ``host:port``; the caller cleans the runner up."""
    app = create_shop(sandbox_url, pipeline_key, prefix, visitor_ip)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1.0)
    await runner.setup()
    await web.TCPSite(runner, host, port).start()
    return runner
