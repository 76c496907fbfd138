"""The closed sets: every reason has the sentence a user reads."""

import pytest

from gateway.outcome import WORDS, Reason


@pytest.mark.parametrize("reason", [reason for reason in Reason if reason], ids=str)
def test_every_reason_has_a_sentence(reason: Reason) -> None:
    assert WORDS[reason].endswith(".")
    assert len(WORDS[reason]) > 10
