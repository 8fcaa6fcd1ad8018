"""What must hold between several values: one function for each concern.

Not the shape of a single value (`kinds.py`). A value that was given but is wrong is noted
already, and nothing is concluded from it here.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from dnslb.daemon import flags as f, part_flags as p
from dnslb.daemon.duration import format_duration
from dnslb.daemon.flag import Flag
from dnslb.daemon.kinds import VERIFY_OFF
from dnslb.daemon.layers import Values
from dnslb.daemon.problems import Findings
from dnslb.decide.settings import AGENTS_MAX
from dnslb.model.loadbalancer import LoadBalancer

CLOCK_DRIFT = 0.1  # the drift between members that the safety argument assumes
RETRY_JITTER = 1.2  # as client-go has it: an attempt may be this much later than its period
KEEP_ALIVE_S = 30.0  # a health agent posts at least this often
SOCKET_PATH_BYTES_MAX = 107  # unix(7)


def check(values: Values, loadbalancers: Sequence[LoadBalancer], findings: Findings) -> None:
    """Notes whatever does not fit together."""
    _check_election(values, findings)
    _check_agents(values, findings)
    _check_provider(values, findings)
    _check_verification(values, findings)
    _check_raft(values, findings)
    _check_kubernetes(values, findings)
    _check_files(values, findings)
    _check_etcd(values, findings)
    _check_no_effect(values, findings)
    _check_report_age(values, loadbalancers, findings)
    if not loadbalancers and not findings.are_fatal:
        findings.warn("", "no load balancer is configured: there is nothing to publish")
    if values[f.PROVIDER] is None and values.is_known(f.PROVIDER):
        findings.warn("", "no -provider is configured: decisions are shown, nothing is published")


def _require(values: Values, findings: Findings, wanted_by: str, *wanted: Flag[Any]) -> None:
    for flag in wanted:
        if not values.is_given(flag) and values.is_known(flag):
            where = f" (key {flag.key} in a file)" if flag.key else ""
            findings.error(f"-{flag.name}", f"must be given with {wanted_by}{where}")


def _check_election(values: Values, findings: Findings) -> None:
    if not values.is_given(f.ELECTION) and values.is_known(f.ELECTION):
        findings.error("-election", f"must be given: expected {f.ELECTION.kind.expected}")


def _check_agents(values: Values, findings: Findings) -> None:
    agents = values[f.AGENT]
    if not values.is_known(f.AGENT):
        return
    receivers = [flag for flag in (p.ETCD, p.HEALTHD_LISTEN) if values.is_given(flag)]
    for receiver in receivers[: 0 if agents else 1]:
        _require(values, findings, f"-{receiver.name}", f.AGENT)
    for agent in sorted({agent for agent in agents if agents.count(agent) > 1}):
        findings.error(values.place(f.AGENT), f"agent {agent} is configured twice")
    if len(agents) > AGENTS_MAX:
        findings.error(values.place(f.AGENT), f"more than {AGENTS_MAX} agents are configured")
    if values[f.ELECTION] == "raft" or not values.is_known(f.ELECTION):
        return
    count = len(agents) or 1
    if count < 3 and not (receivers and not agents):
        findings.warn(
            values.place(f.AGENT),
            f"only {count} agent{'s vote' if count > 1 else ' votes'}: "
            "fewer than three cannot outvote one that is wrong",
        )
    elsewhere = [agent for agent in agents if agent != values[f.INSTANCE_ID]]
    if elsewhere and not receivers and values.is_known(p.HEALTHD_LISTEN):
        findings.warn(
            values.place(f.AGENT),
            f"votes of {', '.join(elsewhere[:3])}{' and others' if elsewhere[3:] else ''} cannot "
            "arrive: there is neither -healthd-listen nor -etcd",
        )


def _check_provider(values: Values, findings: Findings) -> None:
    provider = values[f.PROVIDER]
    needs: dict[str | None, tuple[Flag[Any], ...]] = {
        "autodns": (f.OWNER_ID, p.AUTODNS_USERNAME, p.AUTODNS_PASSWORD),
        "bind": (f.OWNER_ID, p.BIND_SERVER, p.BIND_KEY_FILE),
        "file": (p.FILE_DIR,),
        "octodns": (f.OWNER_ID, p.OCTODNS_CLASS),
    }
    _require(values, findings, f"provider {provider}", *needs.get(provider, ()))
    url = values[p.AUTODNS_URL]
    if provider == "autodns" and not _keeps_credentials(url):
        findings.error(
            values.place(p.AUTODNS_URL),
            f"https was expected: {url} would get the password in the open",
        )
    election = values[f.ELECTION]
    is_local = provider == "file" and not values[p.FILE_SHARED] and values.is_known(p.FILE_SHARED)
    if is_local and election in ("raft", "k8s"):
        findings.error(
            values.place(f.PROVIDER),
            f"file is local to one instance, so election {election} needs -file-shared "
            "and a directory that all instances see",
        )


def _check_verification(values: Values, findings: Findings) -> None:
    servers = values[f.VERIFY_SERVERS]
    if VERIFY_OFF in servers and len(servers) > 1:
        findings.error(values.place(f.VERIFY_SERVERS), "expected servers, or off alone")


def _check_raft(values: Values, findings: Findings) -> None:
    if values[f.ELECTION] != "raft":
        return
    _require(values, findings, "election raft", p.RAFT_ADDRESS, p.RAFT_DIR)
    tls = (p.RAFT_CA, p.RAFT_CRT, p.RAFT_KEY)
    _check_complete(values, findings, tls)
    if any(map(values.is_given, tls)) or values[p.RAFT_INSECURE]:
        return
    known = values.is_known(p.RAFT_INSECURE)
    bind = p.RAFT_LISTEN if values.is_given(p.RAFT_LISTEN) else p.RAFT_ADDRESS
    address = values[bind]
    if address is not None and known and not is_loopback(address.host):
        findings.error(
            values.place(bind),
            f"{address} is no loopback address: without TLS (-raft-ca, -raft-crt, -raft-key) "
            "only those are served, unless -raft-insecure",
        )


def _check_kubernetes(values: Values, findings: Findings) -> None:
    if values[f.ELECTION] != "k8s":
        return
    _require(values, findings, "election k8s", p.K8S_LOCK_NAMESPACE)
    if not all(
        map(values.is_known, (p.K8S_LEASE_DURATION, p.K8S_RENEW_DEADLINE, p.K8S_RETRY_PERIOD))
    ):
        return
    lease, renew = values[p.K8S_LEASE_DURATION], values[p.K8S_RENEW_DEADLINE]
    retry = values[p.K8S_RETRY_PERIOD]
    if lease != int(lease):
        findings.error(
            values.place(p.K8S_LEASE_DURATION),
            f"expected whole seconds, which is all that a Lease can hold, found {lease:g}",
        )
    if renew * (1 + CLOCK_DRIFT) >= lease:
        findings.error(
            values.place(p.K8S_RENEW_DEADLINE),
            f"{format_duration(renew)} and a tenth for clocks that drift must be less than "
            f"-k8s-lease-duration, which is {format_duration(lease)}",
        )
    if retry * RETRY_JITTER >= renew:
        findings.error(
            values.place(p.K8S_RETRY_PERIOD),
            f"{format_duration(retry)} times {RETRY_JITTER} must be less than -k8s-renew-deadline, "
            f"which is {format_duration(renew)}",
        )


def _check_etcd(values: Values, findings: Findings) -> None:
    if values[p.ETCD_PASSWORD] is None:
        return
    for url in values[p.ETCD]:
        if not _keeps_credentials(url):
            findings.warn(
                values.place(p.ETCD), f"{url} gets the password in the open; https was expected"
            )


def _check_complete(values: Values, findings: Findings, flags: Sequence[Flag[Any]]) -> None:
    """Some of them but not all is a mistake."""
    missing = [flag for flag in flags if not values.is_given(flag)]
    given = [flag for flag in flags if values.is_given(flag)]
    if given:
        _require(values, findings, f"-{given[0].name}", *missing)


def _check_files(values: Values, findings: Findings) -> None:
    if values.is_given(p.HEALTHD_LISTEN):
        wanted = (p.HEALTHD_CA, p.HEALTHD_CRT, p.HEALTHD_KEY)
        _require(values, findings, "-healthd-listen", *wanted)
    _check_complete(values, findings, (p.ETCD_CRT, p.ETCD_KEY))
    _check_complete(values, findings, (p.ETCD_USER, p.ETCD_PASSWORD))
    readable = (
        *(p.HEALTHD_CA, p.HEALTHD_CRT, p.HEALTHD_KEY),
        *(p.RAFT_CA, p.RAFT_CRT, p.RAFT_KEY),
        *(p.ETCD_CA, p.ETCD_CRT, p.ETCD_KEY),
        p.K8S_KUBECONFIG,
    )
    for flag in readable:
        path = values[flag]
        if path is not None and (why := _why_unreadable(path)):
            findings.error(values.place(flag), f"{str(path)!r} cannot be read: {why}")
    directory = values[p.FILE_DIR]
    if directory is not None and not directory.is_dir():
        findings.error(
            values.place(p.FILE_DIR),
            f"expected a directory that is there, found {str(directory)!r}",
        )
    socket = values[f.CONTROL_SOCKET]
    if socket is not None and len(os.fsencode(socket)) > SOCKET_PATH_BYTES_MAX:
        findings.error(
            values.place(f.CONTROL_SOCKET),
            f"the path of a unix socket has at most {SOCKET_PATH_BYTES_MAX} bytes",
        )


def _why_unreadable(path: Path) -> str | None:
    if not path.exists():
        return "there is no such file"
    if not path.is_file():
        return "this is no file"
    return None if os.access(path, os.R_OK) else "permission denied"


def _check_no_effect(values: Values, findings: Findings) -> None:
    for flag in f.FLAGS:
        if flag.belongs_to is None or not values.is_given(flag):
            continue
        owner = f.BY_NAME[flag.belongs_to[0]]
        wanted = flag.belongs_to[1]
        if not values.is_known(owner):
            continue
        if values[owner] != wanted if wanted else not values.is_given(owner):
            findings.warn(
                values.place(flag), f"has no effect without -{owner.name} {wanted}".rstrip()
            )
    document = values.document
    if document is None or "octodns" not in document.values or not values.is_known(f.PROVIDER):
        return
    if values[f.PROVIDER] != "octodns":
        findings.warn(document.place(("octodns",)), "has no effect without -provider octodns")


def _check_report_age(
    values: Values, loadbalancers: Sequence[LoadBalancer], findings: Findings
) -> None:
    age = values[f.REPORT_MAX_AGE]
    receives = values.is_given(p.HEALTHD_LISTEN) or values.is_given(p.ETCD)
    if receives and age <= KEEP_ALIVE_S:
        findings.warn(
            values.place(f.REPORT_MAX_AGE),
            f"{format_duration(age)} is not longer than the {format_duration(KEEP_ALIVE_S)} after "
            "which an agent posts without a change: its votes will come and go",
        )
    slowest = max(
        (e.monitor.interval_s + e.monitor.timeout_s for lb in loadbalancers for e in lb.endpoints),
        default=0.0,
    )
    if slowest >= age:
        findings.warn(
            values.place(f.REPORT_MAX_AGE),
            f"{format_duration(age)} is not longer than the slowest check, whose interval and "
            f"timeout are {format_duration(slowest)} together",
        )


def _keeps_credentials(url: str) -> bool:
    """Whether nobody on the way sees what is sent there."""
    parts = urlsplit(url)
    return parts.scheme == "https" or is_loopback(parts.hostname or "")


def is_loopback(host: str) -> bool:
    """Whether an address or name is this machine's own, as far as its text says."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.rstrip(".") == "localhost"
