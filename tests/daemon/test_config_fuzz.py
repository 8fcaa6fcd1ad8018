"""Whatever is given, there is a `Config` or a list of sentences; and no secret in the latter."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from hypothesis import given, strategies as st

from dnslb.daemon import flags
from dnslb.daemon.config import Config
from dnslb.daemon.flag import Flag
from dnslb.daemon.load import load_config
from dnslb.daemon.loadbalancer_tables import KEYS
from dnslb.daemon.problems import ConfigProblems, key_text
from dnslb.model.capabilities import Capabilities
from tests.daemon.loading import MINIMAL

SECRET = "hunter2secret"
NO_VARIABLE = f"env:{SECRET} "
WITH_PASSWORD = f"http://me:{SECRET}@192.0.2.1:1"
DIRECTORY = Path(tempfile.gettempdir())


def check(argv: Sequence[str], environ: Mapping[str, str] | None = None) -> Config | None:
    """Loads; sees that a `Config` can be used and that sentences are such."""
    config: Config | None = None
    try:
        config = load_config(argv, environ or {})
        config.to_settings(Capabilities())
        told = [repr(config), *config.warnings]
    except ConfigProblems as problems:
        told = [str(problems.problems[0]), *map(str, problems.problems), *problems.warnings]
    for sentence in told:
        assert sentence
        assert sentence.isprintable(), sentence
        assert SECRET not in sentence
    return config


def check_file(content: bytes, argv: Sequence[str] = MINIMAL) -> None:
    with tempfile.NamedTemporaryFile(suffix=".toml") as file:
        file.write(content)
        file.flush()
        check(["-cfg", file.name, *argv])


WORDS = st.sampled_from(
    [
        *("", "0", "1", "-1", "50%", "1h", "none", "keep", "on", "off", "true", "::1", "[::1]:1"),
        *("192.0.2.1", "192.0.2.1:80", "tcp://192.0.2.1:80", "http://[::1]:80/x", "x.example"),
        *("env:NOT_SET", "file:/nonexistent", "a b", "\0", "\x1b[31m", "\ud800", "é", "9" * 5000),
        *("singleton", "raft", "k8s", "file", "bind", "localhost:1", str(DIRECTORY), "/", "."),
    ]
)
TEXTS = st.one_of(WORDS, st.text(max_size=20))
# A lone surrogate can be an argument, but stands in no file.
TOML_TEXTS = TEXTS.filter(lambda text: text.isascii() or text.isprintable())


def toml_string(text: str) -> str:
    return '"' + "".join(c if c.isalnum() else f"\\U{ord(c):08x}" for c in text) + '"'


SCALARS = st.one_of(
    TOML_TEXTS.map(toml_string),
    st.integers(-(2**70), 2**70).map(str),
    st.floats().map(lambda f: f"{f:.3f}"),
    st.sampled_from(["true", "false", "2020-01-01", "07:32:00", "1979-05-27T07:32:00Z", "nan"]),
    st.just("0x" + "f" * 5000),
)
TOML_KEYS = st.one_of(
    st.sampled_from([*flags.BY_KEY, *flags.BY_NAME, *flags.TABLES, *KEYS, "monitor", "address"]),
    st.sampled_from(["max-withdraw-total", "window", "priority", "x.example", "X.example."]),
    TOML_TEXTS,
).map(toml_string)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=3).map(lambda items: f"[{', '.join(items)}]"),
        st.dictionaries(TOML_KEYS, inner, max_size=3).map(
            lambda table: "{" + ", ".join(f"{k} = {v}" for k, v in table.items()) + "}"
        ),
    ),
    max_leaves=8,
)
DOCUMENTS = st.dictionaries(TOML_KEYS, VALUES, max_size=8).map(
    lambda table: "\n".join(f"{key} = {value}" for key, value in table.items())
)


@given(DOCUMENTS)
def test_any_document(document: str) -> None:
    check_file(document.encode())


@given(st.dictionaries(st.sampled_from(KEYS).map(toml_string), VALUES, max_size=6))
def test_any_load_balancer(table: dict[str, str]) -> None:
    below = "\n".join(f"{key} = {value}" for key, value in table.items())
    endpoints = "" if '"endpoints"' in below else 'endpoints = ["http://192.0.2.1:80"]\n'
    check_file(f'[lb."www.example.org"]\n{endpoints}{below}'.encode())


@given(st.binary(max_size=60))
def test_any_bytes(content: bytes) -> None:
    check_file(content)


@given(st.text("[]{}=\"'.,#\\ \nab1-", max_size=60))
def test_anything_that_looks_like_toml(text: str) -> None:
    check_file(text.encode())


NAMES = st.sampled_from([flag.name for flag in flags.FLAGS if flag.name != "cfg"])
ARGUMENTS = st.one_of(
    NAMES.map(lambda name: f"-{name}"),
    st.tuples(NAMES, TEXTS).map(lambda pair: f"--{pair[0]}={pair[1]}"),
    TEXTS,
)


@given(st.lists(ARGUMENTS, max_size=8))
def test_any_arguments(argv: list[str]) -> None:
    check(argv)
    check([*MINIMAL, *argv])


@given(st.dictionaries(NAMES.map(lambda name: flags.BY_NAME[name].variable), TEXTS, max_size=6))
def test_any_environment(environ: dict[str, str]) -> None:
    check(MINIMAL, environ)


@given(TEXTS)
def test_any_file_name(name: str) -> None:
    check([*MINIMAL, f"-cfg={name}"])


HIDING = st.sampled_from(
    [(flag, text) for flag in flags.FLAGS if flag.kind.is_secret for text in (SECRET, NO_VARIABLE)]
    + [(flag, WITH_PASSWORD) for flag in flags.FLAGS if flag.kind.word == "URL"]
)


@given(HIDING, VALUES)
def test_no_secret_is_told(hiding: tuple[Flag[object], str], value: str) -> None:
    flag, text = hiding
    check([*MINIMAL, f"-{flag.name}", text])
    check([*MINIMAL, f"-{flag.name}x={text}"])
    check([*MINIMAL, f"-{flag.name}x", text])
    check([*MINIMAL], {flag.variable: text})
    check_file(f"{flag.key}x = {toml_string(text)}".encode())
    check_file(f"{flag.key} = {toml_string(text)}".encode())
    check_file(f"{flag.key} = [{value}, {toml_string(text)}]".encode())
    check_file(f"{flag.key} = {{ x = {toml_string(text)} }}".encode())


@given(st.lists(st.one_of(st.text(), st.integers(0, 99)), min_size=1))
def test_keys_are_shown_printable(path: list[str | int]) -> None:
    assert key_text(path).isprintable()
