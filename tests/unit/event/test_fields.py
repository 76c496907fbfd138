"""Coercions that all parsers share."""

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
