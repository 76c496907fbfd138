"""Loading: every problem at once, with its line, in plain words; and what each problem costs."""

from pathlib import Path

import pytest

from gateway.config.load import Loaded, load

SOUND = """\
version: 1
edge: {listen: "127.0.0.1:8080", upstream: "http://127.0.0.1:3000"}
ops: {listen: "127.0.0.1:9090"}
pipelines:
  - {id: shop, key: dk_live_shop, integrations: [a, b]}
integrations:
  - {id: a, pixel_code: C1, access_token: token-a}
  - {id: b, pixel_code: C2, access_token: "${file:token-b}"}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Where the configuration is written; the secret it names is there."""
    (tmp_path / "token-b").write_text("secret-of-b\n")
    return tmp_path / "gateway.yaml"


def loaded(config: Path, text: str, **variables: str) -> Loaded:
    """The configuration ``text`` in an environment of just ``variables``."""
    config.write_text(text)
    return load(config, variables)


def said(result: Loaded) -> list[tuple[int, str, str]]:
    """(line, path, message) of each problem."""
    return [(problem.line, problem.path, problem.message) for problem in result.problems]


def test_a_sound_file_has_no_problem(config: Path) -> None:
    result = loaded(config, SOUND)
    assert said(result) == []
    assert (result.fatal, result.off) == (False, {})
    token = result.settings.integrations[1].access_token
    assert token is not None
    assert token.get_secret_value() == "secret-of-b"  # without the file's newline
    assert result.files == [config, config.parent / "token-b"]


def test_every_problem_is_told_at_once_with_its_line(config: Path) -> None:
    text = """\
version: 1
egde: {}
edge:
  listen: 0.0.0.0
  limits: {max_connections: many, body_progres: 3s}
spool: {path: /x, path: /y}
consent: {default: ask}
integrations:
  - {id: a, preset: retial}
"""
    assert said(loaded(config, text)) == [
        (2, "egde", "unknown key"),
        (4, "edge.listen", "expected host:port such as 0.0.0.0:8080 or [::]:8080"),
        (5, "edge.limits.max_connections", "expected a whole number"),
        (5, "edge.limits.body_progres", "unknown key"),
        (6, "spool.path", "this key is used twice"),
        (7, "consent.default", "expected 'deny' or 'grant'"),
        (9, "integrations.0.preset", "expected 'retail', 'travel', 'automotive' or 'b2b_saas'"),
        (9, "integrations.0.pixel_code", "is required"),
    ]


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("egde: {}", "did you mean edge?"),
        ("edge: {upsteam: x}", "did you mean upstream?"),
        ("edge: {limits: {max-connections: 3}}", "did you mean max_connections?"),
        ("consent: {cookies: [onetrus]}", "did you mean onetrust?"),
        ("integrations: [{id: a, pixel_code: C, events: {Paid: {mapings: []}}}]", "did you mean mappings?"),
        ("pipelines: [{id: p, key: k, integrations: [tiktok-shp]}]\nintegrations: [{id: tiktok-shop, pixel_code: C}]", "did you mean tiktok-shop?"),
        ("edge: {upstream: 3000}", "put it in quotes"),
    ],
)  # fmt: skip
def test_the_nearest_thing_is_suggested(config: Path, text: str, hint: str) -> None:
    (problem,) = loaded(config, f"version: 1\n{text}\n").problems
    assert problem.hint == hint


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("", 1, "the file is empty"),
        ("~", 1, "the file is empty"),
        ("version: 1\nedge: [\n", 3, "not valid YAML"),
        ("version: 1\nedge:\n\tlisten: x\n", 3, "not valid YAML"),
        ("- 1\n", 1, "expected a mapping of sections"),
        ("version: 1\nedge: !!python/object:os.system {}\n", 0, ""),
        ("\x00", 1, "not valid YAML"),
    ],
)
def test_what_cannot_be_read_is_fatal(config: Path, text: str, line: int, message: str) -> None:
    result = loaded(config, text)
    if message:
        assert result.fatal
        assert result.problems[0].line == line
        assert result.problems[0].message.startswith(message)
    else:  # a tag on a mapping makes no object: it is a mapping all the same
        assert not result.problems


def test_a_missing_file_is_fatal(tmp_path: Path) -> None:
    result = load(tmp_path / "nope.yaml", {})
    assert result.fatal
    assert "cannot be read" in result.problems[0].message


def test_aliases_cannot_grow_into_a_bomb(config: Path) -> None:
    lines = ["version: 1", "a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    assert any("too large" in problem.message for problem in loaded(config, "\n".join(lines)).problems)
    assert any("too large" in problem.message for problem in loaded(config, "version: 1\na: &a [*a]\n").problems)


def test_merge_keys_give_way_to_what_is_written(config: Path) -> None:
    text = SOUND.replace("id: a,", "<<: {pixel_code: C9, name: Merged}, id: a,")
    result = loaded(config, text)
    assert said(result) == []
    assert (result.settings.integrations[0].pixel_code, result.settings.integrations[0].name) == ("C1", "Merged")


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("${env:NOPE}", "the environment variable NOPE is not set"),
        ("${file:/nowhere/token}", "the file /nowhere/token does not exist"),
        ("${file:/}", "the file / cannot be read"),
        ("${NOPE}", "${NOPE} is not understood"),
    ],
)
def test_an_integration_whose_token_is_not_there_is_there_without_it(config: Path, value: str, message: str) -> None:
    result = loaded(config, SOUND.replace("token-a", f'"{value}"'))
    assert [(line, path) for line, path, _ in said(result)] == [(7, "integrations.0.access_token")]
    assert result.problems[0].message.startswith(message)
    assert not result.fatal
    assert list(result.off) == ["integrations.a.access_token"]
    assert [(entry.id, entry.access_token is None) for entry in result.settings.integrations] == [("a", True), ("b", False)]
    assert [entry.id for entry in result.settings.pipelines] == ["shop"]


def test_a_missing_token_beside_another_fault_switches_its_integration_off(config: Path) -> None:
    result = loaded(config, SOUND.replace("access_token: token-a", 'access_token: "${env:NOPE}", preset: retial'))
    assert len(result.problems) == 2
    assert "integrations.a" in result.off
    assert [entry.id for entry in result.settings.integrations] == ["b"]


def test_a_token_that_is_none_switches_its_integration_off(config: Path) -> None:
    assert list(loaded(config, SOUND.replace("token-a", "two words")).off) == ["integrations.a"]


def test_an_unresolved_reference_in_edge_is_fatal(config: Path) -> None:
    assert loaded(config, SOUND.replace('"http://127.0.0.1:3000"', '"${env:UPSTREAM}"')).fatal
    assert not loaded(config, SOUND.replace('"http://127.0.0.1:3000"', '"${env:UPSTREAM}"'), UPSTREAM="http://app:1").fatal


def test_a_literal_dollar_brace_can_be_written(config: Path) -> None:
    result = loaded(config, SOUND.replace("token-a", '"$${env:X}"'))
    token = result.settings.integrations[0].access_token
    assert token is not None
    assert token.get_secret_value() == "${env:X}"


@pytest.mark.parametrize("section", ["spool", "consent", "cookies", "delivery", "drain", "admin", "catalog"])
def test_a_fault_elsewhere_switches_off_only_its_section(config: Path, section: str) -> None:
    result = loaded(config, f"{SOUND}{section}: {{nonsense: 1}}\n")
    assert not result.fatal
    assert list(result.off) == [section]
    assert result.settings.edge.upstream == "http://127.0.0.1:3000"
    assert len(result.settings.pipelines) == 1


@pytest.mark.parametrize("section", ["edge", "ops"])
def test_a_fault_in_edge_or_ops_is_fatal(config: Path, section: str) -> None:
    assert loaded(config, SOUND.replace(f"{section}: {{", f"{section}: {{nonsense: 1, ")).fatal


def test_listeners_cannot_share_a_port(config: Path) -> None:
    result = loaded(config, SOUND.replace("9090", "8080"))
    assert said(result) == [(3, "ops.listen", "the same port as edge.listen")]


def test_a_broken_entry_does_not_spoil_its_neighbours(config: Path) -> None:
    result = loaded(config, SOUND + "  - {id: c}\n")
    assert list(result.off) == ["integrations.c"]
    assert [entry.id for entry in result.settings.integrations] == ["a", "b"]


def test_an_entry_used_twice_keeps_the_first(config: Path) -> None:
    result = loaded(config, SOUND + "  - {id: a, pixel_code: C3}\n")
    assert [(entry.id, entry.pixel_code) for entry in result.settings.integrations] == [("a", "C1"), ("b", "C2")]


@pytest.mark.parametrize(("first", "second"), [("bad code!", "C3"), ("C3", "bad code!"), ("bad code!", "bad code!")])
def test_an_id_used_twice_is_told_with_the_entry_s_own_fault(config: Path, first: str, second: str) -> None:
    """And a sound entry is not switched off for a broken one's sake."""
    result = loaded(config, f"{SOUND}  - {{id: c, pixel_code: '{first}'}}\n  - {{id: c, pixel_code: '{second}'}}\n")
    broken = {at for at, code in ((2, first), (3, second)) if " " in code}
    assert {f"integrations.{at}.pixel_code" for at in broken} < {path for _, path, _ in said(result)}
    assert [(path, message) for _, path, message in said(result) if path.endswith("id")] == [
        (f"integrations.{max(broken)}.id", "is used twice")
    ]
    assert [entry.id for entry in result.settings.integrations] == ["a", "b"] + ["c"] * (len(broken) == 1)


def test_a_broken_pipeline_s_references_and_key_are_looked_at_too(config: Path) -> None:
    text = SOUND.replace(
        "integrations:\n", "  - {id: other, key: dk_live_shop, domians: [], integrations: [a, bb]}\nintegrations:\n", 1
    )
    assert [(path, message) for _, path, message in said(loaded(config, text))] == [
        ("pipelines.1.domians", "unknown key"),
        ("pipelines.1.key", "is used twice"),
        ("pipelines.1.integrations.1", "there is no integration 'bb'"),
    ]


def test_a_hint_is_a_whole_sentence(config: Path) -> None:
    (problem,) = loaded(config, SOUND.replace("key: dk_live_shop, ", "")).problems
    assert problem.hint == "Public key by which requests name this pipeline, e.g. dk_live_shop"


def test_secrets_never_appear_in_problems_or_representations(config: Path) -> None:
    result = loaded(config, SOUND.replace("pixel_code: C1", "pixel_code: 'not a code!'").replace("token-a", "s3cret-value"))
    assert result.problems
    assert "s3cret-value" not in repr(result)
    assert "secret-of-b" not in repr(result)
    assert "not a code!" not in str(result.problems)


@pytest.mark.parametrize("version", ["", "version: 2\n", "version: true\n", "version: '1'\n"])
def test_the_version_must_be_1_but_does_not_stop_the_site(config: Path, version: str) -> None:
    result = loaded(config, SOUND.replace("version: 1\n", version))
    assert len(result.problems) == 1
    assert not result.fatal


@pytest.mark.parametrize(("role", "problems"), [("all", 1), ("deliver", 1), ("admin", 0), ("edge", 0)])
def test_only_who_delivers_needs_a_token(config: Path, role: str, problems: int) -> None:
    """The token of ``b`` is not mounted."""
    (config.parent / "token-b").unlink()
    config.write_text(SOUND)
    result = load(config, {}, role=role)
    assert len(said(result)) == problems
    assert ("integrations.b.access_token" in result.off) == bool(problems)
    assert [each.id for each in result.settings.integrations] == ["a", "b"]
    assert result.settings.integrations[1].access_token is None


def test_an_edge_reads_no_token_that_is_there(config: Path) -> None:
    """Neither from a file nor from the configuration itself; other secrets it does read."""
    config.write_text(SOUND.replace("key: dk_live_shop", 'key: dk_live_shop, secret: "${file:secret}"'))
    (config.parent / "secret").write_text("s")
    result = load(config, {}, role="edge")
    assert said(result) == []
    assert [each.access_token for each in result.settings.integrations] == [None, None]
    assert result.settings.pipelines[0].secret is not None
    assert result.files == [config, config.parent / "secret"]


def test_an_admin_that_has_the_token_knows_it_and_watches_for_one_that_is_missing(config: Path) -> None:
    config.write_text(SOUND)
    token = load(config, {}, role="admin").settings.integrations[1].access_token
    assert token is not None
    (config.parent / "token-b").unlink()
    assert config.parent / "token-b" in load(config, {}, role="admin").files
    config.write_text(SOUND.replace("token-a", "two words"))
    assert [path for _, path, _ in said(load(config, {}, role="admin"))] == ["integrations.0.access_token"]
