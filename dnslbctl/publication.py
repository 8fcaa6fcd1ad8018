"""Below the table of changes: what those wait for that are applied and not published.

Pure: answers of the daemon → lines of text. Says nothing where nothing waits.
"""

from __future__ import annotations

from dnslbctl.output import paragraph, since

TYPE_CHECKING = False
if TYPE_CHECKING:  # importing typing would cost as much as Python itself
    from collections.abc import Sequence

    from dnslb.api import messages
    from dnslbctl.output import Terminal


def waiting_lines(
    changes: Sequence[messages.Change],
    zones: Sequence[messages.Zone],
    at: str,
    terminal: Terminal,
) -> list[str]:
    """A sentence for each server that lags, or for each zone of which nobody can say."""
    applied = {change["zone"] for change in changes if change["state"] == "applied"}
    sentences = [
        sentence for zone in zones if zone["name"] in applied for sentence in _of_zone(zone, at)
    ]
    lines = [line for sentence in sentences for line in paragraph(sentence, terminal)]
    return ["", *lines] if lines else []


def _of_zone(zone: messages.Zone, at: str) -> list[str]:
    name = zone["name"]
    if zone["unverified"]:
        return [f"{name}: applied, and not verified: {zone['unverified']}"]
    return [f"{name}: {_of_server(lag, at)}" for lag in zone["lagging"]] + [
        f"{name}: not asked: {server}" for server in zone["unasked"] if zone["lagging"]
    ]


def _of_server(lag: messages.LaggingServer, at: str) -> str:
    names = ", ".join(lag["names"])
    if (more := lag["count"] - len(lag["names"])) > 0:
        names += f" and {more:,} more"
    how = "not seen" if lag["silent"] else "missing"
    return f"{lag['server']} {lag['sentence']}; {how} there for {since(lag['since'], at)}: {names}"
