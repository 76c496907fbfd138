"""What runs is documented: every metric with its labels, every endpoint with its methods, and nothing that is not there."""

import re
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from collect_desk import Desk

from gateway.admin.api import OPERATIONS
from gateway.app.gateway import Gateway
from gateway.config.load import load
from gateway.delivery.settings import DeliverySettings
from gateway.delivery.worker import Worker
from gateway.spool.jetstream.spool import JetStreamSpool
from gateway.spool.memory import MemorySpool
from gateway.telemetry import ops

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
OPERATING = (ROOT / "deploy" / "README.md").read_text(encoding="utf-8")


@pytest.fixture
def gateway(tmp_path: Path) -> Gateway:
    """Put together, not started, with everything that some role or engine adds."""
    config = tmp_path / "gateway.yaml"
    config.write_text("version: 1\n")
    made = Gateway(config, load(config, {}))
    together: Any = SimpleNamespace(pod="a", bucket=lambda _name: None)
    Worker(MemorySpool(), made.live, DeliverySettings(), made.metrics, together)
    spool: Any = SimpleNamespace(_metrics=made.metrics)
    JetStreamSpool._provide(spool)
    spool._intake, spool._local_records = SimpleNamespace(away=False), 0
    return made


def test_every_metric_is_documented_with_its_labels(gateway: Gateway) -> None:
    families = list(gateway.metrics.collect())
    real = {each.name + "_total" * (each.type == "counter"): set(each._labelnames) for each in families}  # type: ignore[attr-defined]
    rows = re.findall(r"^\| `([a-z_]+)(?:\{([a-z_,]+)\})?` \|", OPERATING, re.MULTILINE)
    assert {name: set(labels.split(",")) - {""} for name, labels in rows} == real
    source = "\n".join(path.read_text(encoding="utf-8") for path in (ROOT / "gateway").rglob("*.py"))
    provided = set(re.findall(r"\b(?:provide|one)\(\s*\"([a-z_]+)\"", source))
    assert {f"ttgateway_{name}" for name in provided} <= real.keys(), "the fixture has not put all of them together"


def documented_requests() -> set[tuple[str, str]]:
    """Method and path of each row in the README's table of requests."""
    (table,) = re.findall(r"\| request \| format \| answer \|\n((?:\|.*\n)+)", README)
    found = set()
    for row in table.splitlines()[1:]:
        methods: list[str] = []
        alone = False
        for span in re.findall(r"`([^`]+)`", re.split(r"(?<!\\)\|", row)[1]):
            word, _, path = span.replace("\\|", "|").partition("?")[0].partition(" ")
            if word.isupper():
                methods = [*methods, word] if alone else [word]
            alone = word.isupper() and not path
            before, _, rest = (path or word * (not word.isupper())).partition("{")
            choices, _, after = rest.partition("}")
            found |= {(method, before + choice + after) for method in methods for choice in choices.split("|") if before}
    return found


def test_every_endpoint_is_in_the_readme() -> None:
    routes = Desk().collector._routes.items()
    real = {(method, path.removeprefix("/gw/")) for path, methods in routes for method in methods if not path.endswith("track")}
    assert documented_requests() == real | {("GET", "s.js"), ("GET", "s.<hash>.js")}


def test_what_operators_call_is_in_the_readme() -> None:
    hooks: Any = None
    app = ops.create_app(hooks, hooks)
    paths = {resource.canonical for resource in app.router.resources()}
    assert {path for path in paths if f"{path}`" not in README} == set()
    resources = {each.path.split("/")[0] for each in OPERATIONS} | {"openapi.json"}
    (listed,) = re.findall(r"below `/api/v1/`.*?\. Roles:", README, re.DOTALL)
    assert {name for name in resources if f"`{name}" not in listed and f"/api/v1/{name}`" not in listed} == set()
