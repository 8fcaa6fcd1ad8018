"""``dnslb config convert``: what is written is what `check` takes, and nothing is lost."""

from __future__ import annotations

import contextlib
import io
import json
import os
import stat
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given, strategies as st

from dnslb.daemon.command_line import run
from dnslb.daemon.config import Config
from dnslb.daemon.load import load_config
from dnslb.daemon.problems import ConfigProblems, Problem
from dnslb.daemon.verbs import check
from dnslb.daemon.verbs.go_configuration import Conversion, convert
from dnslb.daemon.verbs.yaml_nodes import parse_yaml

Captured = pytest.CaptureFixture[str]
GOLDEN = Path(__file__).parent / "converted"
SECRET = "hunter2secret"
NOTHING: dict[str, str] = {}


def converted(text: str, owner_id: str | None = None) -> Conversion:
    file = parse_yaml("dnslb.yaml", text)
    assert not isinstance(file, Problem), file
    return convert(file, owner_id)


def values(text: str, owner_id: str | None = None) -> dict[str, Any]:
    return tomllib.loads(converted(text, owner_id).toml)


# ------------------------------------------------------------------------------ what comes out


def test_a_whole_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: Captured) -> None:
    """Write it anew with WRITE_GOLDEN=1, and read its diff."""
    monkeypatch.chdir(GOLDEN)
    assert run(["config", "convert", "dnslb.yaml"]) == 0
    shown = capsys.readouterr()
    if os.environ.get("WRITE_GOLDEN"):
        Path("dnslb.toml").write_text(shown.out)
    assert shown.out == Path("dnslb.toml").read_text()
    told = [line.removeprefix("dnslb: warning: dnslb.yaml:") for line in shown.err.splitlines()]
    kept, twice, empty = told
    assert kept == "25: loglevel: the Go program knows no such key; kept as a comment"
    assert twice.startswith("32: Shop.example.org: http://192.0.2.2:80 was listed twice")
    assert empty.startswith("34: old.example.org: has no endpoints; kept as a comment")


ELECTIONS = {
    "singleton": "election: singleton\n",
    "k8s": "election: k8s\nk8s-lock-namespace: dns\nk8s-lock-name: dnslb\n",
    "k8s, by environment": "election: k8s\nk8s-kubeconfig: KUBECONFIG\n",
    "raft, one host": "election: raft\nraft-address: localhost:3648\nraft-dir: /tmp/raft\n",
    "raft": (
        "election: raft\nraft-address: 10.0.0.1:3648\nraft-dir: /srv/raft\n"
        "raft-bootstrap: true\ninstance-identifier: node_1\n"
    ),
    "by flag": "",
}
PROVIDERS = {
    "autodns": f"dnsProvider: autodns\nautodns-username: u\nautodns-password: {SECRET}\n",
    "autodns, by environment": "dnsProvider: autodns\n",
    "mock": "dnsProvider: mock\nmockZonePath: /etc/zones.yaml\n",
    "mockjson": "dnsProvider: mockjson\nmockZonePath: a\nmockZoneStatePath: b\n",
}
LISTS = {
    "in blocks": (
        "lb:\n  www.example.org:\n    - http://192.0.2.1:80\n    - tcp://192.0.2.2:443\n"
        "  api.example.org:\n  - none://192.0.2.3:1\n"
    ),
    "in lines": (
        "lb: {www.example.org: ['http://192.0.2.1:80', 'tcp://192.0.2.2:443'], "
        'api.example.org: ["none://192.0.2.3:1"]}\n'
    ),
    "as texts": (
        "lb:\n  WWW.Example.org.: http://192.0.2.1:80,tcp://192.0.2.2:443\n"
        "  api.example.org: none://192.0.2.3:1\n"
    ),
    "as flags": (
        "LB:\n- www.example.org=http://192.0.2.1:80,tcp://192.0.2.2:443\n"
        "- api.example.org=none://192.0.2.3:1\n"
    ),
    "folded": (
        "lb:\n  www.example.org: >\n    http://192.0.2.1:80\n    tcp://192.0.2.2:443\n"
        "  api.example.org: none://192.0.2.3:1\n"
    ),
    "by alias": (
        "x-shared: &shared [http://192.0.2.1:80, tcp://192.0.2.2:443]\n"
        "lb:\n  www.example.org: *shared\n  api.example.org: [none://192.0.2.3:1]\n"
    ),
}
GENERAL = {
    "plain": ("agents: [ams-1, fra-1, waw-1]\netcEndpoint:\n- http://10.0.0.1:2379\nport: 8080\n"),
    "as the old reader takes it": (
        "AGENTS: ams-1 fra-1 waw-1\netcendpoint: http://10.0.0.1:2379\nPort: '8080'\n"
        "debug: 'true'\nzone-sync-interval-download: 3600\nzone-sync-interval-upload: 60s\n"
    ),
}


def environment(tmp_path: Path) -> dict[str, str]:
    return {
        "AUTODNS_USERNAME": "u",
        "AUTODNS_PASSWORD": SECRET,
        "K8S_LOCK_NAMESPACE": "dns",
        "INSTANCE_ID": "one",
        "CONTROL_SOCKET": str(tmp_path / "s"),
    }


# Whoever writes and how lists are written have nothing to do with each other.
ROUND_TRIPS = [
    *((who, where, "in blocks", "plain") for who in ELECTIONS for where in PROVIDERS),
    *(("singleton", "autodns", lists, "as the old reader takes it") for lists in LISTS),
]


@pytest.mark.parametrize(("election", "provider", "lists", "general"), ROUND_TRIPS)
def test_check_takes_what_is_written(
    tmp_path: Path, capsys: Captured, election: str, provider: str, lists: str, general: str
) -> None:
    (tmp_path / "kubeconfig").touch()
    text = GENERAL[general] + ELECTIONS[election] + LISTS[lists] + PROVIDERS[provider]
    (tmp_path / "f.yaml").write_text(text.replace("KUBECONFIG", str(tmp_path / "kubeconfig")))
    target = tmp_path / "f.toml"
    assert run(["config", "convert", str(tmp_path / "f.yaml"), "-o", str(target)]) == 0
    assert SECRET not in capsys.readouterr().err
    arguments = ["-cfg", str(target)]
    if not ELECTIONS[election]:
        arguments.append("-election=singleton")
    assert check.run(arguments, environment(tmp_path)) == 0
    shown = capsys.readouterr()
    assert "chmod" not in shown.err  # it is written for its owner alone
    assert SECRET not in shown.out + shown.err
    config = load_config(arguments, environment(tmp_path))
    found = {lb.name: [e.monitor.plain_url for e in lb.endpoints] for lb in config.loadbalancers}
    assert found == {
        "www.example.org": ["http://192.0.2.1:80", "tcp://192.0.2.2:443"],
        "api.example.org": ["none://192.0.2.3:1"],
    }
    assert config.agents == ("ams-1", "fra-1", "waw-1")
    assert config.etcd is not None
    assert config.etcd.urls == ("http://10.0.0.1:2379",)
    assert config.port == 8080
    assert config.debug is (general != "plain")
    check_parts(config, election, provider)


def check_parts(config: Config, election: str, provider: str) -> None:
    if "autodns" in provider:
        assert config.autodns is not None
        assert config.autodns.password.reveal() == SECRET
        assert config.owner_id == "example-org"
    else:
        assert config.provider is None
    if config.election == "k8s":
        assert config.kubernetes is not None
        lease = config.kubernetes
        # What the Go program has, with whom it may compete for the lock.
        assert lease.lease_duration_s == 30
        assert (lease.renew_deadline_s, lease.retry_period_s) == (15, 5)
        assert (lease.lock_name, lease.lock_namespace) == ("dnslb", "dns")
    if config.raft is not None:
        assert config.raft.insecure is (election == "raft")
        assert config.raft.bootstrap is (election == "raft")


def test_what_is_not_in_the_file_has_its_changed_default_named() -> None:
    toml = converted("agents: [a]\n").toml
    for line in (
        '# listen = "0.0.0.0"',
        "# zone-sync-interval-upload = 1",
        "# zone-sync-interval-download = 300",
        "# adopt-existing = true",
        '# verify-servers = "off"',
        "# [guard]",
    ):
        assert line in toml.splitlines()


def test_a_name_is_shown_how_to_keep_its_ttl() -> None:
    toml = converted("port: 1\n").toml.replace('# "www', '"www')
    assert tomllib.loads(toml)["lb"]["www.example.org"]["ttl"] == 300


def test_an_instance_with_an_agents_name_gets_another() -> None:
    """Or it would check by itself, and vote beside the healthagent of that name."""
    for agents in ("[a, fra-1]", "a fra-1", "fra-1"):
        done = converted(f"instance-identifier: fra-1 # here\nAgents: {agents}\n")
        assert tomllib.loads(done.toml)["instance-identifier"] == "dnslb-fra-1"
        assert "# here" in done.toml
        (warning,) = done.warnings
        assert warning.startswith("dnslb.yaml:1: instance-identifier: 'fra-1' is an agent's name")
    done = converted("instance-identifier: fra-1\nagents: [fra-10]\n")
    assert tomllib.loads(done.toml)["instance-identifier"] == "fra-1"


@pytest.mark.parametrize(
    ("names", "owner"),
    [
        (("www.example.org", "api.shop.example.org"), "example-org"),
        (("*.example.org",), "example-org"),
        (("example.org",), "example-org"),
        (("www.example.org", "www.example.com"), "dnslb"),
        (("www.example.org", "www.other.org"), "dnslb"),
        ((f"www.{'a' * 63}.org",), "dnslb"),
        ((), "dnslb"),
    ],
)
def test_an_owner_is_made_of_the_names(names: tuple[str, ...], owner: str) -> None:
    lb = json.dumps({name: ["http://192.0.2.1:80"] for name in names})
    assert values(f"lb: {lb}\n")["owner-id"] == owner


def test_a_chosen_owner_is_taken() -> None:
    assert values("dnsProvider: autodns\n", "mine")["owner-id"] == "mine"
    # Nothing is published there, so nothing is owned.
    assert "owner-id" not in values("dnsProvider: mock\n")


def test_flags_and_environment_of_the_go_program_need_no_conversion(tmp_path: Path) -> None:
    """Those of its Helm chart, and an owner id."""
    argv = [
        *("-election", "k8s", "-debug", "-json-logging=true", "-instance-id", "dnslb-0"),
        *("-etcd", "http://healthd-etcd-0.healthd-etcd:2379"),
        *("-etcd", "http://healthd-etcd-1.healthd-etcd:2379"),
        *("-agent", "foo", "-agent", "bar", "-agent", "baz", "-provider", "autodns"),
        *("-lb", "test.nect.space=http://127.0.0.1:5080,tcp://192.168.1.215:5081"),
        *("-lb", "foo.bar.nect.space=http://127.0.0.1:6080,tcp://192.168.1.215:6081"),
        *("-zone-sync-interval-upload", "60", "-etcd-interval-monitoring", "30"),
    ]
    config = load_config([*argv, "-owner-id", "me"], environment(tmp_path))
    assert [lb.name for lb in config.loadbalancers] == ["test.nect.space", "foo.bar.nect.space"]
    assert config.agents == ("foo", "bar", "baz")
    assert config.upload_interval_s == 60
    assert config.autodns is not None
    assert config.autodns.password.reveal() == SECRET
    with pytest.raises(ConfigProblems) as caught:
        load_config(argv, environment(tmp_path))
    assert [problem.place for problem in caught.value.problems] == ["-owner-id"]


# --------------------------------------------------------------------------- nothing gets lost


def test_comments_stay_with_what_they_are_about() -> None:
    toml = converted(
        "# top\nport: 1 # the port\nagents: # who\n  # first\n  - a # A\n  - b\n# last of agents\n"
        'dnsProvider: mock # not "live"\nlb: # names\n  # one\n  a.example.org: # A\n'
        "  - tcp://192.0.2.1:1#nocomment:1\n".replace("#nocomment:1", "")
        + "    # dead\n  - tcp://192.0.2.2:1 # two\n# end\n"
    ).toml
    lines = [line.strip() for line in toml.splitlines()]
    for pair in (
        ("# top", "# the port", "port = 1"),
        ("# who", "# first", '"a",  # A'),
        ("# names",),
        ("# A", '"tcp://192.0.2.1:1",', "# dead", '"tcp://192.0.2.2:1",  # two'),
        ("# last of agents",),
        ('#   dnsProvider: mock # not "live"',),
        ("# end",),
    ):
        at = [lines.index(line) for line in pair]
        assert at == sorted(at), pair
    for comment in ("# top", "# the port", "# dead", "# two", "# end"):
        assert toml.count(comment) == 1


KEYS = st.one_of(
    st.sampled_from(["port", "agents", "lb", "election", "Debug", "extra", "mockZonePath", "é"]),
    st.text(max_size=8),
)
LEAVES = st.one_of(
    st.text(max_size=12),
    st.sampled_from(["http://192.0.2.1:80", "ams-1", "raft", "a.example.org", "8080", "tcp://x"]),
    st.integers(),
    st.booleans(),
    st.none(),
)
TREES = st.recursive(
    LEAVES,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
LB = st.dictionaries(
    st.sampled_from(["a.example.org", "B.example.org", "x y", ""]),
    st.lists(st.sampled_from(["http://192.0.2.1:80", "tcp://192.0.2.2:1", "x"]), max_size=3),
)
DOCUMENTS = st.one_of(
    st.dictionaries(KEYS, TREES, max_size=5), st.fixed_dictionaries({"lb": LB}), TREES
)


@given(DOCUMENTS, st.booleans(), st.sampled_from(["", "# c\n", "\u2028"]))
def test_whatever_is_read_is_written_or_refused(tree: object, flow: bool, before: str) -> None:
    text = before + yaml.safe_dump(tree, default_flow_style=flow, allow_unicode=True)
    file = parse_yaml("f", text)
    if isinstance(file, Problem):
        assert str(file).isprintable()
        return
    try:
        done = convert(file)
    except ConfigProblems as problems:
        for problem in problems.problems:
            assert str(problem).isprintable()
            assert problem.place.startswith("f:")
        return
    tomllib.loads(done.toml)
    assert all(warning.isprintable() for warning in done.warnings)
    for key in tree if isinstance(tree, dict) else ():
        shown = "".join(c if c.isprintable() else "?" for c in key)
        known = key.lower() in {"port", "agents", "lb", "election", "debug"}
        assert known or not shown.isalnum() or shown in done.toml


def test_what_stands_without_quotes_is_taken_as_written_with_a_warning() -> None:
    done = converted("autodns-password: 0123\nagents: [1, 2]\nautodns-username: 1.0\n")
    found = tomllib.loads(done.toml)
    assert (found["autodns-password"], found["autodns-username"]) == ("0123", "1.0")
    assert found["agents"] == ["1", "2"]
    assert [warning.rpartition(":")[0] for warning in done.warnings] == [
        "dnslb.yaml:1: autodns-password",
        "dnslb.yaml:3: autodns-username",
    ]
    assert "0123" not in "".join(done.warnings)


def test_a_mistyped_key_is_guessed() -> None:
    (warning,) = converted("autodns-pasword: x\n").warnings
    assert warning.endswith("did you mean autodns-password?")


# ------------------------------------------------------------------------------- the command


def test_it_writes_for_the_owner_alone_and_over_nothing(tmp_path: Path, capsys: Captured) -> None:
    source, target = tmp_path / "f.yaml", tmp_path / "f.toml"
    source.write_text("dnsProvider: autodns\n")
    old = os.umask(0)
    try:
        assert run(["config", "convert", str(source), f"--o={target}", "-owner-id", "me"]) == 0
    finally:
        os.umask(old)
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert f"dnslb check -cfg {target}" in capsys.readouterr().out
    before = target.read_text()
    assert run(["config", "convert", str(source), "-o", str(target)]) == 1
    assert "is there already; nothing is written over it" in capsys.readouterr().err
    assert target.read_text() == before
    assert run(["config", "convert", str(source), "-o", str(tmp_path / "no" / "f")]) == 1
    assert "cannot be written: No such file" in capsys.readouterr().err


def test_with_a_mistake_nothing_is_written(tmp_path: Path, capsys: Captured) -> None:
    source, target = tmp_path / "f.yaml", tmp_path / "f.toml"
    source.write_text("port: x\n")
    assert run(["config", "convert", str(source), "-o", str(target)]) == 1
    assert not target.exists()
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "expected config convert, found nothing"),
        (("show",), "expected config convert, found 'show'"),
        (("convert",), "expects one file, found nothing"),
        (("convert", "a", "b"), "expects one file, found 'b'"),
        (("convert", "-x", "a"), "has no flag '-x'"),
        (("convert", "a", "-o"), "-o needs a value"),
        (("convert", "a", "-o=x", "-o=y"), "-o is given more than once"),
        (("convert", "a", "-owner-id", "x y"), "-owner-id: expected 1 to 63 letters"),
        (("convert", "/nonexistent.yaml"), "/nonexistent.yaml: cannot be read: No such file"),
        (("convert", "/"), "/: cannot be read: Is a directory"),
    ],
)
def test_a_wrong_call_is_told(words: tuple[str, ...], told: str, capsys: Captured) -> None:
    assert run(["config", *words]) == 1
    assert told in capsys.readouterr().err


def test_help() -> None:
    with contextlib.redirect_stdout(io.StringIO()) as shown:
        assert run(["config", "convert", "--help"]) == 0
    assert "usage: dnslb config convert F.yaml" in shown.getvalue()
