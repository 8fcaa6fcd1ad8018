"""What the tests over the network share: the program, and a member that it can reach."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from dnslb.model.cluster import ClusterReply
from tests.dnslbctl.members import Member, Tried, running
from tests.doubles.operations import Shown, ep, lb, picture


@pytest.fixture
def tried(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tried:
    monkeypatch.delenv("DNSLB_SOCKET", raising=False)
    return Tried(capsys)


@pytest.fixture
def plain(tmp_path: Path) -> Iterator[Member]:
    """A member without TLS, which leads."""
    status = picture(lb("www.example.org", ep("tcp://192.0.2.1:80")))
    answer = ClusterReply(('id: "fra-1"',), {"id": "fra-1"})
    found = Member(tmp_path / "p", shown=Shown(status, cluster_answer=answer))
    with running(found):
        yield found
