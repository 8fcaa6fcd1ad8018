"""What the daemon itself counts, beside what the controller's status tells; mutable.

One `Counters` belongs to one daemon, which hands it to whatever has something to count.

Law: totals only grow; the labels are few and known, never taken from what a client sent.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from dnslb.metrics.exposition import Histogram

SYNC_MS_BOUNDS = tuple(20.0 * 2**k for k in range(10))
"""Of the original's histograms, in milliseconds."""
SECONDS_BOUNDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0)


def _sync_ms(name: str, text: str) -> Histogram:
    return Histogram(name, text, SYNC_MS_BOUNDS)


@dataclass
class Counters:
    """``etcd_errors``, ``kubernetes_errors``: failed reads and writes there. ``faults``: exceptions
    caught at an edge that should not have been raised. ``stalled_s_max``: the longest stall of the
    event loop. ``refused``: clients not served, by (listener, reason)."""

    etcd_errors: int = 0
    kubernetes_errors: int = 0
    faults: int = 0
    stalled_s_max: float = 0.0
    reloads: int = 0
    reloads_refused: int = 0
    refused: Counter[tuple[str, str]] = field(default_factory=Counter)
    dns_sync_ms: Histogram = field(
        default_factory=lambda: _sync_ms(
            "dnscontroller_dns_sync_time", "Time that a write to the provider takes, in ms."
        )
    )
    etcd_sync_ms: Histogram = field(
        default_factory=lambda: _sync_ms(
            "etcdcontroller_etcd_sync_time", "Time that reading statuses from etcd takes, in ms."
        )
    )
    etcd_monitor_sync_ms: Histogram = field(
        default_factory=lambda: _sync_ms(
            "etcdcontroller_etcd_monitor_sync_time",
            "Time that writing the monitor list to etcd takes, in ms.",
        )
    )
    decided_to_applied_s: Histogram = field(
        default_factory=lambda: Histogram(
            "dnslb_decision_to_applied_seconds",
            "Time from a decision to the provider's acceptance of it.",
            SECONDS_BOUNDS,
        )
    )

    applied_to_published_s: Histogram = field(
        default_factory=lambda: Histogram(
            "dnslb_applied_to_published_seconds",
            "Time from the provider's acceptance of a change until all servers answer it.",
            SECONDS_BOUNDS,
        )
    )

    def count_etcd_error(self) -> None:
        """A reading or writing at etcd failed."""
        self.etcd_errors += 1

    def count_stall(self, stalled_s: float) -> None:
        """The event loop stood still for so long; the controller counts how often."""
        self.stalled_s_max = max(self.stalled_s_max, stalled_s)
