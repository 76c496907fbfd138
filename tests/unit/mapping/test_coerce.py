"""Values to types: what can be read in one way is read, everything else is refused, and nothing raises."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.mapping import coerce


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (99.95, 99.95), (12, 12), (0, 0), (-3, -3), ("99.95", 99.95), (" 99.95 ", 99.95), ("5", 5), ("+5.", 5), (".5", 0.5), ("-1.5", -1.5),
        ("1.234", 1.234), ("1234.5", 1234.5), ("99,95", 99.95), ("99,9", 99.9), ("1,234.50", 1234.5), ("1.234,50", 1234.5), ("12.345.678,9", 12345678.9),
        ("1,234,567", 1234567), ("1.234.567", 1234567), ("1,23,456", 123456), ("1 234,56", 1234.56), ("1\u00a0234.5", 1234.5), ("1\u202f234", 1234),
        ("1'234.50", 1234.5), ("1234,567", 1234.567), ("0,12345", 0.12345), ("€ 9,99", 9.99), ("9.99 £", 9.99), ("$1,234.00", 1234),
    ],
)  # fmt: skip
def test_numbers(raw: object, value: float):
    assert coerce.number(raw) == value


@pytest.mark.parametrize(
    "raw",
    [
        "1,234", "12,345", "-1,234",  # a thousand here, one and a bit there
        "", " ", "abc", "12abc", ".", "..", "5..", "-", "+.", "1_000", "１２", "1e5", "0x10", "1,2,3", "1.2.3", "1,23.4", "1 23", "1,,234", "--5", "5 6", "١٢", "Infinity", "nan", "9" * 41, "1" * 14,
        None, True, False, [], [5], {}, {"value": 5}, b"5", math.nan, math.inf, -math.inf, 1e13, 10**13, 10**400,
    ],
)  # fmt: skip
def test_no_numbers(raw: object):
    assert coerce.number(raw) is None


@given(st.from_regex(r"[0-9]{0,18}\.?[0-9]{0,18}", fullmatch=True))
def test_plain_decimals_are_the_nearest_float(text: str):
    expected = float(text) if text.strip(".") else None
    assert repr(coerce.number(text)) == repr(expected if expected is not None and expected <= coerce.LARGEST else None)


@given(st.text("a \t\n\x1c\x1f\x7f\x85\xa0\u2003é", max_size=5))
def test_trimming(text: str):
    assert coerce.trimmed(text) == text.strip()


def test_no_negative_amounts():
    assert [coerce.amount(raw) for raw in (0, 2.5, "3")] == [0, 2.5, 3]
    assert [coerce.amount(raw) for raw in (-1, -2.5, "-3", "x", None, True, 10**13, math.nan)] == [None] * 8
    assert [coerce.whole(raw) for raw in (0, -1, "3", "-3", 2.5)] == [0, None, 3, None, None]


@given(st.floats(allow_nan=False, allow_infinity=False) | st.decimals(-(10**9), 10**10, places=7).map(float) | st.floats(0, 1e9))
def test_rounding(value: float):
    assert repr(coerce.rounded(value)) == repr(round(value, 6))


def test_whole_numbers():
    assert [coerce.integer(raw) for raw in (3, "3", 3.0, "3.0", "1,234,567", 0)] == [3, 3, 3, 3, 1234567, 0]
    assert [coerce.integer(raw) for raw in (3.5, "3.5", "x", None, True, 10**13)] == [None] * 6
    assert all(type(coerce.integer(raw)) is int for raw in (3.0, "3"))


def test_texts_of_numbers():
    assert [coerce.text(raw) for raw in ("a", 12, 12.0, 12.5, 0, -0.0, 1e20)] == ["a", "12", "12", "12.5", "0", "0", "1e+20"]
    assert [coerce.text(raw) for raw in (None, True, [], {}, math.nan, math.inf, "x" * 8193, 10**5000)] == [""] * 8
    assert coerce.trimmed("  a ") == "a"
    assert coerce.texts(["a", 1, None, " b ", {}, "", 2.0]) == ["a", "1", "b", "2"]
    assert coerce.texts("a") == ["a"]
    assert [coerce.texts(raw) for raw in ([], [None], "", None, {})] == [None] * 5


def test_booleans():
    assert [coerce.boolean(raw) for raw in (True, "true", "TRUE", " yes ", "on", 1, "1")] == [True] * 7
    assert [coerce.boolean(raw) for raw in (False, "false", "No", "off", 0, "0")] == [False] * 6
    assert [coerce.boolean(raw) for raw in (None, "", "maybe", 2, [], {})] == [None] * 6


@pytest.mark.parametrize(
    ("raw", "iso"),
    [
        ("2025-01-31", "2025-01-31T00:00:00+00:00"), ("2025-01-31T09:30:00Z", "2025-01-31T09:30:00+00:00"),
        ("2025-01-31T23:30:00+10:00", "2025-01-31T23:30:00+10:00"), ("20250131", "2025-01-31T00:00:00+00:00"), (1738315800, "2025-01-31T09:30:00+00:00"),
        (1738315800000, "2025-01-31T09:30:00+00:00"), ("1738315800", "2025-01-31T09:30:00+00:00"), (1738315800.5, "2025-01-31T09:30:00.500000+00:00"),
    ],
)  # fmt: skip
def test_times(raw: object, iso: str):
    found = coerce.moment(raw)
    assert found is not None
    assert found.isoformat() == iso


@pytest.mark.parametrize(
    "raw", [None, "", "soon", "31.01.2025", "2025-13-01", -1, math.nan, math.inf, 1e300, "9" * 16, True, [], {}]
)
def test_no_times(raw: object):
    assert coerce.moment(raw) is None


def test_json_in_a_text():
    assert coerce.from_json('{"a": [1]}') == {"a": [1]}
    assert [coerce.from_json(text) for text in ("", "{", "NaN", "[" * 40 + "]" * 40, "[" * 5000, "\ud800")] == [None] * 6


ANYTHING = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=60)
    | st.from_regex(r"[+-]?[0-9.,' ]{1,20}", fullmatch=True),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)


@given(ANYTHING)
def test_nothing_raises_and_types_hold(raw: object):
    number, whole, text, moment = coerce.number(raw), coerce.integer(raw), coerce.text(raw), coerce.moment(raw)
    assert number is None or (type(number) in {int, float} and math.isfinite(number) and abs(number) <= coerce.LARGEST)
    assert whole is None or (type(whole) is int and whole == number)
    assert type(text) is str
    assert moment is None or moment.tzinfo is not None
    assert coerce.boolean(raw) in {True, False, None}
    found = coerce.texts(raw)
    assert found is None or (found and all(type(entry) is str and entry for entry in found))


@given(st.integers(0, 10**9), st.integers(0, 99))
def test_every_way_to_write_an_amount_is_the_same_amount(whole: int, cents: int):
    english = f"{whole:,}.{cents:02}"
    continental = english.translate(str.maketrans(",.", ".,"))
    french = english.replace(",", "\u202f").replace(".", ",")
    amount = pytest.approx(whole + cents / 100)
    assert [coerce.number(text) for text in (english, continental, french, f"{whole}.{cents:02}", f"{whole},{cents:02}")] == [
        amount
    ] * 5
