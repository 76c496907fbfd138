"""The scaling model: README's table is what the script prints, and its sums hold."""

import subprocess
import sys
from pathlib import Path

import pytest

DEPLOY = Path(__file__).parents[1]
sys.path.insert(0, str(DEPLOY))

import scaling  # noqa: E402  # no package: a script beside the README

COST = scaling.Measured(edge_us=100, deliver_us=50, broker_us=30, alone_us=60, event_bytes=700, stored_bytes=1000)


def test_the_readme_shows_what_the_script_prints() -> None:
    printed = subprocess.run([sys.executable, DEPLOY / "scaling.py"], capture_output=True, text=True, check=True).stdout
    assert scaling.BEGIN + printed + scaling.END in (DEPLOY / "README.md").read_text(encoding="utf-8")


def test_another_table_in_the_readme_is_noticed() -> None:
    assert subprocess.run([sys.executable, DEPLOY / "scaling.py", "--check"], check=False).returncode == 0
    assert subprocess.run([sys.executable, DEPLOY / "scaling.py", "--check", "--load", "0.5"], check=False).returncode == 1


def test_a_row_is_the_sum_of_its_parts() -> None:
    row = scaling.plan(60_000, COST, scaling.Assumed(load=0.6, replicas=3, broker_cores=8))
    assert (row.edges, row.deliverers, row.streams) == (10, 5, 3)
    assert row.alone_cores == pytest.approx(6)
    # nine busy cores fit three servers of eight
    assert row.brokers == 3
    # five deliverers send five times a second: that is less than full requests take
    assert (row.requests_per_s, row.apps) == (60, 1)
    assert row.write_mb_per_s == pytest.approx(180)
    free = scaling.Assumed(vcpu_hour=0.04, ssd_gib_month=0, zone_gib=0, egress_gib=0)
    assert scaling.plan(60_000, COST, free).dollars_per_million == pytest.approx((10 + 5 + 24) * 0.04 / 3600 / 0.06)


def test_small_sites_have_two_of_each_and_send_no_more_requests_than_events() -> None:
    row = scaling.plan(1, COST, scaling.Assumed())
    assert (row.edges, row.deliverers, row.brokers, row.streams, row.requests_per_s) == (2, 2, 3, 1, 1)


def test_a_million_a_second_needs_more_than_one_developer_app() -> None:
    row = scaling.plan(1_000_000, COST, scaling.Assumed())
    assert row.requests_per_s >= scaling.QUOTA_REQUESTS_PER_S
    assert row.apps == 2


@pytest.mark.parametrize(
    "wrong",
    [["--load", "0"], ["--load", "1.1"], ["--replicas", "0"], ["--linger-s", "0"], ["--vcpu-hour", "-1"], ["--load", "x"]],
)
def test_senseless_assumptions_are_refused(wrong: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        scaling.arguments(wrong)
    assert ended.value.code == 2
    assert "error:" in capsys.readouterr().err
