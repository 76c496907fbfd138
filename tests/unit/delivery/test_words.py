"""What of TikTok's words is shown, and what is understood."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery import words

HASH = "848a771458438fc2ec420560d769fb9b9b86851ee338ec56517baabd79d3bb4f"


@pytest.mark.parametrize(
    ("message", "seen"),
    [
        ("Batch.0.properties.contents.0.content_id: Not a valid string", None),
        ("Batch.3.properties.value: Not a valid number.", None),
        ("No permission to operate pixel C4ABCDEF1234567890AB", None),
        ("Access token is incorrect or has been revoked.", None),
        ("user.email: 'jane@example.org' isn't valid", "user.email: '…' isn't valid"),
        ('name: "Jane Roe" is not "John O\'Brien"', "name: '…' is not '…'"),
        ("it isn't valid: 'Jane Roe'", "it isn't valid: '…'"),
        ("value `Jane` and “Jane” and «Jane»", "value '…' and '…' and '…'"),
        ("never closed: 'Jane Roe, 12 High Street", "never closed: '…'"),
        ("Invalid e-mail jane.roe@example.org given", "Invalid e-mail [redacted] given"),
        ("phone +44 20 7946 0958 is not E.164", "phone [redacted] is not E.164"),
        (f"unknown hash {HASH}", "unknown hash …"),
        ("token 0123456789abcdef0123456789abcdef01234567 revoked", "token … revoked"),
        ("Not a valid string, got: Jane Roe", "Not a valid string, got: …"),
        ("page https://shop.example/?name=Jane was refused", "page https://… was refused"),
        ("ip 203.0.113.9 and 2001:db8::1 are private", "ip … and … are private"),
        ("line\nbreak\x1b[31m and \u202eback", "line break [31m and  back"),
    ],
)
def test_what_is_shown(message: str, seen: str | None) -> None:
    assert words.shown(message) == (message if seen is None else seen)


@pytest.mark.parametrize("message", [None, 7, {}, ["a"], True])
def test_what_is_no_text_is_nothing(message: object) -> None:
    assert words.shown(message) == ""


@given(
    before=st.text(st.characters(exclude_characters="'"), max_size=30),
    secret=st.text(st.characters(exclude_characters="'", exclude_categories=["Zs", "Cc", "Cs"]), min_size=3, max_size=30),
)
def test_quoted_values_never_show(before: str, secret: str) -> None:
    marked = f"§{secret}§"
    assert marked not in words.shown(f"{before} '{marked}' refused")


@given(st.text(max_size=3000))
def test_anything_is_shown_in_bounds(message: str) -> None:
    seen = words.shown(message)
    assert len(seen) <= 400
    assert seen.isprintable()


@pytest.mark.parametrize("message", ["'" * 5000, "'a" * 2500, "“" * 5000, "1:" * 2500, "a@" * 2500, "-1" * 2500, "got: " * 1000])
@pytest.mark.timeout(5)
def test_hostile_messages_cost_little(message: str) -> None:
    for _ in range(20):
        words.shown(message)
        words.place(message)


@pytest.mark.parametrize(
    ("message", "place"),
    [
        ("Batch.0.event: Not a valid string", 0),
        ("Batch.999.properties: bad", 999),
        ("batch[12].user", 12),
        ("data[5].event_id: Not a valid string", 5),
        ("data.7.page.url", 7),
        ("properties.contents.0.content_id", None),
        ("Batch.12345.event", None),
        ("mydata.3", None),
        ("value 'Batch.3.' refused", None),
        ("Batch.8.properties.description: 'Batch.3.' refused", 8),
        ("", None),
    ],
)
def test_the_place_is_read_outside_of_quotes(message: str, place: int | None) -> None:
    assert words.place(message) == place


@pytest.mark.parametrize(
    ("message", "root"),
    [
        ("event_source_id: Missing", True),
        ("pixel not found", True),
        ("test_event_code: Not a valid string.", True),
        ("Batch.0.properties.pixel: Not a valid string", False),
        ("description 'pixel art' refused", False),
        ("pixelated", False),
        ("event: Not a valid string", False),
    ],
)
def test_whether_the_request_itself_is_blamed(message: str, root: bool) -> None:
    assert words.names_root(message) is root


def test_messages_of_one_shape_are_alike() -> None:
    assert words.shape("Batch.1.properties.value: bad") == words.shape("Batch.17.properties.value: bad")
    assert words.shape("Batch.1.event: bad") != words.shape("Batch.1.properties.value: bad")
