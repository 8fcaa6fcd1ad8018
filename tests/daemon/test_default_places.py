"""Sockets and state go to the first place of a short list that can be used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dnslb.daemon import default_places
from dnslb.daemon.default_places import default_control_socket, default_state_dir


@pytest.fixture(autouse=True)
def system(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine of which nothing is there yet; `access` as for somebody who is not root."""
    monkeypatch.setattr(default_places, "SYSTEM_SOCKETS", tmp_path / "run" / "dnslb")
    monkeypatch.setattr(default_places, "SYSTEM_STATE", tmp_path / "lib" / "dnslb")

    def access(path: Path, mode: int) -> bool:
        return path.stat().st_mode & 0o700 & (mode << 6) == mode << 6

    monkeypatch.setattr(os, "access", access)
    return tmp_path


def test_the_socket_goes_to_the_system_s_directory(system: Path) -> None:
    (system / "run").mkdir()
    assert default_control_socket("a", {}) == system / "run/dnslb/a.sock"


def test_the_socket_goes_elsewhere_where_that_is_not_ours(system: Path) -> None:
    (system / "run" / "dnslb").mkdir(parents=True)
    (system / "run" / "dnslb").chmod(0o500)
    environ = {"XDG_RUNTIME_DIR": str(system), "TMPDIR": "/var/tmp"}
    assert default_control_socket("a", environ) == system / "dnslb/a.sock"
    environ["XDG_RUNTIME_DIR"] = "relative"
    private = Path(f"/var/tmp/dnslb-{os.geteuid()}/a.sock")
    assert default_control_socket("a", environ) == private
    environ["XDG_RUNTIME_DIR"] = str(system / "gone")
    assert default_control_socket("a", environ) == private
    assert default_control_socket("a", {}) == Path(f"/tmp/dnslb-{os.geteuid()}/a.sock")


def test_the_state_goes_to_the_system_s_directory(system: Path) -> None:
    (system / "lib").mkdir()
    assert default_state_dir({"HOME": "/h"}) == system / "lib/dnslb"


def test_the_state_goes_below_the_user_where_that_is_not_ours(system: Path) -> None:
    (system / "lib").mkdir(mode=0o500)
    assert default_state_dir({"XDG_STATE_HOME": "/s", "HOME": "/h"}) == Path("/s/dnslb")
    assert default_state_dir({"XDG_STATE_HOME": "s", "HOME": "/h"}) == Path("/h/.local/state/dnslb")
    assert default_state_dir({}).is_absolute()
