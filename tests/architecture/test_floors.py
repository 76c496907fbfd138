"""Versions below which known faults return: declared where installers read them, and kept where this runs."""

import importlib.metadata
import re
import tomllib
from pathlib import Path

import apsw
import pytest

from gateway.spool import schema

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {"aiohttp": (3, 14, 3), "orjson": (3, 11, 6), "apsw": (3, 51, 3)}


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"\d+", version)[:3])


@pytest.mark.parametrize("name", FLOORS)
def test_declared_and_installed(name: str) -> None:
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"]
    (floor,) = (match[1] for each in declared if (match := re.fullmatch(rf"{name}>=([\d.]+)(?:,.*)?", each)))
    assert _numbers(floor) >= FLOORS[name]
    assert _numbers(importlib.metadata.version(name)) >= FLOORS[name]


def test_the_sqlite_that_is_linked_is_the_one_that_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert _numbers(apsw.sqlite_lib_version()) >= FLOORS["apsw"]
    assert schema.MINIMUM_SQLITE >= 3_051_003
    monkeypatch.setattr(schema, "MINIMUM_SQLITE", 9_000_000)
    with pytest.raises(RuntimeError, match="too old"):
        schema.open_writer(tmp_path / "spool.db")
    assert not (tmp_path / "spool.db").exists()
