"""Writes what follows from the settings and the templates: the chart's schema and settings list, and its golden renders (io).

Law: nothing here is written by hand. ``python deploy/generate.py`` writes, ``--check`` says what differs and exits 1. Golden renders need the
group ``manifests``; without it they are left alone.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import yaml

from gateway.config.reference import Setting, markdown, settings

ROOT = Path(__file__).parent
CHART = ROOT / "helm" / "ttgateway"
GOLDEN = ROOT / "checks" / "golden"


def _section(text: str) -> dict[str, Any]:
    return {"type": "object", "description": text, "additionalProperties": False, "properties": {}}


def _below(place: dict[str, Any], part: str) -> dict[str, Any]:
    found: dict[str, Any] = place["additionalProperties"] if part == "*" else place["properties"][part.removesuffix("[]")]
    return found.get("items", found)


def _add(place: dict[str, Any], name: str, row: Setting) -> None:
    inside = _section(row.text)
    if name.endswith("[]"):
        place["properties"][name.removesuffix("[]")] = {"type": "array", "description": row.text, "items": inside}
    elif row.expected == "section":
        place["properties"][name] = inside | {"type": ["object", "null"]}
    else:
        place["properties"][name] = {"description": row.text} | row.shape


def _with_free_keys(rows: list[Setting]) -> list[Setting]:
    """``events.*`` is a mapping whose keys are free: told as a section and what each key holds."""
    told: list[Setting] = []
    for row in rows:
        if row.path.endswith(".*"):
            told.append(row._replace(path=row.path.removesuffix(".*"), expected="section"))
        told.append(row)
    return told


def schema() -> str:
    """``values.schema.json``: config from the settings, the rest from the values' own types."""
    rows = _with_free_keys(settings())
    root: dict[str, Any] = _section("gateway.yaml")
    for row in rows:
        *parents, name = row.path.split(".")
        place = root
        for part in parents:
            place = _below(place, part)
        if name == "*":
            place["additionalProperties"] = _section(row.text)
        else:
            _add(place, name, row)
    root["required"] = ["edge", "ops", "spool"]
    values = yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))
    properties = {name: _shape(value) for name, value in values.items() if name != "config"}
    properties["mode"] = {"enum": ["standalone", "sidecar", "roles"]}
    properties["config"] = root
    # Helm adds this one itself
    properties["global"] = {"type": "object"}
    whole = {
        "$schema": "http://json-schema.org/draft-07/schema#",
        "type": "object",
        "additionalProperties": False,
        "properties": properties,
        "if": {"required": ["mode"], "properties": {"mode": {"const": "roles"}}},
        "then": {"required": ["nats"], "properties": {"nats": {"properties": {"url": {"pattern": "^(nats|tls)://"}}}}},
    }
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


def _shape(value: Any) -> dict[str, Any]:
    match value:
        case bool():
            return {"type": "boolean"}
        case int():
            return {"type": "integer", "minimum": 0}
        case str():
            return {"type": "string"}
        case list():
            return {"type": "array"}
        case dict() if value and not set(value) & {"requests"}:
            return {
                "type": "object",
                "additionalProperties": False,
                "properties": {name: _shape(inner) for name, inner in value.items()},
            }
        case _:
            return {"type": "object"}


def settings_list() -> str:
    """Every setting as it is written in a values file."""
    lines = [line.replace("| `", "| `config.", 1) if line.startswith("| `") else line for line in markdown().splitlines()]
    return "\n".join(["<!-- Made by deploy/generate.py. -->", *lines, ""])


def renders() -> dict[Path, str]:
    """What the chart makes of its example values."""
    import helm_python as helm

    found: dict[Path, str] = {}
    for values in sorted((CHART / "ci").glob("*.yaml")):
        with helm.Chart.load(str(CHART)) as chart:
            files = chart.render(yaml.safe_load(values.read_text(encoding="utf-8")), name="ttgateway", namespace="ttgateway")
        parts = [text.strip().removeprefix("---").strip() for name, text in sorted(files.items()) if name.endswith(".yaml")]
        found[GOLDEN / values.name] = "\n---\n".join(part for part in parts if part) + "\n"
    return found


def main() -> int:
    """Write, or compare with ``--check``."""
    made = {CHART / "values.schema.json": schema(), CHART / "CONFIG.md": settings_list()}
    if "--check" not in sys.argv:
        for path, text in made.items():  # the renders read the schema
            path.write_text(text, encoding="utf-8")
    if find_spec("helm_python"):
        made |= renders()
    differ = [path for path, text in made.items() if not path.exists() or path.read_text(encoding="utf-8") != text]
    if "--check" in sys.argv:
        for path in differ:
            sys.stdout.write(f"{path.relative_to(ROOT.parent)} is not what deploy/generate.py makes\n")
        return int(bool(differ))
    GOLDEN.mkdir(parents=True, exist_ok=True)
    for path in differ:
        path.write_text(made[path], encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
