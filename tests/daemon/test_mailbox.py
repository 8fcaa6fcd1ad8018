"""The mailbox: what is coalesced, what is never dropped, and that it cannot grow."""

from __future__ import annotations

import pytest
import trio
from trio.testing import MockClock

from dnslb.daemon.mailbox import Mailbox, MailboxFull
from dnslb.decide.events import (
    CommandGiven,
    Event,
    LeaseChanged,
    LoopStalled,
    ReportArrived,
    Woke,
    ZoneFound,
)
from dnslb.model.command import Command
from tests.daemon.pieces import lease, report


def taken(mailbox: Mailbox) -> list[Event]:
    events = []
    while (event := mailbox.take_nowait()) is not None:
        events.append(event)
    return events


def test_facts_come_out_as_they_went_in() -> None:
    mailbox = Mailbox()
    events: list[Event] = [
        LeaseChanged(lease()),
        ReportArrived(report("a", 1.0)),
        ReportArrived(report("b", 1.0)),
        LeaseChanged(None),
        CommandGiven(1, Command("sync", (), "me")),
    ]
    for event in events:
        mailbox.put_nowait(event)
    assert taken(mailbox) == events
    assert mailbox.take_nowait() is None


def test_the_newest_report_of_an_agent_replaces_its_older_one_and_goes_last() -> None:
    mailbox = Mailbox()
    older, newer, other = report("a", 1.0), report("a", 2.0), report("b", 1.5)
    for event in (ReportArrived(older), ReportArrived(other), LoopStalled(0.2)):
        mailbox.put_nowait(event)
    mailbox.put_nowait(ReportArrived(newer))
    assert taken(mailbox) == [ReportArrived(other), LoopStalled(0.2), ReportArrived(newer)]
    assert mailbox.coalesced == 1


def test_a_report_that_took_longer_does_not_replace_a_younger_one() -> None:
    mailbox = Mailbox()
    younger, late = report("a", 10.0), report("a", 10.5, age_s=3.0)
    mailbox.put_nowait(ReportArrived(younger))
    mailbox.put_nowait(ReportArrived(late))
    assert taken(mailbox) == [ReportArrived(younger)]


def test_equal_events_other_than_reports_are_all_kept() -> None:
    mailbox = Mailbox()
    for _ in range(3):
        mailbox.put_nowait(LeaseChanged(None))
    assert len(taken(mailbox)) == 3


def test_reports_of_more_agents_than_can_be_configured_are_refused_and_counted() -> None:
    mailbox = Mailbox(reporters_max=3)
    for number in range(5):
        mailbox.put_nowait(ReportArrived(report(f"agent-{number}", 1.0)))
    assert len(mailbox) == 3
    assert mailbox.refused == 2
    mailbox.put_nowait(ReportArrived(report("agent-0", 2.0)))
    assert mailbox.coalesced == 1
    taken(mailbox)
    mailbox.put_nowait(ReportArrived(report("agent-4", 1.0)))
    assert len(mailbox) == 1


def test_a_full_mailbox_is_a_broken_invariant() -> None:
    mailbox = Mailbox(events_max=2)
    mailbox.put_nowait(ZoneFound("a.example.org", None))
    mailbox.put_nowait(ZoneFound("b.example.org", None))
    mailbox.put_nowait(ReportArrived(report("a", 1.0)))  # bounded by itself
    with pytest.raises(MailboxFull):
        mailbox.put_nowait(LeaseChanged(None))


async def test_waiting_ends_with_the_first_fact(autojump_clock: MockClock) -> None:
    mailbox = Mailbox()
    async with trio.open_nursery() as nursery:
        nursery.start_soon(mailbox.wait_filled)
        await trio.sleep(5)
        assert nursery.child_tasks
        mailbox.put_nowait(Woke())
        with trio.fail_after(1):
            await trio.testing.wait_all_tasks_blocked()
    await mailbox.wait_filled()


async def test_delivering_a_report_is_a_checkpoint() -> None:
    mailbox = Mailbox()
    with trio.testing.assert_checkpoints():
        await mailbox.deliver(report("a", 1.0))
    assert len(mailbox) == 1
