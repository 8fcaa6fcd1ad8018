"""The flags of parts: receivers and stores of reports, elections, providers.

Each says with ``belongs_to`` without what it has no effect. The rest of the table, and what is
made of it, is `flags.py`.
"""

from __future__ import annotations

from pathlib import Path

from dnslb.daemon.flag import Flag
from dnslb.daemon.kinds import (
    CLASS,
    LABEL,
    ON_OFF,
    PATH,
    SECRET,
    SWITCH,
    TEXT,
    URL,
    Address,
    address,
    choice,
    duration,
    integer,
    listed,
)
from dnslb.daemon.secret import Secret

_RAFT, _K8S = ("election", "raft"), ("election", "k8s")
_AUTODNS, _BIND = ("provider", "autodns"), ("provider", "bind")
_FILE, _OCTODNS = ("provider", "file"), ("provider", "octodns")
_ETCD, _HEALTHD = ("etcd", ""), ("healthd-listen", "")

_NO_PATH: Path | None = None
_NO_TEXT: str | None = None
_NO_ADDRESS: Address | None = None
_NO_SECRET: Secret | None = None

ETCD: Flag[tuple[str, ...]] = Flag(
    "etcd", listed(URL), (), "healthd's store; may be repeated", "none"
)
ETCD_API = Flag(
    "etcd-api",
    choice("auto", "v2", "v3"),
    "auto",
    "auto: v2 where /v2/keys answers, v3 only where it does not",
    belongs_to=_ETCD,
)
ETCD_INTERVAL_MONITORING = Flag(
    "etcd-interval-monitoring",
    duration(1, 3600),
    30.0,
    "longest time between two looks at the monitor list in etcd, beside following its changes; "
    "at least every 10 s all the same",
    belongs_to=_ETCD,
)
ETCD_CA = Flag(
    "etcd-ca",
    PATH,
    _NO_PATH,
    "certificates that etcd's must be signed by",
    "the system's",
    belongs_to=_ETCD,
)
ETCD_CRT = Flag("etcd-crt", PATH, _NO_PATH, "our certificate for etcd", "none", belongs_to=_ETCD)
ETCD_KEY = Flag("etcd-key", PATH, _NO_PATH, "its key", "none", belongs_to=_ETCD)
ETCD_USER = Flag("etcd-user", TEXT, _NO_TEXT, "user at etcd", "none", belongs_to=_ETCD)
ETCD_PASSWORD = Flag("etcd-password", SECRET, _NO_SECRET, "its password", "none", belongs_to=_ETCD)
RAFT_ADDRESS = Flag(
    "raft-address",
    address(),
    _NO_ADDRESS,
    "where the other members reach this one",
    "required with raft",
    belongs_to=_RAFT,
)
RAFT_LISTEN = Flag(
    "raft-listen",
    address(),
    _NO_ADDRESS,
    "the address to bind where that differs",
    "-raft-address",
    belongs_to=_RAFT,
)
RAFT_DIR = Flag(
    "raft-dir",
    PATH,
    _NO_PATH,
    "the instance's directory is made below it",
    "required with raft",
    belongs_to=_RAFT,
)
RAFT_BOOTSTRAP = Flag(
    "raft-bootstrap",
    SWITCH,
    False,
    "begin a new cluster; ignored, with a notice, on an instance that has state",
    belongs_to=_RAFT,
)
RAFT_NEW_EPOCH = Flag(
    "raft-new-epoch",
    SWITCH,
    False,
    "a bootstrapped cluster may take over marked zones of its own owner id",
    belongs_to=_RAFT,
)
RAFT_PROFILE = Flag(
    "raft-profile",
    choice("lan", "wan"),
    "lan",
    "lan: election 0.4-0.8 s, heartbeat 0.1 s, lease 0.4 s; wan: 1.0-2.0, 0.25, 1.0",
    belongs_to=_RAFT,
)
RAFT_CA = Flag(
    "raft-ca",
    PATH,
    _NO_PATH,
    "mutual TLS between members and for remote administration; "
    "without it only loopback addresses are served, unless -raft-insecure",
    "none",
    belongs_to=_RAFT,
)
RAFT_CRT = Flag("raft-crt", PATH, _NO_PATH, "this member's certificate", "none", belongs_to=_RAFT)
RAFT_KEY = Flag("raft-key", PATH, _NO_PATH, "its key", "none", belongs_to=_RAFT)
RAFT_INSECURE = Flag(
    "raft-insecure",
    SWITCH,
    False,
    "serve other than loopback addresses without TLS",
    belongs_to=_RAFT,
)
K8S_KUBECONFIG = Flag(
    "k8s-kubeconfig", PATH, _NO_PATH, "how to reach the API server", "in-cluster", belongs_to=_K8S
)
K8S_LOCK_NAME = Flag("k8s-lock-name", LABEL, "dnslb", "name of the Lease", belongs_to=_K8S)
K8S_LOCK_NAMESPACE = Flag(
    "k8s-lock-namespace", LABEL, _NO_TEXT, "its namespace", "required with k8s", belongs_to=_K8S
)
K8S_LEASE_DURATION = Flag(
    "k8s-lease-duration",
    duration(1, 3600),
    15.0,
    "after how long without renewal another instance may take the Lease",
    belongs_to=_K8S,
)
K8S_RENEW_DEADLINE = Flag(
    "k8s-renew-deadline",
    duration(1, 3600),
    10.0,
    "how long after its last renewal the holder may still write",
    belongs_to=_K8S,
)
K8S_RETRY_PERIOD = Flag(
    "k8s-retry-period", duration(0.1, 3600), 2.0, "time between two attempts", belongs_to=_K8S
)
HEALTHD_LISTEN = Flag(
    "healthd-listen",
    address(),
    _NO_ADDRESS,
    "the healthd-compatible receiver of agents' reports, with mutual TLS",
    "off",
)
HEALTHD_CA = Flag(
    "healthd-ca",
    PATH,
    _NO_PATH,
    "certificates that the agents' must be signed by",
    "required with -healthd-listen",
    belongs_to=_HEALTHD,
)
HEALTHD_CRT = Flag(
    "healthd-crt",
    PATH,
    _NO_PATH,
    "the receiver's certificate",
    "required with -healthd-listen",
    belongs_to=_HEALTHD,
)
HEALTHD_KEY = Flag(
    "healthd-key", PATH, _NO_PATH, "its key", "required with -healthd-listen", belongs_to=_HEALTHD
)
AUTODNS_USERNAME = Flag(
    "autodns-username",
    TEXT,
    _NO_TEXT,
    "user at AutoDNS",
    "required with autodns",
    belongs_to=_AUTODNS,
)
AUTODNS_PASSWORD = Flag(
    "autodns-password",
    SECRET,
    _NO_SECRET,
    "its password",
    "required with autodns",
    live=True,
    belongs_to=_AUTODNS,
)
AUTODNS_CONTEXT = Flag(
    "autodns-context", integer(1, 2**31 - 1), 4, "the user's context", belongs_to=_AUTODNS
)
AUTODNS_URL = Flag(
    "autodns-url", URL, "https://api.autodns.com/v1", "where the API is", belongs_to=_AUTODNS
)
BIND_SERVER = Flag(
    "bind-server",
    address(53),
    _NO_ADDRESS,
    "the primary that takes updates (RFC 2136)",
    "required with bind",
    belongs_to=_BIND,
)
BIND_KEY_FILE = Flag(
    "bind-key-file",
    PATH,
    _NO_PATH,
    "its TSIG key, as tsig-keygen writes it",
    "required with bind",
    belongs_to=_BIND,
)
BIND_OWNERSHIP = Flag(
    "bind-ownership",
    ON_OFF,
    True,
    "keep the fencing marker, a TXT record, in each zone",
    "on",
    belongs_to=_BIND,
)
FILE_DIR = Flag(
    "file-dir",
    PATH,
    _NO_PATH,
    "zone files FILE-DIR/ZONE.zone",
    "required with file",
    belongs_to=_FILE,
)
FILE_RELOAD_COMMAND = Flag(
    "file-reload-command",
    TEXT,
    _NO_TEXT,
    "run after a zone file was replaced",
    "none",
    belongs_to=_FILE,
)
FILE_SHARED = Flag(
    "file-shared", SWITCH, False, "the directory is one that all instances see", belongs_to=_FILE
)
OCTODNS_CLASS = Flag(
    "octodns-class",
    CLASS,
    _NO_TEXT,
    "any octoDNS provider class; its settings stand in the [octodns] table",
    "required with octodns",
    belongs_to=_OCTODNS,
)
