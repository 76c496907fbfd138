"""Header fields on their way through: the pure rules."""

from typing import Any

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.edge import headers
from gateway.edge.address import Client
from gateway.edge.head import Head

TRUSTED = Client("203.0.114.7", "203.0.114.7", "https", "shop.example", True)
STRANGER = Client("203.0.114.7", "203.0.114.7", "http", "shop.example", False)


def fields(*pairs: tuple[str, str]) -> CIMultiDictProxy[str]:
    return CIMultiDictProxy(CIMultiDict(pairs))


def head(*pairs: tuple[str, str], method: str = "GET", version: tuple[int, int] = (1, 1)) -> Head:
    raw = tuple((name.encode(), value.encode("latin-1")) for name, value in pairs)
    return Head(method, b"/x", "/x", "", fields(*pairs), raw, version)


def sent(request: Head, client: Client = TRUSTED, peer: str = "10.0.0.1", **options: Any) -> list[bytes]:
    block = headers.request_head(request, client, peer, **{"chunked": False, "websocket": False} | options)
    assert block.endswith(b"\r\n\r\n")
    return block[:-4].split(b"\r\n")


def test_the_smallest_request_and_answer() -> None:
    request = head(version=(1, 0))
    assert headers.request_head(request, Client("", "", "", ""), "", chunked=False, websocket=False) == b"GET /x HTTP/1.0\r\n\r\n"
    assert headers.response_head(100, "Continue", ()) == b"HTTP/1.1 100 Continue\r\n\r\n"
    assert headers.response_head(200, "", ()) == b"HTTP/1.1 200 \r\n\r\n"


def test_forwarding_fields_of_a_stranger_keep_place_and_spelling_but_not_value() -> None:
    lines = sent(head(("x-FORWARDED-for", "1.1.1.1"), ("A", "b"), ("X-Forwarded-For", "2.2.2.2")), STRANGER)
    assert lines[1:] == [
        b"x-FORWARDED-for: 10.0.0.1",
        b"A: b",
        b"X-Forwarded-Proto: http",
        b"X-Forwarded-Host: shop.example",
    ]


def test_ipv6_peers_are_quoted_in_forwarded() -> None:
    assert b'Forwarded: for="[2a00::1]";host="shop.example";proto=http' in sent(head(("Forwarded", "for=x")), STRANGER, "2a00::1")


def test_a_unix_peer_adds_no_address() -> None:
    assert sent(head(("X-Forwarded-For", "203.0.114.7")), TRUSTED, "")[1] == b"X-Forwarded-For: 203.0.114.7"
    assert not any(line.startswith(b"X-Forwarded-For") for line in sent(head(), TRUSTED, ""))


def test_nominated_fields_go_protected_ones_refuse() -> None:
    assert sent(head(("Connection", "close, X-Hop"), ("x-hop", "1"), ("X-Keep", "2")))[1] == b"X-Keep: 2"
    for name in ("X-Forwarded-For", "Host", "content-length", "Transfer-Encoding", "Forwarded", "Cookie"):
        with pytest.raises(headers.Refused):
            sent(head(("Connection", name)))


@pytest.mark.parametrize(
    "name", ["X_Forwarded_For", "x-forwarded_proto", "Content_Length", "TRANSFER_ENCODING", "Proxy_Authorization"]
)
def test_underscores_do_not_stand_in_for_hyphens(name: str) -> None:
    with pytest.raises(headers.Refused):
        sent(head((name, "1")))


@pytest.mark.parametrize("header", ["cf-connecting-ip", "x-real-ip"])
def test_the_header_that_carries_the_clients_address_is_protected_where_it_is_configured(header: str) -> None:
    """And nowhere else: elsewhere it is a field like any other."""
    own = {"address_header": header.encode()}
    for other in ({}, {"address_header": b"true-client-ip"}, {}):
        for request in (
            head((header, "203.0.114.7"), ("Connection", f"close, {header.upper()}")),
            head((header, "203.0.114.7"), (header.replace("-", "_").title(), "6.6.6.6")),
            head((header, "203.0.114.7"), (header.replace("-", "_", 1), "6.6.6.6")),
        ):
            sent(request, **other)
            with pytest.raises(headers.Refused):
                sent(request, **own)
        assert sent(head((header, "203.0.114.7"), ("Connection", "close, x-hop")), **own)[1] == f"{header}: 203.0.114.7".encode()


@pytest.mark.parametrize(
    ("pairs", "version"),
    [
        ([], b"1.0"),
        ([("X-Forwarded-Host", "other.example")], b"1.0"),
        ([("Host", "")], b"1.0"),
        ([("Host", "shop.example")], b"1.1"),
    ],
)
def test_only_a_request_with_a_host_field_becomes_http_1_1(pairs: list[tuple[str, str]], version: bytes) -> None:
    """The client's host may be known from elsewhere; the app judges by the field."""
    assert sent(head(*pairs, version=(1, 0)), TRUSTED)[0] == b"GET /x HTTP/" + version


def test_harmless_underscores_pass() -> None:
    assert b"my_field: 1" in sent(head(("my_field", "1")))


def test_websocket_and_chunked_framing() -> None:
    upgrade = head(("Connection", "Upgrade"), ("Upgrade", "websocket"))
    assert sent(upgrade, websocket=True)[1:3] == [b"Connection: Upgrade", b"Upgrade: websocket"]
    assert not any(b"pgrade" in line for line in sent(upgrade))
    assert sent(head(("Transfer-Encoding", "chunked")), chunked=True)[-1] == b"Transfer-Encoding: chunked"


@pytest.mark.parametrize("value", [b"a\rb", b"a\nb", b"a\r\nSet-Cookie: x"])
def test_line_breaks_inside_an_answers_fields_never_leave(value: bytes) -> None:
    with pytest.raises(ValueError, match="line break"):
        headers.response_head(200, "OK", ((b"X", value),))
    with pytest.raises(ValueError, match="line break"):
        headers.response_head(200, value.decode(), ())


@pytest.mark.parametrize("name", [b"Content-Length ", b"TRANSFER-ENCODING  ", b"Connection\t", b"X-Any "])
def test_white_space_behind_a_name_never_leaves(name: bytes) -> None:
    with pytest.raises(ValueError, match="white space"):
        headers.response_head(200, "OK", ((name, b"5"),))
    with pytest.raises(headers.Refused):
        sent(head((name.decode(), "5")))


def test_length_is_not_sent_where_there_is_no_body() -> None:
    raw = ((b"Content-Length", b"0"), (b"X", b"y"))
    assert b"Content-Length" not in headers.response_head(204, "No Content", raw)
    assert b"Content-Length" not in headers.response_head(103, "Early Hints", raw)
    assert b"Content-Length: 0" in headers.response_head(304, "Not Modified", raw)


def test_targets() -> None:
    assert headers.split_target("/a?b?c", "h") == ("/a", "b?c")
    assert headers.split_target("*", "h") == ("*", "")
    assert headers.split_target("http://H:80/a?b", "h:80") == ("/a", "b")
    assert headers.split_target("http://h", "h") == ("/", "")
    assert headers.split_target("http://h?x", "h") == ("/", "x")
    for target in ("http://other/", "http://u@h/", "ftp://h/", "x"):
        with pytest.raises(headers.Refused):
            headers.split_target(target, "h")


@pytest.mark.parametrize(
    ("pairs", "navigation"),
    [
        ([("Sec-Fetch-Dest", "document")], True),
        ([("Sec-Fetch-Dest", "document"), ("Accept", "*/*")], True),
        ([("Sec-Fetch-Dest", "iframe"), ("Accept", "text/html")], False),
        ([("Sec-Fetch-Dest", "empty"), ("Accept", "text/html")], False),
        ([("Accept", "text/html,*/*;q=0.8")], True),
        ([("Accept", "*/*")], False),
        ([], False),
        ([("Sec-Fetch-Dest", "document"), ("Sec-Purpose", "prefetch;prerender")], False),
        ([("Accept", "text/html"), ("Purpose", "prefetch")], False),
    ],
)
def test_navigations(pairs: list[tuple[str, str]], navigation: bool) -> None:
    assert headers.is_navigation(head(*pairs)) is navigation
    assert not headers.is_navigation(head(*pairs, method="POST"))
    assert not headers.is_navigation(head(*pairs, method="HEAD"))


@pytest.mark.parametrize(
    ("status", "pairs", "permission"),
    [
        (200, [], (True, True)),
        (302, [], (True, True)),
        (308, [], (True, True)),
        (404, [], (False, False)),
        (304, [], (False, False)),
        (206, [], (False, False)),
        (500, [], (False, False)),
        (200, [("Cache-Control", "private, max-age=0")], (True, False)),
        (200, [("cache-control", "No-Store")], (True, False)),
        (200, [("Cache-Control", "max-age=60")], (False, False)),
        (200, [("Cache-Control", "no-cache")], (False, False)),
        (200, [("Cache-Control", 'private="x-field"')], (False, False)),
        (200, [("Cache-Control", "public, private")], (False, False)),
        (200, [("Expires", "0")], (False, False)),
        (200, [("Surrogate-Control", "max-age=1")], (False, False)),
        (200, [("CDN-Cache-Control", "max-age=1")], (False, False)),
        (200, [("Age", "3")], (False, False)),
        (200, [("Set-Cookie", "own=1")], (True, True)),
    ],
)
def test_where_a_cookie_may_be_added(status: int, pairs: list[tuple[str, str]], permission: tuple[bool, bool]) -> None:
    assert headers.cookie_permission(status, fields(*pairs)) == permission
