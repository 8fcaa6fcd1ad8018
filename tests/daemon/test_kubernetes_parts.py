"""The parts of a replica, wired as its configuration says; nothing is asked of any server."""

from __future__ import annotations

import secrets
from pathlib import Path

import pytest

from dnslb.daemon.kubernetes_parts import KubernetesParts
from dnslb.election.surroundings import Surroundings
from dnslb.errors import CommandRefused, ConfigError
from dnslb.metrics.counters import Counters
from dnslb.model.command import Command, CommandReply
from dnslb.net.clock import FakeClock
from tests.daemon.loading import Loader
from tests.election.kubernetes_stage import Board, Workers
from tests.election.kubernetes_steps import foreign

K8S = ["-election=k8s", "-instance-id=dnslb-0", "-k8s-lock-namespace=dns", "-owner-id=ours"]
DRAIN = Command("drain", ("192.0.2.1",), "root", reason="x")


def parts_of(loader: Loader, board: Board, *more: str) -> KubernetesParts:
    async def perform(command: Command, timeout_s: float) -> CommandReply:
        return CommandReply(True, (f"done: {command.kind}",))

    async def read(path: str, parameters: object) -> bytes:
        raise AssertionError("nobody asks")

    around = Surroundings(
        Workers(),
        perform,
        read,
        stop=lambda: None,
        note=lambda kind, message, **fields: None,
        notices=board,
        voters=lambda voters: None,
        agreed=lambda digest: None,
    )
    config = loader.load(argv=[*K8S, *more])
    return KubernetesParts(config, FakeClock(), lambda: None, Counters(), around)


async def test_timings_and_names_are_those_of_the_configuration(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(secrets, "token_hex", lambda size: "9f" * size)
    timings = ("-k8s-lease-duration=30", "-k8s-renew-deadline=15", "-k8s-retry-period=5")
    parts = parts_of(loader, Board(), *timings)
    contest = parts.elector._contest
    assert contest.identity == f"dnslb-0_{'9f' * 8}"
    assert (contest.timing.duration_s, contest.timing.deadline_s, contest.timing.retry_s) == (
        30,
        15.0,
        5.0,
    )
    assert parts.client.namespace == "dns"
    assert parts.cluster.view().role == "candidate"


async def test_a_dry_run_stands_for_nothing(loader: Loader) -> None:
    assert parts_of(loader, Board(), "-dry-run").cluster.view().role == "standby"


async def test_a_command_goes_to_the_holder_or_is_refused_by_its_name(loader: Loader) -> None:
    parts = parts_of(loader, Board())
    assert (await parts.perform(DRAIN, 1.0)).sentences == ("done: drain",)
    now = FakeClock().now()
    parts.elector._contest.found(foreign(holderIdentity="dnslb-1_77"), now)
    with pytest.raises(CommandRefused, match="kubectl exec -n dns dnslb-1 -- dnslbctl"):
        await parts.perform(DRAIN, 1.0)


@pytest.mark.parametrize(
    ("agents", "alone"), [((), True), (("-agent=dnslb-0",), True), (("-agent=a,b,c",), False)]
)
def test_a_replica_that_decides_alone_says_so(
    loader: Loader, agents: tuple[str, ...], alone: bool
) -> None:
    board = Board()
    parts = parts_of(loader, board, *agents)
    parts.reload(parts._config)
    assert ("decides-alone" in board.rows) is alone


async def test_a_configuration_of_kubernetes_that_cannot_be_used_stops_the_start(
    loader: Loader, tmp_path: Path
) -> None:
    (tmp_path / "kubeconfig").write_text("clusters: 7")
    parts = parts_of(loader, Board(), f"-k8s-kubeconfig={tmp_path / 'kubeconfig'}")
    with pytest.raises(ConfigError, match=r"kubeconfig .* cannot be used"):
        await parts.open()
