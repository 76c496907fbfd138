"""The steps that k8s/README.md and the overlays name, taken as they stand there: with the checks' kustomize, and a kubectl that notes the rest."""

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).parent))

from renders import OVERLAYS, ROOT, Document, kubectl  # no package

README = (ROOT / "k8s" / "README.md").read_text(encoding="utf-8")
_KUBECTL = """\
#!/bin/sh
set -eu
echo "$*" >> "{place}/calls"
case "$1 $2" in
  "kustomize "*) exec "{real}" "$@" ;;
  "apply -k") "{real}" kustomize "$3" >> "{place}/applied.yaml"; echo --- >> "{place}/applied.yaml" ;;
  "apply -f") cat "$3" >> "{place}/applied.yaml"; echo --- >> "{place}/applied.yaml" ;;
  "create secret") "{real}" "$@" ;;
esac
"""


class Taken(NamedTuple):
    """What came of some steps."""

    calls: list[str]
    applied: list[Document]


def taken(steps: list[str], root: Path, folder: Path) -> Taken:
    """Take the steps in ``folder`` below ``root``, one shell after the other, as somebody would who copies them."""
    place = root / "stub"
    place.mkdir()
    stub = place / "kubectl"
    stub.write_text(_KUBECTL.format(place=place, real=kubectl()), encoding="utf-8")
    stub.chmod(0o755)
    (folder / "token").write_text("a-token", encoding="utf-8")
    for step in steps:
        done = subprocess.run(
            ["sh", "-c", step], cwd=folder, env={"PATH": f"{place}:/usr/bin:/bin"}, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, (step, done.stdout, done.stderr)
    applied = yaml.safe_load_all((place / "applied.yaml").read_text(encoding="utf-8"))
    return Taken((place / "calls").read_text(encoding="utf-8").splitlines(), [each for each in applied if each])


def steps(section: str) -> list[str]:
    """The commands of a section of README, but for the image's."""
    text = README.partition(f"## {section}\n")[2].partition("\n## ")[0]
    return re.findall(
        r"`((?:cp|kubectl|k8s/examples/secret\.sh) [^`]+)`", "\n".join(re.findall(r"(?m)^\d\. .*(?:\n   .*)*", text))
    )


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """The repository, as far as the steps need it."""
    shutil.copytree(ROOT / "k8s", tmp_path / "k8s")
    return tmp_path


def test_a_sidecar_in_ten_minutes(root: Path) -> None:
    found = steps("A sidecar in ten minutes")
    assert len(found) == 3
    done = taken(found, root, root)
    assert {each["metadata"]["namespace"] for each in done.applied} == {"shop"}
    assert {each["kind"] for each in done.applied} == {"Secret", "ConfigMap", "Service", "Deployment"}


@pytest.mark.parametrize("overlay", ["standalone", "standalone-ingress"])
def test_stand_alone_in_ten_minutes(root: Path, overlay: str) -> None:
    found = steps("Stand-alone in ten minutes")
    assert len(found) == 4
    found = [step.replace("k8s/overlays/standalone ", f"k8s/overlays/{overlay} ") for step in found]
    assert overlay in found[0]
    done = taken(found, root, root)
    assert done.calls[0] == "create namespace ttgateway"
    assert {each["metadata"]["namespace"] for each in done.applied} == {"ttgateway"}
    (workload,) = [each for each in done.applied if each["kind"] == "StatefulSet"]
    assert f"rollout status -n ttgateway statefulset/{workload['metadata']['name']}" in done.calls
    assert any(call.startswith(f"exec -n ttgateway {workload['metadata']['name']}-0 -- ttgateway doctor ") for call in done.calls)
    (route,) = [each for each in done.applied if each["kind"] in {"HTTPRoute", "Ingress"}]
    assert "shop.example.com" in yaml.safe_dump(route)
    assert not [each for each in done.applied if each["kind"].endswith("Monitor")], "not every cluster has the operator"


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_the_last_step_of_each_overlay(root: Path, overlay: str) -> None:
    folder = root / "k8s" / "overlays" / overlay
    last = re.findall(r"kubectl (?:kustomize|apply) .*", (folder / "kustomization.yaml").read_text(encoding="utf-8"))[-1]
    assert taken([last.replace("/tmp/", f"{root}/")], root, folder).applied


@pytest.mark.parametrize(
    ("overlay", "kind", "paths"),
    [
        ("standalone", "HTTPRoute", ["parentRefs", "hostnames"]),
        ("standalone-ingress", "Ingress", ["rules/0/host", "ingressClassName"]),
    ],
)
def test_what_is_the_sites_own_is_in_the_overlay(overlay: str, kind: str, paths: list[str]) -> None:
    """Whoever copies an overlay need not look into components for what must be changed."""
    text = (ROOT / "k8s" / "overlays" / overlay / "kustomization.yaml").read_text(encoding="utf-8")
    (patch,) = [each for each in yaml.safe_load(text)["patches"] if each["target"]["kind"] == kind]
    assert [each["path"] for each in yaml.safe_load(patch["patch"])] == [f"/spec/{path}" for path in paths]
