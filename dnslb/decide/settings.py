"""What the controller is told by the configuration: a value without flags, files or parts."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import Literal

from dnslb.errors import InvalidValue
from dnslb.model.capabilities import Capabilities
from dnslb.model.loadbalancer import LoadBalancer, MonitorList

DriftPolicy = Literal["restore", "report", "hold"]
DRIFT_POLICIES: tuple[DriftPolicy, ...] = ("restore", "report", "hold")
AGENTS_MAX = 99


@dataclass(frozen=True, slots=True)
class GuardSettings:
    """``max_withdraw_total``: share of all published addresses that may leave within
    ``window_s`` seconds, from ``total_from`` published addresses up."""

    max_withdraw_total: float = 0.5
    window_s: float = 60.0
    total_from: int = 10

    def __post_init__(self) -> None:
        if not 0 <= self.max_withdraw_total <= 1:
            raise InvalidValue("max-withdraw-total is not between 0% and 100%")
        if not 1 <= self.window_s <= 86400:
            raise InvalidValue("window is not between 1 and 86400 seconds")


@dataclass(frozen=True)
class Settings:
    """Everything that decisions depend on. ``local_agent``: the agent whose checks run in this
    process, voided by a stall; None without a built-in prober. ``unverified``: why nobody asks
    the servers whether changes are published; None where the verifier does.
    ``keeps_monitor_list``: agents fetch the monitor list where the lease holder has to put it.
    ``digest``: of what all members of a cluster must have alike; "" where nobody else decides."""

    loadbalancers: tuple[LoadBalancer, ...] = ()
    agents: tuple[str, ...] = ()
    local_agent: str | None = None
    report_max_age_s: float = 45.0
    guard: GuardSettings = field(default_factory=GuardSettings)
    adopt_existing: bool = False
    drift: DriftPolicy = "restore"
    upload_interval_s: float = 1.0
    download_interval_s: float = 300.0
    provider: str | None = None
    capabilities: Capabilities = field(default_factory=Capabilities)
    unverified: str | None = "verification is off"
    dry_run: bool = False
    keeps_monitor_list: bool = False
    digest: str = ""

    def __post_init__(self) -> None:
        if len(self.by_name) != len(self.loadbalancers):
            names = [lb.name for lb in self.loadbalancers]
            twice = next(name for name in names if names.count(name) > 1)
            raise InvalidValue(f"load balancer {twice} is configured twice")
        if len(set(self.agents)) != len(self.agents):
            raise InvalidValue("an agent is configured twice")
        if len(self.agents) > AGENTS_MAX:
            raise InvalidValue(f"more than {AGENTS_MAX} agents are configured")
        if self.drift not in DRIFT_POLICIES:
            raise InvalidValue(f"drift {self.drift!r} is none of {', '.join(DRIFT_POLICIES)}")

    @cached_property
    def monitors(self) -> MonitorList:
        return MonitorList.of(self.loadbalancers)

    @cached_property
    def by_name(self) -> dict[str, LoadBalancer]:
        return {lb.name: lb for lb in self.loadbalancers}

    @property
    def quorum(self) -> int:
        """How many agents are more than half."""
        return len(self.agents) // 2 + 1
