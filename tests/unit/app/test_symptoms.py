"""Metrics in, plain words and cures out; whatever the text is, no exception."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.app.checkup import clock, credentials
from gateway.app.symptoms import Level, parse, read
from gateway.delivery.verdict import failure, judge
from gateway.outcome import Reason

HEALTHY = """\
# HELP ttgateway_spool_available x
ttgateway_spool_available 1.0
ttgateway_spool_bytes 1000.0
ttgateway_spool_max_bytes 1e+09
ttgateway_lane_state{integration="tt",test_code=""} 0.0
ttgateway_dead_letters{integration="tt"} 0.0
ttgateway_test_code_active{integration="tt"} 0.0
ttgateway_config_reload_success 1.0
ttgateway_busiest_address_share{kind="public"} 0.02
ttgateway_edge{what="clients_trusted_forwarding"} 90.0
ttgateway_edge{what="clients_stranger"} 3.0
"""


def test_a_healthy_gateway_has_nothing_to_complain_of() -> None:
    (only,) = read(HEALTHY)
    assert (only.level, only.about) == (Level.OK, "proxies")
    assert "90 through trusted proxies" in only.words


@pytest.mark.parametrize(
    ("line", "level", "word"),
    [
        ("ttgateway_spool_available 0.0", Level.FAULT, "503"),
        ("ttgateway_spool_bytes 9.5e+08", Level.FAULT, "95%"),
        ('ttgateway_lane_state{integration="tt",test_code=""} 1.0', Level.NOTE, "backs off"),
        ('ttgateway_lane_state{integration="tt",test_code=""} 2.0', Level.FAULT, "suspended"),
        ('ttgateway_lane_state{integration="tt",test_code=""} 3.0', Level.NOTE, "paused"),
        ('ttgateway_dead_letters{integration="tt"} 7.0', Level.NOTE, "7 dead letters of tt"),
        ('ttgateway_test_code_active{integration="tt"} 1.0', Level.NOTE, "do not reach reports"),
        ("ttgateway_config_reload_success 0.0", Level.FAULT, "refused"),
        ('ttgateway_busiest_address_share{kind="private"} 0.97', Level.FAULT, "97%"),
        ('ttgateway_busiest_address_share{kind="public"} 0.97', Level.NOTE, "public address"),
        ('ttgateway_edge{what="clients_stranger_forwarding"} 500.0', Level.FAULT, "trusted_proxies"),
        ('ttgateway_edge{what="clients_trusted_silent"} 500.0', Level.NOTE, "names no visitor"),
    ],
)
def test_each_sign_has_its_words_and_a_cure(line: str, level: Level, word: str) -> None:
    name = line.rpartition(" ")[0]
    text = "\n".join(line if old.rpartition(" ")[0] == name else old for old in HEALTHY.splitlines())
    text += "" if line in text else f"\n{line}\n"
    found = [finding for finding in read(text) if finding.level is not Level.OK]
    assert [(each.level, word in each.words, bool(each.cure)) for each in found] == [(level, True, True)]


@given(st.text() | st.text(alphabet='ttgateway_edge{what="}01. \n'))
def test_any_text_is_read(text: str) -> None:
    assert isinstance(parse(text), dict)
    read(text)


def test_no_metrics_say_nothing() -> None:
    assert read("") == []


@pytest.mark.parametrize(
    ("here", "level", "word"),
    [
        (0.9, Level.OK, "agrees"),
        (10.5, Level.NOTE, "10 s ahead"),
        (-9.5, Level.NOTE, "10 s behind"),
        (86400.5, Level.FAULT, "86400 s ahead"),
    ],
)
def test_the_clock_is_compared(here: float, level: Level, word: str) -> None:
    found = clock("Mon, 23 Nov 2026 12:00:00 GMT", 1795435200.0 + here)
    assert (found.level, word in found.words) == (level, True), found


@pytest.mark.parametrize("date", ["", "yesterday", "Mon, 99 Nov 2026 12:00:00 GMT"])
def test_without_a_date_it_is_said(date: str) -> None:
    assert clock(date, 0.0).level is Level.NOTE


@pytest.mark.parametrize(
    ("answer", "level"),
    [
        (b'{"code":40105,"message":"Access token is incorrect"}', Level.FAULT),
        (b'{"code":40001,"message":"no permission"}', Level.FAULT),
        (b'{"code":40002,"message":"data: must not be empty"}', Level.OK),
        (b'{"code":40002,"message":"event_source_id: invalid pixel"}', Level.FAULT),
        (b'{"code":0,"message":"OK"}', Level.OK),
        (b'{"code":40100,"message":"too many"}', Level.NOTE),
    ],
)
def test_credentials_are_judged_by_the_verdict(answer: bytes, level: Level) -> None:
    found = credentials("tt", judge(200, {}, answer, 0.0))
    assert found.level is level
    assert found.cure or level is Level.OK


def test_no_answer_is_no_fault_of_the_token() -> None:
    assert credentials("tt", failure(Reason.TIMEOUT)).level is Level.NOTE
