"""What this version does not have yet, in one table: a row leaves it when its part is built.

What stands here is still read and checked like everything else.
"""

from __future__ import annotations

from dnslb.daemon import flags
from dnslb.daemon.layers import Values
from dnslb.daemon.problems import Findings

NOT_YET: tuple[tuple[str, str], ...] = (("election", "k8s"),)
"""(flag, value); an empty value stands for any."""


def check_availability(values: Values, findings: Findings) -> None:
    """One sentence for each wish that this version cannot fulfil."""
    for name, value in NOT_YET:
        flag = flags.BY_NAME[name]
        wanted = values[flag]
        if not wanted or (value and wanted != value):
            continue
        what = f"{flag.name} {value}".strip()
        findings.error(values.place(flag), f"{what} is not in this version yet")
