"""Finding the bad events of a refused batch (pure: posting is done by whoever drives the search).

Law: each success is settled before the next request; nothing is posted that is known to hold a culprit and nothing good is dead-lettered. With TikTok's index one extra
request is enough; without it at most ⌈log2 n⌉ + 1 for a single culprit: post the left half of what is known to be bad; if it passes, the culprit is on the right, else
the untested right half is put off into one final request.
"""

from collections.abc import Generator, Sequence
from typing import TypeVar

from gateway.delivery.verdict import Action, Verdict

T = TypeVar("T")
Search = Generator[list[T], Verdict, list[tuple[T, Verdict]]]
"""Yields batches to post, is sent their verdicts, returns the culprits with the words about them."""


def isolate(batch: Sequence[T], verdict: Verdict) -> "Search[T]":
    """Search ``batch``, which was refused with ``verdict``. Ends early (returning what it has) when it is sent a verdict that is neither delivered nor
    about a bad event: the driver then retries what has not been settled."""
    culprits: list[tuple[T, Verdict]] = []
    pending: list[T] = []
    bad, words = list(batch), verdict
    while True:
        if words.culprit is not None and words.culprit < len(bad):
            culprits.append((bad[words.culprit], words))
            # TikTok names the first bad event; the others have not been judged.
            pending += bad[: words.culprit] + bad[words.culprit + 1 :]
        else:
            while len(bad) > 1:
                half = len(bad) // 2
                left, right = bad[:half], bad[half:]
                answer = yield left
                if answer.action is Action.DELIVERED:
                    bad = right
                elif answer.action is Action.BAD_EVENT:
                    pending += right
                    bad, words = left, answer
                    if words.culprit is not None and words.culprit < len(bad):
                        break
                else:
                    return culprits
            if len(bad) > 1:
                continue
            culprits.append((bad[0], words))
        if not pending:
            return culprits
        bad, pending = pending, []
        answer = yield bad
        if answer.action is not Action.BAD_EVENT:
            return culprits
        words = answer
