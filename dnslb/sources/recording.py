"""Recorded reports as text: JSON lines in, values out, and back; pure.

    {"at": 1.5, "agent": "fra-1", "votes": {"http://192.0.2.1:80": "down"},
     "messages": {"http://192.0.2.1:80": "connection refused"}, "complete": true}

One object a line. ``at``: seconds since the start, never less than in the line before.
``messages`` and ``complete`` (true) may be left out. A monitor without a vote is "unknown".
Blank lines and lines that begin with ``#`` mean nothing.

Law: every line is right, or the whole recording is refused with the line's number.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from dnslb.errors import ConfigError, InvalidValue
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import UNKNOWN, VOTE_WORDS, Report, bounded_message

BYTES_MAX = 64_000_000
ENTRIES_MAX = 100_000
AGENT_LENGTH_MAX = 255
AT_S_MAX = 100_000_000
_KEYS = ("at", "agent", "votes", "messages", "complete")


@dataclass(frozen=True, slots=True)
class RecordedReport:
    """One line: by the monitors' URLs, since a monitor list may change."""

    at_s: float
    agent: str
    votes: Mapping[str, int]
    messages: Mapping[str, str] = field(default_factory=dict)
    complete: bool = True

    def positioned(self, monitors: MonitorList) -> tuple[bytes, dict[int, str]]:
        """Votes and messages against ``monitors``; what stands for none of them is left out."""
        votes = bytes(self.votes.get(monitor.url, UNKNOWN) for monitor in monitors.monitors)
        messages = {
            index: self.messages[monitor.url]
            for index, monitor in enumerate(monitors.monitors)
            if monitor.url in self.messages
        }
        return votes, messages


def read_recording(text: str, name: str) -> tuple[RecordedReport, ...]:
    """Raises `ConfigError` that names ``name``, the line, and what was expected there."""
    found: list[RecordedReport] = []
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip() or line.startswith("#"):
            continue
        try:
            if len(found) == ENTRIES_MAX:
                raise InvalidValue(f"more than {ENTRIES_MAX} reports")
            entry = _read_line(line)
            if found and entry.at_s < found[-1].at_s:
                raise InvalidValue(f'"at" is {entry.at_s:g}, before {found[-1].at_s:g} above it')
        except InvalidValue as error:
            raise ConfigError(f"{name}, line {number}: {error}") from error
        found.append(entry)
    return tuple(found)


def write_report(report: Report, *, since_mono: float) -> str:
    """A report as a line (no line end), ``at`` counted from ``since_mono``: a recorder."""
    urls = [monitor.url for monitor in report.monitors.monitors]
    votes: dict[str, str] = {}
    for url, vote in zip(urls, report.votes, strict=True):
        # Monitors of one URL differ in what else they ask; a line cannot say two things of it.
        word = VOTE_WORDS[vote]
        votes[url] = word if votes.get(url, word) == word else VOTE_WORDS[UNKNOWN]
    entry: dict[str, object] = {
        "at": round(report.arrived_mono - since_mono, 6),
        "agent": report.agent,
        "votes": votes,
    }
    if report.messages:
        entry["messages"] = {urls[index]: text for index, text in report.messages.items()}
    if not report.complete:
        entry["complete"] = False
    return json.dumps(entry, ensure_ascii=False)


def _read_line(line: str) -> RecordedReport:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidValue("not JSON: expected one object a line") from error
    if not isinstance(entry, dict):
        raise InvalidValue(f"expected an object with the keys {', '.join(_KEYS[:3])}")
    if unknown := sorted(entry.keys() - set(_KEYS)):
        raise InvalidValue(f"unknown key {unknown[0][:40]!r}: expected {', '.join(_KEYS)}")
    complete = entry.get("complete", True)
    if not isinstance(complete, bool):
        raise InvalidValue('"complete" is neither true nor false')
    votes = _by_monitor(entry.get("votes"), "votes")
    for url, vote in votes.items():
        if vote not in VOTE_WORDS:
            raise InvalidValue(f"the vote for {url} is none of {', '.join(VOTE_WORDS)}")
    messages = _by_monitor(entry.get("messages", {}), "messages")
    return RecordedReport(
        at_s=_read_at(entry.get("at")),
        agent=_read_agent(entry.get("agent")),
        votes={url: VOTE_WORDS.index(vote) for url, vote in votes.items()},
        messages={url: bounded_message(text) for url, text in messages.items()},
        complete=complete,
    )


def _read_at(value: object) -> float:
    # bool is an int, and JSON readers accept NaN and Infinity.
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise InvalidValue('"at" is not a number of seconds since the start')
    if not 0 <= value <= AT_S_MAX:
        raise InvalidValue(f'"at" is not between 0 and {AT_S_MAX} seconds')
    return float(value)


def _read_agent(value: object) -> str:
    if not isinstance(value, str) or not value.isprintable():
        raise InvalidValue('"agent" is not the name of an agent')
    if not 0 < len(value) <= AGENT_LENGTH_MAX:
        raise InvalidValue(f'"agent" is not 1 to {AGENT_LENGTH_MAX} characters long')
    return value


def _by_monitor(value: object, key: str) -> dict[str, str]:
    """``value`` as texts by the canonical URLs of monitors."""
    if not isinstance(value, dict):
        raise InvalidValue(f'"{key}" is not an object with a text for each monitor')
    found = {}
    for url, text in value.items():
        if not isinstance(text, str):
            raise InvalidValue(f'in "{key}", what stands for {url[:80]!r} is not a text')
        monitor = Monitor.from_url(url).url
        if monitor in found:
            raise InvalidValue(f'"{key}" names {monitor} twice')
        found[monitor] = text
    return found
