"""The request of an event as people may look at it and repeat it (pure).

Law: it is the request that was made – pixel, test event code, data item – but for what could find a person: that is named in ``<…>``, never shortened, for a shortened hash
would be sent as one that matches nobody. The test event code stands in it: without it a repeated order would count.
"""

from typing import Any

from gateway.mapping.tiktok import HASHED_USER_FIELDS

_HASH_CHARS = 64
_SPOKEN = {"email": "e-mail", "external_id": "external id", "first_name": "first name", "last_name": "last name", "zip_code": "postcode", "phone": "phone number"}  # fmt: skip


def body(pixel_code: str, test_event_code: str, item: dict[str, Any]) -> dict[str, Any]:
    """The body of a request with this data item alone."""
    code = {"test_event_code": test_event_code} if test_event_code else {}
    return {"event_source": "web", "event_source_id": pixel_code, **code, "data": [named(item)]}


def named(item: dict[str, Any]) -> dict[str, Any]:
    """``item`` with names in the place of hashes and of the address."""
    user = item.get("user")
    if not isinstance(user, dict):
        return item
    return {**item, "user": {field: _named(field, value) for field, value in user.items()}}


def _named(field: str, value: Any) -> Any:
    if isinstance(value, list):
        return [_named(field, inner) for inner in value]
    if field == "ip":
        return "<IP address>"
    if field in HASHED_USER_FIELDS:
        return f"<sha256 of the {_SPOKEN[field]}>"
    if isinstance(value, str) and len(value) == _HASH_CHARS:
        return f"<{field}>"
    return value
