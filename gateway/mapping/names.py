"""Event names in any spelling (pure).

Law: two names are the same if they differ only in case and separators: ``Order Completed`` = ``order_completed`` = ``orderCompleted``.
"""

from cachetools import LRUCache

from gateway.mapping import tiktok

_memo: LRUCache[str, str] = LRUCache(4096)


def canonical(name: str) -> str:
    """The name's letters and digits in lower case: the key that all tables of names use."""
    known = _memo.get(name)
    if known is None:
        known = _memo[name] = "".join(character for character in name.casefold() if character.isalnum())
    return known


GA4_ALIASES = {
    canonical(alias): target
    for alias, target in {
        "view_item": "ViewContent", "add_to_cart": "AddToCart", "add_to_wishlist": "AddToWishlist", "begin_checkout": "InitiateCheckout",
        "add_payment_info": "AddPaymentInfo", "purchase": "Purchase", "search": "Search", "view_search_results": "Search", "generate_lead": "Lead",
        "sign_up": "CompleteRegistration", "page_view": "Pageview",
    }.items()
}  # fmt: skip
"""GA4 name → what it means at TikTok; it counts only if the preset has a row that leads there."""

TIKTOK_NAMES = {
    canonical(name): name for name in (*tiktok.STANDARD_EVENTS, tiktok.PAGE_VIEW, *tiktok.RETIRING_EVENTS)
} | {canonical(old): new for old, new in tiktok.LEGACY_EVENTS.items()}  # fmt: skip
"""TikTok's own names pass as themselves, in TikTok's spelling; renamed ones under their new name."""
