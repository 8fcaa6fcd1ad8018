"""The process in which an octoDNS provider class runs: one pass, then it ends.

`octodns_process` starts it and speaks with it as `octodns_wire` says. How zones are understood
and compared is in `octodns_zone`, how foreign exceptions are in `octodns_foreign`.

Law: nothing is written before both words, "look" and "write", have come; what is written is the
class's own plan less all that is not ours. Each reading is by a fresh instance of the class,
since many keep what they once read. A zone that is not positively there is never empty.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from dnslb.errors import (
    DnslbError,
    InvalidValue,
    ProviderConflict,
    ProviderRefusal,
)
from dnslb.model.names import to_name
from dnslb.model.rrset import RRset, RRsetKey
from dnslb.providers import marker
from dnslb.providers.octodns_channel import Channel, settle
from dnslb.providers.octodns_foreign import (
    Foreign,
    construct,
    foreign,
    load_class,
    to_failed,
    writer_of,
)
from dnslb.providers.octodns_manner import check_manner
from dnslb.providers.octodns_wire import (
    Answer,
    Failed,
    ListZones,
    Marker,
    Planned,
    ProviderClass,
    ReadMarker,
    Ready,
    ReadZone,
    Stands,
    Swap,
    TakeMarker,
    Task,
    Word,
    WriteZone,
    Zones,
)
from dnslb.providers.octodns_zone import (
    Content,
    absolute,
    compare,
    look,
    marker_key,
    outcome,
    relative,
    values_of,
)

INSTANCE_ID = "dnslb"
MARKER_TTL_S = 300
READ_S_MAX = 55
LOOK_S_MAX = 20
APPLY_S_MAX = 15
"""Whole seconds until the kernel ends the pass; the last begins with the word "write"."""
UPDATES_SHARE_MAX = 1.0
"""Of a zone's RRsets, those that one plan may change: all, since after the filter all of them are
ours, and dnslb's own guard has judged. octoDNS's 30 % would stop a failover of many names."""


class Counterpart(Protocol):
    """What a pass needs of the `Channel`."""

    def say(self, answer: Answer) -> None: ...

    def wait_word(self, word: Word, limit_s: int) -> None: ...

    def end_after(self, seconds: int) -> None: ...


class Pass:
    """One task for one class. Raises `DnslbError` and `Foreign`."""

    def __init__(self, provider: ProviderClass, channel: Counterpart) -> None:
        self._settings = provider.settings
        self._name = provider.name
        self._channel = channel
        self._class = load_class(provider.name)
        check_manner(provider.name, writer_of(self._class), provider.settings, provider.accepted)

    def run(self, task: Task) -> Answer:
        match task:
            case ListZones():
                return self._list_zones()
            case ReadZone():
                content = self._look(self._instance(), task.zone, task.names)[1]
                rrsets = tuple(r for r in content.rrsets.values() if r.key.name in task.names)
                return Stands(rrsets, dict(content.cnames), content.total)
            case WriteZone():
                return self._write(task)
            case ReadMarker():
                return Marker(self._look(self._instance(), task.zone, ())[1].held_token())
            case TakeMarker():
                return self._take_marker(task)

    def _instance(self) -> Any:
        return construct(self._class, self._name, INSTANCE_ID, self._settings)

    # ------------------------------------------------------------------------------- reading

    def _list_zones(self) -> Zones:
        return Zones(frozenset(_names(self._listed(self._instance()))))

    def _listed(self, instance: Any) -> list[str]:
        if not callable(getattr(instance, "list_zones", None)):
            raise ProviderRefusal(
                f"{self._name} cannot say which zones it has: name them by "
                'dnslb-zones = ["example.org"] in [octodns].'
            )
        with foreign(f"{self._name} could not list its zones"):
            return [str(zone) for zone in instance.list_zones()]

    def _look(self, instance: Any, zone: str, names: Collection[str]) -> tuple[Any, Content]:
        """The zone as octoDNS has it, and what it says. Raises unless it is positively there."""
        from octodns.zone import Zone  # noqa: PLC0415 - lazy: it may not be installed

        populated = Zone(f"{zone}.", [])
        with foreign(f"{self._name} could not read {zone}"):
            says = instance.populate(populated, target=True, lenient=True)
            content = look(populated, zone, names)
            is_there = populated.root_ns is not None if says is None else bool(says)
        if says is None and not is_there:
            # Classes from before `populate` had a result say nothing either way.
            is_there = zone in _names(self._listed(instance))
        if not is_there:
            raise ProviderRefusal(
                f"{self._name} does not show a zone {zone}: it was deleted, or these credentials "
                "may not see it. Nothing is concluded from that, and nothing is written."
            )
        return populated, content

    # ------------------------------------------------------------------------------- writing

    def _write(self, task: WriteZone) -> Stands:
        names = {swap.key.name for swap in task.swaps}
        self._check(self._look(self._instance(), task.zone, names)[1], task)
        self._channel.say(Ready())
        self._channel.wait_word("look", LOOK_S_MAX)
        instance = self._instance()
        populated, content = self._look(instance, task.zone, names)
        self._check(content, task)
        plan = self._plan(instance, populated, content, task.swaps)
        self._channel.say(Planned())
        self._channel.wait_word("write", APPLY_S_MAX)
        self._apply(instance, task.zone, plan)
        after = self._look_again(task.zone, names)
        rrsets, notices = outcome(after, task.swaps)
        if task.token is not None:
            marker.check_write(task.zone, after.held_token(), task.token)
        return Stands(rrsets, total=after.total, notices=notices)

    def _check(self, content: Content, task: WriteZone) -> None:
        if task.token is not None:
            marker.check_write(task.zone, content.held_token(), task.token)
        compare(content, task.swaps)

    def _apply(self, instance: Any, zone: str, plan: Any | None) -> None:
        if plan is None:
            return
        with foreign(f"{self._name} failed while it changed {zone}", writes=True):
            instance.apply(plan)

    def _look_again(self, zone: str, names: Collection[str]) -> Content:
        self._channel.end_after(READ_S_MAX)
        try:
            return self._look(self._instance(), zone, names)[1]
        except (DnslbError, Foreign) as error:
            detail = error.failed.detail if isinstance(error, Foreign) else ""
            sentence = f"The change of {zone} was accepted, and could not be read back: {error}"
            raise Foreign(Failed("unknown", sentence, detail)) from error

    def _plan(
        self, instance: Any, have: Any, content: Content, swaps: Iterable[Swap]
    ) -> Any | None:
        """The class's own plan, less all that is not ours; None when there is nothing to do.
        ``content``: what ``have`` says."""
        from octodns.provider.plan import Plan, UnsafePlan  # noqa: PLC0415 - lazy, as above

        zone = content.zone
        wanted = {swap.key: swap for swap in swaps}
        if getattr(instance, "apply_disabled", False):
            raise ProviderRefusal(f"{self._name} writes nothing: apply_disabled is set for it.")
        with foreign(f"{self._name} could not plan the change of {zone}"):
            whole = instance.plan(self._desired(instance, have, zone, wanted))
        changes = {} if whole is None else _ours(whole.changes, zone, wanted)
        for key, swap in wanted.items():
            _check_change(changes.get(key), swap, content.rrsets.get(key))
        if whole is None or not changes:
            return None
        # What others changed since `have` was read stands in `existing`, and stays.
        desired = whole.existing.copy()
        desired.apply(list(changes.values()))
        share = self._settings.get("update_pcent_threshold", UPDATES_SHARE_MAX)
        plan = Plan(
            whole.existing,
            desired,
            list(changes.values()),
            whole.exists,
            update_pcent_threshold=share,
            delete_pcent_threshold=instance.delete_pcent_threshold,
        )
        try:
            plan.raise_if_unsafe()
        except UnsafePlan as error:
            raise ProviderRefusal(
                f"octoDNS holds the change of {zone} for unsafe ({error}); update_pcent_threshold "
                "and delete_pcent_threshold in [octodns] say how much it lets pass."
            ) from error
        return plan

    def _desired(self, instance: Any, have: Any, zone: str, wanted: dict[RRsetKey, Swap]) -> Any:
        """``have`` with our RRsets exchanged."""
        from octodns.record import Record  # noqa: PLC0415 - lazy, as above

        desired = have.copy()
        present = {_key(record, zone): record for record in have.records}
        for key, swap in wanted.items():
            old = present.get(key)
            if old is not None:
                desired.remove_record(old)
            if swap.after is None:
                continue
            # A class may keep settings of its own with a record, such as Cloudflare's proxying.
            data = dict(old.data) if old is not None else {}
            data.pop("value", None)
            data |= {"type": key.rtype, "ttl": swap.after.ttl, "values": list(swap.after.values)}
            name = relative(key.name, zone)
            record = Record.new(desired, name, data, source=instance, lenient=True)
            desired.add_record(record, lenient=True)
        return desired

    # -------------------------------------------------------------------------------- marker

    def _take_marker(self, task: TakeMarker) -> Marker:
        """Read, write, read. Without a token all that stands there is removed, whatever it is."""
        key, token, zone = marker_key(task.zone), task.token, task.zone
        instance = self._instance()
        populated, content = self._look(instance, zone, ())
        before, after = content.rrsets.get(key), None
        if token is not None:
            marker.check_take(zone, content.held_token(), token, task.over)
            after = RRset(key, MARKER_TTL_S, (marker.to_text(token),))
        elif task.only is not None:
            marker.check_reset(zone, content.held_token(), task.only)
        if (before and before.values) == (after and after.values):
            return Marker(token)
        plan = self._plan(instance, populated, content, [Swap(key, before, after)])
        self._channel.end_after(APPLY_S_MAX)
        self._apply(instance, zone, plan)
        again = self._look_again(zone, ())
        if token is not None:
            marker.check_write(zone, again.held_token(), token)
        elif again.tokens:
            raise ProviderConflict(f"A marker of {zone} came back while it was being removed.")
        return Marker(token)


def _names(zones: Iterable[str]) -> Iterable[str]:
    for zone in zones:
        try:
            yield to_name(zone)
        except InvalidValue:
            # Such as 0/25.2.0.192.in-addr.arpa (RFC 2317): no name of ours lies in it.
            continue


def _key(record: Any, zone: str) -> RRsetKey:
    return RRsetKey(absolute(record.name, zone), str(record._type))


def _ours(changes: Iterable[Any], zone: str, wanted: Collection[RRsetKey]) -> dict[RRsetKey, Any]:
    """A plan is made on a second reading: what others created in between stands in it as to be
    deleted, and what they changed as to be changed back."""
    ours: dict[RRsetKey, Any] = {}
    for change in changes:
        key = _key(change.record, zone)
        if key in wanted and ours.setdefault(key, change) is not change:
            raise ProviderRefusal(f"octoDNS plans two changes of {key}: nothing was written.")
    return ours


def _check_change(change: Any | None, swap: Swap, stands: RRset | None) -> None:
    """Whether the class means to do what ``swap`` says, to what it says."""
    before = None if swap.before is None else swap.before.values
    wanted = None if swap.after is None else swap.after.values
    if change is None:
        if stands is not None and stands.values == wanted:
            return  # only the TTL differs, and the class takes that for its own affair
        raise ProviderRefusal(
            f"octoDNS leaves {swap.key} out of its plan: the class does not support the type, or "
            "the record is marked there to be ignored. Nothing was written."
        )
    if _values(change.existing) != before:
        raise ProviderConflict(f"{swap.key} changed while its change was being planned.")
    if (planned := _values(change.new)) != wanted:
        raise ProviderRefusal(
            f"The class would write {', '.join(planned or ('nothing',))} for {swap.key}, and not "
            f"{', '.join(wanted or ('nothing',))}: nothing was written."
        )


def _values(record: Any | None) -> tuple[str, ...] | None:
    return None if record is None else values_of(record)


def answer(channel: Channel) -> Answer:
    """Carries the request out; whatever goes wrong is an answer, too."""
    try:
        request = channel.receive_request()
        return Pass(request.provider, channel).run(request.task)
    except Foreign as error:
        return error.failed
    except DnslbError as error:
        return to_failed(error)


def main() -> None:
    settle()
    channel = Channel()
    channel.end_after(READ_S_MAX)
    channel.say(answer(channel))
    sys.stdout.flush()
    sys.stderr.flush()
    # Threads that a class left behind may not hold the process.
    os._exit(0)


if __name__ == "__main__":
    main()
