"""The memory of digests is bounded, keyed, and changes no answer."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.identity import normalise
from gateway.identity.digests import Digests
from gateway.identity.seal import Sealer, owner, sha256


def test_it_holds_no_raw_value_and_no_more_than_it_may() -> None:
    digests = Digests(b"k" * 32, 8)
    for n in range(100):
        digests.keep(digests.key("email", f"jane.roe{n}@example.org"), f"digest{n}")
        assert len(digests) <= 8
    assert digests.get(digests.key("email", "jane.roe99@example.org")) == "digest99"
    assert digests.get(digests.key("email", "jane.roe50@example.org")) is None


def test_what_is_asked_for_again_and_again_stays() -> None:
    digests = Digests(b"k" * 32, 8)
    regular = digests.key("email", "jane.roe@example.org")
    digests.keep(regular, "hers")
    for n in range(100):
        assert digests.get(regular) == "hers"
        digests.keep(digests.key("email", str(n)), "another's")
    assert len(digests) <= 8


def test_keys_are_those_of_one_process_one_field_and_one_value() -> None:
    digests, others = Digests(b"k" * 32, 8), Digests(b"o" * 32, 8)
    assert digests.key("email", "a@b.cd") == digests.key("email", "a@b.cd")
    assert (
        len(
            {
                digests.key("email", "a@b.cd"),
                digests.key("phone", "a@b.cd"),
                digests.key("email", "a@b.ce"),
                others.key("email", "a@b.cd"),
            }
        )
        == 4
    )


def test_that_a_value_gives_nothing_is_remembered_as_well() -> None:
    digests = Digests(b"k" * 32, 8)
    key = digests.key("phone", "n/a")
    assert digests.get(key) is None
    digests.keep(key, "")
    assert digests.get(key) == ""


@pytest.mark.interpreted
def test_a_sealer_keeps_no_raw_value() -> None:
    sealer = Sealer("GB", b"k" * 32, 4)
    for n in range(20):
        assert sealer.field("phone", f"+4477009001{n:02d}") == sha256(f"+4477009001{n:02d}")
    held = repr((sealer.__dict__, sealer._digests.__dict__))
    assert "77009001" not in held
    assert len(sealer._digests) <= 4


def test_an_owner_is_the_same_remembered_or_not() -> None:
    sealer = Sealer("GB", b"k" * 32, 4)
    for name in ("a", "b", "a", "", "c", "d", "a", "\ud800"):
        assert sealer.owner(name) == owner(name)


_VALUES = st.sampled_from(
    [
        "jane@example.org",
        " Jane@Example.org ",
        "n/a",
        "+447700900123",
        "07700 900123",
        "user-1",
        "0" * 64,
        "A" * 64,
        "na",
        "SW1A 1AA",
        "\ud800",
    ]
)


@given(st.lists(st.tuples(st.sampled_from(sorted(normalise.HASHED)), _VALUES | st.text(max_size=20)), max_size=40))
def test_a_sealer_with_memories_says_what_a_new_one_says(asked: list[tuple[str, str]]) -> None:
    sealer = Sealer("GB", b"k" * 32, 6)
    for field, raw in asked:
        assert sealer.field(field, raw) == Sealer("GB", b"k" * 32).field(field, raw)
