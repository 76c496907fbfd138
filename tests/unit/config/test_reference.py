"""Every setting is documented, and the starter configuration is sound."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway.config import reference
from gateway.config.load import load
from gateway.settings import parse_duration, parse_size

STARTER = Path(reference.__file__).with_name("starter.yaml")


@pytest.mark.parametrize("setting", reference.settings(), ids=lambda setting: setting.path)
def test_every_setting_says_what_it_does(setting: reference.Setting) -> None:
    assert len(setting.text) > 10, "document the field with a docstring"
    assert setting.expected, "the reference does not know this type"


def test_the_reference_lists_nested_settings() -> None:
    paths = {setting.path for setting in reference.settings()}
    assert {"edge.limits.body_progress", "pipelines[].key", "integrations[].events.*.mappings[].source", "drain.grace"} <= paths


def test_defaults_are_written_as_people_write_them() -> None:
    defaults = {setting.path: setting.default for setting in reference.settings()}
    assert defaults["spool.max_bytes"] == "1GiB"
    assert defaults["spool.dead_max_age"] == "14d"
    assert defaults["integrations[].pixel_code"] == "required"


def test_the_table_is_well_formed() -> None:
    rows = [line for line in reference.markdown().splitlines() if line.startswith("| `")]
    assert len(rows) == len(reference.settings())
    assert all(len(re.findall(r"(?<!\\)\|", row)) == 5 for row in rows)


SHAPES = {setting.path: setting.shape for setting in reference.settings()}


@pytest.mark.parametrize(
    ("parse", "path", "texts"),
    [
        (
            parse_duration,
            "drain.grace",
            ["10s", "200 ms", "1h30m", " 1.5h ", "14d", "banana", "10", "s", "10s x", "-1s", "1h 30m", ""],
        ),
        (
            parse_size,
            "spool.max_bytes",
            ["64KiB", "1 GiB", "500MB", "1073741824", " 1.5TiB ", "lots", "1G", "GiB", "-1", "1GiB 1", ""],
        ),
    ],
)
def test_the_schema_takes_what_the_gateway_takes(parse: Callable[[object], float], path: str, texts: list[str]) -> None:
    pattern = SHAPES[path]["pattern"]
    for text in texts:
        try:
            parse(text)
        except ValueError:
            assert not re.search(pattern, text), text
        else:
            assert re.search(pattern, text), text
    assert re.search(pattern, "${env:X}")
    assert SHAPES[path]["type"] == ["number", "string"]


def test_the_schema_has_types_bounds_patterns_and_words() -> None:
    assert SHAPES["edge.listen"] == {"type": "string"}
    assert SHAPES["edge.upstream"] == {"type": ["string", "null"]}
    assert SHAPES["spool.max_bytes"]["minimum"] == 1 << 18
    assert SHAPES["spool.replicas"] | {"pattern": ""} == {
        "type": ["integer", "string"],
        "minimum": 1,
        "maximum": 5,
        "pattern": "",
    }
    assert SHAPES["spool.kind"]["anyOf"][0] == {"enum": ["sqlite", "jetstream"]}
    assert SHAPES["pipelines[].domains"] == {"type": "array", "items": {"type": "string"}}
    assert SHAPES["pipelines[].labels"] == {"type": "object", "additionalProperties": {"type": "string"}}
    assert SHAPES["integrations[].pixel_code"]["type"] == ["string", "integer"], "YAML reads 123456 as a number"
    assert re.search(SHAPES["integrations[].id"]["pattern"], "tiktok-shop")
    assert not re.search(SHAPES["integrations[].id"]["pattern"], "TikTok Shop")
    assert SHAPES["integrations[].dedupe_purchases"]["type"] == ["number", "string", "null"]
    assert SHAPES["integrations[].limited_data_use"]["anyOf"][1]["anyOf"][0] == {"enum": ["gpc"]}
    assert SHAPES["integrations[].global.mappings[].default"] == {}
    assert SHAPES["edge"] == {}


def test_the_starter_configuration_is_sound() -> None:
    assert load(STARTER, {}).problems == []


def test_the_examples_in_the_readme_are_sound(tmp_path: Path) -> None:
    readme = Path(__file__).parents[3] / "README.md"
    examples = re.findall(r"```ya?ml\n(version: 1\n.*?)```", readme.read_text(encoding="utf-8"), re.DOTALL)
    assert examples, "the README shows a configuration"
    token = tmp_path / "token"
    token.write_text("secret")
    for example in examples:
        file = tmp_path / "gateway.yaml"
        file.write_text(re.sub(r"\$\{file:[^}]*\}", f"${{file:{token}}}", example), encoding="utf-8")
        assert load(file, {}).problems == []
