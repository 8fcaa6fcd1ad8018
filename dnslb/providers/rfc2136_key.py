"""A TSIG key and the file that holds it, as ``tsig-keygen`` writes it and named includes it.

Not a reader of named.conf: one ``key`` statement, comments, nothing else.

Law: the secret appears in no message and no repr.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field
from pathlib import Path

from dnslb.errors import ConfigError

ALGORITHMS = ("hmac-sha256", "hmac-sha384", "hmac-sha512")
FILE_BYTES_MAX = 65_536
_ADVICE = "make one with 'tsig-keygen -a hmac-sha256 dnslb-key.'"
_COMMENT = re.compile(r'("[^"\n]*")|/\*.*?\*/|//[^\n]*|\#[^\n]*', re.DOTALL)
_TOKEN = re.compile(r'\s*(?:"([^"\n]*)"|([{};])|([^\s{};"]+))')
_NAME = re.compile(r"[a-z0-9_]([a-z0-9_.-]{0,251}[a-z0-9_])?")


@dataclass(frozen=True, slots=True)
class TsigKey:
    """``name``: lower case, without the final dot. Raises `ConfigError` for a key that cannot
    sign."""

    name: str
    algorithm: str
    secret: bytes = field(repr=False)

    def __post_init__(self) -> None:
        labels = self.name.split(".")
        if not _NAME.fullmatch(self.name) or any(not 0 < len(label) <= 63 for label in labels):
            raise ConfigError(f"the key name {self.name!r} is no DNS name; {_ADVICE}")
        if self.algorithm not in ALGORITHMS:
            raise ConfigError(
                f"the algorithm {self.algorithm!r} of the key {self.name} is none of "
                f"{', '.join(ALGORITHMS)}; {_ADVICE}"
            )
        if not self.secret:
            raise ConfigError(f"the secret of the key {self.name} is empty; {_ADVICE}")


def load_key(path: Path) -> TsigKey:
    """The key in a file. Blocks; raises `ConfigError` with a sentence that names the file."""
    try:
        with path.open("rb") as file:
            data = file.read(FILE_BYTES_MAX + 1)
    except OSError as e:
        raise ConfigError(f"the key file {path} cannot be read: {e.strerror or e}") from e
    if len(data) > FILE_BYTES_MAX:
        raise ConfigError(f"the key file {path} is larger than {FILE_BYTES_MAX} bytes; {_ADVICE}")
    try:
        return parse_key(data.decode())
    except UnicodeDecodeError as e:
        raise ConfigError(f"the key file {path} is no text; {_ADVICE}") from e
    except ConfigError as e:
        raise ConfigError(f"the key file {path}: {e}") from e


def parse_key(text: str) -> TsigKey:
    """The one key in ``text``; raises `ConfigError`, which never quotes what may be secret."""
    tokens = _tokens(_COMMENT.sub(lambda found: found[1] or " ", text))
    if tokens[:1] != ["key"] or tokens[2:3] != ["{"]:
        raise ConfigError(f"a statement 'key NAME {{ ... }};' was expected; {_ADVICE}")
    if tokens[-2:] != ["}", ";"]:
        raise ConfigError(f"the statement of the key does not end in '}};'; {_ADVICE}")
    given: dict[str, str] = {}
    inner = tokens[3:-2]
    for at in range(0, len(inner), 3):
        match inner[at : at + 3]:
            case ["algorithm" | "secret" as word, value, ";"] if word not in given:
                given[word] = value
            case _:
                raise ConfigError(
                    "exactly one key, with an algorithm and a secret, was expected; " + _ADVICE
                )
    if given.keys() != {"algorithm", "secret"}:
        raise ConfigError(f"the key has no algorithm or no secret; {_ADVICE}")
    try:
        secret = base64.b64decode(given["secret"], validate=True)
    except (binascii.Error, ValueError):
        # Without its cause, which would quote the secret in a traceback.
        raise ConfigError(f"the secret of the key is not base64; {_ADVICE}") from None
    name = tokens[1].lower().removesuffix(".")
    return TsigKey(name, given["algorithm"].lower().removesuffix("."), secret)


def _tokens(text: str) -> list[str]:
    tokens = []
    at, text = 0, text.rstrip()
    while at < len(text):
        found = _TOKEN.match(text, at)
        if found is None:
            raise ConfigError(f"a quotation mark in the key is never closed; {_ADVICE}")
        tokens.append(next(group for group in found.groups() if group is not None))
        at = found.end()
    return tokens
