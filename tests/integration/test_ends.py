"""Short forms of the long runs in benchmarks/faults: ends of gateways, of apps and of clients, and clients that take their time."""

import asyncio
from collections import Counter

import pytest
import uvloop

from benchmarks.faults import app_restart, disconnects, drain, slow


@pytest.mark.timeout(120)
def test_a_gateway_ended_under_load_fails_no_request() -> None:
    seen, took = uvloop.run(drain.run(2, 200, delay_s=3.0))
    assert seen.failed == []
    assert seen.sent > 200
    assert len(took) == 2


@pytest.mark.timeout(120)
def test_an_app_replaced_under_load_costs_no_get_and_repeats_no_post() -> None:
    found = uvloop.run(app_restart.run(2, 200, pause_s=0.3))
    assert (found.failed_gets, found.twice, found.lost) == (0, 0, 0)
    assert found.seen.sent > 200


def test_nothing_is_left_of_clients_that_left(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in ("limits", "line"):
        monkeypatch.setattr(f"gateway.edge.{room}.FIN_GRACE_S", 0.2)
    monkeypatch.setattr("gateway.edge.line.FIN_QUIET_S", 0.6)
    begin, after = uvloop.run(disconnects.run(120, rounds=1))
    assert not any(after.counts.values())
    assert (after.objects, after.tasks, after.files) == (0, [], begin.files)


@pytest.mark.timeout(120)
def test_slow_clients_are_closed_in_time_and_cost_the_others_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """How fast the others are served is for the long run to say; here they must be served."""
    monkeypatch.setattr(slow, "LIMITS", {"header_timeout": 1, "idle_timeout": 2, "body_progress": 2})
    kinds = [slow.Kind(each.name, each.first, each.drip, 2.0, each.reads) for each in slow.KINDS]

    async def crowded() -> tuple[slow.Crowd, slow.Seen]:
        limits = "limits: {header_timeout: 1s, idle_timeout: 2s, body_progress: 2s}"
        async with slow._app() as upstream, slow.gateways("gateway", upstream=upstream, edge=limits) as (gateway,):
            enough = asyncio.Event()
            visiting = asyncio.create_task(slow._others(gateway.port, 50, enough))
            crowd = await slow.crowd(gateway.port, 100, kinds)
            enough.set()
            return crowd, await visiting

    crowd, others = uvloop.run(crowded())
    assert not crowd.open
    assert {name: len(lasted) for name, lasted in crowd.lasted_s.items()} == {kind.name: 20 for kind in kinds}
    assert others.failed == []


def test_the_others_are_judged_by_their_undisturbed_p99_whatever_the_app_itself_did() -> None:
    def report(before_s: float, during_s: float, straight_s: float) -> slow.Report:
        seen = [slow.Seen(latencies_s=[each] * 100) for each in (before_s, during_s, before_s, straight_s)]
        return slow.Report({}, 0, *seen, peak_mib=100, late=Counter(), left={})

    assert report(0.001, 0.002, 0.001).good
    assert not report(0.001, 0.0023, 0.0017).good
    assert report(0.001, 0.0023, 0.0017).straight_grown == pytest.approx(1.7)
    assert not report(0.0, 0.001, 0.001).good


@pytest.mark.timeout(120)
def test_a_gateway_with_few_files_says_so_and_serves_whom_it_has() -> None:
    turned_away, failed, said = uvloop.run(slow.few_files(400))
    assert turned_away > 400
    assert failed == 0
    assert said


@pytest.mark.timeout(120)
def test_a_gateway_with_few_files_and_busy_clients_refuses_in_plain_words_and_lives() -> None:
    end = uvloop.run(slow.busy_files())
    assert end.good, end
