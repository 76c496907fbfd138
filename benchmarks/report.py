"""Table, JSON, picture and the comparison with the committed reference (io).

``python -m benchmarks.report`` renders the README's table from a results file.
"""

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

from benchmarks import markdown
from benchmarks.figure import Figure

RESULTS = Path(__file__).parent / "results"
README = Path(__file__).parents[1] / "README.md"
_TOLERANCE = 0.10


def table(figures: list[Figure]) -> str:
    """The figures as people read them."""
    rows = [("", "scenario", "value", "spread", "÷ baseline", "floor", "goal", "")]
    for figure in figures:
        spread = f"{min(figure.runs):,.4g} – {max(figure.runs):,.4g}" if len(figure.runs) > 1 else ""
        ratio = f"{figure.ratio:.2f}" if figure.ratio is not None else ""
        rows.append((
            figure.id, figure.title, f"{figure.value:,.4g} {figure.unit}", spread, ratio, f"{figure.floor:,g}", f"{figure.goal:,g}", figure.verdict,
        ))  # fmt: skip
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return "\n".join("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows)


def write(figures: list[Figure], machine: dict[str, Any], path: Path, *, quick: bool) -> None:
    """A results file in its documented shape."""
    path.parent.mkdir(parents=True, exist_ok=True)
    document = {
        "scenarios": {figure.id: figure.as_json() for figure in figures},
        "machine": machine,
        "run": {"quick": quick},
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


def reference(*, quick: bool) -> Path:
    """The committed run of this length: a short one spools a seventeenth of the events, which is another experiment."""
    return RESULTS / ("reference-quick.json" if quick else "reference.json")


def keep(*, quick: bool, drawn: bool) -> list[Path]:
    """Make the latest run the reference of its length; a full one's picture, if it was ``drawn``, and README table go with it."""
    written = [reference(quick=quick)]
    shutil.copyfile(RESULTS / "latest.json", written[0])
    if not quick:
        if drawn:
            written.append(RESULTS / "reference.svg")
            shutil.copyfile(RESULTS / "latest.svg", written[-1])
        written.append(renew_readme(written[0]))
    return written


def renew_readme(results: Path) -> Path:
    """Put the table of ``results`` into the README."""
    README.write_text(markdown.replace(README.read_text(), markdown.table(json.loads(results.read_text()))))
    return README


def compare(figures: list[Figure], machine: dict[str, Any], path: Path) -> list[str]:
    """Lines for every judged figure that moved by more than a tenth against the reference at ``path``."""
    if not path.exists():
        return [f"no {path.name} to compare with: a whole run with --keep (make bench … KEEP=1) becomes one"]
    document = json.loads(path.read_text())
    known, lines = document["scenarios"], []
    if (build := document["machine"].get("build")) != machine["build"]:
        lines.append(f"the reference is of the {build} build, this run of the {machine['build']} one")
    for figure in figures:
        if not (old := known.get(figure.id)) or (old["ratio"] is None) != (figure.ratio is None):
            continue
        before = old["value"] if old["ratio"] is None else old["ratio"]
        if not before:
            if figure.judged:
                lines.append(f"{figure.id}: {before:.4g} → {figure.judged:.4g} (WORSE)")
            continue
        change = figure.judged / before - 1
        if abs(change) > _TOLERANCE:
            better = (change > 0) == figure.higher_is_better
            lines.append(f"{figure.id}: {before:.4g} → {figure.judged:.4g} ({change:+.0%}, {'better' if better else 'WORSE'})")
    return lines or [f"all ratios within 10 % of {path.name}"]


def picture(figures: list[Figure], path: Path) -> bool:
    """Bars of how far each goal was reached (100 % = goal), as SVG; False without matplotlib."""
    try:
        import matplotlib

        matplotlib.use("svg")
        from matplotlib import pyplot
    except ImportError:
        return False
    rows = [figure for figure in figures if figure.goal and figure.judged]
    reached = [(f.judged / f.goal if f.higher_is_better else f.goal / f.judged) * 100 for f in rows]
    floors = [(f.floor / f.goal if f.higher_is_better else f.goal / f.floor) * 100 for f in rows]
    height = 0.42 * len(rows) + 1.1
    canvas, axes = pyplot.subplots(figsize=(9, height))
    colours = [
        "#0b7a75" if r >= 100 else "#d98e04" if r >= floor else "#b3261e" for r, floor in zip(reached, floors, strict=True)
    ]
    places = range(len(rows))
    axes.barh(list(places), [min(r, 200) for r in reached], color=colours, height=0.6)
    axes.scatter(floors, list(places), marker="|", s=260, color="#333333", label="floor", zorder=3)
    axes.axvline(100, color="#333333", linewidth=1, linestyle="--", label="goal")
    axes.set_yticks(list(places), [f"{f.id}  {f.judged:,.3g}{'×' if f.ratio is not None else ' ' + f.unit}" for f in rows])
    axes.invert_yaxis()
    axes.set_xlim(0, 210)
    axes.set_xlabel("how far the goal was reached, % (bars end at 200)")
    axes.legend(loc="lower right", frameon=False)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    canvas.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    canvas.savefig(path, metadata={"Date": None})
    pyplot.close(canvas)
    return True


def main() -> None:
    """Print the README's table, or renew it."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.report", description="The README's table from a results file.")
    parser.add_argument("results", type=Path, nargs="?", default=reference(quick=False), help="default: the committed reference")
    parser.add_argument("--write", action="store_true", help="put it into README.md instead of printing it")
    args = parser.parse_args()
    if args.write:
        print(f"wrote {renew_readme(args.results)}")
    else:
        print(markdown.table(json.loads(args.results.read_text())))


if __name__ == "__main__":
    main()
