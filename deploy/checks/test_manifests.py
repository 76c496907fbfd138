"""Every render judged: schemas of three Kubernetes versions, PodSecurity restricted, references, and what the sidecar leaves alone."""

import copy
import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from click.testing import CliRunner

from gateway import __version__
from gateway.cli import main as cli
from gateway.delivery.settings import DeliverySettings
from gateway.settings import parse_duration, parse_size

sys.path.insert(0, str(Path(__file__).parent))

from renders import (
    MONITORED,
    OVERLAYS,
    RENDERS,
    ROOT,
    WORKLOADS,
    Document,
    built,
    containers,
    documents,
    pods,
)  # no package

SIDECARS = [name for name in OVERLAYS if name.startswith("sidecar")]
ROLES = [name for name in RENDERS if "roles" in name]
VERSIONS = ["1.29", "1.33", kubernetes_validate.latest_version()]
CUSTOM = {
    "HTTPRoute": "gateway-api/gateway.networking.k8s.io",
    "PodMonitor": "prometheus-operator/monitoring.coreos.com",
    "ServiceMonitor": "prometheus-operator/monitoring.coreos.com",
}


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("name", RENDERS)
def test_kubernetes_takes_it(name: str, version: str) -> None:
    known = [document for document in documents(name) if document["kind"] not in {*CUSTOM, "ExternalSecret"}]
    assert known
    for document in known:
        kubernetes_validate.validate(document, version, strict=True)


def test_the_validator_refuses_an_unknown_key() -> None:
    (pod,) = [document for document in documents("standalone") if document["kind"] == "StatefulSet"]
    pod["spec"]["template"]["spec"]["containers"][0]["preStop"] = {}
    with pytest.raises(kubernetes_validate.ValidationError):
        kubernetes_validate.validate(pod, VERSIONS[-1], strict=True)


_JUDGE = """
const read = require("fs").readFileSync(0, "utf8");
const told = JSON.parse(read).map(([path, document]) => {
  const made = new (require(path))[document.kind](document);
  try { made.validate(); return ""; } catch (error) { return error.message; }
});
console.log(JSON.stringify(told));
"""


def judged(found: list[Document]) -> list[str]:
    """Custom resources against their schemas: what is wrong with each, or nothing."""
    asked = [(f"./node_modules/@kubernetes-models/{CUSTOM[each['kind']]}/v1", each) for each in found]
    done = subprocess.run(
        ["node", "-e", _JUDGE],
        input=json.dumps(asked),
        cwd=ROOT / "deploy" / "checks",
        capture_output=True,
        text=True,
        check=True,
    )
    told: list[str] = json.loads(done.stdout)
    return told


def test_custom_resources_fit_their_schemas() -> None:
    found = [document for name in [*RENDERS, *MONITORED] for document in documents(name) if document["kind"] in CUSTOM]
    assert {document["kind"] for document in found} == set(CUSTOM)
    broken = copy.deepcopy(found)
    for document in broken:
        document["spec"][
            {"HTTPRoute": "rules", "PodMonitor": "podMetricsEndpoints", "ServiceMonitor": "endpoints"}[document["kind"]]
        ] = "none"
    told = judged([*found, *broken])
    assert told[: len(found)] == [""] * len(found)
    assert all(told[len(found) :])


def violations(pod: Document) -> list[str]:
    """PodSecurity restricted, as its standard words it."""
    found = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.get(key)]
    allowed = {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
    found += [f"volume {volume['name']}" for volume in pod.get("volumes", []) if not set(volume) - {"name"} <= allowed]
    whole = pod.get("securityContext", {})
    for container in containers(pod):
        own = container.get("securityContext", {})
        either = {**whole, **own}
        rules = {
            "privileged": not own.get("privileged"),
            "escalation": own.get("allowPrivilegeEscalation") is False,
            "root": either.get("runAsNonRoot") is True and either.get("runAsUser") != 0,
            "seccomp": either.get("seccompProfile", {}).get("type") in {"RuntimeDefault", "Localhost"},
            "drop": "ALL" in own.get("capabilities", {}).get("drop", []),
            "add": set(own.get("capabilities", {}).get("add", [])) <= {"NET_BIND_SERVICE"},
            "host port": not any(port.get("hostPort") for port in container.get("ports", [])),
        }
        found += [f"{container['name']}: {rule}" for rule, kept in rules.items() if not kept]
    return found


@pytest.mark.parametrize("name", RENDERS)
def test_pods_are_restricted(name: str) -> None:
    for pod in pods(name):
        assert violations(pod) == []
        (ours,) = [container for container in containers(pod) if container["name"] == "ttgateway"]
        assert ours["securityContext"]["readOnlyRootFilesystem"]
        # by itself too: it may stand in any pod
        assert violations({"containers": [ours]}) == []


def test_a_pod_that_is_not_restricted_is_noticed() -> None:
    (pod,) = pods("standalone")
    for key, value in (("allowPrivilegeEscalation", True), ("capabilities", {}), ("runAsUser", 0), ("privileged", True)):
        broken = copy.deepcopy(pod)
        broken["containers"][0]["securityContext"][key] = value
        assert violations(broken) != []


@pytest.mark.parametrize("name", SIDECARS)
def test_the_sidecar_changes_nothing_else(name: str) -> None:
    """Taking our container, our volumes and the target away again leaves what was there."""
    before = list(yaml.safe_load_all(built(ROOT / "k8s" / "examples" / "shop")))
    after = [document for document in documents(name) if document["kind"] != "ConfigMap"]
    for document in after:
        assert document["metadata"].pop("namespace") == "shop"
        if document["kind"] == "Service":
            assert document["spec"]["ports"][0]["targetPort"] == 8080
            document["spec"]["ports"][0]["targetPort"] = "http"
            continue
        pod = document["spec"]["template"]["spec"]
        place = "initContainers" if name == "sidecar" else "containers"
        if name == "sidecar":
            assert pod[place][0]["restartPolicy"] == "Always", "first: also before the app's own init containers"
        assert [container["name"] for container in pod[place]].count("ttgateway") == 1
        pod[place] = [container for container in pod[place] if container["name"] != "ttgateway"]
        pod["volumes"] = [volume for volume in pod["volumes"] if not volume["name"].startswith("ttgateway-")]

    def key(document: Document) -> str:
        return str(document["kind"])

    assert sorted(after, key=key) == sorted(before, key=key)


def matched(text: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    """What k8s/matched.sh says of a render."""
    return subprocess.run([ROOT / "k8s" / "matched.sh", *arguments], input=text, capture_output=True, text=True, check=False)


def test_a_component_that_matched_nothing_is_noticed(tmp_path: Path) -> None:
    copied = tmp_path / "k8s"
    shutil.copytree(ROOT / "k8s", copied)
    shop = copied / "examples" / "shop" / "deployment.yaml"
    shop.write_text(shop.read_text(encoding="utf-8").replace(', ttgateway/sidecar: "true"', ""), encoding="utf-8")
    for name in [*SIDECARS, "roles"]:
        right = matched(built(ROOT / "k8s" / "overlays" / name))
        assert right.returncode == 0
        assert "in 1 Deployment(s), behind 1 Service(s)" in right.stdout
        overlay = copied / "overlays" / name / "kustomization.yaml"
        labels = 'labels: [{pairs: {ttgateway/sidecar: "true"}}]\n'
        overlay.write_text(overlay.read_text(encoding="utf-8") + labels, encoding="utf-8")
        done = matched(built(copied / "overlays" / name))
        assert done.returncode == 1
        assert "no Deployment got the gateway" in done.stdout
        assert "no Service leads to the gateway" in done.stdout


@pytest.mark.parametrize("name", [*SIDECARS, "roles"])
def test_a_configuration_in_another_namespace_is_noticed(name: str) -> None:
    """An overlay without ``namespace`` beside a Deployment that names its own: pods would wait for their ConfigMap for ever."""
    spaces = {each["metadata"].get("namespace") for each in documents(name)}
    assert spaces == {"shop"}
    others = [each for each in documents(name) if each["kind"] != "ConfigMap"]
    maps = [each for each in documents(name) if each["kind"] == "ConfigMap"]
    for each in maps:
        del each["metadata"]["namespace"]
    for wrong in (yaml.safe_dump_all(others), yaml.safe_dump_all([*maps, *others])):
        done = matched(wrong)
        assert done.returncode == 1
        assert done.stdout == "no ConfigMap ttgateway in namespace shop: does the overlay say namespace?\n"
        assert matched(wrong, "--config-elsewhere").returncode == 0


def resolved(chosen: list[Document]) -> set[str | int]:
    """Ports of pods as every control plane and network plugin finds them: names in ordinary containers alone, numbers anywhere."""
    names = {port["name"] for pod in chosen for box in pod["containers"] for port in box.get("ports", [])}
    return names | {port["containerPort"] for pod in chosen for box in containers(pod) for port in box.get("ports", [])}


def test_a_name_of_an_init_containers_port_is_noticed() -> None:
    """Before Kubernetes 1.33 a Service that names one has endpoints without that port: the site would be away."""
    assert {8080, "http"} <= resolved(pods("sidecar"))
    assert "ttgateway" not in resolved(pods("sidecar"))
    assert "ttgateway" in resolved(pods("sidecar-classic"))


@pytest.mark.parametrize("name", [*RENDERS, *MONITORED])
def test_what_is_referred_to_exists(name: str) -> None:
    everything = documents(name)
    templates = [document["spec"]["template"] for document in everything if document["kind"] in WORKLOADS]
    services = {document["metadata"]["name"]: document["spec"] for document in everything if document["kind"] == "Service"}
    maps = {document["metadata"]["name"] for document in everything if document["kind"] == "ConfigMap"}
    for document in everything:
        spec = document.get("spec", {})
        match document["kind"]:
            case "Deployment" | "StatefulSet":
                assert spec["selector"]["matchLabels"].items() <= spec["template"]["metadata"]["labels"].items()
                assert "serviceName" not in spec or spec["serviceName"] in services
            case "Service":
                chosen = [each for each in templates if spec["selector"].items() <= each["metadata"]["labels"].items()]
                assert chosen
                assert {port["targetPort"] for port in spec["ports"]} <= resolved([each["spec"] for each in chosen])
            case "PodDisruptionBudget":
                assert any(spec["selector"]["matchLabels"].items() <= each["metadata"]["labels"].items() for each in templates)
            case "NetworkPolicy":
                labels = spec["podSelector"]["matchLabels"].items()
                chosen = [each["spec"] for each in templates if labels <= each["metadata"]["labels"].items()]
                assert chosen
                named = [port["port"] for rule in spec["ingress"] for port in rule["ports"]]
                assert set(named) <= resolved(chosen)
            case "PodMonitor":
                # Prometheus looks at init containers too, Services do not
                named = {port["name"] for each in templates for box in containers(each["spec"]) for port in box.get("ports", [])}
                assert {each["port"] for each in spec["podMetricsEndpoints"]} <= named or name.startswith(
                    "helm:"
                )  # the pods are an overlay's
            case "ServiceMonitor":
                assert {each["port"] for each in spec["endpoints"]} <= {
                    port["name"] for service in services.values() for port in service["ports"]
                }
            case "HTTPRoute":
                (target,) = spec["rules"][0]["backendRefs"]
                assert target["port"] in {port["port"] for port in services[target["name"]]["ports"]}
            case "Ingress":
                service = spec["rules"][0]["http"]["paths"][0]["backend"]["service"]
                assert service["port"]["name"] in {port["name"] for port in services[service["name"]]["ports"]}
    for pod in (each["spec"] for each in templates):
        volumes = {volume["name"] for volume in pod.get("volumes", [])}
        claims = {
            claim["metadata"]["name"] for each in everything for claim in each.get("spec", {}).get("volumeClaimTemplates", [])
        }
        for box in containers(pod):
            assert {mount["name"] for mount in box.get("volumeMounts", [])} <= volumes | claims
            assert not any("subPath" in mount for mount in box.get("volumeMounts", [])), "a subPath is never reloaded"
            named = {port["name"] for port in box.get("ports", [])}
            probes = [box[kind]["httpGet"]["port"] for kind in ("startupProbe", "readinessProbe", "livenessProbe") if kind in box]
            assert set(probes) <= named
            assert not box["image"].endswith(":latest")
            assert re.search(r":[^/]+$", box["image"])
            if box["name"] == "ttgateway":
                assert box["image"].endswith(f":{__version__}")
        assert {volume["configMap"]["name"] for volume in pod.get("volumes", []) if "configMap" in volume} <= maps
        assert all(volume["secret"]["optional"] for volume in pod.get("volumes", []) if "secret" in volume)


@pytest.mark.parametrize("name", RENDERS)
def test_what_is_scaled_has_no_replicas(name: str) -> None:
    """Each apply would put the workload back to them."""
    workloads = {(each["kind"], each["metadata"]["name"]): each["spec"] for each in documents(name) if each["kind"] in WORKLOADS}
    for scaler in [each["spec"] for each in documents(name) if each["kind"] == "HorizontalPodAutoscaler"]:
        target = scaler["scaleTargetRef"]
        assert "replicas" not in workloads[target["kind"], target["name"]]


def configurations(name: str) -> dict[str, Document]:
    """A render's configurations by the name of their ConfigMap."""
    maps = [each for each in documents(name) if each["kind"] == "ConfigMap"]
    return {each["metadata"]["name"]: yaml.safe_load(each["data"]["gateway.yaml"]) for each in maps}


@pytest.mark.parametrize("name", [name for name in RENDERS if name != "helm:sidecar"])
def test_times_and_sizes_fit(name: str) -> None:
    for workload in [each for each in documents(name) if each["kind"] in WORKLOADS]:
        pod = workload["spec"]["template"]["spec"]
        (source,) = [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume]
        config = configurations(name)[source]
        needed = parse_duration(config["drain"]["delay"]) + parse_duration(config["drain"]["grace"])
        # a sidecar must do with Kubernetes' default
        assert needed < (30 if name in SIDECARS else pod["terminationGracePeriodSeconds"])
        claims = workload["spec"].get("volumeClaimTemplates", [])
        sizes = [claim["spec"]["resources"]["requests"]["storage"] for claim in claims]
        sizes += [volume["emptyDir"]["sizeLimit"] for volume in pod["volumes"] if "sizeLimit" in volume.get("emptyDir", {})]
        (size,) = sizes
        assert parse_size(f"{size}B") >= 2 * parse_size(config["spool"]["max_bytes"])
        if len(pod["containers"]) + len(pod.get("initContainers", [])) > 1:
            # beside an app: short of disk, a node evicts first those who use more than they requested, and the app with them
            (ours,) = [box for box in containers(pod) if box["name"] == "ttgateway"]
            assert ours["resources"]["requests"]["ephemeral-storage"] == size


def test_sidecars_bring_nothing_of_their_own() -> None:
    for name in SIDECARS:
        assert {document["kind"] for document in documents(name)} == {"Deployment", "Service", "ConfigMap"}
        (config,) = [document for document in documents(name) if document["kind"] == "ConfigMap"]
        assert config["metadata"]["name"] == "ttgateway", "no suffix that restarts the app"
    assert {each["kind"] for each in documents("helm:sidecar")} == {"ConfigMap", "ExternalSecret", "PodMonitor"}


@pytest.mark.parametrize("name", MONITORED)
def test_every_gateway_is_scraped_where_there_is_the_operator_and_none_needs_it(name: str) -> None:
    plain, everything = documents(name.removesuffix("+monitors")), documents(name)
    monitors = [each for each in everything if each["kind"].endswith("Monitor")]
    assert [each for each in everything if each not in monitors] == plain, "an overlay can be applied without the operator"
    ports = {endpoint["port"] for each in monitors for endpoint in each["spec"].get("podMetricsEndpoints", [])}
    chosen = [each["spec"]["selector"].get("matchLabels", {}).items() for each in monitors if each["kind"] == "ServiceMonitor"]
    services = [each for each in plain if each["kind"] == "Service" and "ttgateway/headless" not in each["metadata"]["labels"]]
    selectors = [
        each["spec"]["selector"].items() for each in services for labels in chosen if labels <= each["metadata"]["labels"].items()
    ]
    for template in [each["spec"]["template"] for each in plain if each["kind"] in WORKLOADS]:
        (ours,) = [box for box in containers(template["spec"]) if box["name"] == "ttgateway"]
        found = [selector for selector in selectors if selector <= template["metadata"]["labels"].items()]
        assert len(found) + len(ports & {port["name"] for port in ours["ports"]}) == 1


def roles(name: str) -> dict[str, Document]:
    """The pods of a render by what their gateway is for."""
    found = {}
    for pod in pods(name):
        (ours,) = [box for box in containers(pod) if box["name"] == "ttgateway"]
        found[ours["args"][2] if "--role" in ours["args"] else "all"] = pod
    return found


@pytest.mark.parametrize("name", RENDERS)
def test_the_gateway_takes_the_configuration(name: str, tmp_path: Path) -> None:
    """As ``ttgateway check --role`` judges it where the pod's own secrets are mounted, and no others."""
    for role, pod in (roles(name) or {"all": {"volumes": [{"configMap": {"name": "ttgateway"}}]}}).items():
        (source,) = [volume["configMap"]["name"] for volume in pod["volumes"] if "configMap" in volume]
        config = yaml.safe_dump(configurations(name)[source])
        mounted = {"all": "tiktok-token", "deliver": "tiktok-token", "admin": "ui-token"}.get(role, "nothing")
        token = tmp_path / mounted
        token.write_text("a-token-that-is-long-enough-for-anybody", encoding="utf-8")
        path = tmp_path / f"{role}.yaml"
        text = config.replace(f"/run/secrets/gateway/{mounted}", str(token)).replace(
            "/var/lib/ttgateway", str(tmp_path / "state")
        )
        path.write_text(text, encoding="utf-8")
        done = CliRunner().invoke(cli, ["check", "--role", role, "-c", str(path)])
        assert done.exit_code == 0, done.output


@pytest.mark.parametrize("name", ROLES)
def test_only_those_who_deliver_get_tokens(name: str) -> None:
    secrets = {
        role: {volume["secret"]["secretName"] for volume in pod["volumes"] if "secret" in volume}
        for role, pod in roles(name).items()
    }
    assert {"deliver", "admin"} <= set(secrets) <= {"edge", "deliver", "admin"}
    tokens = {"roles": "ttgateway", "helm:roles": "shop-tokens", "helm:roles-sidecars": "ttgateway"}[name]
    assert [role for role, names in secrets.items() if tokens in names] == ["deliver"]
    broker = {role: next(iter(each for each in names if "nats" in each)) for role, names in secrets.items()}
    assert broker["deliver"] == broker["admin"], "one user that may make streams"
    assert broker.get("edge") != broker["deliver"], "one that may not read tokens"


@pytest.mark.parametrize("name", ROLES)
def test_roles_agree(name: str) -> None:
    """One configuration for all but the UI's section, NATS reachable, and room for the most deliverers."""
    found = configurations(name)
    admin = found.pop("ttgateway-admin")
    (config,) = found.values()
    assert admin.pop("admin")["tokens"]
    assert admin == config
    for policy in [each for each in documents(name) if each["kind"] == "NetworkPolicy"]:
        ports = {port["port"] for rule in policy["spec"]["egress"] for port in rule["ports"]}
        assert int(config["spool"]["url"].rpartition(":")[2]) in ports
    (scaler,) = [
        each["spec"]
        for each in documents(name)
        if each["kind"] == "HorizontalPodAutoscaler" and "deliver" in each["metadata"]["name"]
    ]
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "ttgateway-deliver"}
    delivery = DeliverySettings()
    assert config["spool"]["max_ack_pending"] >= 4 * delivery.max_batch * delivery.in_flight * scaler["maxReplicas"]
    for service in [
        each["spec"]
        for each in documents(name)
        if each["kind"] == "Service" and {"http", 8080} & {port["targetPort"] for port in each["spec"]["ports"]}
    ]:
        labels = [each["spec"]["template"]["metadata"]["labels"] for each in documents(name) if each["kind"] in WORKLOADS]
        assert len([each for each in labels if service["selector"].items() <= each.items()]) == 1, "visitors reach edges alone"
