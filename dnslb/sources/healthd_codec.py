"""Monitor lists and statuses as healthd and healthagent write them; bytes in, values out, pure.

Not a receiver: no sockets, no clock, no log. Both ends are here, so that they can only change
together: what dnslb announces and reads, and what `dnslb agent` reads and posts.

Two forms. The *legacy* form is that of the Go programs: a list of ``protocol://ipv4:port``, and
statuses in the order of that list, which name no protocol. The *rich* form is ours: a list of
objects with an id, and statuses that carry it.

Law: a status counts for a monitor only when it can be no other's. Where that is not certain the
vote is unknown, and one agent never casts two votes for one monitor.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, TypeVar

import msgspec

from dnslb.errors import InvalidValue, SourceError
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, MESSAGE_LENGTH_MAX, UNKNOWN, UP, bounded_message

MONITORS_TYPE = "application/vnd.dnslb.monitors+json"
STATUSES_BYTES_MAX = 1_000_000
"""What healthd takes in one POST."""

CONTRADICTION = "this agent's statuses contradict each other"
UNPRINTABLE = "(message left out)"
# Cleaning a message that is not plain costs; this many of one report bound the time it takes.
CLEANED_MAX = 200

_FIELDS = {
    "ip": "IP",
    "port": "Port",
    "healthy": "Healthy",
    "message": "Message",
    "did_change": "DidChange",
}


class Status(msgspec.Struct, gc=False, frozen=True, rename=_FIELDS):
    """One entry of a legacy POST. IP "" and Port 0: its first check has not ended."""

    ip: str
    port: int
    healthy: bool
    message: str = ""
    did_change: bool = False


class RichStatus(msgspec.Struct, gc=False, frozen=True, rename=_FIELDS, omit_defaults=True):
    """One entry of a POST of type `MONITORS_TYPE`."""

    id: str
    ip: str
    port: int
    healthy: bool
    message: str = ""
    did_change: bool = False


class RichMonitor(msgspec.Struct, frozen=True):
    """One entry of a list of type `MONITORS_TYPE`; times in seconds."""

    id: str
    url: str
    interval: float = 1.0
    timeout: float = 1.0
    rise: int = 2
    fall: int = 2
    host: str | None = None
    expect: tuple[int, int] = (200, 299)


AnyStatus = TypeVar("AnyStatus", Status, RichStatus)
Decoded = TypeVar("Decoded")
How = Literal["id", "position", "address"]

_decode_statuses = msgspec.json.Decoder(list[Status]).decode
_decode_rich_statuses = msgspec.json.Decoder(list[RichStatus]).decode
_decode_urls = msgspec.json.Decoder(list[str]).decode
_decode_objects = msgspec.json.Decoder(list[msgspec.Raw]).decode
_decode_rich_monitor = msgspec.json.Decoder(RichMonitor).decode
_encode = msgspec.json.encode

# msgspec's message, such as: Expected `int`, got `str` - at `$[3].Port`
_MESSAGE = re.compile(
    r"(?P<what>.*?)(?: - at `\$(?:\[(?P<index>\d+)\])?\.?(?P<key>[^`]*)`)?", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class Matched:
    """Statuses held against a monitor list: one vote per monitor.

    ``complete``: the agent has checked everything it was given at least once. ``how``: what told
    the monitors apart. ``strangers``: how many statuses are no monitor's of ours.
    """

    votes: bytes
    messages: Mapping[int, str]
    complete: bool
    how: How
    strangers: int = 0


class WireMonitors:
    """One monitor list in both forms, and what statuses mean against it.

    Costs some 30 µs per monitor to make, then it serves as long as the list does.
    """

    def __init__(self, monitors: MonitorList) -> None:
        self.monitors = monitors
        # The legacy list leaves out what old agents cannot parse or would check differently.
        slots = [i for i in monitors.slots if monitors.monitors[i].is_plain]
        plain = [monitors.monitors[i] for i in slots]
        self._slots = slots
        self._ips = [monitor.host for monitor in plain]
        self._ports = [monitor.port for monitor in plain]
        # Every monitor once, in order: then votes need no translation.
        self._is_direct = slots == list(range(len(monitors)))
        self._by_address: dict[tuple[str, int], list[int]] = {}
        for i in dict.fromkeys(slots):
            monitor = monitors.monitors[i]
            self._by_address.setdefault((monitor.host, monitor.port), []).append(i)
        self._is_alone = len(self._by_address) == len(slots)
        """Whether each ip:port has one monitor, so that a place tells no more than it does."""
        self._ids = [monitor.id for monitor in monitors.monitors]
        self._index_by_id = monitors.index_by_id
        self.legacy_body = _encode([monitor.plain_url for monitor in plain])
        self.rich_body = _encode([_to_rich(monitor) for monitor in monitors.monitors])
        self.left_out = tuple(m.url for m in monitors.monitors if not m.is_plain)
        """URLs of the monitors that old agents never see."""

    def match(self, body: bytes, *, rich: bool, trust_position: bool = True) -> Matched:
        """The votes in a POST's body; raises `SourceError` with a sentence that names the place.

        ``trust_position``: this agent is known to have fetched this very list. Without it the
        monitors of a legacy list are told apart by ip:port alone.
        """
        if rich:
            return self._match_ids(_decoded(_decode_rich_statuses, body, "status"))
        statuses = _decoded(_decode_statuses, body, "status")
        if len(statuses) == len(self._slots) and (trust_position or self._is_alone):
            how: How = "position" if trust_position else "address"
            if self._is_direct and self._are_in_order(statuses):
                return _straight(statuses, how)
            if trust_position and self._fits(statuses):
                pairs = zip(self._slots, statuses, strict=True)
                return _tally(pairs, len(self.monitors), how)
        return self._match_addresses(statuses)

    def _are_in_order(self, statuses: list[Status]) -> bool:
        """Whether each status is of the ip:port at its position, and none is blank."""
        return [status.ip for status in statuses] == self._ips and [
            status.port for status in statuses
        ] == self._ports

    def _fits(self, statuses: list[Status]) -> bool:
        """Whether each status is of the ip:port at its position, or blank."""
        return all(
            (status.ip == ip and status.port == port) or _is_blank(status)
            for status, ip, port in zip(statuses, self._ips, self._ports, strict=True)
        )

    def _match_addresses(self, statuses: list[Status]) -> Matched:
        """Every status of an ip:port speaks for each monitor on it; they have to agree."""
        found = [(self._by_address.get((s.ip, s.port), ()), s) for s in statuses]
        pairs = ((i, status) for targets, status in found for i in targets)
        strangers = sum(not targets and not _is_blank(status) for targets, status in found)
        matched = _tally(pairs, len(self.monitors), "address", strangers)
        # A blank status does not say whose it is.
        return replace(matched, complete=not any(map(_is_blank, statuses)))

    def _match_ids(self, statuses: list[RichStatus]) -> Matched:
        ids = [status.id for status in statuses]
        if ids == self._ids and "" not in [status.ip for status in statuses]:
            return _straight(statuses, "id")
        index_by_id = self._index_by_id
        found = [(index_by_id.get(status.id), status) for status in statuses]
        pairs = [(i, status) for i, status in found if i is not None]
        return _tally(pairs, len(self.monitors), "id", len(found) - len(pairs))


def _straight(statuses: Sequence[AnyStatus], how: How) -> Matched:
    """All monitors checked, in their own order: how nearly every report looks."""
    votes = bytes([DOWN - status.healthy for status in statuses])
    dead = [i for i, vote in enumerate(votes) if vote == DOWN] if DOWN in votes else []
    return Matched(votes, _messages((i, statuses[i]) for i in dead), True, how)


def _tally(
    pairs: Iterable[tuple[int, AnyStatus]], count: int, how: How, strangers: int = 0
) -> Matched:
    """One vote per monitor out of (monitor, status); statuses that disagree make it unknown."""
    votes = bytearray(count)
    spoken: dict[int, AnyStatus] = {}
    contradicted: dict[int, str] = {}
    complete = True
    for i, status in pairs:
        if _is_blank(status):
            complete = False
        elif i not in spoken:
            votes[i] = DOWN - status.healthy
            spoken[i] = status
        elif votes[i] != DOWN - status.healthy:
            votes[i] = UNKNOWN
            contradicted[i] = CONTRADICTION
    messages = _messages(spoken.items())
    return Matched(bytes(votes), {**messages, **contradicted}, complete, how, strangers)


def _is_blank(status: Status | RichStatus) -> bool:
    return not status.ip and not status.port


def _messages(statuses: Iterable[tuple[int, AnyStatus]]) -> dict[int, str]:
    """What agents say of what is not well; that a check succeeded needs no words."""
    messages: dict[int, str] = {}
    cleaned = 0
    for i, status in statuses:
        text = status.message
        if status.healthy or not text:
            continue
        if len(text) > MESSAGE_LENGTH_MAX or not text.isprintable() or "  " in text:
            cleaned += 1
            text = bounded_message(text) if cleaned <= CLEANED_MAX else UNPRINTABLE
        messages[i] = text
    return messages


def _to_rich(monitor: Monitor) -> RichMonitor:
    return RichMonitor(
        id=monitor.id,
        url=monitor.url,
        interval=monitor.interval_s,
        timeout=monitor.timeout_s,
        rise=monitor.rise,
        fall=monitor.fall,
        host=monitor.host_header,
        expect=monitor.expect,
    )


@dataclass(frozen=True)
class Announced:
    """A monitor list as an agent got it.

    ``monitors``: those it understands, each once. ``entries``: for each entry of the list the
    index of its monitor, or None where ``problems`` says why not. ``ids``: rich form only.
    """

    rich: bool
    monitors: MonitorList = MonitorList()
    entries: tuple[int | None, ...] = ()
    ids: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()


def read_monitors(body: bytes, *, rich: bool, interval_s: float = 1.0) -> Announced:
    """A fetched list; ``interval_s`` is for the legacy form, which names none.

    One entry that is not understood spoils only itself: it is never checked, so it is no vote.
    Raises `SourceError` when it is no list at all.
    """
    index: dict[Monitor, int] = {}
    entries: list[int | None] = []
    ids: list[str] = []
    problems: list[str] = []
    decoded: Sequence[str | msgspec.Raw] = (
        _decoded(_decode_objects, body, "monitor")
        if rich
        else _decoded(_decode_urls, body, "monitor")
    )
    for number, raw in enumerate(decoded, start=1):
        name = ""
        try:
            if isinstance(raw, str):
                monitor = Monitor.from_url(raw, interval_s=interval_s)
            else:
                item = _decoded(_decode_rich_monitor, raw, "monitor")
                name = item.id
                monitor = _from_rich(item)
        except (InvalidValue, SourceError) as error:
            problems.append(bounded_message(f"monitor {number} is not checked: {error}"))
            entries.append(None)
        else:
            entries.append(index.setdefault(monitor, len(index)))
        ids.append(name)
    monitors = MonitorList(tuple(index), tuple(i for i in entries if i is not None))
    return Announced(rich, monitors, tuple(entries), tuple(ids) if rich else (), tuple(problems))


def _from_rich(item: RichMonitor) -> Monitor:
    return Monitor.from_url(
        item.url,
        interval_s=item.interval,
        timeout_s=item.timeout,
        host_header=item.host,
        expect=item.expect,
        rise=item.rise,
        fall=item.fall,
    )


def write_statuses(
    announced: Announced,
    votes: bytes,
    messages: Mapping[int, str],
    *,
    changed: Container[int] = (),
    complete: bool = False,
) -> bytes:
    """The body to POST: one status per entry of the list, in its form and order.

    ``votes`` and ``messages`` go by ``announced.monitors``. ``changed``: indices whose vote is
    another than in the last POST. An unknown vote is a blank status: not checked yet. When all
    was checked (``complete``) and the vote is unknown all the same, the rich form leaves it out.
    """
    body = b""
    for message_length_max in (MESSAGE_LENGTH_MAX, 60, 0):
        statuses = [
            _to_status(announced, slot, i, votes, messages, changed, message_length_max)
            for slot, i in enumerate(announced.entries)
            # In the legacy form the place counts: there is no leaving out.
            if not announced.rich or (i is not None and not (complete and votes[i] == UNKNOWN))
        ]
        body = _encode(statuses)
        # A mass failure has many messages: it must not become too large to be told.
        if len(body) <= STATUSES_BYTES_MAX:
            break
    return body


def _to_status(
    announced: Announced,
    slot: int,
    i: int | None,
    votes: bytes,
    messages: Mapping[int, str],
    changed: Container[int],
    message_length_max: int,
) -> Status | RichStatus:
    ip, port, healthy, message = "", 0, False, ""
    if i is not None and votes[i] != UNKNOWN:
        monitor = announced.monitors.monitors[i]
        ip, port, healthy = monitor.host, monitor.port, votes[i] == UP
        message = messages.get(i, "")[:message_length_max]
        if healthy and not announced.rich:
            message = "unknown" if monitor.protocol == "none" else "success"
    did_change = i in changed
    if announced.rich:
        return RichStatus(announced.ids[slot], ip, port, healthy, message, did_change)
    return Status(ip, port, healthy, message, did_change)


def _decoded(decode: Callable[[bytes], Decoded], body: bytes, noun: str) -> Decoded:
    """Translates what msgspec raises into a sentence that counts entries from one."""
    try:
        return decode(body)
    except RecursionError as error:
        raise SourceError(f"the list of {noun} entries is nested too deep") from error
    except UnicodeDecodeError as error:
        raise SourceError(f"byte {error.start} of a text is no UTF-8") from error
    except msgspec.DecodeError as error:
        match = _MESSAGE.fullmatch(str(error))
        assert match is not None
        what = match["what"].replace("`", "")
        if what[1:2].islower():  # not an abbreviation
            what = what[0].lower() + what[1:]
        if match["index"] is not None:
            place = f"{noun} {int(match['index']) + 1}"
            if match["key"]:
                place += f", {match['key']}"
        else:
            place = match["key"] or f"the list of {noun} entries"
        raise SourceError(bounded_message(f"{place}: {what}")) from error
