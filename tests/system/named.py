"""A real BIND on loopback, in a directory of its own, for as long as a test lasts.

Not a double: what it refuses is what BIND refuses. A conftest.py imports the fixture `named` from
here; tests/run installs BIND when it sees it, and where there is none its tests are skipped.
"""

from __future__ import annotations

import base64
import shutil
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import dns.query
import dns.rcode
import dns.tsig
import dns.update
import dns.xfr
import dns.zone
import pytest

from dnslb.providers.rfc2136_key import TsigKey
from tests.system.network import HERE, Place

HOST = "127.0.0.1"
START_S_MAX = 20.0
PROFILE = Path("/etc/apparmor.d/usr.sbin.named")
HEAD = "$TTL 60\n@ SOA ns1 hostmaster 1 3600 900 604800 60\n@ NS ns1\nns1 A 127.0.0.1\n"
# The key under test may do what the documentation says; the other one stands for everybody else.
KEY = TsigKey("dnslb-key", "hmac-sha256", b"a secret of thirty-two characters")
ADMIN = TsigKey("admin-key", "hmac-sha512", b"another secret, for all the others")
POLICY = """update-policy {
    grant "admin-key." zonesub ANY;
    grant "dnslb-key." zonesub A AAAA;
    grant "dnslb-key." name _dnslb.%(zone)s. TXT;
};"""


@dataclass(frozen=True, slots=True)
class NamedZone:
    """``records`` follow the usual head; ``options`` take the place of the usual policy, in
    which ``%(zone)s`` is the zone's name."""

    name: str
    records: str = ""
    options: str = POLICY
    kind: str = "primary"


class Named:
    """Started by its constructor, ended by `stop`; ``options``: more for the options block."""

    def __init__(
        self,
        directory: Path,
        *zones: NamedZone,
        keys: tuple[TsigKey, ...] = (KEY, ADMIN),
        options: str = "",
        zone_defaults: str = 'allow-transfer { key "dnslb-key."; key "admin-key."; };',
        place: Place = HERE,
    ) -> None:
        self.directory = directory
        self.port, self._control_port = free_port(), free_port()
        self.place = place
        self.address = (place.address, self.port)
        directory.mkdir(parents=True, exist_ok=True)
        self._log = directory / "log"
        for zone in zones:
            self._zone_file(zone).write_text(HEAD + zone.records)
        options = (
            f'directory "{directory}"; pid-file "{directory}/pid"; recursion no; notify no;'
            f' session-keyfile "{directory}/session.key"; dnssec-validation no;'
            f" listen-on port {self.port} {{ {place.address}; }}; listen-on-v6 {{ none; }};"
            f" allow-transfer {{ none; }}; {options}"
        )
        control = (
            f"inet {HOST} port {self._control_port} allow {{ {HOST}; }}"
            f' keys {{ "{ADMIN.name}."; }};'
        )
        statements = [key_statement(key) for key in keys]
        statements += [f"options {{ {options} }};", f"controls {{ {control} }};"]
        for zone in zones:
            statements.append(
                f'zone "{zone.name}" {{ type {zone.kind}; file "{self._zone_file(zone)}";'
                f" {zone_defaults} {zone.options % {'zone': zone.name}} }};"
            )
        (directory / "named.conf").write_text("\n".join(statements) + "\n")
        (directory / "rndc.key").write_text(key_statement(ADMIN))
        self._process: subprocess.Popen[bytes] | None = None
        self.start()

    @property
    def log(self) -> str:
        return self._log.read_text()

    def start(self) -> None:
        program = _program("named")
        assert program is not None
        if PROFILE.exists():
            # The profile of the packaged program keeps it out of our directory.
            program = str(shutil.copy(program, self.directory / "named"))
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [
                    *self.place.command,
                    program,
                    "-g",
                    "-n",
                    "1",
                    "-c",
                    str(self.directory / "named.conf"),
                ],
                stderr=log,
            )
        for _ in range(int(START_S_MAX / 0.01)):
            if self._process.poll() is not None or "\x20running\n" in self.log:
                break
            time.sleep(0.01)
        if "\x20running\n" not in self.log:
            self.stop()
            pytest.fail(f"named did not start:\n{self.log[-3000:]}")

    def stop(self) -> None:
        """Ends it at once; a zone's journal stays, as after a crash."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def rndc(self, *arguments: str) -> None:
        subprocess.run(self.rndc_command(*arguments), check=True, capture_output=True)

    def rndc_command(self, *arguments: str) -> list[str]:
        program = _program("rndc")
        assert program is not None
        key = str(self.directory / "rndc.key")
        return [
            *self.place.command,
            program,
            "-s",
            HOST,
            "-p",
            str(self._control_port),
            "-k",
            key,
            *arguments,
        ]

    def records(self, zone: str) -> list[str]:
        """Every record of the zone by transfer, sorted; the SOA without its serial."""
        text = self.transfer(zone).to_text(relativize=False, sorted=True)
        lines = text.splitlines()
        return [" ".join(w for i, w in enumerate(_words(line)) if i != 6) for line in lines]

    def serial(self, zone: str) -> int:
        return self.transfer(zone).get_soa().serial

    def change(self, zone: str, edit: Callable[[dns.update.UpdateMessage], object]) -> None:
        """Somebody else changes the zone: ``edit`` fills an update, which is sent."""
        update = dns.update.UpdateMessage(zone, keyring=_dns_key(ADMIN))
        edit(update)
        with self.place.inside():
            answer = dns.query.tcp(update, self.place.address, port=self.port, timeout=5)
        assert answer.rcode() == dns.rcode.NOERROR, dns.rcode.to_text(answer.rcode())

    def transfer(self, zone: str) -> dns.zone.Zone:
        """The zone as it is, whole."""
        whole = dns.zone.Zone(zone, relativize=False)
        query, _ = dns.xfr.make_query(whole, keyring=_dns_key(ADMIN))
        with self.place.inside():
            dns.query.inbound_xfr(self.place.address, whole, query, port=self.port, timeout=5)
        return whole

    def _zone_file(self, zone: NamedZone) -> Path:
        return self.directory / f"{zone.name}.db"


def _words(line: str) -> list[str]:
    words = line.split()
    return words if words[3:4] == ["SOA"] else [*words[:6], "", *words[6:]]


def key_statement(key: TsigKey) -> str:
    secret = base64.b64encode(key.secret).decode()
    return f'key "{key.name}." {{ algorithm {key.algorithm}; secret "{secret}"; }};'


def _dns_key(key: TsigKey) -> dns.tsig.Key:
    return dns.tsig.Key(key.name, key.secret, key.algorithm)


def free_port() -> int:
    """Free for TCP and UDP alike."""
    while True:
        with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
            tcp.bind((HOST, 0))
            port: int = tcp.getsockname()[1]
            try:
                udp.bind((HOST, port))
            except OSError:
                continue
            return port


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/usr/local/sbin")


StartNamed = Callable[..., Named]


@pytest.fixture
def named(tmp_path: Path) -> Iterator[StartNamed]:
    """Starts servers, each with the zones given, and ends them all with the test."""
    if _program("named") is None or _program("rndc") is None:
        pytest.skip("there is no named here (Debian: bind9)")
    started: list[Named] = []

    def start(*zones: NamedZone, **more: object) -> Named:
        server = Named(tmp_path / f"named-{len(started)}", *zones, **more)  # type: ignore[arg-type]
        started.append(server)
        return server

    yield start
    for server in started:
        server.stop()
