"""How a cluster begins: the first configuration, of one member, written by itself.

Not how others join it. Law (`safety.md` 5.3): only a directory that never belonged anywhere founds
a cluster; a bootstrap that was left in a unit file changes nothing at the next start.
"""

from __future__ import annotations

from dnslb.election.raft.journal import Journal
from dnslb.election.raft.log import bootstrap
from dnslb.election.raft.membership import Configuration, Member


def found_cluster(
    journal: Journal, *, member_id: str, address: str, cluster_id: str, epoch: int
) -> bool:
    """Whether it was done; False for a directory that has a past. ``cluster_id``: new, random,
    hexadecimal. ``epoch``: the greater of the wall clock in seconds and the newest marker seen
    + 1. Raises `InvalidValue` and `StoreError`."""
    facts = journal.facts
    if facts.cluster_id or facts.term or journal.last > 1:
        return False
    member = Member(member_id, address, "voter", journal.incarnation)
    journal.append(bootstrap(Configuration(cluster_id, epoch, (member,))))
    journal.sync()
    return True
