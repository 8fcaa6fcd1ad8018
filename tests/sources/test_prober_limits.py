"""How many checks may be under way: the prober leaves file descriptors to everybody else."""

from __future__ import annotations

import resource

import pytest

from dnslb.sources.prober import default_concurrency


@pytest.mark.parametrize(("soft", "most"), [(1024, 512), (20_000, 10_000), (10**6, 10_000), (1, 1)])
def test_half_of_the_descriptors_are_left_to_others(
    soft: int, most: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (soft, 10**9))
    assert default_concurrency() == most


def test_no_limit_of_descriptors_is_a_limit_all_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    limits = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)
    monkeypatch.setattr(resource, "getrlimit", lambda _: limits)
    assert default_concurrency() == 10_000
