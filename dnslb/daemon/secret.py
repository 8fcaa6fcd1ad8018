"""A value that is shown to nobody, and the three ways to give one.

Law: a secret is in no log, dump, status, error or ``repr``; only `Secret.reveal` gives it out.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn

from dnslb.errors import InvalidValue

SECRET_BYTES_MAX = 65_536
HIDDEN = "***"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,127}")


class Secret:
    """Wraps a text; equal to another with the same text, and shown as ``***`` everywhere."""

    __slots__ = ("__text",)

    def __init__(self, text: str) -> None:
        self.__text = text

    def reveal(self) -> str:
        return self.__text

    def __repr__(self) -> str:
        return f"Secret({HIDDEN})"

    def __str__(self) -> str:
        return HIDDEN

    def __format__(self, spec: str) -> str:
        return HIDDEN

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other.reveal() == self.__text

    def __hash__(self) -> int:
        return hash((Secret, self.__text))

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not copied or pickled")


def read_secret(text: str, environ: Mapping[str, str]) -> Secret:
    """The secret that ``text`` is or names: ``env:NAME``, ``file:PATH`` or the text itself.

    Raises `InvalidValue`; its sentence names the variable or the file, never the content.
    """
    scheme, colon, rest = text.partition(":")
    if colon and scheme == "env":
        return Secret(_from_variable(rest, environ))
    if colon and scheme == "file":
        return Secret(_from_file(rest))
    return Secret(text)


def _from_variable(name: str, environ: Mapping[str, str]) -> str:
    # What is no name of a variable may be the secret itself, written in the wrong place.
    if not _VARIABLE.fullmatch(name):
        raise InvalidValue("expected the name of an environment variable after env:")
    if not (value := environ.get(name)):
        raise InvalidValue(f"the environment variable {name} that it names is not set, or empty")
    return value


def _from_file(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(SECRET_BYTES_MAX + 1)
    except (OSError, ValueError) as error:
        why = (error.strerror if isinstance(error, OSError) else None) or "this is no file name"
        raise InvalidValue(f"the file {path!r} that it names cannot be read: {why}") from None
    if len(content) > SECRET_BYTES_MAX:
        raise InvalidValue(f"the file {path!r} is larger than {SECRET_BYTES_MAX} bytes")
    try:
        # Editors and `echo` end a file with a newline that belongs to no password.
        text = content.decode().removesuffix("\n").removesuffix("\r")
    except UnicodeDecodeError:
        # Without its cause, which holds the bytes.
        raise InvalidValue(f"the file {path!r} that it names is no UTF-8 text") from None
    if not text:
        raise InvalidValue(f"the file {path!r} that it names is empty")
    return text


def is_open_to_all(path: Path) -> bool:
    """Whether every user of this machine may read it, as far as its own mode says."""
    try:
        return bool(path.stat().st_mode & stat.S_IROTH)
    except (OSError, ValueError):
        return False


def open_to_all(path: Path) -> str:
    return f"every user of this machine can read {str(path)!r}: chmod o-r takes that from them"
