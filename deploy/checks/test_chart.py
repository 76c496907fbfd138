"""The chart refuses at lint what the gateway would refuse at start, and nothing that it takes."""

import re
import sys
from pathlib import Path
from typing import Any

import helm_python as helm
import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from renders import CHART, ROOT  # no package

TAKEN = [
    *(ROOT / "k8s").glob("**/gateway.yaml"),
    ROOT / "k8s/overlays/roles/admin.yaml",
    ROOT / "deploy/compose/gateway.yaml",
    ROOT / "gateway/config/starter.yaml",
]


def below(path: str, value: Any) -> dict[str, Any]:
    """Values with one value below ``config``."""
    for part in reversed(["config", *path.split(".")]):
        value = {part: value}
    assert isinstance(value, dict)
    return value


def test_the_chart_is_clean_and_refuses_what_it_does_not_know() -> None:
    said = helm.lint(str(CHART))
    assert said["errors"] == []
    assert [message["error"] for message in said["messages"]] == ["icon is recommended"]
    with helm.Chart.load(str(CHART)) as chart:
        for values in (CHART / "ci").glob("*.yaml"):
            chart.validate_schema(yaml.safe_load(values.read_text(encoding="utf-8")))
        for wrong in (
            {"repicas": 2},
            {"config": {"edge": {"upstraem": "x"}}},
            {"mode": "daemon"},
            {"mode": "roles"},
            {"mode": "roles", "nats": {"url": "http://nats"}},
            {"replicas": "two"},
        ):
            with pytest.raises(helm.HelmError):
                chart.validate_schema(chart.merge_values(wrong))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("drain.grace", "banana"),
        ("drain.grace", True),
        ("spool.max_bytes", "lots"),
        ("spool.max_bytes", 1000),
        ("spool.kind", "redis"),
        ("spool.replicas", 7),
        ("edge.listen", 8080),
        ("edge.limits.max_connections", "many"),
        ("edge.reuse_port", "maybe"),
        ("edge.allowed_origins", "https://shop.example.com"),
        ("ops.listen", "9090"),
        ("pipelines", [{"id": "Not An Id", "key": "dk_live_shop"}]),
        ("integrations", [{"id": "tiktok", "pixel_code": "C4", "preset": "bakery"}]),
    ],
)
def test_a_value_that_the_gateway_would_refuse_is_refused(path: str, value: Any) -> None:
    with helm.Chart.load(str(CHART)) as chart, pytest.raises(helm.HelmError):
        chart.validate_schema(chart.merge_values(below(path, value)))


@pytest.mark.parametrize(
    ("path", "value"),
    [
        ("drain.grace", "1h30m"),
        ("drain.grace", 55),
        ("drain.grace", "${env:GRACE}"),
        ("spool.max_bytes", 1073741824),
        ("spool.max_bytes", "${env:ROOM}"),
        ("spool.kind", "${env:ENGINE}"),
        ("spool.replicas", "3"),
        ("edge.upstream", None),
        ("edge.client_ip.trusted_hops", "auto"),
        ("edge.client_ip.trusted_hops", 2),
        ("edge.limits.max_connections", "${env:MOST}"),
        ("integrations", [{"id": "tiktok", "pixel_code": 123456, "dedupe_purchases": "30d", "limited_data_use": "gpc"}]),
    ],
)
def test_a_value_that_the_gateway_takes_is_taken(path: str, value: Any) -> None:
    with helm.Chart.load(str(CHART)) as chart:
        chart.validate_schema(chart.merge_values(below(path, value)))


def test_every_configuration_of_this_repository_is_taken() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    examples = re.findall(r"```ya?ml\n(version: 1\n.*?)```", readme, re.DOTALL)
    assert examples
    with helm.Chart.load(str(CHART)) as chart:
        for text in [*examples, *(path.read_text(encoding="utf-8") for path in TAKEN)]:
            chart.validate_schema(chart.merge_values({"config": yaml.safe_load(text)}))


ROLES = {
    "mode": "roles",
    "nats": {"url": "nats://nats:4222"},
    "config": {"admin": {"tokens": [{"name": "owner", "role": "editor", "token": "a-token-of-some-length"}]}},
}


@pytest.mark.parametrize(
    ("size", "most", "fits"),
    [
        ("2Gi", "1GiB", True),
        ("2Gi", 1073741824, True),
        ("2Gi", "1.1GiB", False),
        ("2G", "1GiB", False),
        ("2G", "1GB", True),
        ("1Ti", "512GiB", True),
        ("900Mi", "500MiB", False),
        ("900Mi", "${env:ROOM}", True),
    ],
)
def test_a_volume_too_small_for_the_spool_is_refused(size: str, most: Any, fits: bool) -> None:
    values = {"persistence": {"size": size}} | below("spool.max_bytes", most)
    with helm.Chart.load(str(CHART)) as chart:
        if fits:
            assert f"storage: {size}" in chart.render(values, name="x", namespace="x")["ttgateway/templates/statefulset.yaml"]
            return
        with pytest.raises(helm.HelmError, match=f"persistence.size {size} is less than twice config.spool.max_bytes"):
            chart.render(values, name="x", namespace="x")


@pytest.mark.parametrize(("size", "most", "fits"), [("2Gi", "100GiB", True), ("1Gi", "100GiB", False), ("1Gi", "512MiB", True)])
def test_in_roles_a_pod_needs_room_for_what_it_keeps_itself(size: str, most: str, fits: bool) -> None:
    """``max_bytes`` is the broker's there, of each of its streams."""
    values = ROLES | {"persistence": {"size": size}, "config": ROLES["config"] | below("spool.max_bytes", most)["config"]}
    with helm.Chart.load(str(CHART)) as chart:
        if fits:
            chart.render(values, name="x", namespace="x")
            return
        with pytest.raises(helm.HelmError, match=r"less than twice config\.spool\.local_max_bytes"):
            chart.render(values, name="x", namespace="x")
