"""The manual's tables, row by row: every preset, any spelling, GA4 names; and the field rules on a whole event."""

from typing import Any

import pytest

from gateway.mapping.compile import Mapped, Program, Unmapped
from gateway.outcome import Outcome, Reason
from gateway.sandbox import validate

MANUAL: dict[str, dict[str, str]] = {
    "retail": {
        "page": "Pageview", "Products Searched": "Search", "Product Viewed": "ViewContent", "Product Added to Wishlist": "AddToWishlist",
        "Product Added": "AddToCart", "Checkout Started": "InitiateCheckout", "Payment Info Entered": "AddPaymentInfo",
        "Order Completed": "Purchase", "Lead Submitted": "Lead",
    },
    "travel": {
        "page": "Pageview", "Destination Searched": "Search", "Listing Viewed": "ViewContent", "Listing Saved": "AddToWishlist",
        "Booking Started": "InitiateCheckout", "Payment Info Entered": "AddPaymentInfo", "Booking Completed": "Purchase", "Lead Submitted": "Lead",
    },
    "automotive": {
        "page": "Pageview", "vehicle_searched": "Search", "vehicle_viewed": "ViewContent", "vehicle_compared": "ViewContent",
        "vehicle_saved": "AddToWishlist", "brochure_downloaded": "Download", "finance_quote_requested": "SubmitForm",
        "trade_in_valued": "SubmitForm", "test_drive_booked": "Lead", "dealer_contacted": "Contact", "service_appointment_booked": "Subscribe",
    },
    "b2b_saas": {
        "page": "Pageview", "Signed Up": "CompleteRegistration", "Lead Submitted": "Lead", "Demo Requested": "Lead", "Contact Requested": "Contact",
        "Trial Started": "StartTrial", "Subscription Started": "Subscribe", "Application Submitted": "SubmitApplication",
        "Content Downloaded": "Download",
    },
}  # fmt: skip
ROWS = [(preset, source, target) for preset, rows in MANUAL.items() for source, target in rows.items()]


def sealed(name: str, properties: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {
        "v": 1, "wire": "signal", "type": "page" if name == "page" else "track", "name": name, "event_id": "e1", "time": 1_795_000_000,
        "received": 1_795_000_000.5, "pipeline": "shop", "user": {"external_id": "a" * 64}, "page": {"url": "https://shop.example.com/"},
        "properties": properties or {}, "consent": {"granted": ["marketing"], "source": "event"}, **more,
    }  # fmt: skip


def item(program: Program, event: dict[str, Any]) -> dict[str, Any]:
    mapped = program.apply(event)
    assert isinstance(mapped, Mapped), mapped
    validate.request({"event_source": "web", "event_source_id": "C1", "data": [mapped.item]})
    return mapped.item


@pytest.mark.parametrize(("preset", "source", "target"), ROWS)
def test_every_row_of_the_manual(preset: str, source: str, target: str) -> None:
    """SubmitForm may go out under its new name, Lead."""
    sent = item(Program(preset=preset), sealed(source))["event"]
    assert sent == target or (target == "SubmitForm" and sent == "Lead")


@pytest.mark.parametrize(
    "name", ["Order Completed", "order_completed", "orderCompleted", "ORDER-COMPLETED", "purchase", "Purchase", "CompletePayment"]
)
def test_any_spelling_of_a_purchase(name: str) -> None:
    """Ours, GA4's and TikTok's own, old and new."""
    assert item(Program(), sealed(name))["event"] == "Purchase"


@pytest.mark.parametrize(("preset", "name", "target"), [("retail", "begin_checkout", "InitiateCheckout"), ("travel", "begin_checkout", "InitiateCheckout"),
                                                       ("b2b_saas", "sign_up", "CompleteRegistration"), ("travel", "purchase", "Purchase")])  # fmt: skip
def test_ga4_names_resolve_through_the_presets_own_rows(preset: str, name: str, target: str) -> None:
    assert item(Program(preset=preset), sealed(name))["event"] == target


def test_what_no_row_names_is_dropped_or_passed_on() -> None:
    """By default_action; the pixel's and the native wire always pass theirs."""
    dropped = Program().apply(sealed("Newsletter Opened"))
    assert isinstance(dropped, Unmapped)
    assert (dropped.outcome, dropped.reason) == (Outcome.FILTERED, Reason.UNMAPPED)
    assert item(Program(default_action="passthrough"), sealed("Newsletter Opened"))["event"] == "Newsletter Opened"
    for wire in ("pixel", "native"):
        assert item(Program(), sealed("Newsletter Opened", wire=wire))["event"] == "Newsletter Opened"


def test_the_field_rules_on_a_purchase() -> None:
    """Strings become numbers, ids strings, items are counted, an unknown currency is left out with a finding."""
    properties = {
        "revenue": "99.95", "currency": "eur", "order_id": 1001,
        "products": [{"product_id": 42, "name": "Shoe", "price": "40.00", "quantity": 2}, {"sku": "S-1", "price": 19.95, "quantity": 1}],
    }  # fmt: skip
    built = item(Program(), sealed("Order Completed", properties))["properties"]
    assert built["value"] == 99.95
    assert built["currency"] == "EUR"
    assert built["order_id"] == "1001"
    assert built["num_items"] == 3
    assert built["content_type"] == "product"
    assert [content["content_id"] for content in built["contents"]] == ["42", "S-1"]
    assert built["contents"][0]["price"] == 40.0
    unknown = Program().apply(sealed("Order Completed", properties | {"currency": "XXX"}))
    assert isinstance(unknown, Mapped)
    assert "currency" not in unknown.item["properties"]
    assert any("currency" in finding for finding in unknown.findings)
