"""Requests of many events, worked off in portions between which the loop serves others (io: only the loop's queue).

Law: whatever a request holds, its events keep the loop for :data:`TURN_S` at a time, all such requests together; only one event's own cost can be more. Each portion is put
into the spool as soon as it is taken, so that a withdrawal or a repetition that comes meanwhile finds it. The answer is one for the request, given once all is durable.
"""

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable

from gateway.edge import answer
from gateway.edge.answer import Answer, Deferred
from gateway.edge.intake import Intake, Taken
from gateway.errors import SpoolUnavailable
from gateway.event.model import Event, Rejection
from gateway.outcome import Reason
from gateway.spool.base import NewRecord

_log = logging.getLogger(__name__)

WHOLE = 16
"""Events that are not worth dividing: half a millisecond."""
TURN_S = 0.002
_FIRST = 8
_MOST = 64


class _Request:
    """What is left of one request, and what has become of the rest."""

    __slots__ = ("accepted", "at", "commits", "deferred", "events", "filtered", "finish", "incomplete", "pipeline", "portion", "reason", "records", "rejected", "take")  # fmt: skip

    def __init__(
        self, pipeline: str, events: list[Event], take: Callable[[list[Event]], Taken], finish: Callable[[Taken], Answer], deferred: Deferred
    ) -> None:  # fmt: skip
        self.pipeline, self.events, self.take, self.finish, self.deferred = pipeline, events, take, finish, deferred
        self.at = 0
        self.portion = _FIRST
        self.accepted = self.filtered = self.incomplete = 0
        self.records: list[NewRecord] = []
        self.rejected: list[Rejection] = []
        self.reason = Reason.NONE
        self.commits: dict[asyncio.Future[None], None] = {}


class Portions:
    """One per collector."""

    def __init__(self, intake: Intake, clock: Callable[[], float] = time.perf_counter) -> None:
        self._intake = intake
        self._clock = clock
        self._requests: deque[_Request] = deque()

    def work_off(
        self,
        pipeline: str,
        events: list[Event],
        take: Callable[[list[Event]], Taken],
        finish: Callable[[Taken], Answer],
        on_failure: Callable[[BaseException], Answer],
    ) -> Deferred:
        """``take`` is called with portion after portion, ``finish`` with what became of all of them; it makes the answer."""
        loop = asyncio.get_running_loop()
        # The answer is put in when it is known, before the future is done.
        deferred = Deferred(loop.create_future(), answer.SUCCESS, on_failure)
        if not self._requests:
            loop.call_soon(self._turn)
        self._requests.append(_Request(pipeline, events, take, finish, deferred))
        return deferred

    def _turn(self) -> None:
        end = self._clock() + TURN_S
        while self._requests:
            request = self._requests.popleft()
            try:
                done = self._portion(request)
            except Exception as error:  # noqa: BLE001 - the request must be answered, and the others go on
                done = True
                self._fail(request, error)
            if not done:
                self._requests.append(request)
            if self._clock() >= end:
                break
        if self._requests:
            asyncio.get_running_loop().call_soon(self._turn)

    def _portion(self, request: _Request) -> bool:
        """Take the next events; whether they were the last."""
        began = self._clock()
        first = request.at
        some = request.events[first : first + request.portion]
        request.at += len(some)
        taken = request.take(some)
        if taken.waits:
            request.commits[self._intake.put(taken)] = None
        request.records += taken.records
        request.rejected += [rejection._replace(at=rejection.at + first) for rejection in taken.rejected]
        request.accepted += taken.accepted_events
        request.filtered += taken.filtered_events
        request.incomplete += taken.incomplete
        request.reason = taken.reason or request.reason
        spent = self._clock() - began
        # Half a turn at a time: events of one request cost alike.
        request.portion = max(1, min(_MOST, 2 * request.portion, int(request.portion * TURN_S / 2 / max(spent, 1e-6))))
        if request.at < len(request.events):
            return False
        self._complete(request)
        return True

    @staticmethod
    def _complete(request: _Request) -> None:
        deferred = request.deferred
        deferred.answer = request.finish(
            Taken(
                request.records,
                [],
                request.accepted,
                request.filtered,
                request.rejected,
                request.reason,
                {},
                None,
                request.incomplete,
            )
        )
        if not request.commits:
            deferred.future.set_result(None)
        else:
            asyncio.gather(*request.commits).add_done_callback(lambda done: _pass_on(done, deferred.future))

    def _fail(self, request: _Request, error: Exception) -> None:
        reason = Reason.SPOOL_UNAVAILABLE
        if isinstance(error, SpoolUnavailable):
            reason = error.reason
        else:
            _log.error("collect crashed", exc_info=error)
        if left := len(request.events) - request.at:
            self._intake.count_refused(request.pipeline, reason, left)
        _fail(request.deferred.future, error)


def _pass_on(done: "asyncio.Future[list[None]]", future: "asyncio.Future[None]") -> None:
    if error := done.exception():
        _fail(future, error)
    else:
        future.set_result(None)


def _fail(future: "asyncio.Future[None]", error: BaseException) -> None:
    future.set_exception(error)
    future.exception()  # seen: a client that has gone will not ask for it
