"""``dnslb check``: everything that is wrong, or what the daemon would do; opens nothing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from dnslb.daemon.verbs.check import run

Captured = pytest.CaptureFixture[str]
GOOD = """
election = "singleton"
instance-identifier = "one"
agents = ["one", "two"]
provider = "file"
file-dir = "."
listen = "::1"
port = 9000
control-socket = "/run/x.sock"
state-dir = "/var/lib/x"
dry-run = true
[lb]
"a.example" = ["http://192.0.2.1:80", "http://192.0.2.2:80"]
"b.example" = ["http://192.0.2.1:80"]
[guard]
window = "2m"
"""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return Path("dnslb.toml")


def test_a_good_one(file: Path, capsys: Captured) -> None:
    file.write_text(GOOD)
    assert run(["-cfg", "dnslb.toml"], {}) == 0
    captured = capsys.readouterr()
    assert captured.out.splitlines() == [
        "instance:        one, election singleton",
        "load balancers:  2 with 3 endpoints and 2 different checks",
        "agents:          one, two",
        "built-in prober: on",
        "provider:        file, zone files in .",
        "verification:    off: -verify-servers would name who serves these files",
        "guard:           at most 50% of all addresses withdrawn in 2m, from 10 addresses up",
        "metrics:         http://[::1]:9000/metrics",
        "control socket:  /run/x.sock",
        "state:           /var/lib/x",
        "dry run:         nothing outside the state directory is written",
        "0 errors, 2 warnings",
    ]
    told = captured.err.splitlines()
    assert len(told) == 2
    assert all(line.startswith("warning: dnslb.toml:4: agents: ") for line in told)


def test_a_bad_one(file: Path, capsys: Captured) -> None:
    file.write_text('election = "singleton"\nport = -1\nraft-profile = "wan"\nlistne = "x"')
    assert run(["-cfg", "dnslb.toml"], {"DRIFT": "x"}) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    told = captured.err.splitlines()
    assert told[:3] == [
        "error: environment variable DRIFT: expected restore, report or hold, found 'x'",
        "error: dnslb.toml:2: port: expected a whole number from 0 to 65535, found -1",
        "error: dnslb.toml:4: listne: there is no such key; did you mean listen?",
    ]
    assert "warning: dnslb.toml:3: raft-profile: has no effect without -election raft" in told
    assert told[-1].startswith("3 errors, ")


def test_objects_for_machines(file: Path, capsys: Captured) -> None:
    file.write_text(GOOD)
    assert run(["--json", "-cfg=dnslb.toml"], {}) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["ok"] is True
    assert shown["errors"] == []
    assert len(shown["warnings"]) == 2
    assert shown["summary"] == {
        "instance_id": "one",
        "election": "singleton",
        "loadbalancers": 2,
        "endpoints": 3,
        "agents": ["one", "two"],
        "provider": "file",
        "listen": "[::1]:9000",
        "healthd_listen": None,
        "raft_address": None,
        "control_socket": "/run/x.sock",
        "state_dir": "/var/lib/x",
        "dry_run": True,
    }
    file.write_text("port = -1\nport-2 = 1")
    assert run(["-cfg=dnslb.toml", "-json"], {}) == 1
    shown = json.loads(capsys.readouterr().out)
    assert (shown["ok"], shown["summary"]) == (False, None)
    assert shown["errors"][1]["place"] == "dnslb.toml:1: port"


def test_what_other_parts_would_open(file: Path, capsys: Captured, tmp_path: Path) -> None:
    argv = ["-election=raft", "-raft-address=localhost:3648", f"-raft-dir={tmp_path}"]
    assert run(["-instance-id=a", *argv, "-raft-listen=127.0.0.1:1"], {}) == 0
    shown = capsys.readouterr().out.splitlines()
    assert "raft:            localhost:3648, bound at 127.0.0.1:1" in shown
    assert "agents:          the voters" in shown
    assert f"state:           {tmp_path}/a" in shown
    assert "provider:        none: nothing is published" in shown


def test_it_opens_nothing(file: Path, tmp_path: Path) -> None:
    argv = ["-election=singleton", f"-control-socket={tmp_path}/s/x.sock"]
    assert run([*argv, f"-state-dir={tmp_path}/state"], {}) == 0
    assert list(tmp_path.iterdir()) == []


def test_usage(capsys: Captured) -> None:
    assert run(["-h"], {}) == 0
    assert capsys.readouterr().out.startswith("usage: dnslb check")
