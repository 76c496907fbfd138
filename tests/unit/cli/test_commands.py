"""The commands: what they print, and their exit codes."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from gateway import __version__
from gateway.cli import _COMMANDS, main

CONFIG = """\
version: 1
edge: {listen: "127.0.0.1:0"}
pipelines:
  - {id: shop, key: dk_live_shop, secret: pipeline-secret, integrations: [a, b], default_region: GB}
integrations:
  - {id: a, pixel_code: C1AAAAAAAAAAAAAAAAAA, access_token: token-a}
  - {id: b, pixel_code: C2BBBBBBBBBBBBBBBBBB, access_token: token-b, consent: [marketing, analytics], test_event_code: TEST1}
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """A sound configuration."""
    path = tmp_path / "gateway.yaml"
    path.write_text(CONFIG)
    return path


def run(*arguments: object, text: str | None = None) -> Result:
    """Run ``ttgateway`` with these arguments."""
    return CliRunner().invoke(main, [str(argument) for argument in arguments], input=text)


def test_help_lists_every_command_and_the_exit_codes() -> None:
    result = run("--help")
    assert result.exit_code == 0
    assert all(name in result.output for name in _COMMANDS)
    assert "78" in result.output


@pytest.mark.parametrize("name", [*_COMMANDS, "shop"])
def test_every_command_explains_itself(name: str) -> None:
    result = run(name, "--help")
    assert result.exit_code == 0
    assert "Usage:" in result.output
    if name not in {"version", "shop"}:
        assert "Example" in result.output


def test_the_short_list_says_what_the_commands_themselves_say() -> None:
    context = click.Context(main)
    for name in _COMMANDS:
        command = main.get_command(context, name)
        assert command is not None, name
        assert command.help, name


def test_an_unknown_command_is_a_usage_error() -> None:
    assert run("chek").exit_code == 2


def test_version_is_instant() -> None:
    """Nothing heavy is imported for it."""
    code = "import sys; from gateway.cli import main; main(['version'], standalone_mode=False); print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    version, modules = done.stdout.splitlines()
    assert version == f"ttgateway {__version__}"
    assert not {"aiohttp", "pydantic", "uvloop", "phonenumbers", "jinja2", "prometheus_client"} & set(modules.split())


def test_run_imports_no_sandbox() -> None:
    """What only the demo needs costs a gateway neither memory nor start-up time."""
    code = "import sys; import gateway.app; print(*sorted(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not {"jinja2", "gateway.sandbox", "click"} & set(done.stdout.split())


def test_check_says_that_a_configuration_is_sound(config: Path) -> None:
    result = run("check", "-c", config)
    assert result.exit_code == 0
    assert "sound" in result.output
    assert "b has a test_event_code" in result.output


@pytest.mark.parametrize(
    ("old", "new", "note"),
    [
        ("consent: [marketing, analytics]", "consent: [marketng]", "b needs consent to marketng, which only an event itself could state (did you mean marketing?)"),
        ("consent: [marketing, analytics]", "consent: []", "b needs no consent"),
        ("integrations: [a, b]", "integrations: []", "shop has no integration"),
        ("integrations: [a, b]", "integrations: [a, b, a]", "shop names a more than once"),
    ],
)  # fmt: skip
def test_check_notes_what_may_not_be_meant(config: Path, old: str, new: str, note: str) -> None:
    assert note not in run("check", "-c", config).output
    config.write_text(CONFIG.replace(old, new))
    result = run("check", "-c", config)
    assert result.exit_code == 0
    assert f"  note: {note}" in result.output


def test_check_knows_the_sites_own_categories(config: Path) -> None:
    config.write_text(
        CONFIG.replace("[marketing, analytics]", "[personalised]") + "consent: {onetrust_groups: {C0009: [personalised]}}\n"
    )
    assert "personalised" not in run("check", "-c", config).output


def test_check_prints_every_problem(config: Path) -> None:
    config.write_text(CONFIG.replace("key: dk", "kye: dk").replace("edge: {", "edge: {upstrem: x, "))
    result = run("check", "-c", config)
    assert result.exit_code == 78
    assert f"{config}:2: edge.upstrem: unknown key (did you mean upstream?)" in result.output
    assert f"{config}:4: pipelines.0.kye: unknown key (did you mean key?)" in result.output


def test_a_missing_file_is_a_configuration_problem(tmp_path: Path) -> None:
    for command in ("check", "run", "send-test", "drain"):
        result = run(command, "-c", tmp_path / "nowhere.yaml")
        assert result.exit_code == 78, command
        assert "Traceback" not in result.output


def test_init_writes_what_check_accepts_and_never_overwrites(tmp_path: Path) -> None:
    path = tmp_path / "new.yaml"
    assert run("init", path).exit_code == 0
    assert run("check", "-c", path).exit_code == 0
    assert run("init").output == path.read_text()
    path.write_text("mine")
    assert run("init", path).exit_code == 1
    assert path.read_text() == "mine"


def explained(config: Path, document: Any) -> Any:
    """The JSON of ``explain``."""
    result = run("explain", "--json", "-c", config, "-", text=json.dumps(document))
    assert result.exit_code == 0, result.output
    return json.loads(result.output)


ORDER = {
    "type": "track",
    "event": "order_completed",
    "messageId": "o-1",
    "traits": {"email": "Alice@Example.com"},
    "properties": {"value": "12.50", "currency": "EUR"},
    "context": {"page": {"url": "https://shop.example/thanks?ttclid=click-12345678"}, "consent": {"marketing": True}},
}


def fates(result: Any) -> dict[str, tuple[str, str]]:
    """Integration → (outcome, reason)."""
    return {fate["integration"]: (fate["outcome"], fate["reason"]) for fate in result["integrations"]}


def test_explain_follows_an_event_to_every_integration(config: Path) -> None:
    result = explained(config, ORDER)
    assert result["parsed"]["identity"] == ["email"]
    assert fates(result) == {"a": ("sent", ""), "b": ("filtered", "consent_missing")}
    (sent,) = [fate for fate in result["integrations"] if fate["integration"] == "a"]
    assert sent["payload"]["event"] == "Purchase"
    assert sent["payload"]["properties"]["value"] == 12.5
    assert sent["payload"]["user"]["ttclid"] == "click-12345678"
    assert sent["sealed"]["consent"]["granted"] == ["marketing"]
    assert "alice@example.com" not in json.dumps(result).lower()


@pytest.mark.parametrize(
    ("document", "fate"),
    [
        ({"event": ORDER, "headers": {"Sec-GPC": "1"}}, ("filtered", "gpc")),
        ({"event": ORDER, "headers": {"User-Agent": "Googlebot/2.1"}}, ("filtered", "bot")),
        ({"event": ORDER, "cookies": {"OptanonConsent": "groups=C0004:0"}}, ("filtered", "consent_denied")),
        ({"event": ORDER | {"event": "Something Else"}}, ("filtered", "unmapped")),
        ({"event": ORDER | {"context": {}}, "cookies": {"OptanonConsent": "groups=C0004:1"}}, ("sent", "")),
    ],
    ids=["gpc", "bot", "banner", "unmapped", "cookie"],
)
def test_explain_tells_the_reason(config: Path, document: Any, fate: tuple[str, str]) -> None:
    assert fates(explained(config, document))["a"] == fate


def test_explain_knows_native_bodies(config: Path) -> None:
    item = {"event": "Purchase", "event_time": 1_700_000_000, "event_id": "n-1", "context": {"consent": {"marketing": True}}}
    result = explained(config, {"event_source": "web", "event_source_id": "C1AAAAAAAAAAAAAAAAAA", "data": [item]})
    assert result["parsed"]["wire"] == "native"
    assert fates(result)["a"] == ("sent", "")


def test_explain_takes_lists_and_batches(config: Path) -> None:
    assert [entry["parsed"]["event_id"] for entry in explained(config, [ORDER, ORDER | {"messageId": "o-2"}])] == ["o-1", "o-2"]
    assert len(explained(config, {"batch": [ORDER, ORDER], "sentAt": "2026-01-01T00:00:00Z"})) == 2


def test_explain_in_words(config: Path) -> None:
    result = run("explain", "-c", config, "-", text=json.dumps(ORDER))
    assert "a: sent as Purchase" in result.output
    assert "b: filtered, consent_missing" in result.output
    rejected = run("explain", "-c", config, "-", text='{"type": "track"}')
    assert "not usable" in rejected.output


def test_explain_says_whose_consent_was_needed(config: Path) -> None:
    silent = json.dumps(ORDER | {"context": {}})
    config.write_text(CONFIG.replace("access_token: token-a", "access_token: token-a, consent: []"))
    assert "a: sent as Purchase; consent: none needed" in run("explain", "-c", config, "-", text=silent).output
    config.write_text(CONFIG + "consent: {default: grant}\n")
    assert "a: sent as Purchase; consent: by default" in run("explain", "-c", config, "-", text=silent).output
    assert "a: sent as Purchase; consent: marketing" in run("explain", "-c", config, "-", text=json.dumps(ORDER)).output


def test_explain_of_rubbish_is_no_traceback(config: Path) -> None:
    for text in ("", "{", "7", '"x"', "[1]", '{"event": {}, "headers": 3}'):
        result = run("explain", "-c", config, "-", text=text)
        assert result.exception is None or isinstance(result.exception, SystemExit), text


def test_send_test_refuses_what_would_count_in_reports(config: Path) -> None:
    result = run("send-test", "-c", config, "--integration", "a")
    assert result.exit_code == 2
    assert "--live" in result.output


def test_send_test_wants_one_integration(config: Path) -> None:
    result = run("send-test", "-c", config)
    assert result.exit_code == 2
    assert "a, b" in result.output


def test_drain_without_a_gateway_fails(config: Path) -> None:
    config.write_text(CONFIG + "ops: {listen: '127.0.0.1:1'}\n")
    assert run("drain", "-c", config).exit_code == 1


@pytest.mark.parametrize(
    ("variables", "missing"),
    [
        ({"PIXEL": "C1"}, "TOKEN is missing"),
        ({"TOKEN": "t"}, "PIXEL is missing"),
        ({"PIXEL": "C1", "TOKEN": "t"}, "TEST_CODE"),
    ],
)
def test_demo_names_what_is_missing(variables: dict[str, str], missing: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("UPSTREAM", "PIXEL", "TOKEN", "TEST_CODE", "PORT"):
        monkeypatch.setenv(name, "")  # as make exports them
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = run("demo")
    assert result.exit_code == 2
    assert missing in result.output
