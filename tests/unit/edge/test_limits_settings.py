"""Patience per phase, and the settings that are refused before anything starts."""

from typing import Any

import pytest
from pydantic import ValidationError

from gateway.edge import line
from gateway.edge.limits import Overdue, Patience, Phase
from gateway.edge.settings import EdgeSettings, LimitSettings, parse_listen, upstream_host, upstream_port


@pytest.mark.parametrize(
    ("phase", "waited_s", "due"),
    [
        (Phase.IDLE, 74, Overdue.NOTHING),
        (Phase.IDLE, 76, Overdue.CLOSE),
        (Phase.HEAD, 9, Overdue.NOTHING),
        (Phase.HEAD, 11, Overdue.TIMEOUT),
        (Phase.BODY, 29, Overdue.NOTHING),
        (Phase.BODY, 31, Overdue.TIMEOUT),
        (Phase.ANSWER, 1e9, Overdue.NOTHING),
        (Phase.TUNNEL, 1e9, Overdue.NOTHING),
        (Phase.LINGER, 3, Overdue.RESET),
        (Phase.CLOSING, 31, Overdue.RESET),
    ],
)
def test_each_phase_has_its_patience_and_consequence(phase: Phase, waited_s: float, due: Overdue) -> None:
    assert Patience(LimitSettings()).judge(phase, waited_s) is due


def test_the_sweep_is_never_slower_than_the_shortest_patience_needs() -> None:
    assert Patience(LimitSettings()).sweep_s() == pytest.approx(1.0)
    assert Patience(LimitSettings.model_validate({"header_timeout": "400ms"})).sweep_s() == pytest.approx(0.1)
    assert Patience(LimitSettings()).sweep_s(0, 0.04) == pytest.approx(0.05)


def test_defaults() -> None:
    settings = EdgeSettings()
    assert settings.prefix == "/gw"
    assert settings.upstream is None
    assert settings.limits.max_header_bytes == 65536
    assert settings.client_ip.trusted_proxies == ["loopback", "private"]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("listen", "8080"),
        ("listen", "a:99999"),
        ("upstream", "https://a"),
        ("upstream", "http://a/path"),
        ("upstream", "http://a:99999"),
        ("upstream", "unix:relative"),
        ("upstream", "http://a..b:80"),
        ("upstream", "http://.a"),
        ("upstream", "http://."),
        ("upstream", "http://a..:80"),
        ("upstream", "http://" + "a" * 64 + ".example"),
        ("upstream", "http://" + "abcdefg." * 32 + "example"),
        ("upstream", "http://[::1::]:80"),
        ("listen", "a..b:80"),
        ("listen", "[:::]:80"),
        ("prefix", "/"),
        ("prefix", "gw"),
        ("prefix", "/gw/"),
        ("prefix", "/a/../b"),
        ("prefix", "/a b"),
        ("client_ip", {"trusted_proxies": ["nonsense"]}),
        ("client_ip", {"header": "a b"}),
        ("client_ip", {"trusted_hops": 0}),
        ("allowed_origins", ["shop.example"]),
        ("allowed_origins", ["https://shop.example/"]),
        ("limits", {"max_connections": 0}),
        ("limits", {"max_header_bytes": "1B"}),
        ("limits", {"idle": 1}),
    ],
)
def test_refused(field: str, value: Any) -> None:
    with pytest.raises(ValidationError):
        EdgeSettings.model_validate({field: value})


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("listen", "[::]:8080"),
        ("listen", ":0"),
        ("upstream", "http://app:3000"),
        ("upstream", "http://[::1]:3000/"),
        ("upstream", "http://the_app.example.:80"),
        ("upstream", "http://" + "a" * 63 + ".example"),
        ("upstream", "http://127.0.0.1"),
        ("upstream", "unix:/run/app.sock"),
        ("prefix", "/a/b-c_d.e~1"),
        (
            "client_ip",
            {"trusted_proxies": ["10.0.0.0/8", "2001:db8::/32", "1.2.3.4"], "header": "CF-Connecting-IP", "trusted_hops": 2},
        ),
        ("limits", {"header_timeout": "10s", "max_header_bytes": "64KiB"}),
        ("upstream_timeouts", {"connect": "1s", "first_byte": 0}),
    ],
)
def test_accepted(field: str, value: Any) -> None:
    EdgeSettings.model_validate({field: value})


@pytest.mark.parametrize("host", ["a", "a_b", "a.", "a" * 63, "a..b", ".a", "a" * 64, ".".join(["abcdefgh"] * 28), "1.2.3.4"])
def test_what_is_accepted_as_a_host_can_be_looked_up(host: str) -> None:
    try:
        EdgeSettings.model_validate({"upstream": f"http://{host}:80"})
    except ValidationError:
        with pytest.raises(UnicodeError):
            host.encode("idna")
    else:
        assert upstream_host(f"http://{host}:80").encode("idna") == host.encode()


def test_addresses() -> None:
    assert parse_listen("[::]:80") == ("::", 80)
    assert parse_listen(":80") == ("", 80)
    assert upstream_port("http://a") == 80
    assert upstream_port("http://[::1]:3000/") == 3000
    assert [upstream_host(text) for text in ("http://a", "http://a:1/", "http://[::1]:3000/")] == ["a", "a", "::1"]


def test_the_lines_numbers_are_the_phases() -> None:
    assert list(Phase) == [line.IDLE, line.HEAD, line.BODY, line.ANSWER, line.TUNNEL, line.LINGER, line.CLOSING]
