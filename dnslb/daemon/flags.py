"""The one table of flags: what each is called, may be, is by default, and means.

Not where values come from (`layers.py`) nor how they fit together (`cross_checks.py`). The help
and `docs/reference/configuration.md` are rendered from this table, so that neither can drift.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from dnslb.daemon import part_flags
from dnslb.daemon.flag import Flag
from dnslb.daemon.kinds import (
    AGENT_NAME,
    HOST,
    LB_ITEM,
    NAME,
    PATH,
    SWITCH,
    TEXT,
    VERIFY_SERVER,
    Address,
    choice,
    duration,
    integer,
    lb_items,
    listed,
)

_NO_PATH: Path | None = None
_NO_TEXT: str | None = None

CFG = Flag("cfg", PATH, _NO_PATH, "the TOML file to read", toml_key="")
ELECTION = Flag(
    "election", choice("singleton", "k8s", "raft"), "", "who may write", "none: must be given"
)
INSTANCE_ID = Flag(
    "instance-id",
    NAME,
    "",
    "unique name of this instance",
    "the host name",
    toml_key="instance-identifier",
)
LB: Flag[tuple[str, ...]] = Flag(
    "lb",
    listed(LB_ITEM, lb_items),
    (),
    "a load balancer: www.example.org=http://192.0.2.1:80,tcp://[2001:db8::1]:443; may be repeated",
    "none",
    live=True,
)
AGENT: Flag[tuple[str, ...]] = Flag(
    "agent",
    listed(AGENT_NAME),
    (),
    "an agent whose vote counts; may be repeated; required with -etcd or -healthd-listen; "
    "the built-in prober runs only where this instance is one of them",
    "raft: the voters; else this instance",
    live=True,
    toml_key="agents",
)
PROVIDER = Flag(
    "provider",
    choice("autodns", "bind", "file", "octodns"),
    _NO_TEXT,
    "where DNS is written",
    "none: nothing is published",
)
OWNER_ID = Flag(
    "owner-id",
    NAME,
    _NO_TEXT,
    "who owns the RRsets there: the same on all instances of an installation",
    "required with autodns, bind, octodns",
)
ZONE_SYNC_INTERVAL_UPLOAD = Flag(
    "zone-sync-interval-upload",
    duration(0, 3600),
    1.0,
    "least time between two writes to one zone; the first change goes out at once, "
    "later ones are coalesced",
    live=True,
)
ZONE_SYNC_INTERVAL_DOWNLOAD = Flag(
    "zone-sync-interval-download",
    duration(1, 86400),
    300.0,
    "time between full comparisons with the provider",
    live=True,
)
LISTEN = Flag(
    "listen",
    HOST,
    "127.0.0.1",
    "where /metrics, /healthz and /readyz answer: read-only, no secrets",
)
PORT = Flag(
    "port",
    integer(0, 65535),
    8080,
    "their port; when it was not given and is taken, another one is used, and 0 takes any",
)
CONTROL_SOCKET = Flag(
    "control-socket",
    PATH,
    _NO_PATH,
    "the unix socket for dnslbctl, of mode 0600, or 0660 with -control-group",
    "/run/dnslb/ID.sock, else below $XDG_RUNTIME_DIR/dnslb/, "
    "else below a private directory in the temporary directory",
)
CONTROL_GROUP = Flag(
    "control-group", TEXT, _NO_TEXT, "the group that may use the control socket", "none"
)
STATE_DIR = Flag(
    "state-dir",
    PATH,
    _NO_PATH,
    "checkpoint and journals",
    "/var/lib/dnslb, else $XDG_STATE_HOME/dnslb; raft: RAFT-DIR/ID",
)
REPORT_MAX_AGE = Flag(
    "report-max-age",
    duration(1, 3600),
    45.0,
    "after which an agent's report counts for nothing",
    live=True,
)
ADOPT_EXISTING = Flag(
    "adopt-existing",
    SWITCH,
    False,
    "take over existing RRsets that differ, without asking",
    live=True,
)
DRIFT = Flag(
    "drift",
    choice("restore", "report", "hold"),
    "restore",
    "what to do when somebody else changed an owned RRset",
    live=True,
)
VERIFY_SERVERS: Flag[tuple[Address, ...]] = Flag(
    "verify-servers",
    listed(VERIFY_SERVER),
    (),
    "whom to ask whether a change is served",
    "the zone's NS; with -provider file nobody",
)
VERIFY_TIMEOUT = Flag(
    "verify-timeout",
    duration(1, 3600),
    60.0,
    "how long a change may take until it is served everywhere",
)
DRY_RUN = Flag(
    "dry-run", SWITCH, False, "decide and show, but write nothing outside the state directory"
)
DEBUG = Flag("debug", SWITCH, False, "log more", live=True)
JSON_LOGGING = Flag("json-logging", SWITCH, False, "log one JSON object a line")
DUMP_HTTP = Flag("dump-http", SWITCH, False, "log HTTP to and from the provider, without secrets")

FLAGS: tuple[Flag[Any], ...] = tuple(
    value
    for value in (*list(globals().values()), *vars(part_flags).values())
    if isinstance(value, Flag)
)
BY_NAME: dict[str, Flag[Any]] = {flag.name: flag for flag in FLAGS}
BY_KEY: dict[str, Flag[Any]] = {flag.key: flag for flag in FLAGS if flag.key}
TABLES = ("lb", "guard", "octodns")
"""What a file may have beside flags: `lb` is the flag's name and a table at once."""
