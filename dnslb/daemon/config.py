"""The configuration as one typed, frozen value: everything that the daemon is told from outside.

Not how it is read (`layers.py`), nor what may stand together (`cross_checks.py`).

Law: a `Config` exists only when nothing was wrong; what was wrong is told all at once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dnslb.daemon.kinds import Address
from dnslb.daemon.octodns_table import OctodnsTable
from dnslb.daemon.secret import Secret
from dnslb.decide.settings import DriftPolicy, GuardSettings, Settings
from dnslb.model.capabilities import Capabilities
from dnslb.model.loadbalancer import LoadBalancer

if TYPE_CHECKING:
    from dnslb.providers.rfc2136_key import TsigKey

Election = Literal["singleton", "k8s", "raft"]


@dataclass(frozen=True, slots=True)
class TlsPaths:
    """PEM files; which of them must be there is settled where they are used."""

    ca: Path | None = None
    crt: Path | None = None
    key: Path | None = None


@dataclass(frozen=True, slots=True)
class EtcdConfig:
    urls: tuple[str, ...]
    api: str
    interval_monitoring_s: float
    tls: TlsPaths
    user: str | None
    password: Secret | None


@dataclass(frozen=True, slots=True)
class HealthdConfig:
    """The receiver of agents' reports; all three files are there."""

    listen: Address
    ca: Path
    crt: Path
    key: Path


@dataclass(frozen=True, slots=True)
class RaftConfig:
    """``tls`` None: loopback only, unless ``insecure``. ``bind``: the address to listen at."""

    address: Address
    bind: Address
    directory: Path
    bootstrap: bool
    new_epoch: bool
    profile: str
    tls: TlsPaths | None
    insecure: bool


@dataclass(frozen=True, slots=True)
class KubernetesConfig:
    kubeconfig: Path | None
    lock_name: str
    lock_namespace: str
    lease_duration_s: float
    renew_deadline_s: float
    retry_period_s: float


@dataclass(frozen=True, slots=True)
class FileConfig:
    directory: Path
    reload_command: str | None
    shared: bool


@dataclass(frozen=True, slots=True)
class AutodnsConfig:
    username: str
    password: Secret
    context: int
    url: str


@dataclass(frozen=True, slots=True)
class BindConfig:
    """``key``: what stands in the key file."""

    server: Address
    key_file: Path
    key: TsigKey = field(repr=False)
    ownership: bool


@dataclass(frozen=True, slots=True)
class OctodnsConfig:
    """``class_name``: dotted; ``table``: its settings, and what is said to dnslb itself."""

    class_name: str
    table: OctodnsTable


@dataclass(frozen=True, slots=True)
class VerifyConfig:
    """``servers`` empty: the name servers of the zone, where the provider's are known."""

    enabled: bool
    servers: tuple[Address, ...]
    timeout_s: float


@dataclass(frozen=True)
class Config:
    """Durations in seconds. ``source``: the file it was read from, if any.

    ``agents`` is what was given, or this instance; empty in raft mode when none was given: then
    the voters are the agents. ``port_given``: a taken port is an error. Parts that are not
    wanted are None. ``by_flag``: the value of each flag, by which two configurations compare.
    """

    election: Election
    instance_id: str
    source: Path | None
    loadbalancers: tuple[LoadBalancer, ...]
    guard: GuardSettings
    agents: tuple[str, ...]
    owner_id: str | None
    provider: str | None
    listen: str
    port: int
    port_given: bool
    control_socket: Path
    control_group: str | None
    state_dir: Path
    report_max_age_s: float
    upload_interval_s: float
    download_interval_s: float
    adopt_existing: bool
    drift: DriftPolicy
    verify: VerifyConfig
    dry_run: bool
    debug: bool
    json_logging: bool
    dump_http: bool
    etcd: EtcdConfig | None = None
    healthd: HealthdConfig | None = None
    raft: RaftConfig | None = None
    kubernetes: KubernetesConfig | None = None
    file: FileConfig | None = None
    autodns: AutodnsConfig | None = None
    bind: BindConfig | None = None
    octodns: OctodnsConfig | None = None
    warnings: tuple[str, ...] = ()
    secrets: tuple[Secret, ...] = field(default=(), repr=False)
    by_flag: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)

    @property
    def local_agent(self) -> str | None:
        """The agent whose checks run in this process; None where no built-in prober runs."""
        if not self.agents or self.instance_id in self.agents:
            return self.instance_id
        return None

    @property
    def endpoints_total(self) -> int:
        return sum(len(lb.endpoints) for lb in self.loadbalancers)

    def to_settings(self, capabilities: Capabilities, voters: tuple[str, ...] = ()) -> Settings:
        """What the controller needs. ``voters``: the agents in raft mode when none were given."""
        return Settings(
            loadbalancers=self.loadbalancers,
            agents=self.agents or voters,
            local_agent=self.local_agent,
            report_max_age_s=self.report_max_age_s,
            guard=self.guard,
            adopt_existing=self.adopt_existing,
            drift=self.drift,
            upload_interval_s=self.upload_interval_s,
            download_interval_s=self.download_interval_s,
            provider=self.provider,
            capabilities=capabilities,
            dry_run=self.dry_run,
            unverified=self._unverified(capabilities),
            keeps_monitor_list=self.etcd is not None,
            digest=self.digest if self.raft is not None and not self.dry_run else "",
        )

    @cached_property
    def digest(self) -> str:
        """Of what decisions rest on and all members must have alike (`safety.md` 3.5)."""
        text = repr((self.loadbalancers, self.agents, self.guard))
        return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

    def _unverified(self, capabilities: Capabilities) -> str | None:
        """Why nobody asks the servers whether changes are published."""
        if not self.verify.enabled:
            return "-verify-servers is off"
        if not self.verify.servers and not capabilities.verifiable:
            return "it is not known which servers answer; -verify-servers names them"
        return None
