"""Lanes and owners as subjects: whatever they hold, one token each, and back again."""

from hypothesis import given
from hypothesis import strategies as st

from gateway.lane import Lane
from gateway.spool.jetstream.names import Names, consumer, lane_of, owner_of, text, token

NAMES = Names("ttgw")


@given(st.text(st.characters(exclude_categories=("Cs",)), max_size=40))
def test_any_text_is_one_token_and_comes_back(said: str) -> None:
    encoded = token(said)
    assert encoded
    assert not set(encoded) & set(" .*>\t\r\n/\\")
    assert encoded.isascii()
    assert text(encoded) == said


@given(
    st.text(st.characters(exclude_characters="|", exclude_categories=("Cs",)), min_size=1, max_size=20),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
    st.text(st.characters(exclude_categories=("Cs",)), max_size=20),
)
def test_subjects_hold_lane_and_owner(integration: str, code: str, owner: str) -> None:
    lane = Lane(integration, code).key
    subject = NAMES.subject(NAMES.queue, lane, owner)
    assert subject.count(".") == 3
    assert (lane_of(subject), owner_of(subject)) == (lane, owner)


def test_an_underscore_is_not_nothing() -> None:
    assert token("_") != token("")
    assert consumer("a|_") != consumer("a")
    assert consumer("a|b") != consumer("a-b")
