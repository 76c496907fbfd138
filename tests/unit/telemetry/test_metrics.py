"""Metrics: what the data path adds is what a scrape shows, under the documented names."""

from collections.abc import Iterable

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.outcome import Outcome, Reason
from gateway.telemetry.metrics import Metrics, Sample


def scrape(metrics: Metrics) -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """(sample name, labels) → value."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(metrics.render().decode())
        for sample in family.samples
    }


def labels(**values: str) -> frozenset[tuple[str, str]]:
    """Labels of one sample."""
    return frozenset(values.items())


def test_outcomes_are_summed_by_pipeline_integration_outcome_and_reason() -> None:
    metrics = Metrics()
    metrics.outcome(Outcome.ACCEPTED, pipeline="shop", integration="tiktok")
    metrics.outcome(Outcome.ACCEPTED, pipeline="shop", integration="tiktok", n=4)
    metrics.outcome(Outcome.FILTERED, Reason.GPC, pipeline="shop", integration="tiktok")
    seen = scrape(metrics)
    name = "ttgateway_events_outcome_total"
    assert seen[name, labels(pipeline="shop", integration="tiktok", outcome="accepted", reason="")] == 5
    assert seen[name, labels(pipeline="shop", integration="tiktok", outcome="filtered", reason="gpc")] == 1


def test_http_histogram_has_half_a_millisecond_and_is_cumulative() -> None:
    metrics = Metrics()
    for seconds in (0.0004, 0.0005, 0.003, 60.0):
        metrics.observe_http("collect", 200, seconds)
    seen = scrape(metrics)
    name = "http_server_request_duration_seconds"
    assert (
        seen[f"{name}_bucket", labels(route="collect", status="200", le="0.0005")] == 2
    )  # the bound itself belongs to the bucket
    assert seen[f"{name}_bucket", labels(route="collect", status="200", le="0.005")] == 3
    assert seen[f"{name}_bucket", labels(route="collect", status="200", le="10.0")] == 3
    assert seen[f"{name}_count", labels(route="collect", status="200")] == 4
    assert seen[f"{name}_sum", labels(route="collect", status="200")] == pytest.approx(60.0039)


def test_deliveries_are_counted_by_code_and_timed() -> None:
    metrics = Metrics()
    metrics.delivery_request("tiktok", "0", 0.02)
    metrics.delivery_request("tiktok", "40100", 0.02)
    seen = scrape(metrics)
    assert seen["ttgateway_delivery_requests_total", labels(integration="tiktok", code="0")] == 1
    assert seen["ttgateway_delivery_requests_total", labels(integration="tiktok", code="40100")] == 1
    assert seen["ttgateway_delivery_seconds_count", labels(integration="tiktok")] == 2


def test_a_gauge_is_read_at_each_scrape() -> None:
    metrics = Metrics()
    value = [1.0]
    metrics.provide("spool_bytes", "Bytes used.", (), lambda: [Sample((), value[0])])
    assert scrape(metrics)["ttgateway_spool_bytes", labels()] == 1
    value[0] = 2.0
    assert scrape(metrics)["ttgateway_spool_bytes", labels()] == 2


def test_a_broken_gauge_does_not_blind_the_others() -> None:
    metrics = Metrics()

    def broken() -> Iterable[Sample]:
        raise RuntimeError("gone")

    metrics.provide("broken", "Broken.", (), broken)
    metrics.provide("sound", "Sound.", ("lane",), lambda: [Sample(("a",), 3.0)])
    seen = scrape(metrics)
    assert seen["ttgateway_sound", labels(lane="a")] == 3
    assert not [name for name, _ in seen if name == "ttgateway_broken"]


def test_labels_cannot_break_the_text_format() -> None:
    metrics = Metrics()
    metrics.received('sh"op\n', "signal")
    assert scrape(metrics)["ttgateway_events_received_total", labels(pipeline='sh"op\n', wire="signal")] == 1
