"""The console on a real cluster of three daemons: every order of membership, losses, which member
is watched, and a night in tmux."""

from __future__ import annotations

import asyncio
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import dns.rdatatype
import dns.zone
import pytest
from textual.widgets import Button, Input

from dnslbctl import aclient
from dnslbctl.aclient import AsyncClient
from dnslbctl.amember import AsyncMember
from dnslbctl.remote import RemoteClient
from dnslbctl.secure import Credentials
from tests.console.driving import Hands, driven
from tests.console.test_orders import back, order, to_endpoint
from tests.console.tmux import Tmux
from tests.system.raft_stage import Cluster
from tests.system.stage import ZONE
from tests.system.test_raft_tls import make_pki, pki


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three daemons that nothing is known to be a cluster yet but m1."""
    zones = tmp_path / "zones"
    zones.mkdir()
    (zones / "example.org.zone").write_text(ZONE)
    publisher = f'provider = "file"\nfile-dir = "{zones}"\nfile-shared = true\n'
    made = Cluster(tmp_path, publisher=publisher, endpoints=3,
                   lb='up-after = 0.2\nmax-withdraw = "30%"')  # fmt: skip
    yield made
    made.close()


def found(cluster: Cluster) -> None:
    cluster.start("m1", "-raft-bootstrap")
    cluster.start("m2")
    cluster.start("m3")
    cluster.wait_ready("m1", "m2", "m3")
    cluster.leader()


def answer(cluster: Cluster) -> set[str]:
    """The last octets of what the zone file answers for www."""
    path = cluster.directory / "zones" / "example.org.zone"
    zone = dns.zone.from_file(str(path), origin="example.org.", relativize=False)
    rdataset = zone.get_rdataset("www.example.org.", dns.rdatatype.A)
    return {r.to_text().rpartition(".")[2] for r in rdataset} if rdataset else set()


async def in_thread(call: Callable[[], object]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, call)


def configuration_index(cluster: Cluster) -> str:
    return str(cluster.json("m1", "raft", "get_configuration")["index"])


async def until_index(hands: Hands, cluster: Cluster) -> None:
    """The form has the index of the configuration that is in force."""
    index = configuration_index(cluster)
    await hands.until(lambda: hands.form.query_one("#previous_index", Input).value == index)


async def obey(hands: Hands, *told: str) -> None:
    await order(hands)
    await hands.until_shown(*told, "Close")
    await hands.press("enter")
    assert hands.forms == 0


async def add(hands: Hands, cluster: Cluster, key: str, name: str) -> None:
    await hands.press(key)
    await hands.write(name)
    await hands.press("tab")
    await hands.write(cluster[name].address)
    await until_index(hands, cluster)


def standing(hands: Hands) -> dict[str, tuple[str, str]]:
    return {m["id"]: (m["role"], m["suffrage"]) for m in hands.console.picture.members}


LEADS, FOLLOWS, SEES = ("leader", "voter"), ("follower", "voter"), ("follower", "nonvoter")


async def change_members(hands: Hands, cluster: Cluster) -> None:
    await hands.until_shown("leader m1 (here)", "voters 1/1")
    await add(hands, cluster, "a", "m2")
    await hands.until_shown("voters 1 → 2, 1 → 2 must agree")
    await obey(hands, "m2 is a voter now")
    await add(hands, cluster, "n", "m3")
    await obey(hands, "m3 is a non-voter now")
    await hands.until(lambda: standing(hands) == {"m1": LEADS, "m2": FOLLOWS, "m3": SEES})
    await hands.press("a")
    assert hands.form.values()["id"] == "m3", "the non-voter that is there is proposed"
    await until_index(hands, cluster)
    await obey(hands, "m3 is a voter now")
    await hands.press("3", "g", "down", "t")
    await hands.until_shown(f"leadership_transfer_to_server m2 {cluster['m2'].address}")
    await obey(hands, "m2 leads now, in term 2")
    await hands.until_shown("leader m2")
    await hands.until(lambda: standing(hands) == {"m1": FOLLOWS, "m2": LEADS, "m3": FOLLOWS})
    await hands.press("g", "t", "left", "left", "right", "right")
    await hands.press("escape", "1", "t")
    await hands.until_shown("whoever is most current")
    await obey(hands, "leads now, in term 3")
    await hands.until(lambda: standing(hands)["m2"] == FOLLOWS)
    await hands.press("3", "g", "down", "m")
    await until_index(hands, cluster)
    await hands.press("tab")
    await hands.write("m2")
    await obey(hands, "m2 is a non-voter now, and votes no more")
    await hands.press("r")
    await until_index(hands, cluster)
    await hands.press("tab")
    await hands.write("m2")
    await obey(hands, "m2 is no member any more")
    await hands.until(lambda: "m2" not in standing(hands))
    await hands.console.action_snapshot()
    await hands.settle()
    await obey(hands, "the snapshot is written")


def test_members_come_go_and_hand_over(cluster: Cluster) -> None:
    found(cluster)

    async def hand(hands: Hands) -> None:
        await change_members(hands, cluster)

    asyncio.run(driven(AsyncClient(str(cluster["m1"].socket)), hand))


async def decide_at_a_follower(hands: Hands, cluster: Cluster) -> None:
    """What the leader holds is seen, understood and decided here."""
    await hands.until_shown("leader m1", "voters 3/3")
    assert not hands.console.picture.members[0]["self"]
    await hands.until(lambda: [m["reached"] for m in hands.console.picture.members] == [True] * 3)
    cluster.endpoints[0].down()
    cluster.endpoints[1].down()
    await hands.press("1")
    await hands.until_shown("NEEDS YOU", "1 held", "✗ CRITICAL")
    await hands.press("g", "x", "right")
    await hands.until_shown("Decide a held change", "www.example.org A", "dnslbctl approve")
    await hands.press("tab")
    await hands.write("www.example.org")
    await order(hands)
    await hands.until_shown("Close")
    await back(hands)
    head = hands.console.picture.lbs["www.example.org"].head
    await hands.until(lambda: head["published"] == ["192.0.2.3"] or _published(hands) == 1)
    for endpoint in cluster.endpoints[:2]:
        endpoint.up()
    await hands.until_shown("HEALTHY")
    await to_endpoint(hands, "192.0.2.3")
    await hands.press("d")
    await hands.write("disk swap")
    await obey(hands, "left DNS")
    await hands.press("w")
    await hands.until_shown("Drained by root: disk swap")
    await hands.press("escape", "c")
    await obey(hands, "entered DNS")
    await back(hands)
    await hands.press("p", "tab")
    await hands.write("move")
    await order(hands)
    await hands.until_shown("Close")
    await hands.press("enter")
    await hands.until_shown("PAUSED: ALL DNS CHANGES by root")
    await hands.press("p")
    await order(hands)
    await hands.until_shown("Close")
    await hands.press("enter")
    await hands.until_shown("HEALTHY")


def _published(hands: Hands) -> int:
    return len(hands.console.picture.lbs["www.example.org"].head["published"] or ())


async def hang(hands: Hands, cluster: Cluster) -> None:
    """The one that is watched stands still: its socket is there, and nothing comes out of it."""
    cluster.send_signal("m2", signal.SIGSTOP)
    try:
        await hands.until_shown("STALE", "shows no sign of life")
        await hands.press("p")
        await hands.until_shown("refused: there is no connection")
        assert hands.forms == 0
    finally:
        cluster.send_signal("m2", signal.SIGCONT)
    await hands.until(lambda: not hands.console.offline)
    await hands.until_shown("HEALTHY", "voters 3/3")


async def lose_members(hands: Hands, cluster: Cluster) -> None:
    """The leader dies, then another: what is left says so, and orders nothing."""
    await in_thread(lambda: cluster.stop("m1", signal.SIGKILL))
    await hands.until(lambda: "leader m2" in hands.text or "leader m3" in hands.text)
    await hands.until_shown("voters 2/3", "none may be lost")
    await hands.press("3")
    await hands.until_shown("✗ lost")
    await in_thread(lambda: cluster.stop("m3", signal.SIGKILL))
    await hands.until_shown("NO LEADER", "nobody may write")
    await hands.until_shown("voters 1/3, no quorum")
    await hands.press("2", "g", "down", "d")
    await hands.write("too late")
    await order(hands)
    await hands.until_shown("✗ no leader")
    assert not hands.form.query_one("#do", Button).disabled, "nothing was done; it can be tried"
    await back(hands)
    cluster.start("m3")
    await hands.until_shown("HEALTHY")


def test_a_follower_shows_and_decides_all_and_outlives_the_leader(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(aclient, "QUIET_S", 3.0)
    cluster.form()
    cluster.leader()

    async def hand(hands: Hands) -> None:
        await decide_at_a_follower(hands, cluster)
        await hang(hands, cluster)
        await lose_members(hands, cluster)

    client = AsyncClient(str(cluster["m2"].socket), timeout_s=3.0)
    asyncio.run(driven(client, hand, size=(100, 30)))


@pytest.mark.long
def test_over_the_network_the_next_member_is_watched(tmp_path: Path, cluster: Cluster) -> None:
    cluster.certificates = make_pki(tmp_path / "pki", "m1", "m2", "m3")
    pki("issue", "eve", "-role", "operator", "-dir", str(tmp_path / "pki"))
    names = ("ca.crt", "eve.crt", "eve.key")
    credentials = Credentials(*(str(tmp_path / "pki" / name) for name in names))
    cluster.form()
    cluster.leader()
    first, *others = (RemoteClient(s.address, 5.0, credentials) for s in cluster.seats.values())
    client = AsyncMember(first, others)

    async def hand(hands: Hands) -> None:
        await hands.until_shown("leader m1 (here)")
        await hands.press("2", "g", "down", "d")
        await hands.write("disk swap")
        await in_thread(lambda: cluster.stop("m1", signal.SIGKILL))
        await hands.until(lambda: hands.console.picture.status["instance_id"] != "m1")
        await hands.until(lambda: hands.console.picture.status["leader"] is not None)
        await hands.until_shown("living 3 → 2")
        await obey(hands, "left DNS")
        assert hands.console.picture.orders[0]["by"] == "eve"

    asyncio.run(driven(client, hand))


@pytest.fixture
def tmux(tmp_path: Path, cluster: Cluster) -> Iterator[Tmux]:
    if shutil.which("tmux") is None:
        pytest.skip("there is no tmux here")
    found(cluster)
    cluster.raft("m1", "add_voter", "m2", cluster["m2"].address, "0")
    made = Tmux(tmp_path, cluster["m1"].socket)
    yield made
    made.close()


def test_a_night_in_tmux(tmux: Tmux, cluster: Cluster) -> None:
    tmux.until_shown("HEALTHY", "leader m1 (here)", "voters 2/2", "nothing needs you")
    cluster.wait(lambda: answer(cluster) == {"1", "2", "3"})

    tmux.keys("a")
    tmux.write("m3")
    tmux.keys("Tab")
    tmux.write(cluster["m3"].address)
    tmux.until_shown("voters 2 → 3, 2 → 2 must agree", f"add_voter m3 {cluster['m3'].address}")
    tmux.keys("Tab", "Tab", "Tab", "Enter")
    tmux.until_shown("m3 is a voter now")
    tmux.keys("Enter", "3")
    tmux.until_shown("voters 3/3", "3 voters, 2 must agree: 1 may be lost")
    tmux.keys("G", "t")
    tmux.until_shown("Transfer leadership", "m1 stops writing, and m3 is elected")
    tmux.keys("Down", "Down", "Enter")
    tmux.until_shown("m3 leads now, in term")
    tmux.keys("Enter", "2")
    tmux.until_shown("leader m3", "www.example.org", "192.0.2.1", "✓ up", "3/3")

    cluster.endpoints[2].down()
    tmux.until_shown("▲ degraded", "✗ down", "2/3")
    cluster.wait(lambda: answer(cluster) == {"1", "2"})
    cluster.endpoints[2].up()
    tmux.until(lambda screen: "✓ healthy" in screen and "✗" not in screen)

    tmux.keys("g", "Down")
    tmux.until(lambda screen: ">   192.0.2.1 http" in screen)
    tmux.keys("d")
    tmux.until_shown("Drain", "living 3 → 2", "say why")
    tmux.write("disk swap")
    tmux.until_shown("--reason 'disk swap' --for 2h")
    tmux.keys("Down", "Down", "Down", "Enter")
    told = tmux.until_shown("Close")
    assert "left DNS" in told, told
    cluster.wait(lambda: answer(cluster) == {"2", "3"})
    tmux.keys("Enter")
    tmux.until_shown("‖ drained", "out")
    (order,) = cluster.json("m2", "overrides")
    assert (order["kind"], order["reason"]) == ("drain", "disk swap")

    tmux.resize(200, 60)
    tmux.until_shown("1 Now", "2 Endpoints", "3 Members", "4 Changes", "5 Events", "✓ applied")
    tmux.resize(80, 24)
    tmux.until(lambda screen: "5 Events ─" not in screen)
    come_back(tmux, cluster)
    tmux.keys("q")
    assert "left with 0" in tmux.until_shown("left with")


def come_back(tmux: Tmux, cluster: Cluster) -> None:
    """The one that is watched dies, and returns."""
    cluster.stop("m1")
    tmux.until_shown("STALE", "NO CONNECTION", "‖ drained")
    tmux.keys("d")
    tmux.until_shown("refused: there is no connection")
    cluster.start("m1")
    tmux.until(lambda screen: "NO CONNECTION" not in screen and "STALE" not in screen)
    tmux.until_shown("HEALTHY")
    tmux.keys("d")
    tmux.until_shown("Clear", "the agents decide again")
    tmux.keys("Down", "Enter")
    tmux.until_shown("Close")
    cluster.wait(lambda: answer(cluster) == {"1", "2", "3"})
    tmux.keys("Enter")
    tmux.until(lambda screen: "Close" not in screen)
