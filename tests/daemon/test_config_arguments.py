"""Arguments as Go's flag package reads them, and the kinds of values."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnslb.daemon import flags
from dnslb.daemon.kinds import Address
from dnslb.daemon.layers import Values, gather
from dnslb.daemon.problems import Findings


def read(*argv: str) -> tuple[Values, list[str], tuple[str, ...]]:
    findings = Findings()
    values = gather(argv, {}, findings)
    return values, [str(problem) for problem in findings.problems], findings.warnings


@pytest.mark.parametrize(
    "argv", [("-port", "9"), ("--port", "9"), ("-port=9",), ("--port=9",), ("-port=1", "-port=9")]
)
def test_the_four_ways_to_give_a_value(argv: tuple[str, ...]) -> None:
    values, told, _ = read(*argv)
    assert values[flags.PORT] == 9
    assert told == []


@pytest.mark.parametrize(
    ("argument", "value"),
    [("-debug", True), ("--debug", True)]
    + [(f"-debug={word}", True) for word in ("1", "t", "T", "true", "TRUE", "True")]
    + [(f"-debug={word}", False) for word in ("0", "f", "F", "false", "FALSE", "False")],
)
def test_switches(argument: str, value: bool) -> None:
    values, told, _ = read(argument, "-port=9")
    assert values[flags.DEBUG] is value
    assert values[flags.PORT] == 9
    assert told == []


def test_a_value_behind_an_equals_sign_may_hold_others() -> None:
    values, _, _ = read("-lb=x.example=http://192.0.2.1:80/a=b")
    assert values[flags.LB] == ("x.example=http://192.0.2.1:80/a=b",)


def test_what_is_repeated_adds_up() -> None:
    values, told, warnings = read("-agent", "a", "-agent=b,c", "--agent", "d")
    assert values[flags.AGENT] == ("a", "b", "c", "d")
    assert (told, warnings) == ([], ())


def test_what_is_given_twice_and_counts_once_is_warned_of() -> None:
    _, _, warnings = read("-port=1", "-port=2")
    assert warnings == ("-port: is given more than once: the last one counts",)


@pytest.mark.parametrize(
    ("argv", "told"),
    [
        (("-debug", "false"), "-debug: takes its value after '=': write -debug=false"),
        (("-debug=maybe",), "-debug: expected true or false, found 'maybe'"),
        (("-debug=",), "-debug: expected true or false, found nothing"),
        (("-port",), "-port: needs a value: expected a whole number from 0 to 65535"),
        (("-port", "-debug"), "-port: needs a value: expected a whole number from 0 to 65535"),
        (("-port=",), "-port: expected a whole number from 0 to 65535, found nothing"),
        (("---port=1",), "command line: expected a flag, found '---port=1'"),
        (("-",), "command line: expected a flag, found '-'"),
        (("--",), "command line: expected a flag, found '--'"),
        (("",), "command line: expected a flag, found nothing"),
        (("-=1",), "command line: expected a flag, found '-=1'"),
        (("-bogus=1",), "command line: there is no flag '-bogus'"),
        (("-agnet", "x"), "command line: there is no flag '-agnet'; did you mean -agent?"),
        (("-Port=1",), "command line: there is no flag '-Port'; did you mean -port?"),
    ],
)
def test_mistakes_leave_the_rest_readable(argv: tuple[str, ...], told: str) -> None:
    values, problems, _ = read(*argv, "-listen=127.0.0.9")
    assert problems == [told]
    assert values[flags.LISTEN] == "127.0.0.9"


GOOD: list[tuple[str, str, object]] = [
    ("port", "0", 0),
    ("port", "65535", 65535),
    ("report-max-age", "1m30s", 90.0),
    ("instance-id", "identifier_1", "identifier_1"),
    ("agent", "host.example.org", ("host.example.org",)),
    ("listen", "::1", "::1"),
    ("listen", "2001:DB8::1", "2001:db8::1"),
    ("listen", "LocalHost", "localhost"),
    ("healthd-listen", "0.0.0.0:443", Address("0.0.0.0", 443)),
    ("healthd-listen", "[::]:443", Address("::", 443)),
    ("raft-address", "localhost:3648", Address("localhost", 3648)),
    ("bind-server", "192.0.2.53", Address("192.0.2.53", 53)),
    ("bind-server", "2001:db8::53", Address("2001:db8::53", 53)),
    ("bind-server", "[2001:db8::53]", Address("2001:db8::53", 53)),
    ("bind-server", "[2001:db8::53]:5353", Address("2001:db8::53", 5353)),
    ("bind-server", "ns.example:5353", Address("ns.example", 5353)),
    ("bind-ownership", "off", False),
    ("bind-ownership", "on", True),
    ("bind-ownership", "true", True),
    ("etcd", "http://a:1,https://[2001:db8::1]:2/", ("http://a:1", "https://[2001:db8::1]:2")),
    ("file-dir", "/var/lib/zones", Path("/var/lib/zones")),
    ("octodns-class", "octodns_bind.Rfc2136Provider", "octodns_bind.Rfc2136Provider"),
]


@pytest.mark.parametrize(("name", "text", "value"), GOOD)
def test_good_values(name: str, text: str, value: object) -> None:
    values, told, _ = read(f"-{name}", text)
    assert values[flags.BY_NAME[name]] == value
    assert told == []


BAD = [
    ("port", "65536"),
    ("port", "-1"),
    ("port", "8_0"),
    ("port", "0x50"),
    ("port", "\u0661"),
    ("report-max-age", "0"),
    ("report-max-age", "2h"),
    ("report-max-age", "nan"),
    ("election", "Raft"),
    ("instance-id", "a/b"),
    ("instance-id", ".."),
    ("instance-id", "-a"),
    ("instance-id", "a" * 64),
    ("agent", "monitors"),
    ("agent", "a,,b"),
    ("listen", "256.1.1.1"),
    ("listen", "a b"),
    ("listen", "fe80::1%eth0"),
    ("healthd-listen", ":443"),
    ("healthd-listen", "443"),
    ("healthd-listen", "192.0.2.1"),
    ("healthd-listen", "2001:db8::1:443"),
    ("healthd-listen", "192.0.2.1:65536"),
    ("raft-address", "http://a:1"),
    ("bind-server", "ns.example:"),
    ("bind-server", ":53"),
    ("bind-ownership", "maybe"),
    ("etcd", "192.0.2.1:2379"),
    ("etcd", "http://"),
    ("etcd", "http://a:99999"),
    ("etcd", "http://a/?q=1"),
    ("file-dir", "a\nb"),
    ("file-dir", "a\0b"),
    ("octodns-class", "Provider"),
    ("octodns-class", "os.system()"),
    ("k8s-lock-name", "Dnslb"),
    ("autodns-context", "four"),
]


@pytest.mark.parametrize(("name", "text"), BAD)
def test_bad_values_say_what_was_expected_and_found(name: str, text: str) -> None:
    values, told, _ = read(f"-{name}={text}")
    (problem,) = told
    assert problem.startswith(f"-{name}: expected ")
    assert ", found " in problem
    assert not values.is_known(flags.BY_NAME[name])
    assert values[flags.BY_NAME[name]] == flags.BY_NAME[name].default


def test_a_password_in_a_url_is_not_shown() -> None:
    for url in ("http://me:geheim@192.0.2.1:2379", "htp:/me:geheim@x"):
        _, told, _ = read("-etcd", url)
        assert told == [
            "-etcd: expected a URL without user and password, which have flags of their own"
        ]


def test_a_long_value_is_shown_in_part() -> None:
    _, told, _ = read("-port", "x" * 10_000)
    assert len(told[0]) < 200


def test_a_list_has_an_end() -> None:
    _, told, _ = read("-agent", ",".join(f"a{i}" for i in range(1001)))
    assert told == ["-agent: has more than 1000 entries"]


def test_every_flag_has_a_variable_and_a_key_of_its_own() -> None:
    assert len(flags.BY_NAME) == len(flags.FLAGS)
    assert len({flag.variable for flag in flags.FLAGS}) == len(flags.FLAGS)
    assert len(flags.BY_KEY) == len(flags.FLAGS) - 1
    assert flags.BY_NAME["autodns-password"].variable == "AUTODNS_PASSWORD"
    assert flags.BY_NAME["k8s-lock-namespace"].variable == "K8S_LOCK_NAMESPACE"
    for flag in flags.FLAGS:
        assert flag.belongs_to is None or flag.belongs_to[0] in flags.BY_NAME
