"""The one line about a daemon that its supervisor shows, as in ``systemctl status``.

Not how it gets there (`dnslb.net.sdnotify`), and no substitute for ``dnslbctl status``, which
knows the cluster, too. Pure but for reading the instance.
"""

from __future__ import annotations

from dnslb.daemon.instance import Instance
from dnslb.decide import reason
from dnslb.model.status import Status


def described(instance: Instance) -> str:
    """What the instance is doing at this moment."""
    if not instance.ready.is_set():
        return "starting"
    if instance.operations.stopping:
        return "stopping"
    return sentence(instance.status.value)


def sentence(status: Status) -> str:
    """Whether it writes, how its load balancers are, and the worst thing that needs a person."""
    writes = "may not write" if status.lease is None else "may write"
    lbs = status.loadbalancers.values()
    healthy = sum(lb.state == "healthy" for lb in lbs)
    text = "dry run" if status.dry_run else writes
    text += f"; {reason.plural(len(lbs), 'load balancer')}, {healthy} healthy"
    if status.gate is not None:
        text += f"; nothing is written yet: {status.gate}"
    for severity in ("critical", "warning"):
        rows = [row for row in status.attention if row.severity == severity]
        if rows:
            text += f"; {len(rows)} {severity}: {rows[0].sentence}"
            break
    return text
