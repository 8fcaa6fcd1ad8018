"""Which instance is meant: the one that runs, never a guess."""

from __future__ import annotations

import os
import socket
from dataclasses import replace
from pathlib import Path

import pytest

from dnslb.daemon.default_places import socket_directories
from dnslb.model.cluster import ClusterView
from dnslbctl.client import Ambiguous, Unreached
from dnslbctl.instance import choose_instance, find_instance, find_sockets, search_directories
from tests.dnslbctl.daemon import running
from tests.doubles.operations import ALONE, INFO, picture

ME = os.geteuid()


@pytest.mark.parametrize(
    "environ",
    [
        {},
        {"XDG_RUNTIME_DIR": "/run/user/7"},
        {"XDG_RUNTIME_DIR": "relative"},
        {"XDG_RUNTIME_DIR": "/run/user/7", "TMPDIR": "/elsewhere"},
        {"TMPDIR": ""},
    ],
)
def test_it_looks_where_daemons_put_their_sockets(environ: dict[str, str]) -> None:
    assert search_directories(environ, ME) == [str(p) for p in socket_directories(environ)]


def dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as left_behind:
        left_behind.bind(str(path))


def test_only_sockets_in_trusted_directories_are_found(tmp_path: Path) -> None:
    dead_socket(tmp_path / "b.sock")
    dead_socket(tmp_path / "a.sock")
    dead_socket(tmp_path / "other")
    (tmp_path / "file.sock").touch()
    (tmp_path / "gone.sock").symlink_to(tmp_path / "nowhere")
    expected = [str(tmp_path / "a.sock"), str(tmp_path / "b.sock")]
    assert find_sockets([str(tmp_path), str(tmp_path / "none")], ME) == expected
    stranger = ME + 1
    if ME != 0:  # what root made everybody trusts
        assert find_sockets([str(tmp_path)], stranger) == []


def test_a_directory_of_a_stranger_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dead_socket(tmp_path / "a.sock")
    real = os.stat

    def owned_by_a_stranger(path: str) -> object:
        found = real(path)
        values = list(found)
        values[4] = ME + 4711
        return os.stat_result(values) if path == str(tmp_path) else found

    monkeypatch.setattr(os, "stat", owned_by_a_stranger)
    assert find_sockets([str(tmp_path)], ME) == []


def test_none_at_all_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = [str(tmp_path), str(tmp_path / "none")]
    monkeypatch.setattr("dnslbctl.instance.search_directories", lambda environ, uid: places)
    with pytest.raises(Unreached) as unreached:
        find_instance({}, 1)
    assert f"no socket in {tmp_path}, {tmp_path}/none; is dnslb running?" in str(unreached.value)


def test_the_one_that_lives_is_taken(tmp_path: Path) -> None:
    dead_socket(tmp_path / "dead.sock")
    living = tmp_path / "living.sock"
    with running(living, picture()):
        chosen = choose_instance([str(tmp_path / "dead.sock"), str(living)], 5)
    assert chosen.path == str(living)


def test_none_that_lives(tmp_path: Path) -> None:
    for name in ("a.sock", "b.sock"):
        dead_socket(tmp_path / name)
    with pytest.raises(Unreached, match="nobody serves"):
        choose_instance([str(tmp_path / "a.sock"), str(tmp_path / "b.sock")], 5)


def test_two_are_listed_and_none_is_taken(tmp_path: Path) -> None:
    a, b = tmp_path / "a.sock", tmp_path / "b.sock"
    with (
        running(a, picture()),
        running(b, picture(), info=replace(INFO, instance_id="there")),
        pytest.raises(Ambiguous) as ambiguous,
    ):
        choose_instance([str(a), str(b)], 5)
    assert f"{a}  here (singleton)" in str(ambiguous.value)
    assert f"{b}  there (singleton)" in str(ambiguous.value)
    assert ambiguous.value.exit_code == 2


def test_one_that_hangs_counts(tmp_path: Path) -> None:
    a, b = tmp_path / "a.sock", tmp_path / "b.sock"
    with socket.socket(socket.AF_UNIX) as hanging:
        hanging.bind(str(b))
        hanging.listen()
        with running(a, picture()), pytest.raises(Ambiguous, match="does not answer"):
            choose_instance([str(a), str(b)], 0.1)


def test_of_one_cluster_any_will_do_and_the_waiting_do_not_count(tmp_path: Path) -> None:
    a, b, c = (tmp_path / f"{name}.sock" for name in "abc")
    member = replace(INFO, election="raft")
    follower = ClusterView("follower", 1, ("b", "x"), (), cluster_id="c1")
    leader = replace(ALONE, cluster_id="c1")
    waiting = ClusterView("waiting", None, None, ())
    with (
        running(a, picture(), info=member, members=follower),
        running(b, picture(), info=member, members=leader),
        running(c, picture(), info=member, members=waiting),
    ):
        assert choose_instance([str(a), str(b), str(c)], 5).path == str(b), "the leader"
        assert choose_instance([str(a), str(c)], 5).path == str(a)
        assert choose_instance([str(c)], 5).path == str(c)
