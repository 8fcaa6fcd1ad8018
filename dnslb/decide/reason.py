"""The sentences for operators: what was decided, from which facts, and why. Words only."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from dnslb.decide.agents import Witnesses
from dnslb.model.operator import Override
from dnslb.model.publication import Lag
from dnslb.model.verdict import Verdict

_ORDER_LENGTH_MAX = 120
_ORDERS_TOLD = 3
_VERBS = {"drain": "drained", "force-up": "forced up", "force-down": "forced down"}


def verdict(seen: Verdict, index: int, witnesses: Witnesses) -> str:
    """``2 of 3 agents say down (connection refused)``."""
    total = seen.ups + seen.downs + seen.unknowns
    if total == 0:
        return "no agents are configured, so nothing is known"
    if seen.state == "up":
        return f"{seen.ups} of {total} agents say up"
    if seen.state == "down":
        text = f"{seen.downs} of {total} agents say down"
        message = witnesses.why_down(index)
        return f"{text} ({message})" if message else text
    return (
        f"{seen.ups} up, {seen.downs} down, {seen.unknowns} silent of {total} agents: "
        f"more than half must agree, so nothing changes"
    )


def endpoint(
    seen: Verdict,
    index: int,
    witnesses: Witnesses,
    override: Override | None,
    waiting_s: float | None,
    flaps: int,
) -> str:
    """The whole story of one endpoint in one sentence, free of ages that would change it.

    ``waiting_s``: how long the verdict must stand before it counts, where it does not yet.
    """
    text = verdict(seen, index, witnesses)
    if override is not None:
        return f"{spoken(override)}; {text}"
    if waiting_s is not None:
        text += f"; it counts as {'living' if seen.state == 'up' else 'dead'} after {waiting_s:g} s"
        if flaps and seen.state == "up":
            text += f" ({plural(flaps, 'recent flap')})"
    return text


def spoken(override: Override) -> str:
    """``drained by kim: disk swap``."""
    text = f"{_VERBS[override.kind]} by {override.by}: {override.reason}"
    if override.expires_wall is not None:
        text += f" (until {instant(override.expires_wall)})"
    return text


def ordered(override: Override, *, ended: bool = False) -> str:
    """``drained by kim: disk swap``, of bounded length; ``ended``: it holds no more."""
    text = f"{_VERBS[override.kind]} by {override.by}: {override.reason}"
    text = text if len(text) <= _ORDER_LENGTH_MAX else f"{text[: _ORDER_LENGTH_MAX - 1]}…"
    return f"no longer {text}" if ended else text


def by_orders(orders: Mapping[str, str], changed: int, why: str) -> str:
    """``drained by kim: disk swap; 1 of 2 addresses live``; each order once. ``orders``: by
    address; those of them are named where not all of the ``changed`` addresses have the same."""
    addresses: dict[str, list[str]] = {}
    for address, text in orders.items():
        addresses.setdefault(text, []).append(address)
    shared = len(addresses) == 1 and len(orders) == changed
    told = [text if shared else f"{listed(of, 3)} {text}" for text, of in addresses.items()]
    more = len(told) - _ORDERS_TOLD
    return "; ".join(
        [*told[:_ORDERS_TOLD], *([plural(more, "more order")] if more > 0 else []), why]
    )


def change(added: Sequence[str], withdrawn: Sequence[str], why: str) -> str:
    """``adds 192.0.2.1, withdraws 192.0.2.2: 1 of 2 addresses live``."""
    parts = []
    if added:
        parts.append(f"adds {listed(added)}")
    if withdrawn:
        parts.append(f"withdraws {listed(withdrawn)}")
    return f"{', '.join(parts) or 'sets the TTL'}: {why}"


def of_lag(lag: Lag) -> str:
    """``ns2.example.org (192.0.2.53) answers 192.0.2.2 (TTL 60) for www.example.org A; missing
    there: www.example.org A, expected since ...``."""
    names = listed(lag.names, len(lag.names))
    if lag.count > len(lag.names):
        names += f" and {lag.count - len(lag.names)} more"
    since = f"expected since {instant(lag.since_wall)}"
    if lag.silent:
        return f"{lag.server} {lag.sentence}, so nobody knows whether it has {names}, {since}"
    return f"{lag.server} {lag.sentence}; missing there: {names}, {since}"


def listed(values: Sequence[str], most: int = 6) -> str:
    """At most ``most`` values by name, the rest as a number."""
    if len(values) <= most:
        return ", ".join(values) if values else "nothing"
    return f"{', '.join(values[:most])} and {len(values) - most} more"


def plural(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def instant(wall: float) -> str:
    """RFC 3339 in UTC, to the second."""
    return datetime.fromtimestamp(wall, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
