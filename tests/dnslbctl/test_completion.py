"""Completion: the scripts are sound, and bash really completes."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from dnslbctl import cli
from dnslbctl.client import Reply
from dnslbctl.completion import SHELLS, script, words
from tests.dnslbctl.daemon import Daemon, running
from tests.dnslbctl.test_program import environ
from tests.doubles.operations import change, ep, lb, picture

STATUS = picture(
    lb("www.example.org", ep("tcp://192.0.2.1:80"), ep("http://192.0.2.2:8080/ready")),
    lb("api.example.org", ep("tcp://192.0.2.1:80")),
    changes=(change("h1", state="held"), change("p1")),
    released=("old.example.org",),
)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    program = tmp_path / "bin" / "dnslbctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m dnslbctl "$@"\n')
    program.chmod(0o755)
    with running(tmp_path / "s", STATUS) as found:
        yield found


def complete(daemon: Daemon, line: str) -> list[str]:
    """What bash offers at the end of this line."""
    words = line.split(" ")
    quoted = " ".join(f"'{word}'" for word in words)
    code = f"""
        {script("bash")}
        COMP_WORDS=({quoted}); COMP_CWORD={len(words) - 1}
        _dnslbctl
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = f"{daemon.path.parent}/bin:/usr/bin:/bin"
    done = subprocess.run(
        ["bash", "-c", code],
        env=environ(DNSLB_SOCKET=str(daemon.path), PATH=path),
        capture_output=True,
        text=True,
        timeout=30,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.split()


def test_bash_completes_verbs_and_options(daemon: Daemon) -> None:
    assert complete(daemon, "dnslbctl dr") == ["drain", "drop"]
    assert "--json" in complete(daemon, "dnslbctl ")
    assert complete(daemon, "dnslbctl --timeout 5 stat") == ["status"]
    assert complete(daemon, "dnslbctl status --c") == ["--check"]


def test_bash_completes_what_the_daemon_knows(daemon: Daemon) -> None:
    assert complete(daemon, "dnslbctl why ") == ["--at", "api.example.org", "www.example.org"]
    assert complete(daemon, "dnslbctl drain tcp") == ["tcp://192.0.2.1:80"]
    assert complete(daemon, "dnslbctl approve ") == ["h1"]
    assert complete(daemon, "dnslbctl release old") == ["old.example.org"]
    assert complete(daemon, "dnslbctl --lb api") == ["api.example.org"]
    assert complete(daemon, "dnslbctl completion ") == [*SHELLS]
    assert complete(daemon, "dnslbctl raft leadership") == [
        "leadership_transfer",
        "leadership_transfer_to_server",
    ]


@pytest.mark.parametrize("shell", SHELLS)
def test_each_script_knows_each_verb_and_option(shell: str) -> None:
    text = script(shell)
    for verb in cli.VERBS:
        assert verb.name in text
        for option in verb.options:
            assert option.name.lstrip("-") in text
    assert "{" + "complete}" not in text, "a place was left unfilled"


def test_hostile_names_are_not_offered() -> None:
    head = {"dnslb-version": "1", "dnslb-time": ""}
    names = ("a b", "$(reboot)", "`x`", "tcp://ok:1", "a;b")
    reply = Reply(head, [{"endpoint": name} for name in names])
    assert words(["endpoints"], lambda target: reply) == ["tcp://ok:1"]
