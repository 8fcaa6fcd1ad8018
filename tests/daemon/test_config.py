"""Loading as a whole: precedence, defaults, all mistakes at once, and what a `Config` becomes."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from dnslb.daemon.kinds import Address
from dnslb.daemon.load import load_config
from dnslb.daemon.octodns_table import OctodnsTable, revealed
from dnslb.daemon.problems import PROBLEMS_MAX, ConfigProblems
from dnslb.daemon.secret import Secret
from dnslb.decide.settings import GuardSettings
from dnslb.errors import ConfigError
from dnslb.model.capabilities import Capabilities
from tests.daemon.loading import MINIMAL, Loader

MISTAKES = Path(__file__).with_name("mistakes")


def test_all_mistakes_are_told_at_once_each_with_its_place(loader: Loader) -> None:
    argv = ["-prot", "5", "--listen=1.2.3", "extra"]
    told = loader.problems((MISTAKES / "dnslb.toml").read_text(), argv)
    assert told == (MISTAKES / "told.txt").read_text().splitlines()


def test_problems_are_an_error_of_the_tree(loader: Loader) -> None:
    with pytest.raises(ConfigError) as raised:
        loader.load(argv=["-port", "x", "-listen", "y z"])
    assert isinstance(raised.value, ConfigProblems)
    assert str(raised.value).count("\n") == 2


def test_the_first_of_very_many_mistakes(loader: Loader) -> None:
    toml = "\n".join(f"x{i} = 1" for i in range(PROBLEMS_MAX + 7))
    told = loader.problems(toml)
    assert told[0] == "dnslb.toml:1: x0: there is no such key"
    assert len(told) == PROBLEMS_MAX + 1
    assert told[-1] == "and 7 more problems that are not shown"


def test_a_flag_goes_before_the_environment_and_that_before_the_file(loader: Loader) -> None:
    toml = 'port = 1\nlisten = "127.0.0.2"\ndrift = "hold"\n'
    environ = {"PORT": "2", "LISTEN": "127.0.0.3"}
    config = loader.load(toml, [*MINIMAL, "-port", "3"], environ)
    assert (config.port, config.listen, config.drift) == (3, "127.0.0.3", "hold")
    assert config.source == loader.file


def test_the_environment_names_the_file_and_what_is_empty_there_is_not_given(
    loader: Loader,
) -> None:
    loader.file.write_text('election = "singleton"\ninstance-identifier = "two"\n')
    config = load_config([], {"CFG": str(loader.file), "PORT": "", "INSTANCE_ID": ""})
    assert (config.instance_id, config.port, config.port_given) == ("two", 8080, False)


def test_a_mistake_in_the_file_is_told_though_a_flag_goes_before_it(loader: Loader) -> None:
    assert loader.problems("port = -1", [*MINIMAL, "-port", "3"]) == [
        "dnslb.toml:1: port: expected a whole number from 0 to 65535, found -1"
    ]


def test_a_mistake_in_the_environment_is_not_told_when_a_flag_goes_before_it(
    loader: Loader,
) -> None:
    """Other programs set variables of such names too."""
    environ = {"PORT": "tcp://10.0.0.1:80"}
    assert loader.problems(argv=[*MINIMAL, "-port", "3"], environ=environ) == []
    assert loader.problems(environ=environ) == [
        (
            "environment variable PORT: expected a whole number from 0 to 65535, "
            "found 'tcp://10.0.0.1:80'"
        )
    ]


def test_lists_in_the_environment(loader: Loader) -> None:
    environ = {
        "AGENT": "a, b,c",
        "LB": "x.example=http://192.0.2.1:80,tcp://192.0.2.2:1; y.example=none://192.0.2.3:9",
    }
    config = loader.load(environ=environ)
    assert config.agents == ("a", "b", "c")
    assert [lb.name for lb in config.loadbalancers] == ["x.example", "y.example"]


def test_defaults(loader: Loader) -> None:
    config = loader.load()
    assert config.agents == ("one",)
    assert config.local_agent == "one"
    assert (config.listen, config.port, config.port_given) == ("127.0.0.1", 8080, False)
    assert (config.upload_interval_s, config.download_interval_s) == (1, 300)
    assert (config.report_max_age_s, config.drift, config.adopt_existing) == (45, "restore", False)
    assert config.guard == GuardSettings()
    assert (config.provider, config.owner_id, config.source) == (None, None, None)
    assert config.verify.enabled
    assert config.verify.servers == ()
    assert config.verify.timeout_s == 60
    assert not any((config.dry_run, config.debug, config.json_logging, config.dump_http))


def test_the_instance_is_the_host_when_nobody_names_it(
    loader: Loader, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "fra-1.example.org")
    assert loader.load(argv=["-election", "singleton"]).instance_id == "fra-1.example.org"
    monkeypatch.setattr(socket, "gethostname", lambda: "my host")
    assert loader.problems(argv=["-election", "singleton"]) == [
        "-instance-id: must be given: the host name is not one that an instance can have"
    ]


def test_a_given_port_is_known_as_given(loader: Loader) -> None:
    assert loader.load(argv=[*MINIMAL, "-port", "8080"]).port_given
    assert loader.load("port = 8080").port_given
    assert loader.load(environ={"PORT": "8080"}).port_given


def test_settings_for_the_controller(loader: Loader) -> None:
    toml = """
        agents = ["one", "two", "three"]
        report-max-age = 60
        drift = "hold"
        adopt-existing = true
        dry-run = true
        zone-sync-interval-upload = "2s"
        zone-sync-interval-download = "1h"
        [lb]
        "www.example.org" = ["http://192.0.2.1:80"]
        [guard]
        max-withdraw-total = "25%"
        window = "2m"
    """
    capabilities = Capabilities(batch_max=7)
    settings = loader.load(toml).to_settings(capabilities)
    assert [lb.name for lb in settings.loadbalancers] == ["www.example.org"]
    assert settings.agents == ("one", "two", "three")
    assert settings.local_agent == "one"
    assert settings.guard == GuardSettings(max_withdraw_total=0.25, window_s=120)
    assert (settings.report_max_age_s, settings.drift, settings.adopt_existing) == (60, "hold", 1)
    assert (settings.upload_interval_s, settings.download_interval_s) == (2, 3600)
    assert settings.capabilities is capabilities
    assert settings.dry_run


def test_no_prober_where_this_instance_is_no_agent(loader: Loader) -> None:
    config = loader.load('agents = ["a", "b", "c"]')
    assert config.local_agent is None
    assert config.to_settings(Capabilities()).local_agent is None


def test_raft_takes_its_voters_for_agents(loader: Loader, tmp_path: Path) -> None:
    argv = ["-election=raft", "-instance-id=a", "-raft-address=localhost:3648"]
    config = loader.load(argv=[*argv, f"-raft-dir={tmp_path}", "-raft-bootstrap"])
    assert config.agents == ()
    assert config.local_agent == "a"
    assert config.state_dir == tmp_path / "a"
    assert config.to_settings(Capabilities(), ("a", "b", "c")).agents == ("a", "b", "c")
    assert config.raft is not None
    assert config.raft.address == config.raft.bind == Address("localhost", 3648)
    assert config.raft.bootstrap
    assert config.raft.tls is None


def test_each_part_gets_its_own_settings(loader: Loader, tmp_path: Path) -> None:
    for name in ("ca", "crt", "key"):
        (tmp_path / name).touch()
    toml = f"""
        election = "k8s"
        instance-identifier = "one"
        k8s-lock-namespace = "dns"
        provider = "autodns"
        owner-id = "o"
        autodns-username = "u"
        autodns-password = "env:PW"
        etcd = "https://192.0.2.1:2379/"
        etcd-user = "e"
        etcd-password = "geheim-1"
        agents = ["one", "two", "three"]
        healthd-listen = "[::]:443"
        healthd-ca = "{tmp_path}/ca"
        healthd-crt = "{tmp_path}/crt"
        healthd-key = "{tmp_path}/key"
        verify-servers = ["192.0.2.53", "[2001:db8::53]:54"]
    """
    config = loader.load(toml, [], {"PW": "geheim-2"})
    assert config.kubernetes is not None
    assert (config.kubernetes.lock_name, config.kubernetes.lock_namespace) == ("dnslb", "dns")
    assert config.autodns is not None
    assert config.autodns.password == Secret("geheim-2")
    assert (config.autodns.context, config.autodns.url) == (4, "https://api.autodns.com/v1")
    assert config.etcd is not None
    assert config.etcd.urls == ("https://192.0.2.1:2379",)
    assert config.etcd.password == Secret("geheim-1")
    assert config.healthd is not None
    assert config.healthd.listen == Address("::", 443)
    assert config.verify.servers == (Address("192.0.2.53", 53), Address("2001:db8::53", 54))
    assert (config.bind, config.file, config.raft, config.octodns) == (None,) * 4
    assert set(config.secrets) == {Secret("geheim-1"), Secret("geheim-2")}
    assert "geheim" not in repr(config)


def test_settings_of_an_octodns_provider(loader: Loader) -> None:
    toml = """
        provider = "octodns"
        owner-id = "o"
        octodns-class = "octodns_bind.Rfc2136Provider"
        [octodns]
        host = "192.0.2.53"
        keys = [{ secret = "env:TSIG", n = 5 }]
    """
    config = loader.load(toml, environ={"TSIG": "geheim-3"})
    assert config.octodns is not None
    assert config.octodns.class_name == "octodns_bind.Rfc2136Provider"
    assert config.octodns.table.settings == {
        "host": "192.0.2.53",
        "keys": [{"secret": Secret("geheim-3"), "n": 5}],
    }
    assert revealed(config.octodns.table.settings)["keys"] == [{"secret": "geheim-3", "n": 5}]
    assert config.secrets == (Secret("geheim-3"),)
    assert "192.0.2.53" not in repr(config)


def test_what_the_octodns_table_says_to_dnslb_itself(loader: Loader) -> None:
    toml = 'provider = "octodns"\nowner-id = "o"\noctodns-class = "a.B"\n[octodns]\ntoken = "t"\n'
    config = loader.load(toml)
    assert config.octodns is not None
    assert config.octodns.table == OctodnsTable({"token": "t"})
    config = loader.load(
        f'{toml}dnslb-zones = ["Example.org.", "example.net"]\ndnslb-accept-writes = "gap"\n'
        "dnslb-ownership = false"
    )
    assert config.octodns is not None
    zones = ("example.org", "example.net")
    assert config.octodns.table == OctodnsTable({"token": "t"}, zones, "gap", ownership=False)
    told = loader.problems(
        f'{toml}dnslb-zones = ["a..b"]\ndnslb-accept-writes = "all"\ndnslb-zone = "x"'
    )
    assert told == [
        "dnslb.toml:6: octodns.dnslb-zones[0]: expected the name of a zone, found 'a..b'",
        "dnslb.toml:7: octodns.dnslb-accept-writes: expected rrset, gap or zone, found 'all'",
        "dnslb.toml:8: octodns.dnslb-zone: there is no such key; did you mean dnslb-zones?",
    ]


def test_what_octodns_writes_differently_is_warned_of(loader: Loader) -> None:
    toml = (
        'provider = "octodns"\nowner-id = "o"\noctodns-class = "a.B"\n'
        f'[octodns]\na = "env/AWS_KEY"\nb = "file:{loader.directory}/open"'
    )
    (loader.directory / "open").write_text("geheim-4")
    (loader.directory / "open").chmod(0o644)
    warnings = loader.warnings(toml)
    assert (
        'dnslb.toml:5: octodns.a: goes to the class as it is; "env:AWS_KEY" means the variable'
        in warnings
    )
    assert any("octodns.b: every user of this machine can read" in text for text in warnings)


def test_the_octodns_table_is_checked_without_showing_it(loader: Loader) -> None:
    toml = '[octodns]\na = "env:NOT_SET"\nb = 2020-01-01\nc = {d = "file:/nonexistent/x"}\n'
    told = loader.problems(toml + "e = " + "[" * 9 + "]" * 9)
    assert told == [
        (
            "dnslb.toml:2: octodns.a: the environment variable NOT_SET that it names is not set, "
            "or empty"
        ),
        "dnslb.toml:3: octodns.b: expected a text, found a date or time",
        (
            "dnslb.toml:4: octodns.c.d: the file '/nonexistent/x' that it names cannot be read: "
            "No such file or directory"
        ),
        "dnslb.toml:5: octodns.e: is nested more than 8 deep",
    ]


def test_tables_that_are_none(loader: Loader) -> None:
    assert loader.problems("lb = 1\nguard = []\noctodns = true") == [
        "dnslb.toml:1: lb: expected a table [lb], found 1",
        "dnslb.toml:2: guard: expected a table [guard], found a list",
        "dnslb.toml:3: octodns: expected a table [octodns], found true",
    ]


def test_verification_can_be_switched_off(loader: Loader) -> None:
    config = loader.load('verify-servers = "off"')
    assert not config.verify.enabled
    settings = config.to_settings(Capabilities(verifiable=True))
    assert settings.unverified == "-verify-servers is off"
    assert loader.problems('verify-servers = ["off", "192.0.2.53"]') == [
        "dnslb.toml:1: verify-servers: expected servers, or off alone"
    ]


def test_changes_are_verified_where_it_is_known_whom_to_ask(loader: Loader) -> None:
    config = loader.load("")
    assert config.to_settings(Capabilities(verifiable=True)).unverified is None
    assert "-verify-servers names them" in str(config.to_settings(Capabilities()).unverified)
    named = loader.load('verify-servers = "192.0.2.53"')
    assert named.to_settings(Capabilities()).unverified is None


class TestFile:
    def test_missing(self, loader: Loader) -> None:
        assert loader.problems(argv=["-cfg", str(loader.file)]) == [
            "dnslb.toml: cannot be read: No such file or directory"
        ]

    def test_a_directory(self, loader: Loader) -> None:
        loader.file.mkdir()
        assert loader.problems(argv=["-cfg", str(loader.file), "-port", "x"]) == [
            "dnslb.toml: cannot be read: Is a directory",
            "-port: expected a whole number from 0 to 65535, found 'x'",
        ]

    def test_too_large(self, loader: Loader) -> None:
        assert loader.problems("#" * (4 * 1024 * 1024)) == []
        assert loader.problems("#" * (4 * 1024 * 1024 + 1)) == ["dnslb.toml: is larger than 4 MiB"]

    def test_no_text(self, loader: Loader) -> None:
        loader.file.write_bytes(b"# one\n# two \xff")
        assert loader.problems(argv=["-cfg", str(loader.file)]) == [
            "dnslb.toml:2: TOML is UTF-8 text, which these bytes are not"
        ]

    @pytest.mark.parametrize(
        ("toml", "told"),
        [
            ("a = 1\nb =\n", "dnslb.toml:2: is no valid TOML: invalid value, column 4"),
            ("a = 1\na = 2\n", "dnslb.toml:2: is no valid TOML: cannot overwrite a value"),
            ("a = [\n", "dnslb.toml:2: is no valid TOML: "),
            ("a = " + "9" * 5000, "dnslb.toml: is no valid TOML: invalid value"),
            ("a = " + "[" * 5000, "dnslb.toml: is no usable TOML: lists or tables are nested"),
        ],
    )
    def test_no_toml(self, loader: Loader, toml: str, told: str) -> None:
        (problem,) = loader.problems(toml)
        assert problem.startswith(told)

    def test_a_file_of_the_go_program_is_known(self, loader: Loader) -> None:
        loader.file = loader.file.with_suffix(".yaml")
        (problem,) = loader.problems("port: 8080\n")
        assert problem.startswith("dnslb.yaml:1: is no valid TOML: ")
        assert problem.endswith("is converted by: dnslb config convert dnslb.yaml")

    def test_a_number_beyond_all_measure(self, loader: Loader) -> None:
        digits = "0x" + "f" * 5000
        told = loader.problems(f"port = {digits}\nreport-max-age = {digits}\n")
        assert [problem.rpartition(", ")[2] for problem in told] == [
            "found a number with very many digits"
        ] * 2

    def test_a_file_names_no_other(self, loader: Loader) -> None:
        assert loader.problems('cfg = "x"\ninstance-id = "y"\nagent = ["z"]') == [
            "dnslb.toml:1: cfg: a file cannot name another file",
            "dnslb.toml:2: instance-id: there is no such key; did you mean instance-identifier?",
            "dnslb.toml:3: agent: there is no such key; did you mean agents?",
        ]
