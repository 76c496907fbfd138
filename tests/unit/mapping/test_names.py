"""Names: presets in any spelling, GA4 aliases, TikTok's own names, overrides, what passes and what does not."""

import itertools
import re

import pytest
from sealed_events import item, mapped, program, sealed

from gateway.mapping import names, tiktok
from gateway.mapping.compile import Unmapped
from gateway.mapping.names import canonical
from gateway.mapping.presets import PRESETS
from gateway.outcome import Outcome, Reason


def spellings(name: str) -> list[str]:
    words = re.findall(r"[A-Za-z]+", name)
    titled = [word.capitalize() for word in words]
    return [
        " ".join(titled), "_".join(words).lower(), words[0].lower() + "".join(titled[1:]), "-".join(words).upper(), "".join(titled),
        " ".join(words).lower(), "_".join(words).upper(), f"  {'.'.join(words)} ",
    ]  # fmt: skip


ROWS = [
    (preset, source, target) for preset, table in PRESETS.items() for source, target in table.events.items() if source != "page"
]


@pytest.mark.parametrize(("preset", "source", "target"), ROWS)
def test_every_row_in_every_spelling(preset: str, source: str, target: str):
    compiled = program(preset=preset)
    for wire, spelling in itertools.product(("signal", "image", "pixel"), spellings(source)):
        assert compiled.target(wire, "track", spelling) == target, spelling


@pytest.mark.parametrize("preset", PRESETS)
def test_page_views(preset: str):
    assert item(sealed("page"), preset=preset)["event"] == "Pageview"
    assert program(preset=preset).target("signal", "track", "page_view") == "Pageview"


GA4 = {
    "view_item": ("ViewContent", "ViewContent", "ViewContent", ""),
    "add_to_cart": ("AddToCart",) * 4,
    "add_to_wishlist": ("AddToWishlist",) * 4,
    "begin_checkout": ("InitiateCheckout", "InitiateCheckout", "", ""),
    "add_payment_info": ("AddPaymentInfo",) * 4,
    "purchase": ("Purchase",) * 4,
    "search": ("Search",) * 4,
    "view_search_results": ("Search", "Search", "Search", ""),
    "generate_lead": ("Lead", "Lead", "Lead", "Lead"),
    "sign_up": ("", "", "", "CompleteRegistration"),
    "page_view": ("Pageview",) * 4,
}
"""GA4 name → what it becomes under retail, travel, automotive, b2b_saas. Some are TikTok's own name in another spelling, and pass even where no row leads there."""


@pytest.mark.parametrize(
    ("alias", "preset", "target"), [(alias, *pair) for alias, row in GA4.items() for pair in zip(PRESETS, row, strict=True)]
)
def test_ga4_names_by_preset(alias: str, preset: str, target: str):
    assert program(preset=preset).target("signal", "track", alias) == target


@pytest.mark.parametrize(
    ("alias", "preset", "row"),
    [
        ("begin_checkout", "retail", "Checkout Started"),
        ("begin_checkout", "travel", "Booking Started"),
        ("purchase", "retail", "Order Completed"),
        ("purchase", "travel", "Booking Completed"),
        ("view_item", "travel", "Listing Viewed"),
        ("view_item", "automotive", "vehicle_viewed"),
        ("search", "automotive", "vehicle_searched"),
        ("sign_up", "b2b_saas", "Signed Up"),
        ("generate_lead", "b2b_saas", "Lead Submitted"),
    ],
)
def test_ga4_names_take_the_override_of_the_row_they_stand_for(alias: str, preset: str, row: str):
    compiled = program(preset=preset, events={row: {"vendor_event_name": "Mine"}})
    assert compiled.target("signal", "track", alias) == "Mine"
    off = program(preset=preset, events={row: {"enabled": False}}).apply(sealed(alias))
    assert isinstance(off, Unmapped)
    assert off.reason is Reason.EVENT_DISABLED


def test_an_override_by_the_alias_itself_comes_first():
    compiled = program(events={"Order Completed": {"enabled": False}, "purchase": {"vendor_event_name": "Bought"}})
    assert compiled.target("signal", "track", "purchase") == "Bought"
    assert compiled.target("signal", "track", "order_completed") == ""


@pytest.mark.parametrize("name", sorted(tiktok.STANDARD_EVENTS | set(tiktok.RETIRING_EVENTS)))
@pytest.mark.parametrize("preset", PRESETS)
def test_tiktoks_own_names_pass_as_themselves(preset: str, name: str):
    compiled = program(preset=preset)
    for spelling in [*spellings(re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)), name]:
        assert compiled.target("signal", "track", spelling) == name
    assert compiled.target("signal", "track", "PageView") == "Pageview"


def test_tiktoks_own_spelling_is_not_taken_for_the_row():
    compiled = program(events={"Order Completed": {"enabled": False}})
    assert compiled.target("signal", "track", "Purchase") == "Purchase"
    assert compiled.target("signal", "track", "purchase") == ""


@pytest.mark.parametrize(("old", "new"), tiktok.LEGACY_EVENTS.items())
def test_renamed_names_go_out_under_the_new_one_except_beside_a_pixel(old: str, new: str):
    compiled = program()
    assert compiled.target("signal", "track", old) == new
    assert compiled.target("image", "track", old.lower()) == new
    assert compiled.target("pixel", "track", old) == old
    assert compiled.target("native", "track", old) == old


def test_what_nobody_names():
    unmapped = program().apply(sealed("Wheel Spun"))
    assert isinstance(unmapped, Unmapped)
    assert (unmapped.outcome, unmapped.reason) == (Outcome.FILTERED, Reason.UNMAPPED)
    assert "Wheel Spun" in unmapped.detail
    assert item(sealed("Wheel Spun"), default_action="passthrough")["event"] == "Wheel Spun"
    assert item(sealed("Wheel Spun"), defaults={"action": "passthrough"})["event"] == "Wheel Spun"
    assert isinstance(program(default_action="passthrough", defaults={"action": "drop"}).apply(sealed("Wheel Spun")), Unmapped)


@pytest.mark.parametrize("wire", ["pixel", "native"])
def test_what_was_written_for_tiktok_always_passes(wire: str):
    assert item(sealed("Wheel Spun", wire=wire))["event"] == "Wheel Spun"


def test_our_own_ttq_passes_its_names_too():
    by_ttq = {"library": {"name": "ttgateway", "api": "ttq"}}
    assert item(sealed("Wheel Spun", context=by_ttq))["event"] == "Wheel Spun"
    assert item(sealed("CompletePayment", context=by_ttq))["event"] == "CompletePayment"
    for other in ({"library": {"name": "ttgateway"}}, {"library": "ttq"}, {"library": ["ttq"]}, {}):
        assert isinstance(program().apply(sealed("Wheel Spun", context=other)), Unmapped)


def test_native_names_are_not_touched():
    compiled = program(events={"Order Completed": {"vendor_event_name": "Mine"}, "Purchase": {"vendor_event_name": "Mine"}})
    for name in ("Purchase", "Order Completed", "add_to_cart", "PageView", "purchase"):
        assert compiled.target("native", "page" if name == "PageView" else "track", name) == name


def test_a_native_event_can_be_switched_off_by_its_own_name():
    assert program(events={"Purchase": {"enabled": False}}).target("native", "track", "Purchase") == ""


@pytest.mark.parametrize("kind", ["identify", "group"])
def test_identify_and_group_are_sent_only_if_a_mapping_names_an_event(kind: str):
    event = sealed(kind, type=kind)
    assert isinstance(program(default_action="passthrough").apply(event), Unmapped)
    assert item(event, events={kind: {"vendor_event_name": "CompleteRegistration"}})["event"] == "CompleteRegistration"


def test_overrides_in_any_spelling():
    assert item(sealed("order_completed"), events={"ORDER-COMPLETED": {"vendor_event_name": "Subscribe"}})["event"] == "Subscribe"
    assert item(sealed("Wheel Spun"), events={"wheelSpun": {"vendor_event_name": "Contact"}})["event"] == "Contact"
    assert item(sealed("Wheel Spun"), events={"wheel_spun": {}})["event"] == "Wheel Spun"
    assert item(sealed("page"), events={"page": {"vendor_event_name": "ViewContent"}})["event"] == "ViewContent"


def test_names_without_letters_are_told_apart():
    assert canonical("***") != canonical("!!!")
    assert item(sealed("!!!"), events={"***": {"enabled": False}}, default_action="passthrough")["event"] == "!!!"


def test_letters_of_any_script_count():
    assert canonical("Commande Terminée") == canonical("commande-terminée")
    assert item(sealed("注文 完了"), events={"注文完了": {"vendor_event_name": "Purchase"}})["event"] == "Purchase"


def test_a_name_that_reads_like_another_wires_event_is_its_own():
    one = program()
    for wire, kind in itertools.product(("signal", "pixel", "native"), ("track", "page")):
        one.target(wire, kind, "Purchase")
        assert one.target("signal", "track", f"{wire} {kind} Purchase") == ""
    assert one.target("signal", "page", "page") == "Pageview"
    assert one.target("signal", "track", "Purchase") == "Purchase"
    assert one.target("signal", "track", "pixel track Purchase") == ""


def test_any_number_of_names_is_remembered_in_bounded_memory():
    compiled = program(default_action="passthrough")
    for number in range(10_000):
        compiled.apply(sealed(f"name {number}"))
        compiled.apply(sealed(f"name {number}", wire="pixel"))
    assert 0 < len(compiled._tracks) <= 4096
    assert 0 < len(compiled._plans) <= 4096
    assert 0 < len(names._seen) <= 4096
    assert compiled.target("signal", "track", "Order Completed") == "Purchase"


def test_names_are_bounded():
    assert len(item(sealed("n" * 300), default_action="passthrough")["event"]) == 100


@pytest.mark.parametrize(
    "broken", [{"time": 0}, {"time": None}, {"time": "1750000000"}, {"time": 1.5}, {"time": True}, {"event_id": ""}]
)
def test_an_unusable_time_or_id_is_dead(broken: dict[str, object]):
    found = program().apply(sealed(**broken))
    assert isinstance(found, Unmapped)
    assert (found.outcome, found.reason) == (Outcome.DEAD, Reason.INVALID_EVENT)


def test_the_items_frame():
    found = mapped(sealed("Order Completed", {"value": 5, "currency": "EUR"}, event_id=42))
    assert list(found.item) == ["event", "event_time", "event_id", "user", "page", "properties"]
    assert found.item["event_id"] == "42"
    assert found.item["event_time"] == 1_750_000_000
    assert set(found.item["page"]) == {"url", "referrer"}
    assert found.findings == ()
    assert "properties" not in item(sealed("page", {"title": "Home"}))


def test_what_sealing_found_is_told():
    assert mapped(sealed(findings=["user.phone: not valid, omitted"])).findings == ("user.phone: not valid, omitted",)


def test_the_sealed_event_is_not_changed():
    event = sealed("Order Completed", {"products": [{"sku": 1, "price": "2"}], "value": "3"})
    before = repr(event)
    mapped(
        event,
        send={"email": False, "page_query": "drop"},
        events={
            "Order Completed": {
                "mappings": [
                    {"source": "", "default": "x", "target": "contents[].brand"},
                    {"default": "y", "target": "properties.plan"},
                ]
            }
        },
    )
    assert repr(event) == before
