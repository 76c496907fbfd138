"""Dashboard and alerts ask for what a real gateway shows; what is generated from the settings is up to date."""

import asyncio
import json
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aiohttp
import pytest
import yaml
from brokering import Broker
from pods import Pod
from ports import free_port
from whole import Whole, purchase, whole

from gateway.config.reference import settings


@pytest.fixture
async def pod(tmp_path: Path) -> AsyncIterator[Whole]:
    """Site, sandbox, and a gateway to be started."""
    async with whole(tmp_path) as surroundings:
        yield surroundings


def families(exposition: str) -> dict[str, set[str]]:
    """The metrics of an exposition, each with its labels."""
    found: dict[str, set[str]] = {}
    for line in exposition.splitlines():
        name, _, labels = line.partition(" ")[0].partition("{")
        # families without a sample yet are known by their type line
        if line.startswith("# TYPE"):
            found.setdefault(line.split()[2], set())
        elif not line.startswith("#"):
            found.setdefault(name, set()).update(re.findall(r"(\w+)=\"", line[len(name) :] if labels else ""))
    return found


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    """NATS, running."""
    broker = Broker(tmp_path / "broker")
    broker.start()
    yield broker
    broker.stop()


async def test_every_query_of_dashboard_and_rules_is_about_real_metrics(pod: Whole, broker: Broker) -> None:
    """Names and labels, against a gateway that has served, delivered, filtered and refused, and one that has a broker."""
    await pod.start()
    await pod.get("/page")
    await pod.post(purchase("one"))
    await pod.post(purchase("two", context={"consent": {"marketing": False}}))
    await pod.until(pod.received_ids)
    await pod.faults(code=50000)
    await pod.post(purchase("waiting"))

    async def aged() -> bool:
        return "ttgateway_spool_oldest_age_seconds{" in await pod.metrics()

    await pod.until(aged)
    real = families(await pod.metrics())
    assert "ttgateway_spool_shared 0.0" in await pod.metrics()
    assert "ttgateway_spool_broker_away" not in real
    async with Pod(pod, broker, "edge") as another:
        assert "ttgateway_spool_shared 1.0" in await another.metrics()
        for name, labels in families(await another.metrics()).items():
            real.setdefault(name, set()).update(labels)
    root = Path(__file__).parents[2] / "deploy"
    board = json.loads((root / "grafana" / "ttgateway.json").read_text(encoding="utf-8"))
    queries = [target["expr"] for panel in board["panels"] for target in panel["targets"]]
    rules = yaml.safe_load((root / "prometheus" / "rules.yaml").read_text(encoding="utf-8"))
    queries += [rule["expr"] for rule in rules["groups"][0]["rules"]]
    late = {
        "ttgateway_task_crashes_total": {"task"},
        "ttgateway_alert": {"alert", "integration", "severity"},
    }  # samples only once there is a reason
    assert len(queries) > 25
    for query in queries:
        names = re.findall(r"\b(?:ttgateway|http_server)_\w+", query)
        assert names, query
        assert set(names) <= real.keys() | late.keys(), query
        used = {label for group in re.findall(r"\b(?:by|on) \(([^)]*)\)", query) for label in re.split(r",\s*", group)}
        used |= set(re.findall(r"(\w+)\s*(?:=~|!=|=)\"", query))
        known = set().union(*(real.get(name) or late.get(name, set()) for name in names)) | {"instance", "job", "namespace"}
        assert used <= known, query


ROOT = Path(__file__).parents[2]


def test_every_setting_is_reachable_from_helm_and_documented() -> None:
    """And what follows from the settings was generated anew: python deploy/generate.py."""
    schema = json.loads((ROOT / "deploy/helm/ttgateway/values.schema.json").read_text(encoding="utf-8"))
    told = (ROOT / "deploy/helm/ttgateway/CONFIG.md").read_text(encoding="utf-8")
    for setting in settings():
        place = schema["properties"]["config"]
        for part in setting.path.split("."):
            name = part.removesuffix("[]")
            place = place["additionalProperties"] if name == "*" else place["properties"][name]
            place = place.get("items", place)
        assert f"| `config.{setting.path}` |" in told


def test_every_alert_has_a_runbook() -> None:
    rules = yaml.safe_load((ROOT / "deploy/prometheus/rules.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
    runbook = (ROOT / "deploy/README.md").read_text(encoding="utf-8")
    for rule in rules:
        assert f"## {rule['alert']}\n" in runbook
        assert rule["annotations"]["runbook"].endswith("#" + rule["alert"].lower())


@pytest.mark.nginx
def test_nginx_takes_the_example(tmp_path: Path) -> None:
    (tmp_path / "nginx.conf").write_text(
        f"pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; include {ROOT}/deploy/nginx/ttgateway.conf; }}"
    )
    done = subprocess.run(
        ["nginx", "-t", "-c", tmp_path / "nginx.conf", "-p", tmp_path], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.nginx
async def test_nginx_sends_the_prefix_and_nothing_else(pod: Whole, tmp_path: Path) -> None:
    """The example as it is, but for its ports."""
    await pod.start()
    port = free_port()
    text = (ROOT / "deploy/nginx/ttgateway.conf").read_text(encoding="utf-8")
    for before, after in (("127.0.0.1:8080", f"127.0.0.1:{pod.edge}"), ("127.0.0.1:3000", f"127.0.0.1:{pod.site}"), ("listen 8000", f"listen 127.0.0.1:{port}")):  # fmt: skip
        assert text.count(before) == 1
        text = text.replace(before, after)
    (tmp_path / "nginx.conf").write_text(
        f"daemon off; pid {tmp_path}/pid; error_log stderr; events {{}} http {{ access_log off; client_body_temp_path {tmp_path}/b; "
        f"proxy_temp_path {tmp_path}/p; fastcgi_temp_path {tmp_path}/f; uwsgi_temp_path {tmp_path}/u; scgi_temp_path {tmp_path}/s; {text} }}"
    )
    server = await asyncio.create_subprocess_exec("nginx", "-c", tmp_path / "nginx.conf", "-p", tmp_path)
    try:
        edge, pod.edge = pod.edge, port

        async def serves() -> bool:
            try:
                return (await pod.get("/page"))[0] == 200
            except aiohttp.ClientConnectionError:
                return False

        await pod.until(serves)
        assert (await pod.post(purchase("through-nginx"), X_Forwarded_For="8.8.8.8"))[0] == 200
        (event,) = await pod.until(pod.received)
        assert event["event"]["event_id"] == "through-nginx"
        assert event["event"]["user"].get("ip") != "8.8.8.8", "a visitor's own claim"
        await pod.get("/other")
        served = [
            line for line in (await pod.metrics()).splitlines() if line.startswith("http_server_request_duration_seconds_count")
        ]
        assert served
        assert all('route="collect"' in line for line in served), "the site's pages pass it by"
        pod.edge = edge
    finally:
        server.terminate()
        await server.wait()


def test_compose_configuration_is_sound() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "gateway", "check", "-c", str(ROOT / "deploy/compose/gateway.yaml")],
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
