"""The management API on paper: answers of its documented shapes for the pages to show, in states that a real gateway takes long to reach.

Law: it decides nothing and keeps nothing; what it answers is held against the document that the real one publishes; every text that a visitor or a person could have written is
``hostile`` when a test asks for that.
"""

import asyncio
import json
import math
import time
from collections.abc import Awaitable, Callable
from itertools import count
from typing import Any

from aiohttp import web
from documented import undocumented

from gateway.admin.pages.site import Pages
from gateway.mapping import tiktok
from gateway.mapping.described import described, namesakes
from gateway.mapping.presets import PRESETS
from gateway.mapping.transforms import TRANSFORMS
from gateway.outcome import WORDS
from gateway.telemetry.metrics import MATCH_FIELDS

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; frame-ancestors 'none'; "
    "base-uri 'none'; form-action 'self'"
)
PAGES = Pages()
_LATE_S = 300


class Paper:
    """What the answers are made of."""

    def __init__(
        self, *, hostile: str = "", empty: bool = False, role: str = "editor", read_only: bool = False, fault: str = ""
    ) -> None:
        self.now = time.time()
        self.hostile, self.empty, self.role, self.read_only, self.fault = hostile, empty, role, read_only or bool(fault), fault
        self.changes: list[tuple[str, str, Any]] = []
        """Every request that is not a GET: method, path, body."""
        self.named: list[str] = []
        """The ``If-Match`` of each."""
        self.refusals: list[tuple[int, dict[str, Any]]] = []
        """Status and error of the next changes."""
        self.accepts = False
        """Whether a PUT is answered 200, and not with a problem in ``pixel_code``."""
        self.granted_by_default = 0
        """Of the last 100 events, of which none carried a consent signal."""
        self.meanwhile: tuple[dict[str, Any], dict[str, Any]] | None = None
        """One row as the newest rows have it, and as the stream tells it while they are on their way; None = the usual many."""
        self._asked = asyncio.Event()
        self._told = asyncio.Event()

    def text(self, given: str) -> str:
        """``given``, or what an attacker would have written in its place."""
        return self.hostile or given

    def app(self) -> web.Application:
        """Pages and answers, under the policy of the real listener."""
        app = web.Application(middlewares=[_policy])
        app.add_routes(PAGES.routes())
        for path, answer in (
            ("session", self.session), ("settings", self.settings), ("catalogue", self.catalogue), ("overview", self.overview),
            ("live/recent", self.recent), ("live/{id}", self.event), ("integrations", self.integrations), ("integrations/{id}", self.integration),
            ("integrations/{id}/mappings", self.mappings), ("integrations/{id}/verify", self.verify), ("integrations/{id}/yaml", self.yaml),
            ("pipelines", self.pipelines), ("pipelines/{id}", self.pipeline), ("dead", self.dead), ("dead/{id}", self.letter),
            ("revisions", self.revisions), ("revisions/{id}/diff", self.difference),
        ):  # fmt: skip
            app.router.add_get(f"/api/v1/{path}", _json(answer))
        app.router.add_get("/empty", _empty)
        app.router.add_get("/api/v1/live", self.live)
        app.router.add_route("*", "/api/v1/{path:.*}", self.change)
        return app

    # -- what stands in the answers

    def entries(self) -> list[dict[str, Any]]:
        """A sound integration, a suspended one with a test code, one of the file."""
        if self.empty:
            return []
        common = {
            "vendor": "tiktok-events-api", "consent": ["marketing"], "enabled": True, "default_action": "drop", "send": {}, "limited_data_use": False,
            "declared": False, "has_token": True, "test_event_code": None, "queued": 12, "dead": 3, "last_delivered_at": self.now - 4,
            "dedupe_purchases": 30 * 86400.0, "etag": '"1"', "fault": "", "test_code_until": None, "events": {}, "global": {}, "defaults": {},
        }  # fmt: skip
        lane = {
            "integration": "tiktok-shop",
            "test_event_code": "",
            "since": self.now - 3000,
            "next_try": 0.0,
            "code": "",
            "message": "",
            "cure": "",
        }
        suspended = {
            **lane, "integration": "tiktok-travel", "test_event_code": self.text("TEST48213"), "state": "suspended", "since": self.now - 300, "next_try": self.now + 44, "code": "40105",
            "message": self.text("Access token is incorrect or has been revoked."), "cure": self.text("Regenerate the token."),
        }  # fmt: skip
        return [
            {**common, "id": "tiktok-shop", "name": self.text("TikTok – Shop"), "preset": "retail", "pixel_code": self.text("C4ABCDEF1234567890AB"), "pipelines": ["shop"], "lane": {**lane, "state": "active"}},
            {**common, "id": "tiktok-travel", "name": "TikTok – Travel", "preset": "travel", "pixel_code": "C9TRAVEL1234567890XY", "pipelines": ["travel"], "lane": suspended, "test_event_code": self.text("TEST48213"), "fault": self.text(""), "consent": [self.text("marketing")], "test_code_until": self.now + 2400},
            {**common, "id": "tiktok-file", "name": "From the file", "preset": "automotive", "pixel_code": "C1FILE00000000000001", "pipelines": [], "lane": {**lane, "integration": "tiktok-file", "state": "paused"}, "enabled": False, "declared": True},
            {**common, "id": "tiktok-copy", "name": "A copy", "preset": "retail", "pixel_code": "C4ABCDEF1234567890AB", "pipelines": [], "lane": None, "enabled": False, "has_token": False, "queued": 0, "dead": 0, "last_delivered_at": None},
        ]  # fmt: skip

    def row(self, number: int) -> dict[str, Any]:
        """One row of the feed."""
        source, target = list(PRESETS["retail"].events.items())[number % 9]
        filtered, dead = number % 7 == 3, number % 11 == 5
        return {
            "id": f"e{number}", "at": self.now - 600 + number * 2, "pipeline": "shop", "integration": "tiktok-shop", "name": self.text(source),
            "event": "" if filtered else target, "outcome": "filtered" if filtered else "dead" if dead else "delivered",
            "reason": "consent_denied" if filtered else "tiktok_rejected" if dead else "", "attempts": 0 if filtered else 1,
            "code": "" if filtered else "40002" if dead else "0",
        }  # fmt: skip

    # -- answers

    async def session(self, _: web.Request) -> Any:
        return {"name": self.text("ops"), "role": self.role, "expires_at": self.now + 36000}

    async def settings(self, _: web.Request) -> Any:
        return {
            "version": "0.1.0", "started_at": self.now - 86000, "config_path": "/etc/ttgateway/gateway.yaml", "catalogue": {"writable": not self.read_only, "path": "/var/lib/ttgateway/catalog", "revision": 7, "reason": self.fault},
            "faults": [{"path": "integrations.x.access_token", "message": self.text("the file does not exist"), "hint": "mount the secret"}],
            "delivery": {"endpoint": "https://business-api.tiktok.com/open_api/v1.3/event/track/"}, "spool": {"path": "/var/lib/ttgateway", "used_bytes": 31 << 20, "max_bytes": 1 << 30, "records": 1846},
            "prefix": "/gw", "consent_default": "deny", "settings": {"edge": {"prefix": "/gw"}, "catalog": {"test_code_lifetime": 3600.0}}, "waiting": ["edge"],
        }  # fmt: skip

    async def catalogue(self, _: web.Request) -> Any:
        return {
            "vendors": [{"vendor": "tiktok-events-api", "title": "TikTok Events API", "summary": "Server-side events.", "presets": list(PRESETS)},
                        {"vendor": "tiktok", "title": "TikTok (older entry)", "summary": "The same.", "presets": ["retail", "travel", "automotive"]}],
            "presets": {name: {"title": preset.title, "rows": []} for name, preset in PRESETS.items()},
            "fields": {"integration": [{"name": "pixel_code", "type": "string", "required": True, "help": "The code, like ``C4AB``.", "default": None, "enum": []}], "pipeline": []},
            "transforms": [{"name": name, "help": transform.help} for name, transform in TRANSFORMS.items()],
            "targets": ["properties.value", "user.email"], "events": sorted(tiktok.STANDARD_EVENTS),
            "reasons": {str(reason): words for reason, words in WORDS.items()}, "consent_categories": ["marketing", "advertising", "analytics", "functional"],
        }  # fmt: skip

    async def overview(self, request: web.Request) -> Any:
        seconds = {"15m": 900, "1h": 3600, "24h": 86400}[request.query["window"]]
        steps = 60
        wave = [0 if self.empty else round(600 + 240 * math.sin(at / 9)) for at in range(steps)]
        at = [self.now - seconds + at * seconds / steps for at in range(steps)]
        delivered = sum(wave) * 4 // 5
        quiet = [0] * steps
        filtered = {} if self.empty else {"consent_denied": 3122, "gpc": 510, "bot": 1820}
        return {
            "window_s": seconds, "step_s": seconds / steps, "from": self.now - seconds, "success_rate": None if self.empty else 0.9992, "lag": {"p50": None, "p95": None} if self.empty else {"p50": 0.34, "p95": 1.9},
            "funnel": {"received": sum(wave), "records": sum(wave) * 6 // 5, "accepted": sum(wave), "deduplicated": 0, "refused": 0, "rejected": 0, "filtered": filtered, "queued": 0 if self.empty else 1846, "delivered": delivered, "dead": 0 if self.empty else 3},
            "spool": {"used_bytes": 31 << 20, "max_bytes": 1 << 30, "records": 1846, "oldest_age_s": 302},
            "series": {"at": at, "received": wave, "delivered": [n * 4 // 5 for n in wave], "filtered": [n // 5 for n in wave], "dead": quiet,
                       "lag_p50": [0.3] * steps, "lag_p95": [1.2] * steps, "spool_records": wave, "spool_oldest_age_s": quiet},
            "codes": [] if self.empty else [{"code": "0", "count": 1211, "words": "Accepted."}, {"code": "timeout", "count": 2, "words": ""}],
            "match": {**dict.fromkeys(MATCH_FIELDS, 0), "events": delivered, "email": delivered // 2, "ip": delivered},
            "lanes": [{**entry["lane"], "queued": entry["queued"], "oldest_accepted_at": self.now - 302, "last_delivered_at": entry["last_delivered_at"]} for entry in self.entries() if entry["lane"]],
            "alerts": [] if self.empty else [{"id": "lane", "severity": "critical", "title": self.text("Delivery is suspended"), "cure": "Regenerate the token.", "link": "/integrations/tiktok-travel", "since": self.now - 300}],
        }  # fmt: skip

    async def recent(self, _: web.Request) -> Any:
        if self.meanwhile:
            self._asked.set()
            await self._told.wait()
            return {"items": [self.meanwhile[0]], "next": None}
        return {"items": [] if self.empty else [self.row(number) for number in range(60, 0, -1)], "next": None}

    async def event(self, _: web.Request) -> Any:
        finding = {"path": "properties.currency", "message": self.text("expected ISO 4217"), "severity": "warning"}
        return {**self.known(), "row": {**self.row(5), "name": self.text("Order Completed")}, "findings": [finding]}

    async def letter(self, _: web.Request) -> Any:
        return {**self.known(), "row": self.dead_row(5), "findings": [self.text("properties.currency: expected ISO 4217")],
                "tries": [{"at": time.time() - 60, "reason": "tiktok_rejected", "code": "40002", "words": "TikTok refused the event.", "known": True}]}  # fmt: skip

    def known(self) -> dict[str, Any]:
        """What is known of an event that TikTok refused."""
        item = {
            "event": "Purchase",
            "event_id": self.text("order-1"),
            "user": {"ip": "81.2.69.0/24"},
            "properties": {self.text("description"): self.text("a bag"), "value": 99.95},
        }
        return {
            "cure": self.text("Send the currency as ISO 4217."), "refusal": "",
            "received": {"name": self.text("Order Completed"), "properties": {"description": self.text("a bag")}},
            "consent": {"decision": "granted", "source": "event+onetrust", "categories": ["marketing"], "needed": [self.text("marketing")]},
            "mapped": item,
            "request": {"method": "POST", "url": "https://business-api.tiktok.com/open_api/v1.3/event/track/", "headers": {"Content-Type": "application/json"}, "body": {"data": [item]}},
            "answer": {"status": 200, "code": "40002", "message": self.text("Batch.0: currency is invalid"), "body": {"code": 40002}},
        }  # fmt: skip

    async def integrations(self, _: web.Request) -> Any:
        return {"items": self.entries(), "next": None}

    async def integration(self, request: web.Request) -> Any:
        return _of(self.entries(), request.match_info["id"])

    async def mappings(self, _: web.Request) -> Any:
        override = {
            "vendor_event_name": self.text("Purchase")[:90],
            "mappings": [
                {
                    "source": "properties.total",
                    "target": "properties.value",
                    "transform": "cents",
                    "value_map": {"a": self.text("new")},
                }
            ],
        }
        rows = [
            {
                "source": source,
                "preset_event": event,
                "event": event,
                "enabled": True,
                "seen": 44,
                "override": override if source == "Order Completed" else None,
                "override_key": source if source == "Order Completed" else None,
            }
            for source, event in PRESETS["retail"].events.items()
        ]
        return {
            "preset": "retail",
            "rows": rows,
            "global": {"mappings": []},
            "defaults": {},
            "default_action": "drop",
            "sources": [{"path": "properties.total", "example": self.text("99.95"), "seen": 44}],
            "etag": '"1"',
            "fields": [{**field._asdict(), "sources": list(field.sources)} for field in described("retail")],
            "namesakes": [f"properties.{name}" for name in namesakes("retail")],
        }

    async def verify(self, _: web.Request) -> Any:
        return {
            "steps": [
                {"id": step, "done": number < 2, "detail": "Visit a page of the site.", "at": None}
                for number, step in enumerate(("code_set", "event_triggered", "delivered", "code_cleared"))
            ]
        }

    async def yaml(self, _: web.Request) -> Any:
        return f"- id: tiktok-shop\n  name: {self.text('TikTok')}\n"

    async def pipelines(self, _: web.Request) -> Any:
        shop = self.site()
        declared = {"declared": True, "without_consent_signal_of_last_100": 0}
        named = {**shop, **declared, "id": "travel", "key": "dk_travel", "integrations": ["tiktok-travel"]}
        return {
            "items": []
            if self.empty
            else [shop, named, {**shop, **declared, "id": "app", "key": self.text("dk_app"), "integrations": []}],
            "next": None,
        }

    async def pipeline(self, request: web.Request) -> Any:
        return _of((await self.pipelines(request))["items"], request.match_info["id"])

    def site(self) -> dict[str, Any]:
        """A pipeline made in the UI."""
        return {
            "id": "shop", "key": "dk_live_shop", "domains": [self.text("shop.example.com")], "etag": '"1"', "fault": self.text(""), "integrations": ["tiktok-shop"], "default_region": "GB", "rate_limit": 1000, "bots": "drop",
            "server_consent": "required", "labels": {"note": self.text("x")}, "declared": False, "has_secret": True, "received_1h": 48211, "without_consent_signal_of_last_100": 100,
            "granted_by_default_of_last_100": self.granted_by_default, "events_looked_at": 100,
            "snippet": self.text('<script async src="/gw/s.js"></script>'), "csp": "script-src 'self'", "noscript": self.text("<noscript></noscript>"),
        }  # fmt: skip

    async def dead(self, _: web.Request) -> Any:
        items = [] if self.empty else [self.dead_row(number) for number in range(8)]
        return {"items": items, "next": None, "total": len(items), "reasons": sorted({row["reason"] for row in items})}

    def dead_row(self, number: int) -> dict[str, Any]:
        """One dead letter."""
        row = {name: value for name, value in self.row(5).items() if name != "code"}
        died = {
            "accepted_at": row["at"],
            "died_at": self.now - number,
            "words": "TikTok refused the event.",
            "answer": self.text("40002: currency is invalid"),
        }
        return {**row, **died, "id": str(number), "event_id": self.text("order-1"), "test_event_code": "", "attempts": 3}

    async def revisions(self, _: web.Request) -> Any:
        items = (
            []
            if self.empty
            else [
                {
                    "id": 7 - number,
                    "at": self.now - number * 5000,
                    "actor": self.text("ops"),
                    "summary": self.text("Edited mappings"),
                    "current": not number,
                }
                for number in range(5)
            ]
        )
        return {"items": items, "next": None}

    async def difference(self, _: web.Request) -> Any:
        return {
            "files": [
                {
                    "path": "integrations/tiktok-shop.yaml",
                    "lines": [{"op": "-", "text": "name: old"}, {"op": "+", "text": self.text("name: new")}],
                }
            ]
        }

    async def live(self, request: web.Request) -> web.StreamResponse:
        """The feed: a row every 20 ms, as long as somebody looks."""
        import orjson

        stream = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Cache-Control": "no-store"})
        await stream.prepare(request)
        if self.meanwhile:
            await stream.write(b": hello\n\n")
            await self._asked.wait()
            await stream.write(b"event: row\ndata: " + orjson.dumps(self.meanwhile[1]) + b"\n\n")
            self._told.set()
            await asyncio.sleep(_LATE_S)
        for number in count(1000):
            if not self.empty:
                await stream.write(b"event: row\ndata: " + orjson.dumps({**self.row(number), "at": time.time()}) + b"\n\n")
            await asyncio.sleep(0.02)
        return stream

    async def change(self, request: web.Request) -> web.Response:
        """Every change is noted; a mapping's preview answers with what it was given."""
        path, method = request.match_info["path"], request.method
        body = await request.json() if request.can_read_body else None
        self.changes.append((method, path, body))
        self.named.append(request.headers.get("If-Match", ""))
        if self.refusals:
            status, error = self.refusals.pop(0)
            return web.json_response({"error": {"problems": [], **error}}, status=status)
        if method == "PUT" and not self.accepts:
            problem = {"path": "pixel_code", "message": self.text("expected letters and digits"), "hint": ""}
            return web.json_response({"error": {"code": "invalid", "message": "1 problem", "problems": [problem]}}, status=422)
        if method == "DELETE":
            return web.Response(status=204)
        return _documented(
            request, await self.outcome(request, path, body), 201 if path in {"integrations", "pipelines"} else 200
        )

    async def outcome(self, request: web.Request, path: str, body: Any) -> Any:
        """What a change that is accepted is answered with."""
        given = body or {}
        match path.split("/"):
            case ["integrations", _, "mappings", "preview"]:
                shown = {"event": "Purchase", "properties": {"given": given.get("events")}}
                return {"payload": shown, "current": {"event": "Purchase"}, "findings": [self.text("properties.x: ignored")], "refusal": ""}  # fmt: skip
            case ["integrations", _, "mappings"]:
                return await self.mappings(request)
            case ["integrations", *rest]:
                return {**self.entries()[0], "id": rest[0] if rest else given["id"]}
            case ["pipelines", *rest]:
                return {**self.site(), "id": rest[0] if rest else given["id"]}
            case ["dead", "replay"]:
                return {"count": 8, "estimate_s": 0.0, "warnings": [], "job": None}
            case ["dead", "drop"]:
                return {"dropped": 8}
            case ["revisions", *_]:
                return {"id": 8}
            case ["session"]:
                return await self.session(request)
        raise web.HTTPNotFound


@web.middleware
async def _policy(request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]) -> web.StreamResponse:
    answer = await handler(request)
    if not answer.prepared:
        answer.headers["Content-Security-Policy"] = POLICY
    return answer


async def _empty(_: web.Request) -> web.Response:
    """A page that other pages' first paint is judged by."""
    return web.Response(text="<!doctype html><title>Empty</title><p>Empty</p>", content_type="text/html")


def _of(entries: list[dict[str, Any]], id_: str) -> dict[str, Any]:
    for entry in entries:
        if entry["id"] == id_:
            return entry
    error = {"error": {"code": "not_found", "message": f"there is no {id_}", "problems": []}}
    raise web.HTTPNotFound(text=json.dumps(error), content_type="application/json")


def _json(answer: Callable[[web.Request], Awaitable[Any]]) -> Callable[[web.Request], Awaitable[web.Response]]:
    async def handler(request: web.Request) -> web.Response:
        return _documented(request, await answer(request))

    return handler


def _documented(request: web.Request, body: Any, status: int = 200) -> web.Response:
    if isinstance(body, str):
        return web.Response(text=body)
    found = undocumented(request.method, request.path.removeprefix("/api/v1/"), status, body)
    assert not found, found[:20]
    return web.json_response(body, status=status, headers={"ETag": '"1"'})
