"""The preset's table of fields for people to read (pure): what each of TikTok's fields is made of where nothing is mapped.

Law: it describes :mod:`gateway.mapping.properties`, :mod:`gateway.mapping.contents` and the sealer, first source first; what those read under the field's own name is listed as
such. A test tries every source, so that it says nothing that does not happen.
"""

from typing import NamedTuple

from gateway.event import fields as spellings
from gateway.mapping import contents, properties
from gateway.mapping.presets import PRESETS

_IDENTITY = ("email", "phone", "external_id", "first_name", "last_name")
_PLACES = ("city", "state", "country", "zip_code")
_VISIT = {
    "ttclid": "the click id of the landing page, kept in a cookie",
    "ttp": "the browser id of TikTok's or our own cookie",
    "ip": "the visitor's address",
    "user_agent": "the visitor's browser",
}


class Described(NamedTuple):
    """One field of the data item."""

    target: str
    """As a field mapping names it."""
    sources: tuple[str, ...]
    """Where it is looked for in an event, in this order."""
    note: str = ""
    """What stands in where none of them has anything."""


def described(preset: str) -> list[Described]:
    """The fields of an industry's events; those that are read under their own name are :func:`namesakes`."""
    table = PRESETS[preset]
    kind = f"{table.content_type}, where there are contents"
    if table.content_type == "hotel":
        kind = "destination for Search, flight where the event speaks of one, else hotel"
    return [
        Described("properties.value", _properties(*properties.VALUE_KEYS), "price × quantity of the contents"),
        Described("properties.currency", ("properties.currency",)),
        *(
            Described(f"contents[].{field}", tuple(f"products[].{key}" for key in (*keys, *(table.id_keys if field == "content_id" else ()))))
            for field, keys in contents.KEYS.items()
        ),
        Described("properties.content_type", ("properties.content_type", "products[].content_type"), kind),
        Described("properties.num_items", ("properties.num_items",), "the quantities of the contents"),
        *(
            [Described("properties.content_ids", ("properties.content_ids",), "the ids of the contents")]
            if table.derives_content_ids
            else []
        ),
        *(Described(f"properties.{target}", _properties(*keys)) for target, keys in properties.FALLBACKS),
        Described("page.url", ("context.page.url",), "the page that sends the event"),
        Described("page.referrer", ("context.page.referrer",)),
        Described("event_id", ("messageId",), "an id made at the edge"),
        *(Described(f"user.{field}", _spoken(field), "the visitor's anonymous id" if field == "external_id" else "") for field in _IDENTITY),
        *(Described(f"user.{field}", (f"traits.{field}",)) for field in _PLACES),
        *(Described(f"user.{field}", (), note) for field, note in _VISIT.items()),
    ]  # fmt: skip


def namesakes(preset: str) -> list[str]:
    """TikTok's other properties, taken where an event has one of that name."""
    told = {field.target.removeprefix("properties.") for field in described(preset)}
    return sorted({*properties.NAMESAKES} - told)


def _properties(*keys: str) -> tuple[str, ...]:
    return tuple(f"properties.{key}" for key in keys)


def _spoken(field: str) -> tuple[str, ...]:
    """The usual spelling; the others are told by the documentation of identity."""
    first = next(spelling for spelling, meant in spellings.PERSON_KEYS.items() if meant == field)
    own = (f"traits.{first}", f"properties.{first}")
    return (*own, "userId") if field == "external_id" else own
