"""From arguments, environment and file to a `Config`, or to everything that is wrong with them.

Can be called again at any time: a reload is a second call, and what it raises leaves the first
result in force.
"""

from __future__ import annotations

import socket
from base64 import b64encode
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, cast

from dnslb.daemon import flags as f, part_flags as p
from dnslb.daemon.config import (
    AutodnsConfig,
    BindConfig,
    Config,
    Election,
    EtcdConfig,
    FileConfig,
    HealthdConfig,
    KubernetesConfig,
    OctodnsConfig,
    RaftConfig,
    TlsPaths,
    VerifyConfig,
)
from dnslb.daemon.cross_checks import check
from dnslb.daemon.default_places import default_control_socket, default_state_dir
from dnslb.daemon.guard_table import read_guard
from dnslb.daemon.key_file import read_tsig_key
from dnslb.daemon.kinds import VERIFY_OFF
from dnslb.daemon.layers import Values, gather
from dnslb.daemon.loadbalancer_tables import Reading
from dnslb.daemon.octodns_table import OctodnsTable, read_octodns, secrets_within
from dnslb.daemon.origin import FromFile
from dnslb.daemon.problems import Findings
from dnslb.daemon.secret import Secret
from dnslb.decide.settings import DriftPolicy, GuardSettings
from dnslb.model.loadbalancer import LoadBalancer

if TYPE_CHECKING:
    from dnslb.providers.rfc2136_key import TsigKey


def load_config(argv: Sequence[str], environ: Mapping[str, str]) -> Config:
    """Reads ``argv`` (flags only), ``environ`` and the file that they name.

    Raises `ConfigProblems`, which holds every mistake and every warning.
    """
    findings = Findings()
    values = gather(argv, environ, findings)
    _name_instance(values, findings)
    loadbalancers = _read_loadbalancers(values, findings)
    guard, octodns = _read_tables(values, environ, findings)
    check(values, loadbalancers, findings)
    key = read_tsig_key(values, findings)
    findings.raise_if_fatal()
    return _compose(values, loadbalancers, guard, octodns, key, environ, findings)


def _name_instance(values: Values, findings: Findings) -> None:
    flag = f.INSTANCE_ID
    if values.is_given(flag):
        return
    try:
        values.typed[flag.name] = flag.kind.read(socket.gethostname())
    except ValueError:
        findings.error(
            f"-{flag.name}", "must be given: the host name is not one that an instance can have"
        )


def _read_loadbalancers(values: Values, findings: Findings) -> tuple[LoadBalancer, ...]:
    reading = Reading(findings)
    in_file = values.document.values.get("lb") if values.document else None
    if values.document is not None and in_file is not None:
        table = FromFile(values.document, ("lb",))
        if not values.is_given(f.LB):
            reading.take_table(in_file, table)
        else:
            # They do not count here, but mistakes in them are mistakes all the same.
            Reading(findings).take_table(in_file, table)
            findings.warn(values.place(f.LB), f"stands instead of all of {table.place()}")
    if (origin := values.origins.get(f.LB.name)) is not None:
        texts: tuple[str, ...] = values[f.LB]
        reading.take_texts(texts, origin)
    return tuple(reading.loadbalancers)


def _read_tables(
    values: Values, environ: Mapping[str, str], findings: Findings
) -> tuple[GuardSettings, OctodnsTable]:
    document = values.document
    guard: GuardSettings = GuardSettings()
    table = OctodnsTable()
    if document is None:
        return guard, table
    if "guard" in document.values:
        origin = FromFile(document, ("guard",))
        guard = read_guard(document.values["guard"], origin, findings)
    if "octodns" in document.values:
        origin = FromFile(document, ("octodns",))
        table = read_octodns(document.values["octodns"], origin, environ, findings)
    return guard, table


def _compose(
    v: Values,
    loadbalancers: tuple[LoadBalancer, ...],
    guard: GuardSettings,
    octodns: OctodnsTable,
    key: TsigKey | None,
    environ: Mapping[str, str],
    findings: Findings,
) -> Config:
    """The value itself; whatever a part needs is known to be there."""
    election, instance_id, provider = v[f.ELECTION], v[f.INSTANCE_ID], v[f.PROVIDER]
    raft = _raft(v) if election == "raft" else None
    state_dir = v[f.STATE_DIR] or default_state_dir(environ)
    secrets = [v[flag] for flag in (p.AUTODNS_PASSWORD, p.ETCD_PASSWORD)]
    if key is not None:
        secrets.append(Secret(b64encode(key.secret).decode()))
    return Config(
        election=cast("Election", election),
        instance_id=instance_id,
        source=v[f.CFG],
        loadbalancers=loadbalancers,
        guard=guard,
        agents=v[f.AGENT] or (() if raft else (instance_id,)),
        owner_id=v[f.OWNER_ID],
        provider=provider,
        listen=v[f.LISTEN],
        port=v[f.PORT],
        port_given=v.is_given(f.PORT),
        control_socket=v[f.CONTROL_SOCKET] or default_control_socket(instance_id, environ),
        control_group=v[f.CONTROL_GROUP],
        state_dir=raft.directory if raft else state_dir,
        report_max_age_s=v[f.REPORT_MAX_AGE],
        upload_interval_s=v[f.ZONE_SYNC_INTERVAL_UPLOAD],
        download_interval_s=v[f.ZONE_SYNC_INTERVAL_DOWNLOAD],
        adopt_existing=v[f.ADOPT_EXISTING],
        drift=cast("DriftPolicy", v[f.DRIFT]),
        verify=_verify(v),
        dry_run=v[f.DRY_RUN],
        debug=v[f.DEBUG],
        json_logging=v[f.JSON_LOGGING],
        dump_http=v[f.DUMP_HTTP],
        etcd=_etcd(v) if v[p.ETCD] else None,
        healthd=_healthd(v),
        raft=raft,
        kubernetes=_kubernetes(v) if election == "k8s" else None,
        file=_file(v) if provider == "file" else None,
        autodns=_autodns(v) if provider == "autodns" else None,
        bind=_bind(v, key) if key is not None else None,
        octodns=(
            OctodnsConfig(v[p.OCTODNS_CLASS] or "", octodns) if provider == "octodns" else None
        ),
        warnings=findings.warnings,
        secrets=tuple(s for s in (*secrets, *secrets_within(octodns.settings)) if s is not None),
        by_flag={flag.name: v[flag] for flag in f.FLAGS},
    )


def _verify(v: Values) -> VerifyConfig:
    servers = v[f.VERIFY_SERVERS]
    is_off = servers == (VERIFY_OFF,)
    return VerifyConfig(not is_off, () if is_off else servers, v[f.VERIFY_TIMEOUT])


def _etcd(v: Values) -> EtcdConfig:
    return EtcdConfig(
        urls=v[p.ETCD],
        api=v[p.ETCD_API],
        interval_monitoring_s=v[p.ETCD_INTERVAL_MONITORING],
        tls=TlsPaths(v[p.ETCD_CA], v[p.ETCD_CRT], v[p.ETCD_KEY]),
        user=v[p.ETCD_USER],
        password=v[p.ETCD_PASSWORD],
    )


def _healthd(v: Values) -> HealthdConfig | None:
    listen, ca, crt, key = v[p.HEALTHD_LISTEN], v[p.HEALTHD_CA], v[p.HEALTHD_CRT], v[p.HEALTHD_KEY]
    if listen is None:
        return None
    assert ca is not None
    assert crt is not None
    assert key is not None
    return HealthdConfig(listen, ca, crt, key)


def _raft(v: Values) -> RaftConfig:
    address, directory = v[p.RAFT_ADDRESS], v[p.RAFT_DIR]
    assert address is not None
    assert directory is not None
    return RaftConfig(
        address=address,
        bind=v[p.RAFT_LISTEN] or address,
        directory=directory / v[f.INSTANCE_ID],
        bootstrap=v[p.RAFT_BOOTSTRAP],
        new_epoch=v[p.RAFT_NEW_EPOCH],
        profile=v[p.RAFT_PROFILE],
        tls=TlsPaths(v[p.RAFT_CA], v[p.RAFT_CRT], v[p.RAFT_KEY]) if v[p.RAFT_CA] else None,
        insecure=v[p.RAFT_INSECURE],
    )


def _kubernetes(v: Values) -> KubernetesConfig:
    return KubernetesConfig(
        kubeconfig=v[p.K8S_KUBECONFIG],
        lock_name=v[p.K8S_LOCK_NAME],
        lock_namespace=v[p.K8S_LOCK_NAMESPACE] or "",
        lease_duration_s=v[p.K8S_LEASE_DURATION],
        renew_deadline_s=v[p.K8S_RENEW_DEADLINE],
        retry_period_s=v[p.K8S_RETRY_PERIOD],
    )


def _file(v: Values) -> FileConfig:
    return FileConfig(
        directory=v[p.FILE_DIR] or Path(),
        reload_command=v[p.FILE_RELOAD_COMMAND],
        shared=v[p.FILE_SHARED],
    )


def _autodns(v: Values) -> AutodnsConfig:
    return AutodnsConfig(
        username=v[p.AUTODNS_USERNAME] or "",
        password=v[p.AUTODNS_PASSWORD] or Secret(""),
        context=v[p.AUTODNS_CONTEXT],
        url=v[p.AUTODNS_URL],
    )


def _bind(v: Values, key: TsigKey) -> BindConfig:
    server, key_file = v[p.BIND_SERVER], v[p.BIND_KEY_FILE]
    assert server is not None
    assert key_file is not None
    return BindConfig(server, key_file, key, v[p.BIND_OWNERSHIP])
