"""The screen under all forms and pages: that of the panes."""

from __future__ import annotations

from textual.reactive import Reactive
from textual.screen import Screen
from textual.widget import Widget


class BaseScreen(Screen[object]):
    """Textual's own is painted as a whole whenever the focus moves, which at 200 x 60 takes as long
    as all else that a key does; what shows the focus is repainted anyway."""

    focused: Reactive[Widget | None] = Reactive(None, repaint=False)
