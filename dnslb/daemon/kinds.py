"""The kinds of value that a flag can have: how each is written, checked and described.

Not the flags themselves (`flags.py`). Every kind reads text; a TOML value of a fitting type is
read through the same text, so that a flag means the same wherever it is given.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Generic, NamedTuple, TypeVar
from urllib.parse import urlsplit

from dnslb.daemon.duration import (
    EXPECTED_DURATION,
    EXPECTED_SHARE,
    format_duration,
    parse_duration,
    parse_share,
)
from dnslb.errors import InvalidValue
from dnslb.model.loadbalancer import to_address

T = TypeVar("T")
LIST_LENGTH_MAX = 1000
TEXT_LENGTH_MAX = 4096
_BOOLEANS = {  # as Go's strconv.ParseBool has them
    **dict.fromkeys(("1", "t", "T", "true", "TRUE", "True"), True),
    **dict.fromkeys(("0", "f", "F", "false", "FALSE", "False"), False),
}
_HOST = re.compile(r"(?=.{1,253}\Z)[A-Za-z0-9_]([A-Za-z0-9_-]*[A-Za-z0-9_])?(\.[A-Za-z0-9_-]+)*\.?")


class Unshown(InvalidValue):
    """What was found may hold a secret: the sentence stands alone."""


class Address(NamedTuple):
    """A host (name or IP address without brackets) and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class Kind(Generic[T]):
    """``read`` raises ValueError; an `InvalidValue` brings its own sentence, any other gets
    ``expected``. ``split`` cuts the text of a list into its items, each of which ``read`` gets.
    ``word`` stands for the value in the help; ``toml_types``: what TOML may have in its place.
    """

    word: str
    expected: str
    read: Callable[[str], Any]
    toml_types: tuple[type, ...] = (str,)
    split: Callable[[str], list[str]] | None = None
    is_switch: bool = False
    is_secret: bool = False


def _commas(text: str) -> list[str]:
    return [item.strip() for item in text.split(",")]


def listed(kind: Kind[T], split: Callable[[str], list[str]] = _commas) -> Kind[tuple[T, ...]]:
    """Several of a kind: a list in TOML, elsewhere repeated or separated as ``split`` says."""
    return replace(kind, split=split)  # type: ignore[return-value]


def _boolean(text: str) -> bool:
    if (value := _BOOLEANS.get(text)) is None:
        raise ValueError
    return value


def _on_off(text: str) -> bool:
    return _boolean({"on": "true", "off": "false"}.get(text, text))


SWITCH: Kind[bool] = Kind("", "true or false", _boolean, (bool,), is_switch=True)
ON_OFF: Kind[bool] = Kind("on|off", "on or off", _on_off, (bool, str))
SECRET: Kind[Any] = Kind(
    "SECRET", "a text, env:NAME or file:PATH", lambda text: text, is_secret=True
)


def choice(*words: str) -> Kind[str]:
    def read(text: str) -> str:
        if text not in words:
            raise ValueError
        return text

    return Kind("|".join(words), f"{', '.join(words[:-1])} or {words[-1]}", read)


def integer(low: int, high: int) -> Kind[int]:
    def read(text: str) -> int:
        if not re.fullmatch(r"-?[0-9]{1,18}", text) or not low <= int(text) <= high:
            raise ValueError
        return int(text)

    return Kind("N", f"a whole number from {low} to {high}", read, (int,))


def duration(low_s: float, high_s: float) -> Kind[float]:
    bounds = f"from {format_duration(low_s)} to {format_duration(high_s)}"

    def read(text: str) -> float:
        if not low_s <= (seconds := parse_duration(text)) <= high_s:
            raise InvalidValue(f"expected a duration {bounds}")
        return seconds

    return Kind("D", f"{EXPECTED_DURATION}, {bounds}", read, (int, float, str))


SHARE: Kind[float] = Kind("N%", EXPECTED_SHARE, parse_share)


def word(pattern: str, expected: str, hint: str, refused: str = "") -> Kind[str]:
    """Text that matches ``pattern`` whole and is not ``refused``."""
    compiled = re.compile(pattern)

    def read(text: str) -> str:
        if text == refused or not compiled.fullmatch(text):
            raise ValueError
        return text

    return Kind(hint, expected, read)


def _printable(text: str) -> str:
    if len(text) > TEXT_LENGTH_MAX or not text.isprintable():
        raise ValueError
    return text


def _path(text: str) -> Path:
    # Bytes that are no text in this locale come as surrogates, which are not printable.
    if not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text):
        text.encode(errors="surrogateescape")
    elif not text.isprintable():
        raise ValueError
    if len(text) > TEXT_LENGTH_MAX or "\0" in text:
        raise ValueError
    return Path(text)


TEXT: Kind[str] = Kind("TEXT", "printable text", _printable)
PATH: Kind[Path] = Kind("PATH", "the path of a file or directory", _path)


def _ip_address(text: str) -> str:
    try:
        return to_address(text)
    except InvalidValue:
        raise ValueError from None


def _host(text: str) -> str:
    try:
        return _ip_address(text.removeprefix("[").removesuffix("]"))
    except ValueError:
        # Numbers and dots would be looked up as a name, and never found.
        if not _HOST.fullmatch(text) or re.fullmatch(r"[0-9.]+", text):
            raise
        return text.lower()


IP_ADDRESS: Kind[str] = Kind("ADDRESS", "an IPv4 or IPv6 address", _ip_address)
HOST: Kind[str] = Kind("HOST", "an IP address or a host name", _host)


def address(default_port: int | None = None) -> Kind[Address]:
    """``host:port``; the port may be left out where there is a default for it."""

    def read(text: str) -> Address:
        host, colon, port = text.rpartition(":")
        unbracketed_v6 = ":" in host and not (host.startswith("[") and host.endswith("]"))
        if default_port is not None and (not colon or unbracketed_v6 or text.endswith("]")):
            return Address(_host(text), default_port)
        if unbracketed_v6 or not re.fullmatch("[0-9]{1,5}", port) or int(port) > 65535:
            raise ValueError
        return Address(_host(host), int(port))

    if default_port is None:
        return Kind("HOST:PORT", "host:port, such as 192.0.2.1:443 or [2001:db8::1]:443", read)
    return Kind("HOST[:PORT]", f"a host, with :port where it is not {default_port}", read)


def _url(text: str) -> str:
    if "@" in text:
        raise Unshown("expected a URL without user and password, which have flags of their own")
    if len(text) > TEXT_LENGTH_MAX or not re.fullmatch(r"https?://[\x21-\x7e]+", text):
        raise ValueError
    parts = urlsplit(text)
    if not parts.hostname or parts.query or parts.fragment or parts.port == 0:
        raise ValueError
    _host(parts.hostname)
    return text.rstrip("/")


URL: Kind[str] = Kind("URL", "a URL such as https://192.0.2.1:2379", _url)


def lb_items(text: str) -> list[str]:
    # A comma separates endpoints, so several load balancers in one text need something else.
    return [item for item in re.split(r"[;\s]+", text) if item]


NAME = word(
    r"[A-Za-z0-9]([A-Za-z0-9._-]{0,61}[A-Za-z0-9])?",
    "1 to 63 letters, digits, '-', '_' or '.', with a letter or digit at each end",
    "NAME",
)
# `monitors` is where healthd keeps the list of monitors, beside the agents' own keys.
AGENT_NAME = word(
    r"[A-Za-z0-9]([A-Za-z0-9._-]{0,251}[A-Za-z0-9])?",
    "the name of an agent: letters, digits, '-', '_' or '.', and not \"monitors\"",
    "NAME",
    refused="monitors",
)
LABEL = word(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?", "a Kubernetes name", "NAME")
CLASS = word(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", "a dotted class name", "CLASS")
LB_ITEM: Kind[str] = Kind("NAME=URL,...", "name=url,url,...", lambda text: text)
VERIFY_OFF = Address("off", 53)
VERIFY_SERVER: Kind[Address] = Kind("HOST,...|off", HOST.expected, address(53).read)
