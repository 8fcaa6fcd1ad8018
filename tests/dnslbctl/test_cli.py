"""The words of the command line: understood as the contract says, or refused with a sentence."""

from __future__ import annotations

import pytest
from hypothesis import given, strategies as st

from dnslbctl import cli, commands
from dnslbctl.cli import Usage, duration_s, parse

CONTRACT = [
    *("status --check", "members", "endpoints", "changes --all", "events -f", "overrides"),
    *("why NAME", "why NAME --at 03:12", "drain 192.0.2.1 --reason R"),
    *("drain 192.0.2.1 --reason R --for 2h", "force-up 192.0.2.1 --reason R --for 30m"),
    *("force-down tcp://192.0.2.1:80 --reason R --for forever", "clear 192.0.2.1:80"),
    *("undrain 192.0.2.1", "pause --reason R", "pause example.org --reason R --for 1h", "resume"),
    *("resume www.example.org", "approve a b c", "drop a", "release old.example.org --delete"),
    *("sync", "raft leader", "raft add_voter b localhost:3650 0", "config convert F.yaml"),
    *("pki init --out /etc/dnslb --any thing", "completion bash"),
]


@pytest.mark.parametrize("line", CONTRACT)
def test_every_call_of_the_contract_is_understood(line: str) -> None:
    words = line.split()
    call = parse(words)
    assert call.verb == words[0]
    assert call.verb in commands.VERBS
    with_options = parse(["--json", "--timeout", "5", "--socket=/run/x", "--yes", *words])
    assert with_options.arguments == call.arguments
    assert with_options.given == {
        "--json": "",
        "--timeout": "5",
        "--socket": "/run/x",
        "--yes": "",
        **call.given,
    }


def test_every_verb_has_its_function_and_its_place_in_the_help() -> None:
    names = [verb.name for verb in cli.VERBS]
    assert {*names, cli.COMPLETE} == set(commands.VERBS)
    assert sorted(names) == sorted(name for _, group in cli.GROUPS for name in group)
    assert all(f"  {name}" in cli.overview() for name in names)
    assert all(len(line) <= 80 for line in cli.overview().splitlines())


@pytest.mark.parametrize("verb", cli.VERBS, ids=lambda verb: verb.name)
def test_every_verb_has_help(verb: cli.Verb) -> None:
    if verb.name not in cli.HANDED_OVER:
        call = parse([verb.name, "--help"])
        assert (call.verb, call.has("--help")) == (verb.name, True)
    text = cli.help_for(verb)
    assert text.startswith("usage: dnslbctl [options] " + verb.name)
    assert all(option.name in text for option in verb.options)


def test_options_may_also_follow_the_verb() -> None:
    call = parse(["drain", "--json", "192.0.2.1", "--lb", "www", "--reason=by hand"])
    assert call.arguments == ["192.0.2.1"]
    assert call.given == {"--json": "", "--lb": "www", "--reason": "by hand"}


def test_raft_takes_options_only_before_its_command() -> None:
    call = parse(["--json", "raft", "--leader", "multi:///a,b", "apply_log", "--x", "-y"])
    assert call.given == {"--json": "", "--leader": "multi:///a,b"}
    assert call.arguments == ["apply_log", "--x", "-y"]


def test_words_that_begin_with_a_dash() -> None:
    call = parse(["drain", "--reason", "--really", "--", "-x"])
    assert (call.arguments, call.given["--reason"]) == (["-x"], "--really")


def test_no_verb_is_the_console() -> None:
    assert parse([]).verb == ""
    assert parse(["--json"]).verb == ""


@pytest.mark.parametrize(
    ("line", "sentence"),
    [
        ("statsu", "there is no verb 'statsu'; did you mean status?"),
        ("qqq", "there is no verb 'qqq'"),
        ("--jsn status", "there is no option '--jsn'; did you mean --json?"),
        ("status --al", "status has no option '--al'"),
        ("status --json=yes", "--json takes no value"),
        ("--socket", "--socket needs a value: --socket PATH"),
        ("why", "why needs NAME"),
        ("why a b", "why does not take 'b'"),
        ("drain", "drain needs ENDPOINT"),
        ("drain x", "drain needs --reason R"),
        ("drain x --reason", "--reason needs a value"),
        ("drain x --reason ", "--reason needs a value"),
        ("drain x --reason=", "drain needs --reason R"),
        ("force-up x --reason r", "force-up needs --for D|forever"),
        ("force-down x --reason r --for soon", "--for: 'soon' is no duration"),
        ("pause --reason r --for 0", "--for: '0' is no duration"),
        ("--timeout never status", "--timeout: 'never' is no duration"),
        ("approve", "approve needs ID..."),
        ("release", "release needs NAME"),
        ("pause", "pause needs --reason R"),
        ("completion", "completion needs bash|zsh|fish"),
    ],
)
def test_what_is_wrong_is_said(line: str, sentence: str) -> None:
    with pytest.raises(Usage) as refused:
        parse(line.split())
    assert sentence in str(refused.value)


@given(st.lists(st.sampled_from(["status", "drain", "--for", "--reason", "-f", "x", "=", "--"])))
def test_nothing_else_is_ever_raised(words: list[str]) -> None:
    try:
        call = parse(words)
    except Usage:
        return
    assert call.verb in {"", *commands.VERBS}


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *[("90", 90), ("1.5", 1.5), ("90s", 90), ("30m", 1800), ("2h", 7200), ("7d", 604_800)],
        *[("1h30m", 5400), ("1d2h3m4s", 93784), ("1.5h", 5400)],
    ],
)
def test_durations(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        *["", "0", "-1", "1h30", "30m1h", "1.2.3", "..", "5x", "h", "1 h", "٣m", "1e9", "inf"],
        *["9999999999", "99999d"],
    ],
)
def test_what_is_no_duration(text: str) -> None:
    with pytest.raises(ValueError, match="is no duration"):
        duration_s(text)
