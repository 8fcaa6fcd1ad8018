"""What is left of a cluster that lost its quorum for good, and the new cluster made of it. Pure.

Not the command that asks a person first (`dnslb raft recover`), nor the disk: what is to be
written is one `Batch`, so that an interruption leaves the old member or the new one.

Law (`safety.md` 5.4): the new cluster and the old one can never be taken for each other. It has
another cluster id, so that their members refuse each other; a higher epoch, so that its writes
win where the provider compares; and this member another incarnation, so that it is not the one
that promised and voted there. All that was logged here is kept: any of it may have been committed
together with a member that is gone, and a pause that is forgotten is worse than one too many.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from msgspec import structs

from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import NO_OP, Batch, Entry, change_command, change_of
from dnslb.election.raft.membership import Change, Configuration, Member
from dnslb.errors import CommandRefused


@dataclass(frozen=True, slots=True)
class Remains:
    """What the directory of ``us`` says. ``others``: whoever is a member by the newest
    configuration here, or by one that may still be in force elsewhere. ``commit``: known to be
    committed; what follows, up to ``last``, may be."""

    cluster_id: str
    epoch: int
    us: Member
    others: tuple[Member, ...]
    term: int
    commit: int
    last: int
    last_term: int


def examine(journal: Journal, member_id: str) -> Remains:
    """Raises `CommandRefused` where nothing is to be recovered."""
    newest, facts = journal.configuration, journal.facts
    if not newest.cluster_id:
        raise CommandRefused(
            f"{member_id} belongs to no cluster yet, so there is nothing to recover: add_voter "
            "adds it to one, -raft-bootstrap founds one."
        )
    known: dict[str, Member] = {}
    for configuration in _configurations(journal):
        known |= {one.id: one for one in configuration.members}
    us = known.pop(member_id, None)
    if us is None:
        raise CommandRefused(
            f"{member_id} is not a member of the cluster in its own log ({', '.join(known)} are): "
            "look at -instance-id and -raft-dir, or recover a member that was not removed."
        )
    if newest.voters == {member_id}:
        raise CommandRefused(
            f"{member_id} is the only voter of cluster {newest.cluster_id}, so it needs nobody "
            "else to elect it: start it. There is nothing to recover."
        )
    others = tuple(known[one] for one in sorted(known))
    return Remains(
        newest.cluster_id,
        newest.epoch,
        us,
        others,
        facts.term,
        facts.commit,
        journal.last,
        journal.last_term,
    )


def _configurations(journal: Journal) -> list[Configuration]:
    """The one that is known to be committed, and all after it; the newest last."""
    commit = journal.facts.commit
    later = (change_of(one.command) for one in journal.entries if one.position > commit)
    _, committed = journal.configuration_at(commit)
    return [committed, *(change.new for change in later if change is not None)]


def next_epoch(remains: Remains, wall_s: float, newest: int = 0) -> int:
    """``wall_s``: the wall clock; ``newest``: the newest epoch that was seen in a marker. Above
    every epoch that this cluster can have written."""
    return max(int(wall_s), remains.epoch + 1, newest + 1)


def refound(
    journal: Journal, us: Member, *, cluster_id: str, incarnation: str, epoch: int
) -> Batch:
    """Makes ``us`` the only voter of a new cluster that remembers all of the journal.
    ``incarnation`` and ``cluster_id``: new, random, hexadecimal."""
    member = replace(us, suffrage="voter", incarnation=incarnation)
    configuration = Configuration(cluster_id, epoch, (member,))
    # A term that nobody led: this entry is like none that any other log can hold.
    term = journal.facts.term + 1
    change = change_command(Change(Configuration(), configuration))
    founding = Entry(change, journal.last + 1, term)
    facts = structs.replace(
        journal.facts, term=term, voted=us.id, commit=founding.position, cluster_id=cluster_id
    )
    snapshot = journal.snapshot
    if snapshot is not None:
        snapshot = replace(snapshot, configuration=configuration)
    return Batch(
        first=journal.first,
        rewrite_from=journal.first,
        entries=(*map(_without_change, journal.entries), founding),
        facts=facts,
        snapshot=snapshot,
        incarnation=incarnation,
    )


def _without_change(entry: Entry) -> Entry:
    """Members of the old cluster are nobody here; what stands at an index stays at it."""
    if change_of(entry.command) is None:
        return entry
    return Entry(NO_OP, entry.position, entry.term)
