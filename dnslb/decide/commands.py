"""What operators ask for: judged by the live state, refused with the arithmetic, or recorded.

A command becomes state changes to commit, or a refusal; nothing is in force before the commit
is. Runs on the lease holder only.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from dnslb.decide import reason
from dnslb.decide.balancer import Balancer
from dnslb.decide.held import HeldChange
from dnslb.errors import CommandRefused, InvalidValue
from dnslb.model.checkpoint import Owned, Precedent, PutInForce, StateChange
from dnslb.model.command import Command
from dnslb.model.instant import Now
from dnslb.model.loadbalancer import Endpoint
from dnslb.model.names import to_name
from dnslb.model.operator import (
    ANY_SCOPE,
    Approval,
    Approve,
    ClearOverrides,
    ClearPauses,
    Drop,
    OperatorState,
    Override,
    OverrideKind,
    Pause,
    RequestDeletion,
    SetOverrides,
    SetPause,
)
from dnslb.model.rrset import RRsetKey

REASON_LENGTH_MAX = 200
OVERRIDES_MAX = 10_000
Target = tuple[Balancer, Endpoint]


@dataclass(frozen=True, slots=True)
class Sight:
    """What a command needs to see of the controller; nothing here is changed. ``in_force_with``:
    what is in force once our configuration of these names is."""

    balancers: Mapping[str, Balancer]
    zones: frozenset[str]
    operator: OperatorState
    held: Mapping[str, HeldChange]
    owned: Mapping[RRsetKey, Owned]
    in_force_with: Callable[[Iterable[str]], Precedent]


@dataclass(frozen=True, slots=True)
class Accepted:
    """Changes to commit, the sentence once they are, and what they concern. ``forget``: names
    that are to be ours no longer. ``reread``: zones to be read again, or
    load balancers in them."""

    changes: tuple[StateChange, ...]
    sentence: str
    lbs: tuple[str, ...] = ()
    addresses: tuple[str, ...] = ()
    forget: tuple[str, ...] = ()
    reread: frozenset[str] = frozenset()


def judge(command: Command, sight: Sight, now: Now) -> Accepted:
    """Raises `CommandRefused` with the sentence for the operator."""
    try:
        return _judge(command, sight, now)
    except InvalidValue as e:
        raise CommandRefused(str(e)) from e


def _judge(command: Command, sight: Sight, now: Now) -> Accepted:
    if len(command.reason) > REASON_LENGTH_MAX:
        raise CommandRefused(f"the reason is longer than {REASON_LENGTH_MAX} characters")
    if command.expires_wall is not None and command.expires_wall <= now.wall:
        raise CommandRefused("the given end is in the past")
    match command.kind:
        case "drain" | "force-up" | "force-down":
            return _override(command, command.kind, sight, now)
        case "clear":
            return _clear(command, sight)
        case "pause":
            return _pause(command, sight, now)
        case "resume":
            return _resume(command, sight)
        case "approve":
            return _approve(command, sight, now)
        case "drop":
            return _drop(command, sight, now)
        case "release":
            return _release(command, sight, now)
        case "sync":
            return _sync(command, sight)


def targets(command: Command, sight: Sight) -> list[Target]:
    """Every endpoint that the command's subject means, over all load balancers or ``--lb``."""
    if len(command.subjects) != 1:
        raise CommandRefused("exactly one endpoint was expected")
    wanted = command.subjects[0]
    lbs = sight.balancers
    if command.lb is not None:
        name = to_name(command.lb)
        if name not in lbs:
            raise CommandRefused(f"there is no load balancer {name}; see dnslbctl endpoints")
        lbs = {name: lbs[name]}
    found = [
        (balancer, endpoint)
        for _, balancer in sorted(lbs.items())
        for endpoint in balancer.lb.endpoints
        if endpoint.is_called(wanted)
    ]
    if not found:
        where = f" in {command.lb}" if command.lb else ""
        raise CommandRefused(f"no endpoint{where} is called {wanted}; see dnslbctl endpoints")
    return found


def _override(command: Command, kind: OverrideKind, sight: Sight, now: Now) -> Accepted:
    if not command.reason.strip():
        raise CommandRefused(f"{kind} needs a reason, so that others know why (--reason)")
    found = targets(command, sight)
    if len(sight.operator.overrides) + len(found) > OVERRIDES_MAX:
        raise CommandRefused(f"more than {OVERRIDES_MAX} overrides; clear some first")
    if kind == "drain":
        for balancer in {b.lb.name: b for b, _ in found}.values():
            _check_drain(balancer, [e for b, e in found if b is balancer], command.insist)
    overrides = tuple(
        Override(
            balancer.lb.name,
            endpoint.id,
            kind,
            command.reason.strip(),
            command.by,
            now.wall,
            command.expires_wall,
        )
        for balancer, endpoint in found
    )
    what = {"drain": "drained", "force-up": "forced up", "force-down": "forced down"}[kind]
    until = "" if command.expires_wall is None else f" until {reason.instant(command.expires_wall)}"
    labels = reason.listed([f"{e.spoken} in {b.lb.name}" for b, e in found])
    return Accepted(
        (SetOverrides(overrides),), f"{labels} {_is(found)} {what}{until}", *_concerned(found)
    )


def _is(found: list[Target]) -> str:
    return "is" if len(found) == 1 else "are"


def _concerned(found: list[Target]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    lbs = tuple(dict.fromkeys(b.lb.name for b, _ in found))
    return lbs, tuple(dict.fromkeys(e.address for _, e in found))


def _check_drain(balancer: Balancer, endpoints: list[Endpoint], insist: bool) -> None:
    """Refuses a drain that leaves too few living endpoints, with the arithmetic."""
    lb = balancer.lb
    leaving = {e.address for e in endpoints}
    living_now = balancer.living
    losing = living_now & leaving
    if not losing:
        if set(balancer.desired.addresses) <= leaving and balancer.desired.addresses:
            raise CommandRefused(
                f"{lb.name} would be left without any published address; not even --yes does that"
            )
        return
    remain = len(living_now - leaving)
    if remain == 0:
        raise CommandRefused(
            f"{reason.listed(sorted(losing))} is the last living endpoint of {lb.name} "
            f"({len(living_now)} living - {len(losing)} drained = 0); not even --yes drains it"
        )
    if remain < lb.policy.min_published and not insist:
        raise CommandRefused(
            f"{lb.name} would keep {remain} living of {len(living_now)}, and min-published is "
            f"{lb.policy.min_published}; --yes drains it all the same"
        )


def _clear(command: Command, sight: Sight) -> Accepted:
    """Ends overrides, also of endpoints and load balancers that have left the configuration."""
    if len(command.subjects) != 1:
        raise CommandRefused("exactly one endpoint was expected")
    wanted = command.subjects[0]
    lb = None if command.lb is None else to_name(command.lb)
    found = []
    for name, id_ in sorted(sight.operator.overrides):
        endpoint = _configured(sight, name, id_) or Endpoint.from_id(id_)
        if lb in (None, name) and endpoint.is_called(wanted):
            found.append((name, endpoint))
    if not found:
        where = f" in {lb}" if lb else ""
        raise CommandRefused(f"nothing overrides {wanted}{where}; see dnslbctl overrides")
    keys = tuple((name, endpoint.id) for name, endpoint in found)
    labels = reason.listed([f"{endpoint.spoken} in {name}" for name, endpoint in found])
    sentence = f"{labels} {'is' if len(found) == 1 else 'are'} judged by the agents again"
    lbs = tuple(dict.fromkeys(name for name, _ in found))
    addresses = tuple(dict.fromkeys(endpoint.address for _, endpoint in found))
    return Accepted((ClearOverrides(keys),), sentence, lbs, addresses)


def _configured(sight: Sight, lb: str, id_: str) -> Endpoint | None:
    balancer = sight.balancers.get(lb)
    endpoints = balancer.lb.endpoints if balancer is not None else ()
    return next((endpoint for endpoint in endpoints if endpoint.id == id_), None)


def _scope(command: Command, sight: Sight) -> str:
    if not command.subjects:
        return ANY_SCOPE
    if len(command.subjects) != 1:
        raise CommandRefused("one load balancer or zone was expected, or none for everything")
    return _known(command.subjects[0], sight)


def _sync(command: Command, sight: Sight) -> Accepted:
    names = sorted({_known(subject, sight) for subject in command.subjects})
    what, verb = reason.listed(names), "is" if len(names) == 1 else "are"
    if not names:
        names, what, verb = [*sight.balancers, *sight.zones], "all zones", "are"
    return Accepted((), f"{what} {verb} being read and compared", reread=frozenset(names))


def _known(subject: str, sight: Sight) -> str:
    name = to_name(subject)
    if name not in sight.balancers and name not in sight.zones:
        raise CommandRefused(f"{name} is neither a load balancer nor a zone of dnslb")
    return name


def _pause(command: Command, sight: Sight, now: Now) -> Accepted:
    if not command.reason.strip():
        raise CommandRefused("pause needs a reason, so that others know why (--reason)")
    scope = _scope(command, sight)
    text = command.reason.strip()
    pause = Pause(scope, text, command.by, now.wall, command.expires_wall)
    where = scope or "everything"
    until = "" if command.expires_wall is None else f" until {reason.instant(command.expires_wall)}"
    sentence = f"changes of {where} are paused{until}; nothing is written"
    return Accepted((SetPause(pause),), sentence)


def _resume(command: Command, sight: Sight) -> Accepted:
    pauses = sight.operator.pauses
    if not pauses:
        raise CommandRefused("nothing is paused")
    if not command.subjects:
        scopes = tuple(pauses)
    else:
        scope = to_name(command.subjects[0])
        if scope not in pauses:
            known = reason.listed([s or "everything" for s in pauses])
            raise CommandRefused(f"{scope} is not paused; paused: {known}")
        scopes = (scope,)
    what = reason.listed([s or "everything" for s in scopes])
    return Accepted((ClearPauses(scopes),), f"changes of {what} go on")


def _held(command: Command, sight: Sight) -> list[HeldChange]:
    if not command.subjects:
        raise CommandRefused("the id of a held change was expected; see dnslbctl changes")
    found = []
    for id_ in dict.fromkeys(command.subjects):
        held = sight.held.get(id_)
        if held is None:
            raise CommandRefused(
                f"{id_} is not the id of a change that is held now; it may have changed "
                "meanwhile: look at dnslbctl changes again"
            )
        found.append(held)
    return found


def _approve(command: Command, sight: Sight, now: Now) -> Accepted:
    found = _held(command, sight)
    ours = [h.lb for h in found if h.kind == "configuration"]
    others = [h for h in found if h.kind != "configuration"]
    changes: list[StateChange] = []
    if others:
        changes.append(Approve(tuple(Approval(h.id, command.by, now.wall) for h in others)))
    if ours:
        changes.append(PutInForce(sight.in_force_with(ours)))
    names = [f"the configuration of {lb}" for lb in ours] + [f"{h.key}" for h in others]
    return Accepted(
        tuple(changes),
        f"approved: {reason.listed(names)}",
        tuple(dict.fromkeys(h.lb for h in found)),
        tuple(dict.fromkeys(a for h in found for a in sorted(h.addresses))),
    )


def _drop(command: Command, sight: Sight, now: Now) -> Accepted:
    found = _held(command, sight)
    drops = tuple(Approval(h.id, command.by, now.wall) for h in found)
    names = reason.listed([f"{h.key}" for h in found])
    return Accepted((Drop(drops),), f"left as it is in DNS: {names}")


def _release(command: Command, sight: Sight, now: Now) -> Accepted:
    if len(command.subjects) != 1:
        raise CommandRefused("the name of one released load balancer was expected")
    name = to_name(command.subjects[0])
    if name in sight.balancers:
        raise CommandRefused(f"{name} is still configured; take it out of the configuration first")
    if not any(key.name == name for key in sight.owned):
        raise CommandRefused(f"{name} is not a name that dnslb ever wrote")
    if command.delete:
        request = RequestDeletion(name, Approval(name, command.by, now.wall))
        return Accepted((request,), f"the records of {name} are being deleted", (name,))
    sentence = f"{name} is not dnslb's any more; its records stay as they are"
    return Accepted((), sentence, forget=(name,))
