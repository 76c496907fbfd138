"""What a run was to show, whether it did, and where that is kept (io: :func:`keep` alone).

Law: a promise is judged by its own number, printed beside its bound whether kept or not; results are kept one section a run, so that runs of one file can be made one by one.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

RESULTS = Path(__file__).parent / "results"


class Promise(NamedTuple):
    """One number and its bound."""

    words: str
    value: float
    bound: float
    floor: bool = False
    """The bound is the least, not the most."""

    @property
    def kept(self) -> bool:
        """A value that is no number keeps nothing."""
        return self.value >= self.bound if self.floor else self.value <= self.bound

    def line(self) -> str:
        """For a person."""
        return f"{'kept  ' if self.kept else 'BROKEN'} {self.words}: {self.value:,.2f}, {'at least' if self.floor else 'at most'} {self.bound:,.2f}"

    def as_json(self) -> dict[str, Any]:
        """For a file."""
        return {"words": self.words, "value": self.value, "at_least" if self.floor else "at_most": self.bound, "kept": self.kept}


def judge(promises: Sequence[Promise]) -> bool:
    """Print all; whether all were kept."""
    for each in promises:
        print(each.line(), flush=True)
    return all(each.kept for each in promises)


def keep(
    path: Path, section: str, program: str, figures: dict[str, Any], promises: Sequence[Promise], machine: dict[str, object]
) -> None:
    """Into ``section`` of the file; the others stay as they are. ``program`` = the module that was run."""
    document = json.loads(path.read_text()) if path.exists() else {}
    document[section] = {
        "command": " ".join([f"python -m {program}", *sys.argv[1:]]),
        "figures": figures,
        "promises": [each.as_json() for each in promises],
        "machine": machine,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=1, sort_keys=True) + "\n")
