"""Voters as agents: who counts at once, and who after a full round."""

from __future__ import annotations

from dataclasses import replace

from dnslb.daemon.voting_agents import VotingAgents
from dnslb.model.loadbalancer import MonitorList
from dnslb.model.report import Report

REPORT = Report("b", MonitorList(), b"", 0.0, 0.0)


def names(voting: VotingAgents) -> str:
    return "".join(voting.agents)


def test_whoever_becomes_a_voter_counts_after_a_full_round() -> None:
    voting = VotingAgents("a", ("a",))
    voting.change(("a", "b"))
    assert names(voting) == "a"
    assert not voting.take(replace(REPORT, complete=False))
    assert not voting.take(replace(REPORT, agent="c"))
    assert voting.take(REPORT)
    assert names(voting) == "ab"
    assert not voting.take(REPORT), "nothing new"
    voting.change(("a", "b", "c"))
    voting.change(("a", "c"))
    voting.change(("a", "c", "d"))
    voting.change(("a", "c"))
    assert not voting.take(replace(REPORT, agent="d")), "it left before it counted"
    assert names(voting) == "a"
    assert not voting.take(REPORT), "it is no voter any more"
    assert voting.take(replace(REPORT, agent="c"))
    voting.change(("a",))
    voting.change(("a", "c"))
    assert names(voting) == "a", "it came anew"


def test_of_those_who_start_together_none_decides_alone() -> None:
    assert names(VotingAgents("a", ("a", "b", "c"))) == "abc"
    waiting = VotingAgents("c", ())
    waiting.change(("a", "b"))
    assert names(waiting) == "ab"
    waiting.change(("a", "b", "c"))
    assert names(waiting) == "abc", "it knows what it sees itself"
