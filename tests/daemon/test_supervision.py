"""What `systemctl status` shows of a daemon: one line, the worst first."""

from __future__ import annotations

from dataclasses import replace

from dnslb.daemon.supervision import sentence
from tests.doubles.operations import ep, lb, picture, row

CALM = picture(lb("a.example.org", ep("tcp://192.0.2.1:80")), attention=())


def test_a_calm_daemon() -> None:
    assert sentence(CALM) == "may write; 1 load balancer, 1 healthy"
    assert sentence(replace(CALM, lease=None)).startswith("may not write; ")
    assert sentence(replace(CALM, dry_run=True)).startswith("dry run; ")


def test_what_keeps_it_from_writing() -> None:
    assert sentence(replace(CALM, gate="cold start")).endswith(
        "; nothing is written yet: cold start"
    )


def test_the_worst_is_told_and_information_is_not() -> None:
    info, warning, critical = row("info"), row("warning"), row()
    assert sentence(replace(CALM, attention=(info,))) == sentence(CALM)
    both = sentence(replace(CALM, attention=(info, warning, critical)))
    assert both.endswith(f"; 1 critical: {critical.sentence}")
    two = sentence(replace(CALM, attention=(warning, warning)))
    assert two.endswith(f"; 2 warning: {warning.sentence}")
