"""Whose request it is: hops counted from the right, and only public addresses called public."""

import pytest
from multidict import CIMultiDict, CIMultiDictProxy

from gateway.edge.address import UNIX_PEER, Addresses, Client, is_public, parse_address, parse_network, valid_host


def client(addresses: Addresses, peer: str, *fields: tuple[str, str]) -> Client:
    return addresses.resolve(addresses.key(peer, CIMultiDictProxy(CIMultiDict([("Host", "shop.example"), *fields]))))


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("203.0.114.7", "203.0.114.7"),
        (" 203.0.114.7:5123 ", "203.0.114.7"),
        ('"[2a00:1450::1]:443"', "2a00:1450::1"),
        ("2a00:1450::1", "2a00:1450::1"),
        ("fe80::1%eth0", "fe80::1"),
        ("::ffff:203.0.114.7", "203.0.114.7"),
        ("[::ffff:203.0.114.7]:80", "203.0.114.7"),
        ("unknown", None),
        ("_hidden", None),
        ("", None),
        ("203.0.114.7.9", None),
        ("203.0.114.07", None),
    ],
)
def test_addresses_as_proxies_write_them(text: str, address: str | None) -> None:
    parsed = parse_address(text)
    assert (str(parsed) if parsed else None) == address


@pytest.mark.parametrize(
    "text",
    [
        "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "127.0.0.1", "169.254.1.1", "0.0.0.0", "255.255.255.255",
        "192.0.2.1", "198.51.100.1", "203.0.113.1", "198.18.0.1", "224.0.0.1", "239.1.1.1", "240.0.0.1", "192.0.0.1", "192.88.99.1",
        "::", "::1", "fe80::1", "fc00::1", "fd12::1", "ff02::1", "2001:db8::1", "2002::1", "2001::1", "64:ff9b::102:304", "100::1",
        "3fff::1", "fec0::1", "::ffff:10.0.0.1",
    ],
)  # fmt: skip
def test_not_public(text: str) -> None:
    parsed = parse_address(text)
    assert parsed is not None
    assert not is_public(parsed)


@pytest.mark.parametrize("text", ["8.8.8.8", "203.0.114.7", "2a00:1450:4001:81b::200e", "2606:4700::1111", "::ffff:8.8.8.8"])
def test_public(text: str) -> None:
    parsed = parse_address(text)
    assert parsed is not None
    assert is_public(parsed)


PEER = "10.0.0.9"


@pytest.mark.parametrize(
    ("hops", "listed", "ip"),
    [
        ("auto", "203.0.114.7", "203.0.114.7"),
        ("auto", "1.1.1.1, 203.0.114.7", "203.0.114.7"),
        ("auto", "1.1.1.1, 203.0.114.7, 10.0.0.3, 192.168.0.1", "203.0.114.7"),
        ("auto", "10.0.0.3, 192.168.0.1", "10.0.0.3"),
        ("auto", "1.1.1.1, unknown, 10.0.0.3", ""),
        ("auto", "", PEER),
        ("auto", " , ,", PEER),
        (1, "1.1.1.1, 203.0.114.7", "203.0.114.7"),
        (2, "1.1.1.1, 203.0.114.7", "1.1.1.1"),
        (3, "1.1.1.1, 203.0.114.7", "1.1.1.1"),
        (2, "9.9.9.9, 203.0.114.7, 104.16.0.1", "203.0.114.7"),
    ],
)
def test_hops_are_counted_from_the_right(hops: int, listed: str, ip: str) -> None:
    assert client(Addresses(trusted_hops=hops), PEER, ("X-Forwarded-For", listed)).ip == ip  # type: ignore[arg-type]


def test_several_field_lines_are_one_list() -> None:
    assert client(Addresses(), PEER, ("X-Forwarded-For", "1.1.1.1"), ("x-forwarded-for", "203.0.114.7")).ip == "203.0.114.7"


def test_an_untrusted_peer_is_the_client_whatever_it_says() -> None:
    found = client(
        Addresses(),
        "203.0.114.99",
        ("X-Forwarded-For", "8.8.8.8"),
        ("X-Forwarded-Proto", "https"),
        ("X-Forwarded-Host", "evil.example"),
    )
    assert found == Client("203.0.114.99", "203.0.114.99", "http", "shop.example", False)


def test_a_named_header_is_taken_whole_and_only_from_trusted_peers() -> None:
    addresses = Addresses(("loopback", "104.16.0.0/13"), header="CF-Connecting-IP")
    assert (
        client(addresses, "104.16.1.1", ("CF-Connecting-IP", "203.0.114.7"), ("X-Forwarded-For", "8.8.8.8")).ip == "203.0.114.7"
    )
    assert client(addresses, "104.16.1.1", ("CF-Connecting-IP", "8.8.8.8, 9.9.9.9")).ip == ""
    assert client(addresses, "203.0.114.99", ("CF-Connecting-IP", "8.8.8.8")).ip == "203.0.114.99"
    without = client(addresses, "104.16.1.1")
    assert (without.ip, without.public_ip) == ("104.16.1.1", "")


def test_scheme_and_host_are_believed_of_trusted_peers() -> None:
    found = client(Addresses(), PEER, ("X-Forwarded-Proto", "http, https"), ("X-Forwarded-Host", "www.shop.example"))
    assert (found.scheme, found.host, found.trusted) == ("https", "www.shop.example", True)
    assert client(Addresses(), PEER, ("X-Forwarded-Host", 'a"b')).host == "shop.example"
    assert client(Addresses(), UNIX_PEER, ("X-Forwarded-For", "203.0.114.7")).public_ip == "203.0.114.7"


def test_ipv4_peers_of_a_dual_stack_listener() -> None:
    assert client(Addresses(), "::ffff:127.0.0.1", ("X-Forwarded-For", "203.0.114.7")).ip == "203.0.114.7"


def test_resolutions_are_cached_but_not_for_huge_headers() -> None:
    addresses = Addresses()
    assert client(addresses, PEER, ("X-Forwarded-For", "203.0.114.7")) is client(
        addresses, PEER, ("X-Forwarded-For", "203.0.114.7")
    )
    huge = "1.1.1.1, " * 2000 + "203.0.114.7"
    first = client(addresses, PEER, ("X-Forwarded-For", huge))
    assert first.ip == "203.0.114.7"
    assert first is not client(addresses, PEER, ("X-Forwarded-For", huge))


def test_networks() -> None:
    assert [str(network) for network in parse_network("loopback")] == ["127.0.0.0/8", "::1/128"]
    assert str(parse_network("10.1.2.3/8")[0]) == "10.0.0.0/8"
    with pytest.raises(ValueError, match="CIDR"):
        parse_network("nonsense")


@pytest.mark.parametrize("host", ["a", "shop.example:8080", "[::1]:80", "127.0.0.1", "xn--bcher-kva.example", "under_score"])
def test_hosts(host: str) -> None:
    assert valid_host(host)


@pytest.mark.parametrize(
    "host", ["", "a b", "x@y", "a,b", "a/b", "a:b", "a:1:2", "[::1", "ä", "a\n", "a?b", "a#b", 'a"b', "a:123456"]
)
def test_odd_hosts(host: str) -> None:
    assert not valid_host(host)
