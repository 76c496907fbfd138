"""Which order a data item stands for (pure).

Law: thank-you pages are visited again, days later and with another event_id; the order's id is what tells. An order counts as sent only when TikTok has taken it, so
what waits, is retried or died does not keep another try from going out.
"""

from collections.abc import Mapping
from hashlib import blake2b
from typing import Any

PURCHASES = frozenset({"Purchase", "CompletePayment"})
"""TikTok's names for an order that was paid; native events may still use the older one."""
WAIT_S = 5.0
"""While one purchase of an order is under way, another of the same order waits this long to learn what became of it."""


def order_key(lane: str, item: Mapping[str, Any]) -> int:
    """64 bits (signed) that stand for the item's order in ``lane``; 0 if it is no purchase or names no order. The same in every process: it is stored."""
    if item.get("event") not in PURCHASES:
        return 0
    properties = item.get("properties")
    order = properties.get("order_id") if isinstance(properties, dict) else None
    if not isinstance(order, str) or not order.strip():
        return 0
    digest = blake2b(f"{lane}\0{order.strip()}".encode("utf-8", "replace"), digest_size=8).digest()
    return int.from_bytes(digest, "big", signed=True) or 1
