"""The presets as data (pure): source event → TikTok event, per industry. Source: Signal's TikTok integration manual."""

from typing import Literal, NamedTuple

PresetName = Literal["retail", "travel", "automotive", "b2b_saas"]


class Preset(NamedTuple):
    """One industry's table."""

    title: str
    content_type: str
    """TikTok's content_type where the event does not say."""
    derives_content_ids: bool
    """Catalogue ads of this industry match on ``content_ids``: they are taken from the contents."""
    events: dict[str, str]


PRESETS: dict[str, Preset] = {
    "retail": Preset(
        "Retail", "product", False,
        {
            "page": "Pageview",
            "Products Searched": "Search",
            "Product Viewed": "ViewContent",
            "Product Added to Wishlist": "AddToWishlist",
            "Product Added": "AddToCart",
            "Checkout Started": "InitiateCheckout",
            "Payment Info Entered": "AddPaymentInfo",
            "Order Completed": "Purchase",
            "Lead Submitted": "Lead",
        },
    ),
    "travel": Preset(
        "Travel", "hotel", True,
        {
            "page": "Pageview",
            "Destination Searched": "Search",
            "Listing Viewed": "ViewContent",
            "Listing Saved": "AddToWishlist",
            "Booking Started": "InitiateCheckout",
            "Payment Info Entered": "AddPaymentInfo",
            "Booking Completed": "Purchase",
            "Lead Submitted": "Lead",
        },
    ),
    "automotive": Preset(
        "Automotive", "vehicle", True,
        {
            "page": "Pageview",
            "vehicle_searched": "Search",
            "vehicle_viewed": "ViewContent",
            "vehicle_compared": "ViewContent",
            "vehicle_saved": "AddToWishlist",
            "brochure_downloaded": "Download",
            "finance_quote_requested": "SubmitForm",
            "trade_in_valued": "SubmitForm",
            "test_drive_booked": "Lead",
            "dealer_contacted": "Contact",
            "service_appointment_booked": "Subscribe",
        },
    ),
    "b2b_saas": Preset(
        "B2B / SaaS", "product", False,
        {
            "page": "Pageview",
            "Signed Up": "CompleteRegistration",
            "Lead Submitted": "Lead",
            "Demo Requested": "Lead",
            "Contact Requested": "Contact",
            "Trial Started": "StartTrial",
            "Subscription Started": "Subscribe",
            "Application Submitted": "SubmitApplication",
            "Content Downloaded": "Download",
        },
    ),
}  # fmt: skip
