"""The migration guide, followed to the letter: its configuration, its commands, in their order.

Where something is of the machine (places, ports, AutoDNS's address) the environment says so, and
the commands stay as they stand. The Go program is seen by what it leaves: records at AutoDNS, a
list and statuses in etcd.
"""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml

from tests.doubles.autodns.server import PASSWORD, USER
from tests.system.etcd import Etcd, StartEtcd, stored
from tests.system.grounds import ZONE, AutoDnsGround
from tests.system.stage import CLI, CTL, PATIENCE_S

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "migration.md"
AGENTS = ("ams-1", "fra-1", "waw-1")
A, B, STALE = "192.0.2.1", "192.0.2.2", "192.0.2.9"
LIST = f'["http://{A}:80","http://{B}:80"]'
# As `dnslb` is, but that calls beside a daemon come as fast as they can: this is not about pace.
UNHURRIED = (
    *CLI[:2],
    "from dnslb.daemon import registry; registry.AUTODNS_CALLS_PER_S_BESIDE = 1000.0; " + CLI[2],
)
ELSEWHERE = ("python3", "export", "systemctl")
"""Commands of the guide that are the machine's business, not this program's."""


def blocks(step: str, language: str) -> list[str]:
    """The fenced blocks of one section, by the words of its heading."""
    section = re.split(rf"(?m)^## {re.escape(step)}.*$", GUIDE.read_text())[1]
    section = re.split(r"(?m)^## ", section)[0]
    return re.findall(rf"(?ms)^```{language}\n(.*?)^```$", section)


def commands(step: str) -> list[list[str]]:
    lines = [line for block in blocks(step, "sh") for line in block.splitlines()]
    found = [shlex.split(line, comments=True) for line in lines]
    return [words for words in found if words[0] not in ELSEWHERE]


class Migration:
    """A directory with the guide's `dnslb.yaml`, and what stands around it."""

    def __init__(self, directory: Path, server: Etcd) -> None:
        self.directory = directory
        self.server = server
        self.autodns = AutoDnsGround()
        self.autodns.api.limiter = False
        self.daemons: list[subprocess.Popen[bytes]] = []
        self.votes: dict[str, bool] = {}
        self.ended = threading.Event()
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(GUIDE.parents[1]),
            "AUTODNS_URL": self.autodns.api.url,
            "AUTODNS_PASSWORD": PASSWORD,
            "STATE_DIR": str(directory / "state"),
            "CONTROL_SOCKET": str(directory / "s.sock"),
            "DNSLB_SOCKET": str(directory / "s.sock"),
            "VERIFY_SERVERS": "off",
        }
        (text,) = blocks("2. Convert the file", "yaml")
        given = yaml.safe_load(text)
        assert (given["etcEndpoint"], given["port"]) == (["http://10.0.0.1:2379"], 8080)
        text = text.replace("http://10.0.0.1:2379", server.url).replace("port: 8080", "port: 0")
        (directory / "dnslb.yaml").write_text(text.replace("robot", USER))
        server.put("monitors", LIST)
        self.vote(a=True, b=True)
        self.fleet = threading.Thread(target=self.keep_alive)
        self.fleet.start()

    def vote(self, *, a: bool, b: bool) -> None:
        self.votes = {f"{A}:80": a, f"{B}:80": b}
        for agent in AGENTS:
            self.server.put(agent, stored(self.votes, at=time.time()))

    def keep_alive(self) -> None:
        """As agents do, who post now and then without a change."""
        while not self.ended.wait(10):
            self.vote(a=self.votes[f"{A}:80"], b=self.votes[f"{B}:80"])

    def run(self, words: list[str]) -> subprocess.CompletedProcess[str]:
        program = {"dnslb": UNHURRIED, "dnslbctl": CTL}[words[0]]
        return subprocess.run(
            [*program, *words[1:]],
            cwd=self.directory,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )

    def start(self, words: list[str]) -> None:
        with (self.directory / "log").open("ab") as log:
            self.daemons.append(
                subprocess.Popen(
                    [*UNHURRIED, *words[1:]], cwd=self.directory, env=self.environment, stderr=log
                )
            )
        self.wait(lambda: self.run(["dnslbctl", "status"]).returncode == 0)

    def stop(self) -> None:
        daemon = self.daemons.pop()
        daemon.send_signal(signal.SIGTERM)
        assert daemon.wait(timeout=10) == 0

    def wait(self, what: Callable[[], object]) -> None:
        end = time.monotonic() + PATIENCE_S
        while not what():
            assert time.monotonic() < end, (self.directory / "log").read_text()[-3000:]
            time.sleep(0.05)

    def shown(self, *words: str) -> str:
        done = self.run(["dnslbctl", *words])
        assert done.returncode == 0, done.stderr
        return done.stdout

    def close(self) -> None:
        self.ended.set()
        self.fleet.join()
        for daemon in self.daemons:
            daemon.kill()
            daemon.wait()
        self.autodns.close()


@pytest.fixture
def migration(tmp_path: Path, etcd: StartEtcd) -> Iterator[Migration]:
    made = Migration(tmp_path, etcd())
    yield made
    made.close()


def test_a_reader_of_the_guide_reaches_a_running_dnslb(migration: Migration) -> None:
    m = migration
    # The Go program published both, and one more that has died since.
    m.autodns.set_values(f"www.{ZONE}", A, B, STALE)
    foreign, version = m.autodns.foreign(), m.autodns.version()
    convert, check = commands("2. Convert the file")
    done = m.run(convert)
    assert done.returncode == 0, done.stderr
    (m.directory / "dnslb.toml").chmod(0o600)
    done = m.run(check)
    assert done.returncode == 0, done.stderr
    assert "0 errors" in done.stdout
    assert "built-in prober: off" in done.stdout
    (ask,) = commands("3. Ask the provider")
    done = m.run(ask)
    assert done.returncode == 0, done.stdout + done.stderr
    assert ZONE in done.stdout
    rehearse(m)
    # So far nothing at all was written.
    assert m.autodns.version() == version
    assert m.server.get("monitors") == LIST
    switch(m)
    assert m.autodns.foreign() == foreign
    go_back(m)
    assert m.autodns.foreign() == foreign


def rehearse(m: Migration) -> None:
    dry, *looks = commands("4. Let it run beside")
    m.start(dry)
    m.wait(lambda: STALE in m.shown("changes"))
    for words in looks:
        done = m.run(words)
        assert done.returncode == 0, (words, done.stderr)
    why = m.shown("why", f"www.{ZONE}")
    assert all(agent in why for agent in AGENTS)
    assert "(-192.0.2.9)" in why
    assert "DRY RUN" in m.run(["dnslbctl", "status"]).stdout
    m.stop()


def switch(m: Migration) -> None:
    start, look, approve = commands("5. Switch")
    m.start(start)
    m.wait(lambda: re.search(r"\bheld\b", m.shown("changes")))
    (marker,) = m.autodns.markers()
    assert "owner=example-eu " in marker
    assert m.autodns.values(f"www.{ZONE}") == {A, B, STALE}
    found = m.run(look).stdout
    (held,) = [line for line in found.splitlines() if "held" in line]
    m.shown(approve[1], held.split()[0])
    m.wait(lambda: m.autodns.values(f"www.{ZONE}") == {A, B})
    m.vote(a=True, b=False)
    m.wait(lambda: m.autodns.values(f"www.{ZONE}") == {A})
    assert m.server.get("monitors") == LIST
    m.stop()


def go_back(m: Migration) -> None:
    (reset,) = commands("Going back")
    assert m.autodns.markers()
    done = m.run(reset)
    assert done.returncode == 0, done.stderr
    assert m.autodns.markers() == []
    assert m.autodns.values(f"www.{ZONE}") == {A}


@pytest.mark.long
def test_what_the_go_program_published_well_is_taken_over_without_a_word(
    migration: Migration,
) -> None:
    m = migration
    m.autodns.set_values(f"www.{ZONE}", A, B)
    convert, _ = commands("2. Convert the file")
    assert m.run(convert).returncode == 0
    m.start(commands("5. Switch")[0])
    m.wait(lambda: "  yes  " in m.shown("endpoints"))
    assert m.autodns.markers()
    assert m.autodns.api.zones.writes == 1
    m.vote(a=False, b=True)
    m.wait(lambda: m.autodns.values(f"www.{ZONE}") == {B})
    m.stop()


def test_only_what_is_the_machines_own_is_left_out() -> None:
    lines = [
        line
        for block in re.findall(r"(?ms)^```sh\n(.*?)^```$", GUIDE.read_text())
        for line in block.splitlines()
    ]
    programs = {line.split()[0] for line in lines}
    assert programs == {"dnslb", "dnslbctl", *ELSEWHERE}
