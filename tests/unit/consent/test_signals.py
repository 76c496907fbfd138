"""Reading consent signals: CMP cookies, a site's own cookie, TCF, consent mode, Sec-GPC."""

import base64
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.consent import signals, tcf
from gateway.consent.settings import DEFAULT_ONETRUST_GROUPS, ConsentSettings, CustomCookie
from gateway.consent.signals import RequestReader

GRANTED = {"marketing": True, "advertising": True}
DENIED = {"marketing": False, "advertising": False}
ONETRUST = (
    "isGpcEnabled=0&datestamp=Mon+Nov+20+2023+10%3A00%3A00+GMT%2B0000&version=202310.1.0&hosts=&consentId=6a1d2c9e-0000-4000-8000-0123456789ab"
    "&interactionCount=1&landingPath=NotLandingPage&groups=C0001%3A1%2CC0002%3A0%2CC0004%3A1&geolocation=GB%3BENG&AwaitingReconsent=false"
)


def onetrust(value, **groups):
    return signals.onetrust(value, groups or DEFAULT_ONETRUST_GROUPS)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (ONETRUST, {"necessary": True, "analytics": False} | GRANTED),
        (quote(ONETRUST, safe=""), {"necessary": True, "analytics": False} | GRANTED),
        ("groups=C0004:0", DENIED),
        ("a=b&groups=C0001:1, C0004:1", {"necessary": True} | GRANTED),
        ("groups=C0004:1&groups=C0004:0", DENIED),
        ("groups=C0004:2,C0002:,C0003", {}),
        ("groups=XYZ:1", {}),
        ("groups=", {}),
        ("", {}),
        ("rubbish%", {}),
        ("landingPath=https%3A%2F%2Fs.example%2F%3Fx%3D1%26groups%3DC0004%3A1&groups=C0004%3A0", DENIED),
        ("landingPath=https%3A%2F%2Fs.example%2F%3Fx%3D1%26groups%3DC0004%3A1&a=b", {}),
        ("mygroups=C0004:1", {}),
    ],
)
def test_onetrust(value, expected):
    assert onetrust(value) == expected


def test_onetrust_groups_are_the_site_s():
    assert onetrust("groups=2:1,4:0,5:1", **{"2": ["analytics"], "4": ["marketing"], "5": ["marketing"]}) == {
        "analytics": True,
        "marketing": False,
    }


COOKIEBOT = "{stamp:'abc==',necessary:true,preferences:false,statistics:true,marketing:%s,method:'explicit',ver:1,utc:1700000000000,region:'gb'}"


@pytest.mark.parametrize(
    "encode", [str, lambda text: quote(text, safe=""), lambda text: quote(text, safe=":"), lambda text: text.replace(":", " : ")]
)
@pytest.mark.parametrize(("word", "expected"), [("true", GRANTED), ("false", DENIED)])
def test_cookiebot(encode, word, expected):
    assert signals.cookiebot(encode(COOKIEBOT % word)) == {"necessary": True, "functional": False, "analytics": True} | expected


def test_cookiebot_s_other_forms():
    everything = {"necessary", "functional", "analytics", "marketing", "advertising"}
    assert signals.cookiebot("-1") == dict.fromkeys(everything, True)
    assert signals.cookiebot("'-1'") == dict.fromkeys(everything, True)
    assert signals.cookiebot("0") == dict.fromkeys(everything, False) | {"necessary": True}
    assert signals.cookiebot('{"marketing":true}') == GRANTED
    assert signals.cookiebot("{marketing:true,marketing:false}") == DENIED
    assert signals.cookiebot("{nomarketing:true,email_marketing:true}") == {}
    assert signals.cookiebot("true") == signals.cookiebot("") == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("marketing,analytics", {"marketing": True, "analytics": True, "functional": False}),
        ("advertising", {"advertising": True, "analytics": False, "functional": False}),
        ("necessary", {"necessary": True, "marketing": False, "advertising": False, "analytics": False, "functional": False}),
        ("Marketing%2C Analytics , own-one", {"marketing": True, "analytics": True, "functional": False, "own-one": True}),
        ('{"marketing":false,"Analytics":true,"n":5}', {"marketing": False, "analytics": True}),
        ("%7B%22marketing%22%3A%22granted%22%7D", {"marketing": True}),
        ("{broken", {}),
        ("yes", {}),
        ("1700000000", {}),
        ("", {}),
    ],
)
def test_own_cookie_read_as_it_is(value, expected):
    assert signals.custom(value, CustomCookie(name="c")) == expected


def test_own_cookie_with_a_table():
    cookie = CustomCookie(name="c", values={"all": ["marketing", "analytics"], "some": ["analytics"], "none": []})
    assert signals.custom("all", cookie) == {"marketing": True, "analytics": True}
    assert signals.custom("some", cookie) == {"marketing": False, "analytics": True}
    assert signals.custom("none", cookie) == {"marketing": False, "analytics": False}
    assert signals.custom("marketing", cookie) == {}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("G111", GRANTED | {"analytics": True}),
        ("G100", DENIED | {"analytics": False}),
        ("G101", DENIED | {"analytics": True}),
        ("G110", GRANTED | {"analytics": False}),
        ("G1-1", {"analytics": True}),
        ("G1--", {}),
        ("", {}),
        ("G2", {}),
        ("111", {}),
    ],
)
def test_consent_mode(value, expected):
    assert signals.consent_mode(value) == expected


def tc_string(purposes: set[int], version: int = 2, tail: str = ".YAAAAAAAAAAA") -> str:
    """A core segment laid out as IAB's specification says, field by field."""
    layout = [
        (6, version), (36, 17_000_000_000), (36, 17_000_000_000), (12, 300), (12, 1), (6, 1), (6, 4), (6, 13), (12, 200), (6, 4), (1, 1), (1, 0), (12, 0),
    ]  # fmt: skip
    bits = "".join(f"{value:0{width}b}" for width, value in layout)
    bits += "".join("1" if number in purposes else "0" for number in range(1, 25))
    bits += "0" * 60
    bits += "0" * (-len(bits) % 24)
    return base64.urlsafe_b64encode(int(bits, 2).to_bytes(len(bits) // 8, "big")).decode().rstrip("=") + tail


@given(st.sets(st.integers(1, 24)))
def test_tcf_purposes(purposes):
    assert tcf.purposes(tc_string(purposes)) == purposes
    assert tcf.marketing(tc_string(purposes)) is ({1, 3, 4} <= purposes)


def test_tcf_that_cannot_be_read_says_nothing():
    for value in ("", "x", "C" * 10, "é" * 60, tc_string({1, 3, 4}, version=1), tc_string({1})[:20], "!" * 60, "A" * 5000):
        assert tcf.marketing(value) is None
        assert signals.tcf_cookie(value) == {}
    assert signals.tcf_cookie(tc_string({1, 3, 4})) == GRANTED
    assert signals.tcf_cookie(tc_string({1, 2, 3})) == DENIED


def test_a_request_s_signals_are_merged():
    reader = RequestReader(
        ConsentSettings(cookies=["onetrust", "cookiebot", "tcf"], cookie=CustomCookie(name="own"), consent_mode_cookie="gcs")
    )
    assert reader.cookie_names == {"OptanonConsent", "CookieConsent", "euconsent-v2", "own", "gcs"}
    found = reader.read(
        {
            "OptanonConsent": "groups=C0004:1",
            "CookieConsent": "rubbish",
            "euconsent-v2": tc_string({1, 3, 4}),
            "own": "marketing",
            "gcs": "G101",
            "other": "x",
        },
        None,
    )
    assert found.source == "onetrust+tcf+cookie+consent_mode"
    assert dict(found.categories) == {"marketing": False, "advertising": False, "analytics": False, "functional": False}
    assert reader.read({}, None).source == ""
    assert dict(reader.read({"own": "x" * 9000}, None).categories) == {}


def test_only_the_cookies_of_the_settings_are_read():
    reader = RequestReader(ConsentSettings(cookies=[]))
    assert reader.cookie_names == frozenset()
    assert not reader.read({"OptanonConsent": "groups=C0004:1"}, None).categories


@pytest.mark.parametrize(
    ("header", "gpc"), [("1", True), (" 1 ", True), ("0", False), ("", False), ("true", False), (None, False)]
)
def test_gpc(header, gpc):
    reader = RequestReader(ConsentSettings())
    assert reader.read({}, header).gpc is gpc
    assert reader.read({"OptanonConsent": "groups=C0004:1"}, header).gpc is gpc
    assert reader.read({"OptanonConsent": "groups=C0004:1"}, None).gpc is False


def test_equal_cookies_share_signals_and_the_memory_is_bounded():
    reader = RequestReader(ConsentSettings())
    assert reader.read({"OptanonConsent": ONETRUST}, None) is reader.read({"OptanonConsent": ONETRUST}, None)
    assert reader.read({"OptanonConsent": "a"}, None) is not reader.read({"CookieConsent": "a"}, None)
    for n in range(signals._MEMO + 10):
        reader.read({"OptanonConsent": f"groups=C0004:1&n={n}"}, None)
    assert len(reader._memo) <= signals._MEMO
    assert "C0004" not in repr(reader._memo.keys())


@given(
    st.text(max_size=200)
    | st.sampled_from([ONETRUST, COOKIEBOT, "-1", "{}", "[1]", "null"]).flatmap(
        lambda s: st.integers(0, len(s)).map(lambda n: s[n:])
    )
)
def test_any_cookie_gives_categories_or_nothing(value):
    settings = ConsentSettings(
        cookies=["onetrust", "cookiebot", "tcf"], cookie=CustomCookie(name="own"), consent_mode_cookie="gcs"
    )
    reader = RequestReader(settings)
    found = reader.read(dict.fromkeys(reader.cookie_names, value), None)
    assert all(type(granted) is bool and signals._CATEGORY.fullmatch(name) for name, granted in found.categories.items())
