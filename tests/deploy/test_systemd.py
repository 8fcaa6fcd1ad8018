"""The units: systemd's own judgement of them, and their command lines as processes."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from functools import partial
from pathlib import Path

import pytest

from tests.deploy.conftest import Seal, Supervise
from tests.deploy.sealed import ROOT_ACCOUNT, Account, Entry, Place, Sealed, wait_until
from tests.deploy.supervisor import Supervisor
from tests.deploy.unitfile import DIRECTORY, Unit
from tests.doubles.pki import Authority
from tests.tidy import ROOT

UNITS = ("dnslb.service", "dnslb-agent.service")
DROP_INS = sorted(path.name for path in (DIRECTORY / "dnslb.service.d").iterdir())
README = ROOT / "docs/deploy/README.md"
DAEMON = Account("dnslb", 990, 990)
OPERATOR = Account("kim", 1001, 1001, (990,))
STRANGER = Account("eve", 1002, 1002)
DYNAMIC = Account("dnslb-agent", 61_234, 61_234)
TARGETS = ("sysinit", "basic", "shutdown", "network-online", "time-sync", "multi-user")
ZONE = "$TTL 300\n@ IN SOA ns host 7 3600 600 86400 300\n  IN NS ns\nns IN A 127.0.0.1\n"
# Its own /healthz is the endpoint that lives.
CONFIG = """\
election = "singleton"
instance-identifier = "fra-1"
provider = "file"
file-dir = "/var/lib/dnslb-zones"
agents = ["fra-1"]
healthd-listen = "127.0.0.1:8443"

[lb."www.example.org"]
endpoints = [{ monitor = "http://127.0.0.1:8080/healthz", address = "192.0.2.1" }]
up-after = 0
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with the units, what they start, and the targets that they name."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("there is no systemd-analyze here (Debian: systemd)")
    units = tmp_path / "etc/systemd/system"
    shutil.copytree(DIRECTORY, units)
    for target in TARGETS:
        (units / f"{target}.target").write_text("[Unit]\nDescription=as at home\n")
    for program in ("opt/dnslb/bin/dnslb", "bin/kill"):
        (tmp_path / program).parent.mkdir(parents=True)
        (tmp_path / program).write_text("#!/bin/sh\n")
        (tmp_path / program).chmod(0o755)
    return tmp_path


def analyze(root: Path, *words: str) -> tuple[int, str]:
    done = subprocess.run(
        ["systemd-analyze", *words, f"--root={root}"], capture_output=True, text=True, check=False
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong(root: Path, unit: str) -> None:
    assert analyze(root, "verify", "--man=no", unit) == (0, "")


@pytest.mark.parametrize("mistake", ["Restrat=no", "ExecStartPre=/no/such/program", "User=+"])
def test_systemd_finds_what_is_wrong(root: Path, mistake: str) -> None:
    (root / "etc/systemd/system/dnslb.service.d/wrong.conf").write_text(f"[Service]\n{mistake}\n")
    assert analyze(root, "verify", "--man=no", "dnslb.service") != (0, "")


@pytest.mark.parametrize("unit", UNITS)
def test_how_exposed_they_are(root: Path, unit: str) -> None:
    """At most what the documentation says; a later systemd may count otherwise, but not much."""
    code, text = analyze(root, "security", "--offline=true", "--threshold=20", unit)
    found = re.search(rf"exposure level for {unit}: ([\d.]+) OK", text)
    assert found, text
    told = re.search(rf"`{unit}`\s(\d\.\d)", README.read_text())
    assert told
    print(f"{unit}: exposure {found[1]}, documented {told[1]}")
    assert (code, float(found[1]) <= float(told[1]) + 0.3) == (0, True)


def test_the_user_can_be_made(root: Path) -> None:
    (root / "etc/sysusers.d").mkdir()
    shutil.copy(DIRECTORY / "dnslb.sysusers", root / "etc/sysusers.d/dnslb.conf")
    subprocess.run(
        ["systemd-sysusers", f"--root={root}"], check=True, capture_output=True, text=True
    )
    fields = (root / "etc/passwd").read_text().splitlines()[-1].split(":")
    assert fields[0] == "dnslb"
    assert fields[4:6] == ["dnslb, a DNS controller", "/var/lib/dnslb"]
    assert "dnslb:" in (root / "etc/group").read_text()


def test_each_unit_stays_within_what_the_daemon_promises() -> None:
    for name in UNITS:
        unit = Unit.read(name)
        assert unit.one("Type") == "notify"
        assert 5 < int(unit.one("TimeoutStopSec")) <= 15
        assert int(unit.one("WatchdogSec")) >= 10
        assert unit.one("Restart") == "on-failure"


def test_every_drop_in_names_flags_and_credentials_that_exist() -> None:
    from dnslb.daemon.flags import FLAGS

    variables = {flag.name.upper().replace("-", "_") for flag in FLAGS} | {"PYTHONFAULTHANDLER"}
    readme = README.read_text()
    assert [name for name in DROP_INS if f"`{name}`" not in readme] == []
    unit = Unit.read("dnslb.service", *DROP_INS)
    assert unit.environ.keys() <= variables
    for name, value in unit.environ.items():
        if unit.credentials in value:
            assert value.partition(unit.credentials + "/")[2] in unit.loaded, name


# ------------------------------------------------------------------------------- as processes


def tls_entries(directory: Path) -> list[Entry]:
    """For the receiver and for the agent, all of them root's."""
    authority = Authority(directory)
    made = {
        "/etc/dnslb/secrets/healthd": authority.issue("127.0.0.1", name="healthd"),
        "/etc/dnslb/agent/agent": authority.issue(common_name="fra-1"),
    }
    entries = []
    for stem, files in made.items():
        assert files.ca is not None
        assert files.cert is not None
        assert files.key is not None
        entries += [
            Entry(f"{stem}.crt", files.cert.read_bytes(), ROOT_ACCOUNT),
            Entry(f"{stem}.key", files.key.read_bytes(), ROOT_ACCOUNT),
            Entry(str(Path(stem).with_name("ca.crt")), files.ca.read_bytes(), ROOT_ACCOUNT),
        ]
    return entries


class Host:
    """A sealed root as the units would give it, and systemd's part in starting them."""

    def __init__(
        self, seal: Seal, supervise: Supervise, tmp_path: Path, entries: list[Entry]
    ) -> None:
        self.tmp_path, self._supervise = tmp_path, supervise
        self.daemon = Unit.read("dnslb.service", "agents.conf", "zone-files.conf")
        self.agent = Unit.read("dnslb-agent.service")
        self.notify = tmp_path / "notify"
        self.notify.mkdir()
        self.zones = tmp_path / "zones"
        self.zones.mkdir()
        os.chown(self.zones, DAEMON.uid, DAEMON.gid)
        (self.zones / "example.org.zone").write_text(ZONE)
        os.chown(self.zones / "example.org.zone", DAEMON.uid, DAEMON.gid)
        self.files = {entry.path: entry.content for entry in entries}
        credentials = [
            Entry(f"{unit.credentials}/{name}", self.files[source], owner)
            for unit, owner in ((self.daemon, DAEMON), (self.agent, DYNAMIC))
            for name, source in unit.loaded.items()
        ]
        (zones,) = self.daemon.service("ReadWritePaths")
        self.sealed: Sealed = seal(
            accounts=(DAEMON, OPERATOR, STRANGER, DYNAMIC),
            entries=[*entries, *credentials],
            places=[
                Place(f"/var/lib/{self.daemon.one('StateDirectory')}", DAEMON, 0o700),
                Place(f"/run/{self.daemon.one('RuntimeDirectory')}", DAEMON, 0o755),
                Place("/tmp", DAEMON, 0o1777),
                Place("/run/notify", ROOT_ACCOUNT, 0o755, host=self.notify),
                Place(zones, DAEMON, host=self.zones),
            ],
        )

    def environ(self, unit: Unit) -> dict[str, str]:
        environ = unit.environ
        for path in unit.service("EnvironmentFile"):
            for line in self.files[path].decode().splitlines():
                name, _, value = line.partition("=")
                environ[name] = value
        if unit.loaded:
            environ["CREDENTIALS_DIRECTORY"] = unit.credentials
        return environ

    def start(self, unit: Unit, account: Account) -> tuple[Supervisor, subprocess.Popen[bytes]]:
        environ = self.environ(unit)
        (command,) = unit.commands("ExecStart", environ)
        supervisor = self._supervise(self.notify, unit.name)
        environ["NOTIFY_SOCKET"] = f"/run/notify/{unit.name}"
        # A shorter one than the unit's: the test does not wait for three times ten seconds.
        environ["WATCHDOG_USEC"] = "600000"
        process = self.sealed.start(command, account, environ, self.log(unit))
        wait_until(lambda: bool(supervisor.heard("READY")), process, self.log(unit))
        return supervisor, process

    def log(self, unit: Unit) -> Path:
        return self.tmp_path / f"{unit.name}.log"

    def reload(self, process: subprocess.Popen[bytes]) -> str:
        """ExecReload=, line by line, up to the first that fails; what that said."""
        environ = {**self.environ(self.daemon), "MAINPID": str(process.pid)}
        for command in self.daemon.commands("ExecReload", environ):
            if command[0] == "/bin/kill":
                assert command[1:] == ["-HUP", str(process.pid)]
                process.send_signal(signal.SIGHUP)
                continue
            done = self.sealed.run(command, DAEMON, environ)
            if done.returncode:
                return done.stdout + done.stderr
        return ""


def test_the_units_as_processes(seal: Seal, supervise: Supervise, tmp_path: Path) -> None:
    """One test, since it is the processes that take the time."""
    flags = b"AGENT_FLAGS=-name fra-1 -upstream https://127.0.0.1:8443\n"
    config = Entry("/etc/dnslb/dnslb.toml", CONFIG.encode(), ROOT_ACCOUNT, 0o444)
    env = Entry("/etc/dnslb/agent.env", flags, ROOT_ACCOUNT, 0o444)
    host = Host(seal, supervise, tmp_path, [config, env, *tls_entries(tmp_path / "pki")])
    told, daemon = host.start(host.daemon, DAEMON)
    agent_told, agent = host.start(host.agent, DYNAMIC)
    agent_log, log = host.log(host.agent), host.log(host.daemon)

    zone = host.zones / "example.org.zone"
    wait_until(lambda: "192.0.2.1" in zone.read_text(), daemon, log)
    status = "https://127.0.0.1:8443/: told of 1 monitors"
    wait_until(lambda: status in agent_told.heard("STATUS"), agent, agent_log)
    healthy = "may write; 1 load balancer, 1 healthy"
    wait_until(lambda: told.heard("STATUS")[-1].startswith(healthy), daemon, log)
    for supervisor, process, where in ((told, daemon, log), (agent_told, agent, agent_log)):
        before = len(supervisor.heard("WATCHDOG"))
        more = partial(supervisor.has_heard, "WATCHDOG", before + 2)
        wait_until(more, process, where)

    assert host.sealed.run(["dnslbctl", "status"], OPERATOR).returncode == 0
    assert host.sealed.run(["dnslbctl", "status"], STRANGER).returncode == 3
    assert host.reload(daemon) == ""
    wait_until(lambda: len(told.heard("READY")) == 2, daemon, log)
    order = [next(iter(m)) for m in told.said if {"READY", "RELOADING"} & m.keys()]
    assert order == ["READY", "RELOADING", "READY"]
    assert "MONOTONIC_USEC" in next(m for m in told.said if "RELOADING" in m)

    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(timeout=10) == 0
    assert told.heard("STOPPING") == ["1"]
    # How a watchdog ends what hangs; the journal then says where.
    agent.send_signal(signal.SIGABRT)
    assert agent.wait(timeout=10) == -signal.SIGABRT
    assert "most recent call first" in agent_log.read_text()


def test_a_file_with_mistakes_is_not_sent(seal: Seal, tmp_path: Path) -> None:
    """What the first ExecReload= is for; with the credentials of the other providers."""
    unit = Unit.read("dnslb.service", "bind.conf", "raft.conf")
    key = b'key "k." { algorithm hmac-sha256; secret "c2VjcmV0IG9mIG5vYm9keQ=="; };\n'
    good = 'election = "singleton"\nprovider = "bind"\nowner-id = "e"\nbind-server = "127.0.0.1"\n'
    entries = [
        Entry(f"{unit.credentials}/tsig.key", key, DAEMON),
        Entry("/good.toml", good.encode(), ROOT_ACCOUNT, 0o444),
        Entry("/wrong.toml", f"{good}typo = 1\n".encode(), ROOT_ACCOUNT, 0o444),
    ]
    places = [Place("/var/lib/dnslb", DAEMON, 0o700), Place("/run/dnslb", DAEMON)]
    sealed = seal(accounts=(DAEMON,), entries=entries, places=places)
    environ = {k: v for k, v in unit.environ.items() if not k.startswith("RAFT")}
    check, _ = unit.commands("ExecReload", {"MAINPID": "1"})
    good_one = sealed.run([*check[:-1], "/good.toml"], DAEMON, environ)
    assert good_one.returncode == 0, good_one.stderr
    wrong = sealed.run([*check[:-1], "/wrong.toml"], DAEMON, environ)
    assert wrong.returncode == 1
    assert "typo" in wrong.stdout + wrong.stderr
