"""What a cluster bears, in numbers: who is not seen counts neither as present nor as lost."""

from __future__ import annotations

from dataclasses import replace

import pytest

from dnslb.control.delta import snapshot_pieces
from dnslbctl.console import details, headline
from dnslbctl.console.rows import Rows
from dnslbctl.output import Terminal
from dnslbctl.viewmodel import Picture
from tests.console.stage import RAFT
from tests.console.test_viewmodel import parsed
from tests.control.test_watch import sight
from tests.doubles.operations import picture


def counted(*others: bool | None) -> tuple[str, str]:
    """The header's words and the pane's, with two more voters that stand like this."""
    here, *rest = RAFT.members[:3]
    voters = (here, *(replace(m, reached=r, lag=0) for m, r in zip(rest, others, strict=True)))
    cluster = replace(RAFT, members=voters)
    found = Picture()
    seen = replace(sight(picture()), cluster=cluster)
    found.apply(parsed(b"".join(snapshot_pieces(1, seen))))
    found.status["election"] = "raft"
    rows = Rows(found, Terminal(width=120, colour=True, unicode=True))
    head = "".join(text for text, _ in headline.header(rows, 200))
    [line] = details.of_members(rows)
    return head, "".join(text for text, _ in line)


@pytest.mark.parametrize(
    ("others", "head", "pane"),
    [
        ((True, True), "voters 3/3, 1 may be lost", "must agree: 1 may be lost"),
        ((True, None), "voters 2/3, none may be lost", "1 not seen: none may be lost"),
        ((True, False), "voters 2/3, none may be lost", "1 lost: none may be lost"),
        (
            (False, None),
            "voters 1/3, quorum not seen",
            "1 lost, 1 not seen: whether a leader can be elected is not known",
        ),
        ((False, False), "voters 1/3, no quorum", "2 lost: no leader can be elected"),
    ],
)
def test_who_is_not_seen_is_not_counted_as_present(
    others: tuple[bool | None, bool | None], head: str, pane: str
) -> None:
    in_header, in_pane = counted(*others)
    assert head in in_header
    assert pane in in_pane
