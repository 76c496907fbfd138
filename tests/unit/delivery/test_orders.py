"""Which data item is an order's purchase."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.orders import order_key


def purchase(order: Any = "1001", event: str = "Purchase") -> dict[str, Any]:
    return {"event": event, "event_id": "e", "properties": {"order_id": order}}


def test_an_order_is_the_same_whatever_else_is_said() -> None:
    one = order_key("shop", purchase())
    assert (
        one == order_key("shop", {**purchase(" 1001 "), "event_id": "f"}) == order_key("shop", purchase(event="CompletePayment"))
    )
    assert (
        len({one, order_key("shop", purchase("1002")), order_key("other", purchase()), order_key("shop|TEST1", purchase())}) == 4
    )


def test_it_is_the_same_in_every_process() -> None:
    """It is stored: a salted hash would forget every order at a restart."""
    assert order_key("shop", purchase()) == 7566817239733723271


@pytest.mark.parametrize(
    "item",
    [
        {},
        purchase(event="AddToCart"),
        purchase(""),
        purchase("  "),
        purchase(7),
        purchase(None),
        {"event": "Purchase"},
        {"event": "Purchase", "properties": []},
    ],
)
def test_what_names_no_order_is_none(item: dict[str, Any]) -> None:
    assert order_key("shop", item) == 0


@given(st.text(), st.text())
def test_any_order_id_gives_a_key_that_can_be_stored(lane: str, order: str) -> None:
    assert -(2**63) <= order_key(lane, purchase(order)) < 2**63
