"""Requests of one turn are worked off together, in order, and one connection's fault is its own."""

import asyncio

from gateway.edge.cohort import MOST, TURN_S, Cohorts
from gateway.edge.head import Head

HEAD = Head("POST", b"/gw/e", "/gw/e", "", {}, (), (1, 1))


class Connection:
    """Notes what it is told; asks to wait for a commit where there is one."""

    def __init__(self, log: list[str], name: str, cohorts: Cohorts, commit: "asyncio.Future[None] | None" = None) -> None:
        self.log, self.name, self.cohorts, self.commit = log, name, cohorts, commit

    def collect(self, _head: Head, body: bytes) -> None:
        self.log.append(f"{self.name}:{body.decode()}")
        if self.commit is not None:
            self.cohorts.wait(self, self.commit)

    def committed(self, _future: "asyncio.Future[None]", _error: BaseException | None) -> None:
        self.log.append(f"{self.name} answered")
        if self.name == "bad":
            raise RuntimeError("a defect")


async def test_nothing_is_decided_before_the_turn_ends_and_then_all_in_order() -> None:
    log: list[str] = []
    cohorts = Cohorts(asyncio.get_running_loop().call_soon, lambda: 0.0)
    for number in range(MOST + 3):
        cohorts.arrived(Connection(log, "c", cohorts), HEAD, b"%d" % number)
    assert log == []
    await asyncio.sleep(0)
    assert log == [f"c:{number}" for number in range(MOST)]
    cohorts.arrived(Connection(log, "late", cohorts), HEAD, b"")
    await asyncio.sleep(0)
    assert log[MOST:] == [f"c:{number}" for number in range(MOST, MOST + 3)] + ["late:"]


async def test_a_turn_ends_after_its_time_and_the_next_goes_on_in_order() -> None:
    """However heavy requests are, something else has its turn between them; one that crashes costs the others nothing."""
    log: list[str] = []
    moments = iter(range(1000))
    loop = asyncio.get_running_loop()
    cohorts = Cohorts(loop.call_soon, lambda: next(moments) * TURN_S / 3)
    for number in range(7):
        cohorts.arrived(Connection(log, "c", cohorts), HEAD, b"%d" % number)
    cohorts.arrived(None, HEAD, b"")  # type: ignore[arg-type]
    cohorts.arrived(Connection(log, "c", cohorts), HEAD, b"7")
    loop.call_soon(log.append, "a page")
    for _ in range(5):
        await asyncio.sleep(0)
    assert log == ["c:0", "c:1", "c:2", "a page", *(f"c:{number}" for number in range(3, 8))]


async def test_one_callback_answers_all_of_a_commit_whatever_one_of_them_does() -> None:
    log: list[str] = []
    loop = asyncio.get_running_loop()
    cohorts, commit, later = Cohorts(loop.call_soon), loop.create_future(), loop.create_future()
    for name, future in (("a", commit), ("bad", commit), ("b", commit), ("c", later)):
        cohorts.arrived(Connection(log, name, cohorts, future), HEAD, b"")
    await asyncio.sleep(0)
    commit.set_result(None)
    cohorts.arrived(Connection(log, "d", cohorts, commit), HEAD, b"")  # its commit is done already
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [line for line in log if "answered" in line] == ["a answered", "bad answered", "b answered", "d answered"]
    later.set_result(None)
    await asyncio.sleep(0)
    assert log[-1] == "c answered"
