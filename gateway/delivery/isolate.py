"""Finding the bad events of a refused batch (pure: posting is done by whoever drives the search).

Law: each success is settled before the next request; nothing is posted that is known to hold a culprit and nothing good is named one. With TikTok's index one extra
request is enough for a single culprit; without it at most ⌈log2 n⌉ + 1: post the left half of what is known to be bad; if it passes, the culprit is on the right, else
the untested right half is put off into one final request.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from gateway.delivery.verdict import Action, Verdict

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Culprit(Generic[T]):
    """An event that TikTok refuses by itself."""

    item: T
    words: Verdict
    in_a_row: bool
    """Its neighbour before it in the batch is a culprit as well, or it is the batch's first: no good event lies between."""


Search = Generator[list[T] | Culprit[T], Verdict | None, None]
"""Yields batches to post and is sent their verdicts; yields culprits as they are found and is sent None."""


def isolate(batch: Sequence[T], verdict: Verdict) -> "Search[T]":
    """Search ``batch``, which was refused with ``verdict``. Ends when everything has been posted or named – or when it is sent a verdict that is
    neither delivered nor about a bad event: the driver then decides about what has not been settled."""
    found: set[int] = set()
    bad, deferred, verdict_on_bad = list(range(len(batch))), list[int](), verdict
    while True:
        place = verdict_on_bad.culprit
        if place is None or place >= len(bad):
            while len(bad) > 1:
                half = len(bad) // 2
                left, right = bad[:half], bad[half:]
                answer = yield [batch[at] for at in left]
                if answer is None or answer.action not in {Action.DELIVERED, Action.BAD_EVENT}:
                    return
                if answer.action is Action.DELIVERED:
                    bad = right
                    continue
                deferred += right
                bad, verdict_on_bad = left, answer
                if answer.culprit is not None and answer.culprit < len(left):
                    break
            place = verdict_on_bad.culprit
            place = place if len(bad) > 1 and place is not None else 0
        culprit = bad[place]
        yield Culprit(batch[culprit], verdict_on_bad, culprit == 0 or culprit - 1 in found)
        found.add(culprit)
        # TikTok names the first bad event only: nothing is known of the others.
        bad = sorted(deferred + bad[:place] + bad[place + 1 :])
        deferred = []
        if not bad:
            return
        answer = yield [batch[at] for at in bad]
        if answer is None or answer.action is not Action.BAD_EVENT:
            return
        verdict_on_bad = answer
