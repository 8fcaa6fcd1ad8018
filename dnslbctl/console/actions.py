"""What the keys, the palette and the mouse order: the row under the cursor → a form.

Not what a form says (`steering`, `deciding`, `membership`), not how it is shown.

Law: nothing is ordered without a form, and none opens on a picture that is old.
"""

from __future__ import annotations

import shlex
from collections.abc import Hashable, Iterable, Sequence
from typing import TYPE_CHECKING

from rich.text import Text
from textual.app import App, SystemCommand
from textual.screen import Screen

from dnslbctl.client import Failed
from dnslbctl.commands import quote
from dnslbctl.console import deciding, membership, steering
from dnslbctl.console.form import Form, Judgement, command
from dnslbctl.console.screens.form import FormScreen, Propose
from dnslbctl.console.screens.page import Fetch, Page
from dnslbctl.explanation import why_page
from dnslbctl.output import Terminal, plain
from dnslbctl.pages import orders_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from dnslb.api import messages
    from dnslbctl.aclient import AsyncClient
    from dnslbctl.console.ink import Ink
    from dnslbctl.console.rows import Rows
    from dnslbctl.viewmodel import Key, Picture, Row

PALETTE = (
    ("drain", "Drain the endpoint, or put it back", "dnslbctl drain ENDPOINT --reason R"),
    ("force", "Force the endpoint up or down", "dnslbctl force-up|force-down ENDPOINT"),
    ("clear", "Clear what overrides the endpoint", "dnslbctl clear ENDPOINT"),
    ("pause", "Pause DNS changes", "dnslbctl pause [NAME|ZONE] --reason R"),
    ("resume", "Resume DNS changes", "dnslbctl resume [NAME|ZONE]"),
    ("decide", "Decide a held change: approve or drop", "dnslbctl approve|drop ID"),
    ("release", "Release a name that left the configuration", "dnslbctl release NAME"),
    ("sync", "Compare with the provider now", "dnslbctl sync [ZONE]"),
    ("why", "Why is this name as it is", "dnslbctl why NAME"),
    ("overrides", "What people ordered", "dnslbctl overrides"),
    ("add_voter", "Add a voter", "dnslbctl raft add_voter ID ADDRESS 0"),
    ("add_nonvoter", "Add a non-voter", "dnslbctl raft add_nonvoter ID ADDRESS 0"),
    ("demote", "Demote the voter", "dnslbctl raft demote_voter ID 0"),
    ("remove", "Remove the member", "dnslbctl raft remove_server ID 0"),
    ("transfer", "Transfer leadership", "dnslbctl raft leadership_transfer"),
    ("snapshot", "Take a snapshot", "dnslbctl raft snapshot"),
)


class Actions(App[None]):
    """The console's orders; what it shows is its heir's business."""

    client: AsyncClient
    picture: Picture
    rows: Rows
    ink: Ink
    active: str
    offline: str
    """Why the picture is old; "": it is not."""

    def cursor(self) -> Hashable | None:
        """The key of the row under the cursor of the active pane."""
        return None

    # ---------------------------------------------------------------------------------- targets

    def _say(self, sentence: str) -> None:
        self.notify(self.ink.words(sentence), severity="warning", markup=False)

    def _is_current(self) -> bool:
        if self.offline:
            self._say(f"refused: there is no connection ({self.offline})")
        return not self.offline

    def _attention(self) -> messages.Attention | None:
        key = self.cursor()
        return self.rows.attention(key) if self.active == "now" and isinstance(key, tuple) else None

    def _endpoint(self) -> tuple[Key, Row] | None:
        """The endpoint under the cursor; in Now, the one that the row is about."""
        key = self.cursor()
        if self.active == "endpoints" and isinstance(key, tuple):
            row = self.picture.find(key)
            return None if row is None else (key, row)
        if (about := self._attention()) is not None:
            for name in self.picture.lbs:
                if row := self.picture.find((name, about["subject"])):
                    return (name, about["subject"]), row
        return None

    def _balancer_name(self) -> str | None:
        """The load balancer that the row under the cursor is about."""
        key = self.cursor()
        match self.active:
            case "endpoints":
                if key is None:
                    return None
                return str(key[0]) if isinstance(key, tuple) else str(key)
            case "changes":
                return next((c["name"] for c in self.picture.changes if c["id"] == key), None)
            case "now" if (about := self._attention()) is not None:
                if about["subject"] in self.picture.lbs:
                    return about["subject"]
                held = self.picture.held_change(about["subject"])
                return held["name"] if held else None
            case "events":
                event = self.rows.event_of(key) if isinstance(key, int) else None
                said = [str(value) for value in (event or {}).values()]
                return next((name for name in said if name in self.picture.lbs), None)
        return None

    def _member(self) -> messages.Member | None:
        key = self.cursor()
        if self.active != "members":
            return None
        return next((m for m in self.picture.members if m["id"] == key), None)

    # ------------------------------------------------------------------------------------ forms

    def judge(self, form: Form, values: dict[str, str]) -> Judgement:
        """A form's own judgement, unless the picture is old."""
        if self.offline:
            sentence = f"orders are off: there is no connection ({self.offline})"
            return Judgement("", command("sync", []), forbids=sentence)
        return form.judge(values, self.picture)

    async def send(self, judgement: Judgement) -> Sequence[str]:
        """Sends the order once; the daemon's sentences, when its effect shows."""
        request = judgement.request
        reply = await self.client.post(request.target, request.body, wait_s=judgement.wait_s)
        value = reply.value
        if request.target == membership.TARGET:
            return [membership.outcome(request.body, value["values"])]
        return list(value.get("sentences") or ["done"])

    async def open_form(self, form: Form, propose: Propose | None = None) -> None:
        """Returns when the form stands: the keys that follow are meant for it."""
        await self.push_screen(FormScreen(form, self.ink, self.judge, self.send, propose))

    async def action_drain(self) -> None:
        if not self._is_current():
            return
        if (found := self._endpoint()) is None:
            self._say("put the cursor on an endpoint first: 2 shows them")
        elif found[1].override is not None:
            await self.open_form(steering.clear(found[0], found[1].override, self.picture.at))
        else:
            await self.open_form(steering.drain(*found))

    async def action_force(self) -> None:
        if not self._is_current():
            return
        if (found := self._endpoint()) is None:
            self._say("put the cursor on an endpoint first: 2 shows them")
        else:
            await self.open_form(steering.force(*found))

    async def action_clear(self) -> None:
        if not self._is_current():
            return
        if (found := self._endpoint()) is None:
            self._say("put the cursor on an endpoint first: 2 shows them")
        elif found[1].override is None:
            self._say("nothing overrides this endpoint: the agents decide")
        else:
            await self.open_form(steering.clear(found[0], found[1].override, self.picture.at))

    async def action_pause(self) -> None:
        if not self._is_current():
            return
        if self.picture.status["pauses"]:
            await self.open_form(steering.resume(self.picture))
            return
        name = self._balancer_name()
        scopes = [("", "everything")]
        if name is not None and name in self.picture.lbs:
            zone = self.picture.lbs[name].head["zone"]
            scopes += [(scope, plain(scope)) for scope in dict.fromkeys((name, zone)) if scope]
        await self.open_form(steering.pause(tuple(scopes)))

    async def action_resume(self) -> None:
        if self._is_current():
            if self.picture.status["pauses"]:
                await self.open_form(steering.resume(self.picture))
            else:
                self._say("nothing is paused")

    async def action_decide(self) -> None:
        """What the row asks for: the held change, the released name, the pause."""
        if not self._is_current():
            return
        about = self._attention()
        others = {
            "Release": self.action_release,
            "Resume": self.action_resume,
            "Clear": self.action_clear,
            "Sync": self.action_sync,
        }
        if about is not None and (other := others.get(self.rows.step_of(about))) is not None:
            await other()
            return
        key = about["subject"] if about is not None else self.cursor()
        wanted = self.picture.held_change(str(key)) if self.active in ("now", "changes") else None
        held = [c for c in self.picture.changes if c["state"] == "held"]
        if wanted is None and (self.active in ("now", "changes") or not held):
            self._say("nothing is to be decided here" if held else "no change is held")
        else:
            await self.open_form(deciding.decide(wanted or held[0], self.picture))

    async def action_release(self) -> None:
        if not self._is_current():
            return
        about = self._attention()
        released = self.picture.status["released"]
        if about is not None and about["subject"] in released:
            await self.open_form(deciding.release(about["subject"]))
        elif released:
            await self.open_form(deciding.release(released[0]))
        else:
            self._say("no name waits to be released")

    async def action_sync(self) -> None:
        if self._is_current():
            await self.open_form(steering.sync(self.picture))

    # ---------------------------------------------------------------------------------- members

    def _administers(self) -> bool:
        if not self._is_current():
            return False
        if (election := self.picture.status["election"]) != "raft":
            self._say(membership.NOT_RAFT.format(election=election))
            return False
        return True

    async def _index(self) -> tuple[str, str] | None:
        """The index of the configuration that the operator sees: whoever changed it meanwhile
        makes the daemon refuse."""
        asked = {"command": "get_configuration", "arguments": []}
        try:
            index = str((await self.client.post(membership.TARGET, asked)).value["values"]["index"])
        except Failed:
            return None  # 0 stands there, and says what it means
        return membership.PREVIOUS, index

    async def action_add_voter(self) -> None:
        if self._administers():
            await self.open_form(membership.add(self.picture, "add_voter"), self._index)

    async def action_add_nonvoter(self) -> None:
        if self._administers():
            await self.open_form(membership.add(self.picture, "add_nonvoter"), self._index)

    async def action_demote(self) -> None:
        await self._leave("demote_voter")

    async def action_remove(self) -> None:
        await self._leave("remove_server")

    async def _leave(self, name: str) -> None:
        if not self._administers():
            return
        if (member := self._member()) is None:
            self._say("put the cursor on a member first: 3 shows them")
        else:
            await self.open_form(membership.leave(member, name), self._index)

    async def action_transfer(self) -> None:
        if self._administers():
            member = self._member()
            await self.open_form(membership.transfer(self.picture, member["id"] if member else ""))

    async def action_snapshot(self) -> None:
        if self._administers():
            await self.open_form(membership.snapshot())

    # ------------------------------------------------------------------------------ explanations

    async def action_why(self) -> None:
        if (name := self._balancer_name()) is None:
            self._say("put the cursor on a row that is about a name first")
            return

        async def fetch(width: int) -> Text:
            reply = await self.client.get(f"/why/{quote(name)}")
            return self._printed(lambda terminal: why_page(reply.value, reply.at, terminal), width)

        await self.open_page(f"$ dnslbctl why {shlex.quote(plain(name))}", fetch)

    async def open_page(self, title: str, fetch: Fetch) -> None:
        await self.push_screen(Page(self.ink.words(title), fetch))

    async def action_overrides(self) -> None:
        async def fetch(width: int) -> Text:
            reply = await self.client.get("/overrides")
            return self._printed(lambda t: orders_page(reply.value, reply.at, t), width)

        await self.open_page("$ dnslbctl overrides", fetch)

    def _printed(self, page: Callable[[Terminal], list[str]], width: int) -> Text:
        """A page as the scripting verb prints it."""
        terminal = Terminal(width=width, colour=self.ink.colour, unicode=self.ink.unicode)
        return Text.from_ansi(self.ink.words("\n".join(page(terminal))))

    def get_system_commands(self, screen: Screen[object]) -> Iterable[SystemCommand]:
        for name, title, verb in PALETTE:
            yield SystemCommand(title, verb, getattr(self, f"action_{name}"))
