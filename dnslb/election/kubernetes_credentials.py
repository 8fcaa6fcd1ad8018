"""Credentials that a kubeconfig does not give: what its plug-in ran into, and what to do.

Not the loading (`kubernetes`). The package says what goes wrong in a plug-in to the root logger
alone, in the plug-in's own words, and goes on without credentials; here that is caught.

Law: of a kubeconfig nothing is shown but the command of its plug-in, without what follows it; of
a plug-in nothing but how it ended: its arguments, environment and output may hold a secret.
"""

from __future__ import annotations

import logging
import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import yaml

from dnslb.election.kubernetes_codec import one_line

_ENDED = re.compile(r"(?:exec|cmd-path): process returned (-?\d+)")
_NOT_STARTED = re.compile(r"\[Errno \d+\] ([A-Za-z ]+)")
_BY_HAND = "Run it by hand, as the user and with the arguments and environment of dnslb"


class _Ear(threading.local):
    """What a thread hears said to the root logger; None while it does not listen."""

    words: list[str] | None = None

    def filter(self, record: logging.LogRecord) -> bool:
        if self.words is None:
            return True
        self.words.append(record.getMessage())
        return False


_ear = _Ear()
# Of the logger, not of its handlers: it sees what is said to the root itself, not to dnslb's own.
logging.getLogger().addFilter(_ear.filter)


@contextmanager
def overheard() -> Iterator[list[str]]:
    """What this thread says to the root logger meanwhile; none of it reaches the log."""
    words: list[str] = []
    before, _ear.words = _ear.words, words
    try:
        yield words
    finally:
        _ear.words = before


def trouble(words: list[str]) -> str:
    """What a plug-in ran into, without what it wrote; "" where it said nothing."""
    if not words:
        return ""
    text = words[-1]
    if ended := _ENDED.match(text):
        return f"it ended with {ended[1]}"
    if not_started := _NOT_STARTED.match(text):
        return f"it could not be started ({not_started[1].strip()})"
    return "it answered nothing that can be used"


def is_of_plug_in(text: str) -> bool:
    """Whether an error of the package quotes a plug-in."""
    return text.startswith(("exec:", "cmd-path:"))


def advice(kubeconfig: Path, words: list[str]) -> str:
    """Who should have given the credentials, what became of it, and what to do; a sentence."""
    user = _user(kubeconfig)
    why = trouble(words)
    if command := _command(user):
        became = f": {why}" if why else ""
        return f"Its plug-in {command} gave none{became}. {_BY_HAND}, and see what it says."
    if "exec" in user:
        return "Its exec names no command to run."
    if "auth-provider" in user:
        name = one_line(str(_mapping(user["auth-provider"]).get("name", ""))).rstrip(".")
        return (
            f"Its auth-provider {name} gave none; `kubectl --kubeconfig {kubeconfig} get lease` "
            "run by hand shows whether it still works; an exec plug-in takes its place."
        )
    return (
        "The user of its current context needs a token, a client certificate (for https), a name "
        "and a password, or a plug-in."
    )


def _command(user: Mapping[str, object]) -> str:
    """Of its exec or auth-provider, or "". Arguments may follow it in the same text."""
    provider = _mapping(user.get("auth-provider"))
    for text in (
        _mapping(user.get("exec")).get("command"),
        _mapping(provider.get("config")).get("cmd-path"),
    ):
        if isinstance(text, str) and text.split():
            return one_line(text.split()[0]).rstrip(".")
    return ""


def _user(kubeconfig: Path) -> Mapping[str, object]:
    """Of its current context; empty where it cannot be found."""
    try:
        whole = _mapping(yaml.safe_load(kubeconfig.read_text(encoding="utf-8")))
    except (OSError, ValueError, RecursionError, yaml.YAMLError):
        # Whoever loaded it says so; here it only has no user.
        return {}
    context = _named(whole.get("contexts"), whole.get("current-context"), "context")
    return _named(whole.get("users"), context.get("user"), "user")


def _named(items: object, name: object, key: str) -> Mapping[str, object]:
    for item in items if isinstance(items, list) else ():
        if _mapping(item).get("name") == name:
            return _mapping(item[key]) if key in item else {}
    return {}


def _mapping(value: object) -> Mapping[str, object]:
    return value if isinstance(value, Mapping) else {}
