"""The whole program as a process: what it prints where, and its exit codes."""

from __future__ import annotations

import json
import os
import pty
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from dnslb.errors import CommandRefused
from dnslb.model.cluster import ClusterView
from dnslb.model.command import Command, CommandReply
from tests.dnslbctl.daemon import Daemon, running
from tests.doubles.operations import WALL, change, entry, ep, lb, picture, row

ROOT = Path(__file__).resolve().parents[2]
STATUS = picture(
    lb("www.example.org", ep("tcp://192.0.2.1:80"), ep("tcp://192.0.2.2:80", "down")),
    lb("api.example.org", ep("tcp://192.0.2.1:80")),
    changes=(change(), change("old", state="applied", applied_wall=WALL - 9999)),
    attention=(row(),),
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with running(tmp_path / "s", STATUS, entries=(entry("one"), entry("two"))) as found:
        yield found


def environ(**more: str) -> dict[str, str]:
    kept = {k: v for k, v in os.environ.items() if k not in ("DNSLB_SOCKET", "NO_COLOR")}
    return {**kept, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": "utf-8", **more}


def ctl(daemon: Daemon | None, *words: str, **more: str) -> subprocess.CompletedProcess[str]:
    where = {"DNSLB_SOCKET": str(daemon.path)} if daemon else {}
    return subprocess.run(
        [sys.executable, "-m", "dnslbctl", *words],
        env=environ(**where, **more),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def done(daemon: Daemon, *words: str) -> str:
    found = ctl(daemon, *words)
    assert (found.returncode, found.stderr) == (0, "")
    return found.stdout


def as_json(daemon: Daemon, *words: str) -> Any:
    return json.loads(done(daemon, "--json", *words))


def test_looking(daemon: Daemon) -> None:
    assert "NEEDS YOU" in done(daemon, "status")
    assert "here (here)" in done(daemon, "members")
    assert done(daemon, "endpoints").count("tcp://") == 3
    assert done(daemon, "--lb", "api.example.org", "endpoints").count("tcp://") == 1
    assert "c0ffee01" in done(daemon, "changes")
    assert "old" not in done(daemon, "changes")
    assert "old" in done(daemon, "changes", "--all")
    assert done(daemon, "overrides") == "nothing is overridden, paused, approved or dropped\n"
    assert "in DNS  192.0.2.1\n" in done(daemon, "why", "WWW.example.org.")
    assert "as it was at" in done(daemon, "why", "www.example.org", "--at", "5m")
    assert done(daemon, "events").splitlines()[1].endswith("two")


def test_json_is_what_the_daemon_said(daemon: Daemon) -> None:
    assert as_json(daemon, "status")["instance_id"] == "here"
    assert [e["lb"] for e in as_json(daemon, "endpoints")] == [
        *["www.example.org"] * 2,
        "api.example.org",
    ]
    assert as_json(daemon, "members")[0]["self"] is True
    assert len(as_json(daemon, "changes", "--all")) == 2
    assert as_json(daemon, "why", "www.example.org")["rule"] == "verdicts"
    lines = done(daemon, "--json", "events").splitlines()
    assert [json.loads(line)["message"] for line in lines] == ["one", "two"]


def test_check(daemon: Daemon) -> None:
    found = ctl(daemon, "status", "--check")
    assert (found.returncode, found.stderr) == (1, "")
    assert "CRITICAL" in found.stdout
    daemon.shown.members = ClusterView("candidate", 1, None, ())
    assert ctl(daemon, "status", "--check").returncode == 4
    assert ctl(daemon, "status").returncode == 0


def test_check_when_all_is_well(tmp_path: Path) -> None:
    with running(tmp_path / "s", picture(attention=(row("info"),))) as daemon:
        found = ctl(daemon, "status", "--check")
    assert (found.returncode, found.stdout) == (0, "✓ nothing needs a person\n")


@pytest.mark.parametrize(
    ("words", "command"),
    [
        ("pause --reason move --for 1h", Command("pause", (), "", "move", None, WALL + 3600)),
        ("pause example.org --reason m", Command("pause", ("example.org",), "", "m")),
        ("approve a b", Command("approve", ("a", "b"), "")),
        ("drop a", Command("drop", ("a",), "")),
        ("release old.org", Command("release", ("old.org",), "")),
        ("release old.org --delete", Command("release", ("old.org",), "", delete=True)),
        ("sync", Command("sync", (), "")),
        ("resume", Command("resume", (), "")),
        (
            "drain 192.0.2.2 --reason r --for 90",
            Command("drain", ("192.0.2.2",), "", "r", None, WALL + 90),
        ),
        (
            "force-up 192.0.2.2:80 --reason r --for forever",
            Command("force-up", ("192.0.2.2:80",), "", "r"),
        ),
        ("undrain 192.0.2.2", Command("clear", ("192.0.2.2",), "")),
        (
            "--yes --lb api.example.org drain 192.0.2.1 --reason r",
            Command("drain", ("192.0.2.1",), "", "r", "api.example.org", insist=True),
        ),
    ],
)
def test_commands_arrive_as_they_were_given(daemon: Daemon, words: str, command: Command) -> None:
    assert done(daemon, *words.split()).endswith("done\n")
    ((found, timeout_s),) = daemon.shown.commands
    assert timeout_s == 30.0
    assert found == Command(
        command.kind,
        command.subjects,
        found.by,
        command.reason,
        command.lb,
        command.expires_wall,
        command.insist,
        command.delete,
    )


def test_all_that_match_are_listed_before_anything_is_done(daemon: Daemon) -> None:
    assert done(daemon, "drain", "192.0.2.1", "--reason", "r").splitlines() == [
        "192.0.2.1 is 2 endpoints:",
        "  www.example.org  tcp://192.0.2.1:80",
        "  api.example.org  tcp://192.0.2.1:80",
        "done",
    ]


def test_an_endpoint_that_nobody_knows(daemon: Daemon) -> None:
    found = ctl(daemon, "drain", "192.0.2.9", "--reason", "r")
    assert (found.returncode, found.stdout, daemon.shown.commands) == (1, "", [])
    assert found.stderr == (
        "dnslbctl: no endpoint is called 192.0.2.9: dnslbctl endpoints lists them\n"
    )


def test_resume_says_what_it_will_write(daemon: Daemon) -> None:
    shown = done(daemon, "resume")
    assert shown.startswith("waiting to be written:\n")
    assert shown.index("-192.0.2.2") < shown.index("done")


def test_a_refusal_is_a_sentence_on_standard_error(daemon: Daemon) -> None:
    daemon.shown.answer = CommandRefused("that is the last \x1b[2J living endpoint")
    found = ctl(daemon, "sync")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == "dnslbctl: that is the last \\x1b[2J living endpoint\n"
    daemon.shown.answer = CommandReply(False, ("the provider did not take it in time",))
    assert ctl(daemon, "--json", "sync").returncode == 1


def test_without_a_leader(daemon: Daemon) -> None:
    daemon.shown.members = ClusterView("candidate", 1, None, ())
    found = ctl(daemon, "sync")
    assert (found.returncode, found.stdout) == (4, "")
    assert "no leader is known" in found.stderr


def test_raft_answers_with_the_daemon_s_sentence(daemon: Daemon) -> None:
    found = ctl(daemon, "raft", "leader")
    assert (found.returncode, found.stdout) == (1, "")
    assert found.stderr == ("dnslbctl: leader: this instance is a singleton and has no members\n")


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (
            "",
            1,
            "the interactive console needs a terminal for its input and output: dnslbctl status",
        ),
        ("statsu", 2, "did you mean status?"),
        ("drain x", 2, "usage: dnslbctl [options] drain ENDPOINT --reason R [--for D]"),
        ("raft", 2, "Usage: dnslbctl raft <command> <args...>\nCommands: add_nonvoter, add_voter,"),
        ("raft add_voter b", 2, "Usage: dnslbctl raft add_voter <id> <address> <previous_index>"),
        ("raft nonsense", 2, "Unknown command 'nonsense'"),
        ("raft recover", 2, "is stopped, where that is: dnslb raft recover -cfg F"),
        ("raft --leader multi:///127.0.0.1:1 leader", 3, "kubectl exec"),
        ("--address 127.0.0.1:1 status", 3, "ssh -L"),
        ("--socket /nonexistent/s status", 3, "there is no socket /nonexistent/s"),
        ("completion tcsh", 2, "completion is for bash, zsh, fish"),
    ],
)
def test_errors_without_a_daemon(words: str, code: int, said: str) -> None:
    found = ctl(None, *words.split())
    assert (found.returncode, found.stdout) == (code, "")
    assert said in found.stderr
    assert "Traceback" not in found.stderr


def test_help_and_version() -> None:
    assert ctl(None, "--help").stdout.startswith("usage: dnslbctl [options] VERB")
    assert ctl(None, "drain", "-h").stdout.startswith("usage: dnslbctl [options] drain")
    assert ctl(None, "--version").stdout.startswith("dnslbctl ")


def test_what_needs_more_than_the_api_is_handed_to_dnslb(tmp_path: Path) -> None:
    program = tmp_path / "dnslb"
    program.write_text('#!/bin/sh\necho "$@"\nexit 7\n')
    program.chmod(0o755)
    path = f"{tmp_path}:{os.environ['PATH']}"
    found = ctl(None, "--json", "config", "convert", "--out", "F.yaml", PATH=path)
    assert (found.returncode, found.stdout) == (7, "config convert --out F.yaml\n")
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    found = ctl(None, "pki", "init", "-dir", str(tmp_path / "pki"), PATH=path)
    assert (found.returncode, found.stderr) == (0, "")
    assert (tmp_path / "pki" / "ca.key").exists()
    found = ctl(None, "pki", "init", PATH="/nonexistent")
    assert (found.returncode, found.stdout) == (1, "")
    assert "cannot run dnslb" in found.stderr


def raftadmin(*words: str) -> subprocess.CompletedProcess[str]:
    code = "import sys; from dnslbctl.__main__ import raftadmin; sys.exit(raftadmin())"
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environ(),
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )


def test_raftadmin_in_its_own_word_order() -> None:
    for words in ([], ["localhost:1"], ["--leader"], ["-leader", "multi:///a"], ["--nonsense"]):
        found = raftadmin(*words)
        assert (found.returncode, found.stdout) == (2, "")
        assert found.stderr.startswith(
            "Usage: raftadmin <host:port> <command> <args...>\nCommands:"
        )
    found = raftadmin("localhost:1", "add_voter", "b")
    assert found.stderr == (
        "Usage: raftadmin <host:port> add_voter <id> <address> <previous_index>\n"
    )
    assert found.returncode == 2
    words = ["--leader", "multi:///127.0.0.1:1,127.0.0.1:2", "leader"]
    for given in (["127.0.0.1:1", "leader"], words):
        found = raftadmin(*given)
        assert (found.returncode, found.stdout) == (3, "")
        assert found.stderr.startswith("raftadmin: no ")
        assert "nobody listens at 127.0.0.1:1" in found.stderr


# ------------------------------------------------------------------------ pipes and terminals


def test_a_reader_that_has_seen_enough_is_no_error(daemon: Daemon) -> None:
    where = environ(DNSLB_SOCKET=str(daemon.path))
    program = f"{sys.executable} -m dnslbctl endpoints"
    found = subprocess.run(
        ["bash", "-c", f"{program} | true; echo ${{PIPESTATUS[0]}}"],
        env=where,
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert found.stderr == ""
    assert found.stdout.strip() in ("0", "141")


def test_an_output_without_unicode_gets_ascii(daemon: Daemon) -> None:
    found = ctl(daemon, "endpoints", PYTHONIOENCODING="ascii")
    assert found.returncode == 0
    assert found.stdout.isascii()
    assert "x down" in found.stdout


class Screen:
    """dnslbctl at a terminal of its own."""

    def __init__(self, daemon: Daemon, *words: str) -> None:
        self.master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "dnslbctl", *words],
            env=environ(DNSLB_SOCKET=str(daemon.path), TERM="xterm"),
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.text = ""

    def wait_for(self, text: str, timeout_s: float = 20) -> None:
        end = time.monotonic() + timeout_s
        while text not in self.text:
            assert time.monotonic() < end, f"{text!r} is not in {self.text!r}"
            ready, _, _ = select.select([self.master], [], [], 0.1)
            if ready:
                self._read()

    def _read(self) -> bool:
        try:
            data = os.read(self.master, 65536)
        except OSError:  # the other end is closed
            return False
        self.text += data.decode()
        return bool(data)

    def type(self, text: str) -> None:
        os.write(self.master, text.encode())

    def finish(self) -> int:
        while self._read():
            pass
        os.close(self.master)
        return self.process.wait(10)


def test_at_a_terminal_several_endpoints_are_asked_about(daemon: Daemon) -> None:
    for answer, code, commands in (("n\n", 1, 0), ("\n", 1, 0), ("y\n", 0, 1)):
        screen = Screen(daemon, "drain", "192.0.2.1", "--reason", "r")
        screen.wait_for("drain all of them? [y/N]")
        screen.type(answer)
        assert screen.finish() == code
        assert len(daemon.shown.commands) == commands
    assert daemon.shown.commands[0][0].insist is False, "yes to the list is no --yes"


def test_at_a_terminal_yes_answers_beforehand(daemon: Daemon) -> None:
    screen = Screen(daemon, "--yes", "drain", "192.0.2.1", "--reason", "r")
    assert screen.finish() == 0
    assert len(daemon.shown.commands) == 1


def test_colour_at_a_terminal(daemon: Daemon) -> None:
    screen = Screen(daemon, "status")
    assert screen.finish() == 0
    assert "\x1b[1;31m✗ CRITICAL\x1b[0m" in screen.text


def test_events_are_followed_until_the_daemon_stops(daemon: Daemon) -> None:
    screen = Screen(daemon, "events", "-f")
    screen.wait_for("two")
    daemon.say_soon(entry("three"))
    screen.wait_for("three")
    daemon.stop_soon()
    screen.wait_for("the daemon ended the stream")
    assert screen.finish() == 1


def test_events_are_followed_until_somebody_has_seen_enough(daemon: Daemon) -> None:
    screen = Screen(daemon, "--json", "events", "-f")
    screen.wait_for('"message":"two"')
    screen.process.send_signal(signal.SIGINT)
    assert screen.finish() == 130
    assert "Traceback" not in screen.text
