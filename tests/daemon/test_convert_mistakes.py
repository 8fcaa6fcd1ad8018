"""What ``dnslb config convert`` refuses: mistakes with their lines, limits, and no secret shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnslb.daemon.command_line import run
from dnslb.daemon.problems import ConfigProblems, Problem
from dnslb.daemon.verbs import yaml_nodes
from dnslb.daemon.verbs.go_configuration import convert
from dnslb.daemon.verbs.yaml_nodes import parse_yaml

Captured = pytest.CaptureFixture[str]
SECRET = "hunter2secret"


def mistakes(text: str) -> list[str]:
    file = parse_yaml("dnslb.yaml", text)
    if isinstance(file, Problem):
        return [str(file)]
    with pytest.raises(ConfigProblems) as caught:
        convert(file)
    return [str(problem) for problem in caught.value.problems]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("port: 70000", "dnslb.yaml:1: port: expected a whole number from 0 to 65535, "),
        ("a: 1\nport: [1]", "dnslb.yaml:2: port: expected a whole number from 0 to 65535"),
        ("debug: maybe", "dnslb.yaml:1: debug: expected true or false, found 'maybe'"),
        ("agents: {a: b}", "dnslb.yaml:1: agents: expected a list of texts"),
        ("agents:\n- a\n- [b]", "dnslb.yaml:3: agents: expected a list of texts"),
        ("agents:\n- a\n-", "dnslb.yaml:3: agents: expected a list of texts"),
        ("agents: [monitors]", "dnslb.yaml:1: agents: expected the name of an agent"),
        ("dnsProvider: route53", "dnslb.yaml:1: dnsProvider: expected autodns, bind, "),
        (
            f"instance-identifier: {'a' * 60}\nagents: [{'a' * 60}]",
            "dnslb.yaml:1: instance-identifier: expected 1 to 63 letters",
        ),
        ("election: bully", "dnslb.yaml:1: election: expected singleton, k8s or raft, "),
        ("raft-address: ':3648'", "dnslb.yaml:1: raft-address: expected host:port"),
        ("port: 1\nPort: 1", "dnslb.yaml:2: Port: is given twice; the other is in line 1"),
        ("lb: {a.example.org: [x]}", "dnslb.yaml:1: a.example.org: 'x' is no endpoint"),
        ("lb: {a.example.org: {b: c}}", "dnslb.yaml:1: a.example.org: expected a list of texts"),
        ("lb: {a..b: ['tcp://192.0.2.1:1']}", "dnslb.yaml:1: lb: 'a..b' is no DNS name"),
        ("lb: {_dnslb.a.org: [x]}", "dnslb.yaml:1: lb: _dnslb is reserved"),
        ("lb: hello", "dnslb.yaml:1: lb: expected a name and its list of endpoints"),
        ("lb: [[a]]", "dnslb.yaml:1: lb: expected a name and its list of endpoints"),
        (
            "lb:\n  A.org: [tcp://192.0.2.1:1]\n  a.org: [tcp://192.0.2.1:1]",
            "dnslb.yaml:3: a.org: is given twice; the other is in line 2",
        ),
        ("lb: {a.org: [tcp://db1:1]}", "dnslb.yaml:1: a.org: 'db1' is no IPv4 or IPv6 address"),
        ("[1]", "dnslb.yaml:1: expected keys and their values"),
        ("hello", "dnslb.yaml:1: expected keys and their values"),
        ("", "dnslb.yaml:1: is empty"),
        ("# nothing\n", "dnslb.yaml:1: is empty"),
        ("a: 1\n---\nb: 2", "dnslb.yaml:2: one document was expected, here begins another"),
        ("a: 1\nb: c: d", "dnslb.yaml:2: is no valid YAML: mapping values are not allowed here"),
        ("a: [1", "dnslb.yaml:1: is no valid YAML"),
        ("a: 1\nb: \x01", "dnslb.yaml:2: is no valid YAML: a character that no text has"),
        ("a: !!python/name:os.system", "dnslb.yaml:1: a value with a tag is not read here"),
        ("a: !!python/object:os.system {}", "dnslb.yaml:1: a value with a tag is not read"),
        ("a: &x {}\n<<: *x", "dnslb.yaml:2: a merge key (<<) is not read here"),
        ("a: *x", "dnslb.yaml:1: an alias names what does not stand before it"),
        ("a: &x [*x]", "dnslb.yaml:1: an alias names what does not stand before it"),
        ("? [a]\n: b", "dnslb.yaml:1: a key is a list or a mapping; a text was expected"),
        ("[" * 5000, "dnslb.yaml:1: lists or mappings are nested more than 20 deep"),
        ("- " * 5000 + "x", "dnslb.yaml:1: lists or mappings are nested more than 20 deep"),
    ],
)
def test_a_mistake_has_its_line(text: str, told: str) -> None:
    (mistake,) = mistakes(text)
    assert mistake.startswith(told)


def test_all_mistakes_are_told_at_once() -> None:
    found = mistakes("port: x\nlb:\n  a.org: [x, tcp://192.0.2.1:1, y]\n  b..: [z]\nelection: q\n")
    assert [mistake.split(": ")[0] for mistake in found] == [
        *("dnslb.yaml:1", "dnslb.yaml:3", "dnslb.yaml:3", "dnslb.yaml:4", "dnslb.yaml:5")
    ]


def test_aliases_of_aliases_are_bounded() -> None:
    rows = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    rows += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    assert mistakes("\n".join(rows)) == [
        "dnslb.yaml:5: holds more than 100000 values, with its aliases"
    ]


def test_a_large_file_is_not_read(tmp_path: Path, capsys: Captured) -> None:
    path = tmp_path / "f.yaml"
    path.write_bytes(b"#" * (yaml_nodes.FILE_BYTES_MAX + 1))
    assert run(["config", "convert", str(path)]) == 1
    assert capsys.readouterr().err == f"dnslb: {path}: is larger than 1 MiB\n"
    path.write_bytes(b"port: 1\na: \xff\n")
    assert run(["config", "convert", str(path)]) == 1
    assert f"{path}:2: UTF-8 text was expected" in capsys.readouterr().err


@pytest.mark.parametrize(
    "text",
    [
        f"autodns-password: env:{SECRET}",
        f"autodns-password: [{SECRET}]",
        f"autodns-password: {{a: {SECRET}}}",
        f"autodns-password: !{SECRET}",
        f"autodns-password: !{SECRET}!x y",
        f"autodns-password: *{SECRET}",
        f"autodns-password: '{SECRET}",
        f'autodns-password: "{SECRET}\\q"',
        f"autodns-password: {SECRET}: x",
        f"autodns-password: {SECRET}\nautodns-password: {SECRET}",
        f"etcEndpoint: http://me:{SECRET}@10.0.0.1:2379",
        f"- {SECRET}",
    ],
)
def test_no_mistake_shows_a_secret(text: str) -> None:
    assert SECRET not in "".join(mistakes(text))
