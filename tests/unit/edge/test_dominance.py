"""One address for all visitors is noticed; who it is stays where it is."""

import random

import pytest
from collect_desk import Desk, event

from gateway.edge.address import Addresses
from gateway.edge.dominance import Dominance


def told(*seconds: dict[str, int]) -> tuple[str, float]:
    found = Dominance()
    for counts in seconds:
        found.second({"shop": sum(counts.values()), **{("shop", address): n for address, n in counts.items()}})
    return found.share()


@pytest.mark.parametrize(
    ("address", "kind"), [("10.0.0.7", "private"), ("8.8.4.4", "public"), ("", "private"), ("fd00::1", "private")]
)
def test_one_for_all_is_told_by_its_kind(address: str, kind: str) -> None:
    assert told(*[{address: 10}] * 20) == (kind, pytest.approx(1.0))


def test_a_share_is_a_share() -> None:
    chance = random.Random(5)
    found = told(*[{"10.0.0.7": 8, f"8.8.{chance.randrange(256)}.{chance.randrange(256)}": 2} for _ in range(100)])
    assert found == ("private", pytest.approx(0.8, abs=0.02))


def test_many_visitors_dominate_nothing() -> None:
    chance = random.Random(6)
    assert told(*[{f"8.{n}.{chance.randrange(256)}.4": 3 for n in range(20)} for _ in range(200)])[1] < 0.1


def test_after_a_change_the_new_one_is_found() -> None:
    assert told(*[{"10.0.0.7": 10}] * 50, *[{"8.8.4.4": 10, "8.8.8.8": 1}] * 400)[0] == "public"


def test_few_events_say_nothing() -> None:
    assert told({"10.0.0.7": 49}) == ("none", 0.0)
    assert told() == ("none", 0.0)


async def test_it_is_in_the_metrics_without_the_address() -> None:
    desk = Desk()
    for _ in range(3):
        await desk.post("e", [event(messageId=None)] * 40)
        desk.now += 1
    text = desk.metrics.render().decode()
    assert 'ttgateway_busiest_address_share{kind="public"} 1.0' in text
    assert "8.8.4.4" not in text


def test_clients_are_counted_by_who_vouches_for_them() -> None:
    addresses = Addresses(["loopback"])
    for peer, headers in (
        ("127.0.0.1", {"x-forwarded-for": "8.8.8.8"}), ("127.0.0.1", {}), ("8.8.4.4", {"x-forwarded-for": "1.1.1.1"}), ("8.8.4.4", {}), ("8.8.4.4", {}),
    ):  # fmt: skip
        addresses.resolve(addresses.key(peer, headers))
    # The last one was known: clients are counted, not their requests.
    assert addresses.seen == {"trusted_forwarding": 1, "trusted_silent": 1, "stranger_forwarding": 1, "stranger": 1}
