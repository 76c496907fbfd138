"""Structured logs: one JSON object a line (io).

Law: no personal data. Request targets, header values, bodies and tokens are never passed to a logger; what TikTok answered is redacted before
it gets here. Fields come through ``extra``; the message itself is a constant phrase that can be searched for.
"""

import json
import logging
import sys
from datetime import UTC, datetime
from typing import IO

import orjson

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonFormatter(logging.Formatter):
    """time, level, logger, message, then the extra fields; a traceback under ``error``."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON; values that JSON does not know are written as text."""
        document: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
        }
        document.update((name, value) for name, value in vars(record).items() if name not in _STANDARD)
        if record.exc_info:
            document["error"] = self.formatException(record.exc_info)
        try:
            return orjson.dumps(document, default=str, option=orjson.OPT_NON_STR_KEYS).decode()
        except (TypeError, ValueError):
            # lone surrogates and integers beyond 64 bits: a log line is never lost to its own content
            return json.dumps(document, default=str, skipkeys=True)


def configure(level: str = "info", stream: IO[str] | None = None) -> None:
    """Send everything of this process to ``stream`` (standard error by default) as JSON lines."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # aiohttp's access log would hold request targets, and its server log the addresses of peers.
    logging.getLogger("aiohttp.access").disabled = True
    logging.captureWarnings(True)
