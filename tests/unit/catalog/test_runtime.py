"""The compiled catalogue: which pipeline a request belongs to, what each of them carries, and cookie domains."""

from typing import Any

import pytest

from gateway.catalog.domains import Domains, registrable
from gateway.catalog.model import IntegrationSettings, PipelineSettings
from gateway.catalog.runtime import EMPTY, Catalogue, Live, Pipeline, compile_catalogue
from gateway.errors import BadInput, SpoolUnavailable
from gateway.outcome import Reason


def catalogue(*pipelines: dict[str, Any], integrations: tuple[dict[str, Any], ...] = (), off: tuple[str, ...] = ()) -> Catalogue:
    return compile_catalogue(
        [PipelineSettings.model_validate({"key": f"dk_{entry['id']}", **entry}) for entry in pipelines],
        [IntegrationSettings.model_validate({"pixel_code": "C4", **entry}) for entry in integrations],
        b"k" * 32,
        off,
    )


def only(**entry: Any) -> Pipeline:
    return catalogue({"id": "shop", **entry}).pipelines[0]


def refusal(found: Catalogue, key: str, host: str) -> Reason:
    with pytest.raises(BadInput) as caught:
        found.pipeline(key, host)
    return caught.value.reason


# -- which pipeline


def test_by_key_first():
    found = catalogue({"id": "a", "domains": ["a.example.com"]}, {"id": "b"})
    assert found.pipeline("dk_b", "a.example.com").id == "b"
    assert refusal(found, "dk_c", "a.example.com") is Reason.UNKNOWN_KEY
    assert refusal(catalogue({"id": "a"}), "dk_c", "") is Reason.UNKNOWN_KEY


def test_the_only_one_serves_without_a_key():
    assert catalogue({"id": "a", "domains": ["a.example.com"]}).pipeline("", "other.example.org").id == "a"
    assert refusal(EMPTY, "", "a.example.com") is Reason.UNKNOWN_PIPELINE


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("shop.example.com", "exact"), ("x.shop.example.com", "near"), ("y.x.shop.example.com", "near"), ("www.example.com", "wide"), ("example.com", "any"),
        ("notexample.com", "any"), ("shop.example.com.evil.example", "any"), ("", "any"), (".example.com", "any"),
    ],
)  # fmt: skip
def test_the_closest_host_wins_whatever_the_order(host: str, expected: str):
    entries = [
        {"id": "any"}, {"id": "wide", "domains": ["*.example.com"]}, {"id": "near", "domains": ["*.shop.example.com"]}, {"id": "exact", "domains": ["b.example", "shop.example.com"]},
    ]  # fmt: skip
    for order in (entries, entries[::-1]):
        assert catalogue(*order).pipeline("", host).id == expected


def test_several_for_any_host_cannot_be_told_apart():
    assert refusal(catalogue({"id": "a"}, {"id": "b"}), "", "a.example.com") is Reason.UNKNOWN_PIPELINE
    assert (
        refusal(
            catalogue({"id": "a", "domains": ["a.example.com"]}, {"id": "b", "domains": ["b.example.com"]}), "", "c.example.com"
        )
        is Reason.UNKNOWN_PIPELINE
    )


def test_what_may_be_off_is_asked_for_later_and_never_given_to_another():
    found = catalogue({"id": "a"}, off=("pipelines.b",))
    assert found.pipeline("dk_a", "").id == "a"
    for key, host in (("dk_b", ""), ("", "b.example.com")):
        with pytest.raises(SpoolUnavailable):
            found.pipeline(key, host)
    assert catalogue({"id": "a"}, off=("integrations.x",)).pipeline("", "b.example.com").id == "a"


# -- hosts and cookies


@pytest.mark.parametrize(
    ("domains", "host", "serves", "cookie"),
    [
        ([], "anything.example.com", True, ""), (["shop.example.com"], "shop.example.com", True, "example.com"), (["shop.example.com"], "example.com", False, ""),
        (["*.example.com"], "a.b.example.com", True, "example.com"), (["*.example.com"], "example.com", False, ""), (["*.example.com"], "badexample.com", False, ""),
        (["shop.example.co.uk"], "shop.example.co.uk", True, "example.co.uk"), (["*.shop.example.co.uk"], "x.shop.example.co.uk", True, "example.co.uk"),
        (["localhost"], "localhost", True, ""), (["127.0.0.1"], "127.0.0.1", True, ""), (["co.uk"], "co.uk", True, ""), (["*.co.uk"], "shop.co.uk", True, ""),
        (["*.github.io"], "me.github.io", True, ""), (["me.github.io"], "me.github.io", True, "me.github.io"), (["xn--mnchen-3ya.de"], "xn--mnchen-3ya.de", True, "xn--mnchen-3ya.de"),
        (["a.example.com", "b.example.org"], "b.example.org", True, "example.org"), (["*.example.com", "*.shop.example.com"], "x.shop.example.com", True, "example.com"),
    ],
)  # fmt: skip
def test_serves_and_cookie_domain(domains: list[str], host: str, serves: bool, cookie: str):
    found = only(domains=domains)
    assert found.serves(host) is serves
    assert found.cookie_domain(host) == cookie


def test_a_cookie_domain_never_comes_from_the_host():
    hostile = "shop.example.com.attacker.example"
    assert only(domains=["*.example.com"]).cookie_domain(hostile) == ""
    assert only().cookie_domain(hostile) == ""


def test_ranks():
    found = Domains(["example.com", "*.example.com", "*.a.example.com"])
    assert (
        found.rank("example.com") > found.rank("x.a.example.com") > found.rank("a.example.com") > found.rank("other.example") == 0
    )
    assert registrable("a.b.example.co.uk") == "example.co.uk"


# -- what is compiled


def test_an_integrations_runtime():
    found = catalogue(
        integrations=(
            {
                "id": "tt",
                "access_token": "secret",
                "test_event_code": "TEST1",
                "consent": ["marketing", "analytics"],
                "enabled": False,
            },
        )
    )
    entry = found.integrations["tt"]
    assert (entry.pixel_code, entry.access_token, entry.test_code, entry.lane, entry.consent, entry.enabled) == (
        "C4", "secret", "TEST1", "tt|TEST1", ("marketing", "analytics"), False,
    )  # fmt: skip
    assert found.lanes() == []
    assert entry.program.target("signal", "track", "order_completed") == "Purchase"


def test_settings_reach_the_program():
    entry = {
        "id": "tt", "preset": "travel", "default_action": "passthrough", "limited_data_use": True, "send": {"email": False},
        "global": {"mappings": [{"default": "EUR", "target": "properties.currency"}]}, "events": {"Booking Completed": {"vendor_event_name": "Subscribe"}},
        "defaults": {"mappings": [{"default": 1, "target": "properties.value"}]},
    }  # fmt: skip
    found = catalogue(integrations=(entry,)).integrations["tt"].program
    event = {
        "v": 1, "wire": "signal", "type": "track", "name": "purchase", "event_id": "e", "time": 1_750_000_000, "received": 0.0, "pipeline": "shop", "user": {"email": "x", "ttp": "y"},
        "page": {}, "properties": {}, "consent": {},
    }  # fmt: skip
    item = found.apply(event).item
    assert (item["event"], item["user"], item["properties"], item["limited_data_use"]) == (
        "Subscribe",
        {"ttp": "y"},
        {"currency": "EUR"},
        True,
    )
    assert found.apply(event | {"name": "Wheel Spun"}).item["properties"] == {"currency": "EUR", "value": 1}


def test_a_pipelines_integrations():
    found = catalogue(
        {"id": "a", "integrations": ["x", "y", "x", "gone"], "secret": "s3"},
        {"id": "b", "integrations": ["y"]},
        integrations=({"id": "x", "consent": []}, {"id": "y"}, {"id": "z"}),
    )
    first, second = found.pipelines
    assert [entry.id for entry in first.integrations] == ["x", "y"]
    assert first.integrations[1] is second.integrations[0]
    assert (first.secret, second.secret) == (b"s3", b"")
    assert first.required == ((), ("marketing",))
    assert (first.broken, second.broken) == (("gone",), ())
    assert found.lanes() == ["x", "y", "z"]


def test_one_sealer_for_each_region():
    first, second, third = catalogue(
        {"id": "a", "default_region": "GB"}, {"id": "b", "default_region": "GB"}, {"id": "c"}
    ).pipelines
    assert first.sealer is second.sealer
    assert first.sealer is not third.sealer


def test_a_swap_tells_those_who_listen():
    live, heard = Live(), []
    live.listeners.append(lambda: heard.append(live.current))
    new = catalogue({"id": "a"})
    live.swap(new)
    assert live.current is new
    assert heard == [new]
