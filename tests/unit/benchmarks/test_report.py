"""What a run is compared with, what becomes of it, and that the README says what the committed reference does."""

import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import pytest

from benchmarks import __main__ as command
from benchmarks import headroom, markdown, report
from benchmarks.figure import Figure

ROOT = Path(__file__).parents[3]
MACHINE = {"build": "compiled"}


def rate(value: float, **notes: Any) -> Figure:
    return Figure("P2", "collect", "events/s", [value], 25_000, 40_000, True, notes=notes)


@pytest.fixture
def results(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A results folder and a README of its own."""
    monkeypatch.setattr(report, "RESULTS", tmp_path)
    monkeypatch.setattr(report, "README", tmp_path / "README.md")
    (tmp_path / "README.md").write_text(f"before\n{markdown.BEGIN}\nold\n{markdown.END}\nafter\n")
    return tmp_path


def test_the_readme_says_what_the_reference_does() -> None:
    """Renew it with python -m benchmarks.report --write."""
    document = json.loads((ROOT / "benchmarks/results/reference.json").read_text())
    assert markdown.between((ROOT / "README.md").read_text()) == markdown.table(document)


def test_every_figure_of_the_reference_is_in_the_table() -> None:
    document = json.loads((ROOT / "benchmarks/results/reference.json").read_text())
    rows = markdown.table(document).partition("\n\n")[0].splitlines()
    assert len(rows) == 2 + len(document["scenarios"])


def test_a_committed_reference_is_a_run_of_its_length() -> None:
    for quick in (False, True):
        path = report.reference(quick=quick)
        if path.exists():
            assert json.loads(path.read_text())["run"]["quick"] is quick


def test_a_run_is_compared_with_one_of_its_length(results: Path) -> None:
    for quick, value in ((False, 20_000.0), (True, 10_000.0)):
        report.write([rate(value)], MACHINE, results / "latest.json", quick=quick)
        (results / "latest.json").rename(report.reference(quick=quick))
    assert report.compare([rate(10_100)], MACHINE, report.reference(quick=True)) == [
        "all ratios within 10 % of reference-quick.json"
    ]
    (line,) = report.compare([rate(10_100)], MACHINE, report.reference(quick=False))
    assert "WORSE" in line
    assert "build" in report.compare([rate(10_100)], {"build": "interpreted"}, report.reference(quick=True))[0]
    report.reference(quick=True).unlink()
    (line,) = report.compare([rate(10_100)], MACHINE, report.reference(quick=True))
    assert line.startswith("no reference-quick.json")


def test_a_first_loss_is_told(results: Path) -> None:
    def lost(count: float) -> Figure:
        return Figure("P9", "lost", "events", [count], 0, 0, False)

    report.write([lost(0)], MACHINE, results / "reference.json", quick=False)
    assert report.compare([lost(2)], MACHINE, results / "reference.json") == ["P9: 0 → 2 (WORSE)"]


MACHINE_OF_A_RUN = {
    "cpu": "CPU", "cores": 2, "kernel": "6.1-x", "python": "3.11", "aiohttp": "3.14", "nginx": "nginx/1", "build": "compiled", "fsync_ms": 0.1,
    "sandbox": {"events_per_s": 200_000, "cpu_us_per_event": 4.9, "of_its_core": 0.98},
}  # fmt: skip


def test_keeping_a_full_run_renews_the_readme(results: Path) -> None:
    figure = rate(27_123, interpreted={"value": 18_000.0}, load_core=headroom.share(0.4, 0.2, 0.38))
    report.write([figure], MACHINE_OF_A_RUN, results / "latest.json", quick=False)
    (results / "latest.svg").write_text("<svg/>")
    assert {path.name for path in report.keep(quick=False, drawn=True)} == {"reference.json", "reference.svg", "README.md"}
    text = (results / "README.md").read_text()
    assert text.startswith("before\n")
    assert text.endswith("\nafter\n")
    assert "27,100 events/s | 18,000 events/s |" in text
    assert "TikTok's stand-in alone takes 200,000 events/s; of the load core were free 38% in P2." in text


def test_keeping_a_short_run_leaves_the_readme_alone(results: Path) -> None:
    report.write([rate(10_000)], MACHINE_OF_A_RUN, results / "latest.json", quick=True)
    assert [path.name for path in report.keep(quick=True, drawn=True)] == ["reference-quick.json"]
    assert "old" in (results / "README.md").read_text()


def test_a_full_load_core_is_told() -> None:
    sandbox = MACHINE_OF_A_RUN["sandbox"]
    assert isinstance(sandbox, dict)
    full = headroom.lines(sandbox, [rate(20_000, load_core=headroom.share(0.6, 0.39, 0.01))])
    free = headroom.lines(sandbox, [rate(20_000, load_core=headroom.share(0.4, 0.2, 0.4))])
    assert "FULL" in full[1]
    assert "10.0 times" in free[1]
    assert "FULL" not in free[1]


def test_the_sandbox_is_loaded_as_the_gateway_loads_it() -> None:
    render = headroom.requests()
    ids: set[str] = set()
    for number in (0, 7):
        head, _, body = render(number).partition(b"\r\n\r\n")
        assert f"Content-Length: {len(body)}".encode() in head
        items = json.loads(body)["data"]
        assert {item["event"] for item in items} == {"AddToCart"}
        assert items[0]["user"]["email"] != "alice_abc@gmail.com"
        ids |= {item["event_id"] for item in items}
    assert len(ids) == 2 * headroom.ITEMS


def test_the_printed_command_repeats_the_run() -> None:
    line = command.repeat(["--quick", "--folder", "a b"])
    *words, quick, flag, folder = shlex.split(line)
    assert (quick, flag, folder) == ("--quick", "--folder", "a b")
    done = subprocess.run(
        [*words, "--help"], cwd=ROOT, env={"PATH": "/nowhere"}, capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == 0, done.stderr
    assert "--keep" in done.stdout
