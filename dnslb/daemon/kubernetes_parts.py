"""One replica that stands for a Lease in Kubernetes: the election's parts around one API server.

Not what they do (`dnslb.election.kubernetes_*`): this puts them together.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from random import SystemRandom

import trio

from dnslb import __version__
from dnslb.daemon.config import Config
from dnslb.daemon.registry import Election
from dnslb.election.kubernetes_client import KubernetesClient, connector
from dnslb.election.kubernetes_cluster import KubernetesCluster
from dnslb.election.kubernetes_elector import KubernetesElector, Parts, Place
from dnslb.election.kubernetes_lease import LeaseContest, Timing
from dnslb.election.kubernetes_state import KubernetesStateStore
from dnslb.election.surroundings import Surroundings
from dnslb.errors import CommandRefused
from dnslb.metrics.counters import Counters
from dnslb.model.command import Command, CommandReply
from dnslb.model.lease import Lease
from dnslb.net.clock import Clock


async def _nothing() -> None:
    """No mark of a clean stop is needed: who releases the Lease has nothing under way."""
    await trio.lowlevel.checkpoint()


class KubernetesParts:
    """``lease``: the one in force, asked at each view."""

    def __init__(
        self,
        config: Config,
        clock: Clock,
        lease: Callable[[], Lease | None],
        counters: Counters,
        around: Surroundings,
    ) -> None:
        kubernetes = config.kubernetes
        assert kubernetes is not None
        self._config = config
        self._around = around
        namespace, name = kubernetes.lock_namespace, kubernetes.lock_name
        self.client = client = KubernetesClient(namespace, connector(kubernetes.kubeconfig))
        self.store = KubernetesStateStore(
            client, namespace, name, clock, around.notices, lease, around.newest_epoch
        )
        place = Place(
            namespace=namespace,
            name=name,
            instance_id=config.instance_id,
            owner_id=config.owner_id or config.instance_id,
            nonce=secrets.token_hex(8),
        )
        timing = Timing(
            duration_s=int(kubernetes.lease_duration_s),
            deadline_s=kubernetes.renew_deadline_s,
            retry_s=kubernetes.retry_period_s,
        )
        contest = LeaseContest(place.identity, timing, SystemRandom().random)

        def count_error() -> None:
            counters.kubernetes_errors += 1

        parts = Parts(client, self.store, around.workers, around.note, around.notices, count_error)
        self.elector = KubernetesElector(place, contest, parts, clock)
        self.cluster = KubernetesCluster(
            place, __version__, contest, clock, lease, takes_part=not config.dry_run
        )
        self._place = place

    def as_election(self) -> Election:
        return Election(
            store=self.store,
            elector=self.elector,
            cluster=self.cluster,
            record_clean_stop=_nothing,
            close=lambda: None,
            leave=self.elector.leave,
            perform=self.perform,
            open=self.open,
            reload=self.reload,
            aclose=self.client.aclose,
        )

    async def open(self) -> None:
        """Loads how the API server is reached; asks it nothing yet. Raises `ConfigError`."""
        await self.client.load()
        self.reload(self._config)

    def reload(self, config: Config) -> None:
        """Says whether this replica decides by its own checks alone."""
        self._around.notices.clear("decides-alone")
        if config.agents == (config.instance_id,):
            self._around.notices.put(
                "info",
                "decides-alone",
                config.instance_id,
                "this replica is its only agent, so what it cannot reach it takes for down, "
                "whatever other replicas see",
                "give all replicas the same reports: -etcd, or agents that post to each of them "
                "(docs/kubernetes.md)",
            )

    async def perform(self, command: Command, timeout_s: float) -> CommandReply:
        """Here or not at all: replicas do not talk to each other. Raises `CommandRefused`."""
        leader, place = self.cluster.leader_name(), self._place
        if leader and leader != place.instance_id:
            raise CommandRefused(
                f"{leader} holds the Lease {place.subject}, and only it can do that: kubectl exec "
                f"-n {place.namespace} {leader} -- dnslbctl ...; nothing was changed"
            )
        return await self._around.perform(command, timeout_s)
