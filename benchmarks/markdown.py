"""The README's table from a run's JSON (pure).

Law: every figure of the table comes from one results file; what a file does not hold is left out. A test keeps the README equal to what the committed reference renders.
"""

import statistics
from typing import Any

BEGIN = "<!-- made by python -m benchmarks.report --write -->"
END = "<!-- end of what is made -->"

Row = dict[str, Any]
"""A figure as in the results file."""

_LABELS = {
    "P1": "collect, one event per request: durable, mapped, delivered",
    "P2": "collect in batches of ten, until the last has arrived",
    "P3/1k": "pass-through of 1 kB",
    "P3/32k": "pass-through of 32 kB",
    "P4/collect": "collect at half load ({rate:,}/s), p99 with its fsync",
    "P4/proxy": "p99 added by pass-through at half load ({rate:,}/s)",
    "P4/proxy-busy": "p99 added to {pages:,} pages/s while the same process collects {events:,} events/s",
    "P5/idle": "memory, idle",
    "P5/spooled": "memory with {events:,} events spooled",
    "P6/put": "put with {records:,} records waiting",
    "P6/lease": "lease with {records:,} records waiting",
    "P7": "drain after an outage, TikTok answering after 200 ms, 500 events/s still coming",
    "P8/empty": "start to ready, empty",
    "P8/loaded": "start to ready with {events:,} records",
    "UI/closed": "collect with the management UI and nobody looking",
    "UI/viewed": "CPU per event with three live viewers of the UI, at 2,000 events/s",
    "P9": "events lost or duplicated{of}",
}
"""Row order of the table; braces are filled from the figure's notes."""
_VERDICTS = {"goal": "goal", "floor": "floor", "SHORT": "**not reached**"}


def number(value: float) -> str:
    """Three digits of large numbers, two of small ones."""
    if value >= 1000:
        digits = 3 - len(str(int(value)))
        return f"{round(value, digits):,.0f}"
    if value >= 10 or value == 0:
        return f"{value:.0f}"
    return f"{value:.1f}" if value >= 1 else f"{value:.2f}"


def table(document: dict[str, Any]) -> str:
    """The table and the lines below it, without the markers."""
    found: dict[str, Row] = document["scenarios"]
    interpreted = any("interpreted" in row["notes"] for row in found.values())
    head = ["scenario", "here (runs)", *(["interpreted build"] if interpreted else []), "beside it", "floor / goal", ""]
    lines = [_line(head), "|" + "---|" * len(head)]
    for name, label in _LABELS.items():
        if row := found.get(name):
            cells = [label.format_map(_facts(name, row)), _here(name, row)]
            cells += [_interpreted(row)] if interpreted else []
            lines.append(_line([*cells, _beside(name, row), f"{row['floor']:,g} / {row['goal']:,g}", _VERDICTS[row["verdict"]]]))
    return "\n".join([*lines, "", _machine(document)])


def replace(readme: str, made: str) -> str:
    """``readme`` with ``made`` between its markers."""
    before, rest = readme.split(BEGIN, 1)
    _, after = rest.split(END, 1)
    return f"{before}{BEGIN}\n{made}\n{END}{after}"


def between(readme: str) -> str:
    """What stands between the markers."""
    return readme.split(BEGIN, 1)[1].split(END, 1)[0].strip("\n")


def _line(cells: list[str]) -> str:
    return "| " + " | ".join(cells) + " |"


def _facts(name: str, row: Row) -> dict[str, Any]:
    notes: Row = row["notes"]
    rounded = {key: round(value, -2) for key, value in notes.items() if key in {"rate", "pages"}}
    facts = {**notes, **rounded}
    if name == "P4/proxy-busy":
        facts["events"] = round(notes["events"], -2)
    if name == "P9":
        whole = notes.get("acknowledged")
        facts["of"] = (
            f" of {sum(whole.values()):,} in all runs that collect, by event_id" if whole else " in the first two, by event_id"
        )
    return facts


def _here(name: str, row: Row) -> str:
    runs = row["runs"]
    unit = "CPU-µs" if row["unit"] == "µs" else row["unit"].replace("CPU-µs/request", "CPU-µs").replace("CPU-µs/record", "CPU-µs")
    text = f"{number(row['value'])} {unit}" if name != "P9" else number(row["value"])
    if len(runs) > 1:
        text += f" ({number(min(runs))} – {number(max(runs))})"
    notes = row["notes"]
    if cpu := notes.get("cpu_us_per_request"):
        text += f", {number(cpu)} CPU-µs"
    if percentiles := notes.get("percentiles_ms"):
        text += f", p50 {number(statistics.median(run['p50'] for run in percentiles))}"
    return text


def _interpreted(row: Row) -> str:
    if not (found := row["notes"].get("interpreted")):
        return ""
    text = f"{number(found['value'])} {row['unit']}"
    return text + (f", {number(found['cpu_us'])} CPU-µs, {found['ratio']:.2f} ×" if "ratio" in found else "")


def _beside(name: str, row: Row) -> str:
    notes = row["notes"]
    ratio = f"**{row['ratio']:.2f}** ×" if row["ratio"] is not None else ""
    match name.partition("/")[0]:
        case "P1":
            cpu = number(notes["cpu_us_per_request_bare"])
            return f"{ratio} bare aiohttp (`web.Server`, read + orjson + 204: {number(row['baseline'])}/s, {cpu} CPU-µs)"
        case "P3":
            plain = number(notes["straightforward_aiohttp_proxy_cpu_us"])
            return f"{ratio} nginx `proxy_pass` ({number(row['baseline'])}); a straightforward aiohttp proxy: {plain}"
        case "P4" if ways := notes.get("ms"):
            through, straight = (number(statistics.median(way[key] for way in ways)) for key in ("through_p99", "straight_p99"))
            return f"{through} ms, straight to the origin beside the same collecting {straight}"
        case "P4" if name == "P4/proxy":
            return "straight to the origin"
        case "P6":
            return f"{ratio} empty spool"
        case "UI":
            return f"{ratio} {'without it' if name == 'UI/closed' else 'nobody looking'}"
    return ""


def _machine(document: dict[str, Any]) -> str:
    machine, run = document["machine"], document.get("run", {})
    text = (
        f"{machine['cores']} cores of {machine['cpu']}, kernel {machine['kernel'].partition('-')[0]}, Python {machine['python']}, aiohttp {machine['aiohttp']}, "
        f"{machine['nginx']}, the {machine['build']} build, fsync {machine['fsync_ms']:.2f} ms."
    )
    if sandbox := machine.get("sandbox"):
        free = [
            f"{row['notes']['load_core']['free']:.0%} in {name}"
            for name, row in document["scenarios"].items()
            if "load_core" in row["notes"]
        ]
        text += f" TikTok's stand-in alone takes {number(sandbox['events_per_s'])} events/s; of the load core were free {', '.join(free)}."
    return text + (f" {run['remark']}" if "remark" in run else "")
