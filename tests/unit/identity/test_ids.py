"""Browser ids and click ids: what is believed, in which order."""

import re

import pytest

from gateway.identity import browser_id, click_id


@pytest.mark.parametrize(
    "value",
    [
        "2W9cYzUOmgxQYDrVb6d4nOT1abc",
        "2W9cYzUOmgxQYDrVb6d4nOT1abc.tt.1",
        "a0ee7f1e-6ac9-4f4e-9a4c-0c5ad5a1fb4f",
        "01J5Z3NDEKTSV4RRFFQ69G5FAV_.tt.2",
        "x" * 256,
    ],
)
def test_browser_ids_seen(value):
    assert browser_id.valid(value)


@pytest.mark.parametrize(
    "value", ["", "x", "a b c d e f", "abcdefgh\r\nSet-Cookie: x=1", "abcdefgh;", 'abc"defgh', "ünïcödeünïcöde", "x" * 257]
)
def test_rubbish_is_no_browser_id(value):
    assert not browser_id.valid(value)


def test_made_browser_ids():
    made = browser_id.make(bytes(range(browser_id.ENTROPY_BYTES)))
    assert re.fullmatch(r"[A-Za-z0-9_-]{27}", made)
    assert browser_id.valid(made)
    assert made != browser_id.make(bytes(range(1, browser_id.ENTROPY_BYTES + 1)))


URL = "https://shop.example.com/p?utm_source=tiktok&ttclid={}&x=1#top"


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        (URL.format("E.C.P.abc-_~"), "E.C.P.abc-_~"),
        (URL.format("E%2EC%2eP"), "E.C.P"),
        (URL.format("x" * 2048), "x" * 2048),
        (URL.format("x" * 2049), ""),  # never truncated
        (URL.format(""), ""),
        (URL.format("__CLICKID__"), ""),
        (URL.format("a%0d%0aSet-Cookie:x"), ""),
        (URL.format("%22quoted%22"), ""),
        (URL.format("&ttclid=second"), "second"),
        ("https://shop.example.com/?nottclid=1&my_ttclid=2", ""),
        ("https://shop.example.com/#/route?ttclid=spa", "spa"),
        ("?ttclid=target", "target"),
        ("ttclid=", ""),
    ],
)
def test_click_id_in_a_url(url, expected):
    assert click_id.in_url(url) == expected


def test_order_of_belief():
    jar = {"_ttclid": "third", "tiktok_ttclid": "second", "ttclid": "first"}
    page, referrer = URL.format("page"), URL.format("referrer")
    assert click_id.resolve(page, "event", referrer, jar, "shop.example.com") == "page"
    assert click_id.resolve("https://shop.example.com/", "event", referrer, jar, "shop.example.com") == "event"
    assert click_id.resolve("", "bad value", referrer, jar, "shop.example.com") == "referrer"
    assert click_id.resolve("", "", "", jar, "shop.example.com") == "first"
    assert click_id.resolve("", "", "", {"_ttclid": "third", "ttclid": "b a d"}, "shop.example.com") == "third"
    assert click_id.resolve("", "", "", {}, "shop.example.com") == ""


@pytest.mark.parametrize(
    ("referrer", "host", "same"),
    [
        (URL.format("r"), "SHOP.example.com:8080", True),
        (URL.format("r").replace("com/", "com:8443/"), "shop.example.com", True),
        (URL.format("r"), "other.example.com", False),
        (URL.format("r"), "", False),
        ("https://shop.example.com@evil.example/?ttclid=r", "shop.example.com", False),
        ("https://evil.example/shop.example.com?ttclid=r", "shop.example.com", False),
        ("//shop.example.com/?ttclid=r", "shop.example.com", False),
        ("https://[bad?ttclid=r", "shop.example.com", False),
    ],
)
def test_only_the_same_host_s_referrer_counts(referrer, host, same):
    assert click_id.resolve("", "", referrer, {}, host) == ("r" if same else "")
