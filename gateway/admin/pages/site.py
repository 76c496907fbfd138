"""The pages over HTTP (io: the package's own files are read once, at the start; nothing of the world while serving).

Law: every shell is rendered and compressed before the first request and is the same for everybody; only the theme, a cookie without meaning for security, chooses among
three renderings. Static files are addressed by the hash of all of them together: relative imports of the modules stay inside one version, and caches keep them for good.
Who may see a page, and the security headers, are the listener's business.
"""

import gzip
import hashlib
import re
from importlib.resources import files
from typing import NamedTuple

from aiohttp import web
from aiohttp.typedefs import Handler
from jinja2 import Environment, PackageLoader, select_autoescape

from gateway import __version__

_TYPES = {"css": "text/css", "js": "text/javascript", "svg": "image/svg+xml"}
_IMPORT = re.compile(r"""(?:from|import)\s+'\./([a-z-]+\.js)'""")
_THEMES = ("auto", "light", "dark")
_FOR_GOOD = "public, max-age=31536000, immutable"
_ID = "{id:[A-Za-z0-9_.-]{1,64}}"


class _Page(NamedTuple):
    """One shell: its path, its template (the module has the same name), its title and the entry of the navigation that is current."""

    path: str
    name: str
    title: str
    section: str


_PAGES = (
    _Page("/", "overview", "Overview", "overview"),
    _Page("/live", "live", "Live events", "live"),
    _Page("/integrations", "integrations", "Integrations", "integrations"),
    _Page("/integrations/new", "integration", "Add integration", "integrations"),
    _Page(f"/integrations/{_ID}", "integration", "Integration", "integrations"),
    _Page(f"/integrations/{_ID}/mappings", "mappings", "Field mappings", "integrations"),
    _Page("/pipelines", "pipelines", "Pipelines", "pipelines"),
    _Page("/pipelines/new", "pipeline", "Add pipeline", "pipelines"),
    _Page(f"/pipelines/{_ID}", "pipeline", "Pipeline", "pipelines"),
    _Page("/dead", "dead", "Dead letters", "dead"),
    _Page("/revisions", "revisions", "Revisions", "revisions"),
    _Page("/settings", "settings", "Settings", "settings"),
    _Page("/login", "login", "Sign in", ""),
)
PUBLIC = ("/login", "/static/")
"""What may be fetched without a session: it holds no data."""
NAVIGATION = (
    ("overview", "/", "Overview"),
    ("live", "/live", "Live events"),
    ("integrations", "/integrations", "Integrations"),
    ("pipelines", "/pipelines", "Pipelines"),
    ("dead", "/dead", "Dead letters"),
    ("revisions", "/revisions", "Revisions"),
    ("settings", "/settings", "Settings"),
)


class _Body(NamedTuple):
    plain: bytes
    packed: bytes
    tag: str


def _body(content: bytes) -> _Body:
    return _Body(content, gzip.compress(content, 9, mtime=0), f'"{hashlib.sha256(content).hexdigest()[:20]}"')


class Pages:
    """All pages and static files, ready to be sent."""

    def __init__(self) -> None:
        static = files("gateway.admin.pages").joinpath("static")
        read = {entry.name: entry.read_bytes() for entry in static.iterdir() if entry.name.rpartition(".")[2] in _TYPES}
        self.version = hashlib.sha256(b"\0".join(name.encode() + read[name] for name in sorted(read))).hexdigest()[:12]
        self._static = {name: _body(content) for name, content in read.items()}
        self._shells = self._render({name: content.decode() for name, content in read.items()})

    def routes(self) -> list[web.RouteDef]:
        """The GET routes (aiohttp adds HEAD)."""
        made = [web.get(page.path, self._shell(page)) for page in _PAGES]
        return [*made, web.get(r"/static/{version:[0-9a-f]{12}}/{name:[a-z-]+\.[a-z]+}", self._file)]

    def _render(self, sources: dict[str, str]) -> dict[tuple[str, str, str], _Body]:
        environment = Environment(
            loader=PackageLoader("gateway.admin.pages"),
            autoescape=select_autoescape(default=True),
            trim_blocks=True,
            lstrip_blocks=True,
            auto_reload=False,
        )
        shells = {}
        for page in _PAGES:
            template = environment.get_template(f"{page.name}.html")
            for theme in _THEMES:
                text = template.render(
                    page=page,
                    theme=theme,
                    static=f"/static/{self.version}",
                    modules=_needed(f"{page.name}.js", sources),
                    navigation=NAVIGATION,
                    version=__version__,
                )
                shells[page.path, page.title, theme] = _body(text.encode())
        return shells

    def _shell(self, page: _Page) -> Handler:
        by_theme = {theme: self._shells[page.path, page.title, theme] for theme in _THEMES}

        async def shell(request: web.Request) -> web.Response:
            body = by_theme.get(request.cookies.get("ttgateway_theme", ""), by_theme["auto"])
            return _answer(request, body, "text/html", "private, no-cache")

        return shell

    async def _file(self, request: web.Request) -> web.Response:
        name = request.match_info["name"]
        body = self._static.get(name)
        if body is None:
            raise web.HTTPNotFound
        # A page of another version that is still open gets today's file, but must not keep it under the old address.
        lasting = request.match_info["version"] == self.version
        return _answer(request, body, _TYPES[name.rpartition(".")[2]], _FOR_GOOD if lasting else "no-store")


def _needed(module: str, sources: dict[str, str]) -> list[str]:
    """``module`` and all that it imports, so that the browser asks for them at once and not one after the other."""
    found = [module]
    for name in found:
        found += [each for each in _IMPORT.findall(sources[name]) if each not in found]
    return list(dict.fromkeys(found))


def _answer(request: web.Request, body: _Body, content_type: str, cache: str) -> web.Response:
    # Files are the same whatever the cookies: a browser must not fetch them anew because somebody signed in.
    headers = {
        "Cache-Control": cache,
        "ETag": body.tag,
        "Vary": "Accept-Encoding, Cookie" if content_type == "text/html" else "Accept-Encoding",
    }
    if body.tag in request.headers.get("If-None-Match", ""):
        return web.Response(status=304, headers=headers)
    if "gzip" in request.headers.get("Accept-Encoding", ""):
        headers["Content-Encoding"] = "gzip"
        return web.Response(body=body.packed, content_type=content_type, charset="utf-8", headers=headers)
    return web.Response(body=body.plain, content_type=content_type, charset="utf-8", headers=headers)
