"""What the demo prints: a calm story in 80 columns, coloured on a terminal, plain in a pipe.

Words only; what happens is `acts.py`, what is decided is the daemon's.
"""

from __future__ import annotations

import shutil
import sys
import textwrap
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TextIO

from dnslb.daemon.demo.stage import NAME, Places
from dnslb.model.status import LogEntry

_WIDTH_MAX = 96
_BOLD, _DIM, _RED, _GREEN, _YELLOW, _BLUE = "1", "2", "38;5;166", "38;5;36", "38;5;178", "38;5;33"

# What of the event log belongs into the story; the rest is in the log file.
_TOLD = frozenset({"verdict", "applied", "held", "agent", "write-failed", "zone-error", "frozen"})


class Screen:
    """``elapsed_s``: seconds since the demo began."""

    def __init__(self, elapsed_s: Callable[[], float], plain: bool, out: TextIO) -> None:
        self._elapsed_s = elapsed_s
        self._out = out
        self._plain = plain
        fancy = not plain and (out.encoding or "").lower().startswith("utf")
        self._act_mark, self._answer_mark = ("▶", "→") if fancy else (">", "->")
        columns = _WIDTH_MAX if plain else shutil.get_terminal_size().columns
        self._width = max(40, min(columns, _WIDTH_MAX))

    def _paint(self, text: str, colour: str) -> str:
        return text if self._plain else f"\033[{colour}m{text}\033[0m"

    def _say(self, text: str = "") -> None:
        print(text, file=self._out, flush=True)

    def _line(self, text: str, colour: str, mark: str = " ") -> None:
        head = f"{self._elapsed_s():6.1f} s  {mark} "
        room = self._width - len(head)
        for i, part in enumerate(textwrap.wrap(text, room) or [""]):
            start = head if i == 0 else " " * len(head)
            self._say(self._paint(start, _DIM) + self._paint(part, colour))

    def opening(self, places: Places) -> None:
        """What is to be seen, and how to look at it from elsewhere."""
        dim = _DIM
        self._say(self._paint("dnslb demo", _BOLD) + " · the real daemon, on this machine alone")
        self._say("Three agents watch four endpoints of one name; a zone file follows.")
        self._say()
        self._say("Look at it from another terminal:")
        control = _beside("dnslbctl")
        self._say(self._paint(f"  {control} --socket {places.socket} status", _BLUE))
        self._say(self._paint(f"  {control} --socket {places.socket} why {NAME}", _BLUE))
        self._say(self._paint(f"configuration  {places.config}", dim))
        self._say(self._paint(f"zone file      {places.zone}", dim))
        self._say(self._paint("Ctrl-C ends it and cleans up.", dim))

    def opening_of_cluster(self, sockets: Sequence[Path], zone: Path) -> None:
        """The same, of three members."""
        self._say(self._paint("dnslb demo --cluster", _BOLD) + " · three real daemons on loopback")
        self._say("Their agents watch four endpoints of one name; whoever leads writes the zone.")
        self._say()
        self._say("Look at them from another terminal:")
        control = _beside("dnslbctl")
        for socket in sockets:
            self._say(self._paint(f"  {control} --socket {socket} members", _BLUE))
        self._say(self._paint(f"zone file      {zone}", _DIM))
        self._say(self._paint("Ctrl-C ends it and cleans up.", _DIM))

    def said(self, who: str, message: str) -> None:
        """What one of several members did."""
        self._line(f"{who}: {message}", _DIM)

    def act(self, title: str) -> None:
        """Something is done to the stage."""
        self._say()
        self._line(title, _BOLD, self._act_mark)

    def event(self, entry: LogEntry) -> None:
        """What the daemon saw, decided or did."""
        if entry.kind not in _TOLD:
            return
        colour = {"held": _YELLOW, "applied": _BLUE}.get(entry.kind, _DIM)
        self._line(entry.message, colour)

    def reply(self, sentences: tuple[str, ...]) -> None:
        """What an operator would be told."""
        for sentence in sentences:
            self._line(sentence, _BLUE)

    def answer(self, addresses: tuple[str, ...], after_s: float | None) -> None:
        """What the zone file answers now."""
        shown = "  ".join(addresses) or "nothing"
        late = f"   ({after_s:.1f} s later)" if after_s is not None else ""
        self._line(f"{NAME} A  {shown}{late}", _GREEN if addresses else _RED, self._answer_mark)

    def closing(self, writes: int) -> None:
        self._say()
        self._say(f"That was it: {writes} writes to the zone file, each with its reason.")
        self._say("With a zone of your own: docs/tutorial.md")


def _beside(program: str) -> str:
    """The program as one can call it: by its name, or by its path in this environment."""
    if shutil.which(program):
        return program
    return sys.argv[0].removesuffix("dnslb") + program
