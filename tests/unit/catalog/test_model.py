"""Entries as they are written: what is accepted, what is refused with which words, what they contradict among themselves."""

from typing import Any

import pytest
from pydantic import BaseModel, SecretStr, ValidationError

from gateway.catalog.model import IntegrationSettings, PipelineSettings, validate

PIPELINE = {"id": "shop", "key": "dk_live_shop"}
INTEGRATION = {"id": "tiktok", "pixel_code": "C4ABCDEF1234567890AB"}


def pipeline(**more: Any) -> PipelineSettings:
    return PipelineSettings.model_validate(PIPELINE | more)


def integration(**more: Any) -> IntegrationSettings:
    return IntegrationSettings.model_validate(INTEGRATION | more)


def test_what_is_not_said_is_strict_and_private():
    assert (pipeline().domains, pipeline().bots, pipeline().server_consent, pipeline().rate_limit) == (
        [],
        "drop",
        "required",
        1000,
    )
    found = integration()
    assert (found.preset, found.consent, found.enabled, found.default_action, found.access_token) == (
        "retail",
        ["marketing"],
        True,
        "drop",
        None,
    )
    assert found.send.page_query == "keep"
    assert found.limited_data_use is False


@pytest.mark.parametrize(
    ("model", "change"),
    [
        (PipelineSettings, {"id": ""}), (PipelineSettings, {"id": "Shop"}), (PipelineSettings, {"id": "-a"}), (PipelineSettings, {"id": "a|b"}),
        (PipelineSettings, {"id": "a" * 64}), (PipelineSettings, {"key": ""}), (PipelineSettings, {"key": "a b"}), (PipelineSettings, {"rate_limit": 0}),
        (PipelineSettings, {"bots": "maybe"}), (PipelineSettings, {"server_consent": "never"}), (PipelineSettings, {"surprise": 1}),
        (IntegrationSettings, {"id": "a/b"}), (IntegrationSettings, {"pixel_code": ""}), (IntegrationSettings, {"pixel_code": "a b"}),
        (IntegrationSettings, {"vendor": "meta"}), (IntegrationSettings, {"preset": "games"}), (IntegrationSettings, {"limited_data_use": "ccpa"}),
        (IntegrationSettings, {"test_event_code": "a|b"}), (IntegrationSettings, {"consent": ["Marketing!"]}), (IntegrationSettings, {"default_action": "send"}),
        (IntegrationSettings, {"send": {"shoe_size": True}}), (IntegrationSettings, {"events": {"x": {"colour": 1}}}),
        (IntegrationSettings, {"events": {"x": {"vendor_event_name": "n" * 101}}}), (IntegrationSettings, {"events": {"x": {"vendor_event_name": "a\nb"}}}),
    ],
)  # fmt: skip
def test_refused(model: type[BaseModel], change: dict[str, Any]):
    base = PIPELINE if model is PipelineSettings else INTEGRATION
    with pytest.raises(ValidationError):
        model.model_validate(base | change)


@pytest.mark.parametrize(
    ("written", "kept"),
    [
        ("shop.example.com", "shop.example.com"), (" Shop.Example.COM. ", "shop.example.com"), ("*.example.com", "*.example.com"), ("localhost", "localhost"),
        ("127.0.0.1", "127.0.0.1"), ("münchen.example", "xn--mnchen-3ya.example"), ("*.bücher.example", "*.xn--bcher-kva.example"),
    ],
)  # fmt: skip
def test_domains(written: str, kept: str):
    assert pipeline(domains=[written]).domains == [kept]


@pytest.mark.parametrize(
    ("written", "words"),
    [
        ("https://shop.example.com", "without scheme, port and path"), ("shop.example.com:8080", "without scheme, port and path"), ("shop.example.com/x", "without scheme"),
        ("shop_x.example.com", "host name"), ("*", "host name"), ("a.*.com", "host name"), ("", "host name"), ("-a.com", "host name"), ("a..b", "host name"),
        ("é" * 80 + ".com", "host name"), (".".join(["a" * 60] * 5), "host name"),
    ],
)  # fmt: skip
def test_bad_domains(written: str, words: str):
    with pytest.raises(ValidationError, match=words):
        pipeline(domains=[written])


@pytest.mark.parametrize(("written", "kept"), [("GB", "GB"), ("gb", "GB"), ("", ""), (" de ", "DE")])
def test_regions(written: str, kept: str):
    assert pipeline(default_region=written).default_region == kept


@pytest.mark.parametrize(
    ("written", "words"), [("UK", "not UK"), ("Germany", "GB or DE"), ("XX", "GB or DE"), ("+44", "GB or DE")]
)
def test_bad_regions(written: str, words: str):
    with pytest.raises(ValidationError, match=words):
        pipeline(default_region=written)


def test_tokens():
    assert integration(access_token=" abc\n").access_token == SecretStr("abc")
    for nothing in (None, "", "  \n"):
        assert integration(access_token=nothing).access_token is None
    for unusable in ("a b", "a\r\nX: y", "tökén", "x" * 5000):
        with pytest.raises(ValidationError) as caught:
            integration(access_token=unusable)
        assert unusable[:20] not in str(caught.value)
    assert "abc" not in repr(integration(access_token="abc"))


def test_unquoted_numbers_are_codes():
    assert integration(pixel_code=123456, test_event_code=789).pixel_code == "123456"
    assert pipeline(key=42).key == "42"


@pytest.mark.parametrize("model", [PipelineSettings, IntegrationSettings])
def test_every_field_explains_itself(model: type[BaseModel]):
    for name, field in model.model_fields.items():
        assert field.description, name


def test_the_help_says_where_to_get_things():
    for name, words in {
        "pixel_code": ("Events Manager", "Web Events", "overview"), "access_token": ("Events API", "Generate access token", "once"), "test_event_code": ("Test event",),
    }.items():  # fmt: skip
        text = IntegrationSettings.model_fields[name].description or ""
        assert all(word in text for word in words), name


# -- among themselves


def test_nothing_to_say_of_sound_entries():
    assert validate([pipeline(integrations=["tiktok"])], [integration()]) == []
    assert validate([], []) == []


@pytest.mark.parametrize(
    ("pipelines", "integrations", "paths"),
    [
        ([{}, {"key": "other"}], [], ["pipelines.1.id"]),
        ([{}, {"id": "b"}], [], ["pipelines.1.key"]),
        ([{}, {}, {}], [], ["pipelines.1.id", "pipelines.2.id", "pipelines.1.key", "pipelines.2.key"]),
        ([], [{}, {}], ["integrations.1.id"]),
        ([{"integrations": ["none", "tiktok", "other"]}], [{}], ["pipelines.0.integrations.0", "pipelines.0.integrations.2"]),
        ([{"integrations": ["tiktok"]}], [], ["pipelines.0.integrations.0"]),
        ([], [{"vendor": "tiktok", "preset": "b2b_saas"}], ["integrations.0.preset"]),
        ([], [{"vendor": "tiktok", "preset": "travel"}, {"id": "b", "preset": "b2b_saas"}], []),
        ([], [{"events": {"Order Completed": {}, "orderCompleted": {}}}], ["integrations.0.events.orderCompleted"]),
        ([], [{"events": {"***": {}, "!!!": {}, "Purchase": {}}}], []),
    ],
)  # fmt: skip
def test_contradictions(pipelines: list[dict[str, Any]], integrations: list[dict[str, Any]], paths: list[str]):
    found = validate([pipeline(**entry) for entry in pipelines], [integration(**entry) for entry in integrations])
    assert [problem.path for problem in found] == paths
    assert all(problem.message for problem in found)


def test_all_problems_at_once():
    entries = [pipeline(integrations=["x"]), pipeline(integrations=["y"])]
    found = validate(entries, [integration(vendor="tiktok", preset="b2b_saas"), integration()])
    assert len(found) == 6
