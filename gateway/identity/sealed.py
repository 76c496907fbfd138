"""The sealed event (pure): what is stored, mapped, shown and delivered after the raw values are gone.

Law: no raw e-mail, phone number or personal name is ever put into one. It is what :func:`orjson.dumps` writes into the spool;
``v`` changes when a reader of the old shape would misread the new one, and readers keep reading every older ``v``.
"""

from typing import Any, Final, NotRequired, TypedDict

VERSION: Final = 1


class SealedUser(TypedDict, total=False):
    """Identity under TikTok's own field names, hashed where TikTok wants hashes."""

    email: str | list[str]
    phone: str | list[str]
    external_id: str | list[str]
    first_name: str
    last_name: str
    zip_code: str
    city: str
    state: str
    country: str
    ttclid: str
    ttp: str
    ip: str
    user_agent: str
    locale: str


class SealedEvent(TypedDict):
    """One event after sealing. Times are Unix seconds."""

    v: int
    wire: str
    type: str
    name: str
    event_id: str
    time: int
    """When it happened, corrected for the sender's clock (design: timestamp + (received − sentAt))."""
    received: float
    pipeline: str
    user: SealedUser
    page: dict[str, str]
    """url, referrer, title, path, search – personal query values redacted."""
    properties: dict[str, Any]
    traits: NotRequired[dict[str, Any]]
    """Traits without personal fields; for mappings only."""
    context: NotRequired[dict[str, Any]]
    """campaign, device, library …, redacted; for mappings only."""
    consent: dict[str, Any]
    """``{"granted": [categories], "source": "event"}``: the decision this record was accepted under."""
    gpc: NotRequired[bool]
    limited_data_use: NotRequired[bool]
    flags: NotRequired[list[str]]
    """``bot`` where the pipeline flags bots instead of dropping them."""
    findings: NotRequired[list[str]]
    """What the sealer left out or changed, e.g. ``user.phone: not a valid number, omitted``."""
