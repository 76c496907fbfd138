"""TikTok's vocabulary as tables (pure): event names, currencies, property types, enumerations.

Law: facts only, from TikTok's endpoint page and help centre; easy to correct when TikTok changes them. A test compares them with the collected facts in
``tests/vectors/tiktok-events-api.json``.
"""

from typing import Final

STANDARD_EVENTS = frozenset(
    """
    AddPaymentInfo AddToCart AddToWishlist ApplicationApproval CompleteRegistration Contact CustomizeProduct Download FindLocation InitiateCheckout
    Lead Purchase Schedule Search StartTrial SubmitApplication Subscribe ViewContent
""".split()
)
"""Standard web events."""
PAGE_VIEW = "Pageview"
LEGACY_EVENTS = {"CompletePayment": "Purchase", "SubmitForm": "Lead"}
"""Renamed on 1 May 2025; old names are still accepted and mapped by TikTok itself."""
RETIRING_EVENTS = {"PlaceAnOrder": "Purchase", "ClickButton": ""}
"""Ending in 2027."""

CURRENCIES: Final = frozenset(
    """
    AED ARS AUD BDT BHD BIF BOB BRL CAD CHF CLP CNY COP CRC CZK DKK DZD EGP EUR GBP GTQ HKD HNL HUF IDR ILS INR ISK JPY KES KHR KRW KWD KZT MAD MOP MXN MYR
    NGN NIO NOK NZD OMR PEN PHP PKR PLN PYG QAR RON RUB SAR SEK SGD THB TRY TWD UAH USD VES VND ZAR
""".split()
)

STRINGS = frozenset(
    """
    description order_id shop_id status city region country checkin_date checkout_date departing_departure_date returning_departure_date
    origin_airport destination_airport departing_arrival_date returning_arrival_date travel_start travel_end postal_code make model exterior_color
    interior_color trim vin viewcontent_type search_type registration_type
""".split()
)
NUMBERS = frozenset("predicted_ltv num_adults num_children num_infants user_score preferred_num_stops".split())
INTEGERS = frozenset({"year"})
STRING_LISTS = frozenset("content_ids suggested_hotels destination_ids suggested_destinations".split())
ENUMS: dict[str, tuple[str, ...]] = {
    "content_type": ("product", "product_group", "hotel", "flight", "destination", "vehicle"),
    "customer_type": ("new", "returning"),
    "delivery_category": ("in_store", "curbside", "home_delivery"),
    "travel_class": ("eco", "prem", "bus", "first"),
    "state_of_vehicle": ("New", "Used", "CPO"),
    "transmission": ("Automatic", "Manual", "Other"),
    "body_style": ("Convertible", "Coupe", "Hatchback", "Minivan", "Truck", "SUV", "Sedan", "Van", "Wagon", "Crossover", "Other"),
    "fuel_type": ("Diesel", "Electric", "Flex", "Gasoline", "Hybrid", "Other"),
    "drivetrain": ("AWD", "FOUR_WD", "FWD", "RWD", "TWO_WD", "Other"),
    "condition_of_vehicle": ("Excellent", "Good", "Fair", "Poor", "Other"),
}
MILEAGE_UNITS = ("MI", "KM")
SPOKEN: dict[str, dict[str, str]] = {
    "travel_class": {"economy": "eco", "premium": "prem", "premiumeconomy": "prem", "business": "bus", "firstclass": "first"},
    "state_of_vehicle": {"preowned": "Used", "certified": "CPO", "certifiedpreowned": "CPO"},
    "transmission": {"auto": "Automatic"},
    "fuel_type": {"petrol": "Gasoline", "gas": "Gasoline", "ev": "Electric", "bev": "Electric", "flexfuel": "Flex"},
    "drivetrain": {"4wd": "FOUR_WD", "4x4": "FOUR_WD", "2wd": "TWO_WD"},
    "delivery_category": {"pickup": "in_store", "delivery": "home_delivery"},
    "mileage": {"mile": "MI", "miles": "MI", "kilometer": "KM", "kilometers": "KM", "kilometre": "KM", "kilometres": "KM"},
}
"""What people say for some of these options, as letters and digits in lower case."""

USER_FIELDS = frozenset(
    """
    email phone external_id first_name last_name zip_code city state country ttclid ttp ip user_agent locale
""".split()
)
MISNAMED_USER_FIELDS = {
    "phone_number": "phone", "sha256_email": "email", "sha256_phone_number": "phone", "zip": "zip_code", "postal_code": "zip_code", "user_agents": "user_agent",
    "callback": "ttclid", "region": "state", "firstname": "first_name", "lastname": "last_name",
}  # fmt: skip
"""Names of other interfaces and of the browser pixel, which the Events API silently ignores."""
CONTENT_STRINGS = frozenset("content_id content_name content_category brand".split())
HASHED_USER_FIELDS = frozenset("email phone external_id first_name last_name zip_code".split())
MAX_EVENT_NAME = 100
MAX_TTCLID = 1000
"""The longest click id that TikTok documents; longer ones are sent whole all the same."""
