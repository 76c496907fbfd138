"""Rules, dashboard and scrape job as Prometheus judges them: promtool."""

import json
import re
import subprocess
from pathlib import Path

import yaml

ROOT = Path(__file__).parents[2]


def test_rules_and_queries_are_prometheus(tmp_path: Path) -> None:
    folder = ROOT / "deploy" / "prometheus"
    board = json.loads((ROOT / "deploy" / "grafana" / "ttgateway.json").read_text(encoding="utf-8"))
    queries = [target["expr"].replace("$__rate_interval", "5m") for panel in board["panels"] for target in panel["targets"]]
    rules = [{"record": f"query:{number}", "expr": query} for number, query in enumerate(queries)]
    (tmp_path / "queries.yaml").write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}), encoding="utf-8")
    for command in (
        ["check", "rules", "rules.yaml"],
        ["test", "rules", "rules_test.yaml"],
        ["check", "rules", tmp_path / "queries.yaml"],
    ):
        done = subprocess.run(["promtool", *command], cwd=folder, capture_output=True, text=True, check=False)
        assert done.returncode == 0, (done.stdout, done.stderr)


def test_the_dashboard_counts_what_pods_share_once(tmp_path: Path) -> None:
    """Three pods that show one broker's records, two with records of their own: in one picture, under one integration."""
    board = json.loads((ROOT / "deploy" / "grafana" / "ttgateway.json").read_text(encoding="utf-8"))
    queries = {panel["title"]: panel["targets"][0]["expr"] for panel in board["panels"]}
    series, pods_of = [], {"shared": ["a", "b", "c"], "own": ["d", "e"]}
    for namespace, instances in pods_of.items():
        for instance in instances:
            place = f'instance="{instance}",job="x",namespace="{namespace}"'
            told = {
                f"ttgateway_spool_shared{{{place}}}": int(namespace == "shared"),
                f'ttgateway_spool_records{{{place},integration="shop"}}': 100 if namespace == "shared" else 7,
                f'ttgateway_dead_letters{{{place},integration="shop"}}': 100 if namespace == "shared" else 7,
                f'ttgateway_spool_fates{{{place},integration="shop",outcome="filtered",reason="x"}}': 60
                if namespace == "shared"
                else 3,
                f'ttgateway_spool_fates{{{place},integration="shop",outcome="filtered",reason="y"}}': 40
                if namespace == "shared"
                else 4,
                f"ttgateway_spool_bytes{{{place}}}": 50,
                f"ttgateway_spool_max_bytes{{{place}}}": 100,
            }
            series += [{"series": name, "values": f"{value}x5"} for name, value in told.items()]
    used = [f'{{instance="{each}", job="x", namespace="own"}}' for each in pods_of["own"]]
    expected = {
        "Waiting": {'{integration="shop"}': 114},
        "Dead letters": {'{integration="shop"}': 114},
        "Durable fates": {'{integration="shop", outcome="filtered"}': 114},
        "Spool used": {'{namespace="shared"}': 0.5} | dict.fromkeys(used, 0.5),
    }
    tests = [
        {
            "expr": queries[title],
            "eval_time": "3m",
            "exp_samples": [{"labels": labels, "value": value} for labels, value in samples.items()],
        }
        for title, samples in expected.items()
    ]
    whole = {"rule_files": [], "tests": [{"interval": "1m", "input_series": series, "promql_expr_test": tests}]}
    (tmp_path / "test.yaml").write_text(yaml.safe_dump(whole), encoding="utf-8")
    done = subprocess.run(["promtool", "test", "rules", "test.yaml"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, (done.stdout, done.stderr)


def test_prometheus_takes_the_job_without_the_operator(tmp_path: Path) -> None:
    (job,) = re.findall(
        r"```\n(- job_name: ttgateway\n.*?)```", (ROOT / "k8s" / "README.md").read_text(encoding="utf-8"), re.DOTALL
    )
    path = tmp_path / "prometheus.yml"
    assert "kubernetes_sd_configs: [{role: pod}]" in job
    # Debian's promtool is built without service discovery
    job = job.replace("kubernetes_sd_configs: [{role: pod}]", "static_configs: [{targets: [localhost]}]")
    path.write_text("scrape_configs:\n" + job, encoding="utf-8")
    done = subprocess.run(["promtool", "check", "config", path], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
