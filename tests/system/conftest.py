"""Fixtures of tests that start real processes and servers."""

from tests.daemon.conftest import log_settings
from tests.system.etcd import etcd
from tests.system.grounds import ground, unhurried
from tests.system.named import named

__all__ = ["etcd", "ground", "log_settings", "named", "unhurried"]
