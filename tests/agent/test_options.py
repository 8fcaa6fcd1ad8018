"""The command line: healthagent's flags in all their spellings, and every mistake at once."""

from __future__ import annotations

from pathlib import Path

import pytest

from dnslb.agent.options import USAGE, HelpWanted, OptionErrors, Options, read_options
from dnslb.net.tls import TlsFiles

FILES = ["-ca", "ca.crt", "-crt", "client.crt", "-key", "client.key"]
UPSTREAM = ["-upstream", "https://192.0.2.1:8443"]


def read(*arguments: str) -> Options:
    return read_options([*FILES, *UPSTREAM, *arguments], "host-1")


def test_what_is_not_given_is_as_healthagent_has_it() -> None:
    assert read() == Options(
        name="host-1",
        upstreams=("https://192.0.2.1:8443/",),
        tls=TlsFiles(ca=Path("ca.crt"), cert=Path("client.crt"), key=Path("client.key")),
        mode="first",
        interval_s=1.0,
        sync_interval_s=30.0,
        keep_alive_s=30.0,
        json_logging=False,
        debug=False,
    )


@pytest.mark.parametrize("dashes", ["-", "--"])
@pytest.mark.parametrize("joined", [True, False])
def test_flags_have_one_dash_or_two_and_an_equals_sign_or_none(dashes: str, joined: bool) -> None:
    given = {
        "name": "fra-1",
        "upstream": "https://[2001:db8::1]:8443/x",
        "upstream-mode": "all",
        "interval": "5",
        "sync-interval": "60",
        "keep-alive": "10",
    }
    arguments: list[str] = []
    for flag, value in given.items():
        arguments += [f"{dashes}{flag}={value}"] if joined else [f"{dashes}{flag}", value]
    options = read(*arguments, f"{dashes}json-logging", f"{dashes}debug=true")
    assert options.name == "fra-1"
    assert options.upstreams == ("https://192.0.2.1:8443/", "https://[2001:db8::1]:8443/x")
    assert options.mode == "all"
    assert (options.interval_s, options.sync_interval_s, options.keep_alive_s) == (5, 60, 10)
    assert options.json_logging
    assert options.debug


def test_of_a_repeated_flag_the_last_counts_but_upstreams_add_up() -> None:
    options = read("-name", "a", "-name", "b", "-upstream", "https://b", *UPSTREAM)
    assert options.name == "b"
    assert options.upstreams == ("https://192.0.2.1:8443/", "https://b/")


def test_switches_can_be_switched_off() -> None:
    assert not read("-json-logging=false", "-debug=0").json_logging


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["-interval", "0"], "-interval '0': expected 0.1 to 3600 seconds"),
        (["-interval", "nan"], "-interval 'nan': expected 0.1 to 3600 seconds"),
        (["-keep-alive", "0"], "-keep-alive '0': expected 1 to 86400 seconds"),
        (["-sync-interval", "soon"], "-sync-interval 'soon': expected 1 to 86400 seconds"),
        (["-upstream-mode", "some"], "-upstream-mode 'some': expected first or all"),
        (["-name", ""], "-name '': expected up to 253 printable ASCII characters, no spaces"),
        (["-upstream", "192.0.2.1"], "-upstream '192.0.2.1': expected https://host[:port]"),
        (["-upstream", "https://"], "-upstream 'https://': expected https://host[:port]"),
        (["-upstream", "https://a:x"], "-upstream 'https://a:x': expected https://host[:port]"),
        (["-upstream", "ftp://a"], "-upstream 'ftp://a': expected https://host[:port]"),
        (
            ["-upstream", "https://a/?b"],
            (
                "-upstream 'https://a/?b': expected https://host[:port], "
                "without user, query or fragment"
            ),
        ),
        (
            ["-upstream", "http://a"],
            (
                "-upstream 'http://a': expected https://host[:port], "
                "since over plain HTTP nobody proves who they are"
            ),
        ),
        (["-debug=maybe"], "-debug=maybe: expected true or false, or no value at all"),
        (["-interval"], "-interval stands alone: expected a value after it"),
        (["-colour", "red"], "-colour is not known: expected one of those that -help lists"),
        (["run"], "'run' is no flag: expected one of those that -help lists"),
        (["--"], "'--' is no flag: expected one of those that -help lists"),
        (["---name=x"], "'---name=x' is no flag: expected one of those that -help lists"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str) -> None:
    with pytest.raises(OptionErrors) as errors:
        read(*arguments)
    assert errors.value.sentences[0] == sentence


def test_all_mistakes_are_told_at_once() -> None:
    with pytest.raises(OptionErrors) as errors:
        read_options(["-interval", "x", "-key", "k", "-colour=red"], "host-1")
    assert errors.value.sentences == (
        "-colour is not known: expected one of those that -help lists",
        "no upstream is given: expected -upstream https://host[:port]",
        "no CA is given: expected -ca FILE",
        "no client certificate is given: expected -crt FILE",
        "-interval 'x': expected 0.1 to 3600 seconds",
    )
    assert errors.value.tls == TlsFiles(key=Path("k"))


@pytest.mark.parametrize("flag", ["-h", "-help", "--help"])
def test_help_is_no_mistake(flag: str) -> None:
    with pytest.raises(HelpWanted):
        read_options(["-nonsense", flag], "host-1")


def test_the_usage_names_every_flag() -> None:
    for flag in ("name", "upstream", "upstream-mode", "ca", "crt", "key", "interval"):
        assert f"  -{flag} " in USAGE
    for flag in ("sync-interval", "keep-alive", "json-logging", "debug", "help"):
        assert f"  -{flag} " in USAGE
