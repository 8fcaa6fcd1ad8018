"""Shows a form: says what follows while one types, sends the order, and stays for its outcome.

Law: an order is sent once. What became of it is what the daemon says, never that it was sent;
where the answer is lost, that is said.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import ClassVar, Literal

from textual import on
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal, Vertical, VerticalScroll
from textual.screen import ModalScreen
from textual.widgets import Button, Input, Label

from dnslbctl.client import Failed, Unreached
from dnslbctl.console import background
from dnslbctl.console.form import CONFIRM, Field, Form, Judgement
from dnslbctl.console.ink import Ink, Line
from dnslbctl.console.widgets.choice import Choice
from dnslbctl.console.widgets.prose import Prose
from dnslbctl.output import plain

State = Literal["opening", "open", "sent", "done"]
Judge = Callable[[Form, dict[str, str]], Judgement]
Send = Callable[[Judgement], Awaitable[Sequence[str]]]
Propose = Callable[[], Awaitable[tuple[str, str] | None]]


class FormScreen(ModalScreen[None]):
    """``judge``: by the newest picture; ``send``: the daemon's sentences, or `Failed`;
    ``propose``: a field and what the daemon has for it, None when it has nothing."""

    BINDINGS: ClassVar[list[BindingType]] = [
        # What is typed after one of these, however fast, goes to the next field.
        Binding("escape", "leave", priority=True),
        Binding("down,tab", "app.focus_next", priority=True),
        Binding("up,shift+tab", "app.focus_previous", priority=True),
        Binding("enter", "accept", priority=True),
    ]

    def __init__(
        self, form: Form, ink: Ink, judge: Judge, send: Send, propose: Propose | None = None
    ) -> None:
        super().__init__(classes="danger" if form.danger else "")
        self._form = form
        self._ink = ink
        self._judge = judge
        self._send = send
        self._propose = propose
        self._state: State = "opening"
        self._refused: list[Line] = []
        self.judgement: Judgement | None = None

    def compose(self) -> ComposeResult:
        with Vertical(classes="form") as box:
            box.border_title = self._form.title
            with VerticalScroll(id="body", can_focus=False):
                yield Prose(self._ink, name="what")
                for field in self._form.fields:
                    yield from self._row(field)
                yield from self._row(Field(CONFIRM, "to confirm"))
                yield Prose(self._ink, name="so")
                yield Prose(self._ink, name="verdict")
            yield Prose(self._ink, name="verb")
            with Horizontal(id="buttons"):
                yield Button("Cancel", id="cancel", compact=True)
                kind: Literal["warning", "primary"] = "warning" if self._form.danger else "primary"
                yield Button(self._form.button, id="do", variant=kind, compact=True)

    def _row(self, field: Field) -> ComposeResult:
        with Horizontal(classes="field", id=f"row-{field.name}"):
            yield Label(field.label)
            if field.choices:
                yield Choice(field.choices, field.value, self._ink, name=field.name)
            else:
                yield Input(field.value, placeholder=field.hint, id=field.name, compact=True)

    def on_mount(self) -> None:
        self.query_one("#what", Prose).show(self._form.what)
        self.query_one("#what").display = bool(self._form.what)
        self.query_one("#row-confirm").display = False
        self._state = "open"
        self.consider()
        names = [field.name for field in self._form.fields]
        self.set_focus(self.query_one(f"#{names[0]}" if names else "#cancel"))
        if self._propose is not None:
            background.start(self, partial(self._fill_in, self._propose))

    # ---------------------------------------------------------------------------------- judging

    def values(self) -> dict[str, str]:
        found = {}
        for field in self._form.fields:
            widget = self.query_one(f"#{field.name}")
            assert isinstance(widget, Input | Choice)
            found[field.name] = widget.value.strip()
        return found

    async def _fill_in(self, propose: Propose) -> None:
        """Fills in a field that nobody has touched."""
        if (found := await propose()) is None or self._state != "open":
            return
        name, value = found
        field = next(field for field in self._form.fields if field.name == name)
        # None when the form was closed while it was being asked for.
        for widget in self.query(f"#{name}").results(Input):
            if widget.value == field.value:
                widget.value = value

    def consider(self) -> None:
        """Judges anew: at each key, and whenever the picture changed."""
        # The last key before it was closed may be told after that.
        if self._state != "open" or not self._is_seen():
            return
        found = self.judgement = self._judge(self._form, self.values())
        self.query_one("#so", Prose).show(found.so)
        self.query_one("#so").display = bool(found.so)
        confirm = self.query_one(f"#{CONFIRM}", Input)
        confirm.placeholder = found.typed
        asked = bool(found.typed) and not found.forbids
        self.query_one(f"#row-{CONFIRM}").display = asked
        lacks = found.lacks
        if not lacks and asked and confirm.value.strip() != found.typed:
            lacks = f"type {found.typed} to confirm it"
        verdict: list[Line] = [*self._refused]
        if found.forbids:
            verdict.append([("✗ " if self._ink.unicode else "x ", "bad"), (found.forbids, "bad")])
        elif lacks:
            verdict.append([(lacks, "key")])
        self._show_verdict(verdict)
        verb = [[("$ ", "dim"), (found.verb, "dim")]] if found.verb else []
        self.query_one("#verb", Prose).show(verb)
        self.query_one("#do", Button).disabled = bool(found.forbids or lacks)

    def _show_verdict(self, lines: Sequence[Line]) -> None:
        self.query_one("#verdict", Prose).show(lines)
        self.query_one("#verdict").display = bool(lines)

    @on(Input.Changed)
    @on(Choice.Changed)
    def _typed(self) -> None:
        self._refused = []
        self.consider()

    def action_accept(self) -> None:
        """The next field, or what the button says. The one that orders is pressed as by the mouse:
        by then all that was typed has been read."""
        match self.focused:
            case Button(id="cancel"):
                self.action_leave()
            case Button() as button:
                button.press()
            case field:
                self.consider()
                order = self.query_one("#do", Button)
                if self.focus_next() is self.query_one("#cancel"):
                    # Who types on and on with enter means to order, not to cancel.
                    self.set_focus(field if order.disabled else order)

    # ---------------------------------------------------------------------------------- sending

    @on(Button.Pressed, "#cancel")
    def action_leave(self) -> None:
        """An order that was sent goes on; its outcome is told below."""
        self.dismiss(None)

    @on(Button.Pressed, "#do")
    def _order(self) -> None:
        self.consider()
        if self._state == "done" or self.query_one("#do", Button).disabled:
            return
        assert self.judgement is not None
        self._state = "sent"
        self._enable(False)
        self._show_verdict([[("waiting until its effect shows", "key")]])
        self.query_one("#cancel", Button).label = "Leave"
        self.set_focus(self.query_one("#cancel"))
        # The app's worker: it outlives this screen.
        background.start(self.app, partial(self._carry_out, self.judgement))

    def _enable(self, on: bool) -> None:
        for field in (*self._form.fields, Field(CONFIRM, "")):
            self.query_one(f"#{field.name}").disabled = not on
        self.query_one("#do", Button).disabled = not on

    async def _carry_out(self, judgement: Judgement) -> None:
        try:
            sentences = await self._send(judgement)
        except Unreached as error:
            self._end([[(plain(str(error)), "bad")], [("5 Events and 1 Now tell", "")]], "error")
        except Failed as error:
            self._refuse(str(error))
        else:
            good = "✓ " if self._ink.unicode else "+ "
            self._end([[(good, "ok"), (plain(text), "ok")] for text in sentences], "information")

    def _refuse(self, sentence: str) -> None:
        """The daemon said no and nothing was changed: the form stays to be corrected."""
        bad = "✗ " if self._ink.unicode else "x "
        self._refused = [[(bad, "bad"), (plain(sentence), "bad")]]
        if not self._is_seen():
            self._tell(self._refused, "error")
            return
        self._state = "open"
        self._enable(True)
        self.query_one("#cancel", Button).label = "Cancel"
        self.consider()

    def _end(self, lines: list[Line], severity: Literal["information", "error"]) -> None:
        if not self._is_seen():
            self._tell(lines, severity)
            return
        self._state = "done"
        for selector in ("#so", "#verb", "#do", ".field"):
            for widget in self.query(selector):
                widget.display = False
        self._show_verdict(lines)
        cancel = self.query_one("#cancel", Button)
        cancel.label = "Close"
        self.set_focus(cancel)

    def _is_seen(self) -> bool:
        return self.is_attached and self.app.screen is self

    def _tell(self, lines: list[Line], severity: Literal["information", "error"]) -> None:
        text = "\n".join("".join(words for words, _ in line) for line in lines)
        title = self._form.title
        self.app.notify(self._ink.words(text), title=title, severity=severity, timeout=15,
                        markup=False)  # fmt: skip
