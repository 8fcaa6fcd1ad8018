"""Reads a TOML file within limits; what is wrong with it as a whole is one sentence.

Not what its keys mean (`layers.py`).
"""

from __future__ import annotations

import re
import tomllib

from dnslb.daemon.origin import Document
from dnslb.daemon.problems import Problem

FILE_BYTES_MAX = 4 * 1024 * 1024
_AT = re.compile(r" \(at (?:line (\d+), column (\d+)|end of document)\)")


def read_document(path: str) -> Document | Problem:
    """The file's values and text, or why there are none."""
    name = path if path.isprintable() else repr(path)
    try:
        with open(path, "rb") as file:
            content = file.read(FILE_BYTES_MAX + 1)
    except OSError as error:
        return Problem(name, f"cannot be read: {error.strerror or error}")
    if len(content) > FILE_BYTES_MAX:
        return Problem(name, f"is larger than {FILE_BYTES_MAX // 1024 // 1024} MiB")
    try:
        text = content.decode()
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return Problem(f"{name}:{line}", "TOML is UTF-8 text, which these bytes are not")
    document = parse_document(name, text)
    if isinstance(document, Problem) and path.endswith((".yaml", ".yml")):
        hint = f"a YAML file of the Go program is converted by: dnslb config convert {name}"
        return Problem(document.place, f"{document.sentence}; {hint}")
    return document


def parse_document(name: str, text: str) -> Document | Problem:
    """``text`` as TOML; ``name`` stands for the file in sentences."""
    try:
        return Document(name, text, tomllib.loads(text))
    except RecursionError:
        return Problem(name, "is no usable TOML: lists or tables are nested too deeply")
    except ValueError as error:
        # tomllib lets ValueErrors of int() and of surrogates through beside its own.
        message = str(error) if isinstance(error, tomllib.TOMLDecodeError) else "Invalid value"
        at = _AT.search(message)
        sentence = _AT.sub("", message)
        sentence = sentence[:1].lower() + sentence[1:]
        if at is None:
            return Problem(name, f"is no valid TOML: {sentence}")
        line = int(at[1]) if at[1] else text.count("\n") + 1
        column = f", column {at[2]}" if at[2] else ""
        return Problem(f"{name}:{line}", f"is no valid TOML: {sentence}{column}")
