"""The pages as files and over HTTP: nothing inline, nothing from strings, nothing heavy."""

import gzip
import re
from pathlib import Path

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient

from gateway.admin.pages import site

FOLDER = Path(site.__file__).parent
MODULES = sorted((FOLDER / "static").glob("*.js"))
PATHS = [page.path.replace(site._ID, "tiktok-shop") for page in site._PAGES]
MOST_BYTES = 150_000
MARKUP = re.compile(
    r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|createContextualFragment|setAttribute\('style'|\beval\(|new Function"
)
IMPORT = re.compile(r"import \{([^}]*)\} from '\./([a-z-]+\.js)'")


@pytest.fixture(scope="module")
def pages() -> site.Pages:
    """Made outside of the loop, as the listener does: it reads files."""
    return site.Pages()


@pytest.fixture
async def client(pages: site.Pages, aiohttp_client: object) -> TestClient:
    app = web.Application()
    app.add_routes(pages.routes())
    return await aiohttp_client(app)  # type: ignore[operator]


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_module_makes_no_markup_of_strings(module: Path) -> None:
    """Strings of events are an attacker's: they become text nodes, whatever they hold."""
    source = module.read_text()
    assert not MARKUP.search(source)
    assert "http://" not in source.replace("http://www.w3.org/2000/svg", "")
    assert "https://" not in re.sub(r"https://(shop\.)?example\.com\S*", "", source)
    assert len(source.splitlines()) <= 300
    assert source.startswith("// "), "says what it is for"


@pytest.mark.parametrize("module", MODULES, ids=lambda path: path.name)
def test_module_imports_what_is_there_and_uses_it(module: Path) -> None:
    """There is no bundler to notice."""
    source = module.read_text()
    for names, other in IMPORT.findall(source):
        exported = (FOLDER / "static" / other).read_text()
        for taken in filter(None, (each.strip() for each in names.split(","))):
            theirs, _, ours = taken.partition(" as ")
            name = ours or theirs
            assert re.search(rf"export (const|let|class|function) {re.escape(theirs)}(?![\w$])", exported), (
                f"{other} has no {theirs}"
            )
            assert len(re.findall(rf"(?<![\w.$]){re.escape(name)}(?![\w$])", source)) > 1, f"{name} is not used"


def test_modules_use_only_icons_that_exist() -> None:
    """A missing symbol would be an empty square."""
    drawn = set(re.findall(r'id="i-([a-z]+)"', (FOLDER / "templates" / "icons.svg").read_text()))
    used = {name for module in MODULES for name in re.findall(r"(?:icon\(|sign: )'([a-z]+)'", module.read_text())}
    used |= {
        name
        for template in (FOLDER / "templates").glob("*.html")
        for name in re.findall(r'href="#i-([a-z]+)"', template.read_text())
    }
    assert used <= drawn
    assert {section for section, _, _ in site.NAVIGATION} <= drawn


@pytest.mark.parametrize("path", PATHS)
async def test_shell_is_whole_light_and_has_nothing_inline(client: TestClient, path: str) -> None:
    """What a page needs is named in its head, exists, and stays below 150 kB uncompressed, API answers aside."""
    answer = await client.get(path)
    text = await answer.text()
    assert answer.status == 200
    assert answer.content_type == "text/html"
    assert not re.search(r"<script(?![^>]*\bsrc=)|\son[a-z]+=|\sstyle=|<style", text)
    assert not re.search(r'(?:src|href)="(?:https?:)?//', text)
    needed = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', text))
    sizes = []
    for each in needed:
        found = await client.get(each, headers={"Accept-Encoding": "identity"})
        assert found.status == 200, each
        sizes.append(len(await found.read()))
    assert sum(sizes) + len(text) <= MOST_BYTES
    for module in (each for each in needed if each.endswith(".js")):
        imports = re.findall(r"from '\./([a-z-]+\.js)'", await (await client.get(module)).text())
        assert {f"{module.rsplit('/', 1)[0]}/{name}" for name in imports} <= needed, "the browser would ask one after the other"


async def test_shell_is_asked_for_anew_and_not_sent_twice(client: TestClient) -> None:
    """A shell is checked each time and answered 304 while it is the same; files are kept for good."""
    first = await client.get("/")
    assert first.headers["Cache-Control"] == "private, no-cache"
    again = await client.get("/", headers={"If-None-Match": first.headers["ETag"]})
    assert again.status == 304
    file = re.search(r'/static/[^"]+\.css', await first.text())
    assert file
    kept = await client.get(file[0])
    assert "immutable" in kept.headers["Cache-Control"]
    assert "Cookie" in first.headers["Vary"], "the theme is one"
    assert "Cookie" not in kept.headers["Vary"], "signing in would fetch all files anew"


async def test_file_of_another_version_is_not_kept(client: TestClient) -> None:
    """A page left open over an update still works, and its browser keeps nothing wrong."""
    answer = await client.get("/static/000000000000/style.css")
    assert answer.status == 200
    assert answer.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("name", ["missing.js", "style.exe", "..%2fsite.py", "Style.css"])
async def test_only_the_files_of_the_folder(client: TestClient, name: str) -> None:
    """Names are looked up in a table; no path is ever made of them."""
    assert (await client.get(f"/static/000000000000/{name}")).status == 404


async def test_compressed_for_those_who_ask(client: TestClient) -> None:
    """Both renderings are ready before the first request."""
    plain = await client.get("/", headers={"Accept-Encoding": "identity"})
    text = await plain.read()
    assert "Content-Encoding" not in plain.headers
    packed = await client.get("/", headers={"Accept-Encoding": "gzip"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert await packed.read() == text
    assert len(gzip.compress(text)) < len(text) / 2


@pytest.mark.parametrize(("cookie", "theme"), [("dark", "dark"), ("light", "light"), ("auto", "auto"), ('"><script>', "auto")])
async def test_theme_is_in_the_first_byte(client: TestClient, cookie: str, theme: str) -> None:
    """No flash of the other theme; a strange cookie is the default."""
    answer = await client.get("/", headers={"Cookie": f"ttgateway_theme={cookie}"})
    assert f'data-theme="{theme}">' in (await answer.text())[:80]
