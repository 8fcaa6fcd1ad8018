"""The keys of the Go program's YAML: what each becomes, and what has changed its meaning.

A table and its words, read off that program's source; how a file is read by it is in
`go_configuration`. Its reader (viper) takes keys in any case, so they stand here in lower case.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from dnslb.daemon import flags as f, part_flags as p
from dnslb.daemon.flag import Flag


class Becomes(NamedTuple):
    """``flag``: what the key is now; ``comment``: what stands above it, "" for nothing."""

    flag: Flag[Any]
    comment: str = ""


UPLOAD = (
    "Now the least time between two writes to one zone: the first change goes out at once. The Go "
    "program looked for changes so often, by default every 60 s; the default here is 1."
)
DOWNLOAD = (
    "Time between full comparisons with the provider. The Go program's default was 3600; here it "
    "is 300, since what others changed is seen no sooner."
)
AGENTS = (
    'A silent or stale agent has no vote now; the Go program counted it as "down". An address '
    "enters or leaves DNS when more than half of these agents freshly say so; else it stays. An "
    "instance whose own name (without instance-identifier: its host's) is among them checks by "
    "itself and votes under that name, so give it another than a healthagent has."
)
ETCD = (
    "Changes are followed as they happen, by the same v2 API where etcd has it. The list under "
    '"monitors" is written by the instance that may write DNS, and mended when it differs.'
)
LISTEN = (
    "/metrics and /healthz answer at 127.0.0.1 now; the Go program answered at every address. For "
    "a Prometheus or a kubelet elsewhere:"
)
PASSWORD = (
    "Better env:NAME or file:PATH: then this file holds no secret. Without either, keep it to "
    "its owner (chmod 600)."
)
RAFT_DIR = (
    "Nothing of the Go program's own state there is read: the two cannot be members of one "
    "cluster. Begin a new one, in a directory of its own."
)
BOOTSTRAP = "On the first member alone, as before; ignored where there is state."

BECOMES: dict[str, Becomes] = {
    "port": Becomes(f.PORT),
    "debug": Becomes(f.DEBUG),
    "json-logging": Becomes(f.JSON_LOGGING),
    "dump-http": Becomes(f.DUMP_HTTP, "Secrets are no longer in what it shows."),
    "agents": Becomes(f.AGENT, AGENTS),
    "etcendpoint": Becomes(p.ETCD, ETCD),
    "etcd-interval-monitoring": Becomes(
        p.ETCD_INTERVAL_MONITORING,
        "Now only the longest time between two looks, beside following what changes.",
    ),
    "dnsprovider": Becomes(f.PROVIDER),
    "election": Becomes(f.ELECTION),
    "instance-identifier": Becomes(f.INSTANCE_ID),
    "zone-sync-interval-upload": Becomes(f.ZONE_SYNC_INTERVAL_UPLOAD, UPLOAD),
    "zone-sync-interval-download": Becomes(f.ZONE_SYNC_INTERVAL_DOWNLOAD, DOWNLOAD),
    "k8s-kubeconfig": Becomes(p.K8S_KUBECONFIG),
    "k8s-lock-name": Becomes(p.K8S_LOCK_NAME),
    "k8s-lock-namespace": Becomes(p.K8S_LOCK_NAMESPACE),
    "raft-address": Becomes(p.RAFT_ADDRESS),
    "raft-dir": Becomes(p.RAFT_DIR, RAFT_DIR),
    "raft-bootstrap": Becomes(p.RAFT_BOOTSTRAP, BOOTSTRAP),
    "autodns-username": Becomes(p.AUTODNS_USERNAME),
    "autodns-password": Becomes(p.AUTODNS_PASSWORD, PASSWORD),
}
GONE: dict[str, str] = {
    "mockzonepath": "There is no mock provider: see -dry-run, dnslb plan and dnslb demo.",
    "mockzonestatepath": "There is no mock provider: see -dry-run, dnslb plan and dnslb demo.",
    "bully-address": "The Go program reads it and does nothing with it; so does this one.",
    "bully-proto": "The Go program reads it and does nothing with it; so does this one.",
    "bully-peer": "The Go program reads it and does nothing with it; so does this one.",
}
NO_PROVIDER = "Decisions are shown and nothing is published, until a provider is configured."
OWNER_ID = (
    "New: who owns the names' records at the provider, written to a TXT record _dnslb.ZONE. The "
    "same on all instances of this installation, and on no other's. This one is made of the names "
    "below; choose another now rather than later."
)
OWNER_CHOSEN = (
    "New: who owns the names' records at the provider, written to a TXT record _dnslb.ZONE. The "
    "same on all instances of this installation, and on no other's."
)
ADOPT = (
    "New: a name whose addresses differ from the wanted ones when it is first seen is held until "
    "dnslbctl approve. To take over without asking:"
)
VERIFY = (
    "New: after each write the zone's name servers are asked whether they answer it. Where they "
    "cannot be reached from here, name others, or:"
)
LEASE = (
    "As the Go program has them, so that both may compete for one lock. When no Go program is "
    "left, take these three out: 15, 10 and 2 are enough, and a take-over is faster."
)
INSECURE = (
    "The Go program's members spoke without TLS, so this is needed to do the same. dnslb pki makes "
    "certificates: put raft-ca, raft-crt and raft-key in place of this line (docs/tls.md)."
)
LB = (
    "Checks, thresholds and what happens when all are down can be set for each name now. When all "
    "are down, the records stay, as before. An address that lives again is published after 3 s "
    "(up-after). dnslb's own agents vote after two checks in a row (rise, fall); the old agents "
    "vote as ever."
)
TTL = (
    "Records get a ttl of 60 unless a name says otherwise, and a name whose records stand there "
    "with another one is held as well when it is first seen. To keep theirs, write the name in the "
    "long form:"
)
GUARD = (
    "New: from 10 published addresses up, what would leave beyond this share within a minute is "
    "held until dnslbctl approve, or until it lives again. The Go program let all of it go."
)
RENAMED = (
    "Was {name}, which is an agent's name too. Here that would mean that this instance checks by "
    "itself and votes as that agent, beside the healthagent that is called so."
)
SHARED = (
    "{host} has several monitors here: it lives only when all of them say so. With the Go program "
    "each gave an agent a vote of its own."
)
SAME = "was listed twice, and stands here once"
