"""What became of an operator's command: is it through yet, and what stands in DNS now? Pure.

Compares two pictures, the one before the command and the newest; knows nothing of how a command
is carried out.

Law: every address that the command names gets a sentence, and none says "left" or "entered"
before the provider accepted it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from dnslb.decide.intents import Answer
from dnslb.model.command import Command
from dnslb.model.operator import ANY_SCOPE
from dnslb.model.status import ChangeView, LoadBalancerView, Status, ZoneView

Published = Mapping[str, tuple[str, ...] | None]
"""Load balancer → the addresses in DNS; None while that is not known."""


def published_of(status: Status) -> Published:
    return {name: view.published for name, view in status.loadbalancers.items()}


def is_settled(status: Status, command: Command, answer: Answer, since_wall: float) -> bool:
    """Whether waiting longer would tell the operator nothing new."""
    if command.kind == "pause":
        scope = command.subjects[0] if command.subjects else ANY_SCOPE
        return not any(status.zones[zone].in_flight for zone in _zones_of(status, scope))
    if command.kind == "sync":
        zones = [status.zones[name] for name in _synced(status, command)]
        return all(_is_compared(zone, since_wall) for zone in zones)
    if command.kind == "release" and command.delete:
        return not any(name in status.released for name in answer.lbs)
    return all(_why_not(status, name) != _UNDER_WAY for name in answer.lbs)


def sentences(
    before: Published, status: Status, command: Command, answer: Answer
) -> tuple[str, ...]:
    """One for each address that the command names, by load balancer."""
    if command.kind == "pause":
        if not is_settled(status, command, answer, 0.0):
            return ("a write that had begun before is still under way",)
        return ()
    if command.kind == "sync":
        return tuple(_of_zone(status.zones[name]) for name in _synced(status, command))
    if command.kind == "resume":
        return tuple(_of_resumed(status))
    if command.kind == "release":
        gone = [name for name in answer.lbs if name not in status.released]
        waiting = [name for name in answer.lbs if name in status.released]
        return (
            *(f"the records of {name} are gone" for name in gone),
            *(f"the records of {name} still stand{_because(status, name)}" for name in waiting),
        )
    return tuple(
        sentence
        for name in answer.lbs
        for address in answer.addresses
        if (sentence := _of_address(before, status, name, address)) is not None
    )


# ---------------------------------------------------------------------------------- addresses

_UNDER_WAY = "the change is under way"


def _of_address(before: Published, status: Status, name: str, address: str) -> str | None:
    view = status.loadbalancers.get(name)
    if view is None or not any(e.endpoint.address == address for e in view.endpoints):
        return None
    if view.published is None:
        return f"what is published at {name} is not known yet{_because(status, name)}"
    was, wanted = address in (before.get(name) or ()), address in view.desired
    if address in view.published:
        if not wanted:
            return f"{address} is still published at {name}{_because(status, name)}"
        return f"{address} {'stays in' if was else 'entered'} DNS at {name}"
    if wanted:
        return f"{address} is not yet published at {name}{_because(status, name)}"
    if was:
        return f"{address} left DNS at {name}"
    return f"{address} is not published at {name}: {_reason(view, address)}"


def _reason(view: LoadBalancerView, address: str) -> str:
    mine = [e.reason for e in view.endpoints if e.endpoint.address == address]
    return mine[0] if mine else view.sentence


def _because(status: Status, name: str) -> str:
    why = _why_not(status, name)
    return f": {why}" if why else ""


def _why_not(status: Status, name: str) -> str | None:
    """Why DNS is not as wanted at ``name``; None when it is."""
    view = status.loadbalancers.get(name)
    if view is None:
        return None
    if view.published is not None and set(view.published) == set(view.desired):
        return None
    if view.frozen is not None:
        return f"the load balancer is frozen: {view.frozen}"
    for pause in (status.operator.pauses.get(s) for s in (ANY_SCOPE, view.zone or "", name)):
        if pause is not None:
            return f"paused by {pause.by}: {pause.reason}"
    change = _open_change(status, name)
    if change is not None and change.state == "held":
        return f"held as {change.id} until a person decides: {change.reason}"
    zone = status.zones.get(view.zone or "")
    if zone is not None and zone.error is not None and name in (zone.refused or (name,)):
        return f"zone {zone.name}: {zone.error}"
    if change is not None and change.state == "failed":
        return change.error or "the write failed"
    if status.gate is not None:
        return status.gate
    if view.zone is None:
        return "no zone is known for it"
    return _UNDER_WAY


def _open_change(status: Status, name: str) -> ChangeView | None:
    mine = [change for change in status.changes if change.key.name == name]
    for state in ("held", "failed"):
        newest = [change for change in mine if change.state == state]
        if newest:
            return max(newest, key=lambda change: change.created_wall)
    return None


# -------------------------------------------------------------------------------------- zones


def _synced(status: Status, command: Command) -> list[str]:
    return sorted({zone for s in command.subjects or ("",) for zone in _zones_of(status, s)})


def _is_compared(zone: ZoneView, since_wall: float) -> bool:
    """What failed before the command was given says nothing of what it did."""
    if (zone.failed_wall or 0.0) >= since_wall:
        return True
    is_read = (zone.last_read_wall or 0.0) >= since_wall
    return is_read and (zone.error is None or zone.blocked is not None)


def _zones_of(status: Status, subject: str) -> list[str]:
    """The zones that a name means, of itself or of a load balancer; all for an empty one."""
    scope = subject.rstrip(".").lower()
    if scope == ANY_SCOPE:
        return list(status.zones)
    if scope in status.zones:
        return [scope]
    view = status.loadbalancers.get(scope)
    zone = view.zone if view is not None else None
    return [zone] if zone is not None and zone in status.zones else []


def _of_zone(zone: ZoneView) -> str:
    if zone.error is not None:
        return f"zone {zone.name}: {zone.error}"
    return f"zone {zone.name} was read and compared"


def _of_resumed(status: Status) -> Iterable[str]:
    """What will be written now that the pause is over."""
    for change in status.changes:
        if change.state in ("pending", "applying"):
            after = ", ".join(change.after) or "nothing"
            yield f"{change.key} will be {after}: {change.reason}"
