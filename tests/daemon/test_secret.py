"""A secret is given out by `reveal` alone; no sentence about a wrong one holds it."""

from __future__ import annotations

import copy
import json
import logging
import pickle
from dataclasses import asdict, dataclass
from pathlib import Path

import pytest

from dnslb.daemon.secret import SECRET_BYTES_MAX, Secret, read_secret
from dnslb.errors import InvalidValue

HUNTER = "hunter2-very-secret"


@dataclass(frozen=True)
class _Holder:
    password: Secret


def test_a_secret_shows_nothing() -> None:
    secret = Secret(HUNTER)
    shown = [repr(secret), str(secret), f"{secret}", f"{secret:>40}", f"{secret!r}"]
    shown += [repr(_Holder(secret)), str([secret]), _record(secret).getMessage()]
    assert not [text for text in shown if HUNTER in text]
    assert secret.reveal() == HUNTER


def _record(secret: Secret) -> logging.LogRecord:
    return logging.LogRecord("dnslb", logging.INFO, "", 0, "password %s", (secret,), None)


def test_a_secret_is_not_copied_out() -> None:
    secret = Secret(HUNTER)
    for copy_out in (copy.deepcopy, pickle.dumps, json.dumps, lambda s: asdict(_Holder(s))):
        with pytest.raises(TypeError) as raised:
            copy_out(secret)
        assert HUNTER not in str(raised.value)


def test_secrets_compare_by_their_text() -> None:
    assert Secret("a") == Secret("a")
    assert Secret("a") != Secret("b")
    assert Secret("a") != "a"
    assert hash(Secret("a")) == hash(Secret("a"))


def test_the_text_itself() -> None:
    assert read_secret("s3:cret", {}) == Secret("s3:cret")


def test_from_the_environment() -> None:
    assert read_secret("env:PW", {"PW": HUNTER}) == Secret(HUNTER)


@pytest.mark.parametrize("environ", [{}, {"PW": ""}])
def test_a_variable_that_is_not_there(environ: dict[str, str]) -> None:
    with pytest.raises(InvalidValue, match="environment variable PW that it names is not set"):
        read_secret("env:PW", environ)


def test_what_is_no_variable_is_not_shown() -> None:
    with pytest.raises(InvalidValue, match="expected the name of an environment variable") as e:
        read_secret(f"env:{HUNTER}", {})
    assert HUNTER not in str(e.value)


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_from_a_file(tmp_path: Path, end: str) -> None:
    (tmp_path / "pw").write_bytes(f"{HUNTER} {end}".encode())
    assert read_secret(f"file:{tmp_path}/pw", {}) == Secret(f"{HUNTER} ")


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "cannot be read: No such file or directory"),
        (b"", "is empty"),
        (b"\n", "is empty"),
        (b"\xff" + HUNTER.encode(), "is no UTF-8 text"),
        (b"x" * (SECRET_BYTES_MAX + 1), "is larger than 65536 bytes"),
    ],
)
def test_a_file_that_is_no_secret(tmp_path: Path, content: bytes | None, why: str) -> None:
    path = tmp_path / "pw"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidValue, match=why) as raised:
        read_secret(f"file:{path}", {})
    assert str(path) in str(raised.value)
    assert HUNTER not in repr(raised.value)
    # A traceback of the cause would show the bytes.
    assert raised.value.__cause__ is None


def test_a_file_name_that_is_none() -> None:
    with pytest.raises(InvalidValue, match="this is no file name"):
        read_secret("file:a\0b", {})
