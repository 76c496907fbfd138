"""Sealing: what of a raw event goes on, and that nothing else does."""

import hashlib
import json
from contextlib import suppress
from pathlib import Path

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.errors import BadInput
from gateway.event import jsonbody, native, pixel, signal
from gateway.event.model import Event, Wire
from gateway.identity.seal import Sealer, UserRule, Visitor, owner

VECTORS = Path(__file__).parents[2] / "vectors"
NOW = 1_700_000_000.5
DIGEST = hashlib.sha256(b"someone").hexdigest()


def sha(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def event(**fields) -> Event:
    return Event(fields.pop("wire", Wire.SIGNAL), "track", fields.pop("name", "Order Completed"), **fields)


def seal(
    raw: Event,
    visitor: Visitor | None = None,
    *,
    sealer: Sealer | None = None,
    event_id: str = "made",
    gpc: bool = False,
    received: float = NOW,
):
    return (sealer or Sealer("GB", b"k" * 32)).seal(
        raw,
        visitor or Visitor(host="shop.example.com"),
        pipeline="shop",
        granted=["marketing"],
        consent_source="event",
        gpc=gpc,
        received=received,
        event_id=event_id,
    )


def test_everything_in_its_place():
    raw = event(
        wire=Wire.PIXEL,
        event_id="e-1",
        timestamp=NOW - 10,
        user_id="user-1",
        identity={"email": " Jane@Example.com", "phone": ["07700 900123", "null"], "city": "New York"},
        properties={"value": 5, "contents": [{"content_id": "1"}]},
        traits={"plan": "gold", "email": "jane@example.com"},
        page={
            "url": "https://shop.example.com/?ttclid=C1&email=x",
            "referrer": "https://www.tiktok.com/",
            "title": "Thanks",
            "search": "?a=1",
        },
        context={"library": {"name": "df.js"}},
        locale="en-GB",
        limited_data_use=False,
    )
    visitor = Visitor("203.0.113.9", "Mozilla/5.0", "t" * 27, {"ttclid": "older"}, "anon-1", "", "shop.example.com", "https")
    assert seal(raw, visitor, gpc=True) == {
        "v": 1,
        "wire": "pixel",
        "type": "track",
        "name": "Order Completed",
        "event_id": "e-1",
        "time": int(NOW - 10),
        "received": NOW,
        "pipeline": "shop",
        "user": {
            "email": sha("jane@example.com"),
            "phone": sha("+447700900123"),
            "city": "newyork",
            "external_id": sha("user-1"),
            "ttclid": "C1",
            "ttp": "t" * 27,
            "ip": "203.0.113.9",
            "user_agent": "Mozilla/5.0",
            "locale": "en-GB",
        },
        "page": {
            "url": "https://shop.example.com/?ttclid=C1&email=redacted",
            "referrer": "https://www.tiktok.com/",
            "title": "Thanks",
            "search": "?a=1",
        },
        "properties": {"value": 5, "contents": [{"content_id": "1"}]},
        "consent": {"granted": ["marketing"], "source": "event"},
        "traits": {"plan": "gold"},
        "context": {"library": {"name": "df.js"}},
        "gpc": True,
        "limited_data_use": False,
    }


EMAIL, ENCODED, PHONE, LOCAL = "Jane.Roe@Mail.example", "Jane.Roe%40Mail.example", "+44 7911 123456", "07911123456"
RAW = ("jane.roe", "mail.example", "7911", "123456", "roe-user", "anon-visitor", "janet", "10 downing")


def test_no_raw_value_anywhere():
    hot = f"x {EMAIL} y {PHONE} z {LOCAL}"
    link = f"https://u:{EMAIL}@h.example/{ENCODED}/{LOCAL}?q={ENCODED}&email=Janet&n=%2B447911123456&name=Janet#{ENCODED}"
    nested = {
        EMAIL: 1, PHONE: 1, LOCAL: 1, f"a {ENCODED}": 1, "note": hot, "link": link, "links": [link, [hot, {"deep": [{"x": hot}]}]], "email": EMAIL, "phone": 447911123456,
        "customer": {"name": "Janet", "first_name": "Janet", "address": "10 Downing St"}, "fullName": "Janet", "street_address": "10 Downing St",
        "mailto": f"mailto:{EMAIL}", "call": f"tel:{PHONE}", "ids": {"userId": "roe-user"}, "sku": hot, "user": "Janet",
    }  # fmt: skip
    raw = Event(
        Wire.SIGNAL, "track", f"Signup {EMAIL} {PHONE}", f"order-{EMAIL}", NOW, NOW, "roe-user", "anon-visitor",
        {"email": [EMAIL], "phone": [LOCAL, PHONE], "external_id": "roe-user", "first_name": "Janet", "last_name": "Janet", "zip_code": "10 Downing", "city": EMAIL, "state": PHONE, "country": EMAIL},
        {**nested, "name": "Janet", "id": "roe-user"}, nested,
        {"url": link, "referrer": link, "title": hot, "path": f"/{ENCODED}/{LOCAL}", "search": f"email={EMAIL}&q={PHONE}"},
        nested, {EMAIL: True}, PHONE, EMAIL, EMAIL, PHONE, EMAIL, f"bot ({EMAIL})", (EMAIL,), EMAIL, limited_data_use=True,
    )  # fmt: skip
    visitor = Visitor(
        "203.0.113.9", f"Mozilla/5.0 (+https://b.example; {EMAIL})", EMAIL, {"ttclid": EMAIL}, "anon-visitor", link, EMAIL
    )
    text = orjson.dumps(seal(raw, visitor)).decode().lower()
    for value in RAW:
        assert value not in text, f"{value} in {text}"
    raw.event_id = ""
    raw.page = {}
    text = orjson.dumps(seal(raw, visitor, event_id=f"x{PHONE}")).decode().lower()
    for value in RAW:
        assert value not in text, f"{value} in {text}"


def test_the_visitor_s_own_number_is_found_in_any_spelling_it_was_sent_in():
    raw = event(
        identity={"phone": "5550123456"},
        properties={"comment": "my number: 5550123456"},
        page={"url": "https://s.example/x/5550123456"},
    )
    sealed = seal(raw, sealer=Sealer("US", b"k" * 32))
    assert sealed["user"]["phone"] == sha("+15550123456")
    assert b"5550123456" not in orjson.dumps(sealed)


@pytest.mark.parametrize(
    "written",
    [
        "Alice Liddell",
        "alice liddell",
        "LIDDELL ALICE",
        "Liddell, Alice",
        "Alice-Liddell",
        "alice.liddell",
        "Alice%20Liddell",
        "Alice+Liddell",
    ],
)
def test_the_visitor_s_own_full_name_is_found_wherever_it_is_written(written):
    raw = event(
        name=f"Signup of {written}",
        identity={"first_name": " Alice ", "last_name": "Liddell"},
        traits={"firstName": "Alice", "lastName": "Liddell", "plan": "gold", "remark": f"for {written}"},
        properties={
            "content_name": f"Gift for {written}",
            "contents": [{"content_name": written}],
            "description": f"for {written}!",
        },
        page={"url": f"https://s.example/hello/{written}", "title": f"Hi {written}"},
        context={"campaign": {"name": f"to {written}"}},
    )
    sealed = seal(raw)
    text = orjson.dumps(sealed).lower()
    assert b"alice" not in text
    assert b"liddell" not in text
    assert sealed["user"]["last_name"] == sha("liddell")
    assert sealed["properties"]["content_name"] == "Gift for [redacted]"
    assert sealed["traits"] == {"plan": "gold", "remark": "for [redacted]"}


@pytest.mark.parametrize(
    ("first", "last", "text"),
    [
        ("Alice", "Liddell", "Alice, and the Liddells"),
        ("Jo", "Li", "jo li"),
        ("Anna", "Li", "hanna lives"),
        ("Alice", "", "Alice"),
        ("guest", "guest", "guest guest"),
        (sha("alice"), sha("liddell"), "Alice Liddell"),
    ],
)
def test_what_is_not_the_visitor_s_full_name_stays(first, last, text):
    raw = event(identity={"first_name": first, "last_name": last}, properties={"content_name": text})
    assert seal(raw)["properties"]["content_name"] == text


def test_names_without_capitals_are_written_without_a_gap():
    raw = event(
        identity={"first_name": "小明", "last_name": "王"}, properties={"content_name": "給王小明的禮物", "brand": "小明"}
    )
    assert seal(raw)["properties"] == {"content_name": "給[redacted]的禮物", "brand": "小明"}


@pytest.mark.parametrize(
    ("fields", "anonymous", "expected"),
    [
        ({"identity": {"external_id": "named"}, "user_id": "u", "anonymous_id": "a"}, "v", "named"),
        ({"user_id": "u", "anonymous_id": "a"}, "v", "u"),
        ({"user_id": "null", "anonymous_id": "a"}, "v", "a"),
        ({"identity": {"external_id": "undefined"}, "user_id": "u"}, "v", "u"),
        ({}, "v", "v"),
    ],
)
def test_external_id(fields, anonymous, expected):
    assert seal(event(**fields), Visitor(anonymous_id=anonymous))["user"]["external_id"] == sha(expected)
    assert "external_id" not in seal(event())["user"]


@pytest.mark.parametrize(
    "field", ["email", "phone", "external_id", "first_name", "last_name", "zip_code", "city", "state", "country"]
)
def test_unusable_identity_is_omitted_with_a_finding(field):
    sealed = seal(event(identity={field: "null"}))
    assert field not in sealed["user"]
    assert [finding for finding in sealed["findings"] if field in finding]


def test_hashed_identity_passes():
    identity = dict.fromkeys(("email", "phone", "external_id", "first_name"), DIGEST.upper())
    assert seal(event(identity=identity))["user"] == dict.fromkeys(identity, DIGEST)


@pytest.mark.parametrize(
    ("timestamp", "sent_at", "expected", "found"),
    [
        (None, None, NOW, False),
        (NOW - 100, None, NOW - 100, False),
        (NOW + 5, None, NOW, False),  # min(timestamp, received)
        (NOW + 86_400, None, NOW, False),
        (NOW - 3600, NOW - 3500, NOW - 100, False),  # the sender's clock is 3,500 s late
        (NOW + 3600, NOW + 3700, NOW - 100, False),
        (NOW + 30, NOW, NOW, False),  # rounding
        (NOW + 600, NOW, NOW, True),
        (5.0, None, NOW, True),
        (NOW - 10, 1.0, NOW, True),
        (-1e18, None, NOW, True),
        (float("inf"), NOW, NOW, True),
        (float("nan"), NOW, NOW, True),
    ],
)
def test_time(timestamp, sent_at, expected, found):
    sealed = seal(event(timestamp=timestamp, sent_at=sent_at, page={"url": "https://s.example/"}))
    assert sealed["time"] == int(expected)
    assert type(sealed["time"]) is int
    assert ("findings" in sealed) is found


def test_page_url_falls_back():
    page = {"title": "T"}
    assert seal(event(page={"url": "https://a.example/"}), Visitor(referer="https://b.example/", host="c.example"))["page"] == {
        "url": "https://a.example/"
    }
    referred = seal(event(page=page), Visitor(referer="https://b.example/?token=x", host="c.example"))
    assert referred["page"] == {"title": "T", "url": "https://b.example/?token=redacted"}
    assert "findings" not in referred
    rooted = seal(event(page=page), Visitor(host="c.example:8443"))
    assert rooted["page"]["url"] == "https://c.example:8443/"
    assert rooted["findings"] == ["page.url: not given; the site's root is used"]
    assert page == {"title": "T"}, "the raw event is not touched"
    for host in ("", "a b", "x@y", 'evil"', "a/../b", "x" * 300):
        bare = seal(event(), Visitor(host=host))
        assert "url" not in bare["page"]
        assert "findings" in bare


@pytest.mark.parametrize(
    "given", ["javascript:alert(1)", "data:text/html,x", "/thanks", "shop.example", "file:///etc/passwd", "android-app://x", "x"]
)
def test_a_page_url_that_is_no_web_page_s_falls_back_too(given):
    page = {"url": given, "title": "T"}
    referred = seal(event(page=page), Visitor(referer="https://b.example/", host="c.example"))
    assert referred["page"] == {"title": "T", "url": "https://b.example/"}
    assert referred["findings"] == ["page.url: not the address of a web page; the Referer is used"]
    for referer in ("", "javascript:alert(2)"):
        rooted = seal(event(page=page), Visitor(referer=referer, host="c.example"))
        assert rooted["page"]["url"] == "https://c.example/"
        assert rooted["findings"] == ["page.url: not the address of a web page; the site's root is used"]
    bare = seal(event(page=page), Visitor(host=""))
    assert bare["page"] == {"title": "T"}
    assert bare["findings"] == ["page.url: not the address of a web page, and nothing to derive it from"]


def test_what_a_page_url_says_besides_is_kept():
    relative = seal(event(page={"url": "/thanks?ttclid=click-12345678"}), Visitor(host="c.example"))
    assert relative["user"]["ttclid"] == "click-12345678"
    shouted = seal(event(page={"url": " HTTPS://a.example/x"}), Visitor(referer="https://b.example/", host="c.example"))
    assert shouted["page"]["url"] == "HTTPS://a.example/x"
    assert "findings" not in shouted


@pytest.mark.parametrize("given", ["jane@example.com", "order jane%40example.com", "+447700900123", "é\ud800"])
def test_personal_event_ids_are_hashed_stably(given):
    first, second = (seal(event(event_id=given, properties={"note": note}))["event_id"] for note in ("", "jane@example.com"))
    assert first == second == hashlib.sha256(given.encode("utf-8", "replace")).hexdigest()[:32]


@pytest.mark.parametrize(
    "given", ["evt-1700000000-abc", "213-373-4253", "00447700900123", "a0ee7f1e-6ac9-4f4e-9a4c-0c5ad5a1fb4f", "1700000000.123"]
)
@pytest.mark.parametrize("note", ["", "jane@example.com"])
def test_other_event_ids_stay_whatever_else_is_redacted(given, note):
    assert seal(event(event_id=given, properties={"note": note}))["event_id"] == given
    assert seal(event(properties={"note": note}), event_id=given)["event_id"] == given


def test_a_clean_event_is_not_copied():
    properties = {"value": 1, "contents": [{"content_id": "1"}]}
    assert seal(event(properties=properties))["properties"] is properties


def test_each_event_tells_its_own_decision():
    sealer, granted = Sealer("GB", b"k" * 32), ["marketing"]

    def told(granted, source):
        return sealer.seal(
            event(), Visitor(), pipeline="shop", granted=granted, consent_source=source, gpc=False, received=NOW, event_id="made"
        )["consent"]

    assert told([], "") == {"granted": [], "source": ""}
    for decision in [
        (granted, "event"),
        (granted, "default"),
        ([], "default"),
        (granted, "event"),
        (["marketing", "analytics"], "event"),
    ]:
        assert told(*decision) == {"granted": decision[0], "source": decision[1]}


def test_ids_that_do_not_look_like_ids_are_left_out():
    sealed = seal(event(ttclid="a b", ttp="x", locale="<script>"), Visitor(ttp="bad id", cookies={"ttclid": "\r\n"}))
    assert sealed["user"] == {}
    assert seal(event(ttp="s" * 30))["user"]["ttp"] == "s" * 30


@pytest.mark.parametrize("locale", ["en", "EN", "en-GB", "en_gb", "fil", "zh-Hant-TW", "es-419", "de-12", "az-Zz"])
def test_locales_are_kept(locale):
    assert seal(event(locale=locale))["user"]["locale"] == locale


@pytest.mark.parametrize(
    "locale", ["e", "e1", "1e", "en-", "en--G", "en.GB", "en-G{", "@n-GB", "\u212an", "en-\u00e9\u00e9", "en-G\u0661", "[z"]
)
def test_what_is_no_locale_is_left_out(locale):
    assert "locale" not in seal(event(locale=locale))["user"]


def test_the_raw_event_stays_as_it_was():
    """Mappings of ``user.*`` read it afterwards."""
    raw = event(page={"url": "android-app://shop", "title": "Shoes"}, properties={"note": "jane@example.com"})
    before = repr(raw)
    assert seal(raw, Visitor(host="shop.example.com"))["page"]["url"] == "https://shop.example.com/"
    assert repr(raw) == before


def test_user_agents_are_made_writable():
    assert seal(event(), Visitor(user_agent="Moz\udce9illa"))["user"]["user_agent"] == "Moz?illa"
    assert seal(event(), Visitor(user_agent="Möz"))["user"]["user_agent"] == "Möz"


def test_overlay():
    sealer = Sealer("GB", b"k" * 32)
    raw = event(
        user_id="u-1",
        anonymous_id="a-1",
        identity={"email": "jane@example.com"},
        properties={"customer": {"mail": " J@Example.com", "tels": ["07700 900123"]}, "n": 5.0},
        traits={"work_email": "W@Example.com"},
        context={"app": {"who": "x"}},
        page={"url": "https://s.example/"},
    )

    def one(target, source, default="", transform=None):
        return sealer.overlay(raw, (UserRule(target, source, default, transform),)).get(target)

    assert one("email", "properties.customer.mail") == sha("j@example.com")
    assert one("email", "traits.work_email") == sha("w@example.com")
    assert one("email", "user.email") == sha("jane@example.com")
    assert one("phone", "properties.customer.tels.0") == sha("+447700900123")
    assert one("phone", "properties.customer.tels") == sha("+447700900123")
    assert one("external_id", "userId") == one("external_id", "user_id") == sha("u-1")
    assert one("external_id", "anonymous_id") == sha("a-1")
    assert one("external_id", "properties.n") == sha("5")
    assert one("external_id", "context.app.who") == sha("x")
    assert one("external_id", "properties.none", "fallback") == sha("fallback")
    assert one("email", "user_id", transform=lambda value: f"{value}@example.com") == sha("u-1@example.com")
    assert one("email", "user.email", transform=lambda value: 1 / 0) is None
    assert one("city", "properties.none", "New York") == "newyork"
    assert one("ttclid", "user_id") == "u-1"
    assert one("ip", "properties.none", "203.0.113.9") == "203.0.113.9"
    for source in (
        "",
        "nowhere",
        "properties",
        "properties.customer",
        "properties.customer.tels.9",
        "properties.customer.tels.x",
        "userId.x",
        "properties.customer.tels.²",
    ):
        assert one("email", source) is None
    assert one("nickname", "user_id") is None
    assert one("user_agent", "user.email") is None
    assert one("ip", "user.email") is None


def test_owner():
    assert owner("") == ""
    assert owner("a-1") == owner("a-1") != owner("a-2")
    assert len(owner("a-1")) == 32
    assert "a-1" not in owner("a-1")


_TEXTS = st.text(max_size=20) | st.sampled_from(
    ["jane@example.com", "+447700900123", "\ud800", "a" * 9000, "https://s.example/?email=x"]
)
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**30), 10**30) | st.floats() | _TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=10,
)
_OBJECT = st.dictionaries(_TEXTS, _JSON, max_size=4)
_FIELDS = st.sampled_from(["email", "phone", "external_id", "first_name", "zip_code", "city"])


@settings(max_examples=300, deadline=None)
@given(
    st.builds(
        Event, st.sampled_from(Wire), st.just("track"), _TEXTS, _TEXTS, st.none() | st.floats(), st.none() | st.floats(), _TEXTS, _TEXTS,
        st.dictionaries(_FIELDS, _JSON, max_size=4), _OBJECT, _OBJECT, st.dictionaries(st.sampled_from(["url", "referrer", "title", "search"]), _TEXTS), _OBJECT,
        ttclid=_TEXTS, ttp=_TEXTS, locale=_TEXTS,
    ),
    st.builds(Visitor, user_agent=_TEXTS, ttp=_TEXTS, anonymous_id=_TEXTS, referer=_TEXTS, host=st.sampled_from(["", "shop.example.com", "a b", "jane@example.com", "\ud800"])),
)  # fmt: skip
def test_any_event_can_be_sealed_and_written(raw, visitor):
    document = orjson.loads(orjson.dumps(seal(raw, visitor, event_id="made")))
    assert document["time"] > 0
    text = json.dumps(document)
    assert "jane@example.com" not in text
    assert "+447700900123" not in text


def _bodies():
    for file in ("walkeros", "zaraz", "posthog"):
        records = json.loads((VECTORS / f"{file}.json").read_text())
        for record in records if isinstance(records, list) else records["records"]:
            yield pytest.param(record.get("input"), id=str(record["id"]))


@pytest.mark.parametrize("document", list(_bodies()))
def test_other_tools_events_can_be_sealed(document):
    body = orjson.dumps(document)
    for parse in (
        lambda doc: signal.parse(doc, None),
        lambda doc: pixel.parse(doc, act=False),
        lambda doc: native.parse(doc, body),
    ):
        with suppress(BadInput):
            for raw in parse(jsonbody.load(body)).events:
                orjson.dumps(seal(raw))
