"""Fixtures of tests that start real processes and servers."""

from tests.daemon.conftest import log_settings
from tests.system.etcd import etcd
from tests.system.grounds import ground, unhurried
from tests.system.kubernetes_stage import make_fleet
from tests.system.named import named
from tests.system.network import network
from tests.system.raft_stage import make_cluster
from tests.system.small_disk import small_disk

__all__ = [
    "etcd",
    "ground",
    "log_settings",
    "make_cluster",
    "make_fleet",
    "named",
    "network",
    "small_disk",
    "unhurried",
]
