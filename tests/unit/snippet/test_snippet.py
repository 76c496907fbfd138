"""The client script as it is shipped and served: small, compressed, cached, named as configured; and what is printed to paste."""

import gzip
import re
import shutil
import subprocess
from collections.abc import Mapping
from html.parser import HTMLParser
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from collect_desk import Desk
from multidict import CIMultiDict, CIMultiDictProxy
from pydantic import ValidationError

from gateway import snippet
from gateway.cli import main
from gateway.edge.answer import Answer
from gateway.edge.head import Head
from gateway.edge.script import ClientScript
from gateway.edge.settings import EdgeSettings, ScriptSettings
from gateway.snippet.tag import tags

ROOT = Path(__file__).resolve().parents[3]
SCRIPT = snippet.load()
SOURCE = ROOT / "gateway/snippet/source"
CONFIG = """\
version: 1
edge: {listen: "127.0.0.1:0"%s}
pipelines:
  - {id: shop, key: dk_shop, integrations: [a]}
%sintegrations:
  - {id: a, pixel_code: C1AAAAAAAAAAAAAAAAAA, access_token: token-a}
"""
SECOND = "  - {id: blog, key: dk_blog, integrations: [a]}\n"


def head(path: str, method: str = "GET", **headers: str) -> Head:
    fields = CIMultiDict({name.replace("_", "-"): value for name, value in headers.items()})
    return Head(method, path.encode(), path, "", CIMultiDictProxy(fields), (), (1, 1))


def headers_of(answer: Answer) -> Mapping[str, str]:
    return CIMultiDict(line.split(": ", 1) for line in answer.headers.decode().splitlines())


@pytest.fixture
def served() -> ClientScript:
    return ClientScript("/gw", ScriptSettings())


# -- what is built


def test_a_page_is_asked_for_less_than_4_kb() -> None:
    assert len(SCRIPT.encodings["gzip"]) <= 4000


def test_what_is_compressed_is_the_script() -> None:
    script = SCRIPT
    assert gzip.decompress(script.encodings["gzip"]) == script.encodings["identity"]
    assert len(script.encodings["br"]) < len(script.encodings["gzip"])


def test_nothing_in_it_needs_eval_or_makes_elements() -> None:
    text = SCRIPT.encodings["identity"].decode()
    assert not re.search(
        r"\beval\b|new Function|innerHTML|document\.write|createElement|localStorage|unload\b|XMLHttpRequest", text
    )


@pytest.mark.node
def test_the_committed_files_are_what_the_source_makes() -> None:
    """Needs the minifier: `make snippet` installs it, and so does CI."""
    if not (SOURCE / "node_modules/terser").is_dir():
        pytest.skip("the minifier is not installed: make snippet")
    done = subprocess.run(["node", "build.mjs", "--check"], cwd=SOURCE, capture_output=True, text=True, check=False, timeout=50)
    assert done.returncode == 0, done.stderr


@pytest.mark.node
def test_brotli_holds_the_same_script() -> None:
    node = shutil.which("node")
    assert node
    code = "process.stdout.write(require('zlib').brotliDecompressSync(require('fs').readFileSync(process.argv[1])))"
    done = subprocess.run([node, "-e", code, ROOT / "gateway/snippet/built/s.js.br"], capture_output=True, check=True, timeout=50)
    assert done.stdout == SCRIPT.encodings["identity"]


# -- on the wire


@pytest.mark.parametrize(
    ("accepts", "encoding"),
    [
        ("gzip, deflate, br, zstd", "br"), ("gzip, deflate", "gzip"), ("GZIP;q=0.5, br;q=0", "gzip"), ("br ; q=0.000, gzip; q=0.0", None), ("", None),
        ("identity", None), ("*", None), ("br;q=0.001", "br"), ("brotli, xgzip", None), (", ".join(["gzip"] * 500), None),
    ],
)  # fmt: skip
def test_the_best_encoding_that_is_understood(served: ClientScript, accepts: str, encoding: str | None) -> None:
    answer = served.answer(head("/gw/s.js", Accept_Encoding=accepts))
    assert headers_of(answer).get("Content-Encoding") == encoding
    assert answer.body == SCRIPT.encodings[encoding or "identity"]
    assert headers_of(answer)["Vary"] == "Accept-Encoding"
    assert headers_of(answer)["Content-Type"] == "text/javascript; charset=utf-8"


def test_the_short_address_is_asked_for_again_and_the_pinned_one_never(served: ClientScript) -> None:
    assert headers_of(served.answer(head(served.path)))["Cache-Control"] == "public, max-age=300"
    assert headers_of(served.answer(head(served.pinned_path)))["Cache-Control"] == "public, max-age=31536000, immutable"


def test_another_versions_hash_gets_this_script_for_a_short_time(served: ClientScript) -> None:
    """Pages rendered by a neighbour that is being replaced must not get a 404."""
    other = "/gw/s.0123456789ab.js"
    assert other != served.pinned_path
    assert served.serves(other)
    assert headers_of(served.answer(head(other)))["Cache-Control"] == "public, max-age=300"


@pytest.mark.parametrize(
    "path",
    [
        "/gw/s",
        "/gw/s.js.map",
        "/gw/ss.js",
        "/gw/s.0123456789AB.js",
        "/gw/s.0123456789a.js",
        "/gw/s..js",
        "/gw/s0123456789ab.js",
        "/gw/S.js",
        "/s.js",
    ],
)
def test_nothing_else_is_the_script(served: ClientScript, path: str) -> None:
    assert not served.serves(path)


def test_a_known_script_is_not_sent_again(served: ClientScript) -> None:
    for encoding in ("br", "gzip", ""):
        tag = headers_of(served.answer(head("/gw/s.js", Accept_Encoding=encoding)))["ETag"]
        for known in (tag, f"W/{tag}", f'"other", {tag}', "*"):
            answer = served.answer(head("/gw/s.js", Accept_Encoding=encoding, If_None_Match=known))
            assert (answer.status, answer.body) == (304, b"")
            assert headers_of(answer)["ETag"] == tag
    tags_ = {headers_of(served.answer(head("/gw/s.js", Accept_Encoding=encoding)))["ETag"] for encoding in ("br", "gzip", "")}
    assert len(tags_) == 3
    for unknown in ('"other"', "", "*" * 2000, "W/"):
        assert served.answer(head("/gw/s.js", If_None_Match=unknown)).status == 200


async def test_the_collector_serves_it_without_a_catalogue() -> None:
    desk = Desk(pipelines=(), integrations=())
    got = await desk.send("GET", "s.js", Accept_Encoding="br")
    assert got.status == 200
    assert got.body == SCRIPT.encodings["br"]
    asked = await desk.send("HEAD", "s.js", Accept_Encoding="br")
    assert (asked.status, asked.headers) == (got.status, got.headers)
    posted = await desk.send("POST", "s.js", {})
    assert posted.status == 405
    assert posted.one("Allow") == "GET, HEAD, OPTIONS"
    assert (await desk.send("GET", "t.js")).status == 404


def test_its_name_is_a_setting() -> None:
    served = ClientScript("/a/b", ScriptSettings(name="shop-2"))
    assert served.path == "/a/b/shop-2.js"
    assert served.serves("/a/b/shop-2.js")
    assert not served.serves("/a/b/s.js")
    for wrong in ("", "s.js", "a/b", "ä", "x" * 41):
        with pytest.raises(ValidationError):
            ScriptSettings(name=wrong)
    for wrong in ("1a", "a-b", "a b", "", "a;alert(1)"):
        with pytest.raises(ValidationError):
            ScriptSettings(global_name=wrong)
    assert EdgeSettings().script == ScriptSettings(name="s", global_name="ttq")


# -- what is pasted


class Elements(HTMLParser):
    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))


def test_tags_survive_any_value() -> None:
    key = 'a"><script>&'
    made = tags(prefix="/gw", name="s", digest="0" * 12, integrity="sha384-x", key=key, global_name="$x")
    for text in (made.script, made.pinned):
        ((tag, attributes),) = Elements(text).found
        assert tag == "script"
        assert attributes["data-key"] == key
        assert attributes["data-global"] == "$x"
    (_, (_, image)) = Elements(made.noscript).found
    assert image["src"] == "/gw/px?k=a%22%3E%3Cscript%3E%26&ev=page"


def run(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["snippet", *map(str, arguments)])


def test_the_command_prints_what_to_paste(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG % ("", ""))
    result = run("-c", config)
    assert result.exit_code == 0, result.output
    assert '<script async src="/gw/s.js" data-key="dk_shop"></script>' in result.output
    assert f"/gw/s.{SCRIPT.hash}.js" in result.output
    assert SCRIPT.integrity in result.output
    assert "script-src 'self'\n" in result.output
    assert '<noscript><img src="/gw/px?k=dk_shop&amp;ev=page" width="1" height="1" alt=""></noscript>' in result.output


def test_the_command_knows_names_and_places(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG % (", prefix: /c, script: {name: t, global_name: tt}", SECOND))
    result = run("-c", config, "--pipeline", "blog", "--origin", "https://collect.example.com/")
    assert result.exit_code == 0, result.output
    assert '<script async src="https://collect.example.com/c/t.js" data-key="dk_blog" data-global="tt"></script>' in result.output
    assert "connect-src https://collect.example.com\n" in result.output
    assert 'crossorigin="anonymous"' in result.output


def test_the_command_prints_the_types_without_a_configuration() -> None:
    result = run("--types")
    assert (result.exit_code, result.output) == (0, (ROOT / "gateway/snippet/ttgateway.d.ts").read_text())


@pytest.mark.parametrize(
    ("second", "arguments", "said"),
    [
        (SECOND, (), "name one with --pipeline: there are shop, blog"),
        ("", ("--pipeline", "shpo"), "no pipeline 'shpo': there are shop"),
        ("", ("--origin", "collect.example.com"), "expected an origin"),
        ("", ("--origin", "https://x.example/path"), "expected an origin"),
    ],
)
def test_the_command_says_what_is_missing(tmp_path: Path, second: str, arguments: tuple[str, ...], said: str) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text(CONFIG % ("", second))
    result = run("-c", config, *arguments)
    assert result.exit_code == 2
    assert said in result.output


def test_the_command_refuses_what_cannot_collect(tmp_path: Path) -> None:
    config = tmp_path / "gateway.yaml"
    config.write_text("version: 1\nedge: {listen: nowhere}\n")
    assert run("-c", config).exit_code == 78
