"""Every setting is documented, and the starter configuration is sound."""

import re
from pathlib import Path

import pytest

from gateway.config import reference
from gateway.config.load import load

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
