"""Coercions that all parsers share."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from gateway.errors import BadInput
from gateway.event import fields
from gateway.outcome import Reason

MOMENT = 1_712_121_212.0  # 2024-04-03T05:13:32Z


@pytest.mark.parametrize(
    ("given", "seconds"),
    [
        ("2024-04-03T05:13:32Z", MOMENT),
        ("2024-04-03T05:13:32.250Z", MOMENT + 0.25),
        ("2024-04-03T07:13:32+02:00", MOMENT),
        ("2024-04-03 05:13:32", MOMENT),
        (" 2024-04-03T05:13:32Z ", MOMENT),
        ("20240403", 1_712_102_400.0),
        (1_712_121_212, MOMENT),
        (1_712_121_212.5, MOMENT + 0.5),
        (1_712_121_212_000, MOMENT),
        ("1712121212", MOMENT),
        ("1712121212000", MOMENT),
        ("1712121212.5", MOMENT + 0.5),
        (None, None),
        ("", None),
    ],
)
def test_times_are_read_as_written(given: Any, seconds: float | None) -> None:
    assert fields.time(given) == seconds


def test_the_browsers_form_gives_the_same_float_as_any_other() -> None:
    """It is read by a way of its own: every day of its range, at the ends of days and milliseconds."""
    first = date(1970, 1, 1)
    for day in range((date(2100, 1, 1) - first).days):
        ms = day * 86_400_000 + (0, 1, 43_200_123, 86_399_999)[day % 4]
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(milliseconds=ms)
        assert fields.optional_time(f"{moment:%Y-%m-%dT%H:%M:%S}.{ms % 1000:03d}Z") == (moment.timestamp() or None), moment


@pytest.mark.parametrize("at", range(24))
@pytest.mark.parametrize("instead", ["/", ":", "\u0663", "_", "9", "T"])
def test_a_character_amiss_is_judged_like_in_any_other_form(at: int, instead: str) -> None:
    text = "2026-11-23T12:00:00.123Z"
    text = text[:at] + instead + text[at + 1 :]
    try:
        expected = datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()
    except ValueError:
        expected = None
    assert fields.optional_time(text) == (expected if expected and expected < 4_102_444_800 else None)


@pytest.mark.parametrize("day", ["02-30", "02-29", "04-31", "06-31", "09-31", "11-31", "12-32", "01-00", "00-10", "13-01"])
@pytest.mark.parametrize("year", ["2026", "2028"])
def test_a_day_that_its_month_does_not_have_is_none(year: str, day: str) -> None:
    found = fields.optional_time(f"{year}-{day}T12:00:00.000Z")
    assert found == (datetime(2028, 2, 29, 12, tzinfo=UTC).timestamp() if (year, day) == ("2028", "02-29") else None)


@pytest.mark.parametrize(
    "given",
    ["soon",
        "   ", "2024-13-01", "0000-00-00", "9999-12-31T23:59:59Z", "nan", "inf", "1e9", "-5", -5, 0, True, [], {}, 10**30, 1.7e15, "٣" * 10, "1" * 9000],
)  # fmt: skip
def test_a_time_that_is_none_spoils_the_event(given: Any) -> None:
    with pytest.raises(BadInput) as refused:
        fields.time(given)
    assert refused.value.reason is Reason.INVALID_TIME
    assert fields.optional_time(given) is None


@pytest.mark.parametrize(
    ("given", "id_"),
    [
        ("  a-1 ", "a-1"), (42, "42"), (42.0, "42"), (1.5, "1.5"), (0, "0"), (10**20, "100000000000000000000"), ("é\u00a0ü", "é\u00a0ü"), ("👩\u200d🚀", "👩\u200d🚀"),
        (True, ""), (None, ""), ([], ""), ({}, ""), ("a\nb", ""), ("a\x00b", ""), ("x" * 256, "x" * 256), ("x" * 257, ""), (1e280, ""),
    ],
)  # fmt: skip
def test_ids_become_strings(given: Any, id_: str) -> None:
    assert fields.identifier(given) == id_


@pytest.mark.parametrize("given", [None, "", "   ", "\t"])
def test_a_name_is_needed(given: Any) -> None:
    with pytest.raises(BadInput) as refused:
        fields.name(given)
    assert refused.value.reason is Reason.MISSING_NAME


@pytest.mark.parametrize("given", ["x" * 101, "a\nb", "a\x7fb", 5, [], {}, True])
def test_a_name_must_be_one(given: Any) -> None:
    with pytest.raises(BadInput) as refused:
        fields.name(given)
    assert refused.value.reason is Reason.INVALID_NAME


@pytest.mark.parametrize("given", ["Order Completed", "x" * 100, "購入", "no\u00a0break", "👩\u200d🚀 launched"])
def test_names_of_all_scripts_pass(given: str) -> None:
    assert fields.name(f" {given} ") == given


def test_consent_in_any_spelling() -> None:
    given = {
        "Marketing": "granted",
        "analytics": "denied",
        "functional": True,
        "a": 1,
        "b": 0,
        "c": "yes",
        "d": "perhaps",
        "e": None,
        "f": [],
        "g": 2,
        "h": "Denied",
        "i": " FALSE ",
        "j": "off",
        "k": "Allow",
        "l": 0.0,
        "m": 0.5,
    }
    expected = {"marketing": True, "analytics": False, "functional": True, "a": True, "b": False, "c": True}
    assert fields.consent(given) == expected | {"h": False, "i": False, "j": False, "k": True, "l": False}
    assert fields.consent({"categoryPreferences": {"marketing": False}}) == {"marketing": False}
    for nothing in (None, {}, {"marketing": "?"}, [], "granted", {"categoryPreferences": {}}):
        assert fields.consent(nothing) is None


def test_two_spellings_of_a_category_deny_if_either_does() -> None:
    assert fields.consent({"marketing": False, "Marketing": True}) == {"marketing": False}
    assert fields.consent({"MARKETING": True, "marketing": False}) == {"marketing": False}


def test_consent_is_bounded_but_marketing_is_always_read() -> None:
    crowd: dict[str, Any] = {f"c{number}": True for number in range(10_000)}
    found = fields.consent({**crowd, "x" * 1000: True, "marketing": False, "advertising": False})
    assert found is not None
    assert len(found) <= 34
    assert all(len(category) <= 64 for category in found)
    assert found["marketing"] is found["advertising"] is False


def test_identity_is_known_in_many_spellings() -> None:
    for key, field in (
        ("emailAddress", "email"), ("sha256_email", "email"), ("hashed_email", "email"), ("phone_number", "phone"), ("phoneNumber", "phone"),
        ("sha256_phone_number", "phone"), ("externalId", "external_id"), ("firstName", "first_name"), ("last_name", "last_name"), ("postalCode", "zip_code"),
        ("countryCode", "country"), ("region", "state"),
    ):  # fmt: skip
        who: dict[str, Any] = {}
        fields.identity(who, {key: " v "}, fields.TRAIT_KEYS)
        assert who == {field: " v "}


def test_the_first_source_of_a_field_wins_and_lists_are_kept() -> None:
    who: dict[str, Any] = {}
    fields.identity(who, {"email": ["a@b.c", 5, None, ""], "phone": None, "first_name": []}, fields.TRAIT_KEYS)
    fields.identity(who, {"email": "later@b.c", "phone": 123}, fields.TRAIT_KEYS)
    assert who == {"email": ["a@b.c", "5"], "phone": "123"}


def test_places_in_properties_are_not_the_person() -> None:
    who: dict[str, Any] = {}
    fields.identity(who, {"city": "Rome", "country": "IT", "email": "a@b.c"}, fields.PERSON_KEYS)
    assert who == {"email": "a@b.c"}


@pytest.mark.parametrize(
    ("given", "codes"),
    [
        ({"code": "C1"}, ("C1",)), ({"code": "C1", "codes": "C1|C2"}, ("C1", "C2")), ("C1|C2", ("C1", "C2")), (["C1", 7, None], ("C1", "7")),
        ({}, ()), (None, ()), (5, ()), ({"code": {"code": "x"}}, ("x",)), ("|".join(map(str, range(50))), tuple(map(str, range(20)))),
    ],
)  # fmt: skip
def test_pixel_codes(given: Any, codes: tuple[str, ...]) -> None:
    assert fields.pixel_codes(given) == codes
