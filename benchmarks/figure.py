"""What a scenario reports (pure)."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any


@dataclass(slots=True)
class Figure:
    """One row of the table. ``value`` is the median of ``runs``; floor and goal are compared with :attr:`judged`."""

    id: str
    title: str
    unit: str
    runs: list[float]
    floor: float
    goal: float
    higher_is_better: bool
    baseline: float | None = None
    ratio: float | None = None
    """value ÷ baseline, median over paired runs; judged instead of the value where there is one."""
    notes: dict[str, Any] = field(default_factory=dict)

    @property
    def value(self) -> float:
        """Median of the runs."""
        return statistics.median(self.runs)

    @property
    def judged(self) -> float:
        """What floor and goal refer to."""
        return self.value if self.ratio is None else self.ratio

    @property
    def verdict(self) -> str:
        """goal, floor or short."""
        sign = 1 if self.higher_is_better else -1
        if sign * self.judged >= sign * self.goal:
            return "goal"
        return "floor" if sign * self.judged >= sign * self.floor else "SHORT"

    def as_json(self) -> dict[str, Any]:
        """The shape that latest.json promises."""
        return {
            "title": self.title, "value": self.value, "baseline": self.baseline, "ratio": self.ratio, "unit": self.unit,
            "runs": self.runs, "floor": self.floor, "goal": self.goal, "verdict": self.verdict, "notes": self.notes,
        }  # fmt: skip


@dataclass(slots=True)
class Context:
    """How a scenario is to be run."""

    folder: Path
    """Scratch space on the disk that is measured."""
    quick: bool
    say: Callable[[str], None]
    """Progress for the person who waits."""

    @property
    def repeats(self) -> int:
        """Runs per figure."""
        return 1 if self.quick else 3

    def seconds(self, full: float) -> float:
        """A load duration: ``full``, shortened in quick mode."""
        return max(1.5, full * 0.3) if self.quick else full
