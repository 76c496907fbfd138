"""Logs: one JSON object a line, whatever is in it."""

import io
import json
import logging
from collections.abc import Iterator

import pytest

from gateway.telemetry import logs


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    """A configured root logger writing here; the former one is put back."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    written = io.StringIO()
    logs.configure("info", written)
    yield written
    root.handlers[:] = handlers
    root.setLevel(level)
    logging.captureWarnings(False)


def test_fields_and_message_become_one_object(stream: io.StringIO) -> None:
    logging.getLogger("gateway.x").error("lane suspended", extra={"lane": "tiktok", "waits_s": 1.5})
    line = json.loads(stream.getvalue())
    assert (line["level"], line["logger"], line["message"]) == ("error", "gateway.x", "lane suspended")
    assert (line["lane"], line["waits_s"]) == ("tiktok", 1.5)
    assert line["time"].endswith("+00:00")


def test_a_traceback_stays_on_its_line(stream: io.StringIO) -> None:
    try:
        raise ValueError("no")
    except ValueError:
        logging.getLogger("gateway.x").exception("failed")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: no" in json.loads(line)["error"]


@pytest.mark.parametrize("value", ["\ud800", 1 << 80, {1: object()}], ids=["surrogate", "huge", "object"])
def test_a_line_is_never_lost_to_its_content(stream: io.StringIO, value: object) -> None:
    logging.getLogger("gateway.x").info("odd", extra={"value": value})
    assert json.loads(stream.getvalue())["message"] == "odd"


def test_the_level_holds_and_access_logs_are_off(stream: io.StringIO) -> None:
    logging.getLogger("gateway.x").debug("detail")
    logging.getLogger("aiohttp.access").info('127.0.0.1 "GET /?email=alice@example.com"')
    assert stream.getvalue() == ""
