"""Event names in any spelling (pure).

Law: two names are the same if they differ only in case and separators: ``Order Completed`` = ``order_completed`` = ``orderCompleted``. Every table of names is
keyed by :func:`canonical`.
"""

from typing import Final

from gateway.mapping import tiktok

_MEMO: Final = 4096
"""Names remembered: they are the senders' and there may be any number of them."""
_seen: Final[dict[str, str]] = {}


def canonical(name: str) -> str:
    """The name's letters and digits in lower case; a name without any stays as it is, so that ``***`` and ``!!!`` differ."""
    found = _seen.get(name)
    if found is None:
        if len(_seen) >= _MEMO:
            _seen.clear()
        found = _seen[name] = "".join(character for character in name.casefold() if character.isalnum()) or name
    return found


GA4_ALIASES = {
    canonical(alias): target
    for alias, target in {
        "view_item": "ViewContent", "add_to_cart": "AddToCart", "add_to_wishlist": "AddToWishlist", "begin_checkout": "InitiateCheckout",
        "add_payment_info": "AddPaymentInfo", "purchase": "Purchase", "search": "Search", "view_search_results": "Search", "generate_lead": "Lead",
        "sign_up": "CompleteRegistration", "page_view": tiktok.PAGE_VIEW,
    }.items()
}  # fmt: skip
"""GA4 name → what it means at TikTok; it counts only if the preset has a row that leads there."""

TIKTOK_SPELLINGS = frozenset({*tiktok.STANDARD_EVENTS, tiktok.PAGE_VIEW, *tiktok.LEGACY_EVENTS, *tiktok.RETIRING_EVENTS})
"""TikTok's own names as TikTok writes them."""
TIKTOK_NAMES = {canonical(name): tiktok.LEGACY_EVENTS.get(name, name) for name in TIKTOK_SPELLINGS}
"""TikTok's own names pass as themselves, in TikTok's spelling; those renamed in 2025 go out under the new name."""
