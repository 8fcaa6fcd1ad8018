"""A form as a value: what it asks, and what it says follows from what was typed so far.

Pure. The screen that shows it is `screens.form`; what the forms are about is in `steering`,
`deciding` and `membership`.

Law: a form is about what it was opened for, whatever moves beneath it; it is judged anew by the
newest picture at every key and at every change, and what lowers safety is typed, not clicked.
"""

from __future__ import annotations

import shlex
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass

from dnslbctl import cli
from dnslbctl.console.ink import Line
from dnslbctl.viewmodel import Picture

COMMAND_S = 30.0
CONFIRM = "confirm"
"""The name of the field in which is typed what lowers safety."""


@dataclass(frozen=True, slots=True)
class Field:
    """``choices``: (value, label) to choose from; without any it is written freely."""

    name: str
    label: str
    value: str = ""
    hint: str = ""
    choices: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """One POST: ``target`` below the API's prefix."""

    target: str
    body: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What a form says about the present and the values typed so far.

    ``so``: the consequences. ``lacks``: what is still to be typed; ``forbids``: why it cannot be
    done at all. Either keeps the button off. ``typed``: what has to be typed to confirm it; "":
    nothing. ``verb``: the same by the command line.
    """

    verb: str
    request: Request
    so: tuple[Line, ...] = ()
    lacks: str = ""
    forbids: str = ""
    typed: str = ""
    wait_s: float = COMMAND_S


@dataclass(frozen=True)
class Form(ABC):
    """``danger``: whether its frame warns. Heirs judge, and may keep what they are about."""

    title: str
    what: tuple[Line, ...] = ()
    fields: tuple[Field, ...] = ()
    button: str = "Do it"
    danger: bool = False

    @abstractmethod
    def judge(self, values: Mapping[str, str], picture: Picture) -> Judgement:
        """What follows from ``values``, by the newest picture."""


@dataclass(frozen=True, slots=True)
class Length:
    """How long an order holds: ``seconds`` None without end; ``wrong``: why it is none."""

    seconds: float | None = None
    wrong: str = ""
    text: str = ""


def length_of(text: str, *, needed: bool = False) -> Length:
    """Reads ``30m``, ``2h``, ``forever`` or, unless it is needed, nothing."""
    if text == cli.FOREVER or (not text and not needed):
        return Length()
    if not text:
        return Length(wrong="say for how long: 30m, 2h, forever")
    try:
        return Length(cli.duration_s(text), text=text)
    except cli.Usage:
        return Length(wrong=f"{text} is no duration: 30m, 2h, 1h30m, 7d, forever")


def command(kind: str, subjects: list[str], **more: object) -> Request:
    """A request to ``/commands``; what is None or False is left out."""
    kept = {key: value for key, value in more.items() if value is not None and value is not False}
    body = {"kind": kind, "subjects": subjects, "timeout": COMMAND_S, **kept}
    return Request("/commands", body)


def verb_line(*words: str, **options: str | None) -> str:
    """The command line that does the same, to be copied: ``lb`` and ``yes`` stand in front."""
    front = ["dnslbctl"]
    if (lb := options.pop("lb", None)) is not None:
        front += ["--lb", lb]
    if options.pop("yes", None) is not None:
        front.append("--yes")
    back = [word for name, value in options.items() if value is not None
            for word in (f"--{name}", value or "...")]  # fmt: skip
    return " ".join(
        shlex.quote(word) if word != "..." else word for word in (*front, *words, *back)
    )
