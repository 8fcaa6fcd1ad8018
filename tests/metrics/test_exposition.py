"""The text format, held against the parser that Prometheus' own client ships."""

from __future__ import annotations

import math

import pytest
from hypothesis import given, strategies as st
from prometheus_client.parser import text_string_to_metric_families

from dnslb.metrics.exposition import Family, Histogram, number

TEXT = st.text()


@given(st.dictionaries(TEXT, st.floats(allow_nan=False)), TEXT)
def test_what_is_written_can_be_read(samples: dict[str, float], help_: str) -> None:
    family = Family("some_name", "gauge", help_, ("label",), {(k,): v for k, v in samples.items()})
    (found,) = text_string_to_metric_families(family.text())
    assert (found.name, found.type) == ("some_name", "gauge")
    assert {s.labels["label"]: s.value for s in found.samples} == samples


@given(TEXT, TEXT)
def test_two_labels(one: str, two: str) -> None:
    family = Family("some_name", "gauge", "", ("a", "b"), {(one, two): 1})
    (found,) = text_string_to_metric_families(family.text())
    assert found.samples[0].labels == {"a": one, "b": two}


def test_a_metric_as_it_looks() -> None:
    counter = Family("dnscontroller_errors_dns", "counter", "Errors.", (), {(): 3.0})
    assert counter.text() == (
        "# HELP dnscontroller_errors_dns Errors.\n"
        "# TYPE dnscontroller_errors_dns counter\n"
        "dnscontroller_errors_dns 3\n"
    )


@pytest.mark.parametrize("name", ["", "1a", "a b", "a-b", 'a"b', "a\nb", "é"])
def test_a_name_that_the_format_does_not_know_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="is no name"):
        Family(name, "gauge", "")
    with pytest.raises(ValueError, match="is no name"):
        Family("a", "gauge", "", (name,))
    with pytest.raises(ValueError, match="is no histogram"):
        Histogram(name, "", (1.0,))


def test_numbers() -> None:
    assert [number(v) for v in (0, 1.0, True, 1.5, 1e300, math.inf, -math.inf)] == [
        *("0", "1", "1", "1.5", "1e+300", "+Inf", "-Inf"),
    ]
    assert number(math.nan) == "NaN"
    assert float(number(1767225600.123456)) == 1767225600.123456


@given(st.lists(st.floats(0, 20_000)))
def test_a_histogram_counts_up_to_each_bound(observed: list[float]) -> None:
    bounds = (20.0, 40.0, 10_240.0)
    histogram = Histogram("time_ms", "Time.", bounds)
    for value in observed:
        histogram.observe(value)
    (found,) = text_string_to_metric_families(histogram.text())
    buckets = {s.labels["le"]: s.value for s in found.samples if s.name == "time_ms_bucket"}
    assert buckets == {
        "20": sum(v <= 20 for v in observed),
        "40": sum(v <= 40 for v in observed),
        "10240": sum(v <= 10_240 for v in observed),
        "+Inf": len(observed),
    }
    rest = {s.name: s.value for s in found.samples if "le" not in s.labels}
    assert rest["time_ms_count"] == histogram.count == len(observed)
    assert rest["time_ms_sum"] == pytest.approx(sum(observed))


def test_bounds_must_ascend() -> None:
    for bounds in ((2.0, 1.0), (1.0, 1.0)):
        with pytest.raises(ValueError, match="is no histogram"):
            Histogram("time_ms", "", bounds)
