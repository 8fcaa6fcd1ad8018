"""Recordings alone: what a line says, and what is wrong with one in which words."""

from __future__ import annotations

import contextlib
import json

import pytest
from hypothesis import given, strategies as st

from dnslb.errors import ConfigError
from dnslb.model.loadbalancer import Monitor, MonitorList
from dnslb.model.report import DOWN, MESSAGE_LENGTH_MAX, UNKNOWN, UP, Report
from dnslb.sources import recording
from dnslb.sources.recording import RecordedReport, read_recording, write_report

WEB = Monitor("http", "192.0.2.1", 80)
MAIL = Monitor("tcp", "2001:db8::1", 25)
OTHER = Monitor("tcp", "192.0.2.9", 80)
LINE = {"at": 1.5, "agent": "fra-1", "votes": {"http://192.0.2.1:80": "up"}}


def line(**changes: object) -> str:
    return json.dumps({**LINE, **changes})


def test_a_recording_reads() -> None:
    text = f"""# what happened on Tuesday

{line()}
{
        line(
            at=2,
            agent="ber 1",
            votes={WEB.url: "down", "tcp://[2001:DB8::1]:25": "unknown"},
            messages={WEB.url: "connection refused"},
            complete=False,
        )
    }
"""
    assert read_recording(text, "tuesday") == (
        RecordedReport(1.5, "fra-1", {WEB.url: UP}),
        RecordedReport(
            2.0,
            "ber 1",
            {WEB.url: DOWN, MAIL.url: UNKNOWN},
            {WEB.url: "connection refused"},
            complete=False,
        ),
    )


def test_an_empty_recording_is_one() -> None:
    assert read_recording("", "nothing") == ()


def test_votes_take_the_positions_of_a_list() -> None:
    entry = RecordedReport(0, "a", {MAIL.url: DOWN, WEB.url: UP}, {MAIL.url: "gone"})
    monitors = MonitorList((WEB, OTHER, MAIL))
    assert entry.positioned(monitors) == (bytes([UP, UNKNOWN, DOWN]), {2: "gone"})
    assert entry.positioned(MonitorList()) == (b"", {})


@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ("{", "not JSON: expected one object a line"),
        ("[" * 100_000, "not JSON: expected one object a line"),
        ("[]", "expected an object with the keys at, agent, votes"),
        (line(vote={}), "unknown key 'vote': expected at, agent, votes, messages, complete"),
        ('{"agent": "a", "votes": {}}', '"at" is not a number of seconds since the start'),
        (line(at="1"), '"at" is not a number of seconds since the start'),
        (line(at=True), '"at" is not a number of seconds since the start'),
        (line(at=-1), '"at" is not between 0 and 100000000 seconds'),
        (line(at=float("nan")), '"at" is not between 0 and 100000000 seconds'),
        (line(at=float("inf")), '"at" is not between 0 and 100000000 seconds'),
        (line(at=10**400), '"at" is not between 0 and 100000000 seconds'),
        (line(at=0.5), '"at" is 0.5, before 1 above it'),
        (line(agent=1), '"agent" is not the name of an agent'),
        (line(agent="a\nb"), '"agent" is not the name of an agent'),
        (line(agent=""), '"agent" is not 1 to 255 characters long'),
        (line(agent="a" * 256), '"agent" is not 1 to 255 characters long'),
        (line(votes=[]), '"votes" is not an object with a text for each monitor'),
        (line(votes={WEB.url: 1}), "in \"votes\", what stands for 'http://192.0.2.1:80' is not"),
        (line(votes={WEB.url: "UP"}), f"the vote for {WEB.url} is none of unknown, up, down"),
        (line(votes={"www": "up"}), "'www' is no endpoint: expected protocol://address:port"),
        (
            line(votes={"tcp://[2001:db8::1]:25": "up", "tcp://[2001:DB8::1]:25": "up"}),
            f'"votes" names {MAIL.url} twice',
        ),
        (line(messages="x"), '"messages" is not an object with a text for each monitor'),
        (line(complete=1), '"complete" is neither true nor false'),
    ],
)
def test_what_is_wrong_is_named_by_its_line(wrong: str, sentence: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_recording(f"{line(at=1)}\n\n{wrong}\n", "rec.jsonl")
    assert str(caught.value).startswith(f"rec.jsonl, line 3: {sentence}")
    assert "\n" not in str(caught.value)


def test_the_number_of_reports_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "ENTRIES_MAX", 2)
    with pytest.raises(ConfigError, match="rec, line 3: more than 2 reports"):
        read_recording("\n".join([line()] * 3), "rec")


def test_messages_are_made_safe() -> None:
    (entry,) = read_recording(line(messages={WEB.url: "a\x1b[2J\n" + "x" * 1000}), "rec")
    message = entry.messages[WEB.url]
    assert message.startswith("a [2J x")
    assert len(message) == MESSAGE_LENGTH_MAX


@given(
    st.text(max_size=100)
    | st.recursive(
        st.none() | st.floats() | st.text(max_size=5),
        lambda inner: (
            st.lists(inner)
            | st.dictionaries(
                st.sampled_from(["at", "agent", "votes", "messages", "complete", WEB.url]), inner
            )
        ),
        max_leaves=8,
    ).map(json.dumps)
)
def test_any_text_reads_or_is_refused(text: str) -> None:
    with contextlib.suppress(ConfigError):
        assert all(isinstance(entry, RecordedReport) for entry in read_recording(text, "any"))


def test_what_is_written_reads_as_it_was() -> None:
    report = Report(
        "fra-1",
        MonitorList((WEB, MAIL, OTHER)),
        bytes([UP, DOWN, UNKNOWN]),
        arrived_mono=103.25,
        arrived_wall=0.0,
        messages={1: "connection refused – „oh“"},
        complete=False,
    )
    written = write_report(report, since_mono=100.0)
    assert "\n" not in written
    (entry,) = read_recording(written, "rec")
    assert (entry.at_s, entry.agent, entry.complete) == (3.25, "fra-1", False)
    assert entry.positioned(report.monitors) == (report.votes, report.messages)


def test_monitors_of_one_url_that_disagree_are_written_as_unknown() -> None:
    strict = Monitor("http", "192.0.2.1", 80, host_header="www.example.org")
    monitors = MonitorList((WEB, strict))
    for votes, expected in (([UP, UP], UP), ([UP, DOWN], UNKNOWN)):
        report = Report("a", monitors, bytes(votes), arrived_mono=0.0, arrived_wall=0.0)
        (entry,) = read_recording(write_report(report, since_mono=0.0), "rec")
        assert entry.votes == {WEB.url: expected}
