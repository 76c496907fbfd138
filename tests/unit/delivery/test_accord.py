"""What deliverers tell each other about a lane: read back as written, junk says nothing, and another's word is stood by."""

import asyncio
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from gateway.catalog.model import IntegrationSettings
from gateway.delivery.accord import OPEN, SUSPENDED, WELL, Accord, digest, read
from gateway.delivery.council import Council
from gateway.delivery.standing import Standing, State
from gateway.delivery.verdict import Action, Verdict
from gateway.outcome import Reason
from gateway.telemetry.metrics import Metrics
from gateway.together import BucketAway, Entry

REVOKED = Verdict(Action.SUSPEND, Reason.TIKTOK_AUTH, "40105", "Access token is revoked", "Regenerate the token.")
DOWN = Verdict(Action.RETRY, Reason.TIKTOK_UNAVAILABLE, "50000", "down")
TEXT = st.text(st.characters(blacklist_categories=("Cs",)), max_size=30)
TIME = st.floats(0, 4e9)


def settings(**more: Any) -> IntegrationSettings:
    return IntegrationSettings.model_validate({"id": "shop", "pixel_code": "C1", "access_token": "secret-1", **more})


@given(
    st.builds(
        Accord, st.sampled_from([SUSPENDED, OPEN, WELL]), TEXT, TIME, TEXT, TEXT, TEXT, TEXT, st.integers(0, 99), st.integers(0, 99), TIME
    )
)  # fmt: skip
def test_what_is_written_is_read_back(accord: Accord) -> None:
    assert read(accord.written()) == accord


@given(
    st.binary(max_size=60)
    | st.sampled_from([b"null", b"[]", b"{}", Accord("odd").written(), Accord().written()[:-1], b'{"kind":{}}'])
)
def test_junk_says_nothing(value: bytes) -> None:
    assert read(value) is None


def test_settings_are_told_apart_without_the_token() -> None:
    first = digest(settings())
    assert first == digest(settings())
    assert first != digest(settings(access_token="secret-2"))
    assert first != digest(settings(pixel_code="C2"))
    assert "secret" not in first


def suspended(now: float = 100.0) -> Standing:
    standing = Standing(8, 60.0, 0.0)
    standing.learn(REVOKED, standing.ticket, settings(), now, 0.5)
    return standing


def test_a_suspension_is_taken_over_with_its_words_and_its_next_probe() -> None:
    told = suspended().accord(100.0, 1000.0)
    other = Standing(8, 60.0, 0.0)
    other.adopt(told, settings(), 5.0, 1010.0)
    assert other.gate(5.0).wait_s == 50.0
    assert other.gate(55.0).probe
    state = other.state("shop", 5.0, 1010.0)
    assert (state.state, state.code, state.cure) == (State.SUSPENDED, "40105", REVOKED.cure)
    other.free(settings(), 6.0)
    assert other.held
    other.free(settings(access_token="secret-2"), 7.0)
    assert not other.held


def test_a_wrong_clock_elsewhere_costs_one_pause() -> None:
    other = Standing(8, 60.0, 0.0)
    other.adopt(suspended().accord(100.0, 1e9), settings(), 5.0, 1000.0)
    assert other.gate(5.0).wait_s == 60.0


def test_an_open_circuit_is_taken_over_and_closes_when_another_says_so() -> None:
    one = Standing(8, 60.0, 0.0)
    for _ in range(5):
        one.learn(DOWN, one.ticket, settings(), 100.0, 0.5)
    told = one.accord(100.0, 1000.0)
    assert told.kind == OPEN
    other = Standing(8, 60.0, 0.0)
    ticket = other.ticket
    other.adopt(told, settings(), 5.0, 1000.0)
    assert other.gate(5.0).wait_s == one.gate(100.0).wait_s > 0
    assert other.state("shop", 5.0, 1000.0).state is State.BACKING_OFF
    other.learn(Verdict(Action.DELIVERED, Reason.NONE, "0", ""), ticket, settings(), 5.0, 0.5)
    assert other.gate(5.0).wait_s > 0, "an answer from before says nothing"
    other.adopt(Accord(), settings(), 6.0, 1001.0)
    assert other.gate(6.0) == (0.0, 8, False)
    assert other.state("shop", 6.0, 1001.0).state is State.ACTIVE


def test_reasons_of_a_newer_version_are_left_alone() -> None:
    other = Standing(8, 60.0, 0.0)
    other.adopt(suspended().accord(100.0, 1000.0)._replace(reason="invented_later"), settings(), 5.0, 1000.0)
    assert not other.held


class Shared:
    """A bucket in memory, and the talk of one process; ``down`` = nobody answers."""

    def __init__(self, kept: dict[str, Entry], pod: str) -> None:
        self.kept, self.pod, self.down = kept, pod, False

    def bucket(self, name: str, history: int = 1) -> "Shared":
        return self

    def say(self, topic: str, words: bytes) -> None: ...

    def hear(self, topic: str, told: Any) -> None: ...

    def _answer(self) -> None:
        if self.down:
            raise BucketAway("down")

    async def entries(self, prefix: str) -> list[Entry]:
        self._answer()
        return [entry for entry in self.kept.values() if entry.key.startswith(f"{prefix}.")]

    async def keys(self, prefix: str) -> list[str]:
        return [entry.key for entry in await self.entries(prefix)]

    async def entry(self, key: str) -> Entry | None:
        self._answer()
        return self.kept.get(key)

    async def put(self, key: str, value: bytes, after: int | None = None, ttl_s: float = 0.0) -> int | None:
        self._answer()
        await asyncio.sleep(0)
        before = self.kept[key].revision if key in self.kept else 0
        if after is not None and after != before:
            return None
        revision = max((entry.revision for entry in self.kept.values()), default=0) + 1
        self.kept[key] = Entry(key, value, revision)
        return revision

    async def remove(self, key: str) -> None:
        self._answer()
        self.kept.pop(key, None)

    async def bounds(self) -> tuple[int, int]:
        raise NotImplementedError

    async def at(self, revision: int) -> Entry | None:
        raise NotImplementedError


async def test_of_many_that_would_probe_one_may() -> None:
    kept: dict[str, Entry] = {}
    pods = [Shared(kept, str(number)) for number in range(5)]
    councils = [Council(each, 10.0, Metrics(), lambda _: None) for each in pods]
    standings = [suspended() for _ in pods]
    seats = [council.seat("shop", standing, settings) for council, standing in zip(councils, standings, strict=True)]
    allowed = await asyncio.gather(*(seat.claim() for seat in seats))
    assert sorted(allowed) == [False, False, False, False, True]
    assert await seats[allowed.index(True)].claim(), "it may again: nobody has come between"
    entry = kept["lane.shop._"]
    kept["lane.shop._"] = entry._replace(value=b"junk", revision=1000)
    assert not await seats[0].claim(), "somebody has written"
    assert await seats[0].claim()


async def test_a_word_about_other_settings_is_no_word() -> None:
    kept: dict[str, Entry] = {}
    old, new = suspended(), Standing(8, 60.0, 0.0)
    one = Council(Shared(kept, "1"), 10.0, Metrics(), lambda _: None).seat("shop", old, settings)
    assert await one.claim()
    other = Council(Shared(kept, "2"), 10.0, Metrics(), lambda _: None).seat(
        "shop", new, lambda: settings(access_token="secret-2")
    )
    other.hear(kept["lane.shop._"])
    assert not new.held
    other.speak()
    await asyncio.sleep(0.01)
    told = read(kept["lane.shop._"].value)
    assert told is not None
    assert told.kind == SUSPENDED, "it is still true for those who have the old token"


async def test_without_the_bucket_each_goes_by_its_own_state_and_says_so(caplog: Any) -> None:
    together = Shared({}, "1")
    together.down = True
    council = Council(together, 10.0, Metrics(), lambda _: None)
    await council.start()
    seat = council.seat("shop", suspended(), settings)
    assert await seat.claim()
    assert await seat.claim()
    assert caplog.messages.count("deliverers cannot agree; each goes by its own state until they can") == 1
    together.down = False
    await council.close()
