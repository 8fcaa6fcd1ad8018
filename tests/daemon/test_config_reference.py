"""The reference and the help, held against the table of flags; run as a program, writes the former.

python -m tests.daemon.test_config_reference
"""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

from dnslb.daemon import flags
from dnslb.daemon.guard_table import GUARD_OPTIONS
from dnslb.daemon.loadbalancer_tables import OPTIONS, Reading
from dnslb.daemon.origin import Document, FromFile
from dnslb.daemon.problems import Findings
from dnslb.daemon.reference import (
    flag_tables,
    help_lines,
    loadbalancer_table,
    sections,
)
from dnslb.decide.settings import GuardSettings
from dnslb.model.loadbalancer import Endpoint, LoadBalancer, Monitor

ROOT = Path(__file__).resolve().parents[2]
REFERENCE = ROOT / "docs" / "reference" / "configuration.md"


def rendered(text: str) -> str:
    """``text`` with what stands between its marks rendered anew."""
    for mark, table in (("flags", flag_tables()), ("load balancer", loadbalancer_table())):
        between = re.compile(rf"(<!-- {mark}\b.*?-->\n).*?(<!-- end of {mark} -->)", re.DOTALL)
        (found,) = between.finditer(text)
        text = f"{text[: found.start()]}{found[1]}\n{table}\n{found[2]}{text[found.end() :]}"
    return text


def test_the_reference_says_what_the_table_says() -> None:
    text = REFERENCE.read_text()
    assert text == rendered(text), "run python -m tests.daemon.test_config_reference"


def test_a_changed_table_would_be_seen() -> None:
    text = REFERENCE.read_text()
    assert text != text.replace("| `-port` |", "| `-ports` |")
    assert rendered(text.replace("| `-port` |", "| `-ports` |")) == text


def test_every_flag_stands_in_one_section() -> None:
    shown = [flag.name for _, members in sections() for flag in members]
    assert sorted(shown) == sorted(flags.BY_NAME)


def test_the_help_fits_a_terminal_and_names_every_flag() -> None:
    lines = help_lines()
    assert max(map(len, lines)) <= 80
    for flag in flags.FLAGS:
        assert any(line.split()[:1] == [f"-{flag.name}"] for line in lines)


def test_the_contract_of_flags() -> None:
    """Names that users and scripts rely on; more may stand beside them."""
    contract = """
        election instance-id lb agent provider owner-id etcd etcd-api etcd-interval-monitoring
        etcd-ca etcd-crt etcd-key etcd-user etcd-password zone-sync-interval-upload
        zone-sync-interval-download listen port control-socket control-group state-dir
        raft-address raft-listen raft-dir raft-bootstrap raft-new-epoch raft-profile raft-ca
        raft-crt raft-key raft-insecure k8s-kubeconfig k8s-lock-name k8s-lock-namespace
        k8s-lease-duration k8s-renew-deadline k8s-retry-period healthd-listen healthd-ca
        healthd-crt healthd-key report-max-age autodns-username autodns-password autodns-context
        autodns-url bind-server bind-key-file bind-ownership file-dir file-reload-command
        file-shared octodns-class adopt-existing drift verify-servers verify-timeout dry-run debug
        json-logging dump-http cfg
    """
    assert set(contract.split()) <= set(flags.BY_NAME)


def toml_example() -> dict[str, object]:
    (example,) = re.findall(r"```toml\n(.*?)```", REFERENCE.read_text(), re.DOTALL)
    return tomllib.loads(example)


def test_the_example_shows_the_defaults() -> None:
    example = toml_example()
    assert isinstance(example["lb"], dict)
    assert isinstance(example["guard"], dict)
    assert set(example["lb"]["www.example.org"]) == {"endpoints", *OPTIONS}
    assert set(example["guard"]) == set(GUARD_OPTIONS)
    findings = Findings()
    reading = Reading(findings)
    reading.take_table(example["lb"], FromFile(Document("", "", example), ("lb",)))
    findings.raise_if_fatal()
    host = "www.example.org"
    bare = LoadBalancer(
        host,
        (
            Endpoint(Monitor.from_url("http://192.0.2.1:80", host_header=host), "192.0.2.1"),
            Endpoint(
                Monitor.from_url("http://10.1.0.2:8081/ready", host_header=host), "192.0.2.2", 1
            ),
        ),
    )
    assert bare in reading.loadbalancers
    assert GuardSettings(0.5, 60.0) == GuardSettings()


if __name__ == "__main__":
    REFERENCE.write_text(rendered(REFERENCE.read_text()))
