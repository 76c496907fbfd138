"""The exception tree (pure).

Law: errors are translated once at each border. An error carries what the user needs (a reason and a cure); which HTTP
status or exit code it becomes is chosen by the listener or the command that catches it.
"""

from dataclasses import dataclass

from gateway.outcome import Reason


class GatewayError(Exception):
    """Base of everything this package raises on purpose."""


class BadInput(GatewayError):
    """A request or event that cannot be used. ``detail`` is safe to show: it never quotes the input's values."""

    def __init__(self, reason: Reason, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class SpoolUnavailable(GatewayError):
    """Nothing was made durable. ``retry_after_s`` is what the caller is told."""

    def __init__(self, reason: Reason, detail: str, retry_after_s: int = 5) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.retry_after_s = retry_after_s


class SpoolLocked(GatewayError):
    """Another process holds the spool directory."""


class SpoolTooNew(GatewayError):
    """The spool was written by a newer version; it is left untouched."""


@dataclass(frozen=True, slots=True)
class Problem:
    """One fault of a configuration: where it is, what is wrong, what to do."""

    path: str
    """Dotted path, e.g. ``edge.limits.body_progress``."""
    message: str
    hint: str = ""
    file: str = ""
    line: int = 0
    """1-based; 0 = unknown."""

    def __str__(self) -> str:
        where = f"{self.file}:{self.line}: " if self.line else (f"{self.file}: " if self.file else "")
        hint = f" ({self.hint})" if self.hint else ""
        return f"{where}{self.path}: {self.message}{hint}"


class ConfigError(GatewayError):
    """A configuration with at least one problem; all of them at once."""

    def __init__(self, problems: list[Problem]) -> None:
        super().__init__("\n".join(map(str, problems)))
        self.problems = problems
