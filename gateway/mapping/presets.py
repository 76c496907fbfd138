"""The presets as data (pure): source event → TikTok event, per industry.

Law: the rows are those of Signal's TikTok integration manual, in its spelling and order, ``SubmitForm`` (renamed ``Lead`` by TikTok in 2025) included: TikTok takes the
old name, and the manual's other row that leads to ``Lead`` stays apart. Where several rows lead to one event, a GA4 alias means the first.
"""

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
    """Source event, as documented → TikTok's name."""
    id_keys: tuple[str, ...] = ()
    """Names that this industry gives a thing's id, tried after the common ones."""


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
        ("listing_id", "hotel_id", "flight_id", "destination_id"),
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
        ("vehicle_id", "listing_id", "vin"),
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
