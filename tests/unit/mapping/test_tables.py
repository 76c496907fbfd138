"""The tables equal the collected facts, and the presets equal the manual."""

import json
from pathlib import Path

import pytest

from gateway.mapping import tiktok
from gateway.mapping.names import TIKTOK_NAMES, TIKTOK_SPELLINGS, canonical
from gateway.mapping.presets import PRESETS

FACTS = json.loads((Path(__file__).parents[2] / "vectors" / "tiktok-events-api.json").read_text())
FIELDS = {field["field"]: field for field in FACTS["property_fields"]}
KINDS = {
    "string": tiktok.STRINGS | set(tiktok.ENUMS),
    "number": tiktok.NUMBERS,
    "integer": tiktok.INTEGERS,
    "string[]": tiktok.STRING_LISTS,
}
APART = {"contents", "currency", "value", "num_items", "search_string", "query", "mileage", "preferred_price_range"}
"""Fields with a rule of their own."""


def names(status: str) -> set[str]:
    return {event["name"] for event in FACTS["event_names"]["web"] if event["status"] == status}


def test_event_names():
    assert names("standard") == tiktok.STANDARD_EVENTS
    assert names("page_view") == {tiktok.PAGE_VIEW}
    assert names("legacy_accepted") == set(tiktok.LEGACY_EVENTS)
    assert names("retiring_2027") == set(tiktok.RETIRING_EVENTS)
    assert len(TIKTOK_SPELLINGS) == len(FACTS["event_names"]["web"])


def test_renamed_events_have_the_new_names():
    replaced = {
        event["name"]: event.get("replaced_by", "") for event in FACTS["event_names"]["web"] if event["status"] != "standard"
    }
    assert replaced == {**tiktok.LEGACY_EVENTS, **tiktok.RETIRING_EVENTS, "Pageview": ""}
    assert TIKTOK_NAMES["completepayment"] == "Purchase"


def test_currencies():
    assert set(FACTS["currencies"]["codes"]) == tiktok.CURRENCIES
    assert len(tiktok.CURRENCIES) == 62


def test_enumerations():
    given = {name: tuple(field["enum"]) for name, field in FIELDS.items() if "enum" in field}
    assert given == {**tiktok.ENUMS, "mileage": tiktok.MILEAGE_UNITS}


@pytest.mark.parametrize("field", sorted(name for name in FIELDS if not name.startswith("contents[]") and name not in APART))
def test_every_property_has_its_documented_type(field: str):
    assert field in KINDS[FIELDS[field]["type"]]


def test_no_property_is_made_up():
    assert set().union(*KINDS.values()) <= set(FIELDS)


def test_user_fields():
    web = {field["field"]: field for field in FACTS["user_fields"] if "web" in field["scope"]}
    assert set(web) == tiktok.USER_FIELDS
    assert {name for name, field in web.items() if field["hash"] == "sha256"} == tiktok.HASHED_USER_FIELDS
    assert not tiktok.USER_FIELDS & set(tiktok.MISNAMED_USER_FIELDS)
    assert set(tiktok.MISNAMED_USER_FIELDS.values()) <= tiktok.USER_FIELDS


def test_contents_fields():
    texts = {
        name.removeprefix("contents[].")
        for name, field in FIELDS.items()
        if name.startswith("contents[]") and field["type"] == "string"
    }
    assert texts == tiktok.CONTENT_STRINGS


def test_spoken_options_lead_to_documented_ones():
    for field, spoken in tiktok.SPOKEN.items():
        options = tiktok.MILEAGE_UNITS if field == "mileage" else tiktok.ENUMS[field]
        assert set(spoken.values()) <= set(options)
        assert all(word == canonical(word) for word in spoken)


def test_presets_have_no_rows_of_their_own():
    """What the manual's rows lead to is tested in test_manual.py; here, that there are no others."""
    assert {name: len(preset.events) for name, preset in PRESETS.items()} == {
        "retail": 9,
        "travel": 8,
        "automotive": 11,
        "b2b_saas": 9,
    }


def test_presets_send_only_names_tiktok_knows():
    assert {target for preset in PRESETS.values() for target in preset.events.values()} <= TIKTOK_SPELLINGS
