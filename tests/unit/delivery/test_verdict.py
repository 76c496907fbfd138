"""TikTok's answers, row by row of the documented table."""

import json
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.verdict import TABLE, Action, failure, judge, retry_after, unusable_token
from gateway.outcome import Reason

CODES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[2] / "vectors" / "tiktok-events-api.json").read_text(encoding="utf-8")
)["error_codes"]

DELIVERED = {0, 20001, 40050}
RETRY = {40100, 40016, 40132, 40133, 40202, 50000, 50002, 51000, 51010, 51012, 52000, 53103, 60001, 61000}
BAD_EVENT = {40000, 40002, 40062}
SPLIT = {40061}
NOW = 1_700_000_000.0


def expected(code: int) -> Action:
    """The design's table, by the code alone."""
    if code in DELIVERED:
        return Action.DELIVERED
    if code in RETRY:
        return Action.RETRY
    if code in BAD_EVENT:
        return Action.BAD_EVENT
    return Action.SPLIT if code in SPLIT else Action.SUSPEND


def answer(code: Any, message: Any = "words") -> bytes:
    return orjson.dumps({"code": code, "message": message, "request_id": "R", "data": {}})


def test_the_vectors_are_all_here() -> None:
    assert len({row["code"] for row in CODES}) == 49


@pytest.mark.parametrize("row", CODES, ids=lambda row: str(row["code"]))
@pytest.mark.parametrize("status", [200, 400, 401, 500])
def test_the_code_of_the_body_decides_whatever_the_status(row: dict[str, Any], status: int) -> None:
    if row["code"] == 0 and status != 200:
        return  # success is 200 and code 0: see below
    verdict = judge(status, {}, answer(row["code"]), NOW)
    assert verdict.action is expected(row["code"])
    assert verdict.code == verdict.label == str(row["code"])
    assert verdict.message == "words"


@pytest.mark.parametrize("row", CODES, ids=lambda row: str(row["code"]))
def test_every_documented_code_has_a_row_with_a_source(row: dict[str, Any]) -> None:
    assert TABLE[row["code"]].source


@pytest.mark.parametrize("row", [row for row in CODES if row["retryable"]], ids=lambda row: str(row["code"]))
def test_what_tiktok_calls_retryable_is_retried(row: dict[str, Any]) -> None:
    assert judge(200, {}, answer(row["code"]), NOW).action is Action.RETRY


@pytest.mark.parametrize("code", sorted(TABLE))
def test_who_is_stopped_is_told_what_to_do(code: int) -> None:
    verdict = judge(200, {}, answer(code), NOW)
    assert bool(verdict.cure) or verdict.action not in {Action.SUSPEND, Action.BAD_EVENT}


@pytest.mark.parametrize(
    ("code", "action"),
    [
        (40108, Action.SUSPEND),
        (40555, Action.SUSPEND),
        (40064, Action.BAD_EVENT),
        (40131, Action.BAD_EVENT),
        (42000, Action.BAD_EVENT),
        (49999, Action.BAD_EVENT),
        (50999, Action.RETRY),
        (53999, Action.RETRY),
        (59000, Action.RETRY),
        (60002, Action.RETRY),
    ],
)
def test_undocumented_codes_are_judged_by_their_range(code: int, action: Action) -> None:
    verdict = judge(200, {}, answer(code), NOW)
    assert verdict.action is action
    assert verdict.code == str(code)
    assert verdict.label == f"{str(code)[:2]}xxx"  # a label of metrics must not grow with what somebody answers


@pytest.mark.parametrize("code", [40100, 40002])
def test_where_the_readings_differ_both_are_shown(code: int) -> None:
    cure = judge(200, {}, answer(code), NOW).cure
    assert "TikTok's SDK" in cure
    assert "Signal's manual" in cure


def test_a_partial_success_is_delivered_with_a_warning() -> None:
    verdict = judge(200, {}, answer(20001), NOW)
    assert (verdict.action, verdict.reason) == (Action.DELIVERED, Reason.NONE)
    assert "in part" in verdict.cure


def test_a_duplicate_is_delivered_and_says_so() -> None:
    assert judge(200, {}, answer(40050), NOW).reason is Reason.DUPLICATE


@pytest.mark.parametrize(
    ("status", "action", "reason"),
    [
        (200, Action.RETRY, Reason.BROKEN_ANSWER),
        (204, Action.RETRY, Reason.BROKEN_ANSWER),
        (301, Action.SUSPEND, Reason.TIKTOK_AUTH),
        (307, Action.SUSPEND, Reason.TIKTOK_AUTH),
        (400, Action.RETRY, Reason.BROKEN_ANSWER),
        (401, Action.SUSPEND, Reason.TIKTOK_AUTH),
        (403, Action.SUSPEND, Reason.TIKTOK_AUTH),
        (404, Action.SUSPEND, Reason.TIKTOK_AUTH),
        (408, Action.RETRY, Reason.BROKEN_ANSWER),
        (413, Action.SPLIT, Reason.BATCH_TOO_LARGE),
        (429, Action.RETRY, Reason.TIKTOK_THROTTLED),
        (500, Action.RETRY, Reason.TIKTOK_UNAVAILABLE),
        (502, Action.RETRY, Reason.TIKTOK_UNAVAILABLE),
        (503, Action.RETRY, Reason.TIKTOK_UNAVAILABLE),
    ],
)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>please wait</html>",
        b'{"code":0',
        b"[]",
        b"0",
        b"null",
        b'{"code":"0"}',
        b'{"code":true}',
        b'{"code":0.0}',
        b'{"message":"OK"}',
        b'{"code":404,"message":"not found"}',
        b'{"code":1}',
        b"\xff\xfe",
        b"[" * 2000,
    ],
)
def test_without_tiktoks_json_the_status_decides(status: int, action: Action, reason: Reason, body: bytes) -> None:
    verdict = judge(status, {}, body, NOW)
    assert (verdict.action, verdict.reason, verdict.code) == (action, reason, f"http_{status}")
    assert verdict.throttled == (status == 429)
    assert bool(verdict.cure) == (action is Action.SUSPEND)


@pytest.mark.parametrize(
    ("status", "action"), [(503, Action.RETRY), (302, Action.SUSPEND), (413, Action.SPLIT), (400, Action.RETRY)]
)
def test_code_0_is_success_only_with_a_2xx(status: int, action: Action) -> None:
    assert judge(status, {}, answer(0), NOW).action is action


def test_the_place_of_the_bad_event_is_read() -> None:
    verdict = judge(200, {}, answer(40002, "Batch.17.properties.contents.0.content_id: Not a valid string"), NOW)
    assert (verdict.action, verdict.culprit) == (Action.BAD_EVENT, 17)
    assert verdict.message == "Batch.17.properties.contents.0.content_id: Not a valid string"


@pytest.mark.parametrize(
    "message",
    [
        "event_source_id: Missing data for required field.",
        "Invalid pixel code",
        "The pixel does not exist",
        "test_event_code: Not a valid string.",
    ],
)
def test_a_refusal_that_names_the_pixel_suspends(message: str) -> None:
    verdict = judge(200, {}, answer(40002, message), NOW)
    assert verdict.action is Action.SUSPEND
    assert "pixel" in verdict.cure


@pytest.mark.parametrize("message", ["Batch.3.properties.pixel: Not a valid string", "data[3].pixel is bad"])
def test_an_event_that_speaks_of_pixels_suspends_nothing(message: str) -> None:
    verdict = judge(200, {}, answer(40002, message), NOW)
    assert (verdict.action, verdict.culprit) == (Action.BAD_EVENT, 3)


@pytest.mark.parametrize(
    ("message", "pause"),
    [
        ("Too many requests: qpm limit", 300.0),
        ("quota per minute exceeded", 300.0),
        ("Too many requests", None),
        ("permit nine", None),
    ],
)
def test_a_quota_per_minute_pauses_for_five(message: str, pause: float | None) -> None:
    assert judge(200, {}, answer(40100, message), NOW).retry_after_s == pause


NOON = 1_700_006_400.0 // 86400 * 86400 + 43200


@pytest.mark.parametrize(
    "message", ["Too many requests: QPD limit", "quota per day exceeded", "Daily quota used up", "10000/day"]
)
@pytest.mark.parametrize(("now", "pause"), [(NOON, 3600.0), (NOON + 43200 - 90, 90.0), (NOON - 43200, 3600.0)])
def test_a_quota_per_day_pauses_until_midnight_utc_and_knocks_once_an_hour(message: str, now: float, pause: float) -> None:
    verdict = judge(200, {}, answer(40100, message), now)
    assert (verdict.action, verdict.retry_after_s, verdict.day_quota) == (Action.RETRY, pytest.approx(pause), True)
    assert "00:00 UTC" in verdict.cure


@pytest.mark.parametrize(
    ("code", "message"),
    [(40100, "Too many requests"), (40100, "echo 'per day'"), (40002, "price per day: invalid"), (40105, "daily")],
)
def test_only_a_throttle_in_tiktoks_own_words_is_a_quota_per_day(code: int, message: str) -> None:
    assert not judge(200, {}, answer(code, message), NOON).day_quota


def test_a_longer_retry_after_beats_the_quota() -> None:
    assert judge(429, {"Retry-After": "900"}, answer(40100, "per minute"), NOW).retry_after_s == 900


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("", None),
        ("0", 0.0),
        (" 12 ", 12.0),
        ("0.5", None),
        ("-3", None),
        ("soon", None),
        ("²", None),
        ("9" * 400, 3600.0),
        ("99999", 3600.0),
        ("Tue, 14 Nov 2023 22:13:50 GMT", 30.0),
        ("Tue, 14 Nov 2023 22:13:50 -0000", 30.0),
        ("Tue, 14 Nov 2023 22:00:00 GMT", 0.0),
        ("Tue, 14 Nov 0001 00:00:00 +2300", 0.0),
        ("Tue, 14 Nov 99999 22:13:50 GMT", None),
    ],
)
def test_retry_after(value: str, seconds: float | None) -> None:
    found = retry_after(value, NOW)
    assert found == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_it(value: str) -> None:
    seconds = retry_after(value, NOW)
    assert seconds is None or 0 <= seconds <= 3600


@given(status=st.integers(100, 999), body=st.binary(max_size=200))
def test_any_answer_gets_a_verdict(status: int, body: bytes) -> None:
    assert judge(status, {}, body, NOW).action in Action


@given(
    status=st.sampled_from([200, 400]),
    code=st.integers(-(2**63), 2**63),
    message=st.one_of(st.text(), st.none(), st.integers(-9, 9)),
)
def test_any_envelope_gets_a_verdict_and_a_bounded_label(status: int, code: int, message: Any) -> None:
    body = json.dumps({"code": code, "message": message}).encode("utf-8", "surrogatepass")
    assert len(judge(status, {}, body, NOW).label) <= 10


def test_failures_are_retried_and_explained() -> None:
    for kind in (Reason.TIMEOUT, Reason.CONNECTION):
        verdict = failure(kind, "the name cannot be resolved", "Check DNS.")
        assert (verdict.action, verdict.reason, verdict.code) == (Action.RETRY, kind, kind.value)
        assert verdict.message.endswith("the name cannot be resolved")
        assert verdict.cure == "Check DNS."


def test_a_token_that_cannot_be_sent_suspends() -> None:
    assert unusable_token().action is Action.SUSPEND
    assert "token" in unusable_token().cure
